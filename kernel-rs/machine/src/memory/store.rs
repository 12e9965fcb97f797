// SPDX-License-Identifier: PMPL-1.0-or-later
//! A store of objects of one type, in frames that whoever owns the objects pays for.
//!
//! A [`Ref`] names an object by place and identity: it never reaches another object that took the same place later,
//! so a stale one is an answer (`None`), not a danger. It does not know pools: the payer's list is passed in.
//!
//! `Store` needs the kernel to itself. What a CPU reaches with its own lock alone goes through `key`.

use super::FRAME_BYTES;
use super::frames::{Frames, View};
use super::key::{Key, Reader, RunKey};
use crate::local::{Maker, Run};
use core::marker::PhantomData;
use core::num::NonZeroU64;

/// Names an object of a `Store<T>`. Only stores make them, so the place is always that of a cell in RAM.
pub struct Ref<T> {
    /// The cell.
    pub(super) at: *mut u8,
    pub(super) id: NonZeroU64,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ref<T> {}
impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl<T> Eq for Ref<T> {}
impl<T> core::fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "#{}", self.id)
    }
}

impl<T> Ref<T> {
    /// The name without its type, for tables that hold names of many types.
    pub fn to_raw(self) -> RawRef {
        RawRef { at: self.at, id: self.id.get() }
    }
    /// The name again. A name of another type's object finds nothing: its frame carries another tag.
    #[inline(always)]
    pub fn from_raw(raw: RawRef) -> Option<Ref<T>> {
        Some(Ref { at: raw.at, id: NonZeroU64::new(raw.id)?, of: PhantomData })
    }
    /// # Safety
    /// The cell is live.
    #[inline(always)]
    pub(super) unsafe fn of_live(cell: *mut Cell<T>) -> Ref<T> {
        // SAFETY: the caller's: a live cell's id is not zero.
        Ref { at: cell as *mut u8, id: unsafe { NonZeroU64::new_unchecked((*cell).id) }, of: PhantomData }
    }
    /// Unique among all objects of this type that ever were.
    pub fn id(self) -> u64 {
        self.id.get()
    }
}

// SAFETY: 1. a name: what it points to is reached through a store or a key only.
unsafe impl<T> Send for Ref<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Ref<T> {}

/// A [`Ref`] without its type; the default names nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawRef {
    at: *mut u8,
    id: u64,
}

// SAFETY: as `Ref`.
unsafe impl Send for RawRef {}
// SAFETY: as `Ref`.
unsafe impl Sync for RawRef {}

impl RawRef {
    pub const NOTHING: RawRef = RawRef { at: core::ptr::null_mut(), id: 0 };

    /// As [`Ref::id`]; 0 = nothing is named.
    pub fn id(self) -> u64 {
        self.id
    }
}

impl Default for RawRef {
    fn default() -> RawRef {
        RawRef::NOTHING
    }
}

/// The slabs of one type that one payer pays for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slabs {
    /// First slab with a free cell, and first without; 0 = none.
    partial: u32,
    full: u32,
}

#[repr(C)]
struct Header {
    next: u32,
    previous: u32,
    /// Live objects in it; with all cells used it stands in the payer's `full` list.
    used: u32,
    /// Cells below this one are used.
    search: u32,
}

#[repr(C)]
pub(crate) struct Cell<T> {
    /// 0 = free.
    pub(super) id: u64,
    /// The CPU, plus 1, that reaches the object with its own lock alone; 0 = none does. Changes only with all locks held.
    pub(super) home: u64,
    pub(super) value: core::mem::MaybeUninit<T>,
}

/// All objects of one type.
pub struct Store<T> {
    view: View,
    tag: u32,
    next_id: u64,
    /// CPUs that have a key.
    keys: u64,
    /// There are readers, so nobody gets a key.
    readers: bool,
    of: PhantomData<T>,
}

/// Whether an allocation needed a frame, which the payer is charged for, or a release gave one back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cost {
    Nothing,
    OneFrame,
}

impl<T> Store<T> {
    /// Cells begin after the header, at a multiple of their alignment.
    const FIRST: usize = size_of::<Header>().next_multiple_of(align_of::<Cell<T>>());
    /// Objects per frame.
    pub const CELLS: u32 = ((FRAME_BYTES - Self::FIRST) / size_of::<Cell<T>>()) as u32;

    pub fn new(frames: &mut Frames) -> Store<T> {
        const { assert!(Self::CELLS > 0 && align_of::<Cell<T>>() <= FRAME_BYTES) };
        Store { view: frames.view(), tag: frames.new_store(), next_id: 1, keys: 0, readers: false, of: PhantomData }
    }

