// SPDX-License-Identifier: PMPL-1.0-or-later
//! Which slot of which file a command means: of a disk with a partition table, a slot image, or a place in a file.

use crate::{fault::Fault, files::Input};
use gpt::{Disk, Entry, Table};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Place {
    /// A disk image or a slot image
    #[arg(long)]
    pub image: PathBuf,
    /// The slot of a disk: A or B
    #[arg(long, value_parser = slot_name)]
    pub slot: Option<String>,
    /// Where the slot begins, in bytes, if there is no partition table
    #[arg(long, conflicts_with = "slot")]
    pub offset: Option<u64>,
    /// How long it is, in bytes; without it, to the end of the file
    #[arg(long, requires = "offset")]
    pub length: Option<u64>,
}

pub fn slot_name(text: &str) -> Result<String, String> {
    match text.to_ascii_uppercase().as_str() {
        letter @ ("A" | "B") => Ok(letter.into()),
        _ => Err("a slot is A or B".into()),
    }
}

/// A file that was looked into.
pub enum Found {
    /// It has a partition table that can be read.
    Disk {
        input: Input,
        disk: Box<Disk>,
    },
    Slot(Input),
}

impl Place {
    pub fn open(&self) -> Result<Found, Fault> {
        let mut input = Input::open(&self.image, false)?;
        if let Some(offset) = self.offset {
            return Ok(Found::Slot(input.window(offset, self.length.unwrap_or(u64::MAX))?));
        }
        let disk = Disk::read(&mut input);
        match (disk.table().is_ok(), disk.protective_mbr || self.slot.is_some()) {
            (true, _) => Ok(Found::Disk { input, disk: Box::new(disk) }),
            (false, false) => Ok(Found::Slot(input)),
            (false, true) => Err(damaged(&disk)),
        }
    }

    /// The one slot that is meant.
    pub fn open_slot(&self) -> Result<Input, Fault> {
        match (self.open()?, &self.slot) {
            (Found::Slot(input), _) => Ok(input),
            (Found::Disk { input, disk }, Some(name)) => window(&input, slot_entry(table(&disk)?, name)?),
            (Found::Disk { .. }, None) => {
                Err(Fault::input("slot/which", format!("{} is a disk: say which slot", self.image.display()))
                    .hint("--slot A or --slot B"))
            }
        }
    }
}

/// The table that counts.
pub fn table(disk: &Disk) -> Result<&Table, Fault> {
    disk.table().map(|(table, _)| table).map_err(|_| damaged(disk))
}

/// The partition ROOT-A or ROOT-B, whatever its number.
pub fn slot_entry<'a>(table: &'a Table, name: &str) -> Result<&'a Entry, Fault> {
    let label = format!("ROOT-{name}");
    table
        .by_label(&label)
        .filter(|entry| entry.type_guid == gpt::types::SLOT)
        .ok_or_else(|| Fault::input("slot/missing", format!("the disk has no slot partition with the label {label}")))
}

/// The bytes of a partition.
pub fn window(input: &Input, entry: &Entry) -> Result<Input, Fault> {
    input.window(entry.first_lba * 512, entry.sectors() * 512)
}

fn damaged(disk: &Disk) -> Fault {
    match disk.table() {
        Err(error) => Fault::input("gpt/damaged", error.to_string()),
        Ok(_) => Fault::ours("gpt/damaged", "the partition table was said to be damaged, but it is not"),
    }
}
