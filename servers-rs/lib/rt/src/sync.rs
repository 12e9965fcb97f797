// SPDX-License-Identifier: PMPL-1.0-or-later
//! A value that two threads of one program share. Give both the same priority: who waits yields, and only equals get a turn.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub struct Mutex<T> {
    busy: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the cell is reached only in `with`, which one thread at a time passes; the value may move between threads.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Mutex { busy: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }
    /// Runs `work` alone. It must not use the same mutex again: that would wait for itself.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        while self.busy.swap(true, Ordering::Acquire) {
            sys::yield_now();
        }
        // SAFETY: `busy` was false and is true now, so no other reference to the value exists until it is false again.
        let result = work(unsafe { &mut *self.value.get() });
        self.busy.store(false, Ordering::Release);
        result
    }
}
