// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directories: blocks of entries, each block with a checksum in a false entry at its end. An entry is inode u32, length of
//! the record u16, length of the name u8, type u8, name. A directory of more than one block has an index (`htree.rs`).

use crate::bytes::{crc32c, part, put, put16, put32, u16_at, u32_at};
use crate::extent::Extent;
use crate::inode::{FLAG_INDEX, Inode, Kind};
use crate::store::{Block, editable, zeroed};
use crate::{BLOCK, Error, Ext4, NAME_MAX, Result};
use alloc::rc::Rc;
use alloc::vec::Vec;
use blocks::BlockWrite;

/// The false entry: inode 0, length 12, no name, type 0xde, checksum.
const TAIL_BYTES: usize = 12;
/// Where entries end.
pub const USABLE: usize = BLOCK - TAIL_BYTES;
const HEADER_BYTES: usize = 8;

/// An entry as a reader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub inode: u32,
    pub kind: Kind,
    pub name: Vec<u8>,
    /// Where a list goes on behind it.
    pub cookie: u64,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub inode: u32,
    /// The directory's own block.
    pub logical: u32,
    pub at: usize,
}

/// A record of a block: offset, inode, length.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub at: usize,
    pub inode: u32,
    pub length: usize,
    pub name_length: usize,
    pub kind: u8,
}

/// The records of a block up to the tail.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Result<Record>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        if at >= USABLE {
            return None;
        }
        let (length, name_length) = (usize::from(u16_at(bytes, at + 4)), usize::from(bytes.get(at + 6).copied().unwrap_or(0)));
        let record = Record { at, inode: u32_at(bytes, at), length, name_length, kind: bytes.get(at + 7).copied().unwrap_or(0) };
        if length < HEADER_BYTES + 4 || !length.is_multiple_of(4) || at + length > USABLE || HEADER_BYTES + name_length > length {
            at = BLOCK;
            return Some(Err(Error::Corrupt("an entry of a directory")));
        }
        at += length;
        Some(Ok(record))
    })
}

pub fn name_of(bytes: &[u8], record: Record) -> &[u8] {
    part(bytes, record.at + HEADER_BYTES, record.name_length)
}
pub fn needed(name_length: usize) -> usize {
    (HEADER_BYTES + name_length).next_multiple_of(4)
}
pub fn put_record(bytes: &mut [u8], at: usize, length: usize, inode: u32, kind: u8, name: &[u8]) {
    put32(bytes, at, inode);
    put16(bytes, at + 4, length as u16);
    put(bytes, at + 6, &[name.len() as u8, kind]);
    put(bytes, at + HEADER_BYTES, name);
}
/// A block without entries.
pub fn empty_block() -> Block {
    let mut bytes = zeroed();
    put_record(&mut bytes, 0, USABLE, 0, 0, b"");
    put_tail(&mut bytes);
    Rc::new(bytes)
}
pub fn put_tail(bytes: &mut [u8]) {
    put(bytes, USABLE, &[0; TAIL_BYTES]);
    put16(bytes, USABLE + 4, TAIL_BYTES as u16);
    put(bytes, USABLE + 7, &[0xde]);
}

/// Puts an entry where there is room; whether there was.
pub fn insert(bytes: &mut [u8], inode: u32, kind: Kind, name: &[u8]) -> Result<bool> {
    let want = needed(name.len());
    let mut place = None;
    for record in records(bytes) {
        let record = record?;
        let used = if record.inode == 0 { 0 } else { needed(record.name_length) };
        if record.length >= used + want {
            place = Some((record, used));
            break;
        }
    }
    let Some((record, used)) = place else { return Ok(false) };
    if used > 0 {
        put16(bytes, record.at + 4, used as u16);
    }
    put_record(bytes, record.at + used, record.length - used, inode, kind as u8, name);
    Ok(true)
}

