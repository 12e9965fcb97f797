// SPDX-License-Identifier: PMPL-1.0-or-later
//! A virtio entropy device: virtio 1.2, section 5.4. One queue, one buffer.

use dma::Area;
use mmio::Registers;
use virtio::transport::NO_VECTOR;
use virtio::{Buffer, Fault, Queue, Transport, Wait, wait};

pub const COUNT: usize = 32;
/// Where things are in the driver's DMA memory.
const QUEUE: usize = 0;
const BITS: usize = 4096;
const QUEUE_SIZE: u16 = 8;

#[derive(Debug)]
pub struct Source<R, A, W> {
    transport: Transport<R>,
    area: A,
    wait: W,
    queue: Queue,
    notify_offset: usize,
}

impl<R: Registers, A: Area, W: Wait> Source<R, A, W> {
    /// Resets the device and makes it ready (3.1.1). Errors: see [`Fault`].
    pub fn new(transport: Transport<R>, area: A, wait: W) -> Result<Self, Fault> {
        // Reset before the queue is cleared: a predecessor's buffer may still be with the device.
        transport.reset()?;
        let queue = Queue::new(&area, QUEUE, QUEUE_SIZE)?;
        let mut source = Source { transport, area, wait, queue, notify_offset: 0 };
        source.start()?;
        Ok(source)
    }

    fn start(&mut self) -> Result<(), Fault> {
        self.transport.begin(0, 0)?;
        if self.transport.queue_size(0) < QUEUE_SIZE {
            return Err(Fault::NoQueue);
        }
        self.queue = Queue::new(&self.area, QUEUE, QUEUE_SIZE)?;
        let vector = self.wait.vector().unwrap_or(NO_VECTOR);
        self.notify_offset = self.transport.set_queue(0, &self.queue.rings(&self.area), vector)?;
        self.transport.finish();
        Ok(())
    }

    /// Fresh bits; what the device wrote is wiped from the memory that it can see. Errors: `Silent` or `Broken`, after
    /// which the device was reset.
    pub fn bits(&mut self) -> Result<[u8; COUNT], Fault> {
        self.exchange().inspect_err(|_| {
            // If that fails the next request says so.
            let _ = self.transport.reset().and_then(|()| self.start());
        })
    }

    fn exchange(&mut self) -> Result<[u8; COUNT], Fault> {
        let mut bits = [0; COUNT];
        let mut have = 0;
        // 5.4.6.1: it may give fewer bytes than asked for, but not none.
        while have < COUNT {
            let physical = self.area.physical(BITS);
            self.queue.give(&self.area, &[Buffer { physical, length_bytes: COUNT as u32, device_writes: true }])?;
            self.transport.notify(0, self.notify_offset);
            let written = wait::answer(&mut self.queue, &self.area, &self.transport, &mut self.wait)? as usize;
            if written == 0 || written > COUNT {
                return Err(Fault::Broken);
            }
            let rest = bits.get_mut(have..COUNT.min(have + written)).ok_or(Fault::Broken)?;
            self.area.read(BITS, rest).ok_or(Fault::NoMemory)?;
            have += rest.len();
            self.area.write(BITS, &[0; COUNT]).ok_or(Fault::NoMemory)?;
        }
        Ok(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use virtio::fake::{Device, Manner, PLACES, Piece};

    struct NoWait;
    impl Wait for NoWait {
        fn wait(&mut self) {}
        fn vector(&self) -> Option<u16> {
            Some(0)
        }
    }
    type Under = Source<&'static Device, dma::Fake, NoWait>;

    /// A device that gives `each` bytes at a time, counted through.
    fn bench(each: usize) -> (Rc<Device>, dma::Fake, Under) {
        let area = dma::Fake::new(64 * 1024, 0x10_0000);
        let (own, mut next) = (area.clone(), 0u8);
        let work = Box::new(move |chain: &[Piece]| {
            let at = own.offset_of(chain[0].physical, chain[0].length).unwrap();
            let count = each.min(chain[0].length);
            let bytes: Vec<u8> = (0..count)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            own.write(at, &bytes).unwrap();
            each as u32
        });
        let device = Rc::new(Device::new(0, &[], core::slice::from_ref(&area), work));
        let registers: &'static Device = Box::leak(Box::new(device.clone()));
        let transport = Transport::new(&PLACES, |_| Some(registers)).unwrap();
        (device, area.clone(), Source::new(transport, area, NoWait).unwrap())
    }

    #[test]
    fn bits_are_what_the_device_gave_in_whatever_portions_and_are_wiped() {
        for each in [32, 7, 1] {
            let (_, area, mut source) = bench(each);
            let expected: Vec<u8> = (1..=32).collect();
            assert_eq!(source.bits().unwrap().as_slice(), expected, "{each} at a time");
            let mut left = [9; COUNT];
            area.read(BITS, &mut left).unwrap();
            assert_eq!(left, [0; COUNT]);
        }
    }
    #[test]
    fn a_device_that_gives_nothing_or_more_than_there_is_room_for_is_broken() {
        for each in [0, 33] {
            assert_eq!(bench(each).2.bits(), Err(Fault::Broken), "{each}");
        }
    }
    #[test]
    fn a_device_that_falls_silent_is_reset_and_works_again() {
        let (device, _, mut source) = bench(32);
        device.manner.set(Manner::Deaf);
        assert_eq!(source.bits(), Err(Fault::Silent));
        device.manner.set(Manner::Good);
        assert!(source.bits().is_ok());
    }
}
