// SPDX-License-Identifier: PMPL-1.0-or-later
//! Metadata blocks in layers: what the operation in hand has changed, the running transaction, what is committed but not
//! yet (or not durably) in its place, and a bounded cache of what the device holds.
//!
//! An operation that fails is undone by forgetting its layer. Blocks that it freed stay out of use until no replay of the
//! journal can write them (`quarantine`), which is what revoke records are for elsewhere.

use crate::journal::Journal;
use crate::{BLOCK, Error, Result, superblock};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use blocks::BlockWrite;

pub type Block = Rc<Box<[u8]>>;

/// Clean metadata blocks kept: 1 MiB.
const CACHE_BLOCKS: usize = 256;
/// Freed ranges that may wait for the journal's tail before it is moved on purpose.
pub const QUARANTINE_MAX: usize = 2048;

#[derive(Debug)]
pub struct Store<D> {
    pub device: D,
    cache: BTreeMap<u64, Block>,
    order: VecDeque<u64>,
    op: BTreeMap<u64, Block>,
    op_freed: Vec<(u64, u32)>,
    pub running: BTreeMap<u64, Block>,
    pub running_freed: Vec<(u64, u32)>,
    /// Committed, still to be written to their places.
    pub pending: BTreeMap<u64, Block>,
    /// Written to their places since the last flush.
    pub unflushed: BTreeMap<u64, Block>,
    /// Start and length of a freed range, and the transaction that freed it.
    pub quarantine: BTreeMap<u64, (u32, u32)>,
    pub journal: Journal,
    /// Something was written since the last flush.
    dirty: bool,
}

impl<D: BlockWrite> Store<D> {
    pub fn new(device: D, journal: Journal) -> Self {
        Store {
            device,
            journal,
            cache: BTreeMap::new(),
            order: VecDeque::new(),
            op: BTreeMap::new(),
            op_freed: Vec::new(),
            running: BTreeMap::new(),
            running_freed: Vec::new(),
            pending: BTreeMap::new(),
            unflushed: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            dirty: false,
        }
    }

    /// A metadata block as the operation in hand sees it. One that comes from the device must pass `check`.
    pub fn read(&mut self, block: u64, what: &'static str, check: impl FnOnce(&[u8]) -> bool) -> Result<Block> {
        let layers = [&self.op, &self.running, &self.pending, &self.unflushed, &self.cache];
        if let Some(found) = layers.iter().find_map(|layer| layer.get(&block)) {
            return Ok(found.clone());
        }
        let mut bytes = zeroed();
        if block >= self.device.block_count() {
            return Err(Error::Corrupt(what));
        }
        self.device.read_blocks(block, &mut bytes)?;
        if !check(&bytes) && !crate::let_through() {
            return Err(Error::Corrupt(what));
        }
        let loaded: Block = Rc::new(bytes);
        self.keep(block, loaded.clone());
        Ok(loaded)
    }

    fn keep(&mut self, block: u64, bytes: Block) {
        if self.cache.insert(block, bytes).is_none() {
            self.order.push_back(block);
        }
        while self.order.len() > CACHE_BLOCKS {
            if let Some(oldest) = self.order.pop_front() {
                self.cache.remove(&oldest);
            }
        }
    }

    /// Makes `bytes` the content of a metadata block, if the operation succeeds.
    pub fn write(&mut self, block: u64, bytes: Block) {
        self.op.insert(block, bytes);
    }

    pub fn freed(&mut self, start: u64, length: u32) {
        self.op_freed.push((start, length));
    }

    /// Freed ranges that meet `start..end` and must not be used yet, clipped to it.
    pub fn resting(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let clip = |(at, length): (u64, u32)| {
            let (from, to) = (at.max(start), (at + u64::from(length)).min(end));
            (from < to).then_some((from, to))
        };
        // No range is longer than a group, so one that begins earlier cannot reach in.
        let near = self.quarantine.range(start.saturating_sub(8 * BLOCK as u64)..end).map(|(at, of)| (*at, of.0));
        let new = self.op_freed.iter().chain(&self.running_freed).copied();
        near.chain(new).filter_map(clip).collect()
    }
    pub fn anything_rests(&self) -> bool {
        !self.quarantine.is_empty() || !self.running_freed.is_empty()
    }

    /// The operation succeeded: its changes join the transaction.
    pub fn accept(&mut self) {
        let mut stale = false;
        for (block, bytes) in core::mem::take(&mut self.op) {
            stale |= self.cache.remove(&block).is_some();
            self.running.insert(block, bytes);
        }
        if stale {
            self.order.retain(|block| self.cache.contains_key(block));
        }
        self.running_freed.append(&mut self.op_freed);
    }
    /// The operation failed: it changed nothing.
    pub fn forget(&mut self) {
        self.op.clear();
        self.op_freed.clear();
    }

    pub fn read_data(&mut self, block: u64, into: &mut [u8]) -> Result<()> {
        Ok(self.device.read_blocks(block, into)?)
    }
    /// Data go to their place at once; never to a block that the transaction before may still need.
    pub fn write_data(&mut self, block: u64, bytes: &[u8]) -> Result<()> {
        self.dirty = true;
        // It may have been metadata once.
        for at in block..block + (bytes.len() / BLOCK) as u64 {
            if self.cache.remove(&at).is_some() {
                self.order.retain(|kept| *kept != at);
            }
        }
        Ok(self.device.write_blocks(block, bytes)?)
    }

    /// Everything written so far is on the medium, or an error; what then is unsure is written again later.
    pub fn flush(&mut self) -> Result<()> {
        if let Err(error) = self.device.flush() {
            for (block, bytes) in core::mem::take(&mut self.unflushed) {
                self.pending.entry(block).or_insert(bytes);
            }
            return Err(error.into());
        }
        self.dirty = false;
        for (block, bytes) in core::mem::take(&mut self.unflushed) {
            if !self.pending.contains_key(&block) && !self.running.contains_key(&block) {
                self.keep(block, bytes);
            }
        }
        Ok(())
    }

    /// Writes committed blocks to their places.
    pub fn settle(&mut self) -> Result<()> {
        while let Some((&block, bytes)) = self.pending.first_key_value() {
            self.device.write_blocks(block, bytes)?;
            self.dirty = true;
            if let Some((block, bytes)) = self.pending.remove_entry(&block) {
                self.unflushed.insert(block, bytes);
            }
        }
        Ok(())
    }

    /// Makes all that succeeded durable. On an error the transaction stays and a later call tries again.
    pub fn commit(&mut self, seconds: u64) -> Result<()> {
        if self.running.is_empty() {
            self.settle()?;
            return if self.dirty { self.flush() } else { Ok(()) };
        }
        if let Some(first) = self.running.get_mut(&0) {
            let bytes = editable(first);
            if let Some(sb) = bytes.get_mut(superblock::OFFSET..superblock::OFFSET + 1024) {
                superblock::balance(sb);
            }
        }
        let sequence = self.write_transaction(seconds)?;
        for (start, length) in core::mem::take(&mut self.running_freed) {
            self.quarantine.insert(start, (length, sequence));
        }
        self.pending = core::mem::take(&mut self.running);
        // A failure here is not the caller's: the journal holds it all, and it is tried again before the next commit.
        let _ = self.settle();
        Ok(())
    }
}

/// The bytes of a block to be changed: a copy, if somebody else holds it.
pub fn editable(block: &mut Block) -> &mut [u8] {
    let bytes: &mut Box<[u8]> = Rc::make_mut(block);
    bytes
}

pub fn zeroed() -> Box<[u8]> {
    vec![0; BLOCK].into_boxed_slice()
}
