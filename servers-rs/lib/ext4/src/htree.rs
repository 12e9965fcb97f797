// SPDX-License-Identifier: PMPL-1.0-or-later
//! The index of a directory: a tree of hashes of one or two levels over its blocks of entries. Its root is block 0, after `.` and
//! `..`; other nodes look like one empty entry. `Documentation/filesystems/ext4/directory.rst`.
//!
//! An entry of a node says: names from this hash on stand in that block. Its lowest bit is set if names of the same hash
//! stand in the block before, too. The first entry has no hash; its place holds limit and count.

use crate::bytes::{crc32c, part, put16, put32, u16_at, u32_at};
use crate::directory::{self, Found, Record, USABLE, insert, name_of, needed, put_record, put_tail, records};
use crate::hash::{HALF_MD4, hash};
use crate::inode::{FLAG_INDEX, Inode, Kind};
use crate::store::{Block, editable, zeroed};
use crate::{BLOCK, Error, Ext4, Result};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use blocks::BlockWrite;

/// Where the entries of the root and of another node begin.
const ROOT_AT: usize = 32;
const NODE_AT: usize = 8;
const ENTRY_BYTES: usize = 8;
const TAIL_BYTES: usize = 8;

fn limit(at: usize) -> usize {
    (BLOCK - at - TAIL_BYTES) / ENTRY_BYTES
}

/// Where the entries of a node begin, if the block is one: by the lengths of its false entries.
fn entries_at(bytes: &[u8]) -> Option<usize> {
    if u32_at(bytes, 0) == 0 && usize::from(u16_at(bytes, 4)) == BLOCK {
        return Some(NODE_AT);
    }
    (u16_at(bytes, 4) == 12 && usize::from(u16_at(bytes, 16)) == BLOCK - 12).then_some(ROOT_AT)
}
pub fn is_node(bytes: &[u8], logical: u32, inode: &Inode) -> bool {
    let want = if logical == 0 { ROOT_AT } else { NODE_AT };
    inode.flags() & FLAG_INDEX != 0 && entries_at(bytes) == Some(want)
}

fn checksum(bytes: &[u8], seed: u32) -> Option<(usize, u32)> {
    let at = entries_at(bytes)?;
    let (limit, count) = (usize::from(u16_at(bytes, at)), usize::from(u16_at(bytes, at + 2)));
    let tail = at + limit * ENTRY_BYTES;
    if count > limit || tail + TAIL_BYTES > BLOCK {
        return None;
    }
    let crc = crc32c(seed, part(bytes, 0, at + count * ENTRY_BYTES));
    Some((tail + 4, crc32c(crc32c(crc, part(bytes, tail, 4)), &[0; 4])))
}
pub fn is_sealed(bytes: &[u8], seed: u32) -> bool {
    checksum(bytes, seed).is_some_and(|(at, sum)| u32_at(bytes, at) == sum)
}
pub fn seal(bytes: &mut [u8], seed: u32) {
    if let Some((at, sum)) = checksum(bytes, seed) {
        put32(bytes, at, sum);
    }
}

/// A node on the way to a leaf, and which of its entries leads there.
#[derive(Debug)]
struct Frame {
    block: u64,
    at: usize,
    entries: Vec<(u32, u32)>,
    chosen: usize,
}

impl Frame {
    fn is_full(&self) -> bool {
        self.entries.len() >= limit(self.at)
    }
    fn leaf(&self) -> Result<u32> {
        self.entries.get(self.chosen).map(|e| e.1).ok_or(Error::Corrupt("an index of a directory"))
    }
}

fn parse(bytes: &[u8], at: usize, hash: u32) -> Result<(Vec<(u32, u32)>, usize)> {
    let (limit_said, count) = (usize::from(u16_at(bytes, at)), usize::from(u16_at(bytes, at + 2)));
    if limit_said != limit(at) || count == 0 || count > limit_said {
        return Err(Error::Corrupt("an index of a directory"));
    }
    let entry =
        |n: usize| (if n == 0 { 0 } else { u32_at(bytes, at + n * ENTRY_BYTES) }, u32_at(bytes, at + n * ENTRY_BYTES + 4));
    let entries: Vec<(u32, u32)> = (0..count).map(entry).collect();
    // The bit of a continued hash does not move its place: a name of that hash is looked for in the block before first.
    let chosen = entries.iter().skip(1).take_while(|e| e.0 <= hash).count();
    Ok((entries, chosen))
}