impl<D: BlockWrite> Ext4<D> {
    pub(crate) fn directory(&mut self, number: u32) -> Result<Inode> {
        let inode = self.inode(number)?;
        if inode.is_directory() { Ok(inode) } else { Err(Error::NotADirectory) }
    }
    pub(crate) fn directory_blocks(&self, inode: &Inode) -> u32 {
        (inode.size() / BLOCK as u64).min(u64::from(u32::MAX)) as u32
    }

    /// A block of entries, or one of the index, which has its checksum elsewhere.
    pub(crate) fn directory_block(&mut self, inode: &Inode, logical: u32) -> Result<(u64, Block)> {
        let block = self.physical(inode, logical)?;
        let seed = inode.seed(&self.layout);
        let check = |bytes: &[u8]| {
            crc32c(seed, part(bytes, 0, USABLE)) == u32_at(bytes, BLOCK - 4) || crate::htree::is_sealed(bytes, seed)
        };
        Ok((block, self.store.read(block, "a block of a directory", check)?))
    }
    pub(crate) fn put_entries(&mut self, inode: &Inode, block: u64, mut bytes: Block) {
        let sum = crc32c(inode.seed(&self.layout), part(&bytes, 0, USABLE));
        put32(editable(&mut bytes), BLOCK - 4, sum);
        self.store.write(block, bytes);
    }

    /// A new block at the end of a directory. The caller puts the inode back.
    pub(crate) fn grow_directory(&mut self, inode: &mut Inode) -> Result<(u32, u64)> {
        let logical = self.directory_blocks(inode);
        let goal = match logical.checked_sub(1) {
            Some(before) => self.physical(inode, before)? + 1,
            None => self.layout.group_start((inode.number - 1) / self.layout.inodes_per_group),
        };
        let (physical, _) = self.allocate_blocks(inode, goal, 1)?;
        self.insert_extent(inode, Extent { logical, length: 1, physical, unwritten: false })?;
        inode.set_size(u64::from(logical + 1) * BLOCK as u64);
        Ok((logical, physical))
    }

    pub(crate) fn find_in(&mut self, inode: &Inode, logical: u32, name: &[u8]) -> Result<Option<Found>> {
        let (_, bytes) = self.directory_block(inode, logical)?;
        for record in records(&bytes) {
            let record = record?;
            if record.inode != 0 && name_of(&bytes, record) == name {
                return Ok(Some(Found { inode: record.inode, logical, at: record.at }));
            }
        }
        Ok(None)
    }

