// SPDX-License-Identifier: PMPL-1.0-or-later
//! Reads data blocks and gives out only those that the root digest vouches for.
//!
//! Data and tree lie on one reader, data from block 0, as in a slot. A small cache keeps hash blocks that were already
//! verified, so a run of data blocks costs one digest each.

use crate::{Digest, Geometry, block_digest};
use alloc::{boxed::Box, vec::Vec};
use blocks::{BLOCK_BYTES, BlockRead, ReadError, check_range};

/// 32 blocks of 4 KiB: the path of a tree and some leaves; one leaf covers 512 KiB of data.
const CACHE_BLOCKS: usize = 32;

/// A verified view of the data blocks of `reader`.
pub struct Verified<R> {
    reader: R,
    geometry: Geometry,
    salt: Vec<u8>,
    root: Digest,
    tree_start: u64,
    cache: Vec<Cached>,
    clock: u64,
}

struct Cached {
    number: u64,
    last_used: u64,
    bytes: Box<crate::Block>,
}

impl<R: BlockRead> Verified<R> {
    /// `tree_start` is the block of `reader` at which the tree begins (one after the superblock). `None` if data or tree do
    /// not lie within the reader, or overlap. Nothing is read yet.
    pub fn new(reader: R, geometry: Geometry, salt: &[u8], root: Digest, tree_start: u64) -> Option<Self> {
        let end = tree_start.checked_add(geometry.tree_blocks())?;
        if tree_start < geometry.data_blocks() || end > reader.block_count() {
            return None;
        }
        Some(Self { reader, geometry, salt: salt.to_vec(), root, tree_start, cache: Vec::new(), clock: 0 })
    }

    /// The reader beneath, given back.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// Checks the top block of the tree against the root digest (for a single data block: the block itself).
    pub fn check_root(&mut self) -> Result<(), ReadError> {
        match self.geometry.levels() {
            0 => self.read_blocks(0, &mut [0u8; BLOCK_BYTES]),
            // The top level lies first and is one block.
            _ => self.digest_in(0, 0, &self.root.clone()).map(|_| ()),
        }
    }

    /// The digest that the tree promises for data block `index`, with every hash block on the way verified.
    fn expected(&mut self, index: u64) -> Result<Digest, ReadError> {
        let mut digest = self.root;
        for level in (0..self.geometry.levels()).rev() {
            // Level 0 is indexed by data block, each level above by the block of the level below.
            let at = index >> (7 * level as u32);
            let (number, offset) = self.geometry.locate(level, at).ok_or(self.out_of_range(index))?;
            digest = self.digest_in(number, offset, &digest)?;
        }
        Ok(digest)
    }

    /// The digest at `offset` of hash block `number`, whose own digest must be `wanted`.
    fn digest_in(&mut self, number: u64, offset: usize, wanted: &Digest) -> Result<Digest, ReadError> {
        self.clock += 1;
        if let Some(hit) = self.cache.iter_mut().find(|cached| cached.number == number) {
            hit.last_used = self.clock;
            return digest_at(&hit.bytes, offset).ok_or(ReadError::Unverified { block: number });
        }
        let block = self.tree_start.saturating_add(number);
        let mut bytes = Box::new([0u8; BLOCK_BYTES]);
        self.reader.read_blocks(block, &mut bytes[..])?;
        if block_digest(&self.salt, &bytes[..]) != *wanted {
            return Err(ReadError::Unverified { block });
        }
        let digest = digest_at(&bytes, offset).ok_or(ReadError::Unverified { block })?;
        self.remember(Cached { number, last_used: self.clock, bytes });
        Ok(digest)
    }

    fn remember(&mut self, new: Cached) {
        if self.cache.len() < CACHE_BLOCKS {
            self.cache.push(new);
        } else if let Some(oldest) = self.cache.iter_mut().min_by_key(|cached| cached.last_used) {
            *oldest = new;
        }
    }

    fn out_of_range(&self, first: u64) -> ReadError {
        ReadError::OutOfRange { first, count: 1, available: self.geometry.data_blocks() }
    }
}

impl<R: BlockRead> BlockRead for Verified<R> {
    fn block_count(&self) -> u64 {
        self.geometry.data_blocks()
    }

    /// On any error `out` is zeroed: no unverified byte leaves this reader.
    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let result = self.read_and_check(first, out);
        if result.is_err() {
            out.fill(0);
        }
        result
    }
}

impl<R: BlockRead> Verified<R> {
    fn read_and_check(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        check_range(first, out.len(), BLOCK_BYTES, self.geometry.data_blocks())?;
        self.reader.read_blocks(first, out)?;
        for (block, data) in (first..).zip(out.chunks_exact(BLOCK_BYTES)) {
            let wanted = self.expected(block)?;
            if block_digest(&self.salt, data) != wanted {
                return Err(ReadError::Unverified { block });
            }
        }
        Ok(())
    }
}

impl<R: core::fmt::Debug> core::fmt::Debug for Verified<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Verified").field("reader", &self.reader).field("geometry", &self.geometry).finish_non_exhaustive()
    }
}

fn digest_at(bytes: &crate::Block, offset: usize) -> Option<Digest> {
    bytes.get(offset..offset.checked_add(32)?)?.try_into().ok()
}