fn put_entries(bytes: &mut [u8], at: usize, entries: &[(u32, u32)]) {
    for (index, (hash, block)) in entries.iter().enumerate() {
        put32(bytes, at + index * ENTRY_BYTES, *hash);
        put32(bytes, at + index * ENTRY_BYTES + 4, *block);
    }
    put16(bytes, at, limit(at) as u16);
    put16(bytes, at + 2, entries.len() as u16);
}

impl<D: BlockWrite> Ext4<D> {
    /// Nodes from the root to the one above the leaf of `hash`.
    fn probe(&mut self, inode: &Inode, hash: u32) -> Result<Vec<Frame>> {
        let (block, bytes) = self.directory_block(inode, 0)?;
        let levels = bytes.get(30).copied().unwrap_or(9);
        if bytes.get(28) != Some(&HALF_MD4) || levels > 1 {
            return Err(Error::Unsupported("a directory index of another hash or depth"));
        }
        let (entries, chosen) = parse(&bytes, ROOT_AT, hash)?;
        let mut frames = vec![Frame { block, at: ROOT_AT, entries, chosen }];
        if levels == 1 {
            let below = frames.first().map_or(Ok(0), Frame::leaf)?;
            let (block, bytes) = self.directory_block(inode, below)?;
            let (entries, chosen) = parse(&bytes, NODE_AT, hash)?;
            frames.push(Frame { block, at: NODE_AT, entries, chosen });
        }
        Ok(frames)
    }
    /// Goes on to the next leaf if names of `hash` go on there.
    fn next_leaf(&mut self, inode: &Inode, frames: &mut Vec<Frame>, hash: u32) -> Result<bool> {
        let mut depth = frames.len();
        while depth > 0 {
            depth -= 1;
            let Some(frame) = frames.get_mut(depth) else { break };
            let Some(next) = frame.entries.get(frame.chosen + 1) else { continue };
            if next.0 != hash | 1 {
                return Ok(false);
            }
            frame.chosen += 1;
            let below = next.1;
            if depth + 1 < frames.len() {
                let (block, bytes) = self.directory_block(inode, below)?;
                let (entries, _) = parse(&bytes, NODE_AT, 0)?;
                frames.truncate(depth + 1);
                frames.push(Frame { block, at: NODE_AT, entries, chosen: 0 });
            }
            return Ok(true);
        }
        Ok(false)
    }

    pub(crate) fn find_indexed(&mut self, inode: &Inode, name: &[u8]) -> Result<Option<Found>> {
        let hash = hash(&self.layout, name);
        let mut frames = self.probe(inode, hash)?;
        loop {
            let leaf = frames.last().map_or(Ok(0), Frame::leaf)?;
            if let Some(found) = self.find_in(inode, leaf, name)? {
                return Ok(Some(found));
            }
            if !self.next_leaf(inode, &mut frames, hash)? {
                return Ok(None);
            }
        }
    }

    pub(crate) fn add_indexed(&mut self, directory: &mut Inode, name: &[u8], inode: u32, kind: Kind) -> Result<()> {
        let hash = hash(&self.layout, name);
        // A split of the leaf, of its node, and a new level: then there is room, or never.
        for _ in 0..4 {
            let mut frames = self.probe(directory, hash)?;
            let frame = frames.pop().ok_or(Error::Corrupt("an index of a directory"))?;
            let leaf = frame.leaf()?;
            let (block, mut bytes) = self.directory_block(directory, leaf)?;
            if insert(editable(&mut bytes), inode, kind, name)? {
                self.put_entries(directory, block, bytes);
                return Ok(());
            }
            if !frame.is_full() {
                self.split_leaf(directory, frame, block, &bytes)?;
            } else if let Some(root) = frames.pop() {
                self.split_node(directory, root, frame)?;
            } else {
                self.add_level(directory, frame)?;
            }
        }
        Err(Error::NoSpace)
    }

    fn put_frame(&mut self, directory: &Inode, block: u64, at: usize, entries: &[(u32, u32)]) -> Result<()> {
        let mut bytes = if at == NODE_AT {
            let mut bytes = zeroed();
            put16(&mut bytes, 4, BLOCK as u16);
            Rc::new(bytes)
        } else {
            self.directory_block(directory, 0)?.1
        };
        let copy = editable(&mut bytes);
        put_entries(copy, at, entries);
        seal(copy, directory.seed(&self.layout));
        self.store.write(block, bytes);
        Ok(())
    }

