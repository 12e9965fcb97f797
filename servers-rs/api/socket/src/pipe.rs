// SPDX-License-Identifier: PMPL-1.0-or-later
//! Bytes from one side to the other: a ring in shared memory, one writer, one reader, neither trusting the other.
//!
//! Header of an area, a word on a line of the cache each: received put, received taken, sent put, sent taken (bytes since
//! the start, modulo 2^32), state, detail. A counter that runs too far gives no bytes and no room: it is the other side's damage.

use crate::Area;
use core::sync::atomic::{AtomicU32, Ordering};

const LINE_BYTES: usize = 64;
/// Four counters, the state, its detail, room for two more.
pub const HEADER_BYTES: usize = 8 * LINE_BYTES;
const STATE: usize = 4 * LINE_BYTES;
const DETAIL: usize = 5 * LINE_BYTES;
/// Before each datagram: address (16), port (2), length (2), both little-endian.
pub const DATAGRAM_BYTES: usize = 20;

/// Memory that both sides see.
pub trait Memory {
    fn atomic(&self, offset: usize) -> Option<&AtomicU32>;
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()>;
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()>;
}

/// One side's end of one direction.
#[derive(Debug)]
pub struct End {
    counters: usize,
    data: usize,
    size: u32,
    at: u32,
}

/// From the server to the client.
pub const fn received(area: &Area) -> End {
    let base = area.offset_bytes as usize;
    End { counters: base, data: base + HEADER_BYTES, size: area.receive_bytes, at: 0 }
}
/// From the client to the server.
pub const fn sent(area: &Area) -> End {
    let base = area.offset_bytes as usize;
    End { counters: base + 2 * LINE_BYTES, data: base + HEADER_BYTES + area.receive_bytes as usize, size: area.send_bytes, at: 0 }
}

/// Sets the header to 0: the client does it before it opens a socket there.
pub fn clear(memory: &impl Memory, area: &Area) -> Option<()> {
    (0..6).try_for_each(|line| {
        memory.atomic(area.offset_bytes as usize + line * LINE_BYTES)?.store(0, Ordering::Release);
        Some(())
    })
}
/// What the server last said of the socket, as `State` counts; 0 for nothing.
pub fn state(memory: &impl Memory, area: &Area) -> u32 {
    memory.atomic(area.offset_bytes as usize + STATE).map_or(0, |word| word.load(Ordering::Acquire))
}
/// The server's side of [`state`]; true if it was another.
pub fn set_state(memory: &impl Memory, area: &Area, state: u32) -> bool {
    memory.atomic(area.offset_bytes as usize + STATE).is_some_and(|word| word.swap(state, Ordering::AcqRel) != state)
}
/// Of a listener: how many wait to be accepted. Of a connection that failed: the number of a `Cause`. Else 0.
pub fn detail(memory: &impl Memory, area: &Area) -> u32 {
    memory.atomic(area.offset_bytes as usize + DETAIL).map_or(0, |word| word.load(Ordering::Acquire))
}
/// The server's side of [`detail`]; what was there before. Said before the state that it belongs to.
pub fn set_detail(memory: &impl Memory, area: &Area, detail: u32) -> u32 {
    memory.atomic(area.offset_bytes as usize + DETAIL).map_or(0, |word| word.swap(detail, Ordering::AcqRel))
}

impl End {
    /// Bytes that the writer may put.
    pub fn room(&self, memory: &impl Memory) -> usize {
        let taken = memory.atomic(self.counters + LINE_BYTES).map_or(self.at, |w| w.load(Ordering::Acquire));
        let used = self.at.wrapping_sub(taken);
        self.size.saturating_sub(used) as usize
    }
    /// Bytes that the reader may take.
    pub fn available(&self, memory: &impl Memory) -> usize {
        let put = memory.atomic(self.counters).map_or(self.at, |w| w.load(Ordering::Acquire));
        let there = put.wrapping_sub(self.at);
        if there > self.size { 0 } else { there as usize }
    }

