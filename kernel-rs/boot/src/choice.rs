// SPDX-License-Identifier: PMPL-1.0-or-later
//! Which slot is booted: candidates in order of priority, a try counted down on disk before anything else, the first one
//! that passes wins. Whether a slot passes is the caller's question (`attempt.rs`).
//!
//! Read before: `table.rs` (which partition table speaks, and its repair).

use crate::say;
use crate::table::{self, SlotDisk};
use crate::voice::{Quoted, Voice};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use blocks::ReadError;
use core::fmt;
use gpt::{Change, Entry, candidates};

/// Slots go by their partition's label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Letter {
    A,
    B,
}

impl Letter {
    fn of(entry: &Entry) -> Option<Self> {
        match entry.name.as_str() {
            "ROOT-A" => Some(Letter::A),
            "ROOT-B" => Some(Letter::B),
            _ => None,
        }
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Letter::A => "A",
            Letter::B => "B",
        })
    }
}

/// Why a slot is not booted: which check, and its finding for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub check: &'static str,
    pub detail: String,
}

impl Refused {
    pub fn new(check: &'static str, detail: impl fmt::Display) -> Self {
        Refused { check, detail: detail.to_string() }
    }
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub letter: Letter,
    pub entry: Entry,
}

/// Tries slots until `attempt` accepts one. `None` after one line per slot: nothing boots, and nothing on disk says
/// otherwise than before but the tries that were used.
pub fn first_good<D, V, T>(
    disk: &mut D,
    voice: &mut V,
    mut attempt: impl FnMut(&mut D, &mut V, &Slot) -> Result<T, Refused>,
) -> Option<(Slot, T)>
where
    D: SlotDisk,
    V: Voice,
{
    let slots = slots(disk, voice)?;
    let attributes: Vec<_> = slots.iter().map(|slot| slot.entry.slot_attributes()).collect();
    let order = candidates(&attributes);
    for slot in order.iter().filter_map(|&index| slots.get(index)) {
        say!(voice, "trying slot={}", slot.letter);
        let outcome = count_down(disk, voice, slot).and_then(|()| attempt(disk, voice, slot));
        match outcome {
            Ok(found) => return Some((slot.clone(), found)),
            Err(refused) => say_refused(voice, slot, &refused),
        }
    }
    for (_, slot) in slots.iter().enumerate().filter(|(index, _)| !order.contains(index)) {
        say_refused(voice, slot, &not_a_candidate(slot));
    }
    None
}

fn say_refused(voice: &mut impl Voice, slot: &Slot, refused: &Refused) {
    say!(voice, "refused slot={} check={} detail={}", slot.letter, refused.check, Quoted(&refused.detail));
}

/// The slots of the table that speaks for the disk, each with a line of its own.
fn slots(disk: &mut impl SlotDisk, voice: &mut impl Voice) -> Option<Vec<Slot>> {
    let table = table::read_and_repair(disk, voice)?;
    let mut slots = Vec::new();
    for entry in table.slots() {
        let number = entry.index.saturating_add(1);
        match Letter::of(entry) {
            Some(letter) => {
                say!(voice, "slot={letter} partition={number} {}", entry.slot_attributes());
                slots.push(Slot { letter, entry: entry.clone() });
            }
            None => say!(voice, "ignored partition={number} label={}: a slot is ROOT-A or ROOT-B", Quoted(&entry.name)),
        }
    }
    if slots.is_empty() {
        say!(voice, "the disk has no slot (no partition of Flatcar's root type named ROOT-A or ROOT-B)");
    }
    Some(slots)
}

fn not_a_candidate(slot: &Slot) -> Refused {
    let why = match slot.entry.slot_attributes().priority() {
        0 => "priority 0: never to be booted",
        _ => "no tries left and never successful",
    };
    Refused::new("attributes", why)
}

/// One try less, durable in both copies of the table, before the slot gets a chance to hang the machine.
fn count_down(disk: &mut impl SlotDisk, voice: &mut impl Voice, slot: &Slot) -> Result<(), Refused> {
    let before = slot.entry.slot_attributes();
    let after = before.after_attempt();
    if after == before {
        return Ok(());
    }
    let refused = |error: ReadError| Refused::new("tries", format_args!("the count of tries cannot be written: {error}"));
    let writes = gpt::Disk::read(disk)
        .set_attributes(&[Change { index: slot.entry.index, attributes: after }])
        .map_err(|error| Refused::new("tries", error))?;
    table::apply(disk, &writes).map_err(refused)?;
    say!(voice, "slot={} tries={} (was {})", slot.letter, after.tries(), before.tries());
    Ok(())
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
