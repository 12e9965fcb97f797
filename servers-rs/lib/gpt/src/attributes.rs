// SPDX-License-Identifier: PMPL-1.0-or-later
//! A slot's attribute bits, and the choice between slots.
//!
//! Bits 48-51 priority (0 = never boot), 52-55 tries left, 56 successful: Flatcar's. All other bits stay as they are.

use alloc::vec::Vec;
use core::fmt;

const PRIORITY_SHIFT: u32 = 48;
const TRIES_SHIFT: u32 = 52;
const SUCCESSFUL: u64 = 1 << 56;
const NIBBLE: u64 = 0xf;
const OURS: u64 = NIBBLE << PRIORITY_SHIFT | NIBBLE << TRIES_SHIFT | SUCCESSFUL;

/// Priority, tries and success of a slot, each within its bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotAttributes {
    priority: u8,
    tries: u8,
    successful: bool,
}

/// A priority or a number of tries above 15 does not fit its four bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotAttributesError {
    pub field: &'static str,
    pub value: u8,
}

impl fmt::Display for SlotAttributesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} is above 15", self.field, self.value)
    }
}

impl core::error::Error for SlotAttributesError {}

impl SlotAttributes {
    /// Never boots: what a slot gets before its first byte is overwritten.
    pub const UNBOOTABLE: Self = Self { priority: 0, tries: 0, successful: false };

    /// Refuses what does not fit in four bits.
    pub fn new(priority: u8, tries: u8, successful: bool) -> Result<Self, SlotAttributesError> {
        for (field, value) in [("priority", priority), ("tries", tries)] {
            if value > 15 {
                return Err(SlotAttributesError { field, value });
            }
        }
        Ok(Self { priority, tries, successful })
    }

    /// The slot's part of a partition's 64 attribute bits.
    pub fn from_raw(raw: u64) -> Self {
        let nibble = |shift: u32| (raw >> shift & NIBBLE) as u8;
        Self { priority: nibble(PRIORITY_SHIFT), tries: nibble(TRIES_SHIFT), successful: raw & SUCCESSFUL != 0 }
    }

    /// `raw` with the slot's part replaced and every other bit kept.
    pub fn apply_to(self, raw: u64) -> u64 {
        let successful = if self.successful { SUCCESSFUL } else { 0 };
        raw & !OURS | u64::from(self.priority) << PRIORITY_SHIFT | u64::from(self.tries) << TRIES_SHIFT | successful
    }

    pub fn priority(self) -> u8 {
        self.priority
    }

    pub fn tries(self) -> u8 {
        self.tries
    }

    pub fn successful(self) -> bool {
        self.successful
    }

    /// Whether the loader may try it.
    pub fn is_bootable(self) -> bool {
        self.priority > 0 && (self.tries > 0 || self.successful)
    }

    /// What must be on disk before the loader tries the slot: one try less, if it counts tries.
    pub fn after_attempt(self) -> Self {
        Self { tries: self.tries.saturating_sub(1), ..self }
    }

    /// What says that the slot has come up well: successful, no tries.
    pub fn confirmed(self) -> Self {
        Self { tries: 0, successful: true, ..self }
    }

    /// What says that it must not be booted again as it is: the loader takes another one.
    pub fn given_up(self) -> Self {
        Self { tries: 0, successful: false, ..self }
    }
}

impl fmt::Display for SlotAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority={} tries={} successful={}", self.priority, self.tries, u8::from(self.successful))
    }
}

/// Index of the slot to boot: the strictly highest priority among bootable ones; on a tie the first. `None`: no slot may boot.
pub fn choose(slots: &[SlotAttributes]) -> Option<usize> {
    candidates(slots).first().copied()
}

/// Indices of all bootable slots, in the order in which the loader tries them.
pub fn candidates(slots: &[SlotAttributes]) -> Vec<usize> {
    let mut bootable: Vec<(usize, u8)> =
        slots.iter().enumerate().filter(|(_, slot)| slot.is_bootable()).map(|(index, slot)| (index, slot.priority)).collect();
    // A stable sort: equal priorities keep the order of the table.
    bootable.sort_by_key(|(_, priority)| core::cmp::Reverse(*priority));
    bootable.into_iter().map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    fn slot(priority: u8, tries: u8, successful: bool) -> SlotAttributes {
        SlotAttributes::new(priority, tries, successful).unwrap()
    }

    #[test]
    fn flatcars_values_are_read_and_written() {
        assert_eq!(SlotAttributes::from_raw(0x0101_0000_0000_0000), slot(1, 0, true));
        assert_eq!(slot(2, 1, false).apply_to(0), 0x0012_0000_0000_0000);
        assert_eq!(slot(0, 0, false).apply_to(u64::MAX), !OURS);
    }

    #[test]
    fn the_highest_priority_that_may_boot_wins_and_the_first_on_a_tie() {
        assert_eq!(choose(&[slot(1, 0, true), slot(2, 3, false)]), Some(1));
        assert_eq!(choose(&[slot(1, 0, true), slot(2, 0, false)]), Some(0));
        assert_eq!(choose(&[slot(3, 1, false), slot(3, 0, true)]), Some(0));
        assert_eq!(candidates(&[slot(1, 0, true), slot(0, 3, true), slot(9, 1, false)]), vec![2, 0]);
        assert_eq!(choose(&[slot(0, 15, true), slot(15, 0, false)]), None);
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn tries_count_down_to_zero_and_stay_there() {
        assert_eq!(slot(2, 1, false).after_attempt(), slot(2, 0, false));
        assert_eq!(slot(2, 0, true).after_attempt(), slot(2, 0, true));
        assert_eq!(slot(2, 3, false).confirmed(), slot(2, 0, true));
    }

    #[test]
    fn a_priority_above_fifteen_is_refused() {
        assert_eq!(SlotAttributes::new(16, 0, false), Err(SlotAttributesError { field: "priority", value: 16 }));
        assert_eq!(SlotAttributes::new(1, 99, false), Err(SlotAttributesError { field: "tries", value: 99 }));
    }
}
