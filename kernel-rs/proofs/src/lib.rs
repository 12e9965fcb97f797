// SPDX-License-Identifier: PMPL-1.0-or-later
//! `machine`'s lock and shootdown over loom's atomics, and computers of a few CPUs to try them on.
//!
//! What is tried stands in `tests`: each promise, and that it breaks when one memory ordering is weaker.
#![forbid(unsafe_code)]

use core::marker::PhantomData;
use loom::cell::Cell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering, Ordering::*};
use machine::lock::Flag;
use machine::shootdown::Request;

/// Memory orderings of a word's operations; those that `machine` has for the atomic of `core`, unless said otherwise.
pub trait Orders: Default + 'static {
    const TAKE: Ordering = Acquire;
    const GIVE: Ordering = Release;
    const POST: Ordering = Release;
    const LOOK: Ordering = Acquire;
    const CLEAR: Ordering = Release;
}

#[derive(Default)]
pub struct AsTheyAre;
impl Orders for AsTheyAre {}

/// Loads and stores are read-modify-writes with the same ordering: one that sees an old value for ever, or is seen by
/// nobody ever, is no behaviour of a machine, and loom would try it.
#[derive(Default)]
pub struct Word<O>(AtomicU32, PhantomData<O>);

impl<O: Orders> Flag for Word<O> {
    fn try_take(&self) -> bool {
        self.0.swap(1, O::TAKE) == 0
    }
    fn give(&self) {
        self.0.swap(0, O::GIVE);
    }
    fn is_taken(&self) -> bool {
        self.0.fetch_add(0, Relaxed) != 0
    }
}

impl<O: Orders> Request for Word<O> {
    fn post(&self, what: u32) {
        self.0.swap(what, O::POST);
    }
    fn pending(&self) -> u32 {
        self.0.fetch_add(0, O::LOOK)
    }
    fn clear(&self) {
        self.0.swap(0, O::CLEAR);
    }
}

/// One CPU's flag, the word through which it is asked, and what is at home on it. Loom refuses two accesses to a cell
/// of which neither happens before the other.
#[derive(Default)]
pub struct Cpu<O: Orders> {
    pub flag: Word<O>,
    pub request: Word<O>,
    pub own: Cell<u32>,
    /// The translation that it may use; 0 = none.
    pub cached: Cell<u32>,
}

pub fn computer<O: Orders>(cpus: usize) -> Arc<Vec<Cpu<O>>> {
    Arc::new((0..cpus).map(|_| Cpu::default()).collect())
}

pub fn add(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

/// Tries all interleavings with that many preemptions. A wait that never ends fails: it has more steps than any that ends.
pub fn explore(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 2000;
    builder.check(f);
}
