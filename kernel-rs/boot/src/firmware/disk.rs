// SPDX-License-Identifier: PMPL-1.0-or-later
//! The disk that the loader was started from: found by its device path, read and written in sectors.
//!
//! Goes through the whole disk's block protocol, not through partitions: the loader reads the partition table itself,
//! because the firmware's view of a damaged one is not ours.

use super::protocol;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use blocks::{ReadError, SectorRead, check_range};
use core::fmt;
use loader::device_path::whole_disk;
use loader::table::SlotDisk;
use uefi::boot::{self, ScopedProtocol};
use uefi::proto::device_path::DevicePath;
use uefi::proto::device_path::text::{AllowShortcuts, DisplayOnly};
use uefi::proto::loaded_image::LoadedImage;
use uefi::proto::media::block::BlockIO;
use uefi::{Error, Status};

/// Transfers are cut into pieces of this size: enough for throughput, small enough for a pool on a 256 MiB machine.
const TRANSFER_BYTES: usize = 256 << 10;

pub struct Disk {
    io: ScopedProtocol<BlockIO>,
    media_id: u32,
    sector_bytes: u32,
    sectors: u64,
    /// Aligned as the driver wants; the caller's buffers need not be.
    bounce: Bounce,
}

#[derive(Debug)]
pub enum NotFound {
    /// The loader was not read from a device at all.
    NoDevice(Error),
    /// Started from something that is not a partition of a disk (network, memory).
    NoPartition,
    /// The firmware has no whole disk under the partition's path.
    NoDisk(Error),
    NoMedia,
    SectorSize(u32),
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotFound::NoDevice(error) => {
                write!(f, "the firmware does not say what the loader was started from ({})", error.status())
            }
            NotFound::NoPartition => write!(f, "the loader was not started from a partition of a disk"),
            NotFound::NoDisk(error) => write!(f, "the firmware has no disk under the loader's partition ({})", error.status()),
            NotFound::NoMedia => write!(f, "the disk says that it has no medium"),
            NotFound::SectorSize(bytes) => write!(f, "the disk's sectors have {bytes} bytes; 512 and 4096 are supported"),
        }
    }
}

impl Disk {
    /// The disk under the partition that holds the loader, and its device path as text.
    pub fn of_this_loader() -> Result<(Self, String), NotFound> {
        let image = protocol::open::<LoadedImage>(boot::image_handle()).map_err(NotFound::NoDevice)?;
        let device = image.device().ok_or(NotFound::NoDevice(Status::NOT_FOUND.into()))?;
        let partition = protocol::open::<DevicePath>(device).map_err(NotFound::NoDevice)?;
        let bytes = whole_disk(partition.as_bytes()).ok_or(NotFound::NoPartition)?;
        let path = <&DevicePath>::try_from(bytes.as_slice()).map_err(|_| NotFound::NoPartition)?;
        let mut rest = path;
        let handle = boot::locate_device_path::<BlockIO>(&mut rest).map_err(NotFound::NoDisk)?;
        // The nearest handle may be a parent of the disk (a partition of something else); only an exact match is it.
        if !rest.node_iter().next().is_none_or(|node| node.is_end_entire()) {
            return Err(NotFound::NoDisk(Status::NOT_FOUND.into()));
        }
        let name = path
            .to_string16(DisplayOnly(true), AllowShortcuts(true))
            .map_or_else(|_| String::from("?"), |name| String::from(&*name));
        Ok((Self::open(protocol::open::<BlockIO>(handle).map_err(NotFound::NoDisk)?)?, name))
    }

    fn open(io: ScopedProtocol<BlockIO>) -> Result<Self, NotFound> {
        let media = io.media();
        if !media.is_media_present() || media.is_logical_partition() {
            return Err(NotFound::NoMedia);
        }
        let sector_bytes = media.block_size();
        if sector_bytes != 512 && sector_bytes != 4096 {
            return Err(NotFound::SectorSize(sector_bytes));
        }
        let (media_id, sectors) = (media.media_id(), media.last_block().saturating_add(1));
        let bounce = Bounce::new(media.io_align() as usize);
        Ok(Disk { io, media_id, sector_bytes, sectors, bounce })
    }

    pub fn size_mib(&self) -> u64 {
        self.sectors / (1 << 20) * u64::from(self.sector_bytes)
            + self.sectors % (1 << 20) * u64::from(self.sector_bytes) / (1 << 20)
    }
}

impl SlotDisk for Disk {
    fn write_sectors(&mut self, lba: u64, bytes: &[u8]) -> Result<(), ReadError> {
        check_range(lba, bytes.len(), self.sector_bytes as usize, self.sectors)?;
        let mut at = lba;
        for piece in bytes.chunks(TRANSFER_BYTES) {
            let aligned = self.bounce.first(piece.len());
            aligned.copy_from_slice(piece);
            self.io.write_blocks(self.media_id, at, aligned).map_err(device)?;
            at += (piece.len() / self.sector_bytes as usize) as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReadError> {
        self.io.flush_blocks().map_err(device)
    }
}

impl SectorRead for Disk {
    fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    fn sector_count(&self) -> u64 {
        self.sectors
    }

    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        check_range(lba, out.len(), self.sector_bytes as usize, self.sectors)?;
        let mut at = lba;
        for piece in out.chunks_mut(TRANSFER_BYTES) {
            let aligned = self.bounce.first(piece.len());
            self.io.read_blocks(self.media_id, at, aligned).map_err(device)?;
            piece.copy_from_slice(aligned);
            at += (piece.len() / self.sector_bytes as usize) as u64;
        }
        Ok(())
    }
}

fn device(error: Error) -> ReadError {
    ReadError::Device { code: error.status().0 as u64 }
}

/// A buffer whose used part begins at a multiple of the driver's alignment.
struct Bounce {
    bytes: Vec<u8>,
    start: usize,
}

impl Bounce {
    /// `align` is a power of two, or 0 or 1 for none (UEFI 2.10, section 13.9.1).
    fn new(align: usize) -> Self {
        let bytes = vec![0_u8; TRANSFER_BYTES + align];
        let start = bytes.as_ptr().align_offset(align.max(1).next_power_of_two()).min(align);
        Bounce { bytes, start }
    }

    /// `length` is at most `TRANSFER_BYTES`: callers cut their pieces so.
    fn first(&mut self, length: usize) -> &mut [u8] {
        self.bytes.get_mut(self.start..).and_then(|rest| rest.get_mut(..length)).expect("a piece fits the bounce buffer")
    }
}
