// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a CPU reaches in local mode, holding its own lock and no other: objects that are at home on it, through its
//! `Key`s, and objects that change only with all locks held, through `Reader`s.
//!
//! Why no two CPUs meet in one object: `SAFETY.adoc`, "Local mode".

use super::FRAME_BYTES;
use super::frames::{Frame, Frames, View};
use super::store::{Cell, Ref, live_cell};
use crate::local::{Local, Maker, Run, Sent};
use crate::registers::Registers;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// One CPU's way to the objects of a store that are at home there. It cannot leave its CPU: it is not `Send`.
pub struct Key<T> {
    view: View,
    tag: u32,
    of: PhantomData<*mut T>,
}

impl<T> Key<T> {
    pub(super) fn new(view: View, tag: u32) -> Key<T> {
        Key { view, tag, of: PhantomData }
    }

    #[inline(always)]
    fn own(&self, local: &Local, r: Ref<T>) -> Option<*mut Cell<T>> {
        let cell = live_cell(&self.view, self.tag, r)?;
        // SAFETY: 1. `home` is valid in every slab; it changes only with all locks held, and this CPU holds one.
        (unsafe { (*cell).home } == local.home()).then_some(cell)
    }

    #[inline(always)]
    pub fn get<'a>(&'a self, local: &'a Local, r: Ref<T>) -> Option<&'a T> {
        // SAFETY: 1. a live cell holds a value; 2. at home here, so no other CPU reaches it, and the kernel's `Store` is
        // out of reach while there is a `Local`; 3. this CPU's only key is borrowed.
        self.own(local, r).map(|cell| unsafe { (*cell).value.assume_init_ref() })
    }

    #[inline(always)]
    pub fn get_mut<'a>(&'a mut self, local: &'a Local, r: Ref<T>) -> Option<&'a mut T> {
        // SAFETY: as `get`; 4. borrowed mutably.
        self.own(local, r).map(|cell| unsafe { (*cell).value.assume_init_mut() })
    }
}

/// The key to what runs, of the one store whose objects do.
pub struct RunKey<T> {
    key: Key<T>,
}

impl<T> Deref for RunKey<T> {
    type Target = Key<T>;
    #[inline(always)]
    fn deref(&self) -> &Key<T> {
        &self.key
    }
}

impl<T> DerefMut for RunKey<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Key<T> {
        &mut self.key
    }
}

/// The tag of the store whose objects run; 0 = not known yet.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// Refuses a second store of things that run: what is loaded is of one type.
#[inline(always)]
pub(super) fn only_one_runs(tag: u32) {
    let mut known = RUNS.load(Relaxed);
    if known == 0 {
        known = RUNS.compare_exchange(0, tag, Relaxed, Relaxed).unwrap_or_else(|known| known);
    }
    assert!(known == 0 || known == tag, "objects of one store run");
}

/// The cell of what is loaded; its value is nothing to read if it is `Nobody`.
#[inline(always)]
pub(super) fn cell_of<T>(loaded: *mut u8) -> *mut Cell<T> {
    const { assert!(core::mem::offset_of!(Cell<T>, value) <= crate::local::BEFORE_NOBODY) };
    loaded.wrapping_sub(core::mem::offset_of!(Cell<T>, value)) as *mut Cell<T>
}

impl<T: Run> RunKey<T> {
    pub(super) fn new(view: View, tag: u32) -> RunKey<T> {
        only_one_runs(tag);
        RunKey { key: Key::new(view, tag) }
    }

    /// The cell of what runs on this CPU, if it is at home here.
    #[inline(always)]
    fn running_cell(&self, local: &Local) -> Option<*mut Cell<T>> {
        let cell = cell_of::<T>(crate::loaded(local.home()));
        // SAFETY: 1. what is loaded is the value of a live cell (`load`, `forget_loaded`), or `Nobody`, whose bytes
        // before it read as no home.
        (unsafe { (*cell).home } == local.home()).then_some(cell)
    }

