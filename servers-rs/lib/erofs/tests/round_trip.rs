// SPDX-License-Identifier: PMPL-1.0-or-later
//! The reader gives back what the writer took, finds every name, and stays inside.

mod common;

use blocks::{BlockRead, Memory, ReadError};
use common::{OPTIONS, Tree, noise, walk};
use erofs::{Contents, Entry, Error, Kind, Plan, PlanError, Reader};
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeMap, convert::Infallible};

fn small() -> Tree {
    Tree::new()
        .with("/etc", Kind::Directory)
        .file("/etc/hostname", b"node")
        .with("/etc/loop", Kind::Symlink { target: "loop".into() })
        .with("/etc/up", Kind::Symlink { target: "../../../../usr/./release".into() })
        .with("/etc/absolute", Kind::Symlink { target: "/usr/release".into() })
        .with("/etc/directory", Kind::Symlink { target: "../usr".into() })
        .with("/usr", Kind::Directory)
        .file("/usr/release", &noise(10_000, 1))
}

#[test]
fn paths_are_found_with_and_without_following_links() {
    let image = small().image();
    let mut reader = Reader::open(Memory(&image)).unwrap();
    let release = reader.find("/usr/release").unwrap();
    for path in ["/etc/up", "/etc/absolute", "/etc/directory/release", "//etc/./directory/../usr/release", "/../usr/release"] {
        assert_eq!(reader.resolve(path), Ok(release.clone()), "{path}");
    }
    assert_eq!(reader.find("/etc/directory/release"), Err(Error::NotADirectory));
    assert_eq!(reader.find("/etc/nothing"), Err(Error::NotFound));
    assert_eq!(reader.find("/etc/hostname/x"), Err(Error::NotADirectory));
    assert_eq!(reader.resolve("/etc/hostname/.."), Err(Error::NotADirectory));
    assert_eq!(reader.resolve("/etc/loop"), Err(Error::Loop));
    assert_eq!(reader.resolve(&"/etc/..".repeat(1000)), Err(Error::Limit));
    assert_eq!(reader.resolve("/"), reader.root());
}

#[test]
fn ranges_are_read_and_end_at_the_end() {
    let image = small().image();
    let mut reader = Reader::open(Memory(&image)).unwrap();
    let (file, content) = (reader.find("/usr/release").unwrap(), noise(10_000, 1));
    for (offset, length) in
        [(0, 10_000), (1, 4096), (4095, 2), (4096, 4096), (8191, 5000), (9999, 1), (9999, 99), (10_000, 5), (u64::MAX, 5)]
    {
        let mut out = vec![0u8; length];
        let read = reader.read(&file, offset, &mut out).unwrap();
        let wanted = content.get((offset as usize).min(content.len())..).unwrap();
        assert_eq!(&out[..read], &wanted[..wanted.len().min(length)], "{length} from {offset}");
    }
    assert_eq!(reader.read_all(&file, 9_999), Err(Error::Limit));
    let directory = reader.find("/usr").unwrap();
    assert_eq!(reader.read(&directory, 0, &mut [0]), Err(Error::IsADirectory));
    assert_eq!(reader.symlink(&file), Err(Error::NotASymlink));
}

#[test]
fn every_name_of_a_large_directory_is_found_and_no_other() {
    let mut tree = Tree::new().with("/many", Kind::Directory);
    let name = |index: usize| format!("{:x}{}", index.wrapping_mul(2_654_435_761) & 0xffff, "n".repeat(index % 60));
    let names: BTreeMap<String, usize> = (0..3000).map(|index| (name(index), index)).collect();
    for (name, index) in &names {
        tree = tree.file(&format!("/many/{name}"), index.to_string().as_bytes());
    }
    let image = tree.image();
    let mut reader = Reader::open(Memory(&image)).unwrap();
    let directory = reader.find("/many").unwrap();
    for (name, index) in &names {
        let file = reader.lookup(&directory, name.as_bytes()).unwrap();
        assert_eq!(reader.read_all(&file, 100).unwrap(), index.to_string().as_bytes());
        for other in [format!("{name}!"), format!("!{name}"), name[..name.len() - 1].to_string() + "\u{7f}"] {
            assert_eq!(reader.lookup(&directory, other.as_bytes()), Err(Error::NotFound));
        }
    }
    let (entries, next) = reader.list(&directory, 0, usize::MAX).unwrap();
    assert_eq!((entries.len(), next), (names.len() + 2, None));
}

/// A file of more than 4 GiB, of which only the last bytes are not zero.
struct Huge(u64);

impl Contents for Huge {
    type Error = Infallible;

