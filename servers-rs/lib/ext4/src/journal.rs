// SPDX-License-Identifier: PMPL-1.0-or-later
//! The jbd2 log: a ring of blocks behind inode 8. `Documentation/filesystems/ext4/journal.rst` of Linux has the layout.
//!
//! A commit writes, in this order:
//! 1. the log's tail as far as it is known to be in its place, descriptors, copies of the blocks, a block of zeros; flush;
//! 2. the commit block over the zeros: one sector differs, so it is there or not; flush;
//! 3. the blocks to their places (`Store::settle`), flushed by the next commit's step 1.
//!
//! The tail on the medium is at most one transaction behind, so the ring never wraps over what a replay needs.

use crate::bytes::{be32_at, crc32c, put, put_be32};
use crate::store::{Store, zeroed};
use crate::{BLOCK, Error, Result};
use alloc::vec;
use alloc::vec::Vec;
use blocks::BlockWrite;

pub const MAGIC: u32 = 0xc03b_3998;
pub const DESCRIPTOR: u32 = 1;
pub const COMMIT: u32 = 2;
pub const SUPERBLOCK: u32 = 4;
pub const REVOKE: u32 = 5;
/// revoke, 64bit, csum_v3
pub const FEATURES: u32 = 0x1 | 0x2 | 0x10;
pub const FLAG_ESCAPED: u32 = 1;
pub const FLAG_SAME_UUID: u32 = 2;
pub const FLAG_LAST: u32 = 8;
pub const TAG_BYTES: usize = 16;
pub const TAGS_FROM: usize = 12;
/// The first tag is followed by a UUID; the last four bytes are a checksum.
const TAGS_PER_DESCRIPTOR: usize = (BLOCK - TAGS_FROM - 16 - 4) / TAG_BYTES;
/// Blocks of one request to the device.
const WRITE_BLOCKS: usize = 32;

/// A place in the ring, and the transaction that stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub position: u32,
    pub sequence: u32,
}

#[derive(Debug)]
pub struct Journal {
    /// Runs of blocks on the device, in order.
    pub runs: Vec<(u64, u32)>,
    /// The ring is `first..length` of them; block 0 is the journal's superblock.
    pub first: u32,
    pub length: u32,
    pub superblock: Vec<u8>,
    pub seed: u32,
    /// Where the next transaction goes.
    pub head: Place,
    /// What the superblock on the medium says.
    pub tail: Place,
    /// The transaction before `head`.
    pub last: Place,
    /// Commit blocks that a failed commit may have left: they are wiped before their place is used again.
    pub wipe: Option<u32>,
}

impl Journal {
    /// The block on the device of a block of the journal.
    pub fn block(&self, position: u32) -> Result<u64> {
        let mut rest = position;
        for (start, length) in &self.runs {
            if rest < *length {
                return Ok(start + u64::from(rest));
            }
            rest -= length;
        }
        Err(Error::Corrupt("the journal is shorter than it says"))
    }
    /// `count` blocks further round the ring.
    pub fn after(&self, position: u32, count: u32) -> u32 {
        let ring = (self.length - self.first).max(1);
        self.first + (position.saturating_sub(self.first) + count) % ring
    }
    fn used(&self) -> u32 {
        let ring = self.length - self.first;
        (self.head.position + ring - self.tail.position) % ring
    }
    /// Blocks of metadata that one transaction may have.
    pub fn transaction_max(&self) -> usize {
        ((self.length - self.first) as usize / 4).min(1024)
    }
    pub fn checksum(&self, block: &[u8], at: usize) -> u32 {
        let crc = crc32c(self.seed, block.get(..at).unwrap_or_default());
        crc32c(crc32c(crc, &[0; 4]), block.get(at + 4..).unwrap_or_default())
    }
    pub fn tag_checksum(&self, sequence: u32, block: &[u8]) -> u32 {
        crc32c(crc32c(self.seed, &sequence.to_be_bytes()), block)
    }
    /// The journal's superblock with this tail; `None`: the log is empty.
    pub fn superblock_with(&self, tail: Option<Place>, sequence: u32) -> Vec<u8> {
        let mut block = self.superblock.clone();
        put_be32(&mut block, 0x18, tail.map_or(sequence, |t| t.sequence));
        put_be32(&mut block, 0x1c, tail.map_or(0, |t| t.position));
        put_be32(&mut block, 0x28, FEATURES);
        put(&mut block, 0x50, &[4]); // crc32c
        put_be32(&mut block, 0xfc, 0);
        let sum = crc32c(!0, block.get(..1024).unwrap_or_default());
        put_be32(&mut block, 0xfc, sum);
        block
    }
}

