// SPDX-License-Identifier: PMPL-1.0-or-later
//! How every format crate reads storage: by sectors (a disk) or by 4096-byte blocks (a partition, a slot, a file system).
//!
//! It holds no driver and no cache. The loader implements [`SectorRead`] over UEFI block I/O, the storage server over a
//! block endpoint, host tools over a file. [`Partition`] turns a range of sectors into blocks.
//! Read next: `gpt` (sectors), then `verity` and `erofs` (blocks).
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

/// Block size of EROFS images, dm-verity trees and slots: the page size, and what veritysetup calls 4096/4096.
pub const BLOCK_BYTES: usize = 4096;

/// Why a read gave no data. After an error the contents of the output buffer mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// The device or its driver failed; `code` is the implementer's own number (EFI status, errno, driver error).
    Device { code: u64 },
    /// The driver behind the reader was restarted; the read may be repeated.
    Restarted,
    /// Part of the range lies behind the end.
    OutOfRange { first: u64, count: u64, available: u64 },
    /// The buffer's length is no multiple of the unit.
    Unaligned { length_bytes: usize },
    /// A block (data or hash tree) does not have the digest that the tree promises.
    Unverified { block: u64 },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device { code } => write!(f, "the device failed with code {code:#x}"),
            Self::Restarted => write!(f, "the device's driver was restarted"),
            Self::OutOfRange { first, count, available } => {
                write!(f, "read of {count} from {first} goes beyond the {available} there are")
            }
            Self::Unaligned { length_bytes } => write!(f, "a buffer of {length_bytes} bytes is no whole number of units"),
            Self::Unverified { block } => write!(f, "block {block} does not have the digest that the verity tree promises"),
        }
    }
}

impl core::error::Error for ReadError {}

/// Something made of 4096-byte blocks.
pub trait BlockRead {
    /// How many blocks there are.
    fn block_count(&self) -> u64;

    /// Fills `out` (a whole number of blocks) from block `first` on. Errors: see [`ReadError`].
    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError>;
}

/// Blocks that can also be written. An error leaves each block of the range old, new, or torn at a sector.
pub trait BlockWrite: BlockRead {
    /// Writes `bytes` (a whole number of blocks) from block `first` on; durable after `flush`.
    fn write_blocks(&mut self, first: u64, bytes: &[u8]) -> Result<(), ReadError>;

    /// Returns when all that was written before is on the medium.
    fn flush(&mut self) -> Result<(), ReadError>;
}

/// Something made of sectors: a disk.
pub trait SectorRead {
    /// Bytes of a sector: 512 or 4096.
    fn sector_bytes(&self) -> u32;

    /// How many sectors there are.
    fn sector_count(&self) -> u64;

    /// Fills `out` (a whole number of sectors) from `lba` on. Errors: see [`ReadError`].
    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError>;
}

impl<T: BlockRead + ?Sized> BlockRead for &mut T {
    fn block_count(&self) -> u64 {
        (**self).block_count()
    }

    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        (**self).read_blocks(first, out)
    }
}

impl<T: SectorRead + ?Sized> SectorRead for &mut T {
    fn sector_bytes(&self) -> u32 {
        (**self).sector_bytes()
    }

    fn sector_count(&self) -> u64 {
        (**self).sector_count()
    }

    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        (**self).read_sectors(lba, out)
    }
}

/// A range of a disk's sectors, read as blocks. A tail smaller than a block is out of reach.
#[derive(Clone, Debug)]
pub struct Partition<S> {
    disk: S,
    first_lba: u64,
    sectors_per_block: u64,
    blocks: u64,
}