    fn read(&mut self, _: usize, offset: u64, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        if offset + out.len() as u64 == self.0 {
            *out.last_mut().unwrap() = 0x77;
        }
        Ok(())
    }
}

/// The image's first and last blocks, with zeros between.
struct Ends {
    blocks: u64,
    kept: BTreeMap<u64, Vec<u8>>,
}

impl BlockRead for Ends {
    fn block_count(&self) -> u64 {
        self.blocks
    }

    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        for (number, block) in (first..).zip(out.chunks_mut(4096)) {
            block.fill(0);
            if let Some(kept) = self.kept.get(&number) {
                block.copy_from_slice(kept);
            }
        }
        Ok(())
    }
}

#[test]
fn files_of_more_than_four_gibibytes_have_64_bit_sizes() {
    let length = (4u64 << 30) + 5001;
    let entries = Tree::new().with("/huge", Kind::File { length_bytes: length }).file("/small", &[0; 10]).entries;
    let plan = Plan::new(&entries, OPTIONS).unwrap();
    let mut image = Ends { blocks: plan.blocks(), kept: BTreeMap::new() };
    let mut at = 0;
    let Ok(()) = plan.write(&mut Huge(length), &mut |bytes| {
        for block in bytes.chunks(4096) {
            if block.iter().any(|byte| *byte != 0) {
                image.kept.insert(at, block.to_vec());
            }
            at += 1;
        }
        Ok(())
    });
    assert_eq!(at, plan.blocks());
    let mut reader = Reader::open(image).unwrap();
    let file = reader.find("/huge").unwrap();
    let mut out = [1u8; 8];
    assert_eq!((file.size, reader.read(&file, length - 5, &mut out).unwrap()), (length, 5));
    assert_eq!(out[..5], [0, 0, 0, 0, 0x77]);
}

fn refusal(tree: &Tree) -> PlanError {
    tree.plan().unwrap_err()
}

#[test]
fn trees_that_cannot_be_are_refused() {
    let (path, file) = (|path: &str| String::from(path), Kind::File { length_bytes: 0 });
    assert_eq!(refusal(&Tree::default()), PlanError::NoRoot);
    assert_eq!(refusal(&Tree::default().with("/", file.clone())), PlanError::NoRoot);
    for bad in ["", "a", "/a/", "//a", "/./a", "/a/..", "/a\0b", &format!("/{}", "n".repeat(256))] {
        assert_eq!(refusal(&Tree::new().with(bad, Kind::Directory)), PlanError::Path { path: path(bad) });
    }
    assert_eq!(refusal(&Tree::new().with("/a", file.clone()).with("/a", Kind::Fifo)), PlanError::Duplicate { path: path("/a") });
    assert_eq!(refusal(&Tree::new().with("/a/b", file.clone())), PlanError::NoParent { path: path("/a/b") });
    assert_eq!(
        refusal(&Tree::new().with("/a", file.clone()).with("/a/b", file.clone())),
        PlanError::NoParent { path: path("/a/b") }
    );
    assert_eq!(
        refusal(&Tree::new().with("/a", file.clone()).but(|entry| entry.mode = 0o10000)),
        PlanError::Mode { path: path("/a"), mode: 0o10000 }
    );
    for target in ["/nothing", "/", "/b"] {
        let tree = Tree::new().with("/a", Kind::Hardlink { target: target.into() }).with("/b", file.clone());
        assert_eq!(refusal(&tree), PlanError::Hardlink { path: path("/a"), target: path(target) });
    }
    for target in ["".into(), "x".repeat(4096), "a\0".into()] {
        assert_eq!(refusal(&Tree::new().with("/a", Kind::Symlink { target })), PlanError::Symlink { path: path("/a") });
    }
    let device = Kind::Char { major: 4096, minor: 0 };
    assert_eq!(refusal(&Tree::new().with("/a", device)), PlanError::Device { path: path("/a"), major: 4096, minor: 0 });
}

#[test]
fn attributes_that_cannot_be_stored_are_refused() {
    let with = |xattrs: Vec<(String, Vec<u8>)>| Tree::new().file("/a", b"").but(|entry| entry.xattrs = xattrs);
    for name in ["system.other", "user.", "name", "system.posix_acl_accessX", &format!("user.{}", "n".repeat(256))] {
        assert!(
            matches!(refusal(&with(vec![(name.into(), vec![])])), PlanError::Xattr { name: found, .. } if found == name),
            "{name}"
        );
    }
    assert!(matches!(refusal(&with(vec![("user.a".into(), vec![0; 65_536])])), PlanError::Xattr { .. }));
    assert!(matches!(refusal(&with(vec![("user.a".into(), vec![]), ("user.a".into(), vec![1])])), PlanError::Xattr { .. }));
    let many = (0..5).map(|index| (format!("user.{index}"), vec![0; 60_000])).collect();
    assert!(matches!(refusal(&with(many)), PlanError::XattrsTooLarge { .. }));
}