    /// Puts as many bytes as there is room for; how many.
    pub fn put(&mut self, memory: &impl Memory, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room(memory));
        let (first, second) = self.split(count);
        let done = bytes.get(..first).and_then(|b| memory.write(self.place(), b));
        let done = done.and_then(|()| memory.write(self.data, bytes.get(first..first + second)?));
        if done.is_none() {
            return 0;
        }
        self.at = self.at.wrapping_add(count as u32);
        if let Some(word) = memory.atomic(self.counters) {
            word.store(self.at, Ordering::Release);
        }
        count
    }

    /// Puts all of these, one after the other, or nothing: the reader never sees a part. False without room.
    pub fn put_whole(&mut self, memory: &impl Memory, parts: &[&[u8]]) -> bool {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        if count > self.room(memory) {
            return false;
        }
        let start = self.at;
        for part in parts {
            let (first, second) = self.split(part.len());
            let done = part.get(..first).and_then(|b| memory.write(self.place(), b));
            let done = done.and_then(|()| memory.write(self.data, part.get(first..first + second)?));
            if done.is_none() {
                self.at = start;
                return false;
            }
            self.at = self.at.wrapping_add(part.len() as u32);
        }
        if let Some(word) = memory.atomic(self.counters) {
            word.store(self.at, Ordering::Release);
        }
        true
    }

    /// Takes as many bytes as there are and fit; how many.
    pub fn take(&mut self, memory: &impl Memory, out: &mut [u8]) -> usize {
        let count = self.look(memory, out);
        self.skip(memory, count);
        count
    }
    /// As [`Self::take`], but they stay.
    pub fn look(&self, memory: &impl Memory, out: &mut [u8]) -> usize {
        let count = out.len().min(self.available(memory));
        let (first, second) = self.split(count);
        let done = out.get_mut(..first).and_then(|b| memory.read(self.place(), b));
        let done = done.and_then(|()| memory.read(self.data, out.get_mut(first..first + second)?));
        if done.is_some() { count } else { 0 }
    }
    /// Gives up bytes that [`Self::look`] saw.
    pub fn skip(&mut self, memory: &impl Memory, count: usize) {
        self.at = self.at.wrapping_add(count as u32);
        if let Some(word) = memory.atomic(self.counters + LINE_BYTES) {
            word.store(self.at, Ordering::Release);
        }
    }

    fn place(&self) -> usize {
        self.data + (self.at & (self.size - 1)) as usize
    }
    /// `count` bytes from here on: up to the end of the ring, and from its start.
    fn split(&self, count: usize) -> (usize, usize) {
        let first = count.min((self.size - (self.at & (self.size - 1))) as usize);
        (first, count - first)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::cell::RefCell;
    use std::vec::Vec;

    struct Fake {
        words: Vec<AtomicU32>,
        bytes: RefCell<Vec<u8>>,
    }
    impl Memory for Fake {
        fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
            self.words.get(offset / 4)
        }
        fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
            out.copy_from_slice(self.bytes.borrow().get(offset..offset + out.len())?);
            Some(())
        }
        fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
            self.bytes.borrow_mut().get_mut(offset..offset + bytes.len())?.copy_from_slice(bytes);
            Some(())
        }
    }
    const AREA: Area = Area { offset_bytes: 64, receive_bytes: 1024, send_bytes: 2048 };
    fn fake() -> Fake {
        Fake { words: (0..200).map(|_| AtomicU32::new(0)).collect(), bytes: RefCell::new(std::vec![0; 8192]) }
    }

    #[test]
    fn bytes_come_out_as_they_went_in_around_the_end_and_past_2_to_the_32() {
        let memory = fake();
        let (mut put, mut take) = (received(&AREA), received(&AREA));
        for start in [0, u32::MAX - 5000] {
            (put.at, take.at) = (start, start);
            [16, 32].into_iter().for_each(|n| memory.words[n].store(start, Ordering::Relaxed));
            let mut next = (0u8, 0u8);
            for round in 1..600 {
                let bytes: Vec<u8> = (0..round)
                    .map(|_| {
                        next.0 = next.0.wrapping_add(7);
                        next.0
                    })
                    .collect();
                assert_eq!(put.put(&memory, &bytes), bytes.len());
                let mut out = std::vec![0; 2000];
                assert_eq!(take.take(&memory, &mut out), bytes.len());
                out[..bytes.len()].iter().for_each(|b| {
                    next.1 = next.1.wrapping_add(7);
                    assert_eq!(*b, next.1);
                });
            }
        }
    }

    #[test]
    fn parts_are_put_together_or_not_at_all() {
        let memory = fake();
        let (mut put, mut take) = (received(&AREA), received(&AREA));
        let mut out = [0; 1024];
        for round in 0..50u8 {
            assert!(put.put_whole(&memory, &[&[round; 20], &[], &[round + 1; 500]]));
            assert!(!put.put_whole(&memory, &[&[9; 20], &[9; 500]]), "there is room for the first part only");
            assert_eq!(take.take(&memory, &mut out), 520);
            assert!(out[..20] == [round; 20] && out[20..520] == [round + 1; 500]);
        }
    }

    #[test]
    fn a_full_pipe_takes_no_more_and_the_two_directions_do_not_touch() {
        let memory = fake();
        let (mut a, mut b) = (received(&AREA), sent(&AREA));
        assert_eq!(a.put(&memory, &[1; 3000]), 1024);
        assert_eq!(b.put(&memory, &[2; 3000]), 2048);
        assert_eq!((a.room(&memory), b.room(&memory)), (0, 0));
        let mut out = [0; 3000];
        assert_eq!(received(&AREA).take(&memory, &mut out), 1024);
        assert_eq!(out[..1024], [1; 1024]);
    }

    #[test]
    fn counters_that_lie_give_no_bytes_and_no_room() {
        let memory = fake();
        memory.words[16].store(1025, Ordering::Relaxed);
        assert_eq!(received(&AREA).available(&memory), 0);
        memory.words[32].store(5, Ordering::Relaxed);
        assert_eq!(received(&AREA).room(&memory), 0, "more was taken than put");
    }

    #[test]
    fn a_state_is_told_once() {
        let memory = fake();
        assert!(set_state(&memory, &AREA, 2));
        assert!(!set_state(&memory, &AREA, 2));
        assert_eq!(state(&memory, &AREA), 2);
        clear(&memory, &AREA).unwrap();
        assert_eq!(state(&memory, &AREA), 0);
    }
}
