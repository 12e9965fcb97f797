// SPDX-License-Identifier: PMPL-1.0-or-later
//! A network device for tests: two queues of single buffers. It delivers frames and takes them when the test says so.

use crate::device::{HEADER_BYTES, Net};
use api_net::ring::{PAIR_BYTES, SLOTS};
use dma::{Area, Fake as Memory};
use mmio::Registers;
use std::cell::RefCell;
use virtio::fake::{DEVICE, PLACES};
use virtio::{Fault, Transport};

/// virtio 1.2, 4.1.4.3.
const FEATURE_SELECT: usize = 0;
const FEATURE: usize = 4;
const STATUS: usize = 20;
const QUEUE_SELECT: usize = 22;
const QUEUE_SIZE: usize = 24;
const QUEUE_FIELDS: std::ops::Range<usize> = 32..56;
const MAC_AND_VERSION_1: u64 = 1 << 5 | 1 << 32;

pub const FRAMES: u64 = 0x80_0000;

#[derive(Default)]
struct Queue {
    /// Descriptors, available ring, used ring.
    places: [u64; 3],
    taken: u16,
}

pub struct Device {
    registers: RefCell<Vec<u8>>,
    queues: RefCell<[Queue; 2]>,
    memories: [Memory; 2],
}

pub type Under = Net<&'static Device, Memory>;

/// A device, the memory of its frames, and a driver that started it.
pub fn bench() -> (&'static Device, Memory, Result<Under, Fault>) {
    let (own, frames) = (Memory::new(64 * 1024, 0x10_0000), Memory::new(PAIR_BYTES, FRAMES));
    let mut registers = vec![0; 0x4000];
    registers[DEVICE..DEVICE + 6].copy_from_slice(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    let memories = [own.clone(), frames.clone()];
    let device = Device { registers: RefCell::new(registers), queues: RefCell::default(), memories };
    let device: &'static Device = Box::leak(Box::new(device));
    let transport = Transport::new(&PLACES, |_| Some(device)).unwrap();
    (device, frames, Net::new(transport, own, FRAMES, Some(0)))
}

impl Device {
    fn get(&self, at: usize, width: usize) -> u64 {
        (0..width).rev().fold(0, |all, n| all << 8 | u64::from(self.registers.borrow()[at + n]))
    }
    fn set(&self, at: usize, width: usize, value: u64) {
        let mut registers = self.registers.borrow_mut();
        registers[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
    fn written(&self, at: usize, width: usize, value: u64) {
        self.set(at, width, value);
        let queue = self.get(QUEUE_SELECT, 2) as usize;
        match at {
            FEATURE_SELECT => self.set(FEATURE, 4, MAC_AND_VERSION_1 >> (32 * value)),
            QUEUE_SELECT => self.set(QUEUE_SIZE, 2, if value < 2 { u64::from(SLOTS) } else { 0 }),
            STATUS if value == 0 => *self.queues.borrow_mut() = Default::default(),
            at if QUEUE_FIELDS.contains(&at) => {
                let place = &mut self.queues.borrow_mut()[queue].places[(at - QUEUE_FIELDS.start) / 8];
                let shift = 8 * (at % 8);
                *place = *place & !(0xffff_ffff << shift) | value << shift;
            }
            _ => {}
        }
    }
    fn memory(&self, physical: u64, length: usize) -> (&Memory, usize) {
        let found = self.memories.iter().find_map(|m| Some((m, m.offset_of(physical, length)?)));
        found.expect("DMA only where it was granted")
    }
    fn load<const N: usize>(&self, physical: u64) -> [u8; N] {
        let (memory, at) = self.memory(physical, N);
        let mut bytes = [0; N];
        memory.read(at, &mut bytes).unwrap();
        bytes
    }
    fn store(&self, physical: u64, bytes: &[u8]) {
        let (memory, at) = self.memory(physical, bytes.len());
        memory.write(at, bytes).unwrap();
    }

    /// Buffers of a queue that wait.
    pub fn waiting(&self, queue: usize) -> u16 {
        let queue = &self.queues.borrow()[queue];
        u16::from_le_bytes(self.load(queue.places[1] + 2)).wrapping_sub(queue.taken)
    }
    /// Takes the next buffer of a queue, lets `work` use it, and gives it back with the length that `work` tells.
    fn serve(&self, queue: usize, work: impl FnOnce(u64, usize) -> u32) {
        assert!(self.waiting(queue) > 0);
        let queue = &mut self.queues.borrow_mut()[queue];
        let [descriptors, available, used] = queue.places;
        let ring = u64::from(queue.taken % SLOTS);
        let slot = u16::from_le_bytes(self.load(available + 4 + 2 * ring));
        let descriptor = descriptors + 16 * u64::from(slot);
        let (physical, length) = (u64::from_le_bytes(self.load(descriptor)), u32::from_le_bytes(self.load(descriptor + 8)));
        let written = work(physical, length as usize);
        self.store(used + 4 + 8 * ring, &u32::from(slot).to_le_bytes());
        self.store(used + 8 + 8 * ring, &written.to_le_bytes());
        queue.taken = queue.taken.wrapping_add(1);
        self.store(used + 2, &queue.taken.to_le_bytes());
    }
    /// A frame comes in. The device claims to have written `more` bytes than that.
    pub fn deliver(&self, frame: &[u8], more: i32) {
        self.serve(0, |physical, length| {
            assert!(HEADER_BYTES + frame.len() <= length);
            self.store(physical, &[0xff; HEADER_BYTES]);
            self.store(physical + HEADER_BYTES as u64, frame);
            ((HEADER_BYTES + frame.len()) as i32 + more) as u32
        });
    }
    /// The next frame that goes out.
    pub fn send(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.serve(1, |physical, length| {
            assert_eq!(self.load(physical), [0; HEADER_BYTES], "nothing is asked of the device");
            let (memory, at) = self.memory(physical, length);
            frame.resize(length - HEADER_BYTES, 0);
            memory.read(at + HEADER_BYTES, &mut frame).unwrap();
            0
        });
        frame
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
