// SPDX-License-Identifier: PMPL-1.0-or-later
//! What can be wrong with one copy of a partition table.

use crate::Guid;
use blocks::ReadError;
use core::fmt;

/// Why a copy of the table is not used. Numbers are LBAs unless their name says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Read(ReadError),
    /// The disk is too small for a table, or its sector size is neither 512 nor 4096 bytes.
    Geometry {
        sectors: u64,
        sector_bytes: u32,
    },
    Signature,
    Revision {
        found: u32,
    },
    HeaderSize {
        bytes: u32,
    },
    HeaderChecksum {
        stored: u32,
        computed: u32,
    },
    /// The header says that it lies elsewhere.
    MyLba {
        found: u64,
        expected: u64,
    },
    /// The other copy is said to lie where it cannot.
    AlternateLba {
        found: u64,
    },
    UsableRange {
        first: u64,
        last: u64,
    },
    /// Entries: more than 1024, or an entry size that is no power of two from 128 to 4096 bytes.
    EntryShape {
        count: u32,
        bytes: u32,
    },
    /// The entries overlap the header, usable sectors or the end of the disk.
    EntryArray {
        lba: u64,
    },
    EntryChecksum {
        stored: u32,
        computed: u32,
    },
    /// A partition (counted from 0) that ends before it begins or leaves the usable range.
    PartitionRange {
        index: u32,
        first: u64,
        last: u64,
    },
    Overlap {
        first_index: u32,
        second_index: u32,
    },
    DuplicateGuid {
        guid: Guid,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::Geometry { sectors, sector_bytes } => {
                write!(f, "a disk of {sectors} sectors of {sector_bytes} bytes cannot hold a table")
            }
            Self::Signature => write!(f, "does not begin with EFI PART"),
            Self::Revision { found } => write!(f, "revision {found:#x}, known is 0x10000"),
            Self::HeaderSize { bytes } => write!(f, "header of {bytes} bytes"),
            Self::HeaderChecksum { stored, computed } => {
                write!(f, "header checksum is {computed:#010x}, stored is {stored:#010x}")
            }
            Self::MyLba { found, expected } => {
                write!(f, "says that it lies at LBA {found}, lies at {expected}")
            }
            Self::AlternateLba { found } => write!(f, "the other copy cannot lie at LBA {found}"),
            Self::UsableRange { first, last } => {
                write!(f, "usable LBAs {first} to {last} cannot be")
            }
            Self::EntryShape { count, bytes } => {
                write!(f, "{count} entries of {bytes} bytes cannot be")
            }
            Self::EntryArray { lba } => write!(f, "entries at LBA {lba} overlap something else"),
            Self::EntryChecksum { stored, computed } => {
                write!(f, "entries' checksum is {computed:#010x}, stored is {stored:#010x}")
            }
            Self::PartitionRange { index, first, last } => {
                write!(f, "partition {} from LBA {first} to {last} is not within the usable range", index + 1)
            }
            Self::Overlap { first_index, second_index } => {
                write!(f, "partitions {} and {} overlap", first_index + 1, second_index + 1)
            }
            Self::DuplicateGuid { guid } => write!(f, "two partitions have the unique GUID {guid}"),
        }
    }
}

impl core::error::Error for Fault {}
