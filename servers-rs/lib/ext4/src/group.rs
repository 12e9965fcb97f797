// SPDX-License-Identifier: PMPL-1.0-or-later
//! Block groups: descriptors and bitmaps, with their checksums.

use crate::bytes::{crc32c, part, put16, put32, split_at, u16_at};
use crate::store::{Block, editable, zeroed};
use crate::superblock::{DESCRIPTOR_BYTES, DESCRIPTORS_PER_BLOCK, Layout};
use crate::{BLOCK, Error, Ext4, Result};
use alloc::boxed::Box;
use alloc::rc::Rc;
use blocks::BlockWrite;

pub const INODE_UNINIT: u16 = 1;
pub const BLOCK_UNINIT: u16 = 2;
const CHECKSUM: usize = 0x1e;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bitmap {
    Blocks,
    Inodes,
}

/// A descriptor: what is where, and how much of it is free.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub raw: [u8; DESCRIPTOR_BYTES],
}

impl Group {
    pub fn bitmap(&self, of: Bitmap) -> u64 {
        match of {
            Bitmap::Blocks => split_at(&self.raw, 0x00, 0x20),
            Bitmap::Inodes => split_at(&self.raw, 0x04, 0x24),
        }
    }
    pub fn table(&self) -> u64 {
        split_at(&self.raw, 0x08, 0x28)
    }
    fn halves(&self, low: usize, high: usize) -> u32 {
        u32::from(u16_at(&self.raw, low)) | u32::from(u16_at(&self.raw, high)) << 16
    }
    fn set_halves(&mut self, low: usize, high: usize, value: u32) {
        put16(&mut self.raw, low, value as u16);
        put16(&mut self.raw, high, (value >> 16) as u16);
    }
    pub fn free_blocks(&self) -> u32 {
        self.halves(0x0c, 0x2c)
    }
    pub fn free_inodes(&self) -> u32 {
        self.halves(0x0e, 0x2e)
    }
    pub fn directories(&self) -> u32 {
        self.halves(0x10, 0x30)
    }
    /// Inodes at the end of the table that were never used.
    pub fn unused_inodes(&self) -> u32 {
        self.halves(0x1c, 0x32)
    }
    pub fn flags(&self) -> u16 {
        u16_at(&self.raw, 0x12)
    }
    pub fn set_free_blocks(&mut self, n: u32) {
        self.set_halves(0x0c, 0x2c, n);
    }
    pub fn set_free_inodes(&mut self, n: u32) {
        self.set_halves(0x0e, 0x2e, n);
    }
    pub fn set_directories(&mut self, n: u32) {
        self.set_halves(0x10, 0x30, n);
    }
    pub fn set_unused_inodes(&mut self, n: u32) {
        self.set_halves(0x1c, 0x32, n);
    }
    pub fn set_flags(&mut self, flags: u16) {
        put16(&mut self.raw, 0x12, flags);
    }
    pub fn set_places(&mut self, blocks: u64, inodes: u64, table: u64) {
        for (at, value) in [(0x00, blocks), (0x04, inodes), (0x08, table)] {
            put32(&mut self.raw, at, value as u32);
            put32(&mut self.raw, at + 0x20, (value >> 32) as u32);
        }
    }
    pub fn set_bitmap_checksum(&mut self, of: Bitmap, sum: u32) {
        match of {
            Bitmap::Blocks => self.set_halves(0x18, 0x38, sum),
            Bitmap::Inodes => self.set_halves(0x1a, 0x3a, sum),
        }
    }
    fn bitmap_checksum(&self, of: Bitmap) -> u32 {
        match of {
            Bitmap::Blocks => self.halves(0x18, 0x38),
            Bitmap::Inodes => self.halves(0x1a, 0x3a),
        }
    }
    pub fn checksum(&self, layout: &Layout, number: u32) -> u16 {
        let crc = crc32c(crc32c(layout.seed, &number.to_le_bytes()), part(&self.raw, 0, CHECKSUM));
        crc32c(crc32c(crc, &[0; 2]), part(&self.raw, CHECKSUM + 2, DESCRIPTOR_BYTES - CHECKSUM - 2)) as u16
    }
    pub fn seal(&mut self, layout: &Layout, number: u32) {
        let sum = self.checksum(layout, number);
        put16(&mut self.raw, CHECKSUM, sum);
    }
}

/// Bytes of a bitmap that its checksum covers.
pub fn covered(layout: &Layout, of: Bitmap) -> usize {
    let bits = if of == Bitmap::Blocks { layout.blocks_per_group } else { layout.inodes_per_group };
    bits as usize / 8
}

