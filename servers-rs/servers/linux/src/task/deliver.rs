// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a thread does before its guest goes on: it ends, stops, enters handlers. And faults of the guest, which are memory to be filled or
//! signals.

use super::current::{Current, Step, Waiting, again, register};
use super::process::killed;
use crate::cell::Cell;
use crate::errno::{EINTR, Result};
use crate::memory::space::Fault;
use crate::platform::Access;
use crate::signal::action::Action;
use crate::signal::frame;
use crate::signal::info::{Info, More};
use crate::signal::set::Set;
use crate::signal::state::Next;
use crate::wait::Interrupted;
use abi::guest::State;
use core::sync::atomic::Ordering;
use linux_raw_sys::general::*;

impl Current {
    /// Serves what waits for the thread, until its guest may go on.
    pub fn settle(&mut self, cell: &mut Cell) -> Step {
        loop {
            self.attention.store(false, Ordering::Release);
            if let Some(step) = self.end_or_stop(cell) {
                return step;
            }
            match self.next(cell) {
                Next::GoOn => {
                    if let Ok(thread) = cell.thread(self.tid) {
                        thread.signals.restore_mask();
                    }
                    return Step::Run;
                }
                Next::Handle { info, action, mask } => {
                    let state = self.worker.state();
                    self.enter(cell, &info, &action, mask, state);
                }
                other => self.obey(cell, other),
            }
        }
    }

    /// A call of the thread waits: what a signal makes of it. `None`: it goes on waiting.
    pub(super) fn interrupt(&mut self, cell: &mut Cell) -> Option<Step> {
        loop {
            if let Some(step) = self.end_or_stop(cell) {
                return Some(step);
            }
            if self.uninterruptible {
                return None;
            }
            match self.next(cell) {
                Next::GoOn => return None,
                Next::Handle { info, action, mask } => {
                    let Waiting { number, how, .. } = self.waiting?;
                    let state = self.worker.state();
                    let restarts = how == Interrupted::Restart && action.has(SA_RESTART);
                    let state = match self.progress.done {
                        0 if restarts => again(state, number),
                        0 => State { rax: EINTR.as_register(), resume: abi::guest::resume::ALL, ..state },
                        done => State { rax: register(Ok(done)), resume: abi::guest::resume::ALL, ..state },
                    };
                    cell.futexes.leave(self.tid);
                    if let Ok(thread) = cell.thread(self.tid) {
                        thread.signals.awaited = Set::EMPTY;
                    }
                    self.end_call();
                    self.enter(cell, &info, &action, mask, state);
                    return Some(self.settle(cell));
                }
                other => self.obey(cell, other),
            }
        }
    }

    /// The end of the process or of the thread, or a stop.
    fn end_or_stop(&mut self, cell: &mut Cell) -> Option<Step> {
        let Ok((thread, process)) = cell.both(self.tid) else {
            self.is_over = true;
            return Some(Step::Exit);
        };
        if process.ending.is_none() && process.signals.is_killed(&thread.signals) {
            process.ending = Some(killed(SIGKILL, false));
            let pid = thread.pid;
            cell.notify_all(pid);
            return self.end_or_stop(cell);
        }
        if process.ending.is_some() || thread.is_leaving {
            self.leave(cell);
            return Some(Step::Exit);
        }
        process.stopped.is_some().then_some(Step::Wait(None))
    }

    fn next(&self, cell: &mut Cell) -> Next {
        let Ok((thread, process)) = cell.both(self.tid) else { return Next::GoOn };
        if !thread.signals.has_work(&process.signals) {
            return Next::GoOn;
        }
        let orphaned = {
            let group = process.known.group();
            cell.is_orphaned(group)
        };
        let Ok((thread, process)) = cell.both(self.tid) else { return Next::GoOn };
        process.signals.next(&mut thread.signals, orphaned)
    }

    fn obey(&mut self, cell: &mut Cell, next: Next) {
        let pid = self.process.pid;
        match next {
            Next::Terminate { signal, dumps } => cell.end_process(pid, killed(signal, dumps)),
            Next::Stop { signal } => cell.stop_process(pid, signal),
            Next::GoOn | Next::Handle { .. } => {}
        }
    }

