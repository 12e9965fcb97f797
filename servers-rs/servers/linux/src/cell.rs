// SPDX-License-Identifier: PMPL-1.0-or-later
//! All tasks of the cell, and what they share. One lock is around it (README.adoc).

use crate::call::system::Names;
use crate::call::{Clock, Clocks};
use crate::errno::{EPERM, ESRCH, Result};
use crate::fs::device::Random;
use crate::fs::tty::Jobs;
use crate::futex::Futexes;
use crate::memory::pages::Pages;
use crate::platform::{PAGE_BYTES, Platform};
use crate::signal::info::Info;
use crate::signal::request::To;
use crate::signal::set::{Fate, fate};
use crate::signal::state::{Sent, Target};
use crate::task::process::{News, Process, Thread};
use crate::wait::Waker;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use linux_raw_sys::general::{RLIMIT_SIGPENDING, SIGCONT, SIGKILL};
use spin::Mutex;

/// Numbers of tasks are below it (/proc/sys/kernel/pid_max).
pub const PID_MAX: u32 = 1 << 22;

pub struct Cell {
    pub platform: Arc<dyn Platform>,
    pub pages: Arc<Mutex<Pages>>,
    pub clocks: Arc<dyn Clocks>,
    pub random: Arc<dyn Random>,
    pub processes: BTreeMap<u32, Process>,
    pub threads: BTreeMap<u32, Thread>,
    pub futexes: Futexes,
    /// The thread whose call is being served.
    pub running: u32,
    last_id: u32,
    /// What terminals raise; sent when the call is over.
    pub jobs: Arc<JobQueue>,
    /// Rung when the next timer of a process is another one.
    pub alarm: Option<Arc<dyn Waker>>,
    /// Calls that are not there: by number and program, how often.
    pub missing: BTreeMap<(u64, [u8; 16]), u64>,
    pub names: Names,
}

impl Cell {
    pub fn new(platform: Arc<dyn Platform>, clocks: Arc<dyn Clocks>, random: Arc<dyn Random>) -> Cell {
        Cell {
            pages: Arc::new(Mutex::new(Pages::new(platform.clone()))),
            platform,
            clocks,
            random,
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            futexes: Futexes::new(),
            running: 0,
            last_id: 0,
            missing: BTreeMap::new(),
            names: Names::default(),
            jobs: Arc::default(),
            alarm: None,
        }
    }

    pub(crate) fn set_alarm(&self) {
        if let Some(alarm) = &self.alarm {
            alarm.wake();
        }
    }

    /// Sends what timers of processes are due for; when the next is.
    pub fn expire(&mut self) -> Option<u64> {
        self.running = 0;
        let now_ns = self.clocks.now_ns(Clock::Monotonic);
        let mut fired = Vec::new();
        let mut next: Option<u64> = None;
        for (pid, process) in &mut self.processes {
            let (signals, threads) = (&process.signals, &self.threads);
            let of_thread = |id| threads.values().any(|t| t.pid == *pid && t.signals.pending.holds_timer(id));
            let waits = |id| signals.pending.holds_timer(id) || of_thread(id);
            process.timers.expire(now_ns, waits, |one| fired.push((*pid, one)));
            next = [next, process.timers.next_ns()].into_iter().flatten().min();
        }
        for (pid, one) in fired {
            // A process or thread that ended meanwhile gets nothing.
            let _ = self.send(pid, one.tid, one.info);
        }
        next
    }

    /// Sends what terminals raised.
    pub fn send_jobs(&mut self) {
        while let Some((to, signal, code)) = self.jobs.take() {
            let info = Info { signal, code, more: crate::signal::info::More::None };
            // Whoever is not there does not get it.
            let _ = match to {
                To::Caller => Ok(()),
                To::Process(pid) => self.send(pid, None, info),
                To::Group(group) => self.send_where(info, |p| p.known.group() == group, |_, _| true),
                To::Session(session) => self.send_where(info, |p| p.known.session() == session, |_, _| true),
            };
        }
    }

    /// Terminals know which groups there are: to be called when one may have come or gone.
    pub fn note_groups(&self) {
        let living = self.processes.values().filter(|process| !process.is_zombie());
        *self.jobs.groups.lock() = living.map(|process| (process.known.group(), process.known.session())).collect();
    }

    /// A call that is not there: counted, and told once for each program.
    pub fn note_missing(&mut self, tid: u32, number: u64) {
        let name = self.threads.get(&tid).map_or([0; 16], |thread| thread.name);
        let count = self.missing.entry((number, name)).or_default();
        *count += 1;
        if *count == 1 {
            let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            self.platform
                .note(format_args!("{} asks for call {number}, which is not there", String::from_utf8_lossy(&name[..length])));
        }
    }

    /// A number that no task, group or session has.
    pub fn new_id(&mut self) -> u32 {
        loop {
            self.last_id = if self.last_id + 1 >= PID_MAX { 300 } else { self.last_id + 1 };
            let id = self.last_id;
            let in_use = |p: &Process| p.known.group() == id || p.known.session() == id;
            if !self.threads.contains_key(&id) && !self.processes.contains_key(&id) && !self.processes.values().any(in_use) {
                return id;
            }
        }
    }

    /// The next new one is above it.
    pub fn reserve_id(&mut self, id: u32) {
        self.last_id = self.last_id.max(id);
    }

    /// Of the cell: what it may have, and what of that is free.
    pub fn memory_bytes(&self) -> (u64, u64) {
        let (used, _) = self.pages.lock().usage();
        let total = self.platform.memory_bytes();
        (total, total.saturating_sub(used * PAGE_BYTES))
    }

