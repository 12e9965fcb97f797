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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use std::cell::RefCell;
    use std::process::Command;
    use std::rc::Rc;

    const SECTORS: usize = 24 * 2048;

    /// A disk that tells `told` as its size and has `real` sectors.
    #[derive(Clone)]
    struct Fake {
        bytes: Rc<RefCell<Vec<u8>>>,
        told: u64,
        real: usize,
    }
    impl SectorRead for Fake {
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn sector_count(&self) -> u64 {
            self.told
        }
        fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
            let bytes = self.bytes.borrow();
            blocks::Memory(&bytes[..self.real * 512]).read_sectors(lba, out)
        }
    }
    impl Medium for Fake {
        fn write(&mut self, lba: u64, bytes: &[u8]) -> Result<(), ReadError> {
            let at = lba as usize * 512;
            if at + bytes.len() > self.real * 512 {
                return Err(ReadError::Device { code: 5 });
            }
            self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
        fn flush(&mut self) -> Result<(), ReadError> {
            Ok(())
        }
    }
    /// One partition DATA, made by sgdisk (package gdisk).
    fn disk() -> Fake {
        let path = std::env::temp_dir().join(format!("flatracoon-storage-data-{}", std::process::id()));
        std::fs::File::create(&path).unwrap().set_len(SECTORS as u64 * 512).unwrap();
        let made = Command::new("sgdisk")
            .args(["-a8", "-n1:2048:0", "-c1:DATA"])
            .arg(&path)
            .env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin")
            .output()
            .expect("sgdisk (package gdisk)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        Fake { bytes: Rc::new(RefCell::new(bytes)), told: SECTORS as u64, real: SECTORS }
    }

    #[test]
    fn a_disk_that_lies_about_its_size_is_refused_or_an_error_where_it_ends() {
        let disk = disk();
        let (part, guid) = find(disk.clone()).unwrap();
        assert!(mount(part, guid, 1, &[]).is_some());
        // Smaller than its own partition table says.
        let table_stays = disk.bytes.borrow().len() as u64 / 512 - 5000;
        assert!(find(Fake { told: table_stays, ..disk.clone() }).is_none());
        // It tells more than it has: what is read behind the end is an error, and nobody falls over it.
        for real in [100, 2048, 2056, 9000, 20_000, SECTORS - 8] {
            let lying = Fake { real, bytes: Rc::new(RefCell::new(disk.bytes.borrow().clone())), ..disk.clone() };
            let Some((part, guid)) = find(lying) else { continue };
            let Some(mut fs) = mount(part, guid, 1, &[]) else { continue };
            let made = fs.create(ext4::ROOT, b"file", ext4::Kind::File, 0o600, (0, 0));
            let written = made.and_then(|file| fs.write(file, 0, &[7; 1 << 20]));
            let kept = written.and_then(|done| fs.sync().map(|()| done));
            assert!(matches!(kept, Ok(_) | Err(ext4::Error::Device(_) | ext4::Error::NoSpace)), "{real}: {kept:?}");
        }
    }
}
