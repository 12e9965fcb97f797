// SPDX-License-Identifier: PMPL-1.0-or-later
//! A virtio block device: virtio 1.2, section 5.2. One request at a time.

use dma::Area;
use mmio::Registers;
use virtio::transport::NO_VECTOR;
use virtio::{Buffer, Fault, Queue, Transport, Wait, wait};

/// 5.2.3 feature bits.
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;
/// 5.2.6 request types.
const TYPE_IN: u32 = 0;
const TYPE_OUT: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const STATUS_OK: u8 = 0;
/// 5.2.4: `capacity`, in 512-byte sectors, is the first field.
const CAPACITY: usize = 0;

/// Where things are in the driver's own DMA memory: the queue first, then header and status of the one request.
const QUEUE: usize = 0;
const HEADER: usize = 16 * 1024;
const HEADER_BYTES: usize = 16;
const STATUS: usize = HEADER + HEADER_BYTES;
/// One request has three descriptors.
const QUEUE_SIZE: u16 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The device says that it could not, with its status byte.
    Status(u8),
    /// It does not answer, or broke the queue; it was reset.
    Device(Fault),
}

/// Data of a request, in memory that was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data {
    pub physical: u64,
    pub length_bytes: u32,
}

#[derive(Debug)]
pub struct Disk<R, A, W> {
    transport: Transport<R>,
    area: A,
    wait: W,
    queue: Queue,
    notify_offset: usize,
    features: u64,
    block_count: u64,
}

impl<R: Registers, A: Area, W: Wait> Disk<R, A, W> {
    /// Resets the device and makes it ready (3.1.1). Errors: see [`Fault`].
    pub fn new(transport: Transport<R>, area: A, wait: W) -> Result<Self, Fault> {
        // Reset before the queue is cleared: a predecessor's request may still be in flight.
        transport.reset()?;
        let queue = Queue::new(&area, QUEUE, QUEUE_SIZE)?;
        let mut disk = Disk { transport, area, wait, queue, notify_offset: 0, features: 0, block_count: 0 };
        disk.start()?;
        Ok(disk)
    }

    fn start(&mut self) -> Result<(), Fault> {
        self.features = self.transport.begin(FEATURE_READ_ONLY | FEATURE_FLUSH, 0)?;
        if self.transport.queue_size(0) < QUEUE_SIZE {
            return Err(Fault::NoQueue);
        }
        self.queue = Queue::new(&self.area, QUEUE, QUEUE_SIZE)?;
        let vector = self.wait.vector().unwrap_or(NO_VECTOR);
        self.notify_offset = self.transport.set_queue(0, &self.queue.rings(&self.area), vector)?;
        let device = self.transport.device();
        self.block_count = u64::from(device.read32(CAPACITY)) | (u64::from(device.read32(CAPACITY + 4)) << 32);
        self.transport.finish();
        Ok(())
    }

    pub fn block_count(&self) -> u64 {
        self.block_count
    }
    pub fn is_read_only(&self) -> bool {
        self.features & FEATURE_READ_ONLY != 0
    }
    pub fn has_cache(&self) -> bool {
        self.features & FEATURE_FLUSH != 0
    }

