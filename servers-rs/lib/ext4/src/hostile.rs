// SPDX-License-Identifier: PMPL-1.0-or-later
//! Corrupt images whose checksums are right, as an attacker makes them: in these tests alone, checksums of metadata are not looked at.

extern crate std;
use crate::{BLOCK, Ext4, Kind, ROOT, Replace, Time, XattrSet};
use blocks::{BlockRead, BlockWrite, ReadError, check_range};
use core::cell::Cell;
use std::vec::Vec;
use std::{format, thread_local, vec};

thread_local! {
    static IGNORED: Cell<bool> = const { Cell::new(false) };
}
/// Whether this thread takes wrong checksums for right ones.
pub fn checksums_are_ignored() -> bool {
    IGNORED.get()
}

#[derive(Clone)]
struct Disk(Vec<u8>);
impl BlockRead for Disk {
    fn block_count(&self) -> u64 {
        (self.0.len() / BLOCK) as u64
    }
    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        blocks::Memory(&self.0).read_blocks(first, out)
    }
}
impl BlockWrite for Disk {
    fn write_blocks(&mut self, first: u64, bytes: &[u8]) -> Result<(), ReadError> {
        check_range(first, bytes.len(), BLOCK, self.block_count())?;
        let at = first as usize * BLOCK;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), ReadError> {
        Ok(())
    }
}

struct Random(u64);
impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % end.max(1)
    }
}

/// Deep trees, an index, attributes, links, an orphan, and a journal that is not empty.
fn image() -> Disk {
    let mut disk = Disk(vec![0; 2048 * BLOCK]);
    crate::make(&mut disk, [9; 16], "DATA", Time::default()).unwrap();
    let mut fs = Ext4::mount(disk, Time::default()).unwrap();
    let many = fs.create(ROOT, b"many", Kind::Directory, 0o755, (0, 0)).unwrap();
    for n in 0..400 {
        fs.create(many, format!("a-rather-long-name-{n}").as_bytes(), Kind::File, 0o644, (0, 0)).unwrap();
    }
    let holes = fs.create(ROOT, b"holes", Kind::File, 0o644, (0, 0)).unwrap();
    (0..20).for_each(|n| assert_eq!(fs.write(holes, n * 50_000, &[7; 5000]), Ok(5000)));
    fs.set_attribute(holes, b"user.big", &[1; 1000], XattrSet::Any).unwrap();
    fs.symlink(ROOT, b"link", &[b'x'; 200], (0, 0)).unwrap();
    fs.hold(holes).unwrap();
    fs.link(holes, many, b"again").unwrap();
    let gone = fs.create(ROOT, b"gone", Kind::File, 0o644, (0, 0)).unwrap();
    fs.hold(gone).unwrap();
    fs.unlink(ROOT, b"gone").unwrap();
    fs.sync().unwrap();
    fs.store.device
}

fn use_it(disk: Disk) {
    let Ok(mut fs) = Ext4::mount(disk, Time::default()) else { return };
    let (mut rest, mut steps, mut out) = (vec![ROOT], 0, vec![0; 9000]);
    while let Some(inode) = rest.pop().filter(|_| steps < 60) {
        steps += 1;
        let _ = (fs.stat(inode), fs.read_link(inode), fs.read(inode, 49_000, &mut out), fs.attribute_names(inode));
        let (mut cookie, mut pages) = (Some(0), 0);
        while let Some(at) = cookie.filter(|_| pages < 20) {
            let Ok((entries, next)) = fs.list(inode, at, 100) else { break };
            rest.extend(entries.iter().filter(|e| e.name != b"." && e.name != b"..").map(|e| e.inode).take(9));
            (cookie, pages) = (next, pages + 1);
        }
        let _ = fs.create(inode, b"new", Kind::Directory, 0o755, (0, 0));
        let _ = (fs.lookup(inode, b"a-rather-long-name-77"), fs.rename(inode, b"new", ROOT, b"here", Replace::Allow));
        let _ = (fs.unlink(inode, b"a-rather-long-name-5"), fs.remove_directory(ROOT, b"here"), fs.set_mode(inode, 0o700));
        let _ = (fs.set_attribute(inode, b"user.more", &[5; 300], XattrSet::Any), fs.write(inode, 120_000, &out));
        let _ = (fs.truncate(inode, 100), fs.allocate(inode, 0, 50_000, false), fs.sync());
    }
    let _ = (fs.grow(), fs.unmount());
}

#[test]
fn a_corrupt_image_with_right_checksums_is_an_error_and_never_a_panic() {
    let good = image();
    let used: Vec<usize> = (0..2048).filter(|b| good.0[b * BLOCK..(b + 1) * BLOCK].iter().any(|byte| *byte != 0)).collect();
    let mut random = Random(0x1234_5678_9abc);
    IGNORED.set(true);
    use_it(good.clone());
    let rounds = if std::env::var_os("FLATRACOON_TEST_LONG").is_some() { 10_000 } else { 800 };
    for _ in 0..rounds {
        let mut bad = good.clone();
        for _ in 0..1 + random.below(6) {
            // The first blocks and the tables are where the structure is; names and data are dull.
            let among = if random.below(2) == 0 { 12 } else { used.len() };
            let block = used[random.below(among)];
            let at = block * BLOCK + random.below(BLOCK / 4) * 4;
            let value = [0u32, 1, 2, 0xff, 0x7fff, 0x8000, 0xffff, u32::MAX, u32::MAX - 1, 1 << 20][random.below(10)];
            match random.below(3) {
                0 => bad.0[at..at + 4].copy_from_slice(&value.to_le_bytes()),
                1 => bad.0[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes()),
                _ => bad.0[at + random.below(4)] = random.below(256) as u8,
            }
        }
        use_it(bad);
    }
    IGNORED.set(false);
}
