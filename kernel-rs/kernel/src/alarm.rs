// SPDX-License-Identifier: PMPL-1.0-or-later
//! What happens at a time: a list sorted by deadline, linked through the objects, so that setting one needs no memory.
//!
//! Setting is linear in the number of earlier alarms. The next deadline of all is what the CPUs' timers are set to.

use machine::memory::{Ref, Store};

/// An object's place in the list; `deadline_ns` is `NEVER` while it is in none.
pub struct Links<T> {
    pub deadline_ns: u64,
    previous: Option<Ref<T>>,
    next: Option<Ref<T>>,
}

pub const NEVER: u64 = u64::MAX;

impl<T> Default for Links<T> {
    fn default() -> Self {
        Links { deadline_ns: NEVER, previous: None, next: None }
    }
}

pub trait Alarmed: Sized {
    fn links(&mut self) -> &mut Links<Self>;
}

pub struct Alarms<T> {
    head: Option<Ref<T>>,
    /// Deadline of `head`.
    first_ns: u64,
}

impl<T: Alarmed> Alarms<T> {
    pub const fn new() -> Alarms<T> {
        Alarms { head: None, first_ns: NEVER }
    }

    /// The first alarm and its time.
    pub fn first(&self) -> Option<(Ref<T>, u64)> {
        Some((self.head?, self.first_ns))
    }

    pub fn first_ns(&self) -> u64 {
        self.first_ns
    }

    fn find_first(&mut self, store: &mut Store<T>) {
        self.first_ns = self.head.and_then(|h| store.get_mut(h)).map_or(NEVER, |h| h.links().deadline_ns);
    }

    /// Sets the object's alarm, instead of the one it had; `NEVER` only clears it.
    pub fn set(&mut self, store: &mut Store<T>, object: Ref<T>, deadline_ns: u64) {
        self.clear(store, object);
        if deadline_ns == NEVER {
            return;
        }
        let (mut before, mut after) = (None, self.head);
        while let Some(at) = after
            && let Some(links) = store.get_mut(at).map(T::links)
            && links.deadline_ns <= deadline_ns
        {
            (before, after) = (Some(at), links.next);
        }
        let Some(links) = store.get_mut(object).map(T::links) else { return };
        *links = Links { deadline_ns, previous: before, next: after };
        if let Some(links) = after.and_then(|n| store.get_mut(n)).map(T::links) {
            links.previous = Some(object);
        }
        match before.and_then(|p| store.get_mut(p)).map(T::links) {
            Some(links) => links.next = Some(object),
            None => self.head = Some(object),
        }
        self.find_first(store);
    }

    pub fn clear(&mut self, store: &mut Store<T>, object: Ref<T>) {
        let Some(links) = store.get_mut(object).map(T::links) else { return };
        if links.deadline_ns == NEVER {
            return;
        }
        let Links { previous, next, .. } = core::mem::take(links);
        if let Some(links) = next.and_then(|n| store.get_mut(n)).map(T::links) {
            links.previous = previous;
        }
        match previous.and_then(|p| store.get_mut(p)).map(T::links) {
            Some(links) => links.next = next,
            None => self.head = next,
        }
        self.find_first(store);
    }
}