    fn header(&self, frame: u32) -> *mut Header {
        assert!(self.view.has_tag(frame, self.tag), "frame {frame} is no slab of this store");
        self.view.pointer(frame) as *mut Header
    }

    /// The cell, if the frame is one of this store's slabs; it may be free.
    fn cell(&self, frame: u32, cell: u32) -> Option<*mut Cell<T>> {
        if cell >= Self::CELLS || !self.view.has_tag(frame, self.tag) {
            return None;
        }
        let offset = Self::FIRST + cell as usize * size_of::<Cell<T>>();
        // SAFETY: 1. below CELLS the cell lies within the frame; 2. a frame with this tag has a record.
        Some(unsafe { self.view.pointer_unchecked(frame).add(offset) } as *mut Cell<T>)
    }

    fn name(&self, frame: u32, cell: u32, id: NonZeroU64) -> Ref<T> {
        let offset = Self::FIRST + cell as usize * size_of::<Cell<T>>();
        Ref { at: self.view.pointer(frame).wrapping_add(offset), id, of: PhantomData }
    }

    #[inline(always)]
    fn live(&self, r: Ref<T>) -> Option<*mut Cell<T>> {
        live_cell(&self.view, self.tag, r)
    }

    #[inline(always)]
    pub fn get(&self, r: Ref<T>) -> Option<&T> {
        // SAFETY: 1. a cell with a non-zero id holds a value (`create`); 2. only this store reaches frames with its tag,
        // and it is borrowed for as long as the reference lives.
        self.live(r).map(|cell| unsafe { (*cell).value.assume_init_ref() })
    }

    /// Cells begin at multiples of this.
    const PLACE_UNIT: u64 = 8;

    /// Where an object lives, as a number below 2^41: see [`Store::at`].
    pub fn place(&self, r: Ref<T>) -> u64 {
        self.view.offset(r.at) / Self::PLACE_UNIT
    }

    /// The name of whatever object lives at that place now: for links that are kept right as objects go.
    pub fn at(&self, place: u64) -> Option<Ref<T>> {
        let at = place.checked_mul(Self::PLACE_UNIT)?;
        let (frame, offset) = (u32::try_from(at / FRAME_BYTES as u64).ok()?, at as usize % FRAME_BYTES);
        let cell = offset.checked_sub(Self::FIRST)? / size_of::<Cell<T>>();
        let found = self.cell(frame, cell as u32)?;
        // SAFETY: 1. `cell` checked the place; 2. `id` is valid in every slab.
        let id = NonZeroU64::new(unsafe { (*found).id })?;
        Some(self.name(frame, cell as u32, id)).filter(|r| self.view.offset(r.at) == at)
    }

    #[inline(always)]
    pub fn get_mut(&mut self, r: Ref<T>) -> Option<&mut T> {
        // SAFETY: as `get`; 3. borrowed mutably.
        self.live(r).map(|cell| unsafe { (*cell).value.assume_init_mut() })
    }

    /// Two different objects at once; `None` if they are the same or one is gone.
    #[inline(always)]
    pub fn get_two(&mut self, a: Ref<T>, b: Ref<T>) -> Option<(&mut T, &mut T)> {
        let (x, y) = (self.live(a)?, self.live(b)?);
        // SAFETY: as `get_mut`; 4. two different cells do not overlap.
        (x != y).then(|| unsafe { ((*x).value.assume_init_mut(), (*y).value.assume_init_mut()) })
    }

    /// Says which CPU reaches the object with its own lock alone, from now on; `None`: no CPU does.
    pub fn set_home(&mut self, r: Ref<T>, cpu: Option<usize>) {
        if let Some(cell) = self.live(r) {
            // SAFETY: 1. the cell is there (`live`); 2. `self` is borrowed mutably: all locks are held.
            unsafe { (*cell).home = cpu.map_or(0, |c| c as u64 + 1) };
        }
    }

    /// The CPU that [`Store::set_home`] named last.
    pub fn home(&self, r: Ref<T>) -> Option<usize> {
        // SAFETY: 1. the cell is there (`live`); 2. `home` is valid in every slab.
        self.live(r).and_then(|cell| unsafe { (*cell).home }.checked_sub(1)).map(|c| c as usize)
    }

    /// The key of one CPU to the objects that are at home there. A CPU has one, and a store with readers has none.
    pub fn key(&mut self, maker: &Maker) -> Key<T>
    where
        T: Send,
    {
        self.give_key(maker);
        Key::new(self.view, self.tag)
    }

    /// As [`Store::key`], to objects that run.
    pub fn run_key(&mut self, maker: &Maker) -> RunKey<T>
    where
        T: Run + Send,
    {
        self.give_key(maker);
        RunKey::new(self.view, self.tag)
    }

