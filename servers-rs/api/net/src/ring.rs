// SPDX-License-Identifier: PMPL-1.0-or-later
//! Whose slot is whose: four rings in memory that driver and client share, one writer and one reader each.
//!
//! ```text
//! FILLED driver -> client   a frame came in this receive slot
//! FREE   client -> driver   the client is done with that receive slot
//! READY  client -> driver   a frame to send lies in this transmit slot
//! DONE   driver -> client   that transmit slot can be used again
//! ```
//! Layout of a pair: for each ring a counter of entries put and one of entries taken, on a line of the cache each; then the
//! entries, 4 bytes each: slot in the high half, length of the frame in the low half; then receive slots, then transmit slots.
//! A frame begins [`FRAME`] bytes into its slot; what lies before it is the driver's header.
//!
//! Neither side trusts the other: a counter that runs too far or a slot that does not exist is [`Broken`].

use core::sync::atomic::{AtomicU32, Ordering};

/// Slots in each direction, and entries of each ring: a power of two.
pub const SLOTS: u16 = 256;
pub const SLOT_BYTES: usize = 2048;
/// Where a frame begins in its slot: room for a device's header before it, and a multiple of 8 for copying.
pub const FRAME: usize = 16;
/// Longest frame: an Ethernet header and 1500 bytes.
pub const MAX_FRAME_BYTES: usize = 1514;

const LINE_BYTES: usize = 64;
const RINGS: usize = 4;
const ENTRIES: usize = RINGS * 2 * LINE_BYTES;
const FRAMES: usize = 8192;
/// What a pair takes of the shared memory.
pub const PAIR_BYTES: usize = FRAMES + 2 * SLOTS as usize * SLOT_BYTES;

/// One of the four, by its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    Filled = 0,
    Free = 1,
    Ready = 2,
    Done = 3,
}

/// The other side wrote what it may not: it is not to be used until it connects anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// Memory that both sides see.
pub trait Memory {
    fn atomic(&self, offset: usize) -> Option<&AtomicU32>;
}

/// Offset of the frame of a receive slot.
pub const fn receive_frame(pair: u16, slot: u16) -> usize {
    pair as usize * PAIR_BYTES + FRAMES + slot as usize * SLOT_BYTES + FRAME
}
/// Offset of the frame of a transmit slot.
pub const fn transmit_frame(pair: u16, slot: u16) -> usize {
    receive_frame(pair, slot) + SLOTS as usize * SLOT_BYTES
}

/// A slot and the length of the frame in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub slot: u16,
    pub length_bytes: u16,
}

/// One side's end of a ring. It counts by itself, and looks at the other side's counter only.
#[derive(Debug)]
pub struct End {
    base: usize,
    counters: usize,
    at: u32,
}

impl End {
    /// An end of a ring whose counters are 0: see [`clear`].
    pub const fn new(pair: u16, which: Which) -> End {
        let base = pair as usize * PAIR_BYTES;
        End {
            base: base + ENTRIES + which as usize * SLOTS as usize * 4,
            counters: base + which as usize * 2 * LINE_BYTES,
            at: 0,
        }
    }

    /// Puts an entry; false if the ring is full. For the writer's end.
    pub fn put(&mut self, memory: &impl Memory, entry: Entry) -> Result<bool, Broken> {
        let taken = memory.atomic(self.counters + LINE_BYTES).ok_or(Broken)?.load(Ordering::Acquire);
        let used = self.at.wrapping_sub(taken);
        if used > u32::from(SLOTS) {
            return Err(Broken);
        }
        if used == u32::from(SLOTS) {
            return Ok(false);
        }
        let value = (u32::from(entry.slot) << 16) | u32::from(entry.length_bytes);
        memory.atomic(self.place()).ok_or(Broken)?.store(value, Ordering::Relaxed);
        self.at = self.at.wrapping_add(1);
        memory.atomic(self.counters).ok_or(Broken)?.store(self.at, Ordering::Release);
        Ok(true)
    }

