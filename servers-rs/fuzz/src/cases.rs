// SPDX-License-Identifier: PMPL-1.0-or-later
//! One function per target: it takes foreign bytes, and panics when a promise is broken. Beside "never panics" the promises are:
//! what is planned to be written lies where it may, what was parsed is written and parsed again as the same, what a reader walks ends.

use blocks::{BLOCK_BYTES, BlockRead, Memory};
use ed25519_compact::{KeyPair, Seed};
use ostree::{Commit, DirMeta, DirTree, FileHeader, ObjectId, View};
use slot::{KeySet, Layout, Policy, Release, TRAILER_BYTES, Trailer, TrustedKey};
use verity::{Superblock, Verified};

/// A disk. When the first byte is odd, both checksums of the primary are made right first, so that what lies behind is reached.
pub fn gpt(data: &[u8]) {
    let Some((mode, disk)) = data.split_first() else {
        return;
    };
    let mut disk = disk.to_vec();
    disk.truncate(1 << 20);
    if mode % 2 == 1 {
        seal(&mut disk);
    }
    let found = gpt::Disk::read(&mut Memory(&disk));
    let Ok((table, _)) = found.table() else {
        return;
    };
    let slots: Vec<_> = table.slots().iter().map(|entry| entry.slot_attributes()).collect();
    assert_eq!(gpt::choose(&slots), gpt::candidates(&slots).first().copied());
    let attributes = gpt::SlotAttributes::new(15, 15, true).unwrap();
    for entry in table.entries() {
        let Ok(writes) = found.set_attributes(&[gpt::Change { index: entry.index, attributes }]) else {
            continue;
        };
        for write in &writes {
            let last = write.lba + (write.bytes.len() as u64).div_ceil(512) - 1;
            assert!(write.lba > 0 && last < disk.len() as u64 / 512, "a write outside of the disk");
            let hit = table.entries().iter().find(|entry| write.lba <= entry.last_lba && last >= entry.first_lba);
            assert!(hit.is_none(), "a write into a partition");
            disk[write.lba as usize * 512..][..write.bytes.len()].copy_from_slice(&write.bytes);
        }
        let after = gpt::Disk::read(&mut Memory(&disk));
        assert!(!after.needs_repair(), "a change left the copies different");
        let (table, _) = after.table().unwrap();
        assert_eq!(table.entries().iter().find(|one| one.index == entry.index).unwrap().slot_attributes(), attributes);
        return;
    }
}

fn seal(disk: &mut [u8]) {
    let number =
        |disk: &[u8], at: usize| disk.get(at..at + 4).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()) as usize);
    let length = number(disk, 592).saturating_mul(number(disk, 596));
    let start = number(disk, 584).saturating_mul(512);
    let entries = start.checked_add(length).and_then(|end| disk.get(start..end)).map_or(0, gpt::crc32);
    if disk.len() < 1024 {
        return;
    }
    disk[600..604].copy_from_slice(&entries.to_le_bytes());
    disk[528..532].fill(0);
    let size = number(disk, 524).min(512);
    let header = gpt::crc32(&disk[512..512 + size]);
    disk[528..532].copy_from_slice(&header.to_le_bytes());
}

/// An image, its checksum turned off.
pub fn erofs(data: &[u8]) {
    let mut image = data.to_vec();
    image.truncate(1 << 20);
    image.resize(image.len().next_multiple_of(BLOCK_BYTES), 0);
    if let Some(features) = image.get_mut(1024 + 8) {
        *features &= !1;
    }
    let Ok(mut reader) = erofs::Reader::open(Memory(&image)) else {
        return;
    };
    let Ok(root) = reader.root() else { return };
    let mut pending = vec![(root, 0)];
    let mut steps = 0;
    while let Some((inode, depth)) = pending.pop() {
        steps += 1;
        if steps > 500 {
            break;
        }
        let _ = (reader.xattrs(&inode), reader.symlink(&inode), inode.device());
        let mut out = [0; 5000];
        let _ = (reader.read(&inode, 0, &mut out), reader.read(&inode, inode.size.saturating_sub(100), &mut out));
        if depth > 8 {
            continue;
        }
        let mut cookie = Some(0);
        while let Some(at) = cookie {
            let Ok((entries, next)) = reader.list(&inode, at, 50) else {
                break;
            };
            assert!(next.is_none_or(|next| next > at), "listing goes round in circles");
            for entry in entries {
                let _ = reader.lookup(&inode, &entry.name);
                if let Ok(child) = reader.inode(entry.nid) {
                    pending.push((child, depth + 1));
                }
            }
            cookie = next.filter(|_| pending.len() < 2000);
        }
    }
    for path in ["/a", "/a/b/../c", "/link", "/dir/up"] {
        let _ = (reader.resolve(path), reader.find(path));
    }
}

