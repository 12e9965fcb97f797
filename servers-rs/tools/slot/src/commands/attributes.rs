// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot attributes`: shows the slots' boot attributes of a disk image, or sets some in both partition tables, as the loader
//! and the update server do.

use crate::{
    disk::{slot_entry, slot_name, table},
    fault::Fault,
    files::Input,
};
use gpt::{Change, Disk, SlotAttributes};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The disk image
    #[arg(long)]
    image: PathBuf,
    /// The slot to change: A or B
    #[arg(long, value_parser = slot_name, requires = "set")]
    slot: Option<String>,
    /// What to set, such as priority=2,tries=3,successful=0; what is not named stays
    #[arg(long, requires = "slot")]
    set: Option<String>,
    /// Make a damaged or stale partition table equal to the good one
    #[arg(long)]
    repair: bool,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    let writable = arguments.set.is_some() || arguments.repair;
    let mut input = Input::open(&arguments.image, writable)?;
    let mut disk = Disk::read(&mut input);
    let plan = match (&arguments.slot, &arguments.set) {
        (Some(name), Some(set)) => {
            let entry = slot_entry(table(&disk)?, name)?;
            let change = Change { index: entry.index, attributes: parse(set, entry.slot_attributes())? };
            disk.set_attributes(&[change])
        }
        _ if arguments.repair => disk.repair(),
        _ => Ok(Vec::new()),
    };
    for write in plan.map_err(|error| Fault::input("gpt/change", error.to_string()))? {
        input.write_at(&write.bytes, write.lba * 512)?;
    }
    disk = Disk::read(&mut input);
    let slots = table(&disk)?.slots().into_iter().map(|entry| {
        let attributes = entry.slot_attributes();
        json!({
            "label": entry.name, "guid": entry.unique_guid.to_string(), "priority": attributes.priority(), "tries": attributes.tries(),
            "successful": attributes.successful(), "bootable": attributes.is_bootable(),
            "offset_bytes": entry.first_lba * 512, "length_bytes": entry.sectors() * 512,
        })
    });
    Ok(json!({ "ok": true, "slots": slots.collect::<Vec<_>>(), "copies_agree": !disk.needs_repair() }))
}

fn parse(text: &str, old: SlotAttributes) -> Result<SlotAttributes, Fault> {
    let (mut priority, mut tries, mut successful) = (old.priority(), old.tries(), old.successful());
    for part in text.split(',') {
        let fault = || {
            Fault::input("attributes/set", format!("{part:?} sets nothing"))
                .hint("priority=0..15, tries=0..15, successful=0|1, with commas between them")
        };
        let (name, value) = part.split_once('=').ok_or_else(fault)?;
        let value: u8 = value.parse().map_err(|_| fault())?;
        match name {
            "priority" => priority = value,
            "tries" => tries = value,
            "successful" if value <= 1 => successful = value == 1,
            _ => return Err(fault()),
        }
    }
    SlotAttributes::new(priority, tries, successful).map_err(|error| Fault::input("attributes/set", error.to_string()))
}
