// SPDX-License-Identifier: PMPL-1.0-or-later
//! One copy of the table: header and entries, all checks passed.

use crate::{Entry, Fault, Guid, Header, SlotAttributes, crc::crc32, entry::ATTRIBUTES, types};
use alloc::{vec, vec::Vec};
use blocks::SectorRead;

/// A copy that may be believed: checksums, ranges and overlaps are right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    header: Header,
    entries: Vec<Entry>,
    /// The array's sectors as stored, so that a change keeps what it does not know.
    array: Vec<u8>,
    sector_bytes: u32,
}

impl Table {
    /// Reads and checks the copy whose header lies at `lba`.
    pub fn read<S: SectorRead + ?Sized>(disk: &mut S, lba: u64) -> Result<Self, Fault> {
        let (sectors, sector_bytes) = (disk.sector_count(), disk.sector_bytes());
        if sectors < 8 || !matches!(sector_bytes, 512 | 4096) {
            return Err(Fault::Geometry { sectors, sector_bytes });
        }
        let mut sector = vec![0u8; sector_bytes as usize];
        disk.read_sectors(lba, &mut sector).map_err(Fault::Read)?;
        let header = Header::parse(&sector, lba, sectors)?;
        let mut array = vec![0u8; header.entry_sectors(u64::from(sector_bytes)) as usize * sector_bytes as usize];
        disk.read_sectors(header.entries_lba, &mut array).map_err(Fault::Read)?;
        let table = Self { entries: parse_entries(&header, &array)?, header, array, sector_bytes };
        table.check_entries()?;
        Ok(table)
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Used entries in the order of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The first partition with this label.
    pub fn by_label(&self, label: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == label)
    }

    /// The partition with this unique GUID.
    pub fn by_guid(&self, unique: Guid) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.unique_guid == unique)
    }

    /// All partitions of a type, in the order of the table.
    pub fn of_type(&self, type_guid: Guid) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.type_guid == type_guid)
    }

    /// The slots ([`types::SLOT`]), in the order of the table: what [`crate::candidates`] counts.
    pub fn slots(&self) -> Vec<&Entry> {
        self.of_type(types::SLOT).collect()
    }

    /// The same partitions and attributes, wherever the copies lie.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.header, &other.header);
        mine.disk_guid == theirs.disk_guid
            && (mine.first_usable, mine.last_usable) == (theirs.first_usable, theirs.last_usable)
            && (mine.entry_count, mine.entry_bytes) == (theirs.entry_count, theirs.entry_bytes)
            && self.array_bytes() == other.array_bytes()
    }

    pub(crate) fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// The array's sectors.
    pub(crate) fn array(&self) -> &[u8] {
        &self.array
    }

    pub(crate) fn array_checksum(&self) -> u32 {
        crc32(self.array_bytes())
    }

    fn array_bytes(&self) -> &[u8] {
        self.array.get(..self.header.entries_bytes()).unwrap_or(&self.array)
    }

    /// Sets the slot's part of an entry's attributes here, in memory. `None` if the entry is not in use.
    pub(crate) fn set(&mut self, index: u32, attributes: SlotAttributes) -> Option<()> {
        let entry = self.entries.iter_mut().find(|entry| entry.index == index)?;
        let raw = attributes.apply_to(entry.attributes);
        let at = (index as usize).checked_mul(self.header.entry_bytes as usize)?.checked_add(ATTRIBUTES)?;
        self.array.get_mut(at..at.checked_add(8)?)?.copy_from_slice(&raw.to_le_bytes());
        entry.attributes = raw;
        Some(())
    }

    fn check_entries(&self) -> Result<(), Fault> {
        for entry in &self.entries {
            let (first, last) = (entry.first_lba, entry.last_lba);
            if first > last || first < self.header.first_usable || last > self.header.last_usable {
                return Err(Fault::PartitionRange { index: entry.index, first, last });
            }
        }
        let mut by_place: Vec<&Entry> = self.entries.iter().collect();
        by_place.sort_by_key(|entry| entry.first_lba);
        for (one, next) in by_place.iter().zip(by_place.iter().skip(1)) {
            if one.last_lba >= next.first_lba {
                return Err(Fault::Overlap { first_index: one.index, second_index: next.index });
            }
        }
        let mut guids: Vec<Guid> = self.entries.iter().map(|entry| entry.unique_guid).collect();
        guids.sort();
        match guids.iter().zip(guids.iter().skip(1)).find(|(one, next)| one == next) {
            Some((guid, _)) => Err(Fault::DuplicateGuid { guid: *guid }),
            None => Ok(()),
        }
    }
}

fn parse_entries(header: &Header, array: &[u8]) -> Result<Vec<Entry>, Fault> {
    let bytes = array.get(..header.entries_bytes()).unwrap_or(array);
    let (stored, computed) = (header.entries_checksum, crc32(bytes));
    if stored != computed {
        return Err(Fault::EntryChecksum { stored, computed });
    }
    let chunks = bytes.chunks_exact(header.entry_bytes as usize);
    Ok((0u32..).zip(chunks).filter_map(|(index, chunk)| Entry::parse(index, chunk)).collect())
}