pub fn bit(map: &[u8], at: u32) -> bool {
    map.get(at as usize / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}
pub fn set_bit(map: &mut [u8], at: u32, on: bool) {
    if let Some(byte) = map.get_mut(at as usize / 8) {
        *byte = if on { *byte | 1 << (at % 8) } else { *byte & !(1 << (at % 8)) };
    }
}

impl<D: BlockWrite> Ext4<D> {
    pub(crate) fn group(&mut self, number: u32) -> Result<Group> {
        let block = self.descriptors(number)?;
        let at = (number % DESCRIPTORS_PER_BLOCK) as usize * DESCRIPTOR_BYTES;
        let raw = part(&block, at, DESCRIPTOR_BYTES).try_into().map_err(|_| Error::Corrupt("a group descriptor"))?;
        Ok(Group { raw })
    }
    fn descriptors(&mut self, number: u32) -> Result<Block> {
        if number >= self.layout.groups {
            return Err(Error::Corrupt("a group that is not there"));
        }
        let first = number / DESCRIPTORS_PER_BLOCK * DESCRIPTORS_PER_BLOCK;
        let layout = &self.layout;
        let check = |bytes: &[u8]| {
            bytes.as_chunks::<DESCRIPTOR_BYTES>().0.iter().zip(first..layout.groups).all(|(raw, number)| {
                let group = Group { raw: *raw };
                let end = |at: u64, length: u64| at.checked_add(length).is_some_and(|end| end <= layout.blocks);
                group.checksum(layout, number) == u16_at(raw, CHECKSUM)
                    && end(group.table(), u64::from(layout.table_blocks()))
                    && end(group.bitmap(Bitmap::Blocks), 1)
                    && end(group.bitmap(Bitmap::Inodes), 1)
            })
        };
        self.store.read(layout.descriptor_block(number), "a group descriptor", check)
    }
    pub(crate) fn put_group(&mut self, number: u32, mut group: Group) -> Result<()> {
        group.seal(&self.layout, number);
        let mut block = self.descriptors(number)?;
        let at = (number % DESCRIPTORS_PER_BLOCK) as usize * DESCRIPTOR_BYTES;
        crate::bytes::put(editable(&mut block), at, &group.raw);
        self.store.write(self.layout.descriptor_block(number), block);
        Ok(())
    }

    /// A bitmap; one that was never written is made up as it would be.
    pub(crate) fn bitmap(&mut self, number: u32, group: &Group, of: Bitmap) -> Result<Block> {
        let uninit = if of == Bitmap::Blocks { BLOCK_UNINIT } else { INODE_UNINIT };
        if group.flags() & uninit != 0 {
            return Ok(Rc::new(fresh_bitmap(&self.layout, number, group, of)));
        }
        let (sum, seed, length) = (group.bitmap_checksum(of), self.layout.seed, covered(&self.layout, of));
        let check = |bytes: &[u8]| crc32c(seed, part(bytes, 0, length)) == sum;
        self.store.read(group.bitmap(of), "a bitmap", check)
    }
    /// Writes the bitmap and puts its checksum into `group`, which the caller puts back.
    pub(crate) fn put_bitmap(&mut self, group: &mut Group, of: Bitmap, bytes: Block) {
        let uninit = if of == Bitmap::Blocks { BLOCK_UNINIT } else { INODE_UNINIT };
        group.set_flags(group.flags() & !uninit);
        group.set_bitmap_checksum(of, crc32c(self.layout.seed, part(&bytes, 0, covered(&self.layout, of))));
        self.store.write(group.bitmap(of), bytes);
    }
}

/// The bitmap of a group in which nothing but its own metadata is in use; bits behind the end are set.
pub fn fresh_bitmap(layout: &Layout, number: u32, group: &Group, of: Bitmap) -> Box<[u8]> {
    let mut map = zeroed();
    let used_from = match of {
        Bitmap::Inodes => layout.inodes_per_group,
        Bitmap::Blocks => {
            (0..layout.head_blocks(number)).for_each(|at| set_bit(&mut map, at, true));
            let start = layout.group_start(number);
            let mut mark = |block: u64| {
                if let Some(at) = block.checked_sub(start).filter(|at| *at < u64::from(layout.blocks_per_group)) {
                    set_bit(&mut map, at as u32, true);
                }
            };
            mark(group.bitmap(Bitmap::Blocks));
            mark(group.bitmap(Bitmap::Inodes));
            (0..u64::from(layout.table_blocks())).for_each(|at| mark(group.table() + at));
            layout.group_blocks(number)
        }
    };
    (used_from..8 * BLOCK as u32).for_each(|at| set_bit(&mut map, at, true));
    map
}
