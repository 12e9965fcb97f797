// SPDX-License-Identifier: PMPL-1.0-or-later
//! The frame database: what each 4096-byte frame of RAM is used for right now.
//!
//! A frame has one tag at a time. Typed memory (slabs, arrays, page tables) is reached only through the type that owns
//! the tag; user frames are reached only by copying bytes. It does not know who pays: quotas are `kernel`'s.

use super::FRAME_BYTES;
use super::bits::Bits;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Number of a frame: its physical address is this times 4096. A plain name; owning it is the database's matter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Frame(pub u32);

impl Frame {
    pub const fn physical(self) -> u64 {
        self.0 as u64 * FRAME_BYTES as u64
    }
}

/// What the database knows of a frame.
#[derive(Debug, Default)]
pub struct Record {
    tag: AtomicU32,
    /// User frames: page table entries that point here, plus one for the memory object that holds it. Page tables of the
    /// lowest level: entries that are in use.
    pub(super) references: AtomicU32,
}

/// No RAM that we know of: devices, firmware, holes.
const NOT_RAM: u32 = 0;
/// RAM that stays as it is: the kernel's image and what the boot left.
const KEPT: u32 = 1;
const FREE: u32 = 2;
const USER: u32 = 3;
/// A user frame of a run: `RUN_FRAMES` frames that begin at a multiple of that and live and die together. The references
/// to all of them are counted at the first.
const RUN: u32 = 4;
pub(super) const PAGE_TABLE: u32 = 5;
pub(super) const ARRAY: u32 = 6;
pub(crate) const CONTEXT: u32 = 7;
/// Values of CPUs (`key::EachCpu`).
const KEPT_FOR_CPUS: u32 = 8;
const FIRST_STORE: u32 = 16;

/// Frames of a 2 MiB page.
pub const RUN_FRAMES: u32 = 512;

/// Reaches frames by number. Copies of it are what stores and arrays keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    base: *mut u8,
    records: *const Record,
    /// As `records`, for the address of a frame divided by its size.
    by_address: *const Record,
    count: u32,
}

// SAFETY: 1. the pointers name memory that lives for ever (`Frames::new`'s contract); 2. records are atomics; 3. bytes
// are reached only through the owner of a tag, which is borrowed, or by raw copies of user frames.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    pub(super) fn record(&self, frame: u32) -> Option<&Record> {
        // SAFETY: 1. below `count` the record exists (`Frames::new`); 2. it lives for ever and is shared as atomics.
        (frame < self.count).then(|| unsafe { &*self.records.add(frame as usize) })
    }

    #[inline(always)]
    pub(super) fn is_user(&self, frame: u32) -> bool {
        self.record(frame).is_some_and(|r| r.tag.load(Relaxed).wrapping_sub(USER) <= RUN - USER)
    }

    pub(super) fn has_tag(&self, frame: u32, tag: u32) -> bool {
        self.record(frame).is_some_and(|r| r.tag.load(Relaxed) == tag)
    }

    /// First byte of a frame.
    ///
    /// # Safety
    /// The frame has a record.
    #[inline]
    pub(super) unsafe fn pointer_unchecked(&self, frame: u32) -> *mut u8 {
        // SAFETY: 1. `base` maps all frames below `count` in a row (`Frames::new`); 2. the caller's.
        unsafe { self.base.add(frame as usize * FRAME_BYTES) }
    }

    /// Whether the frame of that byte has that tag.
    ///
    /// # Safety
    /// `at` is an address in a frame that has a record.
    #[inline(always)]
    pub(super) unsafe fn has_tag_unchecked(&self, at: *const u8, tag: u32) -> bool {
        // SAFETY: 1. `by_address` is `records`, less the number of frames below `base`, so the place is that of the
        // frame's record (the caller's); 2. records live for ever and are shared as atomics.
        unsafe { (*self.by_address.wrapping_add(at as usize / FRAME_BYTES)).tag.load(Relaxed) == tag }
    }

    /// Distance of a byte in a frame from the first frame.
    pub(super) fn offset(&self, at: *const u8) -> u64 {
        (at as usize - self.base as usize) as u64
    }

    /// First byte of a frame. A frame without a record is refused: it panics.
    pub(crate) fn pointer(&self, frame: u32) -> *mut u8 {
        assert!(frame < self.count, "frame {frame} is not RAM");
        // SAFETY: 1. `base` maps all frames below `count` in a row (`Frames::new`).
        unsafe { self.base.add(frame as usize * FRAME_BYTES) }
    }
}

/// The database and the free frames. There is one of them in a running kernel.
#[derive(Debug)]
pub struct Frames {
    view: View,
    /// Free frames, and runs of which all frames are free.
    available: Bits,
    runs: Bits,
    free: u32,
    next_store: u32,
}

