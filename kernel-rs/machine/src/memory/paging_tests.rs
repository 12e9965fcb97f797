// SPDX-License-Identifier: PMPL-1.0-or-later
//! What page tables promise, on made-up memory.

use super::*;
use crate::hosted::test_frames;
use core::iter::once;

const RW: Access = Access { write: true, execute: false };
const RO: Access = Access { write: false, execute: false };

/// Maps one page; whether it did.
fn map(table: &mut PageTable, frames: &mut Frames, address: u64, frame: Frame) -> bool {
    table.map(frames, address, RW, RW, once(Backing::Ram(frame))).pages == 1
}

fn unmap_all(table: &mut PageTable, frames: &mut Frames, mut at: u64, end: u64) -> usize {
    let mut pages = 0;
    while at < end {
        let done = table.unmap(frames, at, end);
        (at, pages) = (done.next, pages + done.pages);
    }
    pages
}

#[test]
fn no_entry_is_writable_and_executable() {
    for bits in 0..4 {
        let access = Access { write: bits & 1 != 0, execute: bits & 2 != 0 };
        let entry = encode(Page { backing: Backing::Ram(Frame(1)), access, most: access });
        assert!(entry & WRITABLE == 0 || entry & NO_EXECUTE != 0);
    }
}

#[test]
fn missing_counts_exactly_what_mapping_takes() {
    for (address, pages) in [(0x1000, 1), (0x1f_f000, 2), (0x3fff_f000, 2), (0x7f_ffff_f000, 2), (0x1000, 1500)] {
        let mut frames = test_frames(64);
        let mut table = PageTable::new(&mut frames).unwrap();
        let frame = frames.take_user().unwrap();
        let end = address + pages * 4096;
        // In two parts, as a long count is made.
        let middle = cover_end(address).min(end);
        let missing = table.missing(address, address, middle, false) + table.missing(address, middle, end, false);
        let before = frames.free();
        for n in 0..pages {
            assert!(map(&mut table, &mut frames, address + n * 4096, frame));
        }
        assert_eq!(before - frames.free(), missing, "{address:#x} {pages}");
        assert_eq!(table.missing(address, address, end, false), 0);
    }
}

#[test]
fn a_mapped_frame_is_not_free_until_it_is_unmapped() {
    let mut frames = test_frames(16);
    let mut table = PageTable::new(&mut frames).unwrap();
    let frame = frames.take_user().unwrap();
    assert!(map(&mut table, &mut frames, 0x1000, frame));
    assert!(!frames.give_user(frame), "still mapped");
    let before = frames.free();
    assert_eq!(unmap_all(&mut table, &mut frames, 0, 0x10_0000), 1);
    assert_eq!(frames.free(), before + 1);
}

#[test]
fn mapping_over_a_page_or_a_kernel_frame_is_refused() {
    let mut frames = test_frames(16);
    let mut table = PageTable::new(&mut frames).unwrap();
    let frame = frames.take_user().unwrap();
    assert!(map(&mut table, &mut frames, 0x1000, frame));
    assert!(!map(&mut table, &mut frames, 0x1000, frame), "overlap");
    let kernel_frame = Frame(table.root);
    assert!(!map(&mut table, &mut frames, 0x2000, kernel_frame), "a page table as user memory");
    assert!(!map(&mut table, &mut frames, USER_END, frame), "kernel half");
    let ram_as_device = once(Backing::Device(frame.physical()));
    assert_eq!(table.map(&mut frames, 0x3000, RW, RW, ram_as_device).pages, 0);
}

#[test]
fn a_large_page_needs_a_whole_run_and_a_place_of_its_size() {
    let mut frames = test_frames(2048);
    let mut table = PageTable::new(&mut frames).unwrap();
    let (run, plain) = (frames.take_user_run().unwrap(), frames.take_user().unwrap());
    assert!(!table.map_large(&mut frames, 0x20_1000, RW, RW, run).0, "not aligned");
    assert!(!table.map_large(&mut frames, LARGE_PAGE, RW, RW, plain).0, "no run");
    assert!(!table.map_large(&mut frames, LARGE_PAGE, RW, RW, Frame(run.0 + 1)).0, "not its start");
    assert!(table.map_large(&mut frames, LARGE_PAGE, RW, RW, run).0);
    assert!(!table.map_large(&mut frames, LARGE_PAGE, RW, RW, run).0, "taken");
    assert!(!map(&mut table, &mut frames, LARGE_PAGE + 0x3000, plain), "taken");
    let page = table.lookup(LARGE_PAGE + 0x5000).unwrap();
    assert_eq!((page.backing, page.access), (Backing::Ram(Frame(run.0 + 5)), RW));
}