    /// Takes the next entry, if there is one. For the reader's end.
    pub fn take(&mut self, memory: &impl Memory) -> Result<Option<Entry>, Broken> {
        let put = memory.atomic(self.counters).ok_or(Broken)?.load(Ordering::Acquire);
        let there = put.wrapping_sub(self.at);
        if there > u32::from(SLOTS) {
            return Err(Broken);
        }
        if there == 0 {
            return Ok(None);
        }
        let value = memory.atomic(self.place()).ok_or(Broken)?.load(Ordering::Relaxed);
        self.at = self.at.wrapping_add(1);
        memory.atomic(self.counters + LINE_BYTES).ok_or(Broken)?.store(self.at, Ordering::Release);
        let entry = Entry { slot: (value >> 16) as u16, length_bytes: value as u16 };
        let is_one = entry.slot < SLOTS && usize::from(entry.length_bytes) <= MAX_FRAME_BYTES;
        if is_one { Ok(Some(entry)) } else { Err(Broken) }
    }

    fn place(&self) -> usize {
        self.base + 4 * (self.at % u32::from(SLOTS)) as usize
    }
}

/// Sets all counters of a pair to 0. The driver does it before it hands a pair out.
pub fn clear(memory: &impl Memory, pair: u16) -> Result<(), Broken> {
    for line in 0..2 * RINGS {
        memory.atomic(pair as usize * PAIR_BYTES + line * LINE_BYTES).ok_or(Broken)?.store(0, Ordering::Release);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    struct Fake(Vec<AtomicU32>);
    impl Memory for Fake {
        fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
            self.0.get(offset / 4)
        }
    }
    fn fake() -> Fake {
        Fake((0..FRAMES / 4).map(|_| AtomicU32::new(0)).collect())
    }
    const fn entry(slot: u16) -> Entry {
        Entry { slot, length_bytes: 60 }
    }

    #[test]
    fn entries_come_out_in_order_also_where_the_counters_wrap() {
        let memory = fake();
        let (mut put, mut take) = (End::new(0, Which::Ready), End::new(0, Which::Ready));
        for start in [0, u32::MAX - 3] {
            (put.at, take.at) = (start, start);
            (0..2).for_each(|n| memory.0[(put.counters + n * LINE_BYTES) / 4].store(start, Ordering::Relaxed));
            for n in 0..SLOTS {
                assert_eq!(put.put(&memory, entry(n)), Ok(true));
            }
            assert_eq!(put.put(&memory, entry(0)), Ok(false), "it is full");
            for n in 0..SLOTS {
                assert_eq!(take.take(&memory), Ok(Some(entry(n))));
            }
            assert_eq!(take.take(&memory), Ok(None));
        }
    }

    #[test]
    fn rings_do_not_overlap_and_frames_lie_behind_them() {
        let memory = fake();
        let mut ends = [Which::Filled, Which::Free, Which::Ready, Which::Done].map(|w| End::new(0, w));
        for (n, end) in ends.iter_mut().enumerate() {
            end.put(&memory, entry(n as u16)).unwrap();
        }
        for (n, which) in [Which::Filled, Which::Free, Which::Ready, Which::Done].into_iter().enumerate() {
            assert_eq!(End::new(0, which).take(&memory), Ok(Some(entry(n as u16))));
        }
        assert!(ENTRIES + RINGS * SLOTS as usize * 4 <= FRAMES);
        assert_eq!(transmit_frame(0, SLOTS - 1) - FRAME + SLOT_BYTES, PAIR_BYTES);
        assert!(receive_frame(0, 1).is_multiple_of(8));
    }

    #[test]
    fn a_counter_that_runs_too_far_and_a_slot_that_does_not_exist_are_broken() {
        let memory = fake();
        let (mut put, mut take) = (End::new(0, Which::Free), End::new(0, Which::Free));
        memory.0[put.counters / 4].store(u32::from(SLOTS) + 1, Ordering::Relaxed);
        assert_eq!(take.take(&memory), Err(Broken));
        memory.0[(put.counters + LINE_BYTES) / 4].store(1, Ordering::Relaxed);
        assert_eq!(put.put(&memory, entry(1)), Err(Broken), "more was taken than put");
        clear(&memory, 0).unwrap();
        for bad in [u32::from(SLOTS) << 16, 2000] {
            let (mut put, mut take) = (End::new(0, Which::Free), End::new(0, Which::Free));
            clear(&memory, 0).unwrap();
            put.put(&memory, entry(1)).unwrap();
            memory.0[put.base / 4].store(bad, Ordering::Relaxed);
            assert_eq!(take.take(&memory), Err(Broken), "{bad:#x}");
        }
        assert_eq!(End::new(3, Which::Free).take(&memory), Err(Broken), "a pair beyond the memory");
    }
}