    /// Moves the upper half of a leaf's hashes to a new block.
    fn split_leaf(&mut self, directory: &mut Inode, mut frame: Frame, block: u64, bytes: &Block) -> Result<()> {
        let mut all: Vec<(u32, Record)> = Vec::new();
        for record in records(bytes) {
            let record = record?;
            if record.inode != 0 {
                all.push((hash(&self.layout, name_of(bytes, record)), record));
            }
        }
        all.sort_by_key(|(hash, _)| *hash);
        let total: usize = all.iter().map(|(_, r)| needed(r.name_length)).sum();
        let mut used = 0;
        let half = all.iter().take_while(|(_, r)| {
            used += needed(r.name_length);
            used <= total / 2
        });
        let half = half.count().max(1);
        let (left, right) = all.split_at_checked(half).ok_or(Error::Corrupt("a block of a directory"))?;
        let (Some(last), Some(first)) = (left.last(), right.first()) else { return Err(Error::NoSpace) };
        let split = first.0 | u32::from(first.0 == last.0);
        let (logical, new) = self.grow_directory(directory)?;
        self.put_entries(directory, new, packed(bytes, right));
        self.put_entries(directory, block, packed(bytes, left));
        frame.entries.insert(frame.chosen + 1, (split, logical));
        self.put_frame(directory, frame.block, frame.at, &frame.entries)
    }

    /// Moves the upper half of a node of the second level to a new one.
    fn split_node(&mut self, directory: &mut Inode, mut root: Frame, mut node: Frame) -> Result<()> {
        if root.is_full() {
            return Err(Error::NoSpace);
        }
        let (logical, new) = self.grow_directory(directory)?;
        let right = node.entries.split_off(node.entries.len() / 2);
        let first = right.first().map_or(0, |e| e.0);
        self.put_frame(directory, new, NODE_AT, &right)?;
        self.put_frame(directory, node.block, NODE_AT, &node.entries)?;
        root.entries.insert(root.chosen + 1, (first, logical));
        self.put_frame(directory, root.block, ROOT_AT, &root.entries)
    }

    /// Puts a second level below the root.
    fn add_level(&mut self, directory: &mut Inode, root: Frame) -> Result<()> {
        let (logical, new) = self.grow_directory(directory)?;
        self.put_frame(directory, new, NODE_AT, &root.entries)?;
        let (_, mut bytes) = self.directory_block(directory, 0)?;
        crate::bytes::put(editable(&mut bytes), 30, &[1]);
        self.store.write(root.block, bytes);
        self.put_frame(directory, root.block, ROOT_AT, &[(0, logical)])
    }

    /// Turns a directory of one full block into one with an index over one leaf.
    pub(crate) fn make_index(&mut self, directory: &mut Inode) -> Result<()> {
        let (root, bytes) = self.directory_block(directory, 0)?;
        let mut entries = Vec::new();
        for record in records(&bytes) {
            entries.push((0, record?));
        }
        let mut dots = [0u32; 2];
        for (name, inode) in [&b"."[..], b".."].into_iter().zip(&mut dots) {
            let found = entries.iter().find(|(_, r)| name_of(&bytes, *r) == name);
            *inode = found.ok_or(Error::Corrupt("a directory without dots"))?.1.inode;
        }
        entries.retain(|(_, r)| r.inode != 0 && name_of(&bytes, *r) != b"." && name_of(&bytes, *r) != b"..");
        let (leaf, block) = self.grow_directory(directory)?;
        self.put_entries(directory, block, packed(&bytes, &entries));
        let mut top = zeroed();
        put_record(&mut top, 0, 12, dots[0], Kind::Directory as u8, b".");
        put_record(&mut top, 12, BLOCK - 12, dots[1], Kind::Directory as u8, b"..");
        crate::bytes::put(&mut top, 28, &[HALF_MD4, 8, 0, 0]);
        put_entries(&mut top, ROOT_AT, &[(0, leaf)]);
        seal(&mut top, directory.seed(&self.layout));
        self.store.write(root, Rc::new(top));
        directory.set_flags(directory.flags() | FLAG_INDEX);
        Ok(())
    }
}

/// A block with these entries of `from` and no gaps.
fn packed(from: &[u8], entries: &[(u32, Record)]) -> Block {
    if entries.is_empty() {
        return directory::empty_block();
    }
    let (mut bytes, mut at) = (zeroed(), 0);
    for (index, (_, record)) in entries.iter().enumerate() {
        let last = index + 1 == entries.len();
        let length = if last { USABLE - at } else { needed(record.name_length) };
        put_record(&mut bytes, at, length, record.inode, record.kind, name_of(from, *record));
        at += length;
    }
    put_tail(&mut bytes);
    Rc::new(bytes)
}
