// SPDX-License-Identifier: PMPL-1.0-or-later
//! The header sector of one copy (UEFI 2.10 table 5-5), checked against the disk that it lies on.

use crate::{Fault, Guid, crc::crc32};
use alloc::vec::Vec;

// Offsets, little endian.
const REVISION: usize = 8;
const SIZE: usize = 12;
const CHECKSUM: usize = 16;
const MY_LBA: usize = 24;
const ALTERNATE_LBA: usize = 32;
const FIRST_USABLE: usize = 40;
const LAST_USABLE: usize = 48;
const DISK_GUID: usize = 56;
const ENTRIES_LBA: usize = 72;
const ENTRY_COUNT: usize = 80;
const ENTRY_BYTES: usize = 84;
const ENTRIES_CHECKSUM: usize = 88;
const END: usize = 92;

/// Far above the usual 128, far below what would cost memory: at most 4 MiB of entries.
const MAX_ENTRIES: u32 = 1024;
const MAX_ENTRY_BYTES: u32 = 4096;

/// The fields of a header whose checksum and ranges are right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub my_lba: u64,
    pub alternate_lba: u64,
    pub first_usable: u64,
    /// Inclusive.
    pub last_usable: u64,
    pub disk_guid: Guid,
    pub entries_lba: u64,
    pub entry_count: u32,
    pub entry_bytes: u32,
    pub entries_checksum: u32,
    /// As stored: 92, or more with reserved bytes that a rewrite keeps.
    pub(crate) size: u32,
    pub(crate) sector: Vec<u8>,
}

impl Header {
    /// Checks the header `sector` that was read at `lba` of a disk of `sectors` sectors.
    pub(crate) fn parse(sector: &[u8], lba: u64, sectors: u64) -> Result<Self, Fault> {
        if sector.get(..8) != Some(b"EFI PART") {
            return Err(Fault::Signature);
        }
        let revision = u32_at(sector, REVISION);
        if revision != 0x1_0000 {
            return Err(Fault::Revision { found: revision });
        }
        let size = u32_at(sector, SIZE);
        if (size as usize) < END || size as usize > sector.len() {
            return Err(Fault::HeaderSize { bytes: size });
        }
        let (stored, computed) = (u32_at(sector, CHECKSUM), checksum(sector, size));
        if stored != computed {
            return Err(Fault::HeaderChecksum { stored, computed });
        }
        let header = Self {
            my_lba: u64_at(sector, MY_LBA),
            alternate_lba: u64_at(sector, ALTERNATE_LBA),
            first_usable: u64_at(sector, FIRST_USABLE),
            last_usable: u64_at(sector, LAST_USABLE),
            disk_guid: Guid(bytes_at(sector, DISK_GUID)),
            entries_lba: u64_at(sector, ENTRIES_LBA),
            entry_count: u32_at(sector, ENTRY_COUNT),
            entry_bytes: u32_at(sector, ENTRY_BYTES),
            entries_checksum: u32_at(sector, ENTRIES_CHECKSUM),
            size,
            sector: sector.to_vec(),
        };
        header.check(lba, sectors, sector.len() as u64)?;
        Ok(header)
    }

    fn check(&self, lba: u64, sectors: u64, sector_bytes: u64) -> Result<(), Fault> {
        if self.my_lba != lba {
            return Err(Fault::MyLba { found: self.my_lba, expected: lba });
        }
        // The primary lies at LBA 1 and its partner behind all partitions (UEFI 2.10, 5.3.2): a repair writes there.
        let partner_is_possible = match lba {
            1 => self.alternate_lba > self.last_usable && self.alternate_lba < sectors,
            _ => self.alternate_lba == 1,
        };
        if !partner_is_possible {
            return Err(Fault::AlternateLba { found: self.alternate_lba });
        }
        // Behind the protective MBR and a header, before the other header.
        if self.first_usable < 2 || self.first_usable > self.last_usable || self.last_usable >= sectors - 1 {
            return Err(Fault::UsableRange { first: self.first_usable, last: self.last_usable });
        }
        let (count, bytes) = (self.entry_count, self.entry_bytes);
        if !(1..=MAX_ENTRIES).contains(&count) || !(128..=MAX_ENTRY_BYTES).contains(&bytes) || !bytes.is_power_of_two() {
            return Err(Fault::EntryShape { count, bytes });
        }
        let first = self.entries_lba;
        let fault = Fault::EntryArray { lba: first };
        let end = first.checked_add(self.entry_sectors(sector_bytes)).ok_or(fault)?;
        let apart = |low: u64, high: u64| end <= low || first > high;
        let usable_apart = apart(self.first_usable, self.last_usable);
        if first < 2 || end > sectors || !apart(lba, lba) || !apart(self.alternate_lba, self.alternate_lba) || !usable_apart {
            return Err(fault);
        }
        Ok(())
    }

    /// Bytes of the whole array of entries.
    pub fn entries_bytes(&self) -> usize {
        // At most 1024 * 4096.
        self.entry_count as usize * self.entry_bytes as usize
    }

    /// Sectors that the array of entries takes.
    pub(crate) fn entry_sectors(&self, sector_bytes: u64) -> u64 {
        (self.entries_bytes() as u64).div_ceil(sector_bytes.max(1))
    }

    /// This header's sector with another checksum of the entries: what follows a changed entry.
    pub(crate) fn sector_with_entries(&self, entries_checksum: u32) -> Vec<u8> {
        let mut sector = self.sector.clone();
        put(&mut sector, ENTRIES_CHECKSUM, &entries_checksum.to_le_bytes());
        finish(sector, self.size)
    }

    /// The sector of the other copy's header: same fields, places swapped, entries at `entries_lba`.
    pub(crate) fn sector_of_other_copy(&self, entries_lba: u64, entries_checksum: u32) -> Vec<u8> {
        let mut sector = self.sector.clone();
        put(&mut sector, MY_LBA, &self.alternate_lba.to_le_bytes());
        put(&mut sector, ALTERNATE_LBA, &self.my_lba.to_le_bytes());
        put(&mut sector, ENTRIES_LBA, &entries_lba.to_le_bytes());
        put(&mut sector, ENTRIES_CHECKSUM, &entries_checksum.to_le_bytes());
        finish(sector, self.size)
    }
}

fn finish(mut sector: Vec<u8>, size: u32) -> Vec<u8> {
    let sum = checksum(&sector, size);
    put(&mut sector, CHECKSUM, &sum.to_le_bytes());
    sector
}

/// CRC over `size` bytes with the checksum's own field zeroed.
fn checksum(sector: &[u8], size: u32) -> u32 {
    let mut bytes = sector.get(..size as usize).unwrap_or(sector).to_vec();
    put(&mut bytes, CHECKSUM, &[0; 4]);
    crc32(&bytes)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(part) = bytes.get_mut(at..at + value.len()) {
        part.copy_from_slice(value);
    }
}

/// Zeros where `bytes` is too short; sectors never are (512 bytes at least).
pub(crate) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    at.checked_add(N).and_then(|end| bytes.get(at..end)).and_then(|part| part.try_into().ok()).unwrap_or([0; N])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}