impl<S: SectorRead> Partition<S> {
    /// The sectors `first_lba..=last_lba` of `disk`; `None` if they are not all on it or its sector size is neither 512 nor 4096.
    pub fn new(disk: S, first_lba: u64, last_lba: u64) -> Option<Self> {
        let sector_bytes = disk.sector_bytes() as usize;
        if sector_bytes != 512 && sector_bytes != BLOCK_BYTES {
            return None;
        }
        let sectors = last_lba.checked_sub(first_lba)?.checked_add(1)?;
        if last_lba >= disk.sector_count() {
            return None;
        }
        let sectors_per_block = (BLOCK_BYTES / sector_bytes) as u64;
        Some(Self { disk, first_lba, sectors_per_block, blocks: sectors / sectors_per_block })
    }

    /// The disk, given back.
    pub fn into_disk(self) -> S {
        self.disk
    }
}

impl<S: SectorRead> BlockRead for Partition<S> {
    fn block_count(&self) -> u64 {
        self.blocks
    }

    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        check_range(first, out.len(), BLOCK_BYTES, self.blocks)?;
        // In range, so neither the product nor the sum can overflow: both are sectors of the disk.
        self.disk.read_sectors(self.first_lba + first * self.sectors_per_block, out)
    }
}

/// Bytes in memory, read as blocks and as sectors of 512 bytes: for tests, and for what is already loaded.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a>(pub &'a [u8]);

impl BlockRead for Memory<'_> {
    fn block_count(&self) -> u64 {
        (self.0.len() / BLOCK_BYTES) as u64
    }

    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        copy(self.0, first, out, BLOCK_BYTES)
    }
}

impl SectorRead for Memory<'_> {
    fn sector_bytes(&self) -> u32 {
        512
    }

    fn sector_count(&self) -> u64 {
        (self.0.len() / 512) as u64
    }

    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        copy(self.0, lba, out, 512)
    }
}

/// Refuses a range that is not made of whole units or does not lie within `available` units; for implementers of the traits.
pub fn check_range(first: u64, length_bytes: usize, unit_bytes: usize, available: u64) -> Result<(), ReadError> {
    if unit_bytes == 0 || !length_bytes.is_multiple_of(unit_bytes) {
        return Err(ReadError::Unaligned { length_bytes });
    }
    let count = (length_bytes / unit_bytes) as u64;
    match first.checked_add(count) {
        Some(end) if end <= available => Ok(()),
        _ => Err(ReadError::OutOfRange { first, count, available }),
    }
}

fn copy(from: &[u8], first: u64, out: &mut [u8], unit: usize) -> Result<(), ReadError> {
    let available = (from.len() / unit) as u64;
    check_range(first, out.len(), unit, available)?;
    let start = first as usize * unit;
    let bytes = from.get(start..start + out.len()).ok_or(ReadError::OutOfRange { first, count: 0, available })?;
    out.copy_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    #[test]
    fn a_partition_reads_its_own_sectors_only() {
        let mut bytes = vec![0u8; 64 * 512];
        for (index, sector) in bytes.chunks_mut(512).enumerate() {
            sector.fill(index as u8);
        }
        let mut part = Partition::new(Memory(&bytes), 5, 20).unwrap();
        assert_eq!(part.block_count(), 2);
        let mut out = vec![0u8; 4096];
        part.read_blocks(1, &mut out).unwrap();
        assert_eq!((out[0], out[4095]), (13, 20));
        assert!(matches!(part.read_blocks(2, &mut out), Err(ReadError::OutOfRange { .. })));
        assert!(matches!(part.read_blocks(u64::MAX, &mut out), Err(ReadError::OutOfRange { .. })));
        assert!(matches!(part.read_blocks(0, &mut out[..100]), Err(ReadError::Unaligned { .. })));
    }

    #[test]
    fn a_partition_beyond_the_disk_is_refused() {
        let bytes = [0u8; 4096];
        assert!(Partition::new(Memory(&bytes), 0, 8).is_none());
        assert!(Partition::new(Memory(&bytes), 3, 2).is_none());
        assert!(Partition::new(Memory(&bytes), 0, u64::MAX).is_none());
    }
}
