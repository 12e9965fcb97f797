// SPDX-License-Identifier: PMPL-1.0-or-later
//! Values that threads of one program share. For a [`Mutex`] give them the same priority: who waits yields, and only equals get
//! a turn; a [`SleepLock`] is for any.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use sys::Notification;

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

/// A value that threads of any priority share: who finds it taken sleeps until it is free.
#[derive(Debug)]
pub struct SleepLock<T> {
    /// [`FREE`], [`TAKEN`], or [`WANTED`]: taken, and somebody sleeps or is about to.
    state: AtomicU32,
    bell: Notification,
    value: UnsafeCell<T>,
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const WANTED: u32 = 2;
/// Looks before a thread sleeps: on another CPU it is often free in a moment.
const LOOKS: u32 = 64;

// SAFETY: as `Mutex`: a guard is the only way to the value, and there is one at a time.
unsafe impl<T: Send> Sync for SleepLock<T> {}

impl<T> SleepLock<T> {
    /// `bell` is the lock's alone.
    pub const fn new(bell: Notification, value: T) -> Self {
        SleepLock { state: AtomicU32::new(FREE), bell, value: UnsafeCell::new(value) }
    }
    /// The calling thread must not have it already: that would wait for itself.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        if self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.sleep();
        }
        Guard(self)
    }
    #[cold]
    fn sleep(&self) {
        for _ in 0..LOOKS {
            core::hint::spin_loop();
            if self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        // A ring that nobody waits for stays in the bell, so none is lost between the swap and the wait.
        while self.state.swap(WANTED, Ordering::Acquire) != FREE {
            let _ = self.bell.wait(sys::FOREVER);
        }
    }
    #[inline]
    fn unlock(&self) {
        if self.state.swap(FREE, Ordering::Release) == WANTED {
            let _ = self.bell.signal(1);
        }
    }
}

/// The value of a [`SleepLock`], until it is dropped.
#[derive(Debug)]
pub struct Guard<'a, T>(&'a SleepLock<T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: there is one guard at a time, and this is it.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as `deref`.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_count_together() {
        // On a host the bell says `Unsupported` at once: who waits looks again and again.
        static LOCK: SleepLock<u64> = SleepLock::new(Notification(sys::Handle::NULL), 0);
        let count = || (0..50_000).for_each(|_| *LOCK.lock() += 1);
        let other = std::thread::spawn(count);
        count();
        other.join().unwrap();
        assert_eq!(*LOCK.lock(), 100_000);
    }
}
