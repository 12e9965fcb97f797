// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small data file system in memory, and clients through the same messages as on a node.

use super::*;
use crate::cache::tests::Counted;
use api_data::{BUFFER_BYTES, Kind, Replace, entry, label};
use blocks::{BlockRead, ReadError};
use ipc::{Lost, Message, Place, Transport};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const ALICE: u32 = 3;
const BOB: u32 = 4;

#[derive(Clone)]
pub struct Disk(Rc<RefCell<Vec<u8>>>, Rc<Requests>);
/// Requests so far, and which of them fail.
#[derive(Default)]
struct Requests {
    count: Cell<u64>,
    fails: RefCell<core::ops::Range<u64>>,
}
impl Disk {
    fn new(blocks: usize) -> Disk {
        Disk(Rc::new(RefCell::new(vec![0; blocks * 4096])), Rc::default())
    }
    fn request(&self) -> Result<(), ReadError> {
        let number = self.1.count.replace(self.1.count.get() + 1);
        if self.1.fails.borrow().contains(&number) { Err(ReadError::Device { code: 5 }) } else { Ok(()) }
    }
    fn fail(&self, requests: core::ops::Range<u64>) {
        self.1.count.set(0);
        self.1.fails.replace(requests);
    }
}
impl BlockRead for Disk {
    fn block_count(&self) -> u64 {
        (self.0.borrow().len() / 4096) as u64
    }
    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.request()?;
        blocks::Memory(&self.0.borrow()).read_blocks(first, out)
    }
}
impl BlockWrite for Disk {
    fn write_blocks(&mut self, first: u64, bytes: &[u8]) -> Result<(), ReadError> {
        self.request()?;
        let at = first as usize * 4096;
        self.0.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), ReadError> {
        self.request()
    }
}

#[derive(Clone)]
struct Fake(Rc<RefCell<Vec<u8>>>);
impl Buffer for Fake {
    fn length_bytes(&self) -> usize {
        self.0.borrow().len()
    }
    fn put(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.0.borrow_mut().get_mut(offset..offset + bytes.len())?.copy_from_slice(bytes);
        Some(())
    }
    fn get(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        out.copy_from_slice(self.0.borrow().get(offset..offset + out.len())?);
        Some(())
    }
}

/// One end of the server: through a grant, or through a capability made there.
struct End {
    server: Rc<RefCell<Nodes<Disk, Fake, Counted>>>,
    client: u32,
    node: Option<Node>,
    buffer: Fake,
    disk: Disk,
}
impl Transport for End {
    fn call(&mut self, request: &Message) -> Result<Message, Lost> {
        Ok(self.server.borrow_mut().answer(self.node, Badge(u64::from(self.client)), request))
    }
}
type It = api_data::Client<End>;

fn start() -> (It, It) {
    let mut disk = Disk::new(2048);
    ext4::make(&mut disk, [7; 16], "DATA", ext4::Time::default()).unwrap();
    let buffers = [ALICE, BOB].map(|_| Fake(Rc::new(RefCell::new(vec![0; BUFFER_BYTES as usize]))));
    let server = Rc::new(RefCell::new(serve(&disk, &buffers)));
    let [a, b] = buffers;
    let end = |client, buffer| api_data::Client(End { server: server.clone(), client, node: None, buffer, disk: disk.clone() });
    (end(ALICE, a), end(BOB, b))
}
fn serve(disk: &Disk, buffers: &[Fake; 2]) -> Nodes<Disk, Fake, Counted> {
    let open: Vec<u32> = buffers.iter().flat_map(noted).collect();
    let mut fs = Ext4::mount_again(disk.clone(), ext4::Time::default(), &open).unwrap();
    let clients = [(ALICE, "alice"), (BOB, "bob")].iter().zip(buffers).map(|((number, name), buffer)| {
        let home = crate::data::home(&mut fs, name).unwrap();
        Client { number: *number, buffer: buffer.clone(), home }
    });
    let clients = clients.collect();
    let cache = Rc::new(RefCell::new(Cache::new(Counted::new(1 << 20))));
    Nodes::new(Some(fs), clients, Endpoint(Handle::NULL), cache)
}
/// Another server over the same disk and buffers. What the old one had not told the disk is gone.
fn restart(it: &It, other: &It) {
    let next = serve(&it.0.disk, &[it.0.buffer.clone(), other.0.buffer.clone()]);
    *it.0.server.borrow_mut() = next;
}

