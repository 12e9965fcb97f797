// SPDX-License-Identifier: PMPL-1.0-or-later
//! Both copies of a disk's table, and the writes that change or mend them.
//!
//! Order of writes, and why a power cut at any of them is harmless: at each moment one copy on disk is whole. A damaged or
//! stale copy is first made equal to the good one. Then the primary is changed (entries, header), then the backup the same way.
//! While the primary is inconsistent the backup still says the old; once it is whole it says the new, and it wins.
//! **Each write must be durable before the next is sent.**

use crate::{Fault, SlotAttributes, Table};
use alloc::vec::Vec;
use blocks::SectorRead;
use core::fmt;

/// What was found on a disk.
#[derive(Clone, Debug)]
pub struct Disk {
    pub primary: Result<Table, Fault>,
    pub backup: Result<Table, Fault>,
    /// Whether sector 0 is the protective MBR that UEFI demands. Nothing here depends on it.
    pub protective_mbr: bool,
}

/// Which copy speaks for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Primary,
    /// The primary is damaged.
    Backup,
}

/// Whole sectors to write from `lba` on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    pub lba: u64,
    pub bytes: Vec<u8>,
}

/// A slot's new attributes, by index of its [`crate::Entry`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    pub index: u32,
    pub attributes: SlotAttributes,
}

/// Why no writes were planned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeError {
    /// Neither copy can be believed.
    BothDamaged { primary: Fault, backup: Fault },
    /// No partition has this index.
    NoSuchPartition { index: u32 },
    /// The damaged copy's entries would overlap a partition there.
    NoRoom { lba: u64 },
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BothDamaged { primary, backup } => {
                write!(f, "both partition tables are damaged: primary {primary}; backup {backup}")
            }
            Self::NoSuchPartition { index } => {
                write!(f, "there is no partition {}", index.saturating_add(1))
            }
            Self::NoRoom { lba } => {
                write!(f, "the damaged table's entries do not fit at LBA {lba}")
            }
        }
    }
}

impl core::error::Error for ChangeError {}

impl Disk {
    /// Reads both copies. Never fails: what is wrong stands in the fields.
    pub fn read<S: SectorRead + ?Sized>(disk: &mut S) -> Self {
        let primary = Table::read(disk, 1);
        // A disk that grew has its backup where the primary says, no longer at the end.
        let at_the_end = disk.sector_count().saturating_sub(1);
        let backup_lba = primary.as_ref().map_or(at_the_end, |good| good.header().alternate_lba);
        let backup = Table::read(disk, backup_lba);
        Self { primary, backup, protective_mbr: has_protective_mbr(disk) }
    }

    /// The copy that counts: the primary if it is whole.
    pub fn table(&self) -> Result<(&Table, Source), ChangeError> {
        match (&self.primary, &self.backup) {
            (Ok(table), _) => Ok((table, Source::Primary)),
            (Err(_), Ok(table)) => Ok((table, Source::Backup)),
            (Err(primary), Err(backup)) => Err(ChangeError::BothDamaged { primary: *primary, backup: *backup }),
        }
    }

    /// Whether one copy is damaged, or says another thing than the other.
    pub fn needs_repair(&self) -> bool {
        !matches!((&self.primary, &self.backup), (Ok(one), Ok(two)) if one.says_the_same(two) && are_partners(one, two))
    }

    /// The writes that make the damaged or stale copy equal to the one that counts; empty if nothing is wrong.
    /// After them (or a part of them, and a power cut) the disk says what [`Disk::table`] says now.
    pub fn repair(&self) -> Result<Vec<Write>, ChangeError> {
        let (good, source) = self.table()?;
        if !self.needs_repair() {
            return Ok(Vec::new());
        }
        let entries_lba = self.other_entries_lba(good, source)?;
        Ok(alloc::vec![
            Write { lba: entries_lba, bytes: good.array().to_vec() },
            Write {
                lba: good.header().alternate_lba,
                bytes: good.header().sector_of_other_copy(entries_lba, good.array_checksum())
            },
        ])
    }

    /// The writes that give slots new attributes in both copies, a repair first if one is needed. Order: see the top of this file.
    /// A power cut leaves all of the old or all of the new attributes. Only sectors that change are written.
    pub fn set_attributes(&self, changes: &[Change]) -> Result<Vec<Write>, ChangeError> {
        let mut writes = self.repair()?;
        let (old, source) = self.table()?;
        let mut new = old.clone();
        for change in changes {
            new.set(change.index, change.attributes).ok_or(ChangeError::NoSuchPartition { index: change.index })?;
        }
        let (header, sum) = (old.header(), new.array_checksum());
        let other_lba = self.other_entries_lba(old, source)?;
        let mine = rewrite(old, &new, header.entries_lba, header.my_lba, header.sector_with_entries(sum));
        let other = rewrite(old, &new, other_lba, header.alternate_lba, header.sector_of_other_copy(other_lba, sum));
        let (primary, backup) = if source == Source::Primary { (mine, other) } else { (other, mine) };
        writes.extend(primary);
        writes.extend(backup);
        Ok(writes)
    }

    /// Where the entries of the copy that is not `good` belong: where they are if it is whole, else beside its header.
    fn other_entries_lba(&self, good: &Table, source: Source) -> Result<u64, ChangeError> {
        let header = good.header();
        let other = match source {
            Source::Primary => &self.backup,
            Source::Backup => &self.primary,
        };
        if let Ok(other) = other
            && other.header().my_lba == header.alternate_lba
            && other.array().len() == good.array().len()
        {
            return Ok(other.header().entries_lba);
        }
        // The primary's entries follow its header, the backup's end before its header (UEFI 2.10, 5.3.2).
        let sectors = header.entry_sectors(u64::from(good.sector_bytes()));
        let (first, fits) = match source {
            Source::Primary => {
                let first = header.alternate_lba.saturating_sub(sectors);
                (first, first > header.last_usable)
            }
            Source::Backup => (2, sectors.saturating_add(2) <= header.first_usable),
        };
        if fits { Ok(first) } else { Err(ChangeError::NoRoom { lba: first }) }
    }
}

/// The sectors of the array that differ, then the header.
fn rewrite(old: &Table, new: &Table, entries_lba: u64, header_lba: u64, header: Vec<u8>) -> Vec<Write> {
    let size = new.sector_bytes() as usize;
    let pairs = old.array().chunks(size).zip(new.array().chunks(size));
    let changed = (entries_lba..).zip(pairs).filter(|(_, (old, new))| old != new);
    let mut writes: Vec<Write> = changed.map(|(lba, (_, new))| Write { lba, bytes: new.to_vec() }).collect();
    if !writes.is_empty() {
        writes.push(Write { lba: header_lba, bytes: header });
    }
    writes
}

/// Each names the other as the alternate.
fn are_partners(one: &Table, two: &Table) -> bool {
    one.header().alternate_lba == two.header().my_lba && two.header().alternate_lba == one.header().my_lba
}

/// Sector 0: boot signature, and a partition of type 0xEE (UEFI 2.10, 5.2.3).
fn has_protective_mbr<S: SectorRead + ?Sized>(disk: &mut S) -> bool {
    let mut sector = alloc::vec![0u8; disk.sector_bytes().clamp(512, 4096) as usize];
    let signed = disk.read_sectors(0, &mut sector).is_ok() && sector.get(510..512) == Some(&[0x55, 0xaa]);
    signed && [450, 466, 482, 498].iter().any(|at| sector.get(*at) == Some(&0xee))
}
