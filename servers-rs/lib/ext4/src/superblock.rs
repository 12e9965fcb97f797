// SPDX-License-Identifier: PMPL-1.0-or-later
//! The superblock: geometry and features. It lies in block 0 at byte 1024.
//!
//! While mounted only its first 512 bytes change, so that a power cut cannot leave half of a change: its checksum stands in
//! the second half and is kept the same by four bytes that make up for the change (`balance`), behind the end of
//! the text of the last mount point.

use crate::bytes::{crc32c, crc32c_before, part, put32, split_at, u16_at, u32_at};
use crate::{BLOCK, Error, Result};

/// Where it begins in block 0.
pub const OFFSET: usize = 1024;
const LENGTH: usize = 1024;
const CHECKSUM: usize = 0x3fc;
/// The last bytes of `s_last_mounted`, which nothing reads behind a zero byte.
const BALANCE: usize = 0xc4;

pub const FREE_BLOCKS: usize = 0x0c;
pub const FREE_BLOCKS_HIGH: usize = 0x158;
pub const FREE_INODES: usize = 0x10;
pub const LAST_ORPHAN: usize = 0xe8;
const INCOMPAT: usize = 0x60;

pub const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_CSUM_SEED: u32 = 0x2000;
/// filetype, recover, meta_bg, extents, 64bit, flex_bg, csum_seed
const INCOMPAT_KNOWN: u32 = 0x2 | INCOMPAT_RECOVER | INCOMPAT_META_BG | 0x40 | 0x80 | 0x200 | INCOMPAT_CSUM_SEED;
const INCOMPAT_NEEDED: u32 = 0x2 | 0x40 | 0x80;
const RO_SPARSE_SUPER: u32 = 0x1;
const RO_METADATA_CSUM: u32 = 0x400;
/// sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum, project
const RO_KNOWN: u32 = RO_SPARSE_SUPER | 0x2 | 0x8 | 0x20 | 0x40 | RO_METADATA_CSUM | 0x2000;
const COMPAT_JOURNAL: u32 = 0x4;
const COMPAT_SPARSE_SUPER2: u32 = 0x200;

/// Geometry; it changes only when the file system grows.
#[derive(Clone, Debug)]
pub struct Layout {
    pub blocks: u64,
    pub blocks_per_group: u32,
    pub inodes_per_group: u32,
    pub groups: u32,
    /// The first group whose descriptors lie in their own meta group.
    first_meta_group: u32,
    sparse_super: bool,
    /// Start of all checksums of metadata.
    pub seed: u32,
    pub hash_seed: [u32; 4],
    pub hash_unsigned: bool,
    pub first_inode: u32,
    pub journal_inode: u32,
}

/// Descriptors of a group; 64 bytes each.
pub const DESCRIPTOR_BYTES: usize = 64;
pub const DESCRIPTORS_PER_BLOCK: u32 = (BLOCK / DESCRIPTOR_BYTES) as u32;
pub const INODE_BYTES: usize = 256;
pub const INODES_PER_BLOCK: u32 = (BLOCK / INODE_BYTES) as u32;

impl Layout {
    /// From the 1024 bytes of a superblock; refuses what cannot be kept intact.
    pub fn parse(sb: &[u8]) -> Result<Layout> {
        if sb.len() < LENGTH || u16_at(sb, 0x38) != 0xef53 {
            return Err(Error::Corrupt("no superblock"));
        }
        let (compat, incompat, ro) = (u32_at(sb, 0x5c), u32_at(sb, INCOMPAT), u32_at(sb, 0x64));
        let unsupported = |what| Err(Error::Unsupported(what));
        if incompat & !INCOMPAT_KNOWN != 0 || incompat & INCOMPAT_NEEDED != INCOMPAT_NEEDED {
            return unsupported("an incompatible feature");
        }
        if ro & !RO_KNOWN != 0 || ro & RO_METADATA_CSUM == 0 || compat & COMPAT_SPARSE_SUPER2 != 0 {
            return unsupported("a feature that forbids writing, or no metadata_csum");
        }
        if compat & COMPAT_JOURNAL == 0 {
            return unsupported("no journal");
        }
        if u32_at(sb, 0x18) != 2 || u16_at(sb, 0x58) as usize != INODE_BYTES || u16_at(sb, 0xfe) as usize != DESCRIPTOR_BYTES {
            return unsupported("blocks, inodes or descriptors of another size");
        }
        let right = crc32c(!0, part(sb, 0, CHECKSUM)) == u32_at(sb, CHECKSUM) || crate::let_through();
        if sb.get(0x175) != Some(&1) || !right {
            return Err(Error::Corrupt("the superblock's checksum"));
        }
        let blocks = split_at(sb, 0x04, 0x150);
        let (blocks_per_group, inodes_per_group) = (u32_at(sb, 0x20), u32_at(sb, 0x28));
        let bits = 8 * BLOCK as u32;
        let sane = |n: u32| n > 0 && n <= bits && n.is_multiple_of(8);
        if !sane(blocks_per_group) || !sane(inodes_per_group) || !inodes_per_group.is_multiple_of(INODES_PER_BLOCK) {
            return Err(Error::Corrupt("the size of a group"));
        }
        let groups = u32::try_from(blocks.div_ceil(u64::from(blocks_per_group))).map_err(|_| Error::Corrupt("the size"))?;
        let inodes = u32_at(sb, 0x00);
        if groups == 0 || u64::from(groups) * u64::from(inodes_per_group) != u64::from(inodes) || u32_at(sb, 0x14) != 0 {
            return Err(Error::Corrupt("the number of inodes"));
        }
        let seed = if incompat & INCOMPAT_CSUM_SEED != 0 { u32_at(sb, 0x270) } else { crc32c(!0, part(sb, 0x68, 16)) };
        let meta = incompat & INCOMPAT_META_BG != 0;
        Ok(Layout {
            blocks,
            blocks_per_group,
            inodes_per_group,
            groups,
            first_meta_group: if meta { u32_at(sb, 0x104) } else { u32::MAX },
            sparse_super: ro & RO_SPARSE_SUPER != 0,
            seed,
            hash_seed: [0, 4, 8, 12].map(|at| u32_at(sb, 0xec + at)),
            hash_unsigned: u32_at(sb, 0x160) & 2 != 0,
            first_inode: u32_at(sb, 0x54).max(11),
            journal_inode: u32_at(sb, 0xe0),
        })
    }

