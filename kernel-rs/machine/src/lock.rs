// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel's lock, as an algorithm over flags, one a CPU. A CPU that takes its own flag may touch what is at home on
//! it; a CPU that takes all of them, in order, may touch everything. So calls between threads of one CPU meet no other
//! CPU's cache lines.
//!
//! No CPU waits while it holds its own flag alone, and those who take all of them begin with the first: nobody waits in
//! a circle. It is not first come, first served: on a virtual machine whose CPUs are not always running, a queue would
//! wait for whoever sleeps at its head.

use core::sync::atomic::{AtomicU32, Ordering::*};

/// One CPU's part. Generic, so that a model checker can put its own atomics in.
pub trait Flag {
    /// Takes it if it is free; with acquire ordering.
    fn try_take(&self) -> bool;
    /// Gives it back; with release ordering.
    fn give(&self);
    /// A look without taking.
    fn is_taken(&self) -> bool;
}

impl Flag for AtomicU32 {
    #[inline(always)]
    fn try_take(&self) -> bool {
        self.swap(1, Acquire) == 0
    }
    #[inline(always)]
    fn give(&self) {
        self.store(0, Release);
    }
    #[inline(always)]
    fn is_taken(&self) -> bool {
        self.load(Relaxed) != 0
    }
}

/// Takes all flags; `meanwhile` runs again and again while one is not free.
#[inline(always)]
pub fn take_all<'a, F: Flag + 'a>(flags: impl Iterator<Item = &'a F>, mut meanwhile: impl FnMut()) {
    for flag in flags {
        while !flag.try_take() {
            while flag.is_taken() {
                meanwhile();
            }
        }
    }
}

/// Takes the other flags for who holds its own, if all of them are free: it must not wait. After `false` it has taken none.
#[inline(always)]
pub fn try_take_others<'a, F: Flag + 'a>(others: impl Iterator<Item = &'a F> + Clone) -> bool {
    for (taken, flag) in others.clone().enumerate() {
        if !flag.try_take() {
            give_all(others.take(taken));
            return false;
        }
    }
    true
}

/// Gives all of them back.
#[inline(always)]
pub fn give_all<'a, F: Flag + 'a>(flags: impl Iterator<Item = &'a F>) {
    flags.for_each(F::give);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn counts_of_own_and_of_all_stay_right_under_contention() {
        static FLAGS: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];
        // Not atomic additions: a lost one shows.
        static COUNTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
        let add = |n: usize| COUNTS[n].store(COUNTS[n].load(Relaxed) + 1, Relaxed);
        std::thread::scope(|s| {
            for (cpu, own) in FLAGS.iter().enumerate() {
                s.spawn(move || {
                    for n in 0..3000 {
                        let others = || FLAGS.iter().enumerate().filter(|(other, _)| *other != cpu).map(|(_, flag)| flag);
                        if n % 8 == 0 {
                            take_all(FLAGS.iter(), std::thread::yield_now);
                            (0..4).for_each(add);
                            give_all(FLAGS.iter());
                        } else {
                            while !own.try_take() {
                                std::thread::yield_now();
                            }
                            if n % 8 == 1 && try_take_others(others()) {
                                // All of them, as above; then one's own, as below.
                                (0..4).for_each(add);
                                (0..4).for_each(|c| COUNTS[c].store(COUNTS[c].load(Relaxed) - 1, Relaxed));
                                give_all(others());
                            }
                            add(cpu);
                            own.give();
                        }
                    }
                });
            }
        });
        let expected = 3000 - 375 + 4 * 375;
        assert!(COUNTS.iter().all(|c| c.load(Relaxed) == expected));
    }
}
