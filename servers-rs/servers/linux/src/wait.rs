// SPDX-License-Identifier: PMPL-1.0-or-later
//! Waiting without stacks that sleep inside: who waits stands on queues, and its call is made again when one of them wakes it.
//!
//! A call that cannot go on registers its thread's [`Waker`] with every [`Queue`] whose change could help and answers
//! [`Outcome::Blocked`]. All of it happens under the cell's lock, and so does every change that wakes: none is lost.
//! The thread's loop lets the lock go, waits until it is woken, kicked or late, takes the lock, leaves the queues, and makes the call
//! again unless a signal is there to be delivered. What a call has done so far it keeps in [`Progress`].

use crate::errno::{ERESTART, Errno, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;
use spin::Mutex;

/// Wakes one thread of the cell. Waking one that does not wait is no mistake: it looks once more.
pub trait Waker: Send + Sync + Debug {
    fn wake(&self);
}

/// Who waits for one thing: data in a pipe, the end of a child, a word of memory.
#[derive(Debug, Default)]
pub struct Queue(Mutex<Vec<Arc<dyn Waker>>>);

impl Queue {
    pub const fn new() -> Queue {
        Queue(Mutex::new(Vec::new()))
    }
    /// Nobody is in it twice, so it grows no longer than there are threads.
    pub fn add(&self, waker: &Arc<dyn Waker>) {
        let mut waiting = self.0.lock();
        if !waiting.iter().any(|one| Arc::ptr_eq(one, waker)) {
            waiting.push(waker.clone());
        }
    }
    pub fn remove(&self, waker: &Arc<dyn Waker>) {
        self.0.lock().retain(|one| !Arc::ptr_eq(one, waker));
    }
    /// They are off the queue then.
    pub fn wake_all(&self) {
        let waiting = core::mem::take(&mut *self.0.lock());
        waiting.iter().for_each(|one| one.wake());
    }
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// What a call said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The answer for `rax`.
    Done(Result<u64>),
    /// On its queues; to be made again, at the latest at the deadline that it left in its [`Progress`].
    Blocked(Interrupted),
    /// Registers are as they shall be (`execve`, `rt_sigreturn`), or the thread is over (`exit`).
    NoAnswer,
}

/// What becomes of a blocked call when a signal is handled (signal(7), "Interruption of system calls").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupted {
    /// Made again if the handler has SA_RESTART, else EINTR: read, wait4, futex without time.
    Restart,
    /// Always EINTR: poll, epoll_wait, sigtimedwait, pause.
    Eintr,
    /// `restart_syscall` with the time that is left: nanosleep, futex with a relative time.
    RestartBlock,
}

/// What a call that is made again remembers. Empty when a call begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Whether this is not the first time.
    pub again: bool,
    /// When to stop waiting, in nanoseconds of the monotonic clock.
    pub deadline_ns: Option<u64>,
    /// Bytes moved so far.
    pub done: u64,
}

impl From<Result<u64>> for Outcome {
    fn from(result: Result<u64>) -> Outcome {
        match result {
            Err(ERESTART) => Outcome::Blocked(Interrupted::Restart),
            other => Outcome::Done(other),
        }
    }
}

impl From<Errno> for Outcome {
    fn from(error: Errno) -> Outcome {
        Outcome::Done(Err(error))
    }
}

/// A waker for tests.
#[cfg(test)]
pub mod testing {
    use super::Waker;
    use core::sync::atomic::{AtomicU32, Ordering};

    /// Counts how often it was woken.
    #[derive(Debug, Default)]
    pub struct Count(AtomicU32);

    impl Count {
        pub fn get(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Waker for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Count;
    use super::*;

    #[test]
    fn who_left_a_queue_is_not_woken_and_who_was_woken_is_off_it() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let wakers: [Arc<dyn Waker>; 2] = [first.clone(), second.clone()];
        let queue = Queue::new();
        wakers.iter().for_each(|waker| queue.add(waker));
        queue.remove(&wakers[0]);
        queue.wake_all();
        queue.wake_all();
        assert_eq!([&first, &second].map(|one| one.get()), [0, 1]);
        assert!(queue.is_empty());
    }
}
