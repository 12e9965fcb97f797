// SPDX-License-Identifier: PMPL-1.0-or-later
//! Walks an EROFS image and describes it: the reverse of a build.

use crate::fault::Fault;
use blocks::BlockRead;
use erofs::{Contents, DirEntry, Entry, FileType, Inode, Kind, Reader};
use std::collections::BTreeMap;

/// A described tree never goes deeper; an image that does is damaged or hostile.
const MAX_DEPTH: usize = 64;
const MAX_ENTRIES: usize = 1 << 20;

/// Entries sorted by path, each with its inode.
pub fn walk<B: BlockRead>(reader: &mut Reader<B>) -> Result<Vec<(Entry, Inode)>, Fault> {
    let mut found = Vec::new();
    let root = reader.root().map_err(contents)?;
    let mut pending = vec![(String::from("/"), root, 0)];
    while let Some((path, inode, depth)) = pending.pop() {
        if depth > MAX_DEPTH || found.len() > MAX_ENTRIES {
            return Err(Fault::input(
                "contents/limit",
                format!("{path}: the tree is deeper than {MAX_DEPTH} or has too many entries"),
            ));
        }
        if inode.is_directory() {
            for DirEntry { name, nid, .. } in names(reader, &inode)? {
                let name =
                    String::from_utf8(name).map_err(|_| Fault::input("contents/name", format!("{path}: a name is no UTF-8")))?;
                let child = if path == "/" { format!("/{name}") } else { format!("{path}/{name}") };
                pending.push((child, reader.inode(nid).map_err(contents)?, depth + 1));
            }
        }
        found.push((describe(reader, path, &inode)?, inode));
    }
    found.sort_by(|one, two| one.0.path.cmp(&two.0.path));
    mark_hardlinks(&mut found);
    Ok(found)
}

fn names<B: BlockRead>(reader: &mut Reader<B>, directory: &Inode) -> Result<Vec<DirEntry>, Fault> {
    let (names, _) = reader.list(directory, 0, MAX_ENTRIES).map_err(contents)?;
    Ok(names.into_iter().filter(|entry| entry.name != b"." && entry.name != b"..").collect())
}

fn describe<B: BlockRead>(reader: &mut Reader<B>, path: String, inode: &Inode) -> Result<Entry, Fault> {
    let (major, minor) = inode.device().unwrap_or_default();
    let kind = match inode.file_type() {
        FileType::Directory => Kind::Directory,
        FileType::File => Kind::File { length_bytes: inode.size },
        FileType::Symlink => Kind::Symlink { target: reader.symlink(inode).map_err(contents)? },
        FileType::Char => Kind::Char { major, minor },
        FileType::Block => Kind::Block { major, minor },
        FileType::Fifo => Kind::Fifo,
        other => {
            return Err(Fault::input("contents/kind", format!("{path}: {other:?} is nothing that a tree can hold")));
        }
    };
    let xattrs = reader.xattrs(inode).map_err(contents)?;
    Ok(Entry { path, kind, mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid, xattrs })
}

/// The first path of an inode is the file, all later ones are links to it.
fn mark_hardlinks(found: &mut [(Entry, Inode)]) {
    let mut first: BTreeMap<u64, String> = BTreeMap::new();
    for (entry, inode) in found.iter_mut().filter(|(_, inode)| !inode.is_directory()) {
        match first.get(&inode.nid) {
            Some(target) => {
                let kind = Kind::Hardlink { target: target.clone() };
                *entry = Entry { path: entry.path.clone(), kind, mode: 0, uid: 0, gid: 0, xattrs: Vec::new() };
            }
            None => {
                first.insert(inode.nid, entry.path.clone());
            }
        }
    }
}

pub fn contents(error: erofs::Error) -> Fault {
    Fault::input("contents/unreadable", error.to_string())
}

/// The contents of a walked image, as a builder reads them.
pub struct ImageContents<'a, B> {
    pub reader: &'a mut Reader<B>,
    pub inodes: &'a [Inode],
}

impl<B: BlockRead> Contents for ImageContents<'_, B> {
    type Error = Fault;

    fn read(&mut self, entry: usize, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        let inode = self.inodes.get(entry).ok_or_else(|| Fault::ours("contents/entry", format!("there is no entry {entry}")))?;
        match self.reader.read(inode, offset, out).map_err(contents)? {
            length if length == out.len() => Ok(()),
            length => Err(Fault::input("contents/short", format!("inode {} ends {} bytes early", inode.nid, out.len() - length))),
        }
    }
}
