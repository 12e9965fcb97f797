// SPDX-License-Identifier: PMPL-1.0-or-later
//! A split virtqueue (virtio 1.2, 2.7) of independent buffers: descriptor `n` is slot `n`, and any number are in flight.
//! For devices that are fed single buffers: network, entropy. Layout as in `queue.rs`.

use crate::Fault;
use crate::queue::{Buffer, Rings, available_offset, descriptor, queue_bytes, used_offset};
use dma::{Area, barrier};

/// Slots that the bitmap below counts.
const MAX_SIZE: u16 = 256;
/// 2.7.6: the driver wants no interrupt for this queue.
const NO_INTERRUPT: u16 = 1;

#[derive(Debug)]
pub struct Slots {
    size: u16,
    start: usize,
    given: u16,
    taken: u16,
    /// One bit for each slot that the device has.
    busy: [u64; MAX_SIZE as usize / 64],
}

impl Slots {
    /// A queue at `start` in the area, all zero. Errors: as `Queue::new`, and `NoQueue` beyond 256 slots.
    pub fn new(area: &impl Area, start: usize, size: u16) -> Result<Slots, Fault> {
        if !size.is_power_of_two() || size > MAX_SIZE {
            return Err(Fault::NoQueue);
        }
        if !start.is_multiple_of(16) {
            return Err(Fault::NoMemory);
        }
        for at in (0..queue_bytes(size)).step_by(2) {
            area.write16(start + at, 0).ok_or(Fault::NoMemory)?;
        }
        Ok(Slots { size, start, given: 0, taken: 0, busy: [0; MAX_SIZE as usize / 64] })
    }

    pub fn rings(&self, area: &impl Area) -> Rings {
        Rings {
            size: self.size,
            descriptors: area.physical(self.start),
            available: area.physical(self.start + available_offset(self.size)),
            used: area.physical(self.start + used_offset(self.size)),
        }
    }

    /// Slots that the device has.
    pub fn in_flight(&self) -> u16 {
        self.given.wrapping_sub(self.taken)
    }

    fn is_busy(&self, slot: u16) -> bool {
        self.busy.get(usize::from(slot) / 64).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }
    fn flip(&mut self, slot: u16) {
        if let Some(word) = self.busy.get_mut(usize::from(slot) / 64) {
            *word ^= 1 << (slot % 64);
        }
    }

    /// Gives a slot's buffer to the device; ring its doorbell afterwards. Errors: `Broken` if the device has that slot
    /// already or there is none of that number.
    pub fn give(&mut self, area: &impl Area, slot: u16, buffer: Buffer) -> Result<(), Fault> {
        if slot >= self.size || self.is_busy(slot) {
            return Err(Fault::Broken);
        }
        let bytes = descriptor(&buffer, None);
        area.write(self.start + usize::from(slot) * bytes.len(), &bytes).ok_or(Fault::NoMemory)?;
        let available = self.start + available_offset(self.size);
        area.write16(available + 4 + 2 * usize::from(self.given % self.size), slot).ok_or(Fault::NoMemory)?;
        // 2.7.13: the entry before the index, the index before the doorbell.
        barrier();
        self.given = self.given.wrapping_add(1);
        area.write16(available + 2, self.given).ok_or(Fault::NoMemory)?;
        self.flip(slot);
        barrier();
        Ok(())
    }

    /// Takes a slot back that the device is done with, and how many bytes it wrote. Errors: `Broken` if the device claims
    /// to have used what it was not given.
    pub fn take(&mut self, area: &impl Area) -> Result<Option<(u16, u32)>, Fault> {
        let used = self.start + used_offset(self.size);
        let index = area.read16(used + 2).ok_or(Fault::NoMemory)?;
        barrier();
        if index == self.taken {
            return Ok(None);
        }
        if index.wrapping_sub(self.taken) > self.in_flight() {
            return Err(Fault::Broken);
        }
        let entry = used + 4 + 8 * usize::from(self.taken % self.size);
        let slot = area.read32(entry).ok_or(Fault::NoMemory)?;
        let slot = u16::try_from(slot).map_err(|_| Fault::Broken)?;
        if !self.is_busy(slot) {
            return Err(Fault::Broken);
        }
        let written = area.read32(entry + 4).ok_or(Fault::NoMemory)?;
        self.taken = self.taken.wrapping_add(1);
        self.flip(slot);
        Ok(Some((slot, written)))
    }

    /// Whether the device may do without interrupts for this queue; it is a hint (2.7.7).
    pub fn set_quiet(&self, area: &impl Area, quiet: bool) {
        let flags = if quiet { NO_INTERRUPT } else { 0 };
        // The queue was written when it was made, so this lies in the area.
        let _ = area.write16(self.start + available_offset(self.size), flags);
        barrier();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dma::Fake;

    const ONE: Buffer = Buffer { physical: 0x9000, length_bytes: 512, device_writes: true };

    fn answer(area: &Fake, queue: &Slots, index: u16, id: u32) {
        let used = used_offset(queue.size);
        let entry = used + 4 + 8 * usize::from(index.wrapping_sub(1) % queue.size);
        area.write(entry, &id.to_le_bytes()).unwrap();
        area.write(entry + 4, &60u32.to_le_bytes()).unwrap();
        area.write16(used + 2, index).unwrap();
    }

    #[test]
    fn slots_come_back_in_the_order_that_the_device_likes() {
        let area = Fake::new(4096, 0x10_0000);
        let mut queue = Slots::new(&area, 0, 4).unwrap();
        for round in 0..30_000u16 {
            (0..4).for_each(|slot| queue.give(&area, slot, ONE).unwrap());
            assert_eq!(queue.in_flight(), 4);
            for (n, slot) in [2u16, 0, 3, 1].into_iter().enumerate() {
                assert_eq!(queue.take(&area), Ok(None));
                answer(&area, &queue, round.wrapping_mul(4).wrapping_add(n as u16 + 1), u32::from(slot));
                assert_eq!(queue.take(&area), Ok(Some((slot, 60))));
            }
        }
    }

    #[test]
    fn a_device_that_lies_is_broken() {
        let area = Fake::new(4096, 0);
        for (index, id, what) in
            [(1, 3, "a slot that it was not given"), (3, 0, "more than it was given"), (1, 70_000, "no slot")]
        {
            let mut queue = Slots::new(&area, 0, 4).unwrap();
            queue.give(&area, 0, ONE).unwrap();
            queue.give(&area, 1, ONE).unwrap();
            answer(&area, &queue, index, id);
            assert_eq!(queue.take(&area), Err(Fault::Broken), "{what}");
        }
    }

    #[test]
    fn a_slot_is_given_once_and_only_if_it_exists() {
        let area = Fake::new(4096, 0);
        let mut queue = Slots::new(&area, 0, 4).unwrap();
        queue.give(&area, 1, ONE).unwrap();
        assert_eq!(queue.give(&area, 1, ONE), Err(Fault::Broken));
        assert_eq!(queue.give(&area, 4, ONE), Err(Fault::Broken));
        assert_eq!(Slots::new(&area, 0, 512).err(), Some(Fault::NoQueue));
        assert_eq!(Slots::new(&Fake::new(64, 0), 0, 4).err(), Some(Fault::NoMemory));
    }
}