    /// Errors: `ESRCH`.
    pub fn process(&mut self, pid: u32) -> Result<&mut Process> {
        self.processes.get_mut(&pid).ok_or(ESRCH)
    }
    /// Errors: `ESRCH`.
    pub fn thread(&mut self, tid: u32) -> Result<&mut Thread> {
        self.threads.get_mut(&tid).ok_or(ESRCH)
    }
    /// A thread and its process. Errors: `ESRCH`.
    pub fn both(&mut self, tid: u32) -> Result<(&mut Thread, &mut Process)> {
        let thread = self.threads.get_mut(&tid).ok_or(ESRCH)?;
        let process = self.processes.get_mut(&thread.pid).ok_or(ESRCH)?;
        Ok((thread, process))
    }

    /// Makes a thread look for signals and whatever else concerns it.
    pub fn notify(&self, tid: u32) {
        if let Some(thread) = self.threads.get(&tid) {
            thread.attention.store(true, Ordering::Release);
            if tid != self.running {
                thread.worker.kick();
            }
        }
    }
    pub fn notify_all(&self, pid: u32) {
        if let Some(process) = self.processes.get(&pid) {
            process.threads.iter().for_each(|tid| self.notify(*tid));
        }
    }

    /// To a process, or with `tid` to one of its threads. Errors: `ESRCH`, `EAGAIN`.
    pub fn send(&mut self, pid: u32, tid: Option<u32>, info: Info) -> Result<()> {
        let process = self.processes.get_mut(&pid).ok_or(ESRCH)?;
        if process.is_zombie() {
            return Ok(());
        }
        if matches!(fate(info.signal), Fate::Stop | Fate::Continue) {
            let threads = self.threads.values_mut().filter(|thread| thread.pid == pid);
            process.signals.make_way(info.signal, threads.map(|thread| &mut thread.signals));
        }
        if matches!(info.signal, SIGCONT | SIGKILL) && process.stopped.take().is_some() {
            process.news = News::Continued;
            let parent = process.known.parent();
            self.notify_all(pid);
            if info.signal == SIGCONT {
                self.tell_parent(pid, parent);
            }
        }
        let process = self.processes.get_mut(&pid).ok_or(ESRCH)?;
        let room = process.known.limits.lock().soft(RLIMIT_SIGPENDING).min(10_000) as usize;
        let sent = match tid {
            Some(tid) => {
                let thread = self.threads.get_mut(&tid).filter(|thread| thread.pid == pid).ok_or(ESRCH)?;
                let room = room.saturating_sub(thread.signals.pending.queued());
                process.signals.send(Target::Thread(&mut thread.signals), info, room)?
            }
            None => {
                let main = process.threads.first().and_then(|tid| self.threads.get(tid)).ok_or(ESRCH)?;
                let (main_mask, room) = (main.signals.mask, room.saturating_sub(process.signals.pending.queued()));
                process.signals.send(Target::Process { main_mask }, info, room)?
            }
        };
        if sent == Sent::Dropped {
            return Ok(());
        }
        match (tid, info.signal) {
            (_, SIGKILL) => self.notify_all(pid),
            (Some(tid), _) => self.notify(tid),
            (None, signal) => {
                let cares = |tid: &&u32| self.threads.get(*tid).is_some_and(|thread| thread.signals.cares(signal));
                let process = self.processes.get(&pid).ok_or(ESRCH)?;
                let heir =
                    process.threads.iter().find(|tid| **tid == self.running && cares(tid)).or(process.threads.iter().find(cares));
                if let Some(tid) = heir {
                    self.notify(*tid);
                }
            }
        }
        Ok(())
    }

    /// To each process that `is_meant` says, except those that may not be sent it. Errors: `ESRCH` when there is none, `EPERM`
    /// when it was allowed for none.
    pub fn send_where(
        &mut self,
        info: Info,
        is_meant: impl Fn(&Process) -> bool,
        may: impl Fn(&Cell, u32) -> bool,
    ) -> Result<()> {
        let meant: Vec<u32> = self.processes.iter().filter(|(_, p)| is_meant(p)).map(|(pid, _)| *pid).collect();
        let allowed: Vec<u32> = meant.iter().copied().filter(|pid| may(self, *pid)).collect();
        match (meant.is_empty(), allowed.is_empty()) {
            (true, _) => Err(ESRCH),
            (false, true) => Err(EPERM),
            _ => allowed.into_iter().try_for_each(|pid| self.send(pid, None, info)),
        }
    }

    /// Whether nobody outside a process group, in the same session, is parent of one inside: nobody could continue it if it stopped.
    pub fn is_orphaned(&self, group: u32) -> bool {
        !self.processes.values().any(|process| {
            let parent = self.processes.get(&process.known.parent());
            process.known.group() == group
                && !process.is_zombie()
                && parent.is_some_and(|p| p.known.session() == process.known.session() && p.known.group() != group)
        })
    }
}

/// What terminals ask of the processes, while a call of files is served and the cell cannot be reached.
#[derive(Debug, Default)]
pub struct JobQueue {
    raised: Mutex<Vec<(To, u32, i32)>>,
    groups: Mutex<BTreeMap<u32, u32>>,
}

impl JobQueue {
    fn take(&self) -> Option<(To, u32, i32)> {
        self.raised.lock().pop()
    }
}

impl Jobs for JobQueue {
    fn send(&self, to: To, signal: u32, code: i32) {
        self.raised.lock().insert(0, (to, signal, code));
    }
    fn session_of(&self, group: u32) -> Option<u32> {
        self.groups.lock().get(&group).copied()
    }
}
