// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot verify`: both partition tables of a disk and both slots, or one slot image.
//!
//! A slot is judged by `slot::verify` as the loader does; then every data block is read through the hash tree, and the tree of
//! files is made into OSTree objects again, which must be the signed ones. A slot that can never boot and has no trailer is empty,
//! which is no fault. A disk is good if its tables agree and at least one slot may boot and all that may are good.

use crate::{
    disk::{Found, Place, table, window},
    fault::Fault,
    files::Input,
    keys::{hex, read_trusted_keys},
    repository::{Repository, make_objects},
    walk::{ImageContents, walk},
};
use blocks::{BLOCK_BYTES, BlockRead, ReadError};
use erofs::{Inode, Reader};
use gpt::Disk;
use serde_json::{Value, json};
use slot::{Check, Policy, Refusal, VerifiedSlot};
use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// Data is read through the hash tree in pieces of this size.
const CHUNK_BLOCKS: u64 = 256;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Trusted keys: keys.json, a raw .frkeys section, or a loader with one
    #[arg(long)]
    keys: PathBuf,
    /// Refuse what is below this rollback index
    #[arg(long, default_value_t = 0)]
    minimal_rollback_index: u64,
    /// Seconds since 1970 to judge expiry by; without it, the clock's
    #[arg(long)]
    now: Option<u64>,
    /// Standard output is JSON in any case; accepted for symmetry with other tools
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    let keys = read_trusted_keys(&arguments.keys)?;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now_s = arguments.now.unwrap_or(clock);
    let policy = Policy { keys: &keys, now_s, minimal_rollback_index: arguments.minimal_rollback_index };
    match (arguments.place.open()?, &arguments.place.slot) {
        (Found::Disk { input, disk }, None) => verify_disk(&input, &disk, &policy, &arguments.place),
        _ => {
            let slot = judge(arguments.place.open_slot()?, &policy);
            let report = json!({ "ok": slot.is_ok(), "slots": [slot_report(&slot)] });
            match slot {
                Ok(_) => Ok(report),
                Err(refusal) => {
                    Err(Fault::input("verify/refused", format!("{}: {refusal}", arguments.place.image.display())).details(report))
                }
            }
        }
    }
}

fn verify_disk(input: &Input, disk: &Disk, policy: &Policy<'_>, place: &Place) -> Result<Value, Fault> {
    let mut problems = table_problems(disk);
    let (mut slots, mut bootable) = (Vec::new(), 0);
    for entry in table(disk)?.slots() {
        let (attributes, name) = (entry.slot_attributes(), entry.name.clone());
        let verdict = judge(window(input, entry)?, policy);
        let is_empty = !attributes.is_bootable() && matches!(&verdict, Err(Refusal { check: Check::Trailer, .. }));
        let mut report = if is_empty { json!({ "state": "empty" }) } else { slot_report(&verdict) };
        if let (Err(refusal), true) = (&verdict, attributes.is_bootable()) {
            problems.push(format!("{name}: {refusal}"));
        }
        bootable += usize::from(attributes.is_bootable() && verdict.is_ok());
        if let Some(fields) = report.as_object_mut() {
            fields.insert("label".into(), json!(name));
            fields.insert("priority".into(), json!(attributes.priority()));
            fields.insert("tries".into(), json!(attributes.tries()));
            fields.insert("successful".into(), json!(attributes.successful()));
            fields.insert("bootable".into(), json!(attributes.is_bootable()));
        }
        slots.push(report);
    }
    if bootable == 0 {
        problems.push("no slot of the disk may boot and is whole".into());
    }
    let fault_of = |copy: &Result<gpt::Table, gpt::Fault>| copy.as_ref().err().map(ToString::to_string);
    let report = json!({
        "ok": problems.is_empty(),
        "gpt": { "primary": fault_of(&disk.primary), "backup": fault_of(&disk.backup), "protective_mbr": disk.protective_mbr, "copies_agree": !disk.needs_repair() },
        "slots": slots,
        "problems": problems,
    });
    match problems.first() {
        None => Ok(report),
        Some(first) => Err(Fault::input("verify/refused", format!("{}: {first}", place.image.display())).details(report)),
    }
}

