// SPDX-License-Identifier: PMPL-1.0-or-later
//! Which partition this system came from, and its file system through the signed digest.

use blocks::{BlockRead, Partition, SectorRead};
use erofs::Reader;
use gpt::{Entry, Guid, Source, Table};
use rt::manifest::Facts;
use verity::{Geometry, Verified};

/// Blocks of 4096 bytes behind the data that hold the verity superblock, before the tree: `docs/architecture/contracts.adoc`.
const SUPERBLOCK_BLOCKS: u64 = 1;

/// The partition of the slot that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    pub guid: Guid,
    /// `b'A'` or `b'B'`.
    pub name: u8,
    pub first_lba: u64,
    pub last_lba: u64,
}

/// By the partition's own GUID if the loader named it, else by the slot's label. `None`: no slot, or not on this disk.
pub fn find_slot<S: SectorRead + Clone>(disk: &S, facts: &Facts) -> Option<Slot> {
    let name = match facts.slot_name() {
        "A" => b'A',
        "B" => b'B',
        _ => return None,
    };
    let read = gpt::Disk::read(&mut disk.clone());
    let (table, source) = read.table().inspect_err(|error| rt::error!("{error}")).ok()?;
    if source == Source::Backup {
        rt::warning!("the primary partition table is damaged; using its backup");
    }
    let entry = entry(table, facts, name);
    if entry.is_none() {
        rt::error!("this disk has no partition of slot {}", char::from(name));
    }
    let entry = entry?;
    Some(Slot { guid: entry.unique_guid, name, first_lba: entry.first_lba, last_lba: entry.last_lba })
}

fn entry<'a>(table: &'a Table, facts: &Facts, name: u8) -> Option<&'a Entry> {
    let guid = Guid(facts.partition_guid);
    if guid.is_nil() { table.by_label(if name == b'A' { "ROOT-A" } else { "ROOT-B" }) } else { table.by_guid(guid) }
}

/// A file system of which every block is checked.
pub type Root<S> = Reader<Verified<Partition<S>>>;

/// Opens the root. `None`: there is no digest, or the partition does not hold what it promises. Says why.
pub fn mount<S: SectorRead>(disk: S, slot: &Slot, facts: &Facts) -> Option<Root<S>> {
    let partition = Partition::new(disk, slot.first_lba, slot.last_lba)?;
    let blocks = partition.block_count();
    let Some(geometry) = Geometry::new(facts.verity_data_blocks) else {
        rt::warning!("no digest of the root was given: nothing is mounted");
        return None;
    };
    let tree_start = facts.verity_data_blocks.saturating_add(SUPERBLOCK_BLOCKS);
    let Some(mut verified) = Verified::new(partition, geometry, &facts.verity_salt, facts.verity_root, tree_start) else {
        rt::error!("slot {} has {blocks} blocks, too few for {} and their tree", char::from(slot.name), facts.verity_data_blocks);
        return None;
    };
    if let Err(error) = verified.check_root() {
        rt::error!("verity: {error}");
        return None;
    }
    match Reader::open(verified) {
        Ok(root) => {
            rt::info!("mounted slot={} blocks={} read-only", char::from(slot.name), facts.verity_data_blocks);
            Some(root)
        }
        Err(error) => {
            rt::error!("slot {}: {error}", char::from(slot.name));
            None
        }
    }
}
