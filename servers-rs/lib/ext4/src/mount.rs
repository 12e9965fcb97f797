// SPDX-License-Identifier: PMPL-1.0-or-later
//! Mounting, unmounting, making durable, and the frame of every operation.

use crate::inode::{Inode, Stat, Time};
use crate::journal::{Journal, Place};
use crate::quota::Account;
use crate::store::{Block, QUARANTINE_MAX, Store, editable, zeroed};
use crate::superblock::{self as sb, Layout};
use crate::{Error, Result};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use blocks::BlockWrite;

/// Metadata blocks that one operation may change: a rename between two indexed directories, or 16 extents freed in as many groups.
const OPERATION_BLOCKS: usize = 80;
/// Runs of blocks that a journal may be made of.
const JOURNAL_RUNS_MAX: usize = 64;

/// A mounted file system. Inodes are named by number; [`crate::ROOT`] is the first.
#[derive(Debug)]
pub struct Ext4<D> {
    pub(crate) store: Store<D>,
    pub(crate) layout: Layout,
    pub(crate) now: Time,
    /// Open files: how often each is held.
    pub(crate) held: BTreeMap<u32, u32>,
    pub(crate) accounts: BTreeMap<u32, Account>,
    /// What the operation in hand has counted.
    pub(crate) counted: Vec<(u32, i64, i64)>,
}

/// What statfs(2) says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    pub blocks: u64,
    pub free_blocks: u64,
    pub inodes: u32,
    pub free_inodes: u32,
}

impl<D: BlockWrite> Ext4<D> {
    /// Replays the journal, frees what was half deleted, and is ready. `now` is the time of what follows.
    ///
    /// Errors: `Corrupt` and `Unsupported` with the reason; the device is given back by neither, and holds what it held,
    /// or the same with its journal replayed.
    pub fn mount(device: D, now: Time) -> Result<Ext4<D>> {
        Ext4::mount_again(device, now, &[])
    }
    /// As [`Ext4::mount`], by a server that takes over: of these files those that have no name left are held, since somebody has them open.
    pub fn mount_again(device: D, now: Time, open: &[u32]) -> Result<Ext4<D>> {
        let mut fs = Ext4::over(device, Journal::none(), now)?;
        let journal = fs.layout.journal_inode;
        let inode = fs.inode(journal)?;
        let runs = fs.runs(&inode)?;
        let mut device = fs.store.device;
        let journal = crate::recover::recover(&mut device, runs)?;
        let mut fs = Ext4::over(device, journal, now)?;
        fs.set_recover(true)?;
        fs.store.open_log()?;
        fs.count_all()?;
        fs.clean_orphans(open)?;
        Ok(fs)
    }

    fn over(mut device: D, journal: Journal, now: Time) -> Result<Ext4<D>> {
        let mut first = zeroed();
        device.read_blocks(0, &mut first)?;
        let layout = Layout::parse(sb::of(&first))?;
        if layout.blocks > device.block_count() {
            return Err(Error::Corrupt("it is larger than its partition"));
        }
        let (held, accounts) = (BTreeMap::new(), BTreeMap::new());
        Ok(Ext4 { store: Store::new(device, journal), layout, now, held, accounts, counted: Vec::new() })
    }

    /// All blocks of a file without holes, in order.
    fn runs(&mut self, inode: &Inode) -> Result<Vec<(u64, u32)>> {
        let (mut runs, mut logical) = (Vec::new(), 0);
        while runs.len() < JOURNAL_RUNS_MAX {
            let Some(e) = self.extent_at(inode, logical)?.0 else { break };
            if e.physical.checked_add(u64::from(e.length)).is_none_or(|end| end > self.layout.blocks) || e.physical == 0 {
                return Err(Error::Corrupt("the blocks of the journal"));
            }
            runs.push((e.physical, e.length));
            logical = e.logical.saturating_add(e.length);
        }
        Ok(runs)
    }

    /// Changes the mark in the superblock, which is one sector, in place.
    fn set_recover(&mut self, needed: bool) -> Result<()> {
        let mut first = zeroed();
        self.store.device.read_blocks(0, &mut first)?;
        if let Some(superblock) = first.get_mut(sb::OFFSET..sb::OFFSET + 1024) {
            sb::mark_recover(superblock, needed);
            sb::balance(superblock);
        }
        self.store.device.write_blocks(0, &first)?;
        self.store.flush()
    }

