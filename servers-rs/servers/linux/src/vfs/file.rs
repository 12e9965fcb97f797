// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is open: bytes go in and out of it, and it can be waited for.

use super::credentials::Caller;
use super::inode::{Inode, Stat};
use super::page::Page;
use super::sink::{Sink, Source};
use crate::errno::{EINVAL, EISDIR, ENODEV, ENOTTY, ESPIPE, Result};
use crate::user::UserMemory;
use crate::wait::Queue;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

/// Bits of poll(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Events(pub u32);

impl Events {
    pub const IN: Events = Events(linux_raw_sys::general::EPOLLIN | linux_raw_sys::general::EPOLLRDNORM);
    pub const OUT: Events = Events(linux_raw_sys::general::EPOLLOUT | linux_raw_sys::general::EPOLLWRNORM);
    pub const PRIORITY: Events = Events(linux_raw_sys::general::EPOLLPRI);
    pub const ERROR: Events = Events(linux_raw_sys::general::EPOLLERR);
    pub const HANGUP: Events = Events(linux_raw_sys::general::EPOLLHUP);
    pub const READ_HANGUP: Events = Events(linux_raw_sys::general::EPOLLRDHUP);
    pub const ALWAYS: Events = Events(Events::IN.0 | Events::OUT.0);

    pub fn when(self, condition: bool) -> Events {
        if condition { self } else { Events(0) }
    }
}

impl core::ops::BitOr for Events {
    type Output = Events;
    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

/// What somebody waits for: that it can be read, or that it can be written. Both are woken when it hangs up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Input,
    Output,
}

/// Reads and writes answer `EAGAIN` where they would wait; whether that means waiting is the caller's matter.
#[allow(unused_variables)]
pub trait File: Any + Send + Sync {
    /// At `offset_bytes`, which only those with a position look at. 0 is the end.
    fn read(&self, caller: &Caller<'_>, offset_bytes: u64, into: &mut dyn Sink) -> Result<usize> {
        Err(EINVAL)
    }
    fn write(&self, caller: &Caller<'_>, offset_bytes: u64, from: &mut dyn Source) -> Result<usize> {
        Err(EINVAL)
    }
    /// Whether a write that may wait goes on until everything is written.
    fn writes_whole(&self) -> bool {
        false
    }
    /// Whether it has a position; lseek(2), pread(2) and pwrite(2) answer `ESPIPE` if not.
    fn has_position(&self) -> bool {
        false
    }
    /// For O_APPEND and SEEK_END.
    fn size_bytes(&self) -> Result<u64> {
        Err(ESPIPE)
    }
    /// The next data (or hole) at or behind `offset_bytes`. Errors: `ENXIO` behind the end.
    fn seek_data(&self, offset_bytes: u64) -> Result<u64> {
        super::open_file::seek_in_solid(self, offset_bytes, offset_bytes)
    }
    fn seek_hole(&self, offset_bytes: u64) -> Result<u64> {
        super::open_file::seek_in_solid(self, offset_bytes, self.size_bytes()?)
    }
    /// What can be done now without waiting.
    fn poll(&self) -> Events {
        Events::ALWAYS
    }
    /// Who stands on it is woken when that side of `poll` may have changed. Without one it is always ready.
    fn queue(&self, side: Side) -> Option<&Queue> {
        None
    }
    fn ioctl(&self, caller: &Caller<'_>, memory: &mut dyn UserMemory, request: u32, argument: u64) -> Result<u64> {
        Err(ENOTTY)
    }
    /// A page for mmap(2), the same for all. Errors: `ENXIO` behind the end (the guest gets SIGBUS), `ENODEV` where there are none.
    fn page(&self, index: u64, will_write: bool) -> Result<Page> {
        Err(ENODEV)
    }
    /// Whether mmap(2) can be tried, and private zero pages are what it shows (/dev/zero).
    fn is_zero_device(&self) -> bool {
        false
    }
    /// What fstat(2) says of what has no name.
    fn stat(&self) -> Result<Stat> {
        Ok(Stat::default())
    }
    /// Its inode where that has no name: of a pipe, which /proc/PID/fd/N opens again.
    fn unnamed_inode(&self) -> Option<Arc<dyn Inode>> {
        None
    }
    /// What stands in /proc/PID/fd for it, as `pipe:[7]`.
    fn describe(&self) -> Vec<u8> {
        Vec::new()
    }
    /// More lines of /proc/PID/fdinfo.
    fn info(&self) -> Vec<u8> {
        Vec::new()
    }
    /// A number of bytes that can be read now (FIONREAD), where that is known.
    fn readable_bytes(&self) -> Option<u64> {
        None
    }
    /// How long a read that finds nothing waits before it says 0 (VTIME of termios(3)).
    fn read_wait_ns(&self) -> Option<u64> {
        None
    }
    /// Whether its open(2) still waits for somebody at the other end (fifo(7)).
    fn is_opening(&self) -> bool {
        false
    }
    /// Told when F_SETFL changed O_NONBLOCK or O_ASYNC.
    fn set_flags(&self, flags: u32) {}
    /// A descriptor was closed, of this process (flush).
    fn closed(&self, caller: &Caller<'_>) {}
}

/// An open directory: all that can be done is done through its inode.
pub struct DirectoryFile;

impl File for DirectoryFile {
    fn read(&self, _: &Caller<'_>, _: u64, _: &mut dyn Sink) -> Result<usize> {
        Err(EISDIR)
    }
    fn has_position(&self) -> bool {
        true
    }
    fn size_bytes(&self) -> Result<u64> {
        Ok(i64::MAX as u64)
    }
}

/// For `open` of an inode that is a directory.
pub fn directory() -> Arc<dyn File> {
    Arc::new(DirectoryFile)
}