    /// What runs on this CPU, if it is at home here.
    #[inline(always)]
    pub fn running<'a>(&self, local: &'a Local) -> Option<Running<'a, T>> {
        self.running_cell(local).map(|cell| Running { cell, of: PhantomData })
    }

    #[inline(always)]
    pub fn see<'a>(&'a self, running: Running<'a, T>) -> &'a T {
        // SAFETY: 1. a loaded cell is live: it holds a value of the one store that runs (`only_one_runs`), and stays
        // live and at home here while this CPU is in local mode; 2. and 3. as `Key::get`.
        unsafe { (*running.cell).value.assume_init_ref() }
    }

    #[inline(always)]
    pub fn see_mut<'a>(&'a mut self, running: Running<'a, T>) -> &'a mut T {
        // SAFETY: as `see`; 4. borrowed mutably.
        unsafe { (*running.cell).value.assume_init_mut() }
    }

    /// What runs, and another one at home here.
    #[inline(always)]
    pub fn with<'a>(&'a mut self, local: &'a Local, running: Running<'a, T>, other: Ref<T>) -> Option<(&'a mut T, Held<'a, T>)> {
        let (running, other) = (running.cell, self.own(local, other)?);
        if running == other {
            return None;
        }
        // SAFETY: 1. as `get_mut` and `see_mut`; 2. two different cells do not overlap.
        unsafe { Some(((*running).value.assume_init_mut(), Held { value: (*other).value.assume_init_mut(), cell: other })) }
    }

    /// As [`RunKey::with`], and a third, if there is one; all different.
    #[inline(always)]
    #[allow(clippy::type_complexity)]
    pub fn with_third<'a>(
        &'a mut self,
        local: &'a Local,
        running: Running<'a, T>,
        other: Ref<T>,
        third: Option<Ref<T>>,
    ) -> Option<(&'a mut T, Held<'a, T>, Option<&'a mut T>)> {
        let (running, other) = (running.cell, self.own(local, other)?);
        if running == other {
            return None;
        }
        let third = match third {
            None => None,
            Some(third) => Some(self.own(local, third).filter(|t| *t != running && *t != other)?),
        };
        // SAFETY: 1. as `get_mut` and `see_mut`; 2. three different cells do not overlap.
        unsafe {
            Some((
                (*running).value.assume_init_mut(),
                Held { value: (*other).value.assume_init_mut(), cell: other },
                third.map(|t| (*t).value.assume_init_mut()),
            ))
        }
    }
}

/// Names what runs on this CPU, for as long as it is in local mode.
pub struct Running<'a, T> {
    cell: *mut Cell<T>,
    of: PhantomData<&'a T>,
}

impl<'a, T> Running<'a, T> {
    #[inline(always)]
    pub fn name(self) -> Ref<T> {
        // SAFETY: 1. the cell is live (`RunKey::running`), and stays so in local mode.
        unsafe { Ref::of_live(self.cell) }
    }

    /// Its registers, to be read on the way out.
    #[inline(always)]
    pub fn registers(self) -> Sent<'a> {
        // SAFETY: 1. the cell's own field; its place is not read. What runs begins with `Registers` (`load`).
        Sent { registers: unsafe { &raw const (*self.cell).value } as *const Registers, of: PhantomData }
    }
}

impl<T> Clone for Running<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Running<'_, T> {}

/// An object whose cell is known.
pub struct Held<'a, T> {
    value: &'a mut T,
    cell: *mut Cell<T>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        self.value
    }
}

impl<T: Run> Held<'_, T> {
    /// Makes it the one that this CPU runs.
    #[inline(always)]
    pub fn run<'l>(self, local: &'l Local) -> Running<'l, T> {
        // SAFETY: 1. live, and stays so while it is loaded; 2. the entry code writes its registers only while this CPU
        // holds its own lock and no reference exists: `self` ends here.
        unsafe { load(self.cell, local.cpu()) };
        Running { cell: self.cell, of: PhantomData }
    }
}

/// Makes a cell the one that a CPU, the one that executes this, runs.
///
/// # Safety
/// The cell is live.
#[inline(always)]
pub(super) unsafe fn load<T: Run>(cell: *mut Cell<T>, cpu: usize) {
    const { assert!(size_of::<T>() >= size_of::<crate::registers::Registers>()) };
    // SAFETY: the caller's; the value is only looked at for where its registers are.
    let value = unsafe { (*cell).value.assume_init_ref() };
    assert!(core::ptr::eq(value.registers() as *const _ as *const u8, value as *const T as *const u8), "registers come first");
    // SAFETY: the cell's own field.
    crate::set_loaded(cpu, unsafe { &raw mut (*cell).value } as *mut u8);
}

