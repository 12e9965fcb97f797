// SPDX-License-Identifier: PMPL-1.0-or-later
//! The sign of life. A component that runs and does not give it for as long as its manifest entry says (`heartbeat`)
//! hangs: the process server ends it and starts it afresh. One that waits, or gets no turn, is left alone.
//!
//! `channel::serve` gives it; a program with a loop of its own calls [`beat`] once each time round.

use crate::memory::Shared;
use abi::thread::doing;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use ipc::Message;
use manifest::layout;
use sys::{Memory, PAGE_BYTES, Rights, Thread};

/// Address of the counter; 0: nobody looks.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The starter mapped `layout::VITALS`.
#[cfg(target_os = "none")]
pub(crate) fn begin() {
    COUNTER.store(layout::VITALS + layout::BEATS, Ordering::Relaxed);
}

/// This program came round.
#[inline]
pub fn beat() {
    // SAFETY: the address is 0, or one of a mapped page that is writable and never unmapped (`Startup::is_watched`), at a
    // multiple of 4; who else maps it only loads.
    if let Some(counter) = unsafe { (COUNTER.load(Ordering::Relaxed) as *const AtomicU32).as_ref() } {
        // Two threads that do it at once may count one; it changed all the same.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// The answer as it is to be sent: another one if whoever injects faults asked for that.
pub fn mutated(answer: Option<Message>) -> Option<Message> {
    let mutation = match COUNTER.load(Ordering::Relaxed) {
        0 => return answer,
        counter => counter - layout::BEATS + layout::MUTATION,
    };
    // SAFETY: as in `beat`: another word of the same page; the process server may store there, both do it whole.
    let mutation = unsafe { &*(mutation as *const AtomicU32) };
    match mutation.load(Ordering::Relaxed) {
        0 => answer,
        seed => answer.map(|mut answer| {
            mutation.store(0, Ordering::Relaxed);
            answer.flip(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            answer
        }),
    }
}

const _: () = assert!(layout::BEATS.is_multiple_of(4) && layout::MUTATION.is_multiple_of(4));

/// The counters of all that are watched, a page for each.
#[derive(Debug)]
pub struct Vitals(Shared);

impl Vitals {
    /// Errors: those of [`Shared::map`].
    pub fn map(memory: Memory, length_bytes: u64) -> sys::Result<Vitals> {
        Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE).map(Vitals)
    }
    /// How often the one with this number came round, modulo 2^32; 0 if there is no such number.
    pub fn beats(&self, number: usize) -> u32 {
        let offset = number * PAGE_BYTES as usize + layout::BEATS as usize;
        self.0.atomic(offset).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
    /// The next answer of that one is changed, in a way that comes from `seed`; 0: it is not.
    pub fn mutate(&self, number: usize, seed: u32) {
        if let Some(word) = self.0.atomic(number * PAGE_BYTES as usize + layout::MUTATION as usize) {
            word.store(seed, Ordering::Relaxed);
        }
    }
}

/// What was seen of one that is watched when it was last looked at. Begins with the first look.
#[derive(Clone, Copy, Default, Debug)]
pub struct Pulse {
    seen: Option<(u32, u64)>,
    /// How long it ran since it last came round, as far as looks tell.
    spent_ns: u64,
}

/// Looks at one in a heartbeat. A hang is found by the fifth look after it began: within 1.5 heartbeats.
pub const LOOKS: u64 = 4;

impl Pulse {
    /// Whether the thread ran for `heartbeat_ns` since it came round; to be called [`LOOKS`] times in a heartbeat.
    pub fn is_lost(&mut self, beats: u32, thread: Thread, heartbeat_ns: u64) -> bool {
        // A thread that is gone says so to its fault handler.
        thread.usage().is_ok_and(|usage| self.look(beats, usage, heartbeat_ns))
    }

    fn look(&mut self, beats: u32, (doing, ran_ns): (u64, u64), heartbeat_ns: u64) -> bool {
        let (last, before_ns) = self.seen.replace((beats, ran_ns)).unwrap_or((beats, ran_ns));
        if last != beats || doing == doing::RECEIVES {
            self.spent_ns = 0;
            return false;
        }
        // No look counts for more than its share: when the whole machine was stopped for a while, or the kernel charged it
        // with what its CPU did before, four looks must agree all the same.
        let ran = ran_ns.saturating_sub(before_ns).min(heartbeat_ns / LOOKS);
        self.spent_ns = self.spent_ns.saturating_add(ran);
        self.spent_ns >= heartbeat_ns / LOOKS * LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: u64 = 250_000_000;
    const LOOK: u64 = BEAT / LOOKS;

    /// Looks, each a share of a heartbeat after the one before: counter, what it does, how long it ran since.
    fn lost(looks: &[(u32, u64, u64)]) -> Option<usize> {
        let (mut pulse, mut ran) = (Pulse::default(), 77);
        looks.iter().position(|&(beats, doing, more)| {
            ran += more;
            pulse.look(beats, (doing, ran), BEAT)
        })
    }

    #[test]
    fn one_that_spins_is_found_by_the_fifth_look() {
        assert_eq!(lost(&[(5, doing::RUNS, LOOK); 9]), Some(4));
        assert_eq!(lost(&[(5, doing::RUNS, 0), (6, doing::RUNS, LOOK), (6, doing::RUNS, 50 * LOOK)]), None, "nor by two");
    }
    #[test]
    fn one_that_works_hard_and_comes_round_is_left_alone() {
        let busy: [_; 50] = core::array::from_fn(|n| (n as u32 / 3, doing::RUNS, LOOK));
        assert_eq!(lost(&busy), None);
    }
    #[test]
    fn one_that_gets_no_turn_is_left_alone() {
        assert_eq!(lost(&[(5, doing::RUNS, 0); 50]), None);
        assert_eq!(lost(&[(5, doing::RUNS, LOOK / 10); 40]), None, "a tenth of the time, for a second");
    }
    #[test]
    fn one_that_waits_for_a_device_or_is_stopped_is_left_alone() {
        assert_eq!(lost(&[(5, doing::WAITS, 0); 50]), None);
        assert_eq!(lost(&[(5, doing::STOPPED, 0); 50]), None);
        assert_eq!(lost(&[(5, doing::RECEIVES, LOOK / 2); 50]), None, "it was in its loop at each look");
    }
    #[test]
    fn one_that_spins_between_short_waits_is_found() {
        let waits = [(5, doing::WAITS, LOOK), (5, doing::RUNS, LOOK)];
        assert_eq!(lost(&[waits; 4].concat()), Some(4));
    }
    #[test]
    fn where_nobody_looks_a_beat_goes_nowhere() {
        beat();
    }
}
