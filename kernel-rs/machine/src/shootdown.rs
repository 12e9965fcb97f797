// SPDX-License-Identifier: PMPL-1.0-or-later
//! Requests between CPUs that change page tables and CPUs that have them loaded, as an algorithm over a word, one a CPU.
//! Only who holds all flags of the kernel lock asks, so there is one asker at a time; who waits for a flag answers meanwhile, and so does
//! every entry of the kernel: the asker's wait ends.

use core::sync::atomic::{AtomicU32, Ordering::*};

/// One CPU's word: 0 = nothing is asked of it. Generic, so that a model checker can put its own atomics in.
pub trait Request {
    /// Asks; with release ordering: what was written before is seen by who answers.
    fn post(&self, what: u32);
    /// What is asked; with acquire ordering.
    fn pending(&self) -> u32;
    /// Says that it is done; with release ordering.
    fn clear(&self);
}

impl Request for AtomicU32 {
    #[inline(always)]
    fn post(&self, what: u32) {
        self.store(what, Release);
    }
    #[inline(always)]
    fn pending(&self) -> u32 {
        self.load(Acquire)
    }
    #[inline(always)]
    fn clear(&self) {
        self.store(0, Release);
    }
}

/// Does what is asked of this CPU, then says so.
#[inline(always)]
pub fn answer(own: &impl Request, act: impl FnOnce(u32)) {
    let what = own.pending();
    if what != 0 {
        act(what);
        own.clear();
    }
}

/// Waits for the answers of those that were asked.
#[inline(always)]
pub fn wait<'a, R: Request + 'a>(asked: impl Iterator<Item = &'a R>, mut meanwhile: impl FnMut()) {
    for request in asked {
        while request.pending() != 0 {
            meanwhile();
        }
    }
}
