// SPDX-License-Identifier: PMPL-1.0-or-later
//! The latch by which a thread is told, inside its guest, that somebody kicked it: `GuestKick` raises it, then interrupts;
//! the thread's CPU takes it right before user code goes on. No kick is lost, and none is told twice.
//!
//! The interrupt is a word here: pending from when it is sent until user code is interrupted.

use kernel_proofs::explore;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::*};
use loom::thread;

const KICK: u32 = 1;

#[derive(Default)]
struct Guest {
    attention: AtomicU32,
    interrupt: AtomicU32,
    /// What kickers have left for the thread to find.
    news: AtomicU32,
}

fn kick(guest: &Guest) {
    guest.attention.fetch_or(KICK, SeqCst);
    guest.interrupt.swap(1, SeqCst);
}

/// As `Guest::take` of `machine`.
fn take(guest: &Guest) -> bool {
    guest.attention.fetch_and(!KICK, SeqCst) & KICK != 0
}

/// A thread in its guest that comes out until it has found the news of all kickers.
fn kicked_at_any_time(kickers: u32, preemptions: usize, kick: fn(&Guest), take: fn(&Guest) -> bool) {
    explore(preemptions, move || {
        let guest = Arc::new(Guest::default());
        let threads: Vec<_> = (0..kickers)
            .map(|_| {
                let guest = guest.clone();
                thread::spawn(move || {
                    guest.news.fetch_add(1, Relaxed);
                    kick(&guest);
                })
            })
            .collect();
        let (mut told, mut found) = (0, 0);
        while found < kickers {
            // The guest runs until it is interrupted.
            while guest.interrupt.swap(0, SeqCst) == 0 {
                thread::yield_now();
            }
            // Before it goes on.
            if take(&guest) {
                told += 1;
                found = guest.news.load(Relaxed);
            }
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
        told += u32::from(take(&guest));
        assert!(told <= kickers, "a kick was told twice");
    });
}

#[test]
fn a_kick_at_any_time_brings_the_thread_out() {
    kicked_at_any_time(1, 5, kick, take);
}

#[test]
fn of_two_kicks_none_is_lost_and_none_is_told_twice() {
    kicked_at_any_time(2, 3, kick, take);
}

#[test]
#[should_panic(expected = "number of branches")]
fn a_latch_raised_after_the_interrupt_is_found_out() {
    let late = |guest: &Guest| {
        guest.interrupt.swap(1, SeqCst);
        guest.attention.fetch_or(KICK, SeqCst);
    };
    kicked_at_any_time(1, 3, late, take);
}

#[test]
#[should_panic(expected = "number of branches")]
fn a_latch_cleared_before_it_is_looked_at_is_found_out() {
    let clears = |guest: &Guest| {
        guest.attention.fetch_and(!KICK, SeqCst);
        guest.attention.fetch_add(0, SeqCst) & KICK != 0
    };
    kicked_at_any_time(1, 3, kick, clears);
}

#[test]
#[should_panic(expected = "number of branches")]
fn a_latch_cleared_some_time_after_it_is_looked_at_is_found_out() {
    let clears = |guest: &Guest| {
        let kicked = guest.attention.fetch_add(0, SeqCst) & KICK != 0;
        if kicked {
            let _ = guest.news.fetch_add(0, Relaxed);
        }
        guest.attention.store(0, SeqCst);
        kicked
    };
    kicked_at_any_time(2, 3, kick, clears);
}
