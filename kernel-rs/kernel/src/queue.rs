// SPDX-License-Identifier: PMPL-1.0-or-later
//! Queues of threads: a thread stands in one at most, linked through itself, so queueing never needs memory.

use crate::objects::Thread;
use machine::memory::{Ref, Store};

/// First in, first out; priorities are several queues.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    head: Option<Ref<Thread>>,
    tail: Option<Ref<Thread>>,
}

impl Queue {
    pub fn front(&self) -> Option<Ref<Thread>> {
        self.head
    }

    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Empties a queue of one thread, which has no neighbours to forget.
    pub fn clear(&mut self) {
        *self = Queue::default();
    }

    /// Puts a thread, which has no neighbours, into an empty queue.
    pub fn fill(&mut self, thread: Ref<Thread>) {
        (self.head, self.tail) = (Some(thread), Some(thread));
    }

    pub fn push_back(&mut self, threads: &mut Store<Thread>, thread: Ref<Thread>) {
        let Some(t) = threads.get_mut(thread) else { return };
        (t.previous, t.next) = (self.tail, None);
        match self.tail.and_then(|tail| threads.get_mut(tail)) {
            Some(tail) => tail.next = Some(thread),
            None => self.head = Some(thread),
        }
        self.tail = Some(thread);
    }

    pub fn push_front(&mut self, threads: &mut Store<Thread>, thread: Ref<Thread>) {
        let Some(t) = threads.get_mut(thread) else { return };
        (t.previous, t.next) = (None, self.head);
        match self.head.and_then(|head| threads.get_mut(head)) {
            Some(head) => head.previous = Some(thread),
            None => self.tail = Some(thread),
        }
        self.head = Some(thread);
    }

    /// Takes a thread out, wherever in this queue it stands.
    pub fn remove(&mut self, threads: &mut Store<Thread>, thread: Ref<Thread>) {
        let Some(t) = threads.get_mut(thread) else { return };
        let (previous, next) = (t.previous.take(), t.next.take());
        match previous.and_then(|p| threads.get_mut(p)) {
            Some(p) => p.next = next,
            None => self.head = next,
        }
        match next.and_then(|n| threads.get_mut(n)) {
            Some(n) => n.previous = previous,
            None => self.tail = previous,
        }
    }
}