    fn give_key(&mut self, maker: &Maker) {
        let bit = 1 << maker.cpu();
        assert!(!self.readers && self.keys & bit == 0, "one key a CPU, and no readers");
        self.keys |= bit;
    }

    /// Reads objects in local mode: they must only ever change with all locks held, so the store has no keys.
    pub fn reader(&mut self) -> Reader<T>
    where
        T: Sync,
    {
        assert!(self.keys == 0, "a store with keys has no readers");
        self.readers = true;
        Reader::new(self.view, self.tag)
    }

    /// What [`Store::create`] would need for this payer.
    pub fn cost(&self, slabs: &Slabs) -> Cost {
        if slabs.partial == 0 { Cost::OneFrame } else { Cost::Nothing }
    }

    /// Puts an object into one of the payer's slabs, or into a new frame. `None`, and the value is dropped, if there is
    /// no frame.
    pub fn create(&mut self, frames: &mut Frames, slabs: &mut Slabs, value: T) -> Option<Ref<T>> {
        if slabs.partial == 0 {
            let frame = frames.take(self.tag)?;
            self.link(&mut slabs.partial, frame);
        }
        let frame = slabs.partial;
        let header = self.header(frame);
        // SAFETY: 1. `header` checked the frame; 2. a number is valid whatever it is.
        let search = unsafe { (*header).search };
        let index = (search..Self::CELLS).find(|&c| {
            // SAFETY: 1. `cell` checked the place; 2. `id` is valid from `take` on.
            self.cell(frame, c).is_some_and(|p| unsafe { (*p).id == 0 })
        })?;
        let id = NonZeroU64::new(self.next_id)?;
        self.next_id += 1;
        let cell = self.cell(frame, index)?;
        // SAFETY: 1. the cell is free, so nothing is overwritten; 2. `self` is borrowed mutably.
        unsafe {
            (*cell).value.write(value);
            (*cell).home = 0;
            (*cell).id = id.get();
        }
        // SAFETY: 1. `header` checked the frame; 2. `self` is borrowed mutably.
        let used = unsafe {
            (*header).search = index + 1;
            (*header).used += 1;
            (*header).used
        };
        if used == Self::CELLS {
            self.unlink(&mut slabs.partial, frame);
            self.link(&mut slabs.full, frame);
        }
        Some(self.name(frame, index, id))
    }

    /// Takes the object out. The frame goes back with the last object in it. `slabs` must be the payer's it was made
    /// from; with another's, the lists are wrong but no object is.
    pub fn remove(&mut self, frames: &mut Frames, slabs: &mut Slabs, r: Ref<T>) -> Option<(T, Cost)> {
        let cell = self.live(r)?;
        let frame = (self.view.offset(r.at) / FRAME_BYTES as u64) as u32;
        if self.readers {
            super::key::forget_shortcuts();
        }
        // SAFETY: 1. the cell's own field; its place is not read.
        crate::forget_loaded(unsafe { &raw mut (*cell).value } as *mut u8);
        // SAFETY: 1. the cell holds a value (`live`); 2. its id becomes 0, so the value is not read again.
        let value = unsafe {
            (*cell).id = 0;
            (*cell).value.assume_init_read()
        };
        let header = self.header(frame);
        let index = ((r.at as usize % FRAME_BYTES - Self::FIRST) / size_of::<Cell<T>>()) as u32;
        // SAFETY: 1. `header` checked the frame; 2. `self` is borrowed mutably.
        let (used, was_full) = unsafe {
            (*header).search = index.min((*header).search);
            (*header).used -= 1;
            ((*header).used, (*header).used + 1 == Self::CELLS)
        };
        if was_full {
            self.unlink(&mut slabs.full, frame);
            self.link(&mut slabs.partial, frame);
        }
        if used > 0 {
            return Some((value, Cost::Nothing));
        }
        self.unlink(&mut slabs.partial, frame);
        frames.give(frame, self.tag);
        Some((value, Cost::OneFrame))
    }

    /// Some object of this payer, if there is one.
    pub fn any(&self, slabs: &Slabs) -> Option<Ref<T>> {
        self.in_frame(if slabs.full != 0 { slabs.full } else { slabs.partial }).next()
    }

