// SPDX-License-Identifier: PMPL-1.0-or-later
//! What we make and write is what e2fsprogs expects, and the other way round.

mod common;
use common::{BLOCK, Disk, Image, NOW, check};
use ext4::{Error, Ext4, Kind, Quota, ROOT, Replace, XattrSet};

const OWNER: (u32, u32) = (1000, 70_000);

#[test]
fn a_new_file_system_is_what_e2fsck_expects() {
    for blocks in [16 * 1024, 32 * 1024, 40 * 1024, 70 * 1024 + 13] {
        let disk = Disk::made(blocks);
        check(&disk, "made");
        disk.mount().unmount().unwrap();
        check(&disk, "mounted and unmounted");
    }
}

/// One of everything.
fn fill(fs: &mut Ext4<Disk>) {
    let d = fs.create(ROOT, b"d", Kind::Directory, 0o755, OWNER).unwrap();
    let file = fs.create(d, b"file", Kind::File, 0o644, OWNER).unwrap();
    assert_eq!(fs.write(file, 0, b"hello").unwrap(), 5);
    let big = fs.create(d, b"sparse", Kind::File, 0o600, OWNER).unwrap();
    fs.write(big, 5 << 30, &[7; 10_000]).unwrap();
    fs.write(big, 123_456, &[8; 300_000]).unwrap();
    fs.allocate(big, 1 << 20, 1 << 20, true).unwrap();
    fs.write(big, (1 << 20) + 4096 * 3 + 5, b"inside what was reserved").unwrap();
    fs.link(file, ROOT, b"hard").unwrap();
    fs.symlink(ROOT, b"short", b"d/file", OWNER).unwrap();
    fs.symlink(ROOT, b"long", &[b'x'; 300], OWNER).unwrap();
    fs.create(d, b"fifo", Kind::Fifo, 0o600, OWNER).unwrap();
    fs.create(d, b"socket", Kind::Socket, 0o600, OWNER).unwrap();
    fs.device_node(d, b"null", Kind::CharacterDevice, 0o666, OWNER, (1, 3)).unwrap();
    fs.device_node(d, b"big", Kind::BlockDevice, 0o660, OWNER, (259, 70_000)).unwrap();
    fs.set_attribute(file, b"user.small", b"value", XattrSet::Any).unwrap();
    fs.set_attribute(file, b"security.capability", &[1; 2000], XattrSet::Create).unwrap();
    fs.set_attribute(file, b"trusted.other", &[2; 50], XattrSet::Any).unwrap();
    fs.set_attribute(d, b"user.empty", b"", XattrSet::Any).unwrap();
    fs.rename(d, b"socket", ROOT, b"moved", Replace::Allow).unwrap();
    let deep = fs.create(d, b"deep", Kind::Directory, 0o700, OWNER).unwrap();
    fs.rename(d, b"deep", ROOT, b"deeper", Replace::Allow).unwrap();
    fs.create(deep, b"x", Kind::File, 0o600, OWNER).unwrap();
}

