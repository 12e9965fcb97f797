// SPDX-License-Identifier: PMPL-1.0-or-later
//! Extent trees: which blocks of the device hold which blocks of a file. The root is in the inode; a block of the tree ends
//! with a checksum. `Documentation/filesystems/ext4/ifork.rst`.

use crate::bytes::{crc32c, part, put, put16, put32, u16_at, u32_at};
use crate::inode::{I_BLOCK, I_BLOCK_BYTES, Inode};
use crate::store::zeroed;
use crate::{BLOCK, Error, Ext4, Result};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use blocks::BlockWrite;

const MAGIC: u16 = 0xf30a;
const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 12;
const ROOT_MAX: usize = (I_BLOCK_BYTES - HEADER_BYTES) / ENTRY_BYTES;
const BLOCK_MAX: usize = (BLOCK - HEADER_BYTES - 4) / ENTRY_BYTES;
/// Deeper trees do not exist in Linux either.
const DEPTH_MAX: u16 = 5;
/// Longest extents: the top bit of the length says that it is unwritten.
const WRITTEN_MAX: u32 = 0x8000;
const UNWRITTEN_MAX: u32 = 0x7fff;

/// Blocks `logical..logical + length` of a file. In an index: the child, and `length` is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pub logical: u32,
    pub length: u32,
    pub physical: u64,
    /// Allocated, reads as zeros.
    pub unwritten: bool,
}

impl Extent {
    fn end(&self) -> u64 {
        u64::from(self.logical) + u64::from(self.length)
    }
    /// The part from `logical` on.
    fn from(self, logical: u64) -> Extent {
        let skip = logical.saturating_sub(u64::from(self.logical)).min(u64::from(self.length)) as u32;
        Extent {
            logical: self.logical.wrapping_add(skip),
            length: self.length - skip,
            physical: self.physical + u64::from(skip),
            ..self
        }
    }
    fn to(self, logical: u64) -> Extent {
        let keep = logical.saturating_sub(u64::from(self.logical)).min(u64::from(self.length)) as u32;
        Extent { length: keep, ..self }
    }
    /// Both as one, if they are neighbours in file and device.
    fn joined(self, next: Extent) -> Option<Extent> {
        let most = if self.unwritten { UNWRITTEN_MAX } else { WRITTEN_MAX };
        let adjoin = self.end() == u64::from(next.logical)
            && self.physical + u64::from(self.length) == next.physical
            && self.unwritten == next.unwritten
            && self.length + next.length <= most;
        adjoin.then(|| Extent { length: self.length + next.length, ..self })
    }
}

#[derive(Clone, Debug)]
struct Node {
    depth: u16,
    entries: Vec<Extent>,
}

impl Node {
    fn parse(bytes: &[u8], max: usize) -> Result<Node> {
        let (count, depth) = (u16_at(bytes, 2) as usize, u16_at(bytes, 6));
        if u16_at(bytes, 0) != MAGIC || count > max || depth > DEPTH_MAX {
            return Err(Error::Corrupt("an extent tree"));
        }
        let entries: Vec<Extent> = (0..count)
            .map(|index| {
                let at = HEADER_BYTES + index * ENTRY_BYTES;
                let logical = u32_at(bytes, at);
                if depth > 0 {
                    let child = u64::from(u32_at(bytes, at + 4)) | u64::from(u16_at(bytes, at + 8)) << 32;
                    return Extent { logical, length: 0, physical: child, unwritten: false };
                }
                let raw = u32::from(u16_at(bytes, at + 4));
                let unwritten = raw > WRITTEN_MAX;
                let physical = u64::from(u32_at(bytes, at + 8)) | u64::from(u16_at(bytes, at + 6)) << 32;
                Extent { logical, length: if unwritten { raw - WRITTEN_MAX } else { raw }, physical, unwritten }
            })
            .collect();
        let ordered = entries.windows(2).all(|pair| match pair {
            [a, b] => a.logical < b.logical && a.end() <= u64::from(b.logical),
            _ => true,
        });
        let whole = |e: &Extent| depth > 0 || (e.length > 0 && e.end() <= 1 << 32);
        if !ordered || !entries.iter().all(whole) {
            return Err(Error::Corrupt("the order of an extent tree"));
        }
        Ok(Node { depth, entries })
    }

    fn store(&self, bytes: &mut [u8], max: usize) {
        put16(bytes, 0, MAGIC);
        put16(bytes, 2, self.entries.len() as u16);
        put16(bytes, 4, max as u16);
        put16(bytes, 6, self.depth);
        for (index, e) in self.entries.iter().enumerate() {
            let at = HEADER_BYTES + index * ENTRY_BYTES;
            put32(bytes, at, e.logical);
            if self.depth > 0 {
                put32(bytes, at + 4, e.physical as u32);
                put32(bytes, at + 8, (e.physical >> 32) as u32);
            } else {
                put16(bytes, at + 4, (e.length + if e.unwritten { WRITTEN_MAX } else { 0 }) as u16);
                put16(bytes, at + 6, (e.physical >> 32) as u16);
                put32(bytes, at + 8, e.physical as u32);
            }
        }
    }
}

