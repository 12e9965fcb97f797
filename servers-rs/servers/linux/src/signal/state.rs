// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a thread and its process hold of signals, what becomes of one that is sent, and what a thread does next.
//!
//! Who waits is woken by the caller: after [`ProcessSignals::send`] those threads for which [`ThreadSignals::cares`] says so, and all
//! of them when it was SIGCONT or SIGKILL.

use crate::errno::{EAGAIN, Result};
use crate::signal::action::{Action, Actions};
use crate::signal::info::Info;
use crate::signal::pending::{Pending, Put};
use crate::signal::set::{Fate, Set, fate};
use crate::signal::stack::AltStack;
use alloc::sync::Arc;
use linux_raw_sys::general::{SA_NODEFER, SI_USER, SIGCONT, SIGKILL, SIGRTMIN, SIGSTOP};
use spin::Mutex;

/// Of one thread.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThreadSignals {
    pub mask: Set,
    /// What `mask` is again once a call that replaced it for its own time (sigsuspend, ppoll) is over.
    pub saved_mask: Option<Set>,
    /// What a rt_sigtimedwait of this thread waits for.
    pub awaited: Set,
    pub pending: Pending,
    pub stack: AltStack,
}

/// Of a process: what its threads have in common.
#[derive(Debug, Default)]
pub struct ProcessSignals {
    pub pending: Pending,
    /// Shared by CLONE_SIGHAND.
    pub actions: Arc<Mutex<Actions>>,
    /// First of its PID namespace: what it does not catch passes it by (pid_namespaces(7)).
    pub protected: bool,
}

/// Whom a signal is for.
#[derive(Debug)]
pub enum Target<'a> {
    /// Any thread; the mask is that of the main thread, which decides whether an ignored signal is kept.
    Process {
        main_mask: Set,
    },
    Thread(&'a mut ThreadSignals),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Ignored: nothing is pending.
    Dropped,
    Pending,
}

/// What a thread does before it goes on with its program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    GoOn,
    /// Enter the handler; `mask` is what its frame gives back.
    Handle {
        info: Info,
        action: Action,
        mask: Set,
    },
    /// The whole process ends.
    Terminate {
        signal: u32,
        dumps: bool,
    },
    /// The whole process stops.
    Stop {
        signal: u32,
    },
}

impl ThreadSignals {
    /// Whether anything is to be done: cheap, asked before a guest goes on.
    pub fn has_work(&self, process: &ProcessSignals) -> bool {
        !self.pending.set().with(process.pending.set()).without(self.mask).is_empty()
    }
    /// Whether a signal that was just sent ends this thread's wait.
    pub fn cares(&self, signal: u32) -> bool {
        !self.mask.has(signal) || self.awaited.has(signal)
    }
    /// A call replaces the mask for as long as it lasts.
    pub fn suspend_with(&mut self, mask: Set) {
        self.saved_mask = Some(self.saved_mask.unwrap_or(self.mask));
        self.mask = mask.without(Set::ABSOLUTE);
    }
    /// A call with a mask of its own is over without a handler.
    pub fn restore_mask(&mut self) {
        if let Some(mask) = self.saved_mask.take() {
            self.mask = mask;
        }
    }
    /// Takes a signal out of `wanted` that waits for this thread or for all (sigtimedwait, signalfd).
    pub fn dequeue(&mut self, process: &mut ProcessSignals, wanted: Set) -> Option<Info> {
        self.pending.take(wanted).or_else(|| process.pending.take(wanted))
    }
    /// Of a child of fork, or a new thread: its signals are its own.
    pub fn for_child(&self) -> ThreadSignals {
        ThreadSignals { pending: Pending::default(), awaited: Set::EMPTY, ..self.clone() }
    }
}

impl ProcessSignals {
    /// Of a child of fork; with CLONE_SIGHAND the caller puts the shared actions in.
    pub fn for_child(&self) -> ProcessSignals {
        let actions = self.actions.lock().clone();
        ProcessSignals { pending: Pending::default(), actions: Arc::new(Mutex::new(actions)), protected: false }
    }