impl Frames {
    /// Words of the bitmaps for a number of frames.
    pub const fn bitmap_words(frames: usize) -> usize {
        // Whole runs, so that each has all its words.
        let frames = frames.next_multiple_of(RUN_FRAMES as usize);
        Bits::words(frames) + Bits::words(frames / RUN_FRAMES as usize)
    }

    /// # Safety
    /// `base` maps physical memory 0 to `records.len()` frames, writable, for ever; nobody else uses any frame that is
    /// later given to [`Frames::add_free`]; `bitmap` has [`Frames::bitmap_words`] words.
    pub unsafe fn new(base: *mut u8, records: &'static mut [Record], bitmap: &'static mut [u64]) -> Frames {
        let all = records.len().next_multiple_of(RUN_FRAMES as usize);
        let (available, runs) = bitmap.split_at_mut(Bits::words(all));
        let count = u32::try_from(records.len()).expect("at most 16 TiB of RAM");
        let records = records.as_ptr();
        let by_address = records.wrapping_sub(base as usize / FRAME_BYTES);
        Frames {
            view: View { base, records, by_address, count },
            available: Bits::new(available, all),
            runs: Bits::new(runs, all / RUN_FRAMES as usize),
            free: 0,
            next_store: FIRST_STORE,
        }
    }

    /// Hands frames to the database, for ever. Frames that it knows already are passed over.
    ///
    /// # Safety
    /// Nothing else uses these frames, now or later.
    pub unsafe fn add_free(&mut self, first: u32, count: u32) {
        for frame in first..first.saturating_add(count) {
            // Frame 0 is never handed out: it is the "none" of frame links.
            if frame != 0 && self.view.has_tag(frame, NOT_RAM) {
                self.release(frame);
            }
        }
    }

    /// Marks frames as RAM in use for ever: never handed out, never a device.
    pub fn keep(&mut self, first: u32, count: u32) {
        for frame in first..first.saturating_add(count) {
            if self.view.has_tag(frame, NOT_RAM) {
                self.set_tag(frame, KEPT);
            }
        }
    }

    /// Turns kept frames into user frames (the boot bundle): readable by user code once mapped, never freed.
    /// `false` if one of them was not kept RAM; those before it stay turned.
    ///
    /// # Safety
    /// Nothing in the kernel holds a reference into these frames that writing to them would break.
    pub unsafe fn publish(&mut self, first: u32, count: u32) -> bool {
        for frame in first..first.saturating_add(count) {
            if !self.view.has_tag(frame, KEPT) {
                return false;
            }
            self.set_tag(frame, USER);
            // One reference that nobody gives back keeps it from ever being freed.
            self.view.record(frame).unwrap().references.store(2, Relaxed);
        }
        true
    }

    pub(crate) fn view(&self) -> View {
        self.view
    }

    /// All frames that there are, RAM or not: numbers below this one.
    pub fn count(&self) -> u32 {
        self.view.count
    }

    /// Frames that can still be taken.
    pub fn free(&self) -> u32 {
        self.free
    }

    /// Whether the frame is RAM that the database governs, as opposed to a device, firmware or a hole.
    pub fn is_ram(&self, frame: u64) -> bool {
        u32::try_from(frame).ok().and_then(|f| self.view.record(f)).is_some_and(|r| r.tag.load(Relaxed) != NOT_RAM)
    }

    pub(super) fn new_store(&mut self) -> u32 {
        self.next_store += 1;
        self.next_store - 1
    }

    fn set_tag(&mut self, frame: u32, tag: u32) {
        self.view.record(frame).unwrap().tag.store(tag, Relaxed);
    }

    /// Makes a frame available.
    fn release(&mut self, frame: u32) {
        self.set_tag(frame, FREE);
        self.available.insert(frame);
        self.free += 1;
        let word = frame as usize / 64;
        if self.available.word(word) == u64::MAX {
            let first = word & !7;
            if (first..first + 8).all(|w| self.available.word(w) == u64::MAX) {
                self.runs.insert(frame / RUN_FRAMES);
            }
        }
    }

    /// Takes a free frame and clears it.
    fn claim(&mut self, frame: u32, tag: u32) {
        self.claim_as_is(frame, tag);
        self.zero(frame);
    }

    /// Takes a free frame; what stands in it is what it held last.
    fn claim_as_is(&mut self, frame: u32, tag: u32) {
        debug_assert!(self.view.has_tag(frame, FREE));
        if self.runs.has(frame / RUN_FRAMES) {
            self.runs.remove(frame / RUN_FRAMES);
        }
        self.available.remove(frame);
        self.free -= 1;
        self.set_tag(frame, tag);
    }

    fn zero(&mut self, frame: u32) {
        // SAFETY: 1. the callers own the frame and no one holds a reference into it; 2. it is mapped writable (`new`).
        unsafe { core::ptr::write_bytes(self.view.pointer(frame), 0, FRAME_BYTES) };
    }

