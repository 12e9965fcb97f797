// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `block`: a disk in blocks. Data travel through one buffer that outlives the driver.
//!
//! The buffer is device memory of the grant: it stays mapped in the client when the driver dies and is the same one
//! after its restart. What stands in it after a failed call is unknown; what is checked must be copied out first.
#![no_std]

use ipc::{Cap, Message, Reader, Wire};

/// The unit of every count here, whatever the disk's own sectors are.
pub const BLOCK_BYTES: u64 = 512;

/// What a client needs to know before its first request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// Blocks of [`BLOCK_BYTES`].
    pub block_count: u64,
    /// Length of the buffer, a multiple of [`BLOCK_BYTES`].
    pub buffer_bytes: u64,
    pub read_only: bool,
    /// Whether `flush` does something: without a write cache in the device it need not.
    pub has_cache: bool,
}

impl Wire for Info {
    fn put(&self, into: &mut Message) {
        self.block_count.put(into);
        self.buffer_bytes.put(into);
        self.read_only.put(into);
        self.has_cache.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(Info {
            block_count: u64::take(from)?,
            buffer_bytes: u64::take(from)?,
            read_only: bool::take(from)?,
            has_cache: bool::take(from)?,
        })
    }
}

ipc::interface! {
    /// A disk. Reading and writing are idempotent: the same blocks from or to the same place in the buffer.
    interface block;
    errors {
        /// Blocks beyond the disk, or a place beyond the buffer.
        OutOfRange = 16,
        /// The device says that it could not; the blocks of a write may hold old or new data.
        DeviceFailed = 17,
        /// Writing to a disk that cannot be written.
        ReadOnly = 18,
        /// The driver has no buffer: its manifest grants too little DMA memory.
        NoBuffer = 19,
    }
    methods {
        /// The disk's size and features.
        1 info idempotent () -> Info;
        /// The buffer, as memory that the client may map readable and writable.
        2 connect idempotent () -> Cap;
        /// Reads blocks into the buffer at `offset_bytes` (a multiple of the block); returns blocks read: all of them.
        3 read idempotent (first_block: u64, block_count: u32, offset_bytes: u32) -> u32;
        /// Writes blocks from the buffer. Durable only after `flush`.
        4 write idempotent (first_block: u64, block_count: u32, offset_bytes: u32) -> u32;
        /// Returns when everything written before is on the medium.
        5 flush idempotent () -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, Handle, pair::Pair};

    struct Disk;
    impl Serve for Disk {
        fn info(&mut self, _: Badge) -> Result<Info, Error> {
            Ok(Info { block_count: 8, buffer_bytes: 4096, read_only: true, has_cache: false })
        }
        fn connect(&mut self, _: Badge) -> Result<Cap, Error> {
            Ok(Cap(Handle::new(20, 1)))
        }
        fn read(&mut self, _: Badge, first: u64, count: u32, _: u32) -> Result<u32, Error> {
            if first + u64::from(count) > 8 { Err(Error::OutOfRange) } else { Ok(count) }
        }
        fn write(&mut self, _: Badge, _: u64, _: u32, _: u32) -> Result<u32, Error> {
            Err(Error::ReadOnly)
        }
        fn flush(&mut self, _: Badge) -> Result<(), Error> {
            Ok(())
        }
    }
    fn client() -> Client<Pair<Disk>> {
        Client(Pair::new(Disk, Badge(1), dispatch))
    }

    #[test]
    fn info_and_the_buffers_capability_cross_whole() {
        assert_eq!(client().info().unwrap().block_count, 8);
        assert_eq!(client().connect(), Ok(Cap(Handle::new(20, 1))));
    }
    #[test]
    fn a_read_beyond_the_disk_and_a_write_to_a_read_only_disk_are_refused() {
        assert_eq!(client().read(7, 2, 0), Err(Error::OutOfRange));
        assert_eq!(client().write(0, 1, 0), Err(Error::ReadOnly));
    }
    #[test]
    fn a_read_is_repeated_when_the_driver_dies_under_it() {
        let mut it = client();
        it.0.dies(1);
        assert_eq!(it.read(0, 8, 0), Ok(8));
        assert_eq!(it.0.delivered, 2);
    }
}
