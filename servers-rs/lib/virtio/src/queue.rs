// SPDX-License-Identifier: PMPL-1.0-or-later
//! A split virtqueue (virtio 1.2, 2.7) for a driver that has one chain in flight at a time.
//!
//! Layout in its memory: descriptors (16 bytes each), available ring, used ring (4-byte aligned).

use crate::Fault;
use dma::{Area, barrier};

const DESCRIPTOR_BYTES: usize = 16;
const FLAG_NEXT: u16 = 1;
const FLAG_DEVICE_WRITES: u16 = 2;

/// Where the device finds the three parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rings {
    pub size: u16,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
}

/// A piece of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    pub physical: u64,
    pub length_bytes: u32,
    pub device_writes: bool,
}

#[derive(Debug)]
pub struct Queue {
    size: u16,
    start: usize,
    /// Chains given to the device since the start, modulo 2^16.
    given: u16,
    /// Chains taken back.
    taken: u16,
}

/// Bytes that a queue of `size` entries takes.
pub const fn queue_bytes(size: u16) -> usize {
    used_offset(size) + 6 + 8 * size as usize
}
pub(crate) const fn available_offset(size: u16) -> usize {
    DESCRIPTOR_BYTES * size as usize
}
pub(crate) const fn used_offset(size: u16) -> usize {
    (available_offset(size) + 6 + 2 * size as usize).next_multiple_of(4)
}

/// A descriptor as the device reads it: 2.7.5.
pub(crate) fn descriptor(buffer: &Buffer, next: Option<u16>) -> [u8; DESCRIPTOR_BYTES] {
    let writes = if buffer.device_writes { FLAG_DEVICE_WRITES } else { 0 };
    let flags = writes | if next.is_some() { FLAG_NEXT } else { 0 };
    let all = u128::from(buffer.physical)
        | (u128::from(buffer.length_bytes) << 64)
        | (u128::from(flags) << 96)
        | (u128::from(next.unwrap_or(0)) << 112);
    all.to_le_bytes()
}

impl Queue {
    /// A queue at `start` in the area, all zero. Errors: `NoMemory` if it does not fit or `start` is no multiple of 16,
    /// `NoQueue` if the size is not a power of two.
    pub fn new(area: &impl Area, start: usize, size: u16) -> Result<Queue, Fault> {
        if !size.is_power_of_two() {
            return Err(Fault::NoQueue);
        }
        if !start.is_multiple_of(DESCRIPTOR_BYTES) {
            return Err(Fault::NoMemory);
        }
        for at in (0..queue_bytes(size)).step_by(2) {
            area.write16(start + at, 0).ok_or(Fault::NoMemory)?;
        }
        Ok(Queue { size, start, given: 0, taken: 0 })
    }

    pub fn rings(&self, area: &impl Area) -> Rings {
        Rings {
            size: self.size,
            descriptors: area.physical(self.start),
            available: area.physical(self.start + available_offset(self.size)),
            used: area.physical(self.start + used_offset(self.size)),
        }
    }

    /// Gives a chain to the device; ring its doorbell afterwards. Errors: `NoMemory` if the chain is empty or longer
    /// than the queue, `Broken` if one is in flight already.
    pub fn give(&mut self, area: &impl Area, chain: &[Buffer]) -> Result<(), Fault> {
        if self.given != self.taken {
            return Err(Fault::Broken);
        }
        if chain.is_empty() || chain.len() > usize::from(self.size) {
            return Err(Fault::NoMemory);
        }
        for (n, buffer) in chain.iter().enumerate() {
            let bytes = descriptor(buffer, (n + 1 < chain.len()).then_some((n + 1) as u16));
            area.write(self.start + n * DESCRIPTOR_BYTES, &bytes).ok_or(Fault::NoMemory)?;
        }
        let available = self.start + available_offset(self.size);
        let place = available + 4 + 2 * usize::from(self.given % self.size);
        area.write16(place, 0).ok_or(Fault::NoMemory)?;
        // 2.7.13: the entry before the index, the index before the doorbell.
        barrier();
        self.given = self.given.wrapping_add(1);
        area.write16(available + 2, self.given).ok_or(Fault::NoMemory)?;
        barrier();
        Ok(())
    }

    /// Takes the chain back when the device is done; returns how many bytes it wrote. Errors: `Broken` if the device
    /// claims to have used what it was not given.
    pub fn take(&mut self, area: &impl Area) -> Result<Option<u32>, Fault> {
        let used = self.start + used_offset(self.size);
        let index = area.read16(used + 2).ok_or(Fault::NoMemory)?;
        barrier();
        if index == self.taken {
            return Ok(None);
        }
        if self.given == self.taken || index != self.taken.wrapping_add(1) {
            return Err(Fault::Broken);
        }
        let entry = used + 4 + 8 * usize::from(self.taken % self.size);
        if area.read32(entry).ok_or(Fault::NoMemory)? != 0 {
            return Err(Fault::Broken);
        }
        let written = area.read32(entry + 4).ok_or(Fault::NoMemory)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dma::Fake;

    const ONE: [Buffer; 1] = [Buffer { physical: 0x9000, length_bytes: 512, device_writes: true }];

    fn answer(area: &Fake, queue: &Queue, index: u16, id: u32) {
        let used = used_offset(queue.size);
        let entry = used + 4 + 8 * usize::from(index.wrapping_sub(1) % queue.size);
        area.write(entry, &id.to_le_bytes()).unwrap();
        area.write(entry + 4, &512u32.to_le_bytes()).unwrap();
        area.write16(used + 2, index).unwrap();
    }

    #[test]
    fn chains_go_round_the_ring_more_often_than_its_index_counts() {
        let area = Fake::new(4096, 0x10_0000);
        let mut queue = Queue::new(&area, 0, 4).unwrap();
        for n in 1..=70_000u32 {
            queue.give(&area, &ONE).unwrap();
            assert_eq!(queue.take(&area), Ok(None));
            answer(&area, &queue, n as u16, 0);
            assert_eq!(queue.take(&area), Ok(Some(512)));
        }
    }

    #[test]
    fn a_device_that_lies_is_broken() {
        let area = Fake::new(4096, 0);
        let mut queue = Queue::new(&area, 0, 4).unwrap();
        answer(&area, &queue, 1, 0);
        assert_eq!(queue.take(&area), Err(Fault::Broken), "used without being given");
        let mut queue = Queue::new(&area, 0, 4).unwrap();
        queue.give(&area, &ONE).unwrap();
        answer(&area, &queue, 1, 3);
        assert_eq!(queue.take(&area), Err(Fault::Broken), "another chain than was given");
        answer(&area, &queue, 9, 0);
        assert_eq!(queue.take(&area), Err(Fault::Broken), "an index far ahead");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let area = Fake::new(256, 0);
        assert_eq!(Queue::new(&area, 0, 64).err(), Some(Fault::NoMemory));
        assert_eq!(Queue::new(&area, 8, 4).err(), Some(Fault::NoMemory));
        assert_eq!(Queue::new(&area, 0, 5).err(), Some(Fault::NoQueue));
        let mut queue = Queue::new(&area, 0, 2).unwrap();
        assert_eq!(queue.give(&area, &[ONE[0]; 3]), Err(Fault::NoMemory));
        assert_eq!(queue.give(&area, &[]), Err(Fault::NoMemory));
        queue.give(&area, &ONE).unwrap();
        assert_eq!(queue.give(&area, &ONE), Err(Fault::Broken));
    }
}
