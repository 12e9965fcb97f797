// SPDX-License-Identifier: PMPL-1.0-or-later
//! Locks on a file: flock(2), and record locks of fcntl(2) by process or by open file. The two know nothing of each other.

use crate::errno::{EAGAIN, Result};
use crate::wait::Queue;
use alloc::vec::Vec;
use spin::Mutex;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    Shared,
    Exclusive,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockOwner {
    Process(u32),
    OpenFile(u64),
}

/// A record lock on bytes `first..=last`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    pub owner: LockOwner,
    pub kind: LockKind,
    pub first: u64,
    pub last: u64,
}

impl Held {
    fn overlaps(&self, other: &Held) -> bool {
        self.first <= other.last && other.first <= self.last
    }
    fn conflicts(&self, other: &Held) -> bool {
        let both_share = self.kind == LockKind::Shared && other.kind == LockKind::Shared;
        self.owner != other.owner && self.overlaps(other) && !both_share
    }
}

#[derive(Default)]
pub struct Locks {
    records: Mutex<Vec<Held>>,
    whole: Mutex<Vec<(u64, LockKind)>>,
    pub queue: Queue,
}

impl Locks {
    pub const fn new() -> Locks {
        Locks { records: Mutex::new(Vec::new()), whole: Mutex::new(Vec::new()), queue: Queue::new() }
    }
    /// What stands in the way of a record lock.
    pub fn conflict(&self, wanted: &Held) -> Option<Held> {
        self.records.lock().iter().find(|held| held.conflicts(wanted)).copied()
    }
    /// Errors: `EAGAIN`.
    pub fn set(&self, wanted: Held) -> Result<()> {
        if self.conflict(&wanted).is_some() {
            return Err(EAGAIN);
        }
        self.cut(&wanted);
        self.join(wanted);
        // A shared lock that was an exclusive one lets others in.
        self.queue.wake_all();
        Ok(())
    }
    pub fn unset(&self, owner: LockOwner, first: u64, last: u64) {
        self.cut(&Held { owner, kind: LockKind::Shared, first, last });
        self.queue.wake_all();
    }
    /// Takes these bytes out of what the owner holds.
    fn cut(&self, hole: &Held) {
        let mut records = self.records.lock();
        let mut kept = Vec::with_capacity(records.len() + 1);
        for held in records.drain(..) {
            if held.owner != hole.owner || !held.overlaps(hole) {
                kept.push(held);
                continue;
            }
            if held.first < hole.first {
                kept.push(Held { last: hole.first - 1, ..held });
            }
            if held.last > hole.last {
                kept.push(Held { first: hole.last + 1, ..held });
            }
        }
        *records = kept;
    }
    fn join(&self, mut wanted: Held) {
        let mut records = self.records.lock();
        records.retain(|held| {
            let touches = held.first <= wanted.last.saturating_add(1) && wanted.first <= held.last.saturating_add(1);
            let joins = held.owner == wanted.owner && held.kind == wanted.kind && touches;
            if joins {
                wanted.first = wanted.first.min(held.first);
                wanted.last = wanted.last.max(held.last);
            }
            !joins
        });
        records.push(wanted);
        records.sort_by_key(|held| held.first);
    }
    /// flock(2) of an open file. Errors: `EAGAIN`.
    pub fn set_whole(&self, id: u64, kind: LockKind) -> Result<()> {
        let mut whole = self.whole.lock();
        // As Linux: a lock that changes its kind is given up first, so it can be lost to another.
        whole.retain(|(owner, _)| *owner != id);
        let is_free = whole.iter().all(|(_, held)| *held == LockKind::Shared && kind == LockKind::Shared);
        if !is_free {
            drop(whole);
            self.queue.wake_all();
            return Err(EAGAIN);
        }
        whole.push((id, kind));
        drop(whole);
        self.queue.wake_all();
        Ok(())
    }
    pub fn unset_whole(&self, id: u64) {
        self.whole.lock().retain(|(owner, _)| *owner != id);
        self.queue.wake_all();
    }
    /// Everything of an owner that is no more.
    pub fn release(&self, owner: LockOwner) {
        let had = {
            let mut records = self.records.lock();
            let before = records.len();
            records.retain(|held| held.owner != owner);
            before != records.len()
        };
        if let LockOwner::OpenFile(id) = owner {
            self.unset_whole(id);
        } else if had {
            self.queue.wake_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(owner: u32, kind: LockKind, first: u64, last: u64) -> Held {
        Held { owner: LockOwner::Process(owner), kind, first, last }
    }

    #[test]
    fn a_hole_in_ones_own_lock_lets_another_in_there_only() {
        let locks = Locks::new();
        locks.set(lock(1, LockKind::Exclusive, 0, u64::MAX)).unwrap();
        assert_eq!(locks.set(lock(2, LockKind::Shared, 10, 19)), Err(EAGAIN));
        locks.unset(LockOwner::Process(1), 10, 19);
        locks.set(lock(2, LockKind::Exclusive, 10, 19)).unwrap();
        assert_eq!(locks.set(lock(2, LockKind::Exclusive, 10, 20)), Err(EAGAIN));
        assert_eq!(locks.conflict(&lock(2, LockKind::Shared, 20, 30)).unwrap().first, 20);
    }
    #[test]
    fn neighbours_of_one_owner_and_kind_are_one_lock() {
        let locks = Locks::new();
        locks.set(lock(1, LockKind::Shared, 0, 4)).unwrap();
        locks.set(lock(1, LockKind::Shared, 5, 9)).unwrap();
        let seen = locks.conflict(&lock(2, LockKind::Exclusive, 7, 7)).unwrap();
        assert_eq!((seen.first, seen.last), (0, 9));
    }
    #[test]
    fn whole_file_locks_share_or_exclude_and_end_with_their_file() {
        let locks = Locks::new();
        locks.set_whole(1, LockKind::Shared).unwrap();
        locks.set_whole(2, LockKind::Shared).unwrap();
        assert_eq!(locks.set_whole(2, LockKind::Exclusive), Err(EAGAIN));
        locks.release(LockOwner::OpenFile(1));
        locks.set_whole(2, LockKind::Exclusive).unwrap();
    }
}