    /// SIGCONT takes back stops that wait, and a stop a SIGCONT: to be called with every thread of the process before
    /// [`ProcessSignals::send`].
    pub fn make_way<'a>(&mut self, signal: u32, threads: impl Iterator<Item = &'a mut ThreadSignals>) {
        let contrary = match fate(signal) {
            Fate::Continue => Set::STOPPING,
            Fate::Stop => Set::of(&[SIGCONT]),
            _ => return,
        };
        self.pending.discard(contrary);
        threads.for_each(|thread| thread.pending.discard(contrary));
    }

    /// `room`: records that the receiver may still queue (RLIMIT_SIGPENDING). Errors: `EAGAIN` for a real-time signal with a value
    /// that has no room.
    pub fn send(&mut self, target: Target<'_>, info: Info, room: usize) -> Result<Sent> {
        let kept_back = match &target {
            Target::Process { main_mask } => *main_mask,
            Target::Thread(thread) => thread.mask.with(thread.awaited),
        };
        if !kept_back.has(info.signal) && self.passes_by(info.signal) {
            return Ok(Sent::Dropped);
        }
        let pending = match target {
            Target::Process { .. } => &mut self.pending,
            Target::Thread(thread) => &mut thread.pending,
        };
        if room == 0 && info.signal >= SIGRTMIN && info.code != SI_USER as i32 {
            return Err(EAGAIN);
        }
        let (Put::Queued | Put::Merged | Put::Bare) = pending.put(info, room);
        Ok(Sent::Pending)
    }

    /// It would be thrown away when its turn comes.
    fn passes_by(&self, signal: u32) -> bool {
        let actions = self.actions.lock();
        let is_default = actions.get(signal).is_ok_and(|action| !action.is_caught());
        actions.ignores(signal) || self.protected && is_default
    }

    /// A fault of the thread's own: cannot be put off or ignored. One that is blocked or ignored ends the process.
    pub fn force(&mut self, thread: &mut ThreadSignals, info: Info) {
        let mut actions = self.actions.lock();
        let ignored = actions.get(info.signal).is_ok_and(|action| action.is_ignored());
        if ignored || thread.mask.has(info.signal) {
            actions.forget(info.signal);
            thread.mask = thread.mask.without(Set::of(&[info.signal]));
        }
        if actions.get(info.signal).is_ok_and(|action| !action.is_caught()) {
            self.protected = false;
        }
        thread.pending.put(info, usize::MAX);
    }

    /// Takes the next signal that does something. `orphaned`: nobody could continue the process group, so a terminal's stops
    /// pass it by (setpgid(2)).
    pub fn next(&mut self, thread: &mut ThreadSignals, orphaned: bool) -> Next {
        while thread.has_work(self) {
            let Some(info) = thread.dequeue(self, Set(!thread.mask.0)) else { break };
            let mut actions = self.actions.lock();
            let action = actions.get(info.signal).unwrap_or_default();
            if action.is_caught() {
                actions.taken(info.signal);
                return Next::Handle { info, action, mask: thread.enter(info.signal, &action) };
            }
            if action.is_ignored() || self.protected {
                continue;
            }
            match fate(info.signal) {
                Fate::Ignore | Fate::Continue => {}
                Fate::Terminate => return Next::Terminate { signal: info.signal, dumps: false },
                Fate::Dump => return Next::Terminate { signal: info.signal, dumps: true },
                Fate::Stop if orphaned && info.signal != SIGSTOP => {}
                Fate::Stop => return Next::Stop { signal: info.signal },
            }
        }
        Next::GoOn
    }

    /// SIGKILL waits for this thread: nothing else counts.
    pub fn is_killed(&self, thread: &ThreadSignals) -> bool {
        self.pending.set().with(thread.pending.set()).has(SIGKILL) && !self.protected
    }
}

impl ThreadSignals {
    /// The mask while a handler runs; returns what its frame gives back.
    fn enter(&mut self, signal: u32, action: &Action) -> Set {
        let before = self.saved_mask.take().unwrap_or(self.mask);
        let own = if action.has(SA_NODEFER) { Set::EMPTY } else { Set::of(&[signal]) };
        self.mask = self.mask.with(action.mask).with(own).without(Set::ABSOLUTE);
        before
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
