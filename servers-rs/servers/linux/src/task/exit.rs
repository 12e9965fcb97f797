// SPDX-License-Identifier: PMPL-1.0-or-later
//! The end of threads and processes (exit(2), exit_group(2)), and stops.

use super::current::Current;
use super::process::{News, Process, exited};
use crate::cell::Cell;
use crate::futex::robust;
use crate::signal::info::{Info, More};
use crate::user::UserMemoryExt;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use linux_raw_sys::general::*;

/// The process that all others descend from.
pub const INIT: u32 = 1;

impl Current {
    /// Ends the calling thread, and its process if it is the last.
    pub fn leave(&mut self, cell: &mut Cell) {
        self.end_call();
        cell.futexes.leave(self.tid);
        let (clear_tid, robust_list) = cell.threads.get(&self.tid).map_or((0, 0), |t| (t.clear_tid, t.robust_list));
        if robust_list != 0 {
            let mut memory = crate::call::own::Words(&self.memory);
            let tid = self.tid;
            let mut keys = crate::call::own::Words(&self.memory);
            robust::let_go(&mut memory, &mut cell.futexes, robust_list, tid, &mut |address| {
                crate::call::futex::FutexMemory::key(&mut keys, address, false)
            });
        }
        if clear_tid != 0 && self.memory.lock().write_u32(clear_tid, 0).is_ok() {
            let mut words = crate::call::own::Words(&self.memory);
            for private in [true, false] {
                if let Ok(key) = crate::call::futex::FutexMemory::key(&mut words, clear_tid, private) {
                    cell.futexes.wake(&key, 1, u32::MAX);
                }
            }
        }
        self.is_over = true;
        cell.threads.remove(&self.tid);
        let Ok(process) = cell.process(self.process.pid) else { return };
        process.threads.retain(|tid| *tid != self.tid);
        process.waiters.wake_all();
        if process.threads.is_empty() {
            self.close_files(cell);
            cell.become_zombie(self.process.pid);
        }
    }

    /// The last user of a table of descriptors closes what is in it.
    fn close_files(&mut self, cell: &mut Cell) {
        let empty = alloc::sync::Arc::default();
        let files = core::mem::replace(&mut self.files, empty);
        let closed = match alloc::sync::Arc::try_unwrap(files) {
            Ok(table) => table.into_inner().clear(),
            Err(_) => return,
        };
        self.with_caller(cell, |caller| {
            for open in closed {
                open.file.closed(caller);
                if let Some(locks) = open.inode().and_then(|inode| inode.locks()) {
                    locks.release(crate::vfs::LockOwner::Process(caller.ids.pid));
                }
            }
        });
    }
}