/// Puts a path at the buffer's start.
fn path(it: &It, text: &str) -> u32 {
    it.0.buffer.put(0, text.as_bytes()).unwrap();
    text.len() as u32
}
fn create(it: &mut It, text: &str, kind: Kind) -> Result<(), Error> {
    let n = path(it, text);
    it.create(n, kind, 0o644, (5, 6), (0, 0))
}
/// As `open` would make it, which needs a kernel.
fn node(it: &mut It, text: &str, writes: bool) -> It {
    let n = path(it, text);
    let inode = it.stat(n).unwrap().inode;
    let generation = low(it.0.server.borrow_mut().fs().unwrap().stat(inode).unwrap().generation);
    let (interface, client) = Node { inode, generation, client: it.0.client, writes }.badge();
    let node = Node::parse(interface, client);
    api_data::Client(End { server: it.0.server.clone(), client, node, buffer: it.0.buffer.clone(), disk: it.0.disk.clone() })
}

#[test]
fn a_file_is_made_written_renamed_and_read_back() {
    let (mut it, _) = start();
    create(&mut it, "d", Kind::Directory).unwrap();
    create(&mut it, "d/file", Kind::File).unwrap();
    let mut file = node(&mut it, "d/file", true);
    it.0.buffer.put(100, b"some text").unwrap();
    assert_eq!(file.write(5, 9, 100), Ok(9));
    path(&it, "d/filed/other");
    it.rename(6, 7, Replace::Allow, false).unwrap();
    assert_eq!(file.read(0, 50, 0), Ok(14));
    assert_eq!(it.0.buffer.0.borrow()[..14], *b"\0\0\0\0\0some text");
    let n = path(&it, "d/other");
    let stat = it.stat(n).unwrap();
    assert_eq!((stat.kind, stat.size_bytes, stat.uid, stat.gid, stat.mode), (Kind::File, 14, 5, 6, 0o644));
    let mut d = node(&mut it, "d", false);
    let place = Place { offset_bytes: 100, length_bytes: 300 };
    let used = d.list(0, place).unwrap() as usize;
    let listed = it.0.buffer.0.borrow()[100..100 + used].to_vec();
    let (found, rest) = entry::take(&listed).unwrap();
    assert_eq!((found.kind, found.name, rest.len()), (Kind::File, &b"other"[..], 0));
    assert_eq!(d.list(found.cookie, place), Ok(0));
}

#[test]
fn nobody_comes_out_of_his_directory() {
    let (mut alice, mut bob) = start();
    create(&mut alice, "secret", Kind::File).unwrap();
    for text in ["..", "../alice/secret", "/alice/secret", "x/../../alice", "./secret", "secret/", "//"] {
        let n = path(&bob, text);
        let got = bob.stat(n);
        assert!(matches!(got, Err(Error::Invalid | Error::NotFound)), "{text}: {got:?}");
        let got = create(&mut bob, text, Kind::File);
        assert!(matches!(got, Err(Error::Invalid | Error::NotFound)), "{text}: {got:?}");
    }
    // A link is a name for a text here, whatever the text says.
    path(&bob, "link../alice/secret");
    bob.symlink(4, 15, (0, 0)).unwrap();
    let n = path(&bob, "link");
    assert_eq!(bob.stat(n).unwrap().kind, Kind::Symlink);
    let n = path(&bob, "link/x");
    assert_eq!(bob.stat(n), Err(Error::NotADirectory));
}

