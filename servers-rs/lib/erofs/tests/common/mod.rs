// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the tests share: trees in memory, images made of them, and stock tools.
#![allow(dead_code)]

use blocks::Memory;
use erofs::{Contents, Entry, Error, FileType, Kind, Options, Plan, PlanError, Reader};
use std::{convert::Infallible, path::PathBuf, process::Command};

pub const OPTIONS: Options =
    Options { uuid: [0x11; 16], epoch_s: 1_700_000_000, epoch_ns: 123_456_789, volume_name: *b"test\0\0\0\0\0\0\0\0\0\0\0\0" };

/// A tree with its files' contents.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub entries: Vec<Entry>,
    pub contents: Vec<Vec<u8>>,
}

impl Tree {
    pub fn new() -> Self {
        Self::default().with("/", Kind::Directory)
    }

    pub fn with(mut self, path: &str, kind: Kind) -> Self {
        self.entries.push(Entry { path: path.into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: vec![] });
        self.contents.push(vec![]);
        self
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        let mut tree = self.with(path, Kind::File { length_bytes: content.len() as u64 });
        *tree.contents.last_mut().unwrap() = content.to_vec();
        tree
    }

    /// Changes the entry that was added last.
    pub fn but(mut self, change: impl FnOnce(&mut Entry)) -> Self {
        change(self.entries.last_mut().unwrap());
        self
    }

    pub fn plan(&self) -> Result<Plan, PlanError> {
        Plan::new(&self.entries, OPTIONS)
    }

    pub fn image(&self) -> Vec<u8> {
        let plan = self.plan().unwrap();
        let mut image = Vec::new();
        let Ok(()) = plan.write(&mut InMemory(&self.contents), &mut |bytes| {
            assert_eq!(bytes.len() % 4096, 0);
            image.extend_from_slice(bytes);
            Ok(())
        });
        assert_eq!(image.len() as u64, plan.blocks() * 4096);
        image
    }
}

struct InMemory<'a>(&'a [Vec<u8>]);

impl Contents for InMemory<'_> {
    type Error = Infallible;

    fn read(&mut self, entry: usize, offset: u64, out: &mut [u8]) -> Result<(), Infallible> {
        let start = offset as usize;
        out.copy_from_slice(&self.0[entry][start..start + out.len()]);
        Ok(())
    }
}

/// Bytes that compress badly and differ by seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

/// Everything below a path, by way of the reader: path, and what a tree's entry would say, and contents.
pub fn walk(image: &[u8]) -> Result<Vec<(Entry, Vec<u8>, u64)>, Error> {
    let mut reader = Reader::open(Memory(image))?;
    let root = reader.root()?;
    let mut found = Vec::new();
    let mut pending = vec![(String::from("/"), root)];
    while let Some((path, inode)) = pending.pop() {
        // A hostile image may hold itself; no tree of the tests is as large as this.
        if path.len() > 2000 || found.len() > 20_000 {
            return Err(Error::Limit);
        }
        let (major, minor) = inode.device().unwrap_or_default();
        let mut content = Vec::new();
        let kind = match inode.file_type() {
            FileType::Directory => {
                let mut cookie = Some(0);
                while let Some(at) = cookie {
                    let (entries, next) = reader.list(&inode, at, 7)?;
                    for entry in entries.into_iter().filter(|entry| entry.name != b"." && entry.name != b"..") {
                        let name = String::from_utf8_lossy(&entry.name).into_owned();
                        let child = reader.inode(entry.nid)?;
                        pending.push((if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }, child));
                    }
                    cookie = next;
                }
                Kind::Directory
            }
            FileType::File => {
                content = reader.read_all(&inode, 64 << 20)?;
                Kind::File { length_bytes: inode.size }
            }
            FileType::Symlink => Kind::Symlink { target: reader.symlink(&inode)? },
            FileType::Char => Kind::Char { major, minor },
            FileType::Block => Kind::Block { major, minor },
            _ => Kind::Fifo,
        };
        let mut xattrs = reader.xattrs(&inode)?;
        xattrs.sort();
        let entry = Entry { path, kind, mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid, xattrs };
        found.push((entry, content, inode.nid));
    }
    found.sort_by(|one, two| one.0.path.cmp(&two.0.path));
    Ok(found)
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .output()
        .unwrap_or_else(|error| panic!("{program} (package erofs-utils): {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// A fresh folder of this test's own.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("flatracoon-erofs-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
