// SPDX-License-Identifier: PMPL-1.0-or-later
//! Growing to the size of the device, group by group, each step one operation.

use crate::bytes::{put32, split_at, u32_at};
use crate::group::{Bitmap, Group, INODE_UNINIT, fresh_bitmap, set_bit};
use crate::make::{usable, write_backups};
use crate::store::{editable, zeroed};
use crate::superblock::{self as sb, DESCRIPTOR_BYTES, DESCRIPTORS_PER_BLOCK, Layout};
use crate::{Error, Ext4, Result};
use alloc::rc::Rc;
use blocks::BlockWrite;

impl<D: BlockWrite> Ext4<D> {
    /// Takes into use what the device has behind the end; returns the blocks gained. Durable when it returns.
    pub fn grow(&mut self) -> Result<u64> {
        let before = self.layout.blocks;
        let target = usable(&self.layout, self.store.device.block_count());
        while self.layout.blocks < target {
            let full = self.layout.group_blocks(self.layout.groups - 1) == self.layout.blocks_per_group;
            let groups = self.layout.groups + u32::from(full);
            let blocks = (u64::from(groups) * u64::from(self.layout.blocks_per_group)).min(target);
            let layout = self.layout.grown(blocks, groups);
            self.operation(|fs| fs.grow_to(&layout, full))?;
            self.layout = layout;
        }
        if before == self.layout.blocks {
            return Ok(0);
        }
        self.sync()?;
        let block = self.block0()?;
        write_backups(&mut self.store.device, &self.layout, sb::of(&block))?;
        self.store.flush()?;
        Ok(self.layout.blocks - before)
    }

    /// One step: the last group becomes longer, or a new one is added.
    fn grow_to(&mut self, layout: &Layout, new: bool) -> Result<()> {
        let number = layout.groups - 1;
        let gained = if new { self.add_group(layout, number)? } else { self.lengthen(layout, number)? };
        let (blocks, inodes) = (layout.blocks, layout.inodes());
        let new_inodes = if new { layout.inodes_per_group } else { 0 };
        self.change_superblock(|sb| {
            let free = split_at(sb, sb::FREE_BLOCKS, sb::FREE_BLOCKS_HIGH) + u64::from(gained);
            let free_inodes = u32_at(sb, sb::FREE_INODES) + new_inodes;
            let fields = [(0x00, inodes), (0x04, blocks as u32), (0x150, (blocks >> 32) as u32)];
            fields.into_iter().for_each(|(at, value)| put32(sb, at, value));
            put32(sb, sb::FREE_BLOCKS, free as u32);
            put32(sb, sb::FREE_BLOCKS_HIGH, (free >> 32) as u32);
            put32(sb, sb::FREE_INODES, free_inodes);
        })
    }

    fn lengthen(&mut self, layout: &Layout, number: u32) -> Result<u32> {
        let mut group = self.group(number)?;
        let mut map = self.bitmap(number, &group, Bitmap::Blocks)?;
        let (from, to) = (self.layout.group_blocks(number), layout.group_blocks(number));
        (from..to).for_each(|at| set_bit(editable(&mut map), at, false));
        self.put_bitmap(&mut group, Bitmap::Blocks, map);
        group.set_free_blocks(group.free_blocks() + (to - from));
        self.put_group(number, group)?;
        Ok(to - from)
    }

    fn add_group(&mut self, layout: &Layout, number: u32) -> Result<u32> {
        if layout.descriptor_block(number) < layout.group_start(number / DESCRIPTORS_PER_BLOCK * DESCRIPTORS_PER_BLOCK) {
            return Err(Error::Unsupported("growing without meta_bg"));
        }
        let start = layout.group_start(number) + u64::from(layout.head_blocks(number));
        let mut group = Group { raw: [0; DESCRIPTOR_BYTES] };
        group.set_places(start, start + 1, start + 2);
        let free = layout.group_blocks(number) - layout.head_blocks(number) - 2 - layout.table_blocks();
        group.set_free_blocks(free);
        group.set_free_inodes(layout.inodes_per_group);
        group.set_unused_inodes(layout.inodes_per_group);
        group.set_flags(INODE_UNINIT);
        let map = fresh_bitmap(layout, number, &group, Bitmap::Blocks);
        self.put_bitmap(&mut group, Bitmap::Blocks, Rc::new(map));
        group.seal(layout, number);
        let place = layout.descriptor_block(number);
        let mut block = match number.is_multiple_of(DESCRIPTORS_PER_BLOCK) {
            true => Rc::new(zeroed()),
            false => self.store.read(place, "a group descriptor", |_| true)?,
        };
        let at = (number % DESCRIPTORS_PER_BLOCK) as usize * DESCRIPTOR_BYTES;
        crate::bytes::put(editable(&mut block), at, &group.raw);
        // Its copies in the second and the last group of the same block of descriptors.
        let first = number / DESCRIPTORS_PER_BLOCK * DESCRIPTORS_PER_BLOCK;
        for copy in [first, first + 1, first + DESCRIPTORS_PER_BLOCK - 1].into_iter().filter(|copy| *copy <= number) {
            self.store.write(layout.group_start(copy) + u64::from(layout.has_super(copy)), block.clone());
        }
        Ok(free)
    }
}