/// Reads objects that change only with all locks held.
pub struct Reader<T> {
    view: View,
    tag: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Reader<T> {
    pub(super) fn new(view: View, tag: u32) -> Reader<T> {
        Reader { view, tag, of: PhantomData }
    }

    #[inline(always)]
    pub fn get<'a>(&self, _: &'a Local, r: Ref<T>) -> Option<&'a T> {
        // SAFETY: 1. a live cell holds a value; 2. there are no keys to this store, so it changes only through `Store`,
        // which needs all locks, of which this CPU holds one while there is a `Local`; 3. `T` is `Sync` (`Store::reader`).
        live_cell(&self.view, self.tag, r).map(|cell| unsafe { (*cell).value.assume_init_ref() })
    }
}

/// Counts the removals from stores that are read in local mode, and the user frames that were freed.
static REMOVALS: AtomicU64 = AtomicU64::new(1);

pub(super) fn forget_shortcuts() {
    REMOVALS.fetch_add(1, Relaxed);
}

/// A way to an object of a store with readers that holds until anything is removed from one of them.
#[derive(Debug)]
pub struct Shortcut<T> {
    value: *const T,
    /// `REMOVALS` when it was made.
    removals: u64,
}

// SAFETY: 1. as the shared reference that it gives in local mode.
unsafe impl<T: Sync> Send for Shortcut<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shortcut<T> {}

impl<T> Default for Shortcut<T> {
    fn default() -> Shortcut<T> {
        Shortcut { value: core::ptr::null(), removals: 0 }
    }
}

impl<T> Shortcut<T> {
    #[inline(always)]
    pub fn get<'a>(&self, _: &'a Local) -> Option<&'a T> {
        // SAFETY: 1. `Reader::shortcut` found it in a live cell, and no object was removed since, so it is there still;
        // 2. as `Reader::get`: removals happen with all locks held.
        (self.removals == REMOVALS.load(Relaxed)).then(|| unsafe { &*self.value })
    }
}

impl<T> Reader<T> {
    /// A shortcut to an object that is there.
    pub fn shortcut(&self, local: &Local, r: Ref<T>) -> Option<Shortcut<T>> {
        Some(Shortcut { value: self.get(local, r)?, removals: REMOVALS.load(Relaxed) })
    }
}

/// Finds user frames in local mode.
pub struct UserWords {
    view: View,
}

impl UserWords {
    pub fn new(frames: &Frames) -> UserWords {
        UserWords { view: frames.view() }
    }

    /// A shortcut to a frame; to nothing if it is no user frame.
    pub fn shortcut(&self, _: &Local, frame: Frame) -> WordsShortcut {
        let words = self.view.is_user(frame.0).then(|| self.view.pointer(frame.0) as *mut u64);
        WordsShortcut { words: words.unwrap_or(core::ptr::null_mut()), removals: REMOVALS.load(Relaxed) }
    }
}

/// A way to the words of a user frame that holds as long as a [`Shortcut`] does.
#[derive(Debug)]
pub struct WordsShortcut {
    words: *mut u64,
    removals: u64,
}

impl Default for WordsShortcut {
    fn default() -> WordsShortcut {
        WordsShortcut { words: core::ptr::null_mut(), removals: 0 }
    }
}

// SAFETY: 1. as a frame's number: what it points to is reached in local mode only, by raw copies.
unsafe impl Send for WordsShortcut {}
// SAFETY: as above.
unsafe impl Sync for WordsShortcut {}

impl WordsShortcut {
    #[inline(always)]
    pub fn get<'a>(&self, _: &'a Local) -> Option<Words<'a>> {
        (self.removals == REMOVALS.load(Relaxed) && !self.words.is_null()).then_some(Words { words: self.words, of: PhantomData })
    }
}

/// The words of a user frame, while this CPU is in local mode.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    words: *mut u64,
    of: PhantomData<&'a u64>,
}

impl Words<'_> {
    /// Copies words `first..end` to the same place of another frame.
    #[inline(always)]
    pub fn copy_to(self, to: Words, first: usize, end: usize) {
        assert!(first <= end && end <= FRAME_BYTES / 8);
        // SAFETY: 1. both were user frames when the shortcuts were made, and are still: no user frame was freed since
        // (`Frames::unreference` makes shortcuts stale), and none is meanwhile: that needs all locks; 2. no Rust reference to
        // user frames exists; 3. `copy_words` allows the two to be the same.
        unsafe { crate::copy_words(self.words.add(first), to.words.add(first), end - first) };
    }

    #[inline(always)]
    pub fn set(self, n: usize, word: u64) {
        assert!(n < FRAME_BYTES / 8);
        // SAFETY: as `copy_to`; 4. volatile, since user code may read and write meanwhile.
        unsafe { self.words.add(n).write_volatile(word) };
    }
}

