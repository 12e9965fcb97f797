// SPDX-License-Identifier: PMPL-1.0-or-later
//! For tests: a voice that remembers, a disk in memory whose writes can be cut off after the n-th, a kernel written by hand.

use crate::table::SlotDisk;
use crate::voice::Voice;
use abi::boot_info::KERNEL_BASE;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use blocks::{Memory, ReadError, SectorRead};
use core::fmt;
use gpt::crc32;

#[derive(Default)]
pub struct Lines(pub Vec<String>);

impl Voice for Lines {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        self.0.push(format!("{text}"));
    }
}

pub const SECTORS: u64 = 4096;
const ENTRIES: usize = 128 * 128;
const BACKUP_ENTRIES_LBA: u64 = SECTORS - 33;

/// A disk with sectors of 512 bytes.
#[derive(Clone)]
pub struct TestDisk {
    pub bytes: Vec<u8>,
    /// How many more writes reach the disk; all after them fail.
    pub writes_left: u64,
    pub writes: u64,
}

impl SectorRead for TestDisk {
    fn sector_bytes(&self) -> u32 {
        512
    }

    fn sector_count(&self) -> u64 {
        SECTORS
    }

    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        SectorRead::read_sectors(&mut Memory(&self.bytes), lba, out)
    }
}

impl SlotDisk for TestDisk {
    fn write_sectors(&mut self, lba: u64, bytes: &[u8]) -> Result<(), ReadError> {
        if self.writes_left == 0 {
            return Err(ReadError::Device { code: 7 });
        }
        self.writes_left -= 1;
        self.writes += 1;
        let start = lba as usize * 512;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReadError> {
        Ok(())
    }
}

impl TestDisk {
    /// Partitions of 512 sectors from LBA 1024 on: (label, slot attributes), all of the slots' type.
    pub fn new(slots: &[(&str, u64)]) -> Self {
        let mut entries = vec![0_u8; ENTRIES];
        for (index, (label, attributes)) in slots.iter().enumerate() {
            let entry = &mut entries[index * 128..index * 128 + 128];
            entry[..16].copy_from_slice(&gpt::types::SLOT.0);
            entry[16] = index as u8 + 1;
            let first = 1024 + 512 * index as u64;
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&(first + 511).to_le_bytes());
            entry[48..56].copy_from_slice(&attributes.to_le_bytes());
            for (place, unit) in entry[56..].chunks_exact_mut(2).zip(label.encode_utf16()) {
                place.copy_from_slice(&unit.to_le_bytes());
            }
        }
        let mut disk = TestDisk { bytes: vec![0; SECTORS as usize * 512], writes_left: u64::MAX, writes: 0 };
        disk.put(2 * 512, &entries);
        disk.put(BACKUP_ENTRIES_LBA as usize * 512, &entries);
        disk.put(512, &header(1, SECTORS - 1, 2, &entries));
        disk.put((SECTORS as usize - 1) * 512, &header(SECTORS - 1, 1, BACKUP_ENTRIES_LBA, &entries));
        disk
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn break_primary(&mut self) {
        self.bytes[512..1024].fill(0xff);
    }

    pub fn break_backup(&mut self) {
        self.bytes[(SECTORS as usize - 1) * 512..].fill(0xff);
    }

    /// The slots' attributes as both copies have them; panics when the copies differ or one is damaged.
    pub fn attributes(&mut self) -> Vec<u64> {
        let found = gpt::Disk::read(self);
        assert!(!found.needs_repair(), "{found:?}");
        found.table().expect("table").0.entries().iter().map(|entry| entry.attributes).collect()
    }
}

fn header(my_lba: u64, alternate: u64, entries_lba: u64, entries: &[u8]) -> Vec<u8> {
    let mut header = vec![0_u8; 92];
    header[..8].copy_from_slice(b"EFI PART");
    let mut set = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    set(8, &0x1_0000_u32.to_le_bytes());
    set(12, &92_u32.to_le_bytes());
    set(24, &my_lba.to_le_bytes());
    set(32, &alternate.to_le_bytes());
    set(40, &34_u64.to_le_bytes());
    set(48, &(SECTORS - 34).to_le_bytes());
    set(56, &[9; 16]);
    set(72, &entries_lba.to_le_bytes());
    set(80, &128_u32.to_le_bytes());
    set(84, &128_u32.to_le_bytes());
    set(88, &crc32(entries).to_le_bytes());
    let checksum = crc32(&header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Priority, tries, successful as attribute bits.
pub fn bits(priority: u64, tries: u64, successful: u64) -> u64 {
    priority << 48 | tries << 52 | successful << 56
}

pub const TEXT: u64 = 0x1000;
pub const DATA: u64 = 0x2000;
const READ_EXECUTE: u32 = 5;
pub const READ_WRITE: u32 = 6;

/// ELF header, two program headers (text at +0x1000, data at +0x2000 with a zero part), 0x2000 bytes in all.
pub fn kernel() -> Vec<u8> {
    let mut file = vec![0_u8; 0x2000];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    set(&mut file, 16, &2_u16.to_le_bytes());
    set(&mut file, 18, &62_u16.to_le_bytes());
    set(&mut file, 24, &(KERNEL_BASE + TEXT + 16).to_le_bytes());
    set(&mut file, 32, &64_u64.to_le_bytes());
    set(&mut file, 54, &56_u16.to_le_bytes());
    set(&mut file, 56, &2_u16.to_le_bytes());
    program_header(&mut file, 0, READ_EXECUTE, [0x1000, KERNEL_BASE + TEXT, 0x800, 0x800]);
    program_header(&mut file, 1, READ_WRITE, [0x1800, KERNEL_BASE + DATA, 0x800, 0x3000]);
    file
}

pub fn set(file: &mut [u8], at: usize, value: &[u8]) {
    file[at..at + value.len()].copy_from_slice(value);
}

/// `[file offset, address, bytes in the file, bytes in memory]`.
pub fn program_header(file: &mut [u8], index: usize, flags: u32, [offset, address, in_file, in_memory]: [u64; 4]) {
    let at = 64 + 56 * index;
    set(file, at, &1_u32.to_le_bytes());
    set(file, at + 4, &flags.to_le_bytes());
    set(file, at + 8, &offset.to_le_bytes());
    set(file, at + 16, &address.to_le_bytes());
    set(file, at + 32, &in_file.to_le_bytes());
    set(file, at + 40, &in_memory.to_le_bytes());
}
