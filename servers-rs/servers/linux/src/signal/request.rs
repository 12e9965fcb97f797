// SPDX-License-Identifier: PMPL-1.0-or-later
//! Signals that a call of files raises: SIGPIPE, those of a terminal, of asynchronous descriptors. The loop sends them when the
//! call has returned; a call that must not go on before its caller took the signal answers `Blocked` and is made again.

use alloc::vec::Vec;
use core::cell::RefCell;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// The calling thread.
    Caller,
    Process(u32),
    /// Every process of a process group.
    Group(u32),
    /// Every process of a session: its terminal is gone.
    Session(u32),
}

/// One signal; `code` is the siginfo's `si_code`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    pub to: To,
    pub signal: u32,
    pub code: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    raised: RefCell<Vec<Request>>,
    /// Signals that the caller blocks or ignores: bit n-1 is signal n. A terminal asks (SIGTTIN, SIGTTOU).
    pub deaf: u64,
    /// Nobody in the session could continue the caller's process group if it stopped (credentials(7)).
    pub orphaned: bool,
}

impl Requests {
    /// Of a caller that blocks or ignores these.
    pub fn of(deaf: u64) -> Requests {
        Requests { deaf, ..Requests::default() }
    }
    pub fn raise(&self, to: To, signal: u32, code: i32) {
        self.raised.borrow_mut().push(Request { to, signal, code });
    }
    /// What was raised so far, for whoever sends it.
    pub fn take(&self) -> Vec<Request> {
        self.raised.take()
    }
    pub fn is_deaf_to(&self, signal: u32) -> bool {
        (1..=64).contains(&signal) && self.deaf & 1 << (signal - 1) != 0
    }
}