/// One value for each CPU: all of them with the kernel's state, each CPU's own in local mode.
pub struct EachCpu<T> {
    first: *mut T,
    count: usize,
    keys: u64,
}

// SAFETY: 1. elements are reached through a borrow, or by the one CPU that each belongs to.
unsafe impl<T: Send> Send for EachCpu<T> {}

impl<T> EachCpu<T> {
    /// `count` values in frames of their own; `None` if there are not enough in a row.
    pub fn new(frames: &mut Frames, count: usize, mut value: impl FnMut() -> T) -> Option<EachCpu<T>> {
        const { assert!(FRAME_BYTES.is_multiple_of(align_of::<T>())) };
        let first = frames.take_kept_row((count * size_of::<T>()).div_ceil(FRAME_BYTES) as u32)? as *mut T;
        for n in 0..count {
            // SAFETY: 1. the row was just taken and is never given back; 2. `count` values fit; 3. aligned (asserted).
            unsafe { first.add(n).write(value()) };
        }
        Some(EachCpu { first, count, keys: 0 })
    }

    /// This CPU's key to its own value.
    pub fn key(&mut self, maker: &Maker) -> Mine<T>
    where
        T: Send,
    {
        let cpu = maker.cpu();
        assert!(cpu < self.count && self.keys & 1 << cpu == 0, "one key a CPU");
        self.keys |= 1 << cpu;
        // SAFETY: 1. below `count`.
        Mine { value: unsafe { self.first.add(cpu) } }
    }

    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        // SAFETY: 1. `new` wrote `count` values; 2. `self` is borrowed, and with it all locks are held.
        unsafe { core::slice::from_raw_parts(self.first, self.count) }.iter()
    }
}

impl<T> core::ops::Index<usize> for EachCpu<T> {
    type Output = T;
    #[inline(always)]
    fn index(&self, n: usize) -> &T {
        assert!(n < self.count);
        // SAFETY: as `iter`.
        unsafe { &*self.first.add(n) }
    }
}

impl<T> core::ops::IndexMut<usize> for EachCpu<T> {
    #[inline(always)]
    fn index_mut(&mut self, n: usize) -> &mut T {
        assert!(n < self.count);
        // SAFETY: as `iter`; borrowed mutably.
        unsafe { &mut *self.first.add(n) }
    }
}

/// A CPU's key to its own value in an [`EachCpu`].
pub struct Mine<T> {
    value: *mut T,
}

impl<T> Mine<T> {
    #[inline(always)]
    pub fn get_mut<'a>(&'a mut self, _: &'a Local) -> &'a mut T {
        // SAFETY: 1. the only key to this value, borrowed mutably; 2. the `EachCpu` needs all locks, of which this CPU
        // holds one while there is a `Local`.
        unsafe { &mut *self.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Slabs, Store};

    #[test]
    fn a_key_reaches_what_is_at_home_on_its_cpu_and_nothing_else() {
        let mut frames = crate::test_frames(8);
        let mut store = Store::<u64>::new(&mut frames);
        let r = store.create(&mut frames, &mut Slabs::default(), 7).unwrap();
        let mut key = store.key(&Maker::new(1));
        let mut seen = Vec::new();
        for home in [None, Some(0), Some(1)] {
            store.set_home(r, home);
            seen.push(key.get_mut(&crate::local(&mut store, 1), r).copied());
        }
        assert_eq!(seen, [None, None, Some(7)]);
    }

    #[test]
    #[should_panic(expected = "no readers")]
    fn a_store_that_is_read_in_local_mode_gives_no_keys() {
        let mut frames = crate::test_frames(8);
        let mut store = Store::<u64>::new(&mut frames);
        let _reader = store.reader();
        store.key(&Maker::new(0));
    }

    #[test]
    #[should_panic(expected = "one key a CPU")]
    fn a_cpu_has_one_key() {
        let mut frames = crate::test_frames(8);
        let mut store = Store::<u64>::new(&mut frames);
        let _key = store.key(&Maker::new(2));
        store.key(&Maker::new(2));
    }
}
