// SPDX-License-Identifier: PMPL-1.0-or-later
//! Signal numbers and sets of them (signal(7)). Bit n-1 of a set is signal n, as the ABI has it.

use linux_raw_sys::general::*;

/// Highest signal.
pub const LAST: u32 = _NSIG;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Set(pub u64);

impl Set {
    pub const EMPTY: Set = Set(0);
    /// Cannot be caught, blocked or ignored.
    pub const ABSOLUTE: Set = Set::of(&[SIGKILL, SIGSTOP]);
    /// Stop a process unless they are caught or ignored.
    pub const STOPPING: Set = Set::of(&[SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]);
    /// What the caller's own instructions raise: delivered before others.
    pub const SYNCHRONOUS: Set = Set::of(&[SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS]);
    const IGNORED: Set = Set::of(&[SIGCHLD, SIGCONT, SIGURG, SIGWINCH]);
    const DUMPING: Set = Set::of(&[SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS]);

    pub const fn of(signals: &[u32]) -> Set {
        let (mut bits, mut n) = (0, 0);
        while n < signals.len() {
            bits |= 1 << (signals[n] - 1);
            n += 1;
        }
        Set(bits)
    }
    pub const fn has(self, signal: u32) -> bool {
        signal >= 1 && signal <= LAST && self.0 & 1 << (signal - 1) != 0
    }
    pub const fn with(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
    pub const fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
    pub const fn and(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The lowest signal in it.
    pub const fn first(self) -> Option<u32> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() + 1) }
    }
}

/// What a signal does to a process that has said nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Ignore,
    Terminate,
    /// Terminates, and Linux would write a core file: the wait status says so.
    Dump,
    Stop,
    /// Has done its work when it was sent.
    Continue,
}

/// signal(7), "Standard signals".
pub const fn fate(signal: u32) -> Fate {
    if Set::STOPPING.has(signal) {
        Fate::Stop
    } else if signal == SIGCONT {
        Fate::Continue
    } else if Set::IGNORED.has(signal) {
        Fate::Ignore
    } else if Set::DUMPING.has(signal) {
        Fate::Dump
    } else {
        Fate::Terminate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_none_is_in_no_set() {
        assert!(!Set(u64::MAX).has(0) && !Set(u64::MAX).has(65) && Set(u64::MAX).has(64));
        assert_eq!(Set::of(&[SIGTERM, SIGHUP]).first(), Some(SIGHUP));
    }

    #[test]
    fn fates_are_those_of_the_manual() {
        let of = [SIGCHLD, SIGTERM, SIGSEGV, SIGTSTP, SIGCONT, SIGRTMIN, SIGIO, SIGPWR, SIGSTKFLT].map(fate);
        use Fate::*;
        assert_eq!(of, [Ignore, Terminate, Dump, Stop, Continue, Terminate, Terminate, Terminate, Terminate]);
    }
}
