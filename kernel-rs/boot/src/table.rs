// SPDX-License-Identifier: PMPL-1.0-or-later
//! The partition table that speaks for the disk, and the repair of the other copy. What a table is and in which order
//! writes are safe is `gpt`'s; here is when they happen, and what is said.

use crate::say;
use crate::voice::{Quoted, Voice};
use blocks::{ReadError, SectorRead};
use gpt::{Disk, Fault, Table, Write};

/// A disk that can also be written.
pub trait SlotDisk: SectorRead {
    /// Writes whole sectors from `lba` on. Errors as for reads.
    fn write_sectors(&mut self, lba: u64, bytes: &[u8]) -> Result<(), ReadError>;

    /// Returns when everything written is durable.
    fn flush(&mut self) -> Result<(), ReadError>;
}

/// Reads both copies, mends one by the other, and gives the table that counts. `None`, with a line for each copy, when
/// neither can be believed. A repair that cannot be written is said and does not stop the boot.
pub fn read_and_repair(disk: &mut impl SlotDisk, voice: &mut impl Voice) -> Option<Table> {
    let found = Disk::read(disk);
    say_copy(voice, "primary", &found.primary);
    say_copy(voice, "backup", &found.backup);
    let (table, source) = found.table().ok()?;
    let writes = found.repair().unwrap_or_default();
    if !writes.is_empty() {
        let mended = match source {
            gpt::Source::Primary => "backup",
            gpt::Source::Backup => "primary",
        };
        match apply(disk, &writes) {
            Ok(()) => say!(voice, "gpt repaired copy={mended}"),
            Err(error) => say!(voice, "gpt not repaired copy={mended} detail={}", Quoted(error)),
        }
    }
    Some(table.clone())
}

/// Writes in order, each durable before the next: that is what makes a power cut between them harmless.
pub fn apply(disk: &mut impl SlotDisk, writes: &[Write]) -> Result<(), ReadError> {
    writes.iter().try_for_each(|write| {
        disk.write_sectors(write.lba, &write.bytes)?;
        disk.flush()
    })
}

fn say_copy(voice: &mut impl Voice, name: &str, copy: &Result<Table, Fault>) {
    match copy {
        Ok(_) => say!(voice, "gpt {name} ok"),
        Err(fault) => say!(voice, "gpt {name} damaged detail={}", Quoted(fault)),
    }
}