    /// Reads as many blocks as `data` holds. Errors: [`Failure`]; the data are then undefined.
    pub fn read(&mut self, first_block: u64, data: Data) -> Result<(), Failure> {
        self.request(TYPE_IN, first_block, Some(data))
    }
    /// Writes as many blocks as `data` holds; durable after `flush`.
    pub fn write(&mut self, first_block: u64, data: Data) -> Result<(), Failure> {
        self.request(TYPE_OUT, first_block, Some(data))
    }
    /// Returns when everything written is on the medium; at once if the device has no cache (5.2.6.2).
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.has_cache() { self.request(TYPE_FLUSH, 0, None) } else { Ok(()) }
    }

    fn request(&mut self, kind: u32, block: u64, data: Option<Data>) -> Result<(), Failure> {
        match self.exchange(kind, block, data) {
            Ok(STATUS_OK) => Ok(()),
            Ok(status) => Err(Failure::Status(status)),
            Err(fault) => {
                // Whatever it was doing, after a reset it touches no memory; if that fails the next request says so.
                let _ = self.transport.reset().and_then(|()| self.start());
                Err(Failure::Device(fault))
            }
        }
    }

    /// 5.2.6: header, data, status.
    fn exchange(&mut self, kind: u32, block: u64, data: Option<Data>) -> Result<u8, Fault> {
        let mut header = [0; HEADER_BYTES];
        let (head, sector) = header.split_at_mut(8);
        head.split_at_mut(4).0.copy_from_slice(&kind.to_le_bytes());
        sector.copy_from_slice(&block.to_le_bytes());
        self.area.write(HEADER, &header).ok_or(Fault::NoMemory)?;
        // No status that the device gives.
        self.area.write(STATUS, &[0xff]).ok_or(Fault::NoMemory)?;

        let piece = |physical, length_bytes, device_writes| Buffer { physical, length_bytes, device_writes };
        let header = piece(self.area.physical(HEADER), HEADER_BYTES as u32, false);
        let status = piece(self.area.physical(STATUS), 1, true);
        match data {
            Some(data) => {
                let data = piece(data.physical, data.length_bytes, kind == TYPE_IN);
                self.queue.give(&self.area, &[header, data, status])?;
            }
            None => self.queue.give(&self.area, &[header, status])?,
        }
        self.transport.notify(0, self.notify_offset);
        wait::answer(&mut self.queue, &self.area, &self.transport, &mut self.wait)?;
        let mut status = [0];
        self.area.read(STATUS, &mut status).ok_or(Fault::NoMemory)?;
        Ok(status[0])
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::rc::Rc;
    use virtio::fake::{Device, Manner, PLACES, Piece};

    pub struct NoWait;
    impl Wait for NoWait {
        fn wait(&mut self) {}
        fn vector(&self) -> Option<u16> {
            Some(0)
        }
    }

    pub const BLOCKS: usize = 64;
    pub const BUFFER_PHYSICAL: u64 = 0x80_0000;

    /// What the fake device does: 5.2.6.
    fn work(own: dma::Fake, buffer: dma::Fake, mut medium: Vec<u8>) -> virtio::fake::Work {
        Box::new(move |chain: &[Piece]| {
            let memory = |p: &Piece| {
                let found = [&own, &buffer].into_iter().find_map(|m| Some((m.clone(), m.offset_of(p.physical, p.length)?)));
                found.expect("the chain points into granted memory")
            };
            let (header, status) = (chain.first().unwrap(), chain.last().unwrap());
            let mut head = [0; 16];
            let (area, at) = memory(header);
            area.read(at, &mut head).unwrap();
            let kind = u32::from_le_bytes(head[..4].try_into().unwrap());
            let block = u64::from_le_bytes(head[8..].try_into().unwrap()) as usize;
            let mut code = STATUS_OK;
            for data in &chain[1..chain.len() - 1] {
                let (area, at) = memory(data);
                assert_eq!(data.device_writes, kind == TYPE_IN);
                match medium.get_mut(block * 512..block * 512 + data.length) {
                    None => code = 1,
                    Some(blocks) if kind == TYPE_IN => area.write(at, blocks).unwrap(),
                    Some(blocks) => area.read(at, blocks).unwrap(),
                }
            }
            let (area, at) = memory(status);
            area.write(at, &[code]).unwrap();
            1
        })
    }

    pub struct Bench {
        pub device: Rc<Device>,
        pub buffer: dma::Fake,
        pub disk: Disk<&'static Device, dma::Fake, NoWait>,
    }
    pub fn bench(features: u64, manner: Manner) -> Result<Bench, Fault> {
        let (own, buffer) = (dma::Fake::new(64 * 1024, 0x10_0000), dma::Fake::new(64 * 1024, BUFFER_PHYSICAL));
        let medium = (0..BLOCKS * 512).map(|n| (n / 512) as u8).collect();
        let work = work(own.clone(), buffer.clone(), medium);
        let configuration = (BLOCKS as u64).to_le_bytes();
        let device = Rc::new(Device::new(features, &configuration, &[own.clone(), buffer.clone()], work));
        device.manner.set(manner);
        // The test's device lives as long as the process; the transport wants a reference that it may copy.
        let registers: &'static Device = leaked(device.clone());
        let transport = Transport::new(&PLACES, |_| Some(registers))?;
        Ok(Bench { device, buffer, disk: Disk::new(transport, own, NoWait)? })
    }
    fn leaked(device: Rc<Device>) -> &'static Device {
        Box::leak(Box::new(device))
    }
    const TWO: Data = Data { physical: BUFFER_PHYSICAL, length_bytes: 1024 };

    #[test]
    fn blocks_are_read_written_and_flushed() {
        let mut it = bench(FEATURE_FLUSH, Manner::Good).unwrap();
        assert_eq!((it.disk.block_count(), it.disk.has_cache(), it.disk.is_read_only()), (64, true, false));
        it.disk.read(5, TWO).unwrap();
        assert_eq!((it.buffer.read16(0), it.buffer.read16(1022)), (Some(0x0505), Some(0x0606)));
        it.buffer.write(0, &[0xab; 1024]).unwrap();
        it.disk.write(9, TWO).unwrap();
        it.buffer.write(0, &[0; 1024]).unwrap();
        it.disk.read(10, Data { length_bytes: 512, ..TWO }).unwrap();
        assert_eq!(it.buffer.read16(0), Some(0xabab));
        it.disk.flush().unwrap();
        assert_eq!(it.device.served.get(), 4);
    }
    #[test]
    fn without_a_cache_a_flush_asks_nothing_of_the_device() {
        let mut it = bench(0, Manner::Good).unwrap();
        it.disk.flush().unwrap();
        assert_eq!(it.device.served.get(), 0);
    }
    #[test]
    fn a_status_other_than_ok_is_an_error() {
        let mut it = bench(0, Manner::Good).unwrap();
        assert_eq!(it.disk.read(BLOCKS as u64, TWO), Err(Failure::Status(1)));
        it.disk.read(0, TWO).unwrap();
    }
    #[test]
    fn a_device_that_falls_silent_or_lies_is_reset_and_works_again() {
        for (manner, fault) in [(Manner::Deaf, Fault::Silent), (Manner::Liar, Fault::Broken)] {
            let mut it = bench(0, Manner::Good).unwrap();
            it.device.manner.set(manner);
            assert_eq!(it.disk.read(0, TWO), Err(Failure::Device(fault)));
            it.device.manner.set(Manner::Good);
            it.disk.read(3, TWO).unwrap();
            assert_eq!(it.buffer.read16(0), Some(0x0303));
        }
    }
    #[test]
    fn a_device_that_refuses_our_features_does_not_start() {
        assert_eq!(bench(0, Manner::Refusing).err(), Some(Fault::Refused));
    }
}
