// SPDX-License-Identifier: PMPL-1.0-or-later
//! Disks that sgdisk made: read, damaged, mended, cut off at every write, and given back to sgdisk to check.

use blocks::{ReadError, SectorRead, check_range};
use gpt::{Change, ChangeError, Disk, Fault, SlotAttributes, Source, Table, Write, types};
use std::{path::PathBuf, process::Command, sync::OnceLock};

/// Half a MiB: tests copy it thousands of times.
const SECTORS: usize = 1024;

/// A disk in memory.
#[derive(Clone)]
struct Image(Vec<u8>);

impl SectorRead for Image {
    fn sector_bytes(&self) -> u32 {
        512
    }

    fn sector_count(&self) -> u64 {
        (self.0.len() / 512) as u64
    }

    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        check_range(lba, out.len(), 512, self.sector_count())?;
        let start = lba as usize * 512;
        out.copy_from_slice(&self.0[start..start + out.len()]);
        Ok(())
    }
}

impl Image {
    fn apply(&mut self, write: &Write) {
        let start = write.lba as usize * 512;
        self.0[start..start + write.bytes.len()].copy_from_slice(&write.bytes);
    }

    fn read(&self) -> Disk {
        Disk::read(&mut self.clone())
    }

    fn slots(&self) -> Vec<SlotAttributes> {
        self.read().table().unwrap().0.slots().iter().map(|entry| entry.slot_attributes()).collect()
    }