#[test]
fn one_of_everything_is_what_e2fsck_and_debugfs_expect() {
    let disk = Disk::made(16 * 1024);
    let mut fs = disk.mount();
    fill(&mut fs);
    fs.sync().unwrap();
    let stat = fs.lookup(ROOT, b"hard").and_then(|n| fs.stat(n)).unwrap();
    assert_eq!((stat.links, stat.size_bytes, stat.uid, stat.gid, stat.modified), (2, 5, 1000, 70_000, NOW));
    fs.unmount().unwrap();
    check(&disk, "filled");
    let image = Image::of(&disk);
    let (_, text) = image.tool("debugfs", &["-R", "stat /d/file"]);
    assert!(text.contains("user.small (5) = \"value\"") && text.contains("Links: 2"), "{text}");
    let (_, text) = image.tool("debugfs", &["-R", "stat /d/big"]);
    assert!(text.contains("259:70000"), "{text}");
    let (_, text) = image.tool("debugfs", &["-R", "cat /d/file"]);
    assert!(text.starts_with("hello"), "{text}");

    let mut fs = disk.mount();
    let d = fs.lookup(ROOT, b"d").unwrap();
    let big = fs.lookup(d, b"sparse").unwrap();
    let mut out = vec![1; 2 << 20];
    assert_eq!(fs.read(big, 0, &mut out).unwrap(), out.len());
    let reserved = (1 << 20) + 4096 * 3 + 5;
    let mut want = vec![0; 2 << 20];
    want[123_456..423_456].fill(8);
    want[reserved..reserved + 24].copy_from_slice(b"inside what was reserved");
    assert!(out == want);
    let mut out = [0; 20_000];
    assert_eq!(fs.read(big, 5 << 30, &mut out).unwrap(), 10_000);
    assert!(out[..10_000] == [7; 10_000]);
    let node = fs.lookup(d, b"big").and_then(|n| fs.stat(n)).unwrap();
    assert_eq!((node.kind, node.device), (Kind::BlockDevice, (259, 70_000)));
    let long = fs.lookup(ROOT, b"long").unwrap();
    assert_eq!(fs.read_link(long).unwrap(), [b'x'; 300]);
    let file = fs.lookup(ROOT, b"hard").unwrap();
    assert_eq!(fs.attribute(file, b"security.capability").unwrap(), [1; 2000]);
    assert_eq!(fs.attribute_names(file).unwrap().len(), 3);
    assert_eq!(fs.attribute(file, b"user.nothing"), Err(Error::NoAttribute));

    // And all of it goes away again, with every block and inode.
    let before = disk.copy();
    let empty = Disk::made(16 * 1024).mount().space().unwrap();
    for (name, directory) in [(&b"hard"[..], false), (b"short", false), (b"long", false), (b"moved", false)] {
        assert!(!directory);
        fs.unlink(ROOT, name).unwrap();
    }
    for name in [&b"file"[..], b"sparse", b"fifo", b"null", b"big"] {
        fs.unlink(d, name).unwrap();
    }
    assert_eq!(fs.remove_directory(ROOT, b"deeper"), Err(Error::NotEmpty));
    let deep = fs.lookup(ROOT, b"deeper").unwrap();
    fs.unlink(deep, b"x").unwrap();
    fs.remove_directory(ROOT, b"deeper").unwrap();
    fs.remove_directory(ROOT, b"d").unwrap();
    assert_eq!(fs.space().unwrap(), empty);
    fs.unmount().unwrap();
    check(&disk, "emptied");
    assert_ne!(before.0.borrow().bytes, disk.0.borrow().bytes);
}

#[test]
fn a_directory_of_a_hundred_thousand_entries_has_a_right_index() {
    let disk = Disk::made(32 * 1024);
    let mut fs = disk.mount();
    let d = fs.create(ROOT, b"many", Kind::Directory, 0o755, OWNER).unwrap();
    let first = fs.create(d, b"first", Kind::File, 0o644, OWNER).unwrap();
    fs.unlink(d, b"first").unwrap();
    let name = |n: u32| format!("an-entry-with-a-name-{n}");
    let mut file = first;
    for n in 0..100_000u32 {
        // A file has 65,000 names at most.
        if n % 50_000 == 0 {
            file = fs.create(d, name(n).as_bytes(), Kind::File, 0o644, OWNER).unwrap();
        } else {
            fs.link(file, d, name(n).as_bytes()).unwrap();
        }
    }
    let (mut cookie, mut seen) = (Some(0), 0);
    while let Some(at) = cookie {
        let (entries, next) = fs.list(d, at, 500).unwrap();
        (cookie, seen) = (next, seen + entries.len());
    }
    assert_eq!(seen, 100_002);
    for n in (0..100_000).step_by(997) {
        fs.lookup(d, name(n).as_bytes()).unwrap();
    }
    assert_eq!(fs.lookup(d, b"an-entry-with-a-name-100000"), Err(Error::NotFound));
    fs.unmount().unwrap();
    check(&disk, "100,000 entries");
    let (_, text) = Image::of(&disk).tool("debugfs", &["-R", "htree_dump /many"]);
    assert!(text.contains("Indirect levels: 1") || text.contains("Indirect Levels: 1"), "{}", &text[..400]);
    let mut fs = disk.mount();
    for n in 0..100_000 {
        fs.unlink(d, name(n).as_bytes()).unwrap();
    }
    fs.remove_directory(ROOT, b"many").unwrap();
    fs.unmount().unwrap();
    check(&disk, "emptied");
}

