// SPDX-License-Identifier: PMPL-1.0-or-later
//! A virtio device for tests: its registers, and a queue that it serves when its doorbell rings.
//!
//! One BAR holds everything: common configuration at 0, doorbells at [`NOTIFY`], device configuration at [`DEVICE`].

use crate::pci::{Place, Places};
use crate::transport::{VERSION_1, offset, status};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use dma::{Area, Fake as Memory};
use mmio::Registers;

pub const NOTIFY: usize = 0x1000;
pub const DEVICE: usize = 0x2000;
const PART: usize = 0x1000;

pub const PLACES: Places = Places {
    common: Place { bar: 0, offset: 0, length: PART },
    notify: Place { bar: 0, offset: NOTIFY, length: PART },
    notify_multiplier: 4,
    interrupt_status: Place { bar: 0, offset: 0x3000, length: 1 },
    device: Some(Place { bar: 0, offset: DEVICE, length: PART }),
};

/// A piece of a chain as the device sees it.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub physical: u64,
    pub length: usize,
    pub device_writes: bool,
}

/// What the device does with a chain; returns the bytes it wrote.
pub type Work = Box<dyn FnMut(&[Piece]) -> u32>;

/// How the device behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    Good,
    /// Never answers a request.
    Deaf,
    /// Answers with a chain that it was not given.
    Liar,
    /// Refuses the features.
    Refusing,
}

pub struct Device {
    registers: RefCell<Vec<u8>>,
    memories: Vec<Memory>,
    features: u64,
    pub manner: Cell<Manner>,
    work: RefCell<Work>,
    used: Cell<u16>,
    /// Requests that it served.
    pub served: Cell<usize>,
}

impl Device {
    /// `memories`: where its chains may point.
    pub fn new(features: u64, configuration: &[u8], memories: &[Memory], work: Work) -> Device {
        let mut registers = alloc::vec![0; 0x4000];
        registers.splice(DEVICE..DEVICE + configuration.len(), configuration.iter().copied());
        Device {
            registers: RefCell::new(registers),
            memories: memories.to_vec(),
            features: features | VERSION_1,
            manner: Cell::new(Manner::Good),
            work: RefCell::new(work),
            used: Cell::new(0),
            served: Cell::new(0),
        }
    }

    fn get(&self, at: usize, width: usize) -> u64 {
        let registers = self.registers.borrow();
        (0..width).rev().fold(0, |all, n| (all << 8) | u64::from(registers.get(at + n).copied().unwrap_or(0xff)))
    }
    fn set(&self, at: usize, width: usize, value: u64) {
        for (n, byte) in value.to_le_bytes().iter().enumerate().take(width) {
            if let Some(place) = self.registers.borrow_mut().get_mut(at + n) {
                *place = *byte;
            }
        }
    }

    fn written(&self, at: usize, width: usize, value: u64) {
        self.set(at, width, value);
        match at {
            offset::DEVICE_FEATURE_SELECT => self.set(offset::DEVICE_FEATURE, 4, self.features >> (32 * (value & 1))),
            offset::QUEUE_SELECT => self.set(offset::QUEUE_SIZE, 2, if value == 0 { 16 } else { 0 }),
            offset::DEVICE_STATUS if value == 0 => {
                self.used.set(0);
                self.set(offset::QUEUE_ENABLE, 2, 0);
            }
            offset::DEVICE_STATUS if self.manner.get() == Manner::Refusing => {
                self.set(at, 1, value & !u64::from(status::FEATURES_OK));
            }
            NOTIFY => self.serve(),
            _ => {}
        }
    }

    /// Serves the newest chain of queue 0.
    fn serve(&self) {
        let ready = self.get(offset::DEVICE_STATUS, 1) & u64::from(status::DRIVER_OK) != 0;
        if self.manner.get() == Manner::Deaf || !ready || self.get(offset::QUEUE_ENABLE, 2) != 1 {
            return;
        }
        let size = self.get(offset::QUEUE_SIZE, 2);
        let available = self.get(offset::QUEUE_DRIVER, 8);
        let place = available + 4 + 2 * (u64::from(self.used.get()) % size);
        let mut at = u64::from(self.memory16(place));
        let mut chain = Vec::new();
        loop {
            let descriptor = self.get(offset::QUEUE_DESC, 8) + 16 * at;
            let (mut address, mut length) = ([0; 8], [0; 4]);
            self.read(descriptor, &mut address);
            self.read(descriptor + 8, &mut length);
            let flags = self.memory16(descriptor + 12);
            let length = u32::from_le_bytes(length) as usize;
            chain.push(Piece { physical: u64::from_le_bytes(address), length, device_writes: flags & 2 != 0 });
            if flags & 1 == 0 {
                break;
            }
            at = u64::from(self.memory16(descriptor + 14));
        }
        let written = (self.work.borrow_mut())(&chain);
        let used = self.get(offset::QUEUE_DEVICE, 8);
        let entry = used + 4 + 8 * (u64::from(self.used.get()) % size);
        let id: u32 = if self.manner.get() == Manner::Liar { 7 } else { 0 };
        self.write(entry, &id.to_le_bytes());
        self.write(entry + 4, &written.to_le_bytes());
        self.used.set(self.used.get().wrapping_add(1));
        self.write(used + 2, &self.used.get().to_le_bytes());
        self.served.set(self.served.get() + 1);
    }

    fn memory16(&self, physical: u64) -> u16 {
        let mut bytes = [0; 2];
        self.read(physical, &mut bytes);
        u16::from_le_bytes(bytes)
    }
    /// DMA from an address that was not granted is what the test is there to find.
    fn read(&self, physical: u64, out: &mut [u8]) {
        let found = self.memories.iter().find_map(|m| m.read(m.offset_of(physical, out.len())?, out));
        found.unwrap_or_else(|| panic!("DMA read of {} bytes at {physical:#x}, which was not granted", out.len()));
    }
    fn write(&self, physical: u64, bytes: &[u8]) {
        let found = self.memories.iter().find_map(|m| m.write(m.offset_of(physical, bytes.len())?, bytes));
        found.unwrap_or_else(|| panic!("DMA write of {} bytes at {physical:#x}, which was not granted", bytes.len()));
    }
}

impl Registers for Device {
    fn read8(&self, at: usize) -> u8 {
        self.get(at, 1) as u8
    }
    fn read16(&self, at: usize) -> u16 {
        self.get(at, 2) as u16
    }
    fn read32(&self, at: usize) -> u32 {
        self.get(at, 4) as u32
    }
    fn write8(&self, at: usize, value: u8) {
        self.written(at, 1, value.into())
    }
    fn write16(&self, at: usize, value: u16) {
        self.written(at, 2, value.into())
    }
    fn write32(&self, at: usize, value: u32) {
        self.written(at, 4, value.into())
    }
}
