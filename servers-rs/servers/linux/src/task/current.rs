// SPDX-License-Identifier: PMPL-1.0-or-later
//! A thread that runs: what it carries, and what happens whenever its guest comes out. The platform's loop asks here, and does what
//! [`Step`] says.

use super::credentials::Credentials;
use super::process::Known;
use crate::call::{Clocks, Context, Ids};
use crate::cell::Cell;
use crate::errno::{ENOSYS, Result};
use crate::memory::space::Space;
use crate::platform::Worker;
use crate::signal::request::{Request, Requests, To};
use crate::table::{self, Serve};
use crate::vfs::{Caller, FileTable, FsContext};
use crate::wait::{Interrupted, Outcome, Progress, Waker};
use abi::guest::{State, resume};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::Mutex;

/// What a worker is told to run: the thread, and the registers that it starts with.
pub struct Start {
    pub current: Current,
    pub state: State,
    /// `None`: as when a program starts.
    pub vector: Option<Vec<u8>>,
}

/// What the loop does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The guest goes on.
    Run,
    /// The thread waits until it is woken, at the latest until the time; then [`Current::resume`].
    Wait(Option<u64>),
    /// The thread is over: the worker is free.
    Exit,
}

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub number: u64,
    pub arguments: [u64; 6],
    pub how: Interrupted,
}

pub struct Current {
    pub tid: u32,
    pub process: Arc<Known>,
    pub worker: Arc<dyn Worker>,
    pub waker: Arc<dyn Waker>,
    pub attention: Arc<AtomicBool>,
    pub memory: Arc<Mutex<Space>>,
    pub files: Arc<Mutex<FileTable>>,
    pub fs: Arc<Mutex<FsContext>>,
    pub credentials: Arc<Credentials>,
    pub clocks: Arc<dyn Clocks>,
    pub progress: Progress,
    pub pending: Option<Arc<dyn Any + Send + Sync>>,
    /// Only death ends the wait that the call asks for.
    pub uninterruptible: bool,
    /// Signals that it blocks or ignores, as terminals ask.
    pub deaf: u64,
    pub is_over: bool,
    pub(super) waiting: Option<Waiting>,
}

impl Current {
    pub fn ids(&self) -> Ids {
        let Known { pid, .. } = *self.process;
        Ids { pid, tid: self.tid, parent: self.process.parent(), group: self.process.group(), session: self.process.session() }
    }

    /// The guest made a call.
    pub fn call(&mut self, cell: &mut Cell, number: u64, arguments: [u64; 6]) -> Step {
        cell.running = self.tid;
        let outcome = self.make(cell, number, arguments);
        self.conclude(cell, number, arguments, outcome)
    }

    fn make(&mut self, cell: &mut Cell, number: u64, arguments: [u64; 6]) -> Outcome {
        match table::find(number).map(|row| row.serve) {
            Some(Serve::File(handler)) => {
                let requests = Requests::of(self.deaf);
                let ids = self.ids();
                let outcome = {
                    let (mut memory, limits) = (self.memory.lock(), self.process.limits.lock());
                    let mut context = Context {
                        memory: &mut *memory,
                        waker: &self.waker,
                        progress: &mut self.progress,
                        pending: &mut self.pending,
                        files: &self.files,
                        fs: &self.fs,
                        credentials: &self.credentials,
                        ids,
                        limits: &limits,
                        clock: &self.clocks,
                        signals: &requests,
                    };
                    handler(&mut context, arguments)
                };
                self.raise(cell, requests.take());
                cell.send_jobs();
                outcome
            }
            Some(Serve::Task(handler)) => handler(self, cell, arguments),
            None => {
                cell.note_missing(self.tid, number);
                ENOSYS.into()
            }
        }
    }

    /// Works with files as the calling thread, outside of a call of files.
    pub fn with_caller<R>(&self, cell: &mut Cell, work: impl FnOnce(&Caller<'_>) -> R) -> R {
        let requests = Requests::of(self.deaf);
        let caller = Caller { ids: self.ids(), credentials: &self.credentials, clock: &*self.clocks, signals: &requests };
        let result = work(&caller);
        self.raise(cell, requests.take());
        result
    }

    fn raise(&self, cell: &mut Cell, raised: Vec<Request>) {
        use crate::signal::info::{Info, More};
        for Request { to, signal, code } in raised {
            let info = Info { signal, code, more: More::None };
            // Whoever is not there does not get it.
            let _ = match to {
                To::Caller => cell.send(self.process.pid, Some(self.tid), info),
                To::Process(pid) => cell.send(pid, None, info),
                To::Group(group) => cell.send_where(info, |p| p.known.group() == group, |_, _| true),
                To::Session(session) => cell.send_where(info, |p| p.known.session() == session, |_, _| true),
            };
        }
    }

    fn conclude(&mut self, cell: &mut Cell, number: u64, arguments: [u64; 6], outcome: Outcome) -> Step {
        match outcome {
            Outcome::Done(result) => {
                self.end_call();
                self.worker.set_answer(register(result));
                if self.attention.load(Ordering::Acquire) { self.settle(cell) } else { Step::Run }
            }
            Outcome::NoAnswer => {
                self.end_call();
                if self.is_over { Step::Exit } else { self.settle(cell) }
            }
            Outcome::Blocked(how) => {
                self.waiting = Some(Waiting { number, arguments, how });
                self.interrupt(cell).unwrap_or(Step::Wait(self.progress.deadline_ns))
            }
        }
    }

    /// The wait is over, or somebody wants something of the thread: the call is made again.
    pub fn resume(&mut self, cell: &mut Cell) -> Step {
        cell.running = self.tid;
        if self.is_stopped(cell) {
            return Step::Wait(None);
        }
        let Some(Waiting { number, arguments, .. }) = self.waiting else { return self.settle(cell) };
        self.progress.again = true;
        let outcome = self.make(cell, number, arguments);
        self.conclude(cell, number, arguments, outcome)
    }

    /// Before the guest runs for the first time.
    pub fn begun(&mut self, cell: &mut Cell) -> Step {
        cell.running = self.tid;
        self.settle(cell)
    }

    /// The platform could not give it what it needs to run.
    pub fn lost(&mut self, cell: &mut Cell) -> Step {
        cell.running = self.tid;
        cell.end_process(self.process.pid, super::process::killed(linux_raw_sys::general::SIGKILL, false));
        self.settle(cell)
    }

    /// The guest came out because of a kick.
    pub fn kicked(&mut self, cell: &mut Cell) -> Step {
        cell.running = self.tid;
        self.settle(cell)
    }

    pub(super) fn end_call(&mut self) {
        self.waiting = None;
        self.uninterruptible = false;
        self.pending = None;
        self.progress = Progress::default();
    }

    fn is_stopped(&self, cell: &Cell) -> bool {
        let process = cell.processes.get(&self.process.pid);
        process.is_some_and(|process| process.stopped.is_some() && process.ending.is_none())
            && cell.threads.get(&self.tid).is_some_and(|thread| !thread.is_leaving)
    }
}

pub(super) fn register(result: Result<u64>) -> u64 {
    result.unwrap_or_else(|error| error.as_register())
}

/// Registers with which the call of a `number` is made again from the start.
pub(super) fn again(state: State, number: u64) -> State {
    // Of the instruction `syscall`.
    State { rax: number, rip: state.rip.wrapping_sub(2), resume: resume::ALL, ..state }
}
