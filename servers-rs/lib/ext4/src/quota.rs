// SPDX-License-Identifier: PMPL-1.0-or-later
//! Quotas of subtrees. A subtree is an ext4 project: what is made below its root belongs to it. The limits are an attribute of the
//! root; what is used is counted at mount from the inodes in use and kept in memory, so it cannot go stale.

use crate::group::{Bitmap, INODE_UNINIT, bit};
use crate::inode::{FLAG_PROJECT, Inode};
use crate::xattr::XattrSet;
use crate::{BLOCK, Error, Ext4, Result};
use blocks::BlockWrite;

/// Attribute of a subtree's root: bytes u64, inodes u64; 0 is no limit.
const ATTRIBUTE: &[u8] = b"trusted.flatracoon.quota";

/// Limits of a subtree; 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    pub bytes: u64,
    pub inodes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    pub limit: Quota,
    pub blocks: u64,
    pub inodes: u64,
}

impl Account {
    fn blocks_left(&self) -> u64 {
        match self.limit.bytes {
            0 => u64::MAX,
            bytes => (bytes / BLOCK as u64).saturating_sub(self.blocks),
        }
    }
}

impl<D: BlockWrite> Ext4<D> {
    /// Makes `directory`, which must be empty, the root of a subtree with its own limits, or changes the limits of one.
    /// What is below a root does not count in the subtree around it.
    pub fn set_quota(&mut self, directory: u32, quota: Quota) -> Result<()> {
        let inode = self.directory(directory)?;
        if inode.project() != directory && !self.is_empty(&inode)? {
            return Err(Error::NotEmpty);
        }
        let mut value = [0; 16];
        crate::bytes::put(&mut value, 0, &quota.bytes.to_le_bytes());
        crate::bytes::put(&mut value, 8, &quota.inodes.to_le_bytes());
        self.set_attribute(directory, ATTRIBUTE, &value, XattrSet::Any)?;
        self.operation(|fs| {
            let mut inode = fs.directory(directory)?;
            if !inode.has_project() {
                return Err(Error::Unsupported("an inode without a project"));
            }
            if inode.project() != directory {
                let blocks = (inode.blocks_512() / 8) as i64;
                fs.count(inode.project(), -blocks, -1);
                // The number of its root's inode is a project that no other subtree has.
                inode.set_project(directory);
                inode.set_flags(inode.flags() | FLAG_PROJECT);
                fs.accounts.entry(directory).or_default();
                fs.count(directory, blocks, 1);
            }
            fs.put_inode(&mut inode)
        })?;
        self.accounts.entry(directory).or_default().limit = quota;
        Ok(())
    }

    /// Limits and use of a subtree, by its root.
    pub fn quota(&self, directory: u32) -> Option<(Quota, Quota)> {
        let account = self.accounts.get(&directory)?;
        Some((account.limit, Quota { bytes: account.blocks * BLOCK as u64, inodes: account.inodes }))
    }

    fn count(&mut self, project: u32, blocks: i64, inodes: i64) {
        if let Some(account) = self.accounts.get_mut(&project) {
            account.blocks = account.blocks.saturating_add_signed(blocks);
            account.inodes = account.inodes.saturating_add_signed(inodes);
            self.counted.push((project, blocks, inodes));
        }
    }
    /// The operation failed: its counts never were.
    pub(crate) fn uncount(&mut self) {
        for (project, blocks, inodes) in core::mem::take(&mut self.counted) {
            if let Some(account) = self.accounts.get_mut(&project) {
                account.blocks = account.blocks.saturating_add_signed(-blocks);
                account.inodes = account.inodes.saturating_add_signed(-inodes);
            }
        }
    }

    /// How many of `want` blocks the inode's subtree may still have.
    pub(crate) fn charge_blocks(&mut self, inode: &Inode, want: u32) -> Result<u32> {
        let left = self.accounts.get(&inode.project()).map_or(u64::MAX, Account::blocks_left);
        match left.min(u64::from(want)) as u32 {
            0 => Err(Error::Quota),
            some => Ok(some),
        }
    }
    pub(crate) fn charged(&mut self, inode: &mut Inode, blocks: i64) -> Result<()> {
        let now = inode.blocks_512().checked_add_signed(blocks * 8).ok_or(Error::Corrupt("the blocks of an inode"))?;
        inode.set_blocks_512(now);
        self.count(inode.project(), blocks, 0);
        Ok(())
    }
    pub(crate) fn charge_inode(&mut self, inode: &Inode) -> Result<()> {
        let full = |a: &Account| a.limit.inodes != 0 && a.inodes >= a.limit.inodes;
        if self.accounts.get(&inode.project()).is_some_and(full) {
            return Err(Error::Quota);
        }
        self.count(inode.project(), 0, 1);
        Ok(())
    }
    pub(crate) fn uncharge_inode(&mut self, inode: &Inode) {
        self.count(inode.project(), 0, -1);
        if inode.project() == inode.number {
            self.accounts.remove(&inode.number);
        }
    }

    /// Reads all inodes in use; for a mount.
    pub(crate) fn count_all(&mut self) -> Result<()> {
        for number in 0..self.layout.groups {
            let group = self.group(number)?;
            if group.flags() & INODE_UNINIT != 0 {
                continue;
            }
            let map = self.bitmap(number, &group, Bitmap::Inodes)?;
            let used = self.layout.inodes_per_group.saturating_sub(group.unused_inodes());
            for at in (0..used).filter(|at| bit(&map, *at)) {
                let inode = self.raw_inode(number * self.layout.inodes_per_group + at + 1)?;
                if inode.project() == 0 {
                    continue;
                }
                let account = self.accounts.entry(inode.project()).or_default();
                account.blocks += inode.blocks_512() / 8;
                account.inodes += 1;
                if inode.project() == inode.number && inode.is_directory() && inode.links() > 0 {
                    let value = self.attribute(inode.number, ATTRIBUTE)?;
                    let limit = |at| crate::bytes::split_at(&value, at, at + 4);
                    let limit = Quota { bytes: limit(0), inodes: limit(8) };
                    self.accounts.entry(inode.number).or_default().limit = limit;
                }
            }
        }
        Ok(())
    }
}