    /// Recomputes both checksums of the primary, so that a test reaches the check behind them.
    fn seal_primary(&mut self) {
        let count = u32::from_le_bytes(self.0[512 + 80..512 + 84].try_into().unwrap()) as usize;
        let bytes = u32::from_le_bytes(self.0[512 + 84..512 + 88].try_into().unwrap()) as usize;
        let length = count.saturating_mul(bytes).min(32 * 512);
        let entries = gpt::crc32(&self.0[1024..1024 + length]);
        self.0[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
        self.0[512 + 16..512 + 20].fill(0);
        let size = u32::from_le_bytes(self.0[512 + 12..512 + 16].try_into().unwrap()).min(512) as usize;
        let header = gpt::crc32(&self.0[512..512 + size]);
        self.0[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
    }

    /// The primary with bytes changed at an offset of the disk and the checksums made right again.
    fn forged(at: usize, bytes: &[u8]) -> Result<Table, Fault> {
        let mut image = disk();
        image.0[at..at + bytes.len()].copy_from_slice(bytes);
        image.seal_primary();
        image.read().primary
    }
}

fn sgdisk(arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("sgdisk").args(arguments).env("PATH", path).output().expect("sgdisk (package gdisk)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "sgdisk {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("flatracoon-gpt-{}-{name}", std::process::id()))
}

/// ESP, ROOT-A (priority 1, successful), ROOT-B (nothing), DATA.
fn disk() -> Image {
    static DISK: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let path = temporary("made");
        std::fs::File::create(&path).unwrap().set_len(SECTORS as u64 * 512).unwrap();
        let slot = "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6";
        let file = path.to_str().unwrap();
        sgdisk(&[
            "-a8",
            "-n1:40:103",
            "-t1:ef00",
            "-c1:ESP",
            "-n2:104:231",
            &format!("-t2:{slot}"),
            "-c2:ROOT-A",
            "-A2:set:56",
            "-A2:set:48",
            "-n3:232:359",
            &format!("-t3:{slot}"),
            "-c3:ROOT-B",
            "-n4:360:487",
            "-t4:8300",
            "-c4:DATA",
            file,
        ]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bytes
    };
    Image(DISK.get_or_init(make).clone())
}

fn attributes(priority: u8, tries: u8, successful: bool) -> SlotAttributes {
    SlotAttributes::new(priority, tries, successful).unwrap()
}

/// ROOT-B is to be tried.
fn promote_b(image: &Image) -> Vec<Write> {
    image.read().set_attributes(&[Change { index: 2, attributes: attributes(2, 3, false) }]).unwrap()
}

fn check_with_sgdisk(image: &Image, name: &str) {
    let path = temporary(name);
    std::fs::write(&path, &image.0).unwrap();
    let text = sgdisk(&["-v", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert!(text.contains("No problems found"), "{text}");
}

#[test]
fn a_disk_of_sgdisk_is_read() {
    let disk = disk().read();
    let (table, source) = disk.table().unwrap();
    assert_eq!((source, disk.protective_mbr, disk.needs_repair()), (Source::Primary, true, false));
    let names: Vec<&str> = table.entries().iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["ESP", "ROOT-A", "ROOT-B", "DATA"]);
    assert_eq!(table.by_label("ESP").unwrap().type_guid, types::EFI_SYSTEM);
    assert_eq!(table.by_label("DATA").unwrap().type_guid, types::LINUX_DATA);
    let slots = table.slots();
    assert_eq!((slots.len(), slots[0].first_lba, slots[0].last_lba, slots[0].attributes), (2, 104, 231, 0x0101_0000_0000_0000));
    assert_eq!(table.by_guid(slots[1].unique_guid).unwrap().name, "ROOT-B");
}

#[test]
fn changed_attributes_stand_in_both_copies_and_sgdisk_agrees() {
    let mut image = disk();
    let writes = promote_b(&image);
    // One sector of entries and a header, in each copy.
    assert_eq!(writes.iter().map(|write| write.lba).collect::<Vec<_>>(), [2, 1, SECTORS as u64 - 33, SECTORS as u64 - 1]);
    writes.iter().for_each(|write| image.apply(write));
    assert_eq!(image.slots(), [attributes(1, 0, true), attributes(2, 3, false)]);
    assert!(!image.read().needs_repair());
    check_with_sgdisk(&image, "changed");
}

#[test]
fn an_unchanged_attribute_writes_nothing() {
    let change = Change { index: 1, attributes: attributes(1, 0, true) };
    assert_eq!(disk().read().set_attributes(&[change]), Ok(vec![]));
}

#[test]
fn a_power_cut_at_any_write_leaves_all_of_the_old_or_all_of_the_new() {
    let (old, new) =
        (vec![attributes(1, 0, true), attributes(0, 0, false)], vec![attributes(1, 0, true), attributes(2, 3, false)]);
    let undamaged = disk();
    let mut no_primary = disk();
    no_primary.0[600] ^= 1;
    let mut no_backup = disk();
    let last = no_backup.0.len() - 500;
    no_backup.0[last] ^= 1;
    for start in [undamaged, no_primary, no_backup] {
        let writes = promote_b(&start);
        for done in 0..=writes.len() {
            let mut image = start.clone();
            writes[..done].iter().for_each(|write| image.apply(write));
            // The next write may be torn anywhere as well.
            for torn in [0, 1, 256, 511] {
                let mut image = image.clone();
                if let Some(write) = writes.get(done) {
                    image.apply(&Write {
                        lba: write.lba,
                        bytes: [&write.bytes[..torn], &image.0[write.lba as usize * 512 + torn..][..512 - torn]].concat(),
                    });
                }
                let found = image.slots();
                assert!(found == old || found == new, "after {done} writes and {torn} bytes: {found:?}");
                // Whatever the cut left, the next change works and both copies are whole after it.
                promote_b(&image).iter().for_each(|write| image.apply(write));
                assert_eq!(image.slots(), new);
                assert!(!image.read().needs_repair());
            }
        }
    }
}

#[test]
fn a_damaged_primary_is_mended_from_the_backup() {
    let mut image = disk();
    image.0[512..512 + 33 * 512].fill(0xff);
    let disk = image.read();
    assert_eq!((&disk.primary, disk.table().unwrap().1), (&Err(Fault::Signature), Source::Backup));
    disk.repair().unwrap().iter().for_each(|write| image.apply(write));
    assert_eq!(image.0, self::disk().0);
    check_with_sgdisk(&image, "mended-primary");
}

#[test]
fn a_damaged_backup_is_mended_from_the_primary() {
    let mut image = disk();
    let end = image.0.len();
    image.0[end - 33 * 512..].fill(0);
    image.read().repair().unwrap().iter().for_each(|write| image.apply(write));
    assert_eq!(image.0, disk().0);
}

#[test]
fn copies_that_differ_are_made_equal_before_a_change() {
    let mut image = disk();
    // A cut after the primary was written.
    promote_b(&image)[..2].iter().for_each(|write| image.apply(write));
    let disk = image.read();
    assert!(disk.needs_repair() && disk.backup.is_ok());
    disk.repair().unwrap().iter().for_each(|write| image.apply(write));
    assert_eq!(image.slots()[1], attributes(2, 3, false));
    assert!(!image.read().needs_repair());
}

#[test]
fn a_disk_that_grew_keeps_its_backup_where_the_primary_says() {
    let mut image = disk();
    image.0.extend(vec![0; 2048 * 512]);
    assert!(image.read().backup.is_ok());
    promote_b(&image).iter().for_each(|write| image.apply(write));
    assert_eq!(image.slots()[1], attributes(2, 3, false));
}

#[test]
fn both_copies_damaged_are_refused() {
    let mut image = disk();
    image.0[520] ^= 1;
    let last = image.0.len() - 1;
    image.0[last - 511] ^= 1;
    let disk = image.read();
    assert!(matches!(disk.table(), Err(ChangeError::BothDamaged { .. })));
    assert!(disk.repair().is_err());
}

#[test]
fn a_partition_that_is_not_there_cannot_be_changed() {
    let change = Change { index: 9, attributes: SlotAttributes::UNBOOTABLE };
    assert_eq!(disk().read().set_attributes(&[change]), Err(ChangeError::NoSuchPartition { index: 9 }));
}

#[test]
fn every_flipped_bit_of_a_copy_is_noticed() {
    let image = disk();
    for bit in 0..(92 + 128 * 4) * 8 {
        let mut image = image.clone();
        let byte = if bit / 8 < 92 { 512 + bit / 8 } else { 1024 + bit / 8 - 92 };
        image.0[byte] ^= 1 << (bit % 8);
        assert!(image.read().primary.is_err(), "bit {bit}");
        assert_eq!(image.read().table().unwrap().1, Source::Backup);
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let header = |at: usize, value: &[u8]| Image::forged(512 + at, value).unwrap_err();
    assert_eq!(header(0, b"EFI PARK"), Fault::Signature);
    assert_eq!(header(8, &2u32.to_le_bytes()), Fault::Revision { found: 2 });
    assert_eq!(header(12, &91u32.to_le_bytes()), Fault::HeaderSize { bytes: 91 });
    assert_eq!(header(12, &513u32.to_le_bytes()), Fault::HeaderSize { bytes: 513 });
    assert_eq!(header(24, &2u64.to_le_bytes()), Fault::MyLba { found: 2, expected: 1 });
    assert_eq!(header(32, &1u64.to_le_bytes()), Fault::AlternateLba { found: 1 });
    assert_eq!(header(32, &u64::MAX.to_le_bytes()), Fault::AlternateLba { found: u64::MAX });
    assert!(matches!(header(40, &u64::MAX.to_le_bytes()), Fault::UsableRange { .. }));
    assert!(matches!(header(48, &(SECTORS as u64 - 1).to_le_bytes()), Fault::AlternateLba { .. } | Fault::UsableRange { .. }));
    assert_eq!(header(72, &1u64.to_le_bytes()), Fault::EntryArray { lba: 1 });
    assert_eq!(header(72, &150u64.to_le_bytes()), Fault::EntryArray { lba: 150 });
    assert_eq!(header(72, &u64::MAX.to_le_bytes()), Fault::EntryArray { lba: u64::MAX });
    assert_eq!(header(80, &u32::MAX.to_le_bytes()), Fault::EntryShape { count: u32::MAX, bytes: 128 });
    assert_eq!(header(84, &100u32.to_le_bytes()), Fault::EntryShape { count: 128, bytes: 100 });
}

#[test]
fn partitions_that_overlap_are_refused() {
    let entry = |index: usize, at: usize, value: &[u8]| Image::forged(1024 + index * 128 + at, value).unwrap_err();
    assert_eq!(entry(2, 32, &200u64.to_le_bytes()), Fault::Overlap { first_index: 1, second_index: 2 });
    assert_eq!(entry(2, 40, &200u64.to_le_bytes()), Fault::PartitionRange { index: 2, first: 232, last: 200 });
    assert_eq!(entry(3, 40, &u64::MAX.to_le_bytes()), Fault::PartitionRange { index: 3, first: 360, last: u64::MAX });
    assert_eq!(entry(0, 32, &3u64.to_le_bytes()), Fault::PartitionRange { index: 0, first: 3, last: 103 });
}

#[test]
fn a_duplicate_guid_is_refused() {
    let guid = disk().0[1024 + 128 + 16..1024 + 128 + 32].to_vec();
    assert!(matches!(Image::forged(1024 + 256 + 16, &guid), Err(Fault::DuplicateGuid { .. })));
}

#[test]
fn a_disk_too_small_for_a_table_is_refused() {
    assert!(matches!(Image(vec![0; 1024]).read().primary, Err(Fault::Geometry { sectors: 2, .. })));
    assert!(matches!(Image(vec![]).read().backup, Err(Fault::Geometry { sectors: 0, .. })));
}

/// 16 sectors of 4096 bytes; sgdisk makes no such disk in a file, so this one is made by hand.
struct LargeSectors(Vec<u8>);

impl SectorRead for LargeSectors {
    fn sector_bytes(&self) -> u32 {
        4096
    }

    fn sector_count(&self) -> u64 {
        16
    }

    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        check_range(lba, out.len(), 4096, 16)?;
        out.copy_from_slice(&self.0[lba as usize * 4096..][..out.len()]);
        Ok(())
    }
}

#[test]
fn a_disk_of_4096_byte_sectors_is_read_and_changed() {
    let mut disk = LargeSectors(vec![0; 16 * 4096]);
    let mut entry = [0u8; 128];
    entry[..16].copy_from_slice(&types::SLOT.0);
    entry[16] = 1;
    entry[32..40].copy_from_slice(&6u64.to_le_bytes());
    entry[40..48].copy_from_slice(&9u64.to_le_bytes());
    let mut entries = vec![0u8; 128 * 128];
    entries[..128].copy_from_slice(&entry);
    let mut header = vec![0u8; 92];
    header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
    for (at, number) in [(24, 1u64), (32, 15), (40, 6), (48, 10), (72, 2)] {
        header[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    for (at, number) in [(80, 128u32), (84, 128), (88, gpt::crc32(&entries))] {
        header[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    let sum = gpt::crc32(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk.0[4096..4096 + 92].copy_from_slice(&header);
    disk.0[8192..8192 + entries.len()].copy_from_slice(&entries);
    let writes = Disk::read(&mut disk).set_attributes(&[Change { index: 0, attributes: attributes(3, 2, false) }]).unwrap();
    // The backup is made first: entries in the four sectors before its header.
    assert_eq!(writes.iter().map(|write| write.lba).collect::<Vec<_>>(), [11, 15, 2, 1, 11, 15]);
    for write in &writes {
        disk.0[write.lba as usize * 4096..][..write.bytes.len()].copy_from_slice(&write.bytes);
    }
    let found = Disk::read(&mut disk);
    assert!(!found.needs_repair() && found.backup.is_ok());
    assert_eq!(found.table().unwrap().0.slots()[0].slot_attributes(), attributes(3, 2, false));
}

proptest::proptest! {
    #[test]
    fn mutated_tables_never_panic(changes in proptest::collection::vec((0usize..33 * 512, proptest::num::u8::ANY), 1..20), seal: bool) {
        let mut image = disk();
        for (at, value) in changes {
            image.0[512 + at] = value;
            let end = image.0.len();
            image.0[end - 1 - at] = value;
        }
        if seal {
            image.seal_primary();
        }
        let disk = image.read();
        let change = Change { index: 1, attributes: attributes(15, 15, true) };
        if let Ok(writes) = disk.set_attributes(&[change]) {
            for write in writes {
                proptest::prop_assert!(write.lba > 0 && (write.lba as usize * 512) + write.bytes.len() <= image.0.len());
            }
        }
    }
}