/// The empty tree of a new file.
pub fn plant(inode: &mut Inode) {
    put(&mut inode.raw, I_BLOCK, &[0; I_BLOCK_BYTES]);
    plant_root(inode, &Node { depth: 0, entries: vec![] });
}
fn plant_root(inode: &mut Inode, node: &Node) {
    if let Some(root) = inode.raw.get_mut(I_BLOCK..I_BLOCK + I_BLOCK_BYTES) {
        node.store(root, ROOT_MAX);
    }
}
fn root(inode: &Inode) -> Result<Node> {
    if inode.flags() & crate::inode::FLAG_EXTENTS == 0 {
        return Err(Error::Unsupported("a file without extents"));
    }
    Node::parse(part(&inode.raw, I_BLOCK, I_BLOCK_BYTES), ROOT_MAX)
}

/// What a removal still may do, and what it left to be put back.
struct Removal {
    from: u64,
    to: u64,
    /// Extents that may still be touched.
    budget: usize,
    keep_blocks: bool,
    put_back: Vec<Extent>,
}

impl<D: BlockWrite> Ext4<D> {
    fn node(&mut self, inode: &Inode, block: u64, depth: u16) -> Result<Node> {
        let seed = inode.seed(&self.layout);
        let check = |bytes: &[u8]| crc32c(seed, part(bytes, 0, BLOCK - 4)) == u32_at(bytes, BLOCK - 4);
        let bytes = self.store.read(block, "a block of an extent tree", check)?;
        let node = Node::parse(&bytes, BLOCK_MAX)?;
        if node.depth != depth || node.entries.is_empty() {
            return Err(Error::Corrupt("the depth of an extent tree"));
        }
        Ok(node)
    }
    fn put_node(&mut self, inode: &Inode, block: u64, node: &Node) {
        let mut bytes = zeroed();
        node.store(&mut bytes, BLOCK_MAX);
        let sum = crc32c(inode.seed(&self.layout), part(&bytes, 0, BLOCK - 4));
        put32(&mut bytes, BLOCK - 4, sum);
        self.store.write(block, Rc::new(bytes));
    }

    /// The extent that holds `logical`, if one does, and where the next one behind it begins (2^32: none).
    pub(crate) fn extent_at(&mut self, inode: &Inode, logical: u32) -> Result<(Option<Extent>, u64)> {
        let mut node = root(inode)?;
        let mut next = 1 << 32;
        loop {
            let behind = node.entries.partition_point(|e| e.logical <= logical);
            next = node.entries.get(behind).map_or(next, |e| u64::from(e.logical));
            let Some(entry) = behind.checked_sub(1).and_then(|at| node.entries.get(at)).copied() else {
                return Ok((None, next));
            };
            if node.depth == 0 {
                return Ok((Some(entry).filter(|e| u64::from(logical) < e.end()), next));
            }
            node = self.node(inode, entry.physical, node.depth - 1)?;
        }
    }

    /// The device's block of one block of a file that must be there.
    pub(crate) fn physical(&mut self, inode: &Inode, logical: u32) -> Result<u64> {
        let found = self.extent_at(inode, logical)?.0.filter(|e| !e.unwritten).ok_or(Error::Corrupt("a hole in a directory"))?;
        Ok(found.physical + u64::from(logical - found.logical))
    }

    /// Adds an extent where there is a hole.
    pub(crate) fn insert_extent(&mut self, inode: &mut Inode, extent: Extent) -> Result<()> {
        let mut top = root(inode)?;
        self.insert_below(inode, &mut top, extent)?;
        if top.entries.len() > ROOT_MAX {
            let block = self.tree_block(inode, extent.physical)?;
            self.put_node(inode, block, &top);
            let first = top.entries.first().map_or(0, |e| e.logical);
            let entries = vec![Extent { logical: first, length: 0, physical: block, unwritten: false }];
            top = Node { depth: top.depth + 1, entries };
        }
        if top.depth > DEPTH_MAX {
            return Err(Error::FileTooBig);
        }
        plant_root(inode, &top);
        Ok(())
    }

    fn tree_block(&mut self, inode: &mut Inode, goal: u64) -> Result<u64> {
        Ok(self.allocate_blocks(inode, goal, 1)?.0)
    }

