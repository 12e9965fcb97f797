// SPDX-License-Identifier: PMPL-1.0-or-later
//! The frame database: what each 4096-byte frame of RAM is used for right now.
//!
//! A frame has one tag at a time. Typed memory (slabs, arrays, page tables) is reached only through the type that owns
//! the tag; user frames are reached only by copying bytes. It does not know who pays: quotas are `kernel`'s.

use super::FRAME_BYTES;
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
    /// User frames: page table entries that point here, plus one for the memory object that holds it.
    references: AtomicU32,
}

/// No RAM that we know of: devices, firmware, holes.
const NOT_RAM: u32 = 0;
/// RAM that stays as it is: the kernel's image and what the boot left.
const KEPT: u32 = 1;
const FREE: u32 = 2;
const USER: u32 = 3;
pub(super) const PAGE_TABLE: u32 = 4;
pub(super) const ARRAY: u32 = 5;
pub(crate) const CONTEXT: u32 = 6;
/// Values of CPUs (`key::EachCpu`).
const KEPT_FOR_CPUS: u32 = 7;
const FIRST_STORE: u32 = 16;

/// Reaches frames by number. Copies of it are what stores and arrays keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    base: *mut u8,
    records: *const Record,
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
        self.has_tag(frame, USER)
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

    /// The bytes at a physical address, and whether their frame has that tag.
    ///
    /// # Safety
    /// The frame has a record.
    #[inline(always)]
    pub(super) unsafe fn cell_unchecked<C>(&self, at: u64, tag: u32) -> (bool, *mut C) {
        // SAFETY: the caller's; records live for ever and are shared as atomics; `base` maps all frames in a row.
        unsafe {
            let record = &*self.records.add((at / FRAME_BYTES as u64) as usize);
            (record.tag.load(Relaxed) == tag, self.base.add(at as usize) as *mut C)
        }
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
    /// One bit a frame, set = free.
    bitmap: &'static mut [u64],
    free: u32,
    /// Word of the bitmap where the next search begins.
    next: usize,
    next_store: u32,
}

impl Frames {
    /// # Safety
    /// `base` maps physical memory 0 to `records.len()` frames, writable, for ever; nobody else uses any frame that is
    /// later given to [`Frames::add_free`]; `bitmap` has a bit for each record.
    pub unsafe fn new(base: *mut u8, records: &'static mut [Record], bitmap: &'static mut [u64]) -> Frames {
        assert!(bitmap.len() * 64 >= records.len());
        bitmap.fill(0);
        let count = u32::try_from(records.len()).expect("at most 16 TiB of RAM");
        Frames { view: View { base, records: records.as_ptr(), count }, bitmap, free: 0, next: 0, next_store: FIRST_STORE }
    }

    /// Hands frames to the database, for ever. Frames that it knows already are passed over.
    ///
    /// # Safety
    /// Nothing else uses these frames, now or later.
    pub unsafe fn add_free(&mut self, first: u32, count: u32) {
        for frame in first..first.saturating_add(count) {
            // Frame 0 is never handed out: it is the "none" of frame links.
            if frame != 0 && self.view.has_tag(frame, NOT_RAM) {
                self.set_tag(frame, FREE);
                self.bitmap[frame as usize / 64] |= 1 << (frame % 64);
                self.free += 1;
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

    fn find(&mut self) -> Option<u32> {
        if self.free == 0 {
            return None;
        }
        let words = self.bitmap.len();
        for step in 0..words {
            let word = (self.next + step) % words;
            if self.bitmap[word] != 0 {
                self.next = word;
                return Some(word as u32 * 64 + self.bitmap[word].trailing_zeros());
            }
        }
        None
    }

    /// `count` free frames in a row, by search: linear in the size of RAM.
    fn find_row(&self, count: u32) -> Option<u32> {
        let mut run = 0;
        let mut frame = 0;
        while frame < self.view.count {
            let word = self.bitmap[frame as usize / 64];
            if word == 0 {
                run = 0;
                frame = (frame / 64 + 1) * 64;
                continue;
            }
            run = if word & 1 << (frame % 64) != 0 { run + 1 } else { 0 };
            frame += 1;
            if run == count {
                return Some(frame - count);
            }
        }
        None
    }

    fn claim(&mut self, frame: u32, tag: u32) {
        debug_assert!(self.view.has_tag(frame, FREE));
        self.bitmap[frame as usize / 64] &= !(1 << (frame % 64));
        self.free -= 1;
        self.set_tag(frame, tag);
        // SAFETY: 1. the frame was free, so no one holds a reference into it; 2. it is mapped writable (`new`).
        unsafe { core::ptr::write_bytes(self.view.pointer(frame), 0, FRAME_BYTES) };
    }

    /// A zeroed frame with that tag.
    pub(crate) fn take(&mut self, tag: u32) -> Option<u32> {
        let frame = self.find()?;
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
        self.set_tag(frame, FREE);
        self.bitmap[frame as usize / 64] |= 1 << (frame % 64);
        self.free += 1;
    }

    /// A zeroed frame that user code may map.
    pub fn take_user(&mut self) -> Option<Frame> {
        let frame = self.take(USER)?;
        self.view.record(frame).unwrap().references.store(1, Relaxed);
        Some(Frame(frame))
    }

    /// `count` such frames in a row; the first is returned.
    pub fn take_user_row(&mut self, count: u32) -> Option<Frame> {
        let first = self.find_row(count)?;
        for frame in first..first + count {
            self.claim(frame, USER);
            self.view.record(frame).unwrap().references.store(1, Relaxed);
        }
        Some(Frame(first))
    }

    /// Gives a user frame back. It stays unavailable while a page table still points to it: `false` then.
    pub fn give_user(&mut self, frame: Frame) -> bool {
        self.unreference(frame)
    }

    /// A page table entry points to the frame now. Only user frames can be pointed to: `false` otherwise.
    pub(super) fn reference(&mut self, frame: Frame) -> bool {
        if !self.view.has_tag(frame.0, USER) {
            return false;
        }
        self.view.record(frame.0).unwrap().references.fetch_add(1, Relaxed);
        true
    }

    /// One reference less; frees the frame with the last one and says so.
    pub(super) fn unreference(&mut self, frame: Frame) -> bool {
        assert!(self.view.has_tag(frame.0, USER), "{frame:?} is not a user frame");
        let last = self.view.record(frame.0).unwrap().references.fetch_sub(1, Relaxed) == 1;
        if last {
            self.give(frame.0, USER);
        }
        last
    }

    fn user_pointer(&self, frame: Frame, offset: usize, length: usize) -> *mut u8 {
        assert!(self.view.has_tag(frame.0, USER), "{frame:?} is not a user frame");
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

    /// Reads the word at an offset that is a multiple of 8.
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