    /// A zeroed frame with that tag.
    pub(crate) fn take(&mut self, tag: u32) -> Option<u32> {
        let frame = self.available.next(0)?;
        self.claim(frame, tag);
        Some(frame)
    }

    /// First byte of `count` zeroed frames in a row that are never given back.
    pub(super) fn take_kept_row(&mut self, count: u32) -> Option<*mut u8> {
        let first = self.find_row(count)?;
        (first..first + count).for_each(|frame| self.claim(frame, KEPT_FOR_CPUS));
        Some(self.view.pointer(first))
    }

    /// Takes a frame back from the owner of `tag`, who has no reference into it any more.
    pub(crate) fn give(&mut self, frame: u32, tag: u32) {
        assert!(self.view.has_tag(frame, tag), "frame {frame} given back by someone who does not own it");
        self.release(frame);
    }

    /// A zeroed frame that user code may map.
    pub fn take_user(&mut self) -> Option<Frame> {
        let frame = self.take(USER)?;
        self.view.record(frame).unwrap().references.store(1, Relaxed);
        Some(Frame(frame))
    }

    /// The first free frame from this one on.
    pub fn next_free(&self, from: Frame) -> Option<Frame> {
        self.available.next(from.0).map(Frame)
    }

    /// Takes that very frame for user code; what stands in it is to be cleared. `false`: it is not free.
    pub fn take_user_at(&mut self, frame: Frame) -> bool {
        if frame.0 >= self.view.count || !self.available.has(frame.0) {
            return false;
        }
        self.claim_as_is(frame.0, USER);
        self.view.record(frame.0).unwrap().references.store(1, Relaxed);
        true
    }

    /// `count` free frames in a row, by search: linear in the size of RAM, so for the start only.
    fn find_row(&self, count: u32) -> Option<u32> {
        let (mut first, mut end) = (0, 0);
        while let Some(frame) = self.available.next(end) {
            if frame != end {
                first = frame;
            }
            end = frame + 1;
            if end - first == count {
                return Some(first);
            }
        }
        None
    }

    /// `count` zeroed frames for user code in a row, by such a search; the first is returned.
    pub fn take_user_row(&mut self, count: u32) -> Option<Frame> {
        let first = self.find_row(count)?;
        for frame in first..first + count {
            self.claim(frame, USER);
            self.view.record(frame).unwrap().references.store(1, Relaxed);
        }
        Some(Frame(first))
    }

    /// Takes a run for user code; what stands in it is to be cleared. Its first frame is returned.
    pub fn take_user_run(&mut self) -> Option<Frame> {
        let run = self.runs.next(0)?;
        let first = run * RUN_FRAMES;
        self.runs.remove(run);
        for word in 0..8 {
            self.available.set_word(first as usize / 64 + word, 0);
        }
        self.free -= RUN_FRAMES;
        for record in self.run_records(first) {
            record.tag.store(RUN, Relaxed);
        }
        self.view.record(first)?.references.store(1, Relaxed);
        Some(Frame(first))
    }

    fn give_run(&mut self, first: u32) {
        for record in self.run_records(first) {
            record.tag.store(FREE, Relaxed);
        }
        for word in 0..8 {
            self.available.set_word(first as usize / 64 + word, u64::MAX);
        }
        self.free += RUN_FRAMES;
        self.runs.insert(first / RUN_FRAMES);
    }

