// SPDX-License-Identifier: PMPL-1.0-or-later
//! Giving out blocks and inodes, and taking them back; counters in descriptor and superblock go with them.

use crate::bytes::{put32, split_at, u32_at};
use crate::group::{Bitmap, bit, set_bit};
use crate::inode::Inode;
use crate::store::editable;
use crate::superblock as sb;
use crate::{Error, Ext4, Result};
use blocks::BlockWrite;

/// Groups searched for a run of the wanted length before a shorter one will do.
const PATIENCE: u32 = 16;

impl<D: BlockWrite> Ext4<D> {
    /// Up to `want` blocks in a row, near `goal`, charged to `inode`. At least one.
    pub(crate) fn allocate_blocks(&mut self, inode: &mut Inode, goal: u64, want: u32) -> Result<(u64, u32)> {
        let want = self.charge_blocks(inode, want)?;
        let layout = self.layout.clone();
        let goal = if goal < layout.blocks { goal } else { 0 };
        let home = (goal / u64::from(layout.blocks_per_group)) as u32;
        let mut best: Option<(u32, u32, u32)> = None;
        let mut searched = 0;
        for step in 0..layout.groups {
            let number = (home + step) % layout.groups;
            let group = self.group(number)?;
            if group.free_blocks() == 0 {
                continue;
            }
            let mut map = self.bitmap(number, &group, Bitmap::Blocks)?;
            let start = layout.group_start(number);
            let resting = self.store.resting(start, start + u64::from(layout.blocks_per_group));
            if !resting.is_empty() {
                let copy = editable(&mut map);
                resting.iter().flat_map(|(from, to)| *from..*to).for_each(|block| set_bit(copy, (block - start) as u32, true));
            }
            let from = if step == 0 { (goal - start) as u32 } else { 0 };
            if let Some((at, length)) = run(&map, from, layout.group_blocks(number), want)
                && best.is_none_or(|(_, _, most)| length > most)
            {
                best = Some((number, at, length));
            }
            searched += 1;
            if best.is_some_and(|(_, _, length)| length >= want || searched >= PATIENCE) {
                break;
            }
        }
        let (number, at, length) = best.ok_or(Error::NoSpace)?;
        self.mark_blocks(number, at, length, true)?;
        self.charged(inode, i64::from(length))?;
        Ok((layout.group_start(number) + u64::from(at), length))
    }

    pub(crate) fn free_blocks(&mut self, inode: &mut Inode, start: u64, length: u32) -> Result<()> {
        let (mut at, mut left) = (start, length);
        if start == 0 || start.checked_add(u64::from(length)).is_none_or(|end| end > self.layout.blocks) {
            return Err(Error::Corrupt("blocks that are not there"));
        }
        while left > 0 {
            let number = (at / u64::from(self.layout.blocks_per_group)) as u32;
            let first = (at - self.layout.group_start(number)) as u32;
            let count = left.min(self.layout.blocks_per_group - first);
            self.mark_blocks(number, first, count, false)?;
            self.store.freed(at, count);
            (at, left) = (at + u64::from(count), left - count);
        }
        self.charged(inode, -i64::from(length))
    }

    fn mark_blocks(&mut self, number: u32, first: u32, count: u32, used: bool) -> Result<()> {
        let mut group = self.group(number)?;
        let mut map = self.bitmap(number, &group, Bitmap::Blocks)?;
        let bytes = editable(&mut map);
        for at in first..first + count {
            if bit(bytes, at) == used {
                return Err(Error::Corrupt("a block that is used twice or freed twice"));
            }
            set_bit(bytes, at, used);
        }
        self.put_bitmap(&mut group, Bitmap::Blocks, map);
        let free = if used { group.free_blocks().checked_sub(count) } else { group.free_blocks().checked_add(count) };
        group.set_free_blocks(free.ok_or(Error::Corrupt("the count of free blocks"))?);
        self.put_group(number, group)?;
        self.change_superblock(|sb| {
            let free = split_at(sb, sb::FREE_BLOCKS, sb::FREE_BLOCKS_HIGH);
            let free = if used { free.saturating_sub(u64::from(count)) } else { free + u64::from(count) };
            put32(sb, sb::FREE_BLOCKS, free as u32);
            put32(sb, sb::FREE_BLOCKS_HIGH, (free >> 32) as u32);
        })
    }

    /// A free inode near `parent`; its content is the caller's to write.
    pub(crate) fn allocate_inode(&mut self, parent: u32, directory: bool) -> Result<u32> {
        let per_group = self.layout.inodes_per_group;
        let home = parent.saturating_sub(1) / per_group;
        for step in 0..self.layout.groups {
            let number = (home + step) % self.layout.groups;
            let mut group = self.group(number)?;
            if group.free_inodes() == 0 {
                continue;
            }
            let mut map = self.bitmap(number, &group, Bitmap::Inodes)?;
            let reserved = if number == 0 { self.layout.first_inode - 1 } else { 0 };
            let Some((at, _)) = run(&map, reserved, per_group, 1) else { continue };
            set_bit(editable(&mut map), at, true);
            self.put_bitmap(&mut group, Bitmap::Inodes, map);
            group.set_free_inodes(group.free_inodes() - 1);
            group.set_unused_inodes(group.unused_inodes().min(per_group - at - 1));
            if directory {
                group.set_directories(group.directories() + 1);
            }
            self.put_group(number, group)?;
            self.change_superblock(|sb| put32(sb, sb::FREE_INODES, u32_at(sb, sb::FREE_INODES).saturating_sub(1)))?;
            return Ok(number * per_group + at + 1);
        }
        Err(Error::NoSpace)
    }

    pub(crate) fn free_inode(&mut self, inode: u32, directory: bool) -> Result<()> {
        let per_group = self.layout.inodes_per_group;
        let (number, at) = (inode.saturating_sub(1) / per_group, inode.saturating_sub(1) % per_group);
        let mut group = self.group(number)?;
        let mut map = self.bitmap(number, &group, Bitmap::Inodes)?;
        if inode < self.layout.first_inode || !bit(&map, at) {
            return Err(Error::Corrupt("an inode that is freed twice"));
        }
        set_bit(editable(&mut map), at, false);
        self.put_bitmap(&mut group, Bitmap::Inodes, map);
        group.set_free_inodes(group.free_inodes().saturating_add(1));
        if directory {
            group.set_directories(group.directories().saturating_sub(1));
        }
        self.put_group(number, group)?;
        self.change_superblock(|sb| put32(sb, sb::FREE_INODES, u32_at(sb, sb::FREE_INODES).saturating_add(1)))
    }
}

/// The first run of `want` clear bits from `from` on, or the longest shorter one; the search goes round once.
fn run(map: &[u8], from: u32, bits: u32, want: u32) -> Option<(u32, u32)> {
    let mut best: Option<(u32, u32)> = None;
    for (begin, end) in [(from, bits), (0, from.min(bits))] {
        let mut at = begin;
        while at < end {
            // Eight full bits in one step.
            if at.is_multiple_of(8) && map.get(at as usize / 8) == Some(&0xff) {
                at += 8;
                continue;
            }
            if bit(map, at) {
                at += 1;
                continue;
            }
            let first = at;
            while at < end && at - first < want && !bit(map, at) {
                at += 1;
            }
            let length = at - first;
            if length >= want {
                return Some((first, length));
            }
            if best.is_none_or(|(_, most)| length > most) {
                best = Some((first, length));
            }
        }
    }
    best
}