fn header(block: &mut [u8], kind: u32, sequence: u32) {
    put_be32(block, 0, MAGIC);
    put_be32(block, 4, kind);
    put_be32(block, 8, sequence);
}

impl<D: BlockWrite> Store<D> {
    /// Steps 1 and 2; returns the transaction's number. Nothing but the log has changed after a failure.
    pub fn write_transaction(&mut self, seconds: u64) -> Result<u32> {
        self.settle()?;
        let count = self.running.len();
        let needed = (count + count.div_ceil(TAGS_PER_DESCRIPTOR) + 1) as u32;
        if self.journal.used() + needed + 1 >= self.journal.length - self.journal.first {
            // Everything earlier is in its place; once that is durable the whole ring is free.
            self.flush()?;
            self.write_tail(self.journal.head)?;
            self.flush()?;
            self.tail_is(self.journal.head);
        }
        if self.journal.used() + needed + 1 >= self.journal.length - self.journal.first {
            return Err(Error::NoSpace);
        }
        if let Some(position) = self.journal.wipe {
            let place = self.journal.block(position)?;
            self.device.write_blocks(place, &zeroed())?;
            self.flush()?;
            self.journal.wipe = None;
        }
        let tail = if self.unflushed.is_empty() { self.journal.head } else { self.journal.last };
        self.write_tail(tail)?;
        let commit = self.write_log()?;
        self.flush()?;
        self.tail_is(tail);
        let place = self.journal.block(commit)?;
        let mut block = zeroed();
        let sequence = self.journal.head.sequence;
        header(&mut block, COMMIT, sequence);
        put(&mut block, 0x30, &seconds.to_be_bytes());
        let sum = self.journal.checksum(&block, 0x10);
        put_be32(&mut block, 0x10, sum);
        self.journal.wipe = Some(commit);
        self.device.write_blocks(place, &block)?;
        self.flush()?;
        self.journal.wipe = None;
        self.journal.last = self.journal.head;
        self.journal.head = Place { position: self.journal.after(commit, 1), sequence: sequence.wrapping_add(1) };
        Ok(sequence)
    }

    /// Descriptors, blocks and the zeros where the commit block will be; returns its position.
    fn write_log(&mut self) -> Result<u32> {
        let sequence = self.journal.head.sequence;
        let mut position = self.journal.head.position;
        let mut out: Vec<u8> = Vec::with_capacity(WRITE_BLOCKS * BLOCK);
        let running: Vec<(u64, crate::store::Block)> = self.running.iter().map(|(at, bytes)| (*at, bytes.clone())).collect();
        for chunk in running.chunks(TAGS_PER_DESCRIPTOR) {
            let mut descriptor = zeroed();
            header(&mut descriptor, DESCRIPTOR, sequence);
            let mut at = TAGS_FROM;
            for (index, (block, bytes)) in chunk.iter().enumerate() {
                let escaped = be32_at(bytes, 0) == MAGIC;
                let sum = match escaped {
                    true => self.journal.tag_checksum(sequence, &escape(bytes)),
                    false => self.journal.tag_checksum(sequence, bytes),
                };
                let same = if index > 0 { FLAG_SAME_UUID } else { 0 };
                let last = if index + 1 == chunk.len() { FLAG_LAST } else { 0 };
                put_be32(&mut descriptor, at, *block as u32);
                put_be32(&mut descriptor, at + 4, same | last | if escaped { FLAG_ESCAPED } else { 0 });
                put_be32(&mut descriptor, at + 8, (*block >> 32) as u32);
                put_be32(&mut descriptor, at + 12, sum);
                at += TAG_BYTES;
                if index == 0 {
                    put(&mut descriptor, at, self.journal.superblock.get(0x30..0x40).unwrap_or_default());
                    at += 16;
                }
            }
            let sum = self.journal.checksum(&descriptor, BLOCK - 4);
            put_be32(&mut descriptor, BLOCK - 4, sum);
            self.append(&mut out, &mut position, &descriptor)?;
            for (_, bytes) in chunk {
                match be32_at(bytes, 0) == MAGIC {
                    true => self.append(&mut out, &mut position, &escape(bytes))?,
                    false => self.append(&mut out, &mut position, bytes)?,
                }
            }
        }
        let commit = position;
        self.append(&mut out, &mut position, &zeroed())?;
        self.drain(&mut out, position)?;
        Ok(commit)
    }