fn table_problems(disk: &Disk) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, copy) in [("primary", &disk.primary), ("backup", &disk.backup)] {
        if let Err(fault) = copy {
            problems.push(format!("the {name} partition table {fault}"));
        }
    }
    if problems.is_empty() && disk.needs_repair() {
        problems.push("the two partition tables differ".into());
    }
    if !disk.protective_mbr {
        problems.push("sector 0 is no protective MBR".into());
    }
    problems
}

/// What was found out about a good slot.
struct Judgement {
    slot: VerifiedSlot,
    entries: usize,
}

fn judge(mut input: Input, policy: &Policy<'_>) -> Result<Judgement, Refusal> {
    let slot = slot::verify(&mut input, policy)?;
    read_all_blocks(&slot, &mut input)?;
    let entries = check_tree(&slot, &mut input)?;
    Ok(Judgement { slot, entries })
}

fn read_all_blocks(slot: &VerifiedSlot, input: &mut Input) -> Result<(), Refusal> {
    let mut data = slot.open(input).ok_or_else(|| Refusal::new(Check::Geometry, "image and tree do not fit the slot"))?;
    let blocks = data.block_count();
    let mut buffer = vec![0u8; CHUNK_BLOCKS as usize * BLOCK_BYTES];
    let mut at = 0;
    while at < blocks {
        let count = CHUNK_BLOCKS.min(blocks - at);
        let chunk = buffer.get_mut(..count as usize * BLOCK_BYTES).unwrap_or_default();
        data.read_blocks(at, chunk).map_err(|error| match error {
            ReadError::Unverified { .. } => Refusal::new(Check::VerityData, error.to_string()),
            error => Refusal::new(Check::Read, error.to_string()),
        })?;
        at += count;
    }
    Ok(())
}

/// Makes the commit's tree again out of the image. Returns the number of paths.
fn check_tree(slot: &VerifiedSlot, input: &mut Input) -> Result<usize, Refusal> {
    let refuse = |detail: String| Refusal::new(Check::Contents, detail);
    let data = slot.open(input).ok_or_else(|| refuse("image and tree do not fit the slot".into()))?;
    let mut reader = Reader::open(data).map_err(|error| refuse(error.to_string()))?;
    let (entries, inodes): (Vec<_>, Vec<Inode>) = walk(&mut reader).map_err(|fault| refuse(fault.message))?.into_iter().unzip();
    let repository = Repository::open(None).map_err(|fault| refuse(fault.message))?;
    let mut contents = ImageContents { reader: &mut reader, inodes: &inodes };
    let objects = make_objects(&entries, &mut contents, &repository).map_err(|fault| refuse(fault.message))?;
    let (found, signed) = ((objects.root_tree, objects.root_meta), (slot.commit.root_tree, slot.commit.root_meta));
    if found != signed {
        return Err(refuse(format!("the image holds the tree {}, signed is {}", found.0, signed.0)));
    }
    if objects.nodes != slot.release.nodes || objects.hardlinks != slot.release.hardlinks {
        return Err(refuse("device nodes or hard links are not the signed ones".into()));
    }
    if reader.uuid() != slot.release.image_uuid || reader.block_count() != slot.release.data_blocks {
        return Err(refuse("UUID or size of the image are not the signed ones".into()));
    }
    Ok(entries.len())
}

fn slot_report(verdict: &Result<Judgement, Refusal>) -> Value {
    match verdict {
        Err(refusal) => {
            json!({ "state": "refused", "check": refusal.check.word(), "detail": refusal.detail })
        }
        Ok(Judgement { slot, entries }) => json!({
            "state": "good",
            "version": slot.release.version,
            "unreleased": slot.release.unreleased,
            "refs": slot.release.refs,
            "rollback_index": slot.release.rollback_index,
            "commit": slot.commit_id.to_string(),
            "signed_by": hex(&slot.key.public),
            "development_key": slot.key.development,
            "verity_root": hex(&slot.release.verity_root),
            "data_blocks": slot.release.data_blocks,
            "entries": entries,
        }),
    }
}