    /// The objects in a frame, if it is one of this store's slabs.
    pub fn in_frame(&self, frame: u32) -> impl Iterator<Item = Ref<T>> + '_ {
        let cells = if self.view.has_tag(frame, self.tag) { Self::CELLS } else { 0 };
        (0..cells).filter_map(move |index| {
            let cell = self.cell(frame, index)?;
            // SAFETY: 1. `cell` checked the place; 2. `id` is valid in every slab.
            let id = NonZeroU64::new(unsafe { (*cell).id })?;
            Some(self.name(frame, index, id))
        })
    }

    /// What a CPU runs.
    pub fn running(&self, cpu: usize) -> Option<Ref<T>>
    where
        T: Run,
    {
        super::key::only_one_runs(self.tag);
        let cell = super::key::cell_of::<T>(crate::loaded_on(cpu));
        // SAFETY: 1. what is loaded is in a live cell of this store, or `Nobody`, before whose registers all is zero.
        let id = NonZeroU64::new(unsafe { (*cell).id })?;
        Some(Ref { at: cell as *mut u8, id, of: PhantomData })
    }

    /// Makes the object the one that this CPU, of that number, runs.
    pub fn run(&mut self, r: Ref<T>, cpu: usize)
    where
        T: Run,
    {
        super::key::only_one_runs(self.tag);
        if let Some(cell) = self.live(r) {
            // SAFETY: 1. the cell is live, and stays so while it is loaded (`remove`).
            unsafe { super::key::load(cell, cpu) };
        }
    }

    fn link(&mut self, list: &mut u32, frame: u32) {
        let header = self.header(frame);
        // SAFETY: 1. `header` checked both frames; 2. `self` is borrowed mutably.
        unsafe {
            (*header).next = *list;
            (*header).previous = 0;
        }
        if *list != 0 {
            let next = self.header(*list);
            // SAFETY: as above.
            unsafe { (*next).previous = frame };
        }
        *list = frame;
    }

    fn unlink(&mut self, list: &mut u32, frame: u32) {
        let header = self.header(frame);
        // SAFETY: 1. `header` checked the frame; 2. `self` is borrowed mutably.
        let (next, previous) = unsafe { ((*header).next, (*header).previous) };
        if previous != 0 {
            let p = self.header(previous);
            // SAFETY: as above.
            unsafe { (*p).next = next };
        } else {
            *list = next;
        }
        if next != 0 {
            let n = self.header(next);
            // SAFETY: as above.
            unsafe { (*n).previous = previous };
        }
    }
}

/// The cell of an object, if it still lives and is of the store with that tag.
#[inline(always)]
pub(super) fn live_cell<T>(view: &View, tag: u32, r: Ref<T>) -> Option<*mut Cell<T>> {
    let cell = r.at as *mut Cell<T>;
    // SAFETY: 1. only stores make a `Ref`, of places in frames that have a record; frames never lose it; 2. with the
    // tag, the frame is a slab of this type, and only cells of this type have a name in it that could be asked for with
    // this tag: tags of stores are never reused; 3. `id` is valid from `take` (zeroed) on.
    unsafe { view.has_tag_unchecked(r.at, tag) && (*cell).id == r.id.get() }.then_some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::test_frames;

    #[test]
    fn a_stale_reference_finds_nothing_even_when_its_place_is_taken_again() {
        let mut frames = test_frames(8);
        let mut store = Store::<u64>::new(&mut frames);
        let mut slabs = Slabs::default();
        let old = store.create(&mut frames, &mut slabs, 1).unwrap();
        assert_eq!(store.remove(&mut frames, &mut slabs, old), Some((1, Cost::OneFrame)));
        let new = store.create(&mut frames, &mut slabs, 2).unwrap();
        assert_eq!(new.at, old.at);
        assert_eq!(store.get(old), None);
        assert_eq!(store.get(new), Some(&2));
    }

    #[test]
    fn a_reference_of_another_type_finds_nothing() {
        let mut frames = test_frames(8);
        let (mut a, b) = (Store::<u64>::new(&mut frames), Store::<u32>::new(&mut frames));
        let r = a.create(&mut frames, &mut Slabs::default(), 7).unwrap();
        assert!(b.get(Ref::from_raw(r.to_raw()).unwrap()).is_none());
    }

    #[test]
    fn frames_go_back_with_the_last_object_in_them() {
        let mut frames = test_frames(8);
        let before = frames.free();
        let mut store = Store::<[u64; 100]>::new(&mut frames);
        let mut slabs = Slabs::default();
        let refs: Vec<_> = (0..13).map(|n| store.create(&mut frames, &mut slabs, [n; 100]).unwrap()).collect();
        assert_eq!(before - frames.free(), 13u32.div_ceil(Store::<[u64; 100]>::CELLS));
        for r in refs {
            store.remove(&mut frames, &mut slabs, r).unwrap();
        }
        assert_eq!(frames.free(), before);
        assert!(store.any(&slabs).is_none());
    }
}