    /// The same after growing.
    pub fn grown(&self, blocks: u64, groups: u32) -> Layout {
        Layout { blocks, groups, ..self.clone() }
    }
    pub fn group_start(&self, group: u32) -> u64 {
        u64::from(group) * u64::from(self.blocks_per_group)
    }
    /// Blocks of a group: all but the last are full.
    pub fn group_blocks(&self, group: u32) -> u32 {
        let rest = self.blocks.saturating_sub(self.group_start(group));
        rest.min(u64::from(self.blocks_per_group)) as u32
    }
    pub fn has_super(&self, group: u32) -> bool {
        let power = |base: u32| {
            let mut n = group;
            while n > 1 && n.is_multiple_of(base) {
                n /= base;
            }
            n == 1
        };
        !self.sparse_super || group <= 1 || power(3) || power(5) || power(7)
    }
    /// The block with the group's descriptor.
    pub fn descriptor_block(&self, group: u32) -> u64 {
        let meta = group / DESCRIPTORS_PER_BLOCK;
        if meta < self.first_meta_group {
            return 1 + u64::from(meta);
        }
        let first = meta * DESCRIPTORS_PER_BLOCK;
        self.group_start(first) + u64::from(self.has_super(first))
    }
    /// Blocks at the start of the group that hold the superblock and descriptors, or copies of them.
    pub fn head_blocks(&self, group: u32) -> u32 {
        let own = u32::from(self.has_super(group));
        let meta = group / DESCRIPTORS_PER_BLOCK;
        if meta < self.first_meta_group {
            let all = self.groups.div_ceil(DESCRIPTORS_PER_BLOCK).min(self.first_meta_group);
            return if own == 1 { 1 + all } else { 0 };
        }
        let place = group % DESCRIPTORS_PER_BLOCK;
        own + u32::from(place <= 1 || place == DESCRIPTORS_PER_BLOCK - 1)
    }
    pub fn inodes(&self) -> u32 {
        self.groups.saturating_mul(self.inodes_per_group)
    }
    pub fn table_blocks(&self) -> u32 {
        self.inodes_per_group / INODES_PER_BLOCK
    }
}

/// The superblock inside block 0.
pub fn of(block0: &[u8]) -> &[u8] {
    part(block0, OFFSET, LENGTH)
}

/// Writes a checksum that fits; for a new file system and one that has grown.
pub fn seal(sb: &mut [u8]) {
    let sum = crc32c(!0, part(sb, 0, CHECKSUM));
    put32(sb, CHECKSUM, sum);
}

/// Makes the checksum that stands in the second half fit what the first half says now.
pub fn balance(sb: &mut [u8]) {
    let target = u32_at(sb, CHECKSUM);
    let behind = crc32c_before(target, part(sb, BALANCE + 4, CHECKSUM - BALANCE - 4));
    // Four bytes x from state a end where four zero bytes from state a ^ x end.
    let wanted = crc32c_before(behind, &[0; 4]);
    let at = crc32c(!0, part(sb, 0, BALANCE));
    put32(sb, BALANCE, wanted ^ at);
}

/// Sets or takes away the mark that the journal holds what the rest does not.
pub fn mark_recover(sb: &mut [u8], needs: bool) {
    let features = u32_at(sb, INCOMPAT);
    put32(sb, INCOMPAT, if needs { features | INCOMPAT_RECOVER } else { features & !INCOMPAT_RECOVER });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_the_first_half_is_balanced_there() {
        let mut sb = [7u8; LENGTH];
        seal(&mut sb);
        let before = sb;
        put32(&mut sb, FREE_BLOCKS, 4711);
        balance(&mut sb);
        assert_eq!(crc32c(!0, &sb[..CHECKSUM]), u32_at(&sb, CHECKSUM));
        assert_eq!(sb[512..], before[512..]);
    }
}
