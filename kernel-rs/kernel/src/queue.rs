// SPDX-License-Identifier: PMPL-1.0-or-later
//! Queues of threads: a thread stands in one at most, linked through itself, so queueing never needs memory.

use crate::objects::Thread;
use machine::Local;
use machine::memory::{Ref, RunKey, Store};

/// First in, first out; priorities are several queues.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    head: Option<Ref<Thread>>,
    tail: Option<Ref<Thread>>,
}

/// Where the threads of a queue are found.
pub trait Threads {
    fn find(&mut self, thread: Ref<Thread>) -> Option<&mut Thread>;
}

impl Threads for Store<Thread> {
    #[inline(always)]
    fn find(&mut self, thread: Ref<Thread>) -> Option<&mut Thread> {
        self.get_mut(thread)
    }
}

/// Those at home on this CPU.
impl Threads for (&mut RunKey<Thread>, &Local<'_>) {
    #[inline(always)]
    fn find(&mut self, thread: Ref<Thread>) -> Option<&mut Thread> {
        self.0.get_mut(self.1, thread)
    }
}

impl Queue {
    pub const EMPTY: Queue = Queue { head: None, tail: None };

    pub fn back(&self) -> Option<Ref<Thread>> {
        self.tail
    }

    /// Puts a thread behind `tail`, which is the last one.
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

    /// Takes the first thread out; `next` is the one behind it.
    pub fn pop(&mut self, thread: &mut Thread, next: Option<&mut Thread>) {
        self.head = thread.next.take();
        match next {
            Some(n) => n.previous = None,
            None => self.tail = None,
        }
    }

    pub fn front(&self) -> Option<Ref<Thread>> {
        self.head
    }

    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    pub fn push_back(&mut self, threads: &mut impl Threads, thread: Ref<Thread>) {
        let Some(t) = threads.find(thread) else { return };
        (t.previous, t.next) = (self.tail, None);
        match self.tail.and_then(|tail| threads.find(tail)) {
            Some(tail) => tail.next = Some(thread),
            None => self.head = Some(thread),
        }
        self.tail = Some(thread);
    }

    pub fn push_front(&mut self, threads: &mut impl Threads, thread: Ref<Thread>) {
        let Some(t) = threads.find(thread) else { return };
        (t.previous, t.next) = (None, self.head);
        match self.head.and_then(|head| threads.find(head)) {
            Some(head) => head.previous = Some(thread),
            None => self.tail = Some(thread),
        }
        self.head = Some(thread);
    }

    /// Takes a thread out, wherever in this queue it stands.
    pub fn remove(&mut self, threads: &mut impl Threads, thread: Ref<Thread>) {
        let Some(t) = threads.find(thread) else { return };
        let (previous, next) = (t.previous.take(), t.next.take());
        match previous.and_then(|p| threads.find(p)) {
            Some(p) => p.next = next,
            None => self.head = next,
        }
        match next.and_then(|n| threads.find(n)) {
            Some(n) => n.previous = previous,
            None => self.tail = previous,
        }
    }
}