    pub(crate) fn find(&mut self, inode: &Inode, name: &[u8]) -> Result<Option<Found>> {
        if name.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
        let dots = name == b"." || name == b"..";
        if inode.flags() & FLAG_INDEX != 0 && !dots {
            return self.find_indexed(inode, name);
        }
        let count = if dots { 1 } else { self.directory_blocks(inode) };
        for logical in 0..count {
            let found = match dots && inode.flags() & FLAG_INDEX != 0 {
                true => self.find_dots(inode, name)?,
                false => self.find_in(inode, logical, name)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
    /// `.` and `..` stand before the index in its root, at fixed places.
    fn find_dots(&mut self, inode: &Inode, name: &[u8]) -> Result<Option<Found>> {
        let (_, bytes) = self.directory_block(inode, 0)?;
        let at = if name == b"." { 0 } else { 12 };
        Ok(Some(Found { inode: u32_at(&bytes, at), logical: 0, at }))
    }

    /// Adds an entry that is not there. The caller puts the inode back.
    pub(crate) fn add_entry(&mut self, directory: &mut Inode, name: &[u8], inode: u32, kind: Kind) -> Result<()> {
        if directory.flags() & FLAG_INDEX != 0 {
            return self.add_indexed(directory, name, inode, kind);
        }
        let count = self.directory_blocks(directory);
        for logical in 0..count {
            let (block, mut bytes) = self.directory_block(directory, logical)?;
            if insert(editable(&mut bytes), inode, kind, name)? {
                self.put_entries(directory, block, bytes);
                return Ok(());
            }
        }
        if count == 1 {
            self.make_index(directory)?;
            return self.add_indexed(directory, name, inode, kind);
        }
        let (_, block) = self.grow_directory(directory)?;
        let mut bytes = empty_block();
        insert(editable(&mut bytes), inode, kind, name)?;
        self.put_entries(directory, block, bytes);
        Ok(())
    }

    /// Takes an entry out: the record before it takes its room.
    pub(crate) fn remove_entry(&mut self, directory: &Inode, found: Found) -> Result<()> {
        let (block, mut bytes) = self.directory_block(directory, found.logical)?;
        let all: Vec<Record> = records(&bytes).collect::<Result<_>>()?;
        let index = all.iter().position(|r| r.at == found.at).ok_or(Error::Corrupt("an entry that moved"))?;
        let length = all.get(index).map_or(0, |r| r.length);
        let copy = editable(&mut bytes);
        match index.checked_sub(1).and_then(|before| all.get(before)) {
            Some(before) => put16(copy, before.at + 4, (before.length + length) as u16),
            None => put32(copy, found.at, 0),
        }
        self.put_entries(directory, block, bytes);
        Ok(())
    }

    /// Points an entry to another inode.
    pub(crate) fn replace_entry(&mut self, directory: &Inode, found: Found, inode: u32, kind: Kind) -> Result<()> {
        let (block, mut bytes) = self.directory_block(directory, found.logical)?;
        let copy = editable(&mut bytes);
        put32(copy, found.at, inode);
        put(copy, found.at + 7, &[kind as u8]);
        if found.logical == 0 && directory.flags() & FLAG_INDEX != 0 {
            crate::htree::seal(copy, directory.seed(&self.layout));
            self.store.write(block, bytes);
        } else {
            self.put_entries(directory, block, bytes);
        }
        Ok(())
    }

    pub(crate) fn is_empty(&mut self, directory: &Inode) -> Result<bool> {
        for logical in 0..self.directory_blocks(directory) {
            let (_, bytes) = self.directory_block(directory, logical)?;
            if crate::htree::is_node(&bytes, logical, directory) {
                continue;
            }
            for record in records(&bytes) {
                let record = record?;
                if record.inode != 0 && name_of(&bytes, record) != b"." && name_of(&bytes, record) != b".." {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Up to `count` entries from `cookie` (0: the first) on, `.` and `..` among them, and the cookie of the next, or `None` at the
    /// end. Entries that are there all the time are met; one that is moved by a growing index may be met twice.
    pub fn list(&mut self, number: u32, cookie: u64, count: usize) -> Result<(Vec<Entry>, Option<u64>)> {
        let inode = self.directory(number)?;
        let mut out = Vec::new();
        let (first, skip) = (cookie / BLOCK as u64, (cookie % BLOCK as u64) as usize);
        for logical in u32::try_from(first).unwrap_or(u32::MAX)..self.directory_blocks(&inode) {
            let (_, bytes) = self.directory_block(&inode, logical)?;
            let node = crate::htree::is_node(&bytes, logical, &inode);
            if node && logical > 0 {
                continue;
            }
            let dots =
                [0, 12].map(|at| Ok(Record { at, inode: u32_at(&bytes, at), length: 12, name_length: at / 12 + 1, kind: 2 }));
            let all = dots.into_iter().filter(|_| node).chain(records(&bytes).filter(|_| !node));
            for record in all {
                let record = record?;
                if record.inode == 0 || (u64::from(logical) == first && record.at < skip) {
                    continue;
                }
                if out.len() == count {
                    return Ok((out, Some(u64::from(logical) * BLOCK as u64 + record.at as u64)));
                }
                let kind = Kind::of_entry(record.kind).ok_or(Error::Corrupt("the type of an entry"))?;
                let cookie = u64::from(logical) * BLOCK as u64 + record.at as u64 + 1;
                out.push(Entry { inode: record.inode, kind, name: name_of(&bytes, record).to_vec(), cookie });
            }
        }
        Ok((out, None))
    }
}
