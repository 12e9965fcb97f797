// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who waits at which word of memory (futex(2)). All threads of a cell are here, so the kernel below knows nothing of it.
//!
//! A wait is entered once and looked at again each time its call is made again; it ends by [`Futexes::leave`]. The calls are
//! `call/futex.rs`, what a thread leaves locked when it ends is `robust.rs`.

pub mod robust;

use crate::wait::Waker;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A word: two threads mean the same one if their keys are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// In one address space.
    Private { space: u64, address: u64 },
    /// In memory that several may map at different addresses: what is mapped there, and where in it.
    Shared { object: (u64, u64), offset: u64 },
}

#[derive(Debug)]
struct Waiter {
    tid: u32,
    /// Which of the words that its thread waits for.
    index: u32,
    /// A wake with none of these bits passes it by.
    bitset: u32,
    /// Waits for a lock with priority inheritance: only the unlock of that lock wakes it.
    wants_lock: bool,
    waker: Arc<dyn Waker>,
}

/// Of one thread's wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Waiting,
    /// By a wake of the word with this index.
    Woken {
        index: u32,
    },
}

/// What a thread waits for: one word, or one of several (futex_waitv(2)).
#[derive(Debug)]
pub struct Wait<'a> {
    pub tid: u32,
    pub waker: &'a Arc<dyn Waker>,
    pub bitset: u32,
    pub wants_lock: bool,
}

#[derive(Debug, Default)]
pub struct Futexes {
    queues: BTreeMap<Key, Vec<Waiter>>,
    /// Threads that wait or were woken: the keys where they may still stand.
    threads: BTreeMap<u32, (State, Vec<Key>)>,
}

impl Futexes {
    pub const fn new() -> Futexes {
        Futexes { queues: BTreeMap::new(), threads: BTreeMap::new() }
    }

    /// The thread stands at the end of each key's queue from now on.
    pub fn enter(&mut self, keys: &[Key], wait: &Wait<'_>) {
        self.leave(wait.tid);
        for (index, key) in (0..).zip(keys) {
            let &Wait { tid, waker, bitset, wants_lock } = wait;
            self.queues.entry(*key).or_default().push(Waiter { tid, index, bitset, wants_lock, waker: waker.clone() });
        }
        self.threads.insert(wait.tid, (State::Waiting, keys.to_vec()));
    }

    /// `None` when it is in no wait.
    pub fn state(&self, tid: u32) -> Option<State> {
        self.threads.get(&tid).map(|(state, _)| *state)
    }

    /// The wait is over, for whatever reason; what its state was. A thread that was woken before it could be interrupted was woken.
    pub fn leave(&mut self, tid: u32) -> Option<State> {
        let (state, keys) = self.threads.remove(&tid)?;
        keys.iter().for_each(|key| self.take_off(key, tid));
        Some(state)
    }

    /// Wakes up to `most` that wait at the key with one of the bits, the oldest first; how many.
    pub fn wake(&mut self, key: &Key, most: u32, bitset: u32) -> u32 {
        let mut woken = 0;
        while woken < most && self.wake_one(key, |waiter| waiter.bitset & bitset != 0 && !waiter.wants_lock).is_some() {
            woken += 1;
        }
        woken
    }

    /// Wakes `wake` of those at `from` and moves up to `move_` others to `to`; how many in all.
    pub fn requeue(&mut self, from: &Key, to: &Key, wake: u32, move_: u32) -> u32 {
        let woken = self.wake(from, wake, u32::MAX);
        if from == to {
            return woken + self.queues.get(from).map_or(0, |queue| queue.len() as u32).min(move_);
        }
        let Some(queue) = self.queues.get_mut(from) else { return woken };
        let moved: Vec<Waiter> = queue.extract_if(.., |waiter| !waiter.wants_lock).take(move_ as usize).collect();
        self.drop_if_empty(from);
        let count = moved.len() as u32;
        for waiter in &moved {
            if let Some((_, keys)) = self.threads.get_mut(&waiter.tid) {
                keys.iter_mut().filter(|key| *key == from).for_each(|key| *key = *to);
            }
        }
        if count > 0 {
            self.queues.entry(*to).or_default().extend(moved);
        }
        woken + count
    }

