// SPDX-License-Identifier: PMPL-1.0-or-later
//! Which page of a process is which frame, and how the guest has it mapped: the personality's own page table.

use crate::platform::{Frame, PAGE_BYTES};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ops::Range;

/// Pages of one leaf: 2 MiB.
const LEAF_PAGES: u64 = 512;

/// A page: nothing, or a frame and flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry(u32);

impl Entry {
    pub const NONE: Entry = Entry(0);
    /// The guest has it mapped.
    pub const MAPPED: u32 = 1 << 28;
    /// The guest may write it, if it is mapped: the area allows it, and it is nobody else's or shared on purpose.
    pub const WRITABLE: u32 = 1 << 29;
    /// Of a shared mapping: never copied.
    pub const SHARED: u32 = 1 << 30;
    const FRAME: u32 = (1 << 28) - 1;

    pub fn new(frame: Frame, flags: u32) -> Entry {
        Entry((frame.0 + 1) & Self::FRAME | flags)
    }
    pub fn frame(self) -> Option<Frame> {
        (self.0 & Self::FRAME).checked_sub(1).map(Frame)
    }
    pub fn is(self, flags: u32) -> bool {
        self.0 & flags == flags
    }
    pub fn with(self, flags: u32) -> Entry {
        Entry(self.0 | flags)
    }
    pub fn without(self, flags: u32) -> Entry {
        Entry(self.0 & !flags)
    }
}

#[derive(Clone, Debug)]
struct Leaf {
    entries: [Entry; LEAF_PAGES as usize],
    /// How many are not `NONE`.
    present: u32,
}

#[derive(Debug, Default)]
pub struct Table(BTreeMap<u64, Box<Leaf>>);

impl Table {
    #[inline]
    pub fn get(&self, address: u64) -> Entry {
        let page = address / PAGE_BYTES;
        self.0.get(&(page / LEAF_PAGES)).map_or(Entry::NONE, |leaf| leaf.entries[(page % LEAF_PAGES) as usize])
    }

    /// What was there.
    pub fn set(&mut self, address: u64, entry: Entry) -> Entry {
        let page = address / PAGE_BYTES;
        let empty = || Box::new(Leaf { entries: [Entry::NONE; LEAF_PAGES as usize], present: 0 });
        let leaf = self.0.entry(page / LEAF_PAGES).or_insert_with(empty);
        let old = core::mem::replace(&mut leaf.entries[(page % LEAF_PAGES) as usize], entry);
        leaf.present = leaf.present + u32::from(entry != Entry::NONE) - u32::from(old != Entry::NONE);
        if leaf.present == 0 {
            self.0.remove(&(page / LEAF_PAGES));
        }
        old
    }

    /// All that are there in a range of addresses, in order; each may be changed, also to `NONE`.
    pub fn each(&mut self, range: Range<u64>, mut change: impl FnMut(u64, &mut Entry)) {
        let (first, end) = (range.start / PAGE_BYTES, range.end.div_ceil(PAGE_BYTES));
        let mut emptied = false;
        for (number, leaf) in self.0.range_mut(first / LEAF_PAGES..end.div_ceil(LEAF_PAGES)) {
            let base = number * LEAF_PAGES;
            let from = first.saturating_sub(base).min(LEAF_PAGES);
            let to = (end - base).min(LEAF_PAGES);
            for (n, entry) in leaf.entries.iter_mut().enumerate().take(to as usize).skip(from as usize) {
                if *entry != Entry::NONE {
                    change((base + n as u64) * PAGE_BYTES, entry);
                    leaf.present -= u32::from(*entry == Entry::NONE);
                }
            }
            emptied |= leaf.present == 0;
        }
        if emptied {
            self.0.retain(|_, leaf| leaf.present > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn entries_are_found_in_order_over_leaves_and_empty_leaves_go() {
        let mut table = Table::default();
        let places = [0, 511, 512, 5000].map(|n| n * PAGE_BYTES);
        for (n, at) in places.into_iter().enumerate() {
            table.set(at, Entry::new(Frame(n as u32), Entry::MAPPED));
        }
        let mut found = Vec::new();
        table.each(PAGE_BYTES..5001 * PAGE_BYTES, |at, entry| {
            found.push(at);
            *entry = Entry::NONE;
        });
        assert_eq!(found, places[1..]);
        assert_eq!((table.0.len(), table.get(0).frame()), (1, Some(Frame(0))));
        assert!(table.get(0).is(Entry::MAPPED) && !table.get(0).is(Entry::WRITABLE));
        table.set(0, Entry::NONE);
        assert!(table.0.is_empty());
    }
}
