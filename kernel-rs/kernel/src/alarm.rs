// SPDX-License-Identifier: PMPL-1.0-or-later
//! What happens at a time: objects by deadline in a balanced tree, linked through them, so that setting an alarm needs no
//! memory and takes a logarithm of their number. The next deadline of all is what the CPUs' timers are set to.

use crate::tree::{self, Node, Tree};
use machine::memory::{Ref, Store};

/// An object's alarm; `deadline_ns` is `NEVER` while there is none.
pub struct Links<T> {
    pub deadline_ns: u64,
    tree: tree::Links<T>,
}

pub const NEVER: u64 = u64::MAX;

impl<T> Default for Links<T> {
    fn default() -> Self {
        Links { deadline_ns: NEVER, tree: tree::Links::default() }
    }
}

pub trait Alarmed: Sized {
    fn alarm(&self) -> &Links<Self>;
    fn alarm_mut(&mut self) -> &mut Links<Self>;
}

/// The object as the tree sees it.
impl<T: Alarmed> Node for T {
    fn links(&self) -> &tree::Links<T> {
        &self.alarm().tree
    }
    fn links_mut(&mut self) -> &mut tree::Links<T> {
        &mut self.alarm_mut().tree
    }
    fn key(&self) -> u64 {
        self.alarm().deadline_ns
    }
}

pub struct Alarms<T> {
    tree: Tree<T>,
    head: Option<Ref<T>>,
    /// Deadline of `head`.
    first_ns: u64,
}

impl<T: Alarmed> Alarms<T> {
    pub const fn new() -> Alarms<T> {
        Alarms { tree: Tree::new(), head: None, first_ns: NEVER }
    }

    /// The first alarm and its time.
    pub fn first(&self) -> Option<(Ref<T>, u64)> {
        Some((self.head?, self.first_ns))
    }

    pub fn first_ns(&self) -> u64 {
        self.first_ns
    }

    /// Sets the object's alarm, instead of the one it had; `NEVER` only clears it.
    pub fn set(&mut self, store: &mut Store<T>, object: Ref<T>, deadline_ns: u64) {
        self.clear(store, object);
        if deadline_ns == NEVER {
            return;
        }
        let Some(o) = store.get_mut(object) else { return };
        o.alarm_mut().deadline_ns = deadline_ns;
        self.tree.insert(store, object);
        if deadline_ns < self.first_ns || self.head.is_none() {
            (self.head, self.first_ns) = (Some(object), deadline_ns);
        }
    }

    pub fn clear(&mut self, store: &mut Store<T>, object: Ref<T>) {
        let Some(o) = store.get_mut(object).filter(|o| o.alarm().deadline_ns != NEVER) else { return };
        let _ = o;
        self.tree.remove(store, object);
        if let Some(o) = store.get_mut(object) {
            o.alarm_mut().deadline_ns = NEVER;
        }
        if self.head == Some(object) {
            self.head = self.tree.first(store);
            self.first_ns = self.head.and_then(|h| store.get(h)).map_or(NEVER, |h| h.alarm().deadline_ns);
        }
    }
}