    /// Who gets a lock when it is let go: its thread, woken, and whether others wait for it still.
    pub fn hand_over(&mut self, key: &Key) -> Option<(u32, bool)> {
        let tid = self.wake_one(key, |waiter| waiter.wants_lock)?;
        let more = self.queues.get(key).is_some_and(|queue| queue.iter().any(|waiter| waiter.wants_lock));
        Some((tid, more))
    }

    fn wake_one(&mut self, key: &Key, wanted: impl Fn(&Waiter) -> bool) -> Option<u32> {
        let queue = self.queues.get_mut(key)?;
        let waiter = queue.iter().position(wanted).map(|at| queue.remove(at))?;
        self.drop_if_empty(key);
        // It waits nowhere else from now on.
        if let Some((state, keys)) = self.threads.get_mut(&waiter.tid) {
            *state = State::Woken { index: waiter.index };
            let others = core::mem::take(keys);
            others.iter().for_each(|other| self.take_off(other, waiter.tid));
        }
        waiter.waker.wake();
        Some(waiter.tid)
    }

    fn take_off(&mut self, key: &Key, tid: u32) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.retain(|waiter| waiter.tid != tid);
            self.drop_if_empty(key);
        }
    }

    fn drop_if_empty(&mut self, key: &Key) {
        if self.queues.get(key).is_some_and(Vec::is_empty) {
            self.queues.remove(key);
        }
    }

    /// Nobody waits anywhere.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::testing::Count;

    const A: Key = Key::Private { space: 1, address: 0x1000 };
    const B: Key = Key::Shared { object: (1, 2), offset: 8 };

    fn enter(futexes: &mut Futexes, tid: u32, keys: &[Key], bitset: u32) -> Arc<Count> {
        let count = Arc::new(Count::default());
        let waker: Arc<dyn Waker> = count.clone();
        futexes.enter(keys, &Wait { tid, waker: &waker, bitset, wants_lock: false });
        count
    }

    #[test]
    fn the_oldest_are_woken_first_and_only_with_a_bit_in_common() {
        let mut futexes = Futexes::new();
        let counts = [(1, 1), (2, 2), (3, 3)].map(|(tid, bitset)| enter(&mut futexes, tid, &[A], bitset));
        assert_eq!(futexes.wake(&A, 1, 2), 1);
        assert_eq!(counts.each_ref().map(|count| count.get()), [0, 1, 0]);
        assert_eq!(
            [1, 2, 3].map(|tid| futexes.leave(tid)),
            [Some(State::Waiting), Some(State::Woken { index: 0 }), Some(State::Waiting)]
        );
        assert!(futexes.is_empty());
    }

    #[test]
    fn who_was_moved_is_woken_at_the_new_word_and_leaves_it() {
        let mut futexes = Futexes::new();
        for tid in 1..=4 {
            enter(&mut futexes, tid, &[A], 1);
        }
        assert_eq!(futexes.requeue(&A, &B, 1, 2), 3);
        assert_eq!(futexes.wake(&B, 1, u32::MAX), 1);
        assert_eq!(futexes.leave(3), Some(State::Waiting));
        assert_eq!((futexes.wake(&B, 9, u32::MAX), futexes.wake(&A, 9, u32::MAX)), (0, 1));
    }

    #[test]
    fn who_waits_at_several_words_is_woken_by_one_and_off_all() {
        let mut futexes = Futexes::new();
        enter(&mut futexes, 1, &[A, B], u32::MAX);
        assert_eq!(futexes.wake(&B, 1, u32::MAX), 1);
        assert_eq!(futexes.wake(&A, 1, u32::MAX), 0);
        assert_eq!(futexes.leave(1), Some(State::Woken { index: 1 }));
    }

    #[test]
    fn a_lock_goes_to_who_waited_for_it_longest_and_no_wake_reaches_them() {
        let mut futexes = Futexes::new();
        let waker: Arc<dyn Waker> = Arc::new(Count::default());
        for tid in [7, 8] {
            futexes.enter(&[A], &Wait { tid, waker: &waker, bitset: u32::MAX, wants_lock: true });
        }
        assert_eq!(futexes.wake(&A, 9, u32::MAX), 0);
        assert_eq!(futexes.hand_over(&A), Some((7, true)));
        assert_eq!(futexes.hand_over(&A), Some((8, false)));
        assert_eq!(futexes.hand_over(&A), None);
    }
}