#[test]
fn a_capability_that_only_reads_changes_nothing() {
    let (mut it, _) = start();
    create(&mut it, "file", Kind::File).unwrap();
    let mut file = node(&mut it, "file", false);
    assert_eq!(file.write(0, 4, 0), Err(Error::ReadOnly));
    assert_eq!(file.truncate(5), Err(Error::ReadOnly));
    assert_eq!(file.set_mode(0, 0o777), Err(Error::ReadOnly));
    let mut home = node(&mut it, "", false);
    assert_eq!(create(&mut home, "new", Kind::File), Err(Error::ReadOnly));
    assert_eq!(file.read(0, 4, 0), Ok(0));
}

#[test]
fn a_capability_of_a_node_that_is_gone_is_void_even_if_another_has_its_number() {
    let (mut it, _) = start();
    create(&mut it, "old", Kind::File).unwrap();
    let mut old = node(&mut it, "old", true);
    let number = old.stat(0).unwrap().inode;
    let n = path(&it, "old");
    it.unlink(n, false).unwrap();
    assert_eq!(old.stat(0), Err(Error::NotFound));
    create(&mut it, "new", Kind::File).unwrap();
    let n = path(&it, "new");
    assert_eq!(it.stat(n).unwrap().inode, number);
    assert_eq!(old.stat(0), Err(Error::NotFound));
    assert_eq!(old.write(0, 4, 0), Err(Error::NotFound));
}

#[test]
fn a_file_that_lost_its_name_while_open_lives_through_deaths_until_it_is_released() {
    let (mut it, mut other) = start();
    let free = it.space().unwrap();
    for by in ["unlink", "rename"] {
        create(&mut it, "file", Kind::File).unwrap();
        let mut file = node(&mut it, "file", true);
        it.0.buffer.put(0, b"text").unwrap();
        assert_eq!(file.write(0, 4, 0), Ok(4));
        let n = path(&it, "file");
        if by == "unlink" {
            it.unlink(n, true).unwrap();
        } else {
            create(&mut it, "new", Kind::File).unwrap();
            path(&it, "newfile");
            it.rename(3, 4, Replace::Allow, true).unwrap();
        }
        restart(&it, &other);
        assert_eq!(file.stat(0).map(|s| (s.links, s.size_bytes)), Ok((0, 4)));
        assert_eq!((file.read(0, 9, 50), &it.0.buffer.0.borrow()[50..54]), (Ok(4), &b"text"[..]));
        file.release().unwrap();
        assert_eq!(file.release(), Err(Error::NotFound));
        let n = path(&it, "file");
        let _ = it.unlink(n, false);
        assert_eq!(it.space().unwrap(), free);
    }
    // One that has names left, or is no more there, is not kept; nobody else may let go.
    create(&mut it, "file", Kind::File).unwrap();
    let mut file = node(&mut it, "file", true);
    path(&it, "fileagain");
    it.link(4, 5).unwrap();
    path(&it, "again");
    it.unlink(5, true).unwrap();
    assert_eq!(file.release(), Err(Error::NotFound));
    let n = path(&it, "file");
    it.unlink(n, true).unwrap();
    assert_eq!(other.release_all(), Ok(()));
    assert!(file.stat(0).is_ok());
    assert_eq!(it.release_all(), Ok(()));
    assert_eq!(file.stat(0), Err(Error::NotFound));
}

