// SPDX-License-Identifier: PMPL-1.0-or-later
//! The DATA partition as blocks, and its file system: made at the first boot, grown to its partition, mounted.

use crate::disk::Medium;
use alloc::string::String;
use blocks::{BLOCK_BYTES, BlockRead, BlockWrite, ReadError, SectorRead, check_range};
use ext4::{Ext4, Time};

const LABEL: &str = "DATA";
const SECTORS: u64 = (BLOCK_BYTES / 512) as u64;

/// A partition that can be written, in blocks of 4096 bytes.
#[derive(Debug)]
pub struct Part<M> {
    disk: M,
    first_lba: u64,
    blocks: u64,
}

impl<M: SectorRead> BlockRead for Part<M> {
    fn block_count(&self) -> u64 {
        self.blocks
    }
    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        check_range(first, out.len(), BLOCK_BYTES, self.blocks)?;
        self.disk.read_sectors(self.first_lba + first * SECTORS, out)
    }
}
impl<M: Medium> BlockWrite for Part<M> {
    fn write_blocks(&mut self, first: u64, bytes: &[u8]) -> Result<(), ReadError> {
        check_range(first, bytes.len(), BLOCK_BYTES, self.blocks)?;
        self.disk.write(self.first_lba + first * SECTORS, bytes)
    }
    fn flush(&mut self) -> Result<(), ReadError> {
        self.disk.flush()
    }
}

/// The time of day, as far as the firmware told it.
pub fn now() -> Time {
    let ms = rt::clock::boot_ms();
    let seconds = rt::start::facts().wall_clock_s.saturating_add(ms / 1000);
    Time { seconds: i64::try_from(seconds).unwrap_or(0), nanoseconds: (ms % 1000) as u32 * 1_000_000 }
}

/// The partition and its unique GUID. `None`: this disk has none.
pub fn find<M: Medium>(mut disk: M) -> Option<(Part<M>, [u8; 16])> {
    let read = gpt::Disk::read(&mut disk);
    let (table, _) = read.table().ok()?;
    let entry = table.by_label(LABEL)?;
    let sectors = entry.last_lba.checked_sub(entry.first_lba)?.checked_add(1)?;
    if entry.last_lba >= disk.sector_count() {
        rt::error!("data: its partition ends behind the disk");
        return None;
    }
    let guid = entry.unique_guid.0;
    Some((Part { first_lba: entry.first_lba, blocks: sectors / SECTORS, disk }, guid))
}

/// Mounts the file system, after making one if the partition has never held anything. Says why not, if not.
/// `open`: files that a server before this one kept open.
pub fn mount<M: Medium>(mut part: Part<M>, guid: [u8; 16], unique: u64, open: &[u32]) -> Option<Ext4<Part<M>>> {
    let now = now();
    let mut first = alloc::vec![0; BLOCK_BYTES];
    if let Err(error) = part.read_blocks(0, &mut first) {
        rt::error!("data: {error}");
        return None;
    }
    if first.iter().all(|byte| *byte == 0) {
        // Not the partition's own number alone: an image has the same on every node, and a file system may be made again.
        let mut uuid = guid;
        uuid.iter_mut().zip(unique.to_le_bytes()).for_each(|(byte, other)| *byte ^= other);
        match ext4::make(&mut part, uuid, LABEL, now) {
            Ok(()) => rt::info!("data: made a file system of {} blocks", part.blocks),
            Err(error) => {
                rt::error!("data: no file system could be made: {error}");
                return None;
            }
        }
    }
    match Ext4::mount_again(part, now, open) {
        Ok(mut fs) => {
            match fs.grow() {
                Ok(0) => {}
                Ok(gained) => rt::info!("data: grew by {gained} blocks"),
                Err(error) => rt::warning!("data: cannot grow: {error}"),
            }
            if let Ok(space) = fs.space() {
                rt::info!("mounted data blocks={} free={} read-write", space.blocks, space.free_blocks);
            }
            Some(fs)
        }
        Err(error) => {
            // What is there may be precious: it is left as it is, for a person.
            rt::error!("data: not mounted: {error}");
            None
        }
    }
}

/// The directory of a client, made if it is not there.
pub fn home<B: BlockWrite>(fs: &mut Ext4<B>, name: &str) -> ext4::Result<u32> {
    let name: String = name.chars().filter(|c| *c != '/' && *c != '\0').collect();
    match fs.lookup(ext4::ROOT, name.as_bytes()) {
        Err(ext4::Error::NotFound) => {
            fs.create(ext4::ROOT, name.as_bytes(), ext4::Kind::Directory, 0o700, (0, 0))?;
            fs.sync()?;
            fs.lookup(ext4::ROOT, name.as_bytes())
        }
        found => found,
    }
}
