// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the cell knows of a process and of a thread.

use super::credentials::Credentials;
use super::limits::Limits;
use super::settings::Settings;
use crate::memory::space::Space;
use crate::platform::Worker;
use crate::signal::state::{ProcessSignals, ThreadSignals};
use crate::time::posix::ProcessTimers;
use crate::vfs::{FileTable, FsContext, OpenFile};
use crate::wait::Queue;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use spin::Mutex;

/// The part of a process that its threads look at without asking the cell.
#[derive(Debug)]
pub struct Known {
    pub pid: u32,
    pub parent: AtomicU32,
    pub group: AtomicU32,
    pub session: AtomicU32,
    pub limits: Mutex<Limits>,
}

impl Known {
    pub fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }
    pub fn group(&self) -> u32 {
        self.group.load(Ordering::Relaxed)
    }
    pub fn session(&self) -> u32 {
        self.session.load(Ordering::Relaxed)
    }
}

/// What wait(2) has not told yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum News {
    #[default]
    None,
    Stopped,
    Continued,
}

/// A parent that waits until its child has a memory of its own (vfork(2)).
#[derive(Debug)]
pub struct Vfork {
    pub done: AtomicBool,
    pub parent: Arc<dyn Worker>,
}

impl Vfork {
    pub fn end(&self) {
        self.done.store(true, Ordering::Release);
        self.parent.wake();
    }
}

pub struct Process {
    pub known: Arc<Known>,
    /// The first is the main thread, as long as it is there.
    pub threads: Vec<u32>,
    pub children: Vec<u32>,
    /// Nothing once it is a zombie.
    pub memory: Option<Arc<Mutex<Space>>>,
    pub signals: ProcessSignals,
    /// What the parent gets when it ends; 0 for none.
    pub exit_signal: u32,
    /// It ends, with this status as wait(2) has it.
    pub ending: Option<i32>,
    /// The signal that stopped it.
    pub stopped: Option<u32>,
    pub news: News,
    /// Threads of it that wait for a child, or for its own threads to end.
    pub waiters: Queue,
    pub vfork: Option<Arc<Vfork>>,
    pub is_subreaper: bool,
    pub is_dumpable: bool,
    /// It has executed a program since it was made: its parent no longer moves it to a group.
    pub has_executed: bool,
    /// A thread of it executes a program: the others end.
    pub executing: Option<u32>,
    pub executable: Option<Arc<OpenFile>>,
    pub started_ns: u64,
    pub timers: ProcessTimers,
    pub settings: Settings,
    /// Processor time of its children that it has waited for, and of theirs.
    pub children_used_ns: u64,
}

impl Process {
    pub fn is_zombie(&self) -> bool {
        self.memory.is_none()
    }
}

pub struct Thread {
    pub pid: u32,
    pub worker: Arc<dyn Worker>,
    pub signals: ThreadSignals,
    /// It looks for signals before it goes on.
    pub attention: Arc<AtomicBool>,
    /// Cleared, and its futex woken, when the thread ends (set_tid_address(2)).
    pub clear_tid: u64,
    pub robust_list: u64,
    pub name: [u8; 16],
    pub files: Arc<Mutex<FileTable>>,
    pub fs: Arc<Mutex<FsContext>>,
    pub credentials: Arc<Credentials>,
    /// Another thread executes a program: this one ends.
    pub is_leaving: bool,
}

/// A status as wait(2) has it.
pub const fn exited(code: u32) -> i32 {
    ((code & 0xff) << 8) as i32
}
pub const fn killed(signal: u32, dumps: bool) -> i32 {
    (signal & 0x7f) as i32 | if dumps { 0x80 } else { 0 }
}