#[test]
fn an_empty_lowest_table_makes_place_for_a_large_page_and_a_used_one_does_not() {
    let mut frames = test_frames(2048);
    let mut table = PageTable::new(&mut frames).unwrap();
    let (run, plain) = (frames.take_user_run().unwrap(), frames.take_user().unwrap());
    assert!(map(&mut table, &mut frames, LARGE_PAGE + 0x1000, plain));
    assert!(!table.map_large(&mut frames, LARGE_PAGE, RW, RW, run).0);
    assert_eq!(unmap_all(&mut table, &mut frames, LARGE_PAGE, 2 * LARGE_PAGE), 1);
    assert_eq!(table.map_large(&mut frames, LARGE_PAGE, RW, RW, run), (true, -1), "the table came back");
}

#[test]
fn a_split_large_page_keeps_its_frames_until_the_last_small_one_goes() {
    let mut frames = test_frames(2048);
    let mut table = PageTable::new(&mut frames).unwrap();
    let run = frames.take_user_run().unwrap();
    assert!(table.map_large(&mut frames, LARGE_PAGE, RW, RW, run).0);
    frames.give_user(run);
    let inside = LARGE_PAGE + 0x8000;
    assert!(table.cuts_large(inside) && !table.cuts_large(LARGE_PAGE));
    assert_eq!(table.unmap(&mut frames, inside, 2 * LARGE_PAGE).pages, 0, "cut: it stays");
    assert!(table.split(&mut frames, inside));
    assert_eq!(table.protect(inside, inside + PAGE, RO), inside + PAGE);
    assert_eq!(table.lookup(inside).unwrap().access, RO);
    assert_eq!(table.lookup(inside + PAGE).unwrap().access, RW);
    let before = frames.free();
    assert_eq!(unmap_all(&mut table, &mut frames, LARGE_PAGE + PAGE, 2 * LARGE_PAGE), 511);
    assert_eq!(frames.free(), before, "one page is still mapped");
    unmap_all(&mut table, &mut frames, LARGE_PAGE, 2 * LARGE_PAGE);
    assert_eq!(frames.free(), before + 512);
}

#[test]
fn protect_never_gives_more_than_the_most() {
    let mut frames = test_frames(16);
    let mut table = PageTable::new(&mut frames).unwrap();
    let frame = frames.take_user().unwrap();
    table.map(&mut frames, 0x1000, RO, RO, once(Backing::Ram(frame)));
    table.protect(0x1000, 0x2000, RW);
    assert_eq!(table.lookup(0x1000).unwrap().access, RO);
}

#[test]
fn all_table_frames_go_back_in_steps() {
    let mut frames = test_frames(256);
    let before = frames.free();
    let mut table = PageTable::new(&mut frames).unwrap();
    let frame = frames.take_user().unwrap();
    let last_gib_of_a_table = 511u64 << 30;
    let places: Vec<_> =
        (0..10u64).map(|n| 0x1000 + (n << 30)).chain([last_gib_of_a_table, USER_END - (1 << 39), USER_END - 4096]).collect();
    for at in &places {
        assert!(map(&mut table, &mut frames, *at, frame), "{at:#x}");
    }
    for at in &places {
        unmap_all(&mut table, &mut frames, *at, at + 4096);
    }
    frames.give_user(frame);
    let (mut rest, mut steps) = (Some(table), 0);
    while let Some(t) = rest {
        rest = t.destroy(&mut frames).1;
        steps += 1;
    }
    assert!(steps > 3);
    assert_eq!(frames.free(), before);
}