    /// May leave one entry more in `node` than fits; whoever holds the node splits it.
    fn insert_below(&mut self, inode: &mut Inode, node: &mut Node, extent: Extent) -> Result<()> {
        let behind = node.entries.partition_point(|e| e.logical <= extent.logical);
        if node.depth == 0 {
            let before = behind.checked_sub(1).and_then(|at| node.entries.get(at)).copied();
            let after = node.entries.get(behind).copied();
            let overlaps = before.is_some_and(|b| b.end() > u64::from(extent.logical))
                || after.is_some_and(|a| extent.end() > u64::from(a.logical));
            if overlaps {
                return Err(Error::Corrupt("extents that overlap"));
            }
            let joined = before.and_then(|b| b.joined(extent));
            let all = joined.unwrap_or(extent);
            let at = if joined.is_some() { behind - 1 } else { behind };
            let with_after = after.and_then(|a| all.joined(a));
            let end = behind + usize::from(with_after.is_some());
            node.entries.splice(at..end, [with_after.unwrap_or(all)]);
            return Ok(());
        }
        let at = behind.saturating_sub(1);
        let entry = *node.entries.get(at).ok_or(Error::Corrupt("an empty index"))?;
        let mut child = self.node(inode, entry.physical, node.depth - 1)?;
        self.insert_below(inode, &mut child, extent)?;
        if child.entries.len() > BLOCK_MAX {
            // A file that grows at its end fills its leaves.
            let appended = child.entries.last().is_some_and(|e| e.logical <= extent.logical);
            let half = if appended { BLOCK_MAX } else { BLOCK_MAX / 2 };
            let right = Node { depth: child.depth, entries: child.entries.split_off(half) };
            let block = self.tree_block(inode, entry.physical)?;
            self.put_node(inode, block, &right);
            let first = right.entries.first().map_or(0, |e| e.logical);
            node.entries.insert(at + 1, Extent { logical: first, length: 0, physical: block, unwritten: false });
        }
        self.put_child(inode, node, at, entry.physical, &child);
        Ok(())
    }
    fn put_child(&mut self, inode: &Inode, node: &mut Node, at: usize, block: u64, child: &Node) {
        self.put_node(inode, block, child);
        if let (Some(entry), Some(first)) = (node.entries.get_mut(at), child.entries.first()) {
            entry.logical = first.logical;
        }
    }

    /// Frees blocks `from..to` of a file, from the end on, at most `budget` extents; whether all are gone.
    pub(crate) fn remove_extents(&mut self, inode: &mut Inode, from: u64, to: u64, budget: usize) -> Result<bool> {
        self.take_out(inode, Removal { from, to, budget, keep_blocks: false, put_back: vec![] })
    }
    /// Marks unwritten blocks as written.
    pub(crate) fn mark_written(&mut self, inode: &mut Inode, logical: u32, length: u32, physical: u64) -> Result<()> {
        let (from, to) = (u64::from(logical), u64::from(logical) + u64::from(length));
        self.take_out(inode, Removal { from, to, budget: usize::MAX, keep_blocks: true, put_back: vec![] })?;
        self.insert_extent(inode, Extent { logical, length, physical, unwritten: false })
    }

    fn take_out(&mut self, inode: &mut Inode, mut removal: Removal) -> Result<bool> {
        let mut top = root(inode)?;
        self.remove_below(inode, &mut top, &mut removal)?;
        if top.entries.is_empty() {
            top.depth = 0;
        }
        plant_root(inode, &top);
        for extent in core::mem::take(&mut removal.put_back) {
            self.insert_extent(inode, extent)?;
        }
        Ok(removal.budget > 0)
    }

    fn remove_below(&mut self, inode: &mut Inode, node: &mut Node, removal: &mut Removal) -> Result<()> {
        for at in (0..node.entries.len()).rev() {
            if removal.budget == 0 {
                return Ok(());
            }
            let Some(entry) = node.entries.get(at).copied() else { break };
            if u64::from(entry.logical) >= removal.to {
                continue;
            }
            if node.depth > 0 {
                let mut child = self.node(inode, entry.physical, node.depth - 1)?;
                self.remove_below(inode, &mut child, removal)?;
                if child.entries.is_empty() {
                    node.entries.remove(at);
                    self.free_blocks(inode, entry.physical, 1)?;
                } else {
                    self.put_child(inode, node, at, entry.physical, &child);
                }
                // Children further left end where this one begins.
                if u64::from(entry.logical) <= removal.from {
                    return Ok(());
                }
                continue;
            }
            if entry.end() <= removal.from {
                return Ok(());
            }
            removal.budget = removal.budget.saturating_sub(1);
            let (left, gone) = (entry.to(removal.from), entry.from(removal.from).to(removal.to));
            let right = entry.from(removal.to);
            if right.length > 0 {
                removal.put_back.push(right);
            }
            if left.length > 0 {
                node.entries.splice(at..=at, [left]);
            } else {
                node.entries.remove(at);
            }
            if !removal.keep_blocks {
                self.free_blocks(inode, gone.physical, gone.length)?;
            }
        }
        Ok(())
    }
}
