// SPDX-License-Identifier: PMPL-1.0-or-later
//! The reader. Every number of an image is checked against the image before it is used: a foreign image can make a read
//! fail, never panic, loop or allocate more than a block or two beside what the caller asked for.

mod cache;
mod directory;
mod error;
mod inode;
mod superblock;
mod xattr;

pub use directory::DirEntry;
pub use error::Error;
pub use inode::{FileType, Inode};

use alloc::{string::String, vec, vec::Vec};
use blocks::BlockRead;
use cache::Cache;
use superblock::Superblock;

/// As in Linux (MAXSYMLINKS).
const MAX_SYMLINKS: usize = 40;
/// As in Linux (PATH_MAX), counted over all links that are followed.
const MAX_PATH_BYTES: usize = 4096;

/// An opened image.
#[derive(Debug)]
pub struct Reader<B> {
    blocks: Cache<B>,
    superblock: Superblock,
}

impl<B: BlockRead> Reader<B> {
    /// Reads the superblock: [`Error::NotErofs`], [`Error::Checksum`], [`Error::Unsupported`] for what this reader cannot do.
    pub fn open(device: B) -> Result<Self, Error> {
        let mut blocks = Cache::new(device);
        let superblock = Superblock::read(&mut blocks)?;
        Ok(Self { blocks, superblock })
    }

    /// The device beneath, given back.
    pub fn into_inner(self) -> B {
        self.blocks.into_inner()
    }

    /// UUID of the image, in the order of its text form.
    pub fn uuid(&self) -> [u8; 16] {
        self.superblock.uuid
    }

    /// Blocks of the image.
    pub fn block_count(&self) -> u64 {
        self.superblock.blocks
    }

    /// The root directory.
    pub fn root(&mut self) -> Result<Inode, Error> {
        let root = self.inode(self.superblock.root_nid)?;
        if root.is_directory() { Ok(root) } else { Err(Error::Corrupt { what: "root directory", nid: root.nid }) }
    }

    /// The inode with this number, as directory entries and [`Inode::nid`] name it.
    pub fn inode(&mut self, nid: u64) -> Result<Inode, Error> {
        inode::read(&mut self.blocks, &self.superblock, nid)
    }

    /// What is at an absolute path. Symbolic links are not followed, neither on the way nor at the end.
    pub fn find(&mut self, path: &str) -> Result<Inode, Error> {
        let mut at = self.root()?;
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            at = self.lookup(&at, name.as_bytes())?;
        }
        Ok(at)
    }

    /// What is at an absolute path, every symbolic link followed. No link and no `..` leads out of the root.
    pub fn resolve(&mut self, path: &str) -> Result<Inode, Error> {
        let root = self.root()?;
        // Ancestors of where we are, so that `..` needs no trust in the image.
        let mut way: Vec<Inode> = vec![root.clone()];
        let mut pending: Vec<String> = Vec::new();
        let (mut links, mut bytes) = (0, path.len());
        push_path(&mut pending, path);
        while let Some(name) = pending.pop() {
            if bytes > MAX_PATH_BYTES {
                return Err(Error::Limit);
            }
            if name == ".." {
                if !way.last().unwrap_or(&root).is_directory() {
                    return Err(Error::NotADirectory);
                }
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            let here = way.last().unwrap_or(&root).clone();
            let next = self.lookup(&here, name.as_bytes())?;
            if next.file_type() != FileType::Symlink {
                way.push(next);
                continue;
            }
            links += 1;
            if links > MAX_SYMLINKS {
                return Err(Error::Loop);
            }
            let target = self.symlink(&next)?;
            bytes += target.len();
            if target.starts_with('/') {
                way.truncate(1);
            }
            push_path(&mut pending, &target);
        }
        Ok(way.pop().unwrap_or(root))
    }

    /// Where a symbolic link leads. [`Error::Corrupt`] if that is no text or longer than 4095 bytes.
    pub fn symlink(&mut self, link: &Inode) -> Result<String, Error> {
        let corrupt = Error::Corrupt { what: "symbolic link", nid: link.nid };
        if link.file_type() != FileType::Symlink {
            return Err(Error::NotASymlink);
        }
        if link.size == 0 || link.size >= MAX_PATH_BYTES as u64 {
            return Err(corrupt);
        }
        let mut bytes = vec![0u8; link.size as usize];
        self.read_exact(link, 0, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| corrupt)
    }

    /// Reads a file from byte `offset` on and returns how many bytes were read: fewer than asked for only at its end.
    pub fn read(&mut self, file: &Inode, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        match file.file_type() {
            FileType::File => {}
            FileType::Directory => return Err(Error::IsADirectory),
            _ => return Err(Error::NotAFile),
        }
        let left = file.size.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        self.read_exact(file, offset, out.get_mut(..length).unwrap_or_default())?;
        Ok(length)
    }

    /// A whole file of at most `limit_bytes`; [`Error::Limit`] if it is longer.
    pub fn read_all(&mut self, file: &Inode, limit_bytes: usize) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(file.size).ok().filter(|length| *length <= limit_bytes).ok_or(Error::Limit)?;
        let mut bytes = vec![0u8; length];
        self.read(file, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Extended attributes, full name and value, in the order of the image.
    pub fn xattrs(&mut self, of: &Inode) -> Result<Vec<(String, Vec<u8>)>, Error> {
        xattr::read(&mut self.blocks, &self.superblock, of)
    }

    /// Contents within the inode's size, wherever they lie.
    fn read_exact(&mut self, of: &Inode, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        if out.is_empty() {
            return Ok(());
        }
        let place = of.contents_at.and_then(|start| start.checked_add(offset));
        let place = place.ok_or(Error::Corrupt { what: "contents", nid: of.nid })?;
        // An inline tail begins behind the whole blocks, somewhere else.
        match of.tail {
            Some((tail_offset, tail_at)) if offset + out.len() as u64 > tail_offset => {
                let split = usize::try_from(tail_offset.saturating_sub(offset)).unwrap_or(0).min(out.len());
                let (front, back) = out.split_at_mut(split);
                if !front.is_empty() {
                    self.blocks.read(place, front)?;
                }
                self.blocks.read(tail_at + (offset + split as u64 - tail_offset), back)
            }
            _ => self.blocks.read(place, out),
        }
    }
}

/// Puts the components of a path on the stack, the first one on top.
fn push_path(pending: &mut Vec<String>, path: &str) {
    pending.extend(path.split('/').rev().filter(|name| !name.is_empty() && *name != ".").map(String::from));
}
