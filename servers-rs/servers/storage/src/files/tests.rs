// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small tree, its image with a real hash tree, and a client through the same messages as on a node.

use super::*;
use crate::cache::tests::Counted;
use blocks::{BLOCK_BYTES, Memory as Bytes};
use erofs::{Entry, Kind as Of, Options, Plan};
use ipc::pair::Pair;
use std::cell::RefCell;
use std::rc::Rc;
use verity::{Geometry, TreeBuilder, Verified};

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

type Server = Files<Verified<Bytes<'static>>, Fake, Counted>;

fn contents() -> Vec<u8> {
    (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

struct Tree;
impl erofs::Contents for Tree {
    type Error = ();
    fn read(&mut self, _: usize, offset: u64, out: &mut [u8]) -> Result<(), ()> {
        out.copy_from_slice(&contents()[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
}

/// The image, then an empty superblock block, then the tree; with the digest.
fn slot() -> (Vec<u8>, u64, [u8; 32]) {
    let entry = |path: &str, kind| Entry { path: path.into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: vec![] };
    let hello = entry("/programs/hello", Of::File { length_bytes: 20_000 });
    let note = ("user.note".into(), b"text".to_vec());
    let entries = [
        entry("/", Of::Directory),
        entry("/programs", Of::Directory),
        Entry { xattrs: vec![note], ..hello },
        entry("/programs/again", Of::Symlink { target: "../../programs/hello".into() }),
    ];
    let options = Options { uuid: [1; 16], epoch_s: 0, epoch_ns: 0, volume_name: [0; 16] };
    let plan = Plan::new(&entries, options).unwrap();
    let mut image = Vec::new();
    plan.write(&mut Tree, &mut |bytes| {
        image.extend(bytes);
        Ok(())
    })
    .unwrap();
    let data_blocks = (image.len() / BLOCK_BYTES) as u64;
    let geometry = Geometry::new(data_blocks).unwrap();
    let mut tree = vec![0; geometry.tree_blocks() as usize * BLOCK_BYTES];
    let mut put = |number: u64, block: &verity::Block| {
        let at = number as usize * BLOCK_BYTES;
        tree[at..at + BLOCK_BYTES].copy_from_slice(block);
    };
    let mut builder = TreeBuilder::new(geometry, b"salt");
    image.chunks(BLOCK_BYTES).for_each(|block| builder.push(block, &mut put));
    let root = builder.finish(&mut put).unwrap();
    image.extend([0; BLOCK_BYTES]);
    image.extend(tree);
    (image, data_blocks, root)
}

fn client(damage: impl Fn(&mut Vec<u8>)) -> (api_file::Client<Pair<Server>>, Fake) {
    let (mut bytes, data_blocks, root) = slot();
    damage(&mut bytes);
    let bytes: &'static [u8] = bytes.leak();
    let geometry = Geometry::new(data_blocks).unwrap();
    let verified = Verified::new(Bytes(bytes), geometry, b"salt", root, data_blocks + 1).unwrap();
    let buffer = Fake(Rc::new(RefCell::new(vec![0; 16 * 1024])));
    let files = Files::new(Reader::open(verified).ok(), vec![(1, buffer.clone())], cache(1 << 20));
    (api_file::Client(Pair::new(files, Badge(1), api_file::dispatch)), buffer)
}
fn cache(bytes: usize) -> Rc<RefCell<Cache<Counted>>> {
    Rc::new(RefCell::new(Cache::new(Counted::new(bytes))))
}
fn text(path: &str) -> Text {
    Text::new(path).unwrap()
}
fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}
fn hello(it: &mut api_file::Client<Pair<Server>>) -> u64 {
    it.resolve(text("/programs/hello")).unwrap().node
}
const fn place(offset_bytes: u32, length_bytes: u32) -> Place {
    Place { offset_bytes, length_bytes }
}
/// All of a file, in pieces that do not end with pages.
fn whole(it: &mut api_file::Client<Pair<Server>>, buffer: &Fake, node: u64) -> Vec<u8> {
    let mut found: Vec<u8> = Vec::new();
    loop {
        let got = it.read(node, found.len() as u64, place(100, 8000)).unwrap() as usize;
        if got == 0 {
            return found;
        }
        found.extend(&buffer.0.borrow()[100..100 + got]);
    }
}

#[test]
fn a_file_is_read_whole_through_the_buffer_also_by_a_link_and_without_room_for_a_cache() {
    for room in [1 << 20, 0] {
        let (mut it, buffer) = client(|_| {});
        it.0.server.cache = cache(room);
        for path in ["/programs/hello", "/programs/again", "programs//./hello", "/../programs/hello"] {
            let file = it.resolve(text(path)).unwrap();
            assert_eq!((file.kind, file.size_bytes), (Kind::File, 20_000));
            assert_eq!(whole(&mut it, &buffer, file.node), contents());
            assert_eq!(it.read(file.node, u64::MAX, place(0, 10)), Ok(0));
        }
    }
}

#[test]
fn names_are_looked_up_one_at_a_time_and_links_are_read() {
    let (mut it, buffer) = client(|_| {});
    let root = it.root().unwrap();
    let programs = it.lookup(root.node, name("programs")).unwrap();
    assert_eq!((programs.kind, programs.mode), (Kind::Directory, 0o755));
    assert_eq!(it.lookup(programs.node, name("..")), Ok(root));
    let again = it.lookup(programs.node, name("again")).unwrap();
    assert_eq!(again.kind, Kind::Symlink);
    assert_eq!(it.read_link(again.node, place(5, 100)), Ok(20));
    assert_eq!(&buffer.0.borrow()[5..25], b"../../programs/hello");
    let file = it.lookup(programs.node, name("hello")).unwrap();
    assert_eq!(it.stat(file.node), Ok(file));
}

#[test]
fn a_directory_is_listed_from_any_entry_on() {
    let (mut it, buffer) = client(|_| {});
    let programs = it.resolve(text("/programs")).unwrap().node;
    let mut list = |cookie, room| {
        let used = it.list(programs, cookie, place(64, room)).unwrap() as usize;
        let bytes = buffer.0.borrow()[64..64 + used].to_vec();
        let (mut rest, mut all) = (&bytes[..], vec![]);
        while let Some((e, after)) = entry::take(rest) {
            all.push((String::from_utf8(e.name.to_vec()).unwrap(), e.kind, e.cookie));
            rest = after;
        }
        all
    };
    let all = list(0, 4096);
    let names: Vec<&str> = all.iter().map(|e| &e.0[..]).collect();
    assert_eq!(names, [".", "..", "again", "hello"]);
    assert_eq!((all[2].1, all[3].1), (Kind::Symlink, Kind::File));
    // Room for one entry and not for two; behind any, and behind the last.
    assert_eq!(list(0, 30), all[..1]);
    (0..4).for_each(|n| assert_eq!(list(all[n].2, 4096), all[n + 1..]));
}

#[test]
fn attributes_are_named_and_read() {
    let (mut it, buffer) = client(|_| {});
    let node = hello(&mut it);
    assert_eq!(it.attribute_names(node, place(0, 100)), Ok(10));
    assert_eq!(&buffer.0.borrow()[..10], b"user.note\0");
    assert_eq!(it.attribute(node, name("user.note"), place(0, 100)), Ok(4));
    assert_eq!(&buffer.0.borrow()[..4], b"text");
    assert_eq!(it.attribute(node, name("user.none"), place(0, 100)), Err(Error::NoAttribute));
    assert_eq!(it.attribute(node, name("user.note"), place(0, 3)), Err(Error::OutOfRange));
}

#[test]
fn one_flipped_bit_in_a_files_data_is_an_error_and_no_data() {
    let data = contents();
    let (mut it, buffer) = client(|bytes| {
        let at = bytes.windows(64).position(|w| w == &data[8192..8256]).unwrap();
        bytes[at] ^= 1;
    });
    let node = hello(&mut it);
    buffer.0.borrow_mut().fill(0xee);
    assert_eq!(it.read(node, 8192, place(0, 4096)), Err(Error::Damaged));
    assert_eq!(it.map(node, 0), Err(Error::Damaged));
    assert!(buffer.0.borrow().iter().all(|&b| b == 0xee));
    assert_eq!(it.read(node, 0, place(0, 4096)), Ok(4096), "what is sound is still served");
}

#[test]
fn a_mapped_page_is_checked_shared_and_zero_behind_the_end() {
    let (mut it, _) = client(|_| {});
    let node = hello(&mut it);
    let one = it.map(node, 0).unwrap();
    assert_eq!((one.first_page, one.pages), (0, 5));
    assert_eq!(it.map(node, 4).unwrap(), one);
    assert_eq!(it.map(node, 5), Err(Error::OutOfRange));
    let tail = it.0.server.cache.borrow_mut().read(
        ((Source::Root, node), 20_480),
        20_000,
        480,
        |_, _| Err(0),
        |_, bytes| {
            assert_eq!(bytes, [0; 480]);
            Ok(())
        },
    );
    assert_eq!(tail, Ok(480));
    it.0.server.cache = cache(0);
    assert_eq!(it.map(node, 0), Err(Error::NoRoom));
}

#[test]
fn refusals_each_by_its_name() {
    let (mut it, _) = client(|_| {});
    let (root, node) = (it.root().unwrap().node, hello(&mut it));
    assert_eq!(it.resolve(text("/nope")), Err(Error::NotFound));
    assert_eq!(it.resolve(text("/programs/hello/x")), Err(Error::NotADirectory));
    assert_eq!(it.lookup(node, name("x")), Err(Error::NotADirectory));
    assert_eq!(it.lookup(root, name("x")), Err(Error::NotFound));
    assert_eq!(it.list(node, 0, place(0, 100)), Err(Error::NotADirectory));
    assert_eq!(it.list(root, 0, place(0, 10)), Err(Error::OutOfRange));
    assert_eq!(it.read(root, 0, place(0, 10)), Err(Error::WrongKind));
    assert_eq!(it.map(root, 0), Err(Error::WrongKind));
    assert_eq!(it.read_link(node, place(0, 10)), Err(Error::WrongKind));
    assert_eq!(it.stat(u64::MAX), Err(Error::BadNode));
    assert_eq!(it.stat(1 << 30), Err(Error::BadNode));
    assert_eq!(it.read(node, 0, place(0, 16 * 1024 + 1)), Err(Error::OutOfRange));
    assert_eq!(it.read(node, 0, place(u32::MAX, u32::MAX)), Err(Error::OutOfRange));
}

#[test]
fn without_a_root_or_a_buffer_everything_says_so() {
    let files: Server = Files::new(None, vec![], cache(0));
    let mut it = api_file::Client(Pair::new(files, Badge(1), api_file::dispatch));
    assert_eq!(it.root(), Err(Error::NotMounted));
    assert_eq!(it.read(1, 0, place(0, 1)), Err(Error::NotMounted));
    let (mut it, _) = client(|_| {});
    let node = hello(&mut it);
    it.0.server.buffers.clear();
    assert_eq!(it.read(node, 0, place(0, 1)), Err(Error::NoBuffer));
}

/// Messages of every label with numbers at random: an answer each time, and the image is served on.
#[test]
fn no_message_stops_the_server() {
    let (mut it, buffer) = client(|_| {});
    let node = hello(&mut it);
    let mut random = 88_172_645_463_325_252u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for n in 0..20_000u32 {
        let mut message = ipc::Message::new(n % (api_file::label::space + 2));
        for _ in 0..next() % 36 {
            let word = next();
            message.put_word([word, word % 8, word % 300, node, (node << 32) | (word % 9000)][(word >> 40) as usize % 5]);
        }
        let _ = api_file::dispatch(&mut it.0.server, Badge(1 + u64::from(n % 2)), &message);
    }
    assert_eq!(whole(&mut it, &buffer, node), contents());
}