    /// Makes all durable and leaves an empty journal, so that other systems see a clean file system. Gives the device back.
    pub fn unmount(mut self) -> Result<D> {
        self.held.clear();
        self.clean_orphans(&[])?;
        let seconds = self.seconds();
        self.store.close_log(seconds)?;
        self.set_recover(false)?;
        Ok(self.store.device)
    }

    /// Time of the operations that follow.
    pub fn set_time(&mut self, now: Time) {
        self.now = now;
    }
    fn seconds(&self) -> u64 {
        self.now.seconds.max(0) as u64
    }

    /// Returns when everything that succeeded before is on the medium: what fsync, fdatasync and sync mean here.
    pub fn sync(&mut self) -> Result<()> {
        let seconds = self.seconds();
        self.store.commit(seconds)
    }

    /// Runs `action` so that all it changes happens, or nothing. It may run twice: if no block is free, those that rest are
    /// released and it begins again.
    pub(crate) fn operation<T>(&mut self, action: impl Fn(&mut Self) -> Result<T>) -> Result<T> {
        let seconds = self.seconds();
        let room = self.store.journal.transaction_max().saturating_sub(OPERATION_BLOCKS);
        if self.store.running.len() > room {
            self.store.commit(seconds)?;
        }
        if self.store.quarantine.len() + self.store.running_freed.len() > QUARANTINE_MAX {
            self.store.release(seconds)?;
        }
        let mut result = action(self);
        if matches!(result, Err(Error::NoSpace)) && self.store.anything_rests() {
            self.undo();
            self.store.release(seconds)?;
            result = action(self);
        }
        match result {
            Ok(_) => {
                self.store.accept();
                self.counted.clear();
            }
            Err(_) => self.undo(),
        }
        result
    }
    fn undo(&mut self) {
        self.store.forget();
        self.uncount();
    }

    pub(crate) fn block0(&mut self) -> Result<Block> {
        self.store.read(0, "the superblock", |bytes| Layout::parse(sb::of(bytes)).is_ok())
    }
    pub(crate) fn change_superblock(&mut self, change: impl FnOnce(&mut [u8])) -> Result<()> {
        let mut block = self.block0()?;
        if let Some(superblock) = editable(&mut block).get_mut(sb::OFFSET..sb::OFFSET + 1024) {
            change(superblock);
        }
        self.store.write(0, block);
        Ok(())
    }

    /// What stat(2) says of an inode.
    pub fn stat(&mut self, number: u32) -> Result<Stat> {
        self.inode(number)?.stat()
    }

    /// Permission bits, as chmod(2).
    pub fn set_mode(&mut self, number: u32, mode: u16) -> Result<()> {
        self.change(number, |inode| inode.set_mode(mode))
    }
    /// User and group.
    pub fn set_owner(&mut self, number: u32, uid: u32, gid: u32) -> Result<()> {
        self.change(number, |inode| inode.set_owner(uid, gid))
    }
    /// Times of access and modification; `None` leaves one as it is.
    pub fn set_times(&mut self, number: u32, accessed: Option<Time>, modified: Option<Time>) -> Result<()> {
        self.change(number, |inode| {
            if let Some(time) = accessed {
                inode.accessed(time);
            }
            if let Some(time) = modified {
                inode.modified(time);
            }
        })
    }
    fn change(&mut self, number: u32, change: impl Fn(&mut Inode)) -> Result<()> {
        self.operation(|fs| {
            let mut inode = fs.inode(number)?;
            change(&mut inode);
            let now = fs.now;
            inode.changed(now);
            fs.put_inode(&mut inode)
        })
    }

    /// Blocks and inodes, in use and free.
    pub fn space(&mut self) -> Result<Space> {
        let block = self.block0()?;
        let superblock = sb::of(&block);
        Ok(Space {
            blocks: self.layout.blocks,
            free_blocks: crate::bytes::split_at(superblock, sb::FREE_BLOCKS, sb::FREE_BLOCKS_HIGH),
            inodes: self.layout.inodes(),
            free_inodes: crate::bytes::u32_at(superblock, sb::FREE_INODES),
        })
    }
}

impl Journal {
    /// Stands in until the journal is found; nothing is written through it.
    fn none() -> Journal {
        let start = Place { position: 0, sequence: 0 };
        Journal {
            runs: Vec::new(),
            first: 0,
            length: 0,
            superblock: Vec::new(),
            seed: 0,
            head: start,
            tail: start,
            last: start,
            wipe: None,
        }
    }
}
