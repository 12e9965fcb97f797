// SPDX-License-Identifier: PMPL-1.0-or-later
//! The orphan list: inodes that have lost their last name, or whose end is being cut off. The superblock names the first, each
//! inode's deletion time the next. Freeing much takes many transactions; after a power cut the next mount goes on with it.

use crate::bytes::{put32, u32_at};
use crate::file::STEP_EXTENTS;
use crate::inode::{INODE_FREED, Inode};
use crate::superblock::LAST_ORPHAN;
use crate::{Error, Ext4, Result};
use blocks::BlockWrite;

impl<D: BlockWrite> Ext4<D> {
    pub(crate) fn first_orphan(&mut self) -> Result<u32> {
        Ok(u32_at(crate::superblock::of(&self.block0()?), LAST_ORPHAN))
    }
    pub(crate) fn on_orphan_list(&mut self, number: u32) -> Result<bool> {
        let mut at = self.first_orphan()?;
        for _ in 0..self.layout.inodes() {
            match at {
                0 => return Ok(false),
                _ if at == number => return Ok(true),
                _ => at = self.orphan_inode(at)?.dtime(),
            }
        }
        Err(Error::Corrupt("a circle of orphans"))
    }
    /// The caller puts the inode back.
    pub(crate) fn add_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        inode.set_dtime(self.first_orphan()?);
        let number = inode.number;
        self.change_superblock(|sb| put32(sb, LAST_ORPHAN, number))
    }
    /// The caller puts the inode back.
    pub(crate) fn remove_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        let (number, next) = (inode.number, inode.dtime());
        inode.set_dtime(0);
        let mut at = self.first_orphan()?;
        if at == number {
            return self.change_superblock(|sb| put32(sb, LAST_ORPHAN, next));
        }
        for _ in 0..self.layout.inodes() {
            let mut before = self.orphan_inode(at)?;
            if before.dtime() == number {
                before.set_dtime(next);
                return self.put_inode(&mut before);
            }
            at = before.dtime();
        }
        Err(Error::Corrupt("a circle of orphans"))
    }

    /// An open file stays, whatever happens to its names, until it is released as often as it was held.
    pub fn hold(&mut self, number: u32) -> Result<()> {
        self.inode(number)?;
        *self.held.entry(number).or_insert(0) += 1;
        Ok(())
    }
    /// Holds a file that had lost its last name when the file system was mounted; nothing if it is no such file.
    fn hold_orphan(&mut self, number: u32) -> Result<()> {
        if self.on_orphan_list(number)? && self.orphan_inode(number)?.links() == 0 {
            self.held.insert(number, 1);
        }
        Ok(())
    }
    /// If it was the last hold on a file without a name, the file is freed.
    pub fn release(&mut self, number: u32) {
        let Some(count) = self.held.get_mut(&number) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.held.remove(&number);
        if self.raw_inode(number).is_ok_and(|inode| inode.links() == 0) {
            self.forget_inode(Some(number));
        }
    }
    pub(crate) fn held(&self, number: u32) -> bool {
        self.held.contains_key(&number)
    }

    /// Frees an inode that lost its last name, unless it is open. If that fails it stays on the list, to be freed later.
    pub(crate) fn forget_inode(&mut self, gone: Option<u32>) {
        if let Some(number) = gone.filter(|number| !self.held(*number)) {
            let _ = self.delete(number);
        }
    }

    fn delete(&mut self, number: u32) -> Result<()> {
        loop {
            let done = self.operation(|fs| {
                let mut inode = fs.orphan_inode(number)?;
                let has_blocks = inode.flags() & crate::inode::FLAG_EXTENTS != 0;
                if has_blocks && !fs.remove_extents(&mut inode, 0, 1 << 32, STEP_EXTENTS)? {
                    fs.put_inode(&mut inode)?;
                    return Ok(false);
                }
                fs.drop_attribute_block(&mut inode)?;
                fs.remove_orphan(&mut inode)?;
                fs.free_inode(number, inode.is_directory())?;
                fs.uncharge_inode(&inode);
                // Only the generation stays, for the next that has this number.
                let mut empty = Inode { number, raw: INODE_FREED };
                put32(&mut empty.raw, 0x64, inode.generation());
                fs.put_inode(&mut empty)?;
                Ok(true)
            })?;
            if done {
                return Ok(());
            }
        }
    }

    /// After a mount: finishes what was cut off, but for files that are `open`.
    pub(crate) fn clean_orphans(&mut self, open: &[u32]) -> Result<()> {
        open.iter().try_for_each(|number| self.hold_orphan(*number))?;
        for _ in 0..self.layout.inodes() {
            let mut number = self.first_orphan()?;
            while number != 0 && self.held(number) {
                number = self.orphan_inode(number)?.dtime();
            }
            if number == 0 {
                return Ok(());
            }
            match self.orphan_inode(number)?.links() {
                0 => self.delete(number)?,
                _ => self.finish_truncate(number)?,
            }
        }
        Err(Error::Corrupt("a circle of orphans"))
    }
}
