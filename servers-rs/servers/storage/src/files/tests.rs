// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small tree, its image with a real hash tree, and a client through the same messages as on a node.

use super::*;
use api_file::label;
use blocks::{BLOCK_BYTES, Memory as Bytes};
use erofs::{Entry, Kind, Options, Plan};
use ipc::pair::Pair;
use ipc::{Message, Transport, Wire};
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

type Server = Files<Verified<Bytes<'static>>, Fake>;

fn contents() -> Vec<u8> {
    (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

struct Source;
impl erofs::Contents for Source {
    type Error = ();
    fn read(&mut self, _: usize, offset: u64, out: &mut [u8]) -> Result<(), ()> {
        out.copy_from_slice(&contents()[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
}

/// The image, then an empty superblock block, then the tree; with the digest.
fn slot() -> (Vec<u8>, u64, [u8; 32]) {
    let entry = |path: &str, kind| Entry { path: path.into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: vec![] };
    let entries = [
        entry("/", Kind::Directory),
        entry("/programs", Kind::Directory),
        entry("/programs/hello", Kind::File { length_bytes: 20_000 }),
        entry("/programs/again", Kind::Symlink { target: "../../programs/hello".into() }),
    ];
    let options = Options { uuid: [1; 16], epoch_s: 0, epoch_ns: 0, volume_name: [0; 16] };
    let plan = Plan::new(&entries, options).unwrap();
    let mut image = Vec::new();
    plan.write(&mut Source, &mut |bytes| {
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
    let files = Files::new(Reader::open(verified).ok(), vec![(1, buffer.clone())]);
    (api_file::Client(Pair::new(files, Badge(1), api_file::dispatch)), buffer)
}
fn text(path: &str) -> Text {
    Text::new(path).unwrap()
}

#[test]
fn a_file_is_read_whole_through_the_buffer_also_by_a_link() {
    let (mut it, buffer) = client(|_| {});
    for path in ["/programs/hello", "/programs/again", "programs//./hello", "/../programs/hello"] {
        let (file, size) = it.open(text(path)).unwrap();
        assert_eq!(size, 20_000);
        let mut found: Vec<u8> = Vec::new();
        while (found.len() as u64) < size {
            let got = it.read(file, found.len() as u64, 8000, 100).unwrap() as usize;
            found.extend(&buffer.0.borrow()[100..100 + got]);
        }
        assert_eq!(found, contents());
        assert_eq!(it.read(file, size, 10, 0), Ok(0));
        it.close(file).unwrap();
        assert_eq!(it.read(file, 0, 10, 0), Err(Error::BadFile));
    }
}

#[test]
fn a_directory_is_listed_and_described() {
    let (mut it, buffer) = client(|_| {});
    let (used, next) = it.list(text("/programs"), 0).unwrap();
    assert_eq!(next, 0);
    let bytes = buffer.0.borrow()[..used as usize].to_vec();
    let (mut rest, mut names) = (&bytes[..], vec![]);
    while let Some((kind, name, after)) = entry::take(rest) {
        names.push((String::from_utf8(name.to_vec()).unwrap(), kind));
        rest = after;
    }
    assert!(names.contains(&("hello".into(), FileKind::File)), "{names:?}");
    assert!(names.contains(&("again".into(), FileKind::Symlink)), "{names:?}");
    let stat = it.stat(text("/programs")).unwrap();
    assert_eq!((stat.kind, stat.mode), (FileKind::Directory, 0o755));
}

#[test]
fn one_flipped_bit_in_a_files_data_is_an_error_and_no_data() {
    let data = contents();
    let (mut it, buffer) = client(|bytes| {
        let at = bytes.windows(64).position(|w| w == &data[8192..8256]).unwrap();
        bytes[at] ^= 1;
    });
    let (file, _) = it.open(text("/programs/hello")).unwrap();
    buffer.0.borrow_mut().fill(0xee);
    assert_eq!(it.read(file, 8192, 4096, 0), Err(Error::Damaged));
    assert!(buffer.0.borrow().iter().all(|&b| b == 0xee));
    assert_eq!(it.read(file, 0, 4096, 0), Ok(4096), "what is sound is still served");
}

#[test]
fn refusals_each_by_its_name() {
    let (mut it, _) = client(|_| {});
    assert_eq!(it.open(text("/nope")), Err(Error::NotFound));
    assert_eq!(it.open(text("/programs")), Err(Error::WrongKind));
    assert_eq!(it.open(text("/programs/hello/x")), Err(Error::NotADirectory));
    assert_eq!(it.list(text("/programs/hello"), 0), Err(Error::NotADirectory));
    assert_eq!(it.close(7), Err(Error::BadFile));
    let (file, _) = it.open(text("/programs/hello")).unwrap();
    assert_eq!(it.read(file, 0, 16 * 1024 + 1, 0), Err(Error::OutOfRange));
    assert_eq!(it.read(file, 0, u32::MAX, u32::MAX), Err(Error::OutOfRange));
    for _ in 1..MAX_OPEN {
        it.open(text("/programs/hello")).unwrap();
    }
    assert_eq!(it.open(text("/programs/hello")), Err(Error::TooManyOpen));
    // Another client's number is no number of this one's.
    let mut request = Message::new(label::close);
    file.put(&mut request);
    let reply = api_file::dispatch(&mut it.0.server, Badge(2), &request);
    assert_eq!(reply.label, Error::BadFile as u32);
    assert_eq!(it.0.call(&request).unwrap().label, 0);
}

#[test]
fn without_a_root_everything_says_so() {
    let files: Server = Files::new(None, vec![]);
    let mut it = api_file::Client(Pair::new(files, Badge(1), api_file::dispatch));
    assert_eq!(it.open(text("/programs/hello")), Err(Error::NotMounted));
    assert_eq!(it.stat(text("/")), Err(Error::NotMounted));
}
