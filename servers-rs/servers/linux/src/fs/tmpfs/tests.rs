// SPDX-License-Identifier: PMPL-1.0-or-later
//! tmpfs through its inodes; paths and calls are tested in `call/`.

use crate::errno::*;
use crate::vfs::{BytesSink, BytesSource, File, Inode, New, PAGE_BYTES};
use crate::world::{World, world};
use linux_raw_sys::general as raw;

fn file(mode: u32) -> New<'static> {
    New { mode: raw::S_IFREG | mode, uid: 0, gid: 0, represents: 0, target: &[] }
}
fn read(world: &World, file: &dyn File, at: u64, length: usize) -> std::vec::Vec<u8> {
    let mut sink = BytesSink::new(length);
    file.read(&world.caller(), at, &mut sink).unwrap();
    sink.bytes
}

#[test]
fn a_hole_reads_as_zeros_and_costs_nothing() {
    let world = world();
    let node = world.tmpfs.unnamed(0o600, 0, 0, 0);
    let before = world.pages.used();
    node.write(&world.caller(), 3 * PAGE_BYTES, &mut BytesSource(b"end")).unwrap();
    assert_eq!(world.pages.used(), before + 1);
    assert_eq!(read(&world, &*node, 3 * PAGE_BYTES - 2, 9), b"\0\0end");
    assert_eq!((node.seek_data(0), node.seek_hole(0)), (Ok(3 * PAGE_BYTES), Ok(0)));
    assert_eq!(node.seek_hole(3 * PAGE_BYTES), Ok(3 * PAGE_BYTES + 3));
    node.allocate(raw::FALLOC_FL_PUNCH_HOLE | raw::FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE_BYTES).unwrap();
    assert_eq!(world.pages.used(), before);
    assert_eq!(read(&world, &*node, 3 * PAGE_BYTES, 9), b"\0\0\0");
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let world = world();
    let node = world.tmpfs.unnamed(0o600, 0, 0, 0);
    node.write(&world.caller(), 0, &mut BytesSource(b"secret")).unwrap();
    for size in [2, 10] {
        node.set(&crate::vfs::Change { size_bytes: Some(size), ..Default::default() }).unwrap();
    }
    assert_eq!(read(&world, &*node, 0, 99), b"se\0\0\0\0\0\0\0\0");
}

#[test]
fn a_write_is_seen_in_the_mapped_page_and_the_other_way() {
    let world = world();
    let node = world.tmpfs.unnamed(0o600, 0, 0, 0);
    node.write(&world.caller(), 0, &mut BytesSource(b"one")).unwrap();
    let page = node.page(0, true).unwrap();
    node.write(&world.caller(), 0, &mut BytesSource(b"two")).unwrap();
    let mut seen = [0; 3];
    page.read(0, &mut seen);
    assert_eq!(&seen, b"two");
    page.write(1, b"HE");
    assert_eq!(read(&world, &*node, 0, 3), b"tHE");
    assert!(node.page(1, false).is_err_and(|error| error == ENXIO));
}

#[test]
fn seals_hold_and_the_last_one_seals_the_seals() {
    let world = world();
    let node = world.tmpfs.unnamed(0o600, 0, 0, 0);
    node.write(&world.caller(), 0, &mut BytesSource(b"abc")).unwrap();
    node.add_seals(raw::F_SEAL_GROW | raw::F_SEAL_SEAL).unwrap();
    assert_eq!(node.write(&world.caller(), 2, &mut BytesSource(b"xy")), Err(EPERM));
    assert_eq!(node.write(&world.caller(), 0, &mut BytesSource(b"xyz")), Ok(3));
    assert_eq!(node.add_seals(raw::F_SEAL_WRITE), Err(EPERM));
}

#[test]
fn a_full_file_system_says_so_and_gives_everything_back() {
    let world = world();
    let used = world.pages.used();
    let small = super::Tmpfs::new(&world.means, "tmpfs", 2 * PAGE_BYTES, 0o755);
    let node = crate::vfs::FileSystem::root(&*small).create(b"f", &file(0o644)).unwrap();
    let file = node.open(raw::O_RDWR, &world.caller()).unwrap();
    let all = [7; 3 * PAGE_BYTES as usize];
    assert_eq!(file.write(&world.caller(), 0, &mut BytesSource(&all)), Ok(2 * PAGE_BYTES as usize));
    assert_eq!(file.write(&world.caller(), 2 * PAGE_BYTES, &mut BytesSource(&all)), Err(ENOSPC));
    drop((small, file));
    assert_eq!(world.pages.used(), used);
}

#[test]
fn a_deep_tree_goes_without_a_deep_stack() {
    let world = world();
    let top = super::Tmpfs::new(&world.means, "tmpfs", 1 << 20, 0o755);
    let mut here = crate::vfs::FileSystem::root(&*top);
    let new = New { mode: raw::S_IFDIR | 0o755, ..file(0) };
    for _ in 0..100_000 {
        here = here.create(b"d", &new).unwrap();
    }
    drop((here, top));
}
