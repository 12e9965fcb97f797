// SPDX-License-Identifier: PMPL-1.0-or-later
//! One used partition entry (UEFI 2.10 table 5-6).

use crate::{Guid, SlotAttributes, header::bytes_at};
use alloc::string::String;

/// Where the attribute bits lie in an entry.
pub(crate) const ATTRIBUTES: usize = 48;
const NAME: usize = 56;
const NAME_UNITS: usize = 36;

/// A partition. LBAs are inclusive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Position in the table, from 0; partition tools show it plus one.
    pub index: u32,
    pub type_guid: Guid,
    pub unique_guid: Guid,
    pub first_lba: u64,
    pub last_lba: u64,
    pub attributes: u64,
    /// The label; what is no UTF-16 shows as U+FFFD.
    pub name: String,
}

impl Entry {
    /// `None` if the entry is unused.
    pub(crate) fn parse(index: u32, bytes: &[u8]) -> Option<Self> {
        let type_guid = Guid(bytes_at(bytes, 0));
        if type_guid.is_nil() {
            return None;
        }
        let units = (0..NAME_UNITS).map(|unit| u16::from_le_bytes(bytes_at(bytes, NAME + 2 * unit)));
        let name = char::decode_utf16(units.take_while(|unit| *unit != 0)).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
        Some(Self {
            index,
            type_guid,
            unique_guid: Guid(bytes_at(bytes, 16)),
            first_lba: u64::from_le_bytes(bytes_at(bytes, 32)),
            last_lba: u64::from_le_bytes(bytes_at(bytes, 40)),
            attributes: u64::from_le_bytes(bytes_at(bytes, ATTRIBUTES)),
            name,
        })
    }

    /// How many sectors it has.
    pub fn sectors(&self) -> u64 {
        self.last_lba.saturating_sub(self.first_lba).saturating_add(1)
    }

    /// The slot's part of its attributes.
    pub fn slot_attributes(&self) -> SlotAttributes {
        SlotAttributes::from_raw(self.attributes)
    }
}
