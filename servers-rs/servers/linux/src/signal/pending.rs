// SPDX-License-Identifier: PMPL-1.0-or-later
//! Signals that were sent and not taken: one of each standard signal, a queue of each real-time one (signal(7), "Queueing").

use crate::signal::info::{Info, More};
use crate::signal::set::Set;
use alloc::collections::VecDeque;
use linux_raw_sys::general::SIGRTMIN;

/// Of a thread, or of a whole process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pending {
    set: Set,
    queue: VecDeque<Info>,
}

/// What became of a signal that was put here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    Queued,
    /// A standard signal that waits already: the second one is the same.
    Merged,
    /// No room in the queue (RLIMIT_SIGPENDING): the signal is pending without what came with it.
    Bare,
}

impl Pending {
    pub fn set(&self) -> Set {
        self.set
    }
    /// Queued records: what RLIMIT_SIGPENDING counts.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether a signal of that timer is in the queue.
    pub fn holds_timer(&self, timer: u32) -> bool {
        self.queue.iter().any(|info| matches!(info.more, More::Timer { id, .. } if id == timer))
    }

    /// `room`: how many records its owner may still queue.
    pub fn put(&mut self, info: Info, room: usize) -> Put {
        if info.signal < SIGRTMIN && self.set.has(info.signal) {
            return Put::Merged;
        }
        self.set = self.set.with(Set::of(&[info.signal]));
        if room == 0 {
            return Put::Bare;
        }
        self.queue.push_back(info);
        Put::Queued
    }

    /// Takes the next signal of `wanted`: faults first, then the lowest number, then the oldest.
    pub fn take(&mut self, wanted: Set) -> Option<Info> {
        let there = self.set.and(wanted);
        let signal = there.and(Set::SYNCHRONOUS).first().or(there.first())?;
        let taken = self.queue.iter().position(|info| info.signal == signal).and_then(|at| self.queue.remove(at));
        if !self.queue.iter().any(|info| info.signal == signal) {
            self.set = self.set.without(Set::of(&[signal]));
        }
        // A signal without a record: who sent it is not known any more.
        Some(taken.unwrap_or(Info { code: 0, ..Info::kernel(signal) }))
    }

    /// Throws away what is in `signals`.
    pub fn discard(&mut self, signals: Set) {
        if !self.set.and(signals).is_empty() {
            self.set = self.set.without(signals);
            self.queue.retain(|info| !signals.has(info.signal));
        }
    }

    pub fn clear(&mut self) {
        *self = Pending::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use linux_raw_sys::general::{SI_QUEUE, SIGHUP, SIGSEGV, SIGTERM};

    fn info(signal: u32, value: u64) -> Info {
        Info { signal, code: SI_QUEUE, more: More::Value { pid: 1, uid: 0, value } }
    }

    #[test]
    fn a_standard_signal_waits_once_and_a_real_time_one_as_often_as_it_came_in_order() {
        let mut pending = Pending::default();
        for (signal, value) in [(SIGTERM, 1), (SIGTERM, 2), (40, 3), (40, 4), (35, 5)] {
            pending.put(info(signal, value), 100);
        }
        let order: Vec<_> = core::iter::from_fn(|| pending.take(Set(u64::MAX))).collect();
        assert_eq!(order, [info(SIGTERM, 1), info(35, 5), info(40, 3), info(40, 4)]);
        assert!(pending.set().is_empty());
    }

    #[test]
    fn a_fault_comes_before_lower_numbers() {
        let mut pending = Pending::default();
        pending.put(info(SIGHUP, 0), 9);
        pending.put(info(SIGSEGV, 0), 9);
        assert_eq!(pending.take(Set(u64::MAX)).map(|i| i.signal), Some(SIGSEGV));
    }

    #[test]
    fn what_is_not_wanted_stays() {
        let mut pending = Pending::default();
        pending.put(info(SIGTERM, 0), 9);
        assert_eq!(pending.take(Set::of(&[SIGHUP])), None);
        assert!(pending.set().has(SIGTERM));
    }

    #[test]
    fn without_room_a_signal_is_still_pending_but_says_nothing_of_its_sender() {
        let mut pending = Pending::default();
        assert_eq!(pending.put(info(40, 7), 0), Put::Bare);
        assert_eq!(pending.take(Set(u64::MAX)).map(|i| (i.signal, i.more)), Some((40, More::None)));
        assert_eq!(pending.take(Set(u64::MAX)), None);
    }
}
