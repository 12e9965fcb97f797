// SPDX-License-Identifier: PMPL-1.0-or-later
//! Descriptors of a process: what CLONE_FILES shares.

use super::open_file::OpenFile;
use crate::errno::{EBADF, EINVAL, EMFILE, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// As fs.nr_open of Linux: no table is longer, whatever the limits say.
pub const MAX_DESCRIPTORS: u64 = 1 << 20;

#[derive(Clone)]
struct Slot {
    file: Arc<OpenFile>,
    closes_on_exec: bool,
}

/// Whether execve(2) closes a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExec {
    Keep,
    Close,
}

impl OnExec {
    pub const fn from_cloexec(is_set: bool) -> OnExec {
        if is_set { OnExec::Close } else { OnExec::Keep }
    }
}

#[derive(Clone, Default)]
pub struct FileTable {
    slots: Vec<Option<Slot>>,
    /// No slot below is free.
    lowest: usize,
}

impl FileTable {
    pub fn new() -> FileTable {
        FileTable::default()
    }
    /// For a process that was forked: the same open files under the same numbers.
    pub fn fork_copy(&self) -> FileTable {
        self.clone()
    }
    /// Errors: `EBADF`.
    pub fn get(&self, fd: u32) -> Result<&Arc<OpenFile>> {
        self.slot(fd).map(|slot| &slot.file)
    }
    fn slot(&self, fd: u32) -> Result<&Slot> {
        self.slots.get(fd as usize).and_then(Option::as_ref).ok_or(EBADF)
    }
    /// The lowest free number not below `from`. Errors: `EMFILE`, `EINVAL` when `from` is beyond the limit.
    pub fn add(&mut self, file: Arc<OpenFile>, on_exec: OnExec, from: u32, limit: u64) -> Result<u32> {
        let limit = limit.min(MAX_DESCRIPTORS) as usize;
        if from as usize >= limit && from > 0 {
            return Err(EINVAL);
        }
        let mut at = self.lowest.max(from as usize);
        while self.slots.get(at).is_some_and(Option::is_some) {
            at += 1;
        }
        if at >= limit {
            return Err(EMFILE);
        }
        if from as usize <= self.lowest {
            self.lowest = at + 1;
        }
        self.put(at, file, on_exec);
        Ok(at as u32)
    }
    fn put(&mut self, at: usize, file: Arc<OpenFile>, on_exec: OnExec) -> Option<Arc<OpenFile>> {
        if self.slots.len() <= at {
            self.slots.resize(at + 1, None);
        }
        let slot = Slot { file, closes_on_exec: on_exec == OnExec::Close };
        self.slots[at].replace(slot).map(|old| old.file)
    }
    /// Under this very number; what was there is returned, to be closed. Errors: `EBADF` beyond the limit.
    pub fn set(&mut self, fd: u32, file: Arc<OpenFile>, on_exec: OnExec, limit: u64) -> Result<Option<Arc<OpenFile>>> {
        if u64::from(fd) >= limit.min(MAX_DESCRIPTORS) {
            return Err(EBADF);
        }
        Ok(self.put(fd as usize, file, on_exec))
    }
    /// Takes it out. Dropping what is returned may close the file: not while the table is locked.
    pub fn remove(&mut self, fd: u32) -> Result<Arc<OpenFile>> {
        let slot = self.slots.get_mut(fd as usize).and_then(Option::take).ok_or(EBADF)?;
        self.lowest = self.lowest.min(fd as usize);
        Ok(slot.file)
    }
    pub fn closes_on_exec(&self, fd: u32) -> Result<bool> {
        self.slot(fd).map(|slot| slot.closes_on_exec)
    }
    pub fn set_closes_on_exec(&mut self, fd: u32, closes: bool) -> Result<()> {
        let slot = self.slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(EBADF)?;
        slot.closes_on_exec = closes;
        Ok(())
    }
    /// Takes out what execve(2) closes.
    pub fn close_on_exec(&mut self) -> Vec<Arc<OpenFile>> {
        let closing: Vec<u32> = self.numbers().filter(|fd| self.closes_on_exec(*fd) == Ok(true)).collect();
        closing.into_iter().filter_map(|fd| self.remove(fd).ok()).collect()
    }
    /// Takes out everything: for a process that ends.
    pub fn clear(&mut self) -> Vec<Arc<OpenFile>> {
        let numbers: Vec<u32> = self.numbers().collect();
        numbers.into_iter().filter_map(|fd| self.remove(fd).ok()).collect()
    }
    /// The numbers that are in use, in order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(at, _)| at as u32)
    }
}
