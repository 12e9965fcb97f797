// SPDX-License-Identifier: PMPL-1.0-or-later
//! Makes a hash tree from data blocks as they stream by: one partial block per level is all that it remembers.

use crate::{Block, Digest, Geometry, block_digest};
use alloc::vec::Vec;
use blocks::BLOCK_BYTES;

/// A tree in the making. Push exactly as many blocks as the geometry says, then [`TreeBuilder::finish`].
#[derive(Clone, Debug)]
pub struct TreeBuilder {
    geometry: Geometry,
    salt: Vec<u8>,
    levels: Vec<Level>,
    pushed: u64,
    /// The digest of the only data block, if there is but one.
    root: Option<Digest>,
}

/// The level's block that is being filled.
#[derive(Clone, Debug)]
struct Level {
    bytes: Vec<u8>,
    /// Digests that this level has taken so far.
    taken: u64,
}

impl TreeBuilder {
    /// `salt` as in the superblock.
    pub fn new(geometry: Geometry, salt: &[u8]) -> Self {
        let level = Level { bytes: Vec::with_capacity(BLOCK_BYTES), taken: 0 };
        Self { geometry, salt: salt.to_vec(), levels: alloc::vec![level; geometry.levels()], pushed: 0, root: None }
    }

    /// Takes the next data block (a shorter one counts as zero-filled). `emit` gets each hash block that became full: its
    /// number from the tree's first block, and its bytes. Blocks beyond the promised number are ignored; `finish` then says so.
    pub fn push(&mut self, data: &[u8], emit: &mut dyn FnMut(u64, &Block)) {
        let digest = match data.len() {
            BLOCK_BYTES => block_digest(&self.salt, data),
            _ => {
                let mut padded = data.to_vec();
                padded.resize(BLOCK_BYTES, 0);
                block_digest(&self.salt, &padded)
            }
        };
        self.pushed = self.pushed.saturating_add(1);
        if self.pushed <= self.geometry.data_blocks() {
            self.add(0, digest, emit);
        }
    }

    /// Emits what is left and returns the root digest; `None` if the number of blocks pushed is not the promised one.
    pub fn finish(mut self, emit: &mut dyn FnMut(u64, &Block)) -> Option<Digest> {
        if self.pushed != self.geometry.data_blocks() {
            return None;
        }
        for level in 0..self.levels.len() {
            if self.levels.get(level).is_some_and(|level| !level.bytes.is_empty()) {
                self.close(level, emit);
            }
        }
        self.root
    }

    fn add(&mut self, index: usize, digest: Digest, emit: &mut dyn FnMut(u64, &Block)) {
        let Some(level) = self.levels.get_mut(index) else {
            // Above the top level is the root.
            self.root = Some(digest);
            return;
        };
        level.bytes.extend_from_slice(&digest);
        level.taken += 1;
        if level.bytes.len() == BLOCK_BYTES {
            self.close(index, emit);
        }
    }

    /// Zero-fills the level's block, hands it out and carries its digest up.
    fn close(&mut self, index: usize, emit: &mut dyn FnMut(u64, &Block)) {
        let Some(level) = self.levels.get_mut(index) else {
            return;
        };
        let mut block = [0u8; BLOCK_BYTES];
        if let Some(front) = block.get_mut(..level.bytes.len()) {
            front.copy_from_slice(&level.bytes);
        }
        level.bytes.clear();
        let last = level.taken.saturating_sub(1);
        let digest = block_digest(&self.salt, &block);
        if let Some((number, _)) = self.geometry.locate(index, last) {
            emit(number, &block);
        }
        self.add(index + 1, digest, emit);
    }
}
