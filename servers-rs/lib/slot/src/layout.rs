// SPDX-License-Identifier: PMPL-1.0-or-later
//! Where the parts of a slot lie, in 4096-byte blocks from its start.

use blocks::BLOCK_BYTES;
use core::fmt;
use verity::Geometry;

/// The trailer: the slot's last 64 KiB.
pub const TRAILER_BYTES: usize = 64 * 1024;
/// The trailer in blocks.
pub const TRAILER_BLOCKS: u64 = (TRAILER_BYTES / BLOCK_BYTES) as u64;

/// The EROFS image from block 0, then superblock and hash tree, room, and the trailer at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    pub slot_blocks: u64,
    pub geometry: Geometry,
}

/// The partition cannot hold image, tree and trailer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooSmall {
    pub needed_bytes: u64,
    pub available_bytes: u64,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the slot needs {} bytes, its partition has {}", self.needed_bytes, self.available_bytes)
    }
}

impl core::error::Error for TooSmall {}

impl Layout {
    /// Lays out an image of `data_blocks` in a slot of `slot_blocks`.
    pub fn plan(slot_blocks: u64, data_blocks: u64) -> Result<Self, TooSmall> {
        let available_bytes = slot_blocks.saturating_mul(BLOCK_BYTES as u64);
        let too_small = |blocks: u64| TooSmall { needed_bytes: blocks.saturating_mul(BLOCK_BYTES as u64), available_bytes };
        let geometry = Geometry::new(data_blocks).ok_or(too_small(data_blocks.max(1)))?;
        // No overflow: a geometry's blocks are below 2^51.
        let needed = data_blocks + geometry.hash_area_blocks() + TRAILER_BLOCKS;
        if needed > slot_blocks { Err(too_small(needed)) } else { Ok(Self { slot_blocks, geometry }) }
    }

    /// Length of the EROFS image.
    pub fn image_bytes(&self) -> u64 {
        self.geometry.data_blocks() * BLOCK_BYTES as u64
    }

    /// Block of the verity superblock.
    pub fn superblock(&self) -> u64 {
        self.geometry.data_blocks()
    }

    /// First block of the hash tree.
    pub fn tree_start(&self) -> u64 {
        self.geometry.data_blocks() + 1
    }

    /// Bytes of superblock and tree.
    pub fn hash_area_bytes(&self) -> u64 {
        self.geometry.hash_area_blocks() * BLOCK_BYTES as u64
    }

    /// First block of the trailer.
    pub fn trailer(&self) -> u64 {
        self.slot_blocks - TRAILER_BLOCKS
    }
}