#[test]
fn a_changed_superblock_is_refused() {
    let image = small().image();
    let with = |at: usize, value: u8, seal: bool| {
        let mut image = image.clone();
        image[1024 + at] = value;
        if seal {
            // Without the feature there is no checksum, so that the check behind it is reached.
            image[1024 + 8] &= !1;
        }
        Reader::open(Memory(&image)).unwrap_err()
    };
    assert_eq!(with(0, 0, false), Error::NotErofs);
    assert_eq!(with(60, 9, false), Error::Checksum);
    assert!(matches!(with(12, 9, true), Error::Unsupported { .. }));
    assert!(matches!(with(80, 1, true), Error::Unsupported { .. }));
    assert!(matches!(with(90, 1, true), Error::Unsupported { .. }));
    assert!(matches!(with(38, 9, true), Error::Corrupt { .. }));
    assert_eq!(Reader::open(Memory(&[])).unwrap_err(), Error::NotErofs);
    assert_eq!(Reader::open(Memory(&image[..4096])).unwrap_err(), Error::Corrupt { what: "number of blocks", nid: 0 });
}

/// Kinds and contents of up to 40 paths below a few directories.
fn trees() -> impl Strategy<Value = Tree> {
    let leaf = (
        0usize..4,
        "[a-z.é-]{1,12}",
        0usize..6,
        vec(any::<u8>(), 0..6000),
        any::<(u32, u32, u16)>(),
        vec(("user\\.[a-z]{1,8}", vec(any::<u8>(), 0..200)), 0..3),
    );
    vec(leaf, 0..40).prop_map(|leaves| {
        let mut tree = Tree::new().with("/0", Kind::Directory).with("/0/1", Kind::Directory).with("/2", Kind::Directory);
        let mut seen = std::collections::BTreeSet::from(["/0".to_string(), "/0/1".into(), "/2".into()]);
        for (parent, name, kind, content, (uid, gid, mode), xattrs) in leaves {
            let path = format!("{}/{name}", ["", "/0", "/0/1", "/2"][parent]);
            if name == "." || name == ".." || !seen.insert(path.clone()) {
                continue;
            }
            let device = (uid % 4096, gid % (1 << 20));
            let xattrs: BTreeMap<String, Vec<u8>> = xattrs.into_iter().collect();
            tree = match kind {
                0 => tree.with(&path, Kind::Directory),
                1 => tree.with(&path, Kind::Symlink { target: format!("../{name}{}", "t".repeat(content.len() % 4000)) }),
                2 => tree.with(&path, Kind::Char { major: device.0, minor: device.1 }),
                3 => tree.with(&path, Kind::Fifo),
                _ => tree.file(&path, &content),
            };
            let change = |entry: &mut Entry| {
                (entry.uid, entry.gid, entry.mode, entry.xattrs) = (uid, gid, mode & 0o7777, xattrs.into_iter().collect());
            };
            tree = tree.but(change);
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_comes_back(tree in trees()) {
        let image = tree.image();
        let mut wanted: Vec<(Entry, Vec<u8>)> = tree.entries.iter().cloned().zip(tree.contents.iter().cloned()).collect();
        wanted.sort_by(|one, two| one.0.path.cmp(&two.0.path));
        let found: Vec<(Entry, Vec<u8>)> = walk(&image).unwrap().into_iter().map(|(entry, content, _)| (entry, content)).collect();
        prop_assert_eq!(&found, &wanted);
        let mut reader = Reader::open(Memory(&image)).unwrap();
        for (entry, _) in &wanted {
            prop_assert!(reader.find(&entry.path).is_ok());
        }
    }

    #[test]
    fn mutated_images_never_panic(changes in vec((0usize..3 * 4096, any::<u8>()), 1..30), tree in trees()) {
        let mut image = tree.image();
        // The checksum is turned off, so that what lies behind it is reached.
        image[1024 + 8] &= !1;
        for (at, value) in changes {
            let at = at % image.len();
            if !(1024..1040).contains(&at) {
                image[at] = value;
            }
        }
        let _ = walk(&image);
        if let Ok(mut reader) = Reader::open(Memory(&image)) {
            for entry in &tree.entries {
                let _ = reader.resolve(&entry.path);
            }
        }
    }
}