/// A superblock, then blocks that are read as data and tree.
pub fn verity(data: &[u8]) {
    let Ok(superblock) = Superblock::parse(data) else {
        return;
    };
    assert_eq!(Superblock::parse(&superblock.to_block()).as_ref(), Ok(&superblock));
    let geometry = superblock.geometry;
    let mut bytes = data.get(512..).unwrap_or_default().to_vec();
    bytes.truncate(1 << 20);
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    let Some(mut reader) = Verified::new(Memory(&bytes), geometry, &superblock.salt, [0; 32], geometry.data_blocks()) else {
        return;
    };
    let mut out = [1; BLOCK_BYTES];
    for block in [0, geometry.data_blocks() - 1, geometry.data_blocks(), u64::MAX] {
        assert!(reader.read_blocks(block, &mut out).is_err(), "nothing has an all-zero digest");
        assert!(out.iter().all(|byte| *byte == 0), "unverified bytes came out");
    }
}

/// An object of some kind.
pub fn ostree(data: &[u8]) {
    if let Ok(commit) = Commit::parse(data) {
        assert_eq!(Commit::parse(&commit.to_bytes()).as_ref(), Ok(&commit));
        let _ = Release::from_commit(&commit);
    }
    if let Ok(tree) = DirTree::parse(data) {
        assert_eq!(DirTree::parse(&tree.to_bytes()).as_ref(), Ok(&tree));
    }
    if let Ok(meta) = DirMeta::parse(data) {
        assert_eq!(DirMeta::parse(&meta.to_bytes()).as_ref(), Ok(&meta));
    }
    if let Ok((header, size, start)) = FileHeader::parse_archive_prefix(data) {
        assert!(start <= data.len());
        let prefix = header.archive_prefix(size);
        assert_eq!(FileHeader::parse_archive_prefix(&prefix), Ok((header, size, prefix.len())));
    }
    let _ = ostree::signatures(data);
    // The first bytes up to a zero as a type, the rest as a value of it.
    if let Some(end) = data.iter().position(|byte| *byte == 0)
        && let Ok(kind) = std::str::from_utf8(&data[..end])
        && let Ok(view) = View::new(kind, &data[end + 1..])
    {
        look_into(view, 0);
    }
}

fn look_into(view: View<'_>, depth: usize) {
    let _ = (view.bool(), view.u32(), view.u64(), view.text(), view.bytes(), view.lookup("version", 100));
    if depth > 6 {
        return;
    }
    if let Ok(inner) = view.variant() {
        look_into(inner, depth + 1);
    }
    if let Ok(elements) = view.elements(200) {
        elements.flatten().for_each(|element| look_into(element, depth + 1));
    }
    (0..8).filter_map(|index| view.member(index).ok()).for_each(|member| look_into(member, depth + 1));
}

/// Three things in one: a section of keys; a trailer; and a commit that the known key has signed, in a slot of its own.
pub fn slot(data: &[u8]) {
    if let Ok(keys) = KeySet::from_section(data) {
        assert_eq!(keys.to_section().map(|section| KeySet::from_section(&section)), Ok(Ok(keys)));
    }
    let mut bytes = data.to_vec();
    bytes.resize(TRAILER_BYTES, 0);
    if let Ok(trailer) = Trailer::parse(&bytes) {
        // What the header says of sizes is compared with the commit later, so any will do here.
        assert_eq!(trailer.to_bytes().map(|bytes| Trailer::parse(&bytes)), Ok(Ok(trailer)));
    }
    let pair = KeyPair::from_seed(Seed::new([1; 32]));
    let key = TrustedKey { public: *pair.pk, development: false, revoked: false, not_after_s: 0 };
    let keys = KeySet { minimal_rollback_index: 0, keys: vec![key] };
    let policy = Policy { keys: &keys, now_s: 0, minimal_rollback_index: 0 };
    assert!(slot::verify(Memory(&bytes), &policy).is_err(), "nobody has signed this");
    if data.is_empty() || data.len() > 4096 {
        return;
    }
    let signature = *pair.sk.sign(data, None);
    let layout = Layout::plan(32, 4).unwrap();
    let trailer = Trailer::new(&layout, data.to_vec(), ostree::signed_metadata(&[signature])).to_bytes().unwrap();
    let mut image = vec![0; (32 * BLOCK_BYTES) - TRAILER_BYTES];
    image.extend(trailer);
    if let Ok(slot) = slot::verify(Memory(&image), &policy) {
        assert_eq!(slot.commit_id, ObjectId::of(data));
    }
}
