// SPDX-License-Identifier: PMPL-1.0-or-later
//! Where each level of a hash tree lies: pure arithmetic over the number of data blocks.

use crate::DIGESTS_PER_BLOCK;

/// 128^9 is beyond 2^63, so no tree has more levels.
const MAX_LEVELS: usize = 9;

/// The levels of a tree over `data_blocks` blocks. Block numbers count from the tree's first block (top level first).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    data_blocks: u64,
    levels: usize,
    /// First block of each level; level 0 holds the digests of data blocks.
    start: [u64; MAX_LEVELS],
    tree_blocks: u64,
}

impl Geometry {
    /// `None` for no data at all, or so much that byte offsets would not fit 63 bits.
    pub fn new(data_blocks: u64) -> Option<Self> {
        if data_blocks == 0 || data_blocks > (1 << 63) / 8192 {
            return None;
        }
        let mut sizes = [0u64; MAX_LEVELS];
        let mut levels = 0;
        let mut below = data_blocks;
        // A single data block has no tree: its digest is the root.
        while below > 1 {
            below = below.div_ceil(DIGESTS_PER_BLOCK);
            *sizes.get_mut(levels)? = below;
            levels += 1;
        }
        let mut start = [0u64; MAX_LEVELS];
        let mut next = 0u64;
        for level in (0..levels).rev() {
            *start.get_mut(level)? = next;
            next += sizes.get(level)?;
        }
        Some(Self { data_blocks, levels, start, tree_blocks: next })
    }

    /// How many data blocks the tree covers.
    pub fn data_blocks(&self) -> u64 {
        self.data_blocks
    }

    /// How many levels of hash blocks there are; 0 if there is one data block only.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// Hash blocks of all levels, the superblock not counted.
    pub fn tree_blocks(&self) -> u64 {
        self.tree_blocks
    }

    /// Blocks of superblock and tree together.
    pub fn hash_area_blocks(&self) -> u64 {
        self.tree_blocks + 1
    }

    /// The hash block of `level` that holds digest number `index` of that level, and the digest's byte offset in it.
    /// `None` if the tree has no such level.
    pub fn locate(&self, level: usize, index: u64) -> Option<(u64, usize)> {
        if level >= self.levels {
            return None;
        }
        let block = self.start.get(level)?.checked_add(index / DIGESTS_PER_BLOCK)?;
        Some((block, (index % DIGESTS_PER_BLOCK) as usize * 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_lie_top_first() {
        let tree = Geometry::new(260_094).unwrap();
        // Flatcar's /usr: 2,032 leaves, 16 above them, 1 on top, and the superblock.
        assert_eq!((tree.levels(), tree.tree_blocks(), tree.hash_area_blocks()), (3, 2_049, 2_050));
        assert_eq!(tree.locate(2, 0), Some((0, 0)));
        assert_eq!(tree.locate(1, 0), Some((1, 0)));
        assert_eq!(tree.locate(0, 129), Some((18, 32)));
        assert_eq!(tree.locate(3, 0), None);
    }

    #[test]
    fn one_block_has_no_tree_and_none_is_refused() {
        assert_eq!(Geometry::new(1).unwrap().tree_blocks(), 0);
        assert_eq!(Geometry::new(2).unwrap().tree_blocks(), 1);
        assert_eq!(Geometry::new(128).unwrap().levels(), 1);
        assert_eq!(Geometry::new(129).unwrap().levels(), 2);
        assert!(Geometry::new(0).is_none());
        assert!(Geometry::new(u64::MAX).is_none());
    }
}