impl Cell {
    /// All threads of a process end; its status is the first that was given.
    pub fn end_process(&mut self, pid: u32, status: i32) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.ending.get_or_insert(status);
            self.notify_all(pid);
        }
    }

    pub fn stop_process(&mut self, pid: u32, signal: u32) {
        let Some(process) = self.processes.get_mut(&pid).filter(|p| p.stopped.is_none()) else { return };
        process.stopped = Some(signal);
        process.news = News::Stopped;
        let parent = process.known.parent();
        self.notify_all(pid);
        self.tell_parent(pid, parent);
    }

    /// SIGCHLD for a stop or a continuation, and waits of the parent.
    pub fn tell_parent(&mut self, pid: u32, parent: u32) {
        let Some(news) = self.processes.get(&pid).map(|p| (p.news, p.stopped)) else { return };
        let (code, status) = match news {
            (News::Stopped, Some(signal)) => (CLD_STOPPED, signal as i32),
            (News::Continued, _) => (CLD_CONTINUED, SIGCONT as i32),
            _ => return,
        };
        let Some(process) = self.processes.get(&parent) else { return };
        process.waiters.wake_all();
        let silent = process.signals.actions.lock().get(SIGCHLD).is_ok_and(|action| action.has(SA_NOCLDSTOP));
        if !silent {
            let more = More::Child { pid, uid: 0, status, user_ticks: 0, system_ticks: 0 };
            let _ = self.send(parent, None, Info { signal: SIGCHLD, code: code as i32, more });
        }
    }

    /// The last thread of a process has ended.
    fn become_zombie(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let status = *process.ending.get_or_insert(exited(0));
        process.memory = None;
        process.executable = None;
        process.stopped = None;
        if let Some(vfork) = process.vfork.take() {
            vfork.end();
        }
        let children = core::mem::take(&mut process.children);
        let (parent, group, session, signal) =
            (process.known.parent(), process.known.group(), process.known.session(), process.exit_signal);
        if pid == INIT {
            self.platform.ended(status);
        }
        self.note_groups();
        self.give_away(pid, parent, children);
        if session == pid {
            let _ = self.send_where(Info::kernel(SIGHUP), |p| p.known.session() == session && p.known.pid != pid, |_, _| true);
        }
        self.let_orphans_go(pid, group, session);
        self.announce(pid, parent, signal, status);
    }

    /// Children of a process that has ended are those of the nearest subreaper above it, or of the first process.
    fn give_away(&mut self, pid: u32, parent: u32, children: Vec<u32>) {
        let mut heir = parent;
        while heir != INIT && !self.processes.get(&heir).is_some_and(|p| p.is_subreaper && !p.is_zombie()) {
            match self.processes.get(&heir) {
                Some(process) if process.known.parent() != heir => heir = process.known.parent(),
                _ => heir = INIT,
            }
        }
        let heir = if heir == pid { INIT } else { heir };
        for child in children {
            let Some(process) = self.processes.get_mut(&child) else { continue };
            process.known.parent.store(heir, Ordering::Relaxed);
            let (is_zombie, signal, status) = (process.is_zombie(), SIGCHLD, process.ending);
            process.exit_signal = SIGCHLD;
            if let Some(heir) = self.processes.get_mut(&heir) {
                heir.children.push(child);
            }
            if is_zombie {
                self.announce(child, heir, signal, status.unwrap_or(0));
            }
        }
    }

    /// A group that is orphaned by the end of a process and has stopped members is told (POSIX, _exit).
    fn let_orphans_go(&mut self, pid: u32, group: u32, session: u32) {
        let groups: Vec<u32> = {
            let in_session = |p: &&Process| p.known.session() == session && p.known.pid != pid && !p.is_zombie();
            let mut all: Vec<u32> = self.processes.values().filter(in_session).map(|p| p.known.group()).collect();
            all.push(group);
            all.sort_unstable();
            all.dedup();
            all
        };
        for group in groups {
            let has_stopped = self.processes.values().any(|p| p.known.group() == group && p.stopped.is_some());
            if has_stopped && self.is_orphaned(group) {
                for signal in [SIGHUP, SIGCONT] {
                    let _ = self.send_where(Info::kernel(signal), |p| p.known.group() == group, |_, _| true);
                }
            }
        }
    }

    /// Tells the parent of a zombie; one that does not want to know has none.
    fn announce(&mut self, pid: u32, parent: u32, signal: u32, status: i32) {
        let Some(process) = self.processes.get(&parent) else { return };
        let unwanted = {
            let actions = process.signals.actions.lock();
            signal == SIGCHLD && actions.get(SIGCHLD).is_ok_and(|action| action.is_ignored() || action.has(SA_NOCLDWAIT))
        };
        if unwanted {
            self.forget(pid);
        }
        if signal != 0 {
            let info = Info { signal, ..child_info(pid, status) };
            let _ = self.send(parent, None, info);
        }
        if let Some(process) = self.processes.get(&parent) {
            process.waiters.wake_all();
        }
    }

    /// A zombie that was waited for, or that nobody waits for.
    pub fn forget(&mut self, pid: u32) {
        if let Some(process) = self.processes.remove(&pid)
            && let Some(parent) = self.processes.get_mut(&process.known.parent())
        {
            parent.children.retain(|child| *child != pid);
        }
    }
}

/// SIGCHLD's siginfo, and waitid's.
pub fn child_info(pid: u32, status: i32) -> Info {
    let signal = status & 0x7f;
    let (code, value) = match signal {
        0 => (CLD_EXITED, status >> 8 & 0xff),
        _ if status & 0x80 != 0 => (CLD_DUMPED, signal),
        _ => (CLD_KILLED, signal),
    };
    let more = More::Child { pid, uid: 0, status: value, user_ticks: 0, system_ticks: 0 };
    Info { signal: SIGCHLD, code: code as i32, more }
}
