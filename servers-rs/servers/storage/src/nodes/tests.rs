// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small data file system in memory, and clients through the same messages as on a node.

use super::*;
use api_data::label;
use blocks::{BlockRead, ReadError};
use ipc::{Lost, Message, Transport};
use std::cell::RefCell;
use std::rc::Rc;

const ALICE: u32 = 3;
const BOB: u32 = 4;

struct Disk(Vec<u8>);
impl BlockRead for Disk {
    fn block_count(&self) -> u64 {
        (self.0.len() / 4096) as u64
    }
    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        blocks::Memory(&self.0).read_blocks(first, out)
    }
}
impl BlockWrite for Disk {
    fn write_blocks(&mut self, first: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let at = first as usize * 4096;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), ReadError> {
        Ok(())
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
    server: Rc<RefCell<Nodes<Disk, Fake>>>,
    client: u32,
    node: Option<Node>,
    buffer: Fake,
}
impl Transport for End {
    fn call(&mut self, request: &Message) -> Result<Message, Lost> {
        Ok(self.server.borrow_mut().answer(self.node, Badge(u64::from(self.client)), request))
    }
}
type It = api_data::Client<End>;

fn start() -> (It, It) {
    let mut disk = Disk(vec![0; 2048 * 4096]);
    ext4::make(&mut disk, [7; 16], "DATA", ext4::Time::default()).unwrap();
    let mut fs = Ext4::mount(disk, ext4::Time::default()).unwrap();
    let buffers = [ALICE, BOB].map(|_| Fake(Rc::new(RefCell::new(vec![0; BUFFER_BYTES as usize]))));
    let clients = [(ALICE, "alice"), (BOB, "bob")].iter().zip(&buffers).map(|((number, name), buffer)| {
        let home = crate::data::home(&mut fs, name).unwrap();
        Client { number: *number, buffer: buffer.clone(), home }
    });
    let clients = clients.collect();
    let server = Rc::new(RefCell::new(Nodes::new(Some(fs), clients, Endpoint(Handle::NULL))));
    let [a, b] = buffers;
    let end = |client, buffer| api_data::Client(End { server: server.clone(), client, node: None, buffer });
    (end(ALICE, a), end(BOB, b))
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
    api_data::Client(End { server: it.0.server.clone(), client, node, buffer: it.0.buffer.clone() })
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
    it.rename(6, 7, true).unwrap();
    assert_eq!(file.read(0, 50, 0), Ok(14));
    assert_eq!(it.0.buffer.0.borrow()[..14], *b"\0\0\0\0\0some text");
    let n = path(&it, "d/other");
    let stat = it.stat(n).unwrap();
    assert_eq!((stat.kind, stat.size_bytes, stat.uid, stat.gid, stat.mode), (Kind::File, 14, 5, 6, 0o644));
    let mut d = node(&mut it, "d", false);
    let (used, next) = d.list(0).unwrap();
    let buffer = it.0.buffer.0.borrow();
    let (_, kind, name, rest) = entry::take(&buffer[..used as usize]).unwrap();
    assert_eq!((kind, name, rest.len(), next), (Kind::File, &b"other"[..], 0, 0));
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
    it.unlink(n).unwrap();
    assert_eq!(old.stat(0), Err(Error::NotFound));
    create(&mut it, "new", Kind::File).unwrap();
    let n = path(&it, "new");
    assert_eq!(it.stat(n).unwrap().inode, number);
    assert_eq!(old.stat(0), Err(Error::NotFound));
    assert_eq!(old.write(0, 4, 0), Err(Error::NotFound));
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
        let mut message = Message::new(n % (label::set_quota + 2));
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