    fn run_records(&self, first: u32) -> &'static [Record] {
        assert!(first.is_multiple_of(RUN_FRAMES) && first + RUN_FRAMES <= self.view.count);
        // SAFETY: 1. all of them are below `count` (asserted); 2. records live for ever and are shared as atomics.
        unsafe { core::slice::from_raw_parts(self.view.records.add(first as usize), RUN_FRAMES as usize) }
    }

    /// Clears a user frame.
    pub fn clear_user(&mut self, frame: Frame) {
        self.user_pointer(frame, 0, FRAME_BYTES);
        self.zero(frame.0);
    }

    /// Gives a user frame back, or the run that begins there. It stays unavailable while a page table still points to it:
    /// `false` then.
    pub fn give_user(&mut self, frame: Frame) -> bool {
        self.unreference(frame)
    }

    /// Whether it is a user frame by itself, no part of a run: it can be held without holding others.
    pub fn is_single(&self, frame: Frame) -> bool {
        self.view.has_tag(frame.0, USER)
    }

    /// Whether a run for user code begins there.
    pub(super) fn is_run(&self, frame: Frame) -> bool {
        frame.0.is_multiple_of(RUN_FRAMES) && self.view.has_tag(frame.0, RUN)
    }

    /// Where the references to a user frame are counted.
    #[inline]
    fn counted(&self, frame: Frame) -> Option<(&Record, u32)> {
        let record = self.view.record(frame.0)?;
        match record.tag.load(Relaxed) {
            USER => Some((record, frame.0)),
            RUN => {
                let first = frame.0 & !(RUN_FRAMES - 1);
                Some((self.view.record(first)?, first))
            }
            _ => None,
        }
    }

    /// `count` page table entries more point to the frame now. Only user frames can be pointed to: `false` otherwise.
    #[inline]
    pub(crate) fn reference(&mut self, frame: Frame, count: u32) -> bool {
        let Some((record, _)) = self.counted(frame) else { return false };
        // One CPU at a time changes the count: no need for more than a load and a store.
        record.references.store(record.references.load(Relaxed) + count, Relaxed);
        true
    }

    /// One reference less; frees the frame, or its run, with the last one and says so.
    #[inline]
    pub(crate) fn unreference(&mut self, frame: Frame) -> bool {
        let Some((record, counted)) = self.counted(frame) else { panic!("{frame:?} is not a user frame") };
        let left = record.references.load(Relaxed) - 1;
        record.references.store(left, Relaxed);
        if left == 0 {
            super::key::forget_shortcuts();
            if self.view.has_tag(counted, RUN) { self.give_run(counted) } else { self.give(counted, USER) }
        }
        left == 0
    }

    #[inline(always)]
    fn user_pointer(&self, frame: Frame, offset: usize, length: usize) -> *mut u8 {
        assert!(self.view.is_user(frame.0), "{frame:?} is not a user frame");
        assert!(offset <= FRAME_BYTES && length <= FRAME_BYTES - offset);
        // SAFETY: 1. the offset lies within the frame (asserted).
        unsafe { self.view.pointer(frame.0).add(offset) }
    }

    /// Copies bytes out of a user frame. User code may write to it meanwhile; the bytes are then any mix.
    pub fn read_user(&self, frame: Frame, offset: usize, bytes: &mut [u8]) {
        let from = self.user_pointer(frame, offset, bytes.len());
        for (n, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: 1. `user_pointer` checked frame and bounds; 2. no Rust reference to user frames exists; 3. volatile
            // reads of single bytes, since another CPU may write them.
            *byte = unsafe { from.add(n).read_volatile() };
        }
    }

    /// Copies bytes into a user frame.
    pub fn write_user(&mut self, frame: Frame, offset: usize, bytes: &[u8]) {
        let to = self.user_pointer(frame, offset, bytes.len());
        // SAFETY: 1. `user_pointer` checked frame and bounds; 2. no Rust reference to user frames exists; 3. `bytes`
        // is a Rust reference, so it does not overlap a user frame.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Reads words in a row at an offset that is a multiple of 8.
    #[inline]
    pub fn read_user_words<const N: usize>(&self, frame: Frame, offset: usize) -> [u64; N] {
        assert!(offset.is_multiple_of(8));
        let from = self.user_pointer(frame, offset, N * 8) as *const u64;
        // SAFETY: as `read_user_word`, for each of them.
        core::array::from_fn(|n| unsafe { from.add(n).read_volatile() })
    }

    /// Reads the word at an offset that is a multiple of 8.
    #[inline]
    pub fn read_user_word(&self, frame: Frame, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8));
        let from = self.user_pointer(frame, offset, 8) as *const u64;
        // SAFETY: 1. `user_pointer` checked frame and bounds; 2. aligned (asserted); 3. volatile: user code may write.
        unsafe { from.read_volatile() }
    }

    /// Writes the word at an offset that is a multiple of 8.
    pub fn write_user_word(&mut self, frame: Frame, offset: usize, word: u64) {
        assert!(offset.is_multiple_of(8));
        let to = self.user_pointer(frame, offset, 8) as *mut u64;
        // SAFETY: as `read_user_word`.
        unsafe { to.write_volatile(word) };
    }

    /// Writes the half word at an offset that is a multiple of 4.
    #[inline]
    pub fn write_user_half(&mut self, frame: Frame, offset: usize, half: u32) {
        assert!(offset.is_multiple_of(4));
        let to = self.user_pointer(frame, offset, 4) as *mut u32;
        // SAFETY: as `read_user_word`.
        unsafe { to.write_volatile(half) };
    }

    /// Copies words `first..end` of one user frame to the same place of another.
    pub fn copy_user_words(&mut self, from: Frame, to: Frame, first: usize, end: usize) {
        if first < end {
            let bytes = (end - first) * 8;
            let (source, target) = (self.user_pointer(from, first * 8, bytes), self.user_pointer(to, first * 8, bytes));
            // SAFETY: 1. both checked by `user_pointer`; 2. `copy` allows the two frames to be the same one.
            unsafe { core::ptr::copy(source as *const u64, target as *mut u64, end - first) };
        }
    }
}
