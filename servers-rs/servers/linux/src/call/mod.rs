// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a call is served with. One file for a family of calls; `table.rs` lists them all.

mod argument;
pub mod attribute;
mod blocking;
pub mod control;
pub mod copy;
pub mod descriptor;
pub mod directory;
pub mod epoll;
pub mod futex;
pub mod identity;
pub mod inotify;
pub mod kill;
pub mod limits;
pub mod lock;
pub mod memory;
pub mod message;
pub mod mount;
pub mod name;
pub mod open;
pub mod own;
pub mod pipe;
pub mod poll;
#[cfg(test)]
mod poll_tests;
pub mod schedule;
pub mod seek;
pub mod signal;
pub mod socket;
#[cfg(test)]
mod socket_tests;
pub mod stat;
pub mod system;
pub mod task;
#[cfg(test)]
mod tests;
pub mod time;
pub mod timer;
pub mod transfer;
pub mod xattr;

pub use blocking::or_wait;

use crate::signal::request::Requests;
use crate::task::credentials::Credentials;
use crate::task::limits::Limits;
use crate::user::UserMemory;
use crate::vfs::{Caller, FileTable, FsContext};
use crate::wait::{Outcome, Progress, Waker};
use alloc::sync::Arc;
use core::any::Any;
use core::fmt::Debug;
use spin::Mutex;

/// A call of files: all that it can reach. Tests make one around a vector.
pub type Handler = fn(&mut Context<'_>, [u64; 6]) -> Outcome;

/// The numbers by which a thread is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ids {
    pub pid: u32,
    pub tid: u32,
    pub parent: u32,
    pub group: u32,
    pub session: u32,
}

/// The caller, as calls that do not concern tasks see it.
pub struct Context<'a> {
    pub memory: &'a mut dyn UserMemory,
    /// Of the calling thread: what goes on queues.
    pub waker: &'a Arc<dyn Waker>,
    pub progress: &'a mut Progress,
    /// What a call that waits keeps alive until it is made again: the loop empties it when the call is over, whatever way.
    pub pending: &'a mut Option<Arc<dyn Any + Send + Sync>>,
    pub files: &'a Arc<Mutex<FileTable>>,
    pub fs: &'a Arc<Mutex<FsContext>>,
    pub credentials: &'a Credentials,
    pub ids: Ids,
    pub limits: &'a Limits,
    pub clock: &'a Arc<dyn Clocks>,
    /// Signals that the call raises; they are sent when it has returned.
    pub signals: &'a Requests,
}

impl<'a> Context<'a> {
    /// The caller, as files see it.
    pub fn caller(&self) -> Caller<'a> {
        Caller { ids: self.ids, credentials: self.credentials, clock: &**self.clock, signals: self.signals }
    }
    pub fn memory(&mut self) -> &mut dyn UserMemory {
        self.memory
    }
    pub fn now_ns(&self, clock: Clock) -> u64 {
        self.clock.now_ns(clock)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// Since 1970.
    Realtime,
    /// Since the system started; never goes back. Deadlines in [`Progress`] are of this clock.
    Monotonic,
}

/// Whose processor time is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cpu {
    Process,
    Thread,
}

pub trait Clocks: Send + Sync + Debug {
    fn now_ns(&self, clock: Clock) -> u64;
    /// Processor time that the process or thread with that number has used; `None` when there is none.
    fn used_ns(&self, of: Cpu, id: u32) -> Option<u64>;
    /// Wakes at that time of the monotonic clock, at least once, until when it is asked again for the same waker; for
    /// timers that others wait for, not for the end of the caller's own wait ([`Progress::deadline_ns`]).
    fn wake_at(&self, deadline_ns: u64, waker: &Arc<dyn Waker>);
}
