// SPDX-License-Identifier: PMPL-1.0-or-later
//! Queues of threads: a thread stands in one at most, linked through itself, so queueing never needs memory. The link
//! back of the first one means nothing, so that taking it out touches no other.

use crate::objects::Thread;
use machine::memory::{Ref, Store};

/// First in, first out; priorities are several queues.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    head: Option<Ref<Thread>>,
    tail: Option<Ref<Thread>>,
}

impl Queue {
    pub const EMPTY: Queue = Queue { head: None, tail: None };

    pub fn back(&self) -> Option<Ref<Thread>> {
        self.tail
    }

    /// Puts a thread behind `tail`, which is the last one.
    #[inline(always)]
    pub fn append(&mut self, tail: Option<(&mut Thread, Ref<Thread>)>, thread: &mut Thread, name: Ref<Thread>) {
        thread.next = None;
        match tail {
            Some((t, tail)) => {
                t.next = Some(name);
                thread.previous = Some(tail);
            }
            None => {
                thread.previous = None;
                self.head = Some(name);
            }
        }
        self.tail = Some(name);
    }

    /// Takes the first thread out.
    #[inline(always)]
    pub fn pop(&mut self, thread: &mut Thread) {
        self.head = thread.next.take();
        if self.head.is_none() {
            self.tail = None;
        }
    }

    pub fn front(&self) -> Option<Ref<Thread>> {
        self.head
    }

    pub fn is_empty(&self) -> bool {
        self.head.is_none()
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
        let (previous, next) = (t.previous.take().filter(|_| self.head != Some(thread)), t.next.take());
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