#[test]
fn it_grows_with_its_partition() {
    let disk = Disk::made(16 * 1024);
    let mut fs = disk.mount();
    fill(&mut fs);
    for blocks in [20_000, 33_000, 70_000] {
        disk.grow(blocks);
        let before = fs.space().unwrap();
        let gained = fs.grow().unwrap();
        let after = fs.space().unwrap();
        assert_eq!(after.blocks, before.blocks + gained);
        check_mounted(&disk, "grown");
    }
    assert_eq!(fs.grow().unwrap(), 0);
    fs.unmount().unwrap();
    check(&disk, "grown");
}

/// As after a power cut: replayed, then checked.
fn check_mounted(disk: &Disk, when: &str) {
    let copy = disk.copy();
    copy.mount().unmount().unwrap();
    check(&copy, when);
}

#[test]
fn what_mke2fs_makes_is_taken_and_kept_right() {
    for features in ["^project", "project", "^flex_bg,meta_bg,^resize_inode"] {
        let image = Image::path();
        std::fs::write(&image.0, vec![0; 200 << 20]).unwrap();
        let arguments = ["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-O", &format!("metadata_csum,64bit,{features}")];
        let (code, text) = image.tool("mke2fs", &arguments);
        assert_eq!(code, 0, "{text}");
        let disk = Disk::of(std::fs::read(&image.0).unwrap());
        match Ext4::mount(disk.clone(), NOW) {
            Ok(mut fs) => {
                fill(&mut fs);
                fs.unmount().unwrap();
                check(&disk, features);
            }
            // Project quotas of Linux come with files that would go stale here.
            Err(error) => assert!(features == "project" && matches!(error, Error::Unsupported(_)), "{features}: {error}"),
        }
    }
}

#[test]
fn quotas_hold_and_are_there_after_a_mount() {
    let disk = Disk::made(16 * 1024);
    let mut fs = disk.mount();
    let cell = fs.create(ROOT, b"cell", Kind::Directory, 0o755, OWNER).unwrap();
    fs.set_quota(cell, Quota { bytes: 1 << 20, inodes: 5 }).unwrap();
    let below = fs.create(cell, b"below", Kind::Directory, 0o755, OWNER).unwrap();
    let file = fs.create(below, b"file", Kind::File, 0o644, OWNER).unwrap();
    let written = fs.write(file, 0, &vec![1; 2 << 20]).unwrap();
    // Two directories have a block each.
    assert_eq!(written, (1 << 20) - 2 * BLOCK);
    assert_eq!(fs.write(file, 2 << 20, b"more"), Err(Error::Quota));
    fs.write(file, 0, b"what is there can be written over").unwrap();
    fs.create(cell, b"4", Kind::File, 0o644, OWNER).unwrap();
    fs.create(cell, b"5", Kind::File, 0o644, OWNER).unwrap();
    assert_eq!(fs.create(cell, b"6", Kind::File, 0o644, OWNER), Err(Error::Quota));
    let outside = fs.create(ROOT, b"outside", Kind::File, 0o644, OWNER).unwrap();
    assert_eq!(fs.link(outside, cell, b"in"), Err(Error::OtherQuota));
    assert_eq!(fs.rename(cell, b"4", ROOT, b"out", Replace::Allow), Err(Error::OtherQuota));
    assert_eq!(fs.set_quota(ROOT, Quota::default()), Err(Error::NotEmpty));
    let used = fs.quota(cell).unwrap();
    fs.unmount().unwrap();
    check(&disk, "with a quota");
    let mut fs = disk.mount();
    assert_eq!(fs.quota(cell).unwrap(), used);
    fs.truncate(file, 0).unwrap();
    assert_eq!(fs.quota(cell).unwrap().1.bytes, 2 * BLOCK as u64);
    fs.write(file, 0, &vec![1; 100_000]).unwrap();
}
