// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `block` over the device: checks ranges, knows the buffer.

use crate::device::{Data, Disk};
use api_block::{BLOCK_BYTES, Error, Info, Serve};
use dma::Area;
use ipc::{Badge, Cap};
use mmio::Registers;
use sys::{Capability, Memory, Rights};
use virtio::Wait;

/// What a client may do with the buffer: map it, and no more. Not learn where it lies.
const CLIENT_RIGHTS: Rights = Rights(Rights::READ.0 | Rights::WRITE.0 | Rights::COPY.0);
/// One wait; the device tells by interrupt, this is for one that was lost.
pub const WAIT_NS: u64 = 500_000_000;

/// The part of the DMA grant that a client shares.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    pub capability: Memory,
    pub physical: u64,
    pub length_bytes: u64,
}

impl Buffer {
    /// `None`: the manifest grants too little DMA memory.
    pub fn claim(granted: Option<(Memory, u64)>) -> Option<Buffer> {
        let (memory, length_bytes) = granted?;
        let physical = memory.physical(0).ok()?;
        Some(Buffer { capability: memory.copy(CLIENT_RIGHTS, 0).ok()?, physical, length_bytes })
    }
}

#[derive(Debug)]
pub struct Service<R, A, W> {
    disk: Disk<R, A, W>,
    buffer: Option<Buffer>,
}

impl<R: Registers, A: Area, W: Wait> Service<R, A, W> {
    pub fn new(disk: Disk<R, A, W>, buffer: Option<Buffer>) -> Self {
        Service { disk, buffer }
    }

    fn place(&self, first_block: u64, block_count: u32, offset_bytes: u32) -> Result<Data, Error> {
        let buffer = self.buffer.ok_or(Error::NoBuffer)?;
        let length = u64::from(block_count) * BLOCK_BYTES;
        let on_disk = first_block.checked_add(u64::from(block_count)).is_some_and(|end| end <= self.disk.block_count());
        let in_buffer = u64::from(offset_bytes) + length <= buffer.length_bytes;
        let length_bytes = u32::try_from(length).map_err(|_| Error::OutOfRange)?;
        if !on_disk || !in_buffer || block_count == 0 || !u64::from(offset_bytes).is_multiple_of(BLOCK_BYTES) {
            return Err(Error::OutOfRange);
        }
        Ok(Data { physical: buffer.physical + u64::from(offset_bytes), length_bytes })
    }
}

impl<R: Registers, A: Area, W: Wait> Serve for Service<R, A, W> {
    fn info(&mut self, _: Badge) -> Result<Info, Error> {
        Ok(Info {
            block_count: self.disk.block_count(),
            buffer_bytes: self.buffer.ok_or(Error::NoBuffer)?.length_bytes,
            read_only: self.disk.is_read_only(),
            has_cache: self.disk.has_cache(),
        })
    }
    fn connect(&mut self, _: Badge) -> Result<Cap, Error> {
        Ok(Cap(self.buffer.ok_or(Error::NoBuffer)?.capability.handle()))
    }
    fn read(&mut self, _: Badge, first_block: u64, block_count: u32, offset_bytes: u32) -> Result<u32, Error> {
        let data = self.place(first_block, block_count, offset_bytes)?;
        self.disk.read(first_block, data).map_err(|failure| report("read", first_block, failure))?;
        Ok(block_count)
    }
    fn write(&mut self, _: Badge, first_block: u64, block_count: u32, offset_bytes: u32) -> Result<u32, Error> {
        if self.disk.is_read_only() {
            return Err(Error::ReadOnly);
        }
        let data = self.place(first_block, block_count, offset_bytes)?;
        self.disk.write(first_block, data).map_err(|failure| report("write", first_block, failure))?;
        Ok(block_count)
    }
    fn flush(&mut self, _: Badge) -> Result<(), Error> {
        self.disk.flush().map_err(|failure| report("flush", 0, failure))
    }
}

fn report(what: &str, block: u64, failure: crate::device::Failure) -> Error {
    rt::error!("{what} at block {block} failed: {failure:?}");
    Error::DeviceFailed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::tests::{BUFFER_PHYSICAL, bench};
    use ipc::pair::Pair;
    use sys::Handle;
    use virtio::fake::{Device, Manner};

    type Under = Service<&'static Device, dma::Fake, crate::device::tests::NoWait>;
    const BUFFER: Buffer = Buffer { capability: Memory(Handle::new(30, 1)), physical: BUFFER_PHYSICAL, length_bytes: 65536 };

    fn client(features: u64) -> api_block::Client<Pair<Under>> {
        let service = Service::new(bench(features, Manner::Good).unwrap().disk, Some(BUFFER));
        api_block::Client(Pair::new(service, Badge(1), api_block::dispatch))
    }

    #[test]
    fn a_client_learns_the_disk_gets_the_buffer_and_reads() {
        let mut it = client(0);
        assert_eq!(it.info().unwrap().block_count, 64);
        assert_eq!(it.connect(), Ok(Cap(Handle::new(30, 1))));
        assert_eq!(it.read(60, 4, 512), Ok(4));
        assert_eq!(it.write(0, 1, 0), Ok(1));
        assert_eq!(it.flush(), Ok(()));
    }
    #[test]
    fn what_lies_outside_disk_or_buffer_is_refused_before_the_device_hears_of_it() {
        let mut it = client(0);
        for (first, count, offset) in
            [(61, 4, 0), (64, 1, 0), (u64::MAX, 2, 0), (0, 0, 0), (0, 1, 100), (0, 129, 0), (0, 1, 65536)]
        {
            assert_eq!(it.read(first, count, offset), Err(Error::OutOfRange), "{first} {count} {offset}");
        }
        assert_eq!(it.read(0, u32::MAX, 0), Err(Error::OutOfRange));
    }
    #[test]
    fn a_read_only_disk_and_a_driver_without_buffer_say_so() {
        assert_eq!(client(1 << 5).write(0, 1, 0), Err(Error::ReadOnly));
        let service = Service::new(bench(0, Manner::Good).unwrap().disk, None);
        let mut it = api_block::Client(Pair::new(service, Badge(1), api_block::dispatch));
        assert_eq!(it.connect(), Err(Error::NoBuffer));
        assert_eq!(it.read(0, 1, 0), Err(Error::NoBuffer));
    }
    #[test]
    fn a_device_that_answers_nothing_is_a_failure_and_not_a_wait_for_ever() {
        let it = bench(0, Manner::Good).unwrap();
        it.device.manner.set(Manner::Deaf);
        let mut it = api_block::Client(Pair::new(Service::new(it.disk, Some(BUFFER)), Badge(1), api_block::dispatch));
        assert_eq!(it.read(0, 1, 0), Err(Error::DeviceFailed));
    }
}
