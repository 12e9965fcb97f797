// SPDX-License-Identifier: PMPL-1.0-or-later
//! An open file description: what descriptors that were duplicated or inherited share (open(2)).

use super::file::File;
use super::inode::{Inode, Stat};
use super::locks::LockOwner;
use super::mount::Place;
use crate::errno::{EBADF, ENXIO, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use linux_raw_sys::general as raw;
use spin::Mutex;

/// The name under which something that is no directory was opened.
pub struct Named {
    pub directory: Place,
    pub name: Vec<u8>,
}

pub struct OpenFile {
    pub file: Arc<dyn File>,
    /// Where it was found; sockets and the like have none.
    pub place: Option<Place>,
    pub named: Option<Named>,
    /// O_ACCMODE, O_PATH, O_DIRECTORY and the rest that never changes.
    fixed: u32,
    /// What F_SETFL changes.
    status: AtomicU32,
    position: Mutex<u64>,
    /// F_SETOWN, F_SETSIG.
    pub owner: AtomicI32,
    pub signal: AtomicU32,
    /// Tells it from all others, for locks.
    pub id: u64,
}

/// Flags that F_SETFL sets.
pub const SETTABLE: u32 = raw::O_APPEND | raw::O_NONBLOCK | raw::O_DIRECT | raw::O_NOATIME | raw::FASYNC;
/// Flags that are done with when the file is open.
const SPENT: u32 = raw::O_CREAT | raw::O_EXCL | raw::O_NOCTTY | raw::O_TRUNC | raw::O_CLOEXEC;

impl OpenFile {
    pub fn new(file: Arc<dyn File>, place: Option<Place>, named: Option<Named>, flags: u32) -> Arc<OpenFile> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(OpenFile {
            file,
            place,
            named,
            fixed: flags & !SETTABLE & !SPENT,
            status: AtomicU32::new(flags & SETTABLE),
            position: Mutex::new(0),
            owner: AtomicI32::new(0),
            signal: AtomicU32::new(0),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }
    /// What has no name.
    pub fn unnamed(file: Arc<dyn File>, flags: u32) -> Arc<OpenFile> {
        OpenFile::new(file, None, None, flags)
    }
    /// As F_GETFL says them.
    pub fn flags(&self) -> u32 {
        self.fixed | self.status.load(Ordering::Relaxed)
    }
    pub fn set_status(&self, flags: u32) {
        self.status.store(flags & SETTABLE, Ordering::Relaxed);
        self.file.set_flags(flags & SETTABLE);
    }
    pub fn is_nonblocking(&self) -> bool {
        self.flags() & raw::O_NONBLOCK != 0
    }
    pub fn is_path_only(&self) -> bool {
        self.fixed & raw::O_PATH != 0
    }
    /// Errors: `EBADF`.
    pub fn to_read(&self) -> Result<()> {
        if self.fixed & (raw::O_WRONLY | raw::O_PATH) == 0 { Ok(()) } else { Err(EBADF) }
    }
    /// Errors: `EBADF`.
    pub fn to_write(&self) -> Result<()> {
        let writes = self.fixed & raw::O_ACCMODE != raw::O_RDONLY && !self.is_path_only();
        if writes { Ok(()) } else { Err(EBADF) }
    }
    /// Held while a read or a write moves it.
    pub fn position(&self) -> spin::MutexGuard<'_, u64> {
        self.position.lock()
    }
    pub fn inode(&self) -> Option<&Arc<dyn Inode>> {
        self.place.as_ref().map(|place| &place.inode)
    }
    pub fn stat(&self) -> Result<Stat> {
        self.inode().map_or_else(|| self.file.stat(), |inode| inode.stat())
    }
    /// Reads at an offset, for exec: the caller may read it. Returns bytes read; fewer than asked only at the end.
    pub fn read_at(&self, caller: &super::Caller<'_>, mut offset: u64, into: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let mut sink = super::sink::SliceSink::new(&mut into[done..]);
            match self.file.read(caller, offset, &mut sink)? {
                0 => break,
                n => (done, offset) = (done + n, offset + n as u64),
            }
        }
        Ok(done)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(locks) = self.inode().and_then(|inode| inode.locks()) {
            locks.release(LockOwner::OpenFile(self.id));
        }
    }
}

/// SEEK_DATA and SEEK_HOLE of what has no holes. Errors: `ENXIO`.
pub fn seek_in_solid<F: File + ?Sized>(file: &F, offset_bytes: u64, found: u64) -> Result<u64> {
    if offset_bytes < file.size_bytes()? { Ok(found) } else { Err(ENXIO) }
}