    /// Puts the frame of a handler on the stack. A stack that cannot take it ends the process, unless it has a handler on another.
    fn enter(&mut self, cell: &mut Cell, info: &Info, action: &Action, mask: Set, state: State) {
        let vector = self.worker.save_vector();
        let (features, _) = self.worker.vector_features();
        let Ok((thread, process)) = cell.both(self.tid) else { return };
        let of = frame::Interrupted { registers: &state, mask, vector: &vector, features };
        match frame::build(&mut *self.memory.lock(), &mut thread.signals.stack, action, info, &of) {
            Ok(state) => self.worker.set_state(&state),
            Err(_) => {
                self.worker.set_state(&state);
                if info.signal == SIGSEGV {
                    // The handler of faults itself cannot be entered.
                    process.signals.actions.lock().forget(SIGSEGV);
                }
                process.signals.force(&mut thread.signals, Info::kernel(SIGSEGV));
            }
        }
    }

    /// rt_sigreturn(2).
    pub fn return_from_signal(&mut self, cell: &mut Cell) -> Result<()> {
        let (features, mxcsr) = self.worker.vector_features();
        let restored = frame::restore(&mut *self.memory.lock(), &self.worker.state(), features, mxcsr)?;
        self.worker.load_vector(restored.vector.as_deref())?;
        self.worker.set_state(&restored.registers);
        let thread = cell.thread(self.tid)?;
        thread.signals.mask = restored.mask;
        // One that cannot be taken back now stays as it is.
        let _ = thread.signals.stack.replace(restored.stack, restored.registers.rsp);
        self.attention.store(true, Ordering::Release);
        Ok(())
    }

    /// A signal that the thread cannot put off.
    pub fn force(&mut self, cell: &mut Cell, info: Info) {
        if let Ok((thread, process)) = cell.both(self.tid) {
            process.signals.force(&mut thread.signals, info);
        }
    }

    /// The guest did what the CPU refuses, or trapped.
    pub fn exception(&mut self, cell: &mut Cell, vector: u64, error: u64, address: u64) -> Step {
        cell.running = self.tid;
        if vector == PAGE_FAULT {
            let wanted = match error {
                _ if error & ERROR_WRITE != 0 => Access::WRITE,
                _ if error & ERROR_FETCH != 0 => Access::EXECUTE,
                _ => Access::READ,
            };
            let filled = self.memory.lock().fault(address, wanted);
            let fault = match filled {
                Ok(()) if self.attention.load(Ordering::Acquire) => return self.settle(cell),
                Ok(()) => return Step::Run,
                Err(fault) => fault,
            };
            let (signal, code) = match fault {
                Fault::NotMapped => (SIGSEGV, SEGV_MAPERR),
                Fault::Forbidden => (SIGSEGV, SEGV_ACCERR),
                Fault::Beyond => (SIGBUS, BUS_ADRERR),
                Fault::NoMemory => {
                    cell.end_process(self.process.pid, killed(SIGKILL, false));
                    return self.settle(cell);
                }
            };
            self.force(cell, Info { signal, code: code as i32, more: More::Fault { address, address_lsb: 0 } });
            return self.settle(cell);
        }
        let rip = self.worker.state().rip;
        let at = |address| More::Fault { address, address_lsb: 0 };
        let (signal, code, more) = match vector {
            0 => (SIGFPE, FPE_INTDIV as i32, at(rip)),
            1 => (SIGTRAP, TRAP_TRACE as i32, at(rip)),
            3 => (SIGTRAP, SI_KERNEL as i32, More::None),
            6 => (SIGILL, ILL_ILLOPN as i32, at(rip)),
            11 | 12 => (SIGBUS, SI_KERNEL as i32, More::None),
            16 | 19 => (SIGFPE, FPE_FLTINV as i32, at(rip)),
            17 => (SIGBUS, BUS_ADRALN as i32, at(address)),
            _ => (SIGSEGV, SI_KERNEL as i32, More::None),
        };
        self.force(cell, Info { signal, code, more });
        self.settle(cell)
    }

    /// What the platform's loop could not run: registers that no guest may have.
    pub fn refused(&mut self, cell: &mut Cell) -> Step {
        cell.running = self.tid;
        self.force(cell, Info::kernel(SIGSEGV));
        self.settle(cell)
    }
}

/// SDM volume 3, 6.15 and 4.7.
const PAGE_FAULT: u64 = 14;
const ERROR_WRITE: u64 = 1 << 1;
const ERROR_FETCH: u64 = 1 << 4;