#[test]
fn what_is_written_cut_and_punched_is_in_the_mapped_pages_at_once() {
    let (mut it, _) = start();
    create(&mut it, "file", Kind::File).unwrap();
    let mut file = node(&mut it, "file", true);
    it.0.buffer.put(0, &[7; 20_000]).unwrap();
    assert_eq!(file.write(0, 20_000, 0), Ok(20_000));
    let mapped = file.map(0).unwrap();
    assert_eq!((mapped.first_page, mapped.pages), (0, 5));
    let seen = |it: &It, at: u64| {
        let (mut found, server) = (0, it.0.server.borrow());
        let file = (Source::Data(server_generation(it)), u64::from(node_of(it)));
        let look = |_, bytes: &[u8]| {
            found = bytes[0];
            Ok(())
        };
        server.cache.borrow_mut().read((file, 20_480), at, 1, |_, _| Err("it is not cached"), look).unwrap();
        found
    };
    it.0.buffer.put(0, &[9; 100]).unwrap();
    assert_eq!(file.write(8000, 100, 0), Ok(100));
    assert_eq!([7999, 8000, 8099, 8100, 20_000].map(|at| seen(&file, at)), [7, 9, 9, 7, 0]);
    file.punch(4096, 4000).unwrap();
    assert_eq!([4095, 4096, 8095, 8096].map(|at| seen(&file, at)), [7, 0, 0, 9]);
    file.truncate(10_000).unwrap();
    assert_eq!([9_999, 10_000, 20_479].map(|at| seen(&file, at)), [7, 0, 0]);
    assert_eq!(file.map(1), Ok(mapped), "all through the same memory");
    assert_eq!(file.map(3), Err(Error::OutOfRange));
}
fn node_of(it: &It) -> u32 {
    it.0.node.unwrap().inode
}
fn server_generation(it: &It) -> u32 {
    it.0.node.unwrap().generation
}

#[test]
fn names_are_exchanged_and_times_left_out() {
    let (mut it, _) = start();
    create(&mut it, "a", Kind::File).unwrap();
    create(&mut it, "b", Kind::Directory).unwrap();
    path(&it, "ab");
    it.rename(1, 1, Replace::Exchange, false).unwrap();
    let n = path(&it, "a");
    assert_eq!(it.stat(n).unwrap().kind, Kind::Directory);
    path(&it, "ac");
    assert_eq!(it.rename(1, 1, Replace::Exchange, false), Err(Error::NotFound));
    let (one, omit) = (api_data::Time { seconds: 5, nanoseconds: 6 }, api_data::Time { seconds: 0, nanoseconds: api_data::OMIT });
    let n = path(&it, "a");
    let before = it.stat(n).unwrap();
    it.set_times(n, omit, one).unwrap();
    let after = it.stat(n).unwrap();
    assert_eq!((after.accessed, after.modified), (before.accessed, one));
    assert_eq!(it.set_times(n, api_data::Time { seconds: 0, nanoseconds: 1_000_000_000 }, one), Err(Error::Invalid));
}

#[test]
fn what_lies_outside_the_buffer_is_refused() {
    let (mut it, _) = start();
    create(&mut it, "file", Kind::File).unwrap();
    let mut file = node(&mut it, "file", true);
    let end = BUFFER_BYTES as u32;
    assert_eq!(file.write(0, 2, end - 1), Err(Error::OutOfRange));
    assert_eq!(file.write(0, u32::MAX, 0), Err(Error::OutOfRange));
    assert_eq!(file.read(0, u32::MAX, 0), Err(Error::OutOfRange));
    assert_eq!(it.stat(5000), Err(Error::NameTooLong));
    assert_eq!(it.stat(u32::MAX), Err(Error::NameTooLong));
}

/// Messages of every label with numbers at random: an answer each time, and the file system goes on.
#[test]
fn no_message_stops_the_server() {
    let (mut it, _) = start();
    create(&mut it, "d", Kind::Directory).unwrap();
    let mut random = 88_172_645_463_325_252u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for n in 0..20_000u32 {
        let mut message = Message::new(n % (label::release_all + 2));
        for _ in 0..next() % 9 {
            let word = next();
            message.put_word([word, word % 8, word % 300, word % (1 << 20)][(word >> 40) as usize % 4]);
        }
        let node = Node::parse(layout::FIRST_OWN | (next() % 40) as u32, (next() % 4) as u32 * WRITES + ALICE);
        let node = node.filter(|_| n % 3 == 0);
        let _ = it.0.server.borrow_mut().answer(node, Badge(u64::from(ALICE)), &message);
    }
    assert!(it.stat(0).is_ok());
}

mod faults;