    /// Gathers neighbours into one request.
    fn append(&mut self, out: &mut Vec<u8>, position: &mut u32, block: &[u8]) -> Result<()> {
        out.extend_from_slice(block);
        let (here, next) = (*position, self.journal.after(*position, 1));
        *position = next;
        let together = next != self.journal.first && self.journal.block(next)? == self.journal.block(here)? + 1;
        if out.len() >= WRITE_BLOCKS * BLOCK || !together {
            let first = self.journal.block(here)? + 1 - (out.len() / BLOCK) as u64;
            self.device.write_blocks(first, out)?;
            out.clear();
        }
        Ok(())
    }
    /// Writes what was gathered up to `position`.
    fn drain(&mut self, out: &mut Vec<u8>, position: u32) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        // `append` leaves nothing behind at the end of a run, so the block before `position` is its neighbour.
        let first = self.journal.block(position)? - (out.len() / BLOCK) as u64;
        self.device.write_blocks(first, out)?;
        out.clear();
        Ok(())
    }

    fn write_tail(&mut self, tail: Place) -> Result<()> {
        if tail != self.journal.tail {
            let block = self.journal.superblock_with(Some(tail), 0);
            let place = self.journal.block(0)?;
            self.device.write_blocks(place, &block)?;
        }
        Ok(())
    }
    /// The tail is on the medium: what was freed before it cannot be written by a replay any more.
    fn tail_is(&mut self, tail: Place) {
        self.journal.tail = tail;
        self.quarantine.retain(|_, of| (of.1.wrapping_sub(tail.sequence) as i32) >= 0);
    }

    /// Says on the medium that there may be something in the log; after the file system is marked so.
    pub fn open_log(&mut self) -> Result<()> {
        let block = self.journal.superblock_with(Some(self.journal.head), 0);
        let place = self.journal.block(0)?;
        self.device.write_blocks(place, &block)?;
        self.flush()
    }

    /// Moves the tail to the head, so that all freed blocks may be used. Two flushes.
    pub fn release(&mut self, seconds: u64) -> Result<()> {
        self.commit(seconds)?;
        self.settle()?;
        self.flush()?;
        self.write_tail(self.journal.head)?;
        self.flush()?;
        self.tail_is(self.journal.head);
        Ok(())
    }

    /// Leaves an empty log; for a clean end.
    pub fn close_log(&mut self, seconds: u64) -> Result<()> {
        self.release(seconds)?;
        let block = self.journal.superblock_with(None, self.journal.head.sequence);
        let place = self.journal.block(0)?;
        self.device.write_blocks(place, &block)?;
        self.flush()
    }
}

/// A copy that is not taken for a block of the log's own.
fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut copy = vec![0; bytes.len()];
    copy.copy_from_slice(bytes);
    put_be32(&mut copy, 0, 0);
    copy
}
