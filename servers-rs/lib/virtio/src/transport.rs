// SPDX-License-Identifier: PMPL-1.0-or-later
//! The registers of a virtio device over PCI: virtio 1.2, 4.1.4.3 (common configuration) and 3.1 (initialisation).

use crate::Fault;
use crate::pci::Places;
use crate::queue::Rings;
use mmio::{Part, Registers};

/// Offsets of `virtio_pci_common_cfg`, in its order.
pub(crate) mod offset {
    pub const DEVICE_FEATURE_SELECT: usize = 0;
    pub const DEVICE_FEATURE: usize = 4;
    pub const DRIVER_FEATURE_SELECT: usize = 8;
    pub const DRIVER_FEATURE: usize = 12;
    pub const CONFIG_MSIX_VECTOR: usize = 16;
    pub const DEVICE_STATUS: usize = 20;
    pub const QUEUE_SELECT: usize = 22;
    pub const QUEUE_SIZE: usize = 24;
    pub const QUEUE_MSIX_VECTOR: usize = 26;
    pub const QUEUE_ENABLE: usize = 28;
    pub const QUEUE_NOTIFY_OFF: usize = 30;
    pub const QUEUE_DESC: usize = 32;
    pub const QUEUE_DRIVER: usize = 40;
    pub const QUEUE_DEVICE: usize = 48;
}

/// Bits of the device status: virtio 1.2, 2.1.
pub mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const NEEDS_RESET: u8 = 64;
    pub const FAILED: u8 = 128;
}

/// Virtio 1.x, not the older interface.
pub const VERSION_1: u64 = 1 << 32;
/// No interrupt for this: virtio 1.2, 4.1.5.1.2.
pub const NO_VECTOR: u16 = 0xffff;
/// Reads of the status register before a reset counts as failed; each is a trap to the emulator, or microseconds on a bus.
const RESET_READS: usize = 100_000;

#[derive(Debug)]
pub struct Transport<R> {
    common: Part<R>,
    notify: Part<R>,
    notify_multiplier: usize,
    device: Part<R>,
}

impl<R: Registers + Copy> Transport<R> {
    /// `bar` gives the registers of a BAR. Errors: `NotVirtio` if a structure lies in a BAR that was not granted.
    pub fn new(places: &Places, bar: impl Fn(u8) -> Option<R>) -> Result<Self, Fault> {
        let part = |p: crate::pci::Place| bar(p.bar).map(|all| Part::new(all, p.offset, p.length)).ok_or(Fault::NotVirtio);
        let common = part(places.common)?;
        let device = match places.device {
            Some(place) => part(place)?,
            None => Part::new(bar(places.common.bar).ok_or(Fault::NotVirtio)?, 0, 0),
        };
        Ok(Transport { common, notify: part(places.notify)?, notify_multiplier: places.notify_multiplier as usize, device })
    }
}

impl<R: Registers> Transport<R> {
    /// Steps 1 to 6 of virtio 1.2, 3.1.1: reset, say who we are, agree on features. Returns what both sides have.
    /// Errors: `Silent`, `NoFeature` if a needed one is not offered, `Refused`.
    pub fn begin(&self, wanted: u64, needed: u64) -> Result<u64, Fault> {
        self.reset()?;
        self.set_status(status::ACKNOWLEDGE);
        self.set_status(status::ACKNOWLEDGE | status::DRIVER);
        let offered = self.offered();
        let needed = needed | VERSION_1;
        if offered & needed != needed {
            self.set_status(status::FAILED);
            return Err(Fault::NoFeature);
        }
        let chosen = offered & (wanted | needed);
        for half in 0..2u32 {
            self.common.write32(offset::DRIVER_FEATURE_SELECT, half);
            self.common.write32(offset::DRIVER_FEATURE, (chosen >> (32 * half)) as u32);
        }
        self.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);
        if self.status() & status::FEATURES_OK == 0 {
            self.set_status(status::FAILED);
            return Err(Fault::Refused);
        }
        Ok(chosen)
    }

    /// The device stops and forgets everything; it touches no memory afterwards.
    pub fn reset(&self) -> Result<(), Fault> {
        self.common.write8(offset::DEVICE_STATUS, 0);
        // 4.1.4.3.2: reset is done when 0 reads back.
        let done = (0..RESET_READS).any(|_| self.status() == 0);
        if done { Ok(()) } else { Err(Fault::Silent) }
    }

    /// Step 8: from now on the device works.
    pub fn finish(&self) {
        self.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK);
    }

    /// The largest size of a queue, 0 if it does not exist.
    pub fn queue_size(&self, queue: u16) -> u16 {
        self.common.write16(offset::QUEUE_SELECT, queue);
        self.common.read16(offset::QUEUE_SIZE)
    }

    /// Tells the device where a queue is and which interrupt it raises; `NO_VECTOR` for none.
    /// Errors: `NoQueue` if the device cannot have that vector.
    pub fn set_queue(&self, queue: u16, rings: &Rings, vector: u16) -> Result<usize, Fault> {
        self.common.write16(offset::CONFIG_MSIX_VECTOR, NO_VECTOR);
        self.common.write16(offset::QUEUE_SELECT, queue);
        self.common.write16(offset::QUEUE_SIZE, rings.size);
        self.common.write16(offset::QUEUE_MSIX_VECTOR, vector);
        if self.common.read16(offset::QUEUE_MSIX_VECTOR) != vector {
            return Err(Fault::NoQueue);
        }
        for (at, address) in
            [(offset::QUEUE_DESC, rings.descriptors), (offset::QUEUE_DRIVER, rings.available), (offset::QUEUE_DEVICE, rings.used)]
        {
            self.common.write32(at, address as u32);
            self.common.write32(at + 4, (address >> 32) as u32);
        }
        self.common.write16(offset::QUEUE_ENABLE, 1);
        Ok(usize::from(self.common.read16(offset::QUEUE_NOTIFY_OFF)))
    }

    /// Rings a queue's doorbell; `notify_offset` is what `set_queue` returned.
    pub fn notify(&self, queue: u16, notify_offset: usize) {
        self.notify.write16(notify_offset.saturating_mul(self.notify_multiplier), queue);
    }

    /// The device gave up and needs a reset, or does not answer.
    pub fn is_broken(&self) -> bool {
        self.status() & status::NEEDS_RESET != 0
    }
    pub fn device(&self) -> &Part<R> {
        &self.device
    }

    fn offered(&self) -> u64 {
        (0..2u32).fold(0, |all, half| {
            self.common.write32(offset::DEVICE_FEATURE_SELECT, half);
            all | (u64::from(self.common.read32(offset::DEVICE_FEATURE)) << (32 * half))
        })
    }
    fn status(&self) -> u8 {
        self.common.read8(offset::DEVICE_STATUS)
    }
    fn set_status(&self, bits: u8) {
        self.common.write8(offset::DEVICE_STATUS, bits);
    }
}
