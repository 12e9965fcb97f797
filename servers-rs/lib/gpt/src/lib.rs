// SPDX-License-Identifier: PMPL-1.0-or-later
//! GUID partition tables: read and check both copies, choose a slot, and plan the writes of a change.
//!
//! [`Disk::read`] looks at both copies and keeps what was wrong with each. [`choose`] decides which slot boots.
//! [`Disk::set_attributes`] and [`Disk::repair`] return the sectors to write, in an order that a power cut cannot hurt;
//! nothing here writes. Making a new table is the orchestrator's work. Formats: UEFI 2.10 section 5.3; the slots'
//! attribute bits are Flatcar's. Read next: `disk.rs`, then `attributes.rs`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod attributes;
mod crc;
mod disk;
mod entry;
mod fault;
mod guid;
mod header;
mod table;

pub use attributes::{SlotAttributes, SlotAttributesError, candidates, choose};
pub use crc::crc32;
pub use disk::{Change, ChangeError, Disk, Source, Write};
pub use entry::Entry;
pub use fault::Fault;
pub use guid::{Guid, GuidError};
pub use header::Header;
pub use table::Table;

/// Partition types that the system knows.
pub mod types {
    use crate::Guid;

    /// EFI system partition: C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
    pub const EFI_SYSTEM: Guid = Guid::from_fields(0xc12a7328, 0xf81f, 0x11d2, [0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b]);
    /// Flatcar's /usr and root slots: 5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6. ROOT-A and ROOT-B.
    pub const SLOT: Guid = Guid::from_fields(0x5dfbf5f4, 0x2848, 0x4bac, [0xaa, 0x5e, 0x0d, 0x9a, 0x20, 0xb7, 0x45, 0xa6]);
    /// Linux file system data: 0FC63DAF-8483-4772-8E79-3D69D8477DE4. DATA.
    pub const LINUX_DATA: Guid = Guid::from_fields(0x0fc63daf, 0x8483, 0x4772, [0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4]);
}
