// SPDX-License-Identifier: PMPL-1.0-or-later
//! Firmware maps as they come: unsorted, with holes, overlapping, broken; and random ones against a page-by-page model.

use super::*;
use alloc::vec::Vec;

const RESERVED: u32 = 0;
const BOOT_DATA: u32 = 4;
const CONVENTIONAL: u32 = 7;
const ACPI: u32 = 9;
const MMIO: u32 = 11;

fn at(kind: u32, base_pages: u64, pages: u64) -> Descriptor {
    Descriptor { kind, base: base_pages * PAGE_BYTES, pages, attributes: 0 }
}

/// Ranges as (first page, pages, kind).
fn converted(map: &[Descriptor], ours: &[Region]) -> Vec<(u64, u64, u64)> {
    let mut out = [Range::default(); 64];
    let count = convert(map.iter().copied(), ours, &mut out).expect("fits");
    out[..count].iter().map(|r| (r.base / PAGE_BYTES, r.length_bytes / PAGE_BYTES, r.kind)).collect()
}

#[test]
fn unsorted_neighbours_are_sorted_and_merged() {
    let map = [at(BOOT_DATA, 8, 8), at(CONVENTIONAL, 0, 8), at(ACPI, 16, 1), at(3, 17, 3)];
    assert_eq!(converted(&map, &[]), [(0, 16, 1), (16, 1, 3), (17, 3, 1)]);
}

#[test]
fn holes_stay_holes_and_devices_are_not_ram() {
    let map = [at(CONVENTIONAL, 0, 4), at(MMIO, 4, 4), at(CONVENTIONAL, 100, 1)];
    assert_eq!(converted(&map, &[]), [(0, 4, 1), (100, 1, 1)]);
    assert_eq!(end_of_ram(map.into_iter()), 101 * PAGE_BYTES);
}

#[test]
fn our_regions_are_cut_out() {
    let ours = [
        Region { base: 2 * PAGE_BYTES, length_bytes: PAGE_BYTES },
        Region { base: 6 * PAGE_BYTES, length_bytes: 4 * PAGE_BYTES },
    ];
    let map = [at(2, 0, 8), at(CONVENTIONAL, 8, 8)];
    assert_eq!(converted(&map, &ours), [(0, 2, 1), (2, 1, 4), (3, 3, 1), (6, 4, 4), (10, 6, 1)]);
}

#[test]
fn where_descriptors_overlap_the_stricter_wins() {
    let map = [at(CONVENTIONAL, 0, 10), at(RESERVED, 4, 2), at(ACPI, 5, 3)];
    assert_eq!(converted(&map, &[]), [(0, 4, 1), (4, 2, 2), (6, 2, 3), (8, 2, 1)]);
}

#[test]
fn descriptors_are_read_at_the_firmwares_step() {
    let mut map = [0_u8; 96];
    map[48] = 7;
    map[48 + 4..48 + 8].fill(0xff);
    map[48 + 9] = 0x10;
    map[48 + 24] = 3;
    let read: Vec<_> = descriptors(&map, 48).map(|d| (d.kind, d.base, d.pages)).collect();
    assert_eq!(read, [(0, 0, 0), (7, 0x1000, 3)]);
    assert_eq!(descriptors(&map, 0).count(), 0);
    assert_eq!(descriptors(&map, 39).count(), 0);
}

#[test]
fn empty_and_wrapping_descriptors_are_ignored() {
    let wraps = Descriptor { kind: CONVENTIONAL, base: u64::MAX - 4095, pages: 2, attributes: 0 };
    let huge = Descriptor { kind: CONVENTIONAL, base: 0, pages: u64::MAX, attributes: 0 };
    assert_eq!(converted(&[at(CONVENTIONAL, 1, 0), wraps, huge, at(CONVENTIONAL, 3, 1)], &[]), [(3, 1, 1)]);
}

#[test]
fn specific_purpose_and_unknown_types_are_reserved() {
    let special = Descriptor { attributes: 0x4_0000, ..at(CONVENTIONAL, 0, 1) };
    assert_eq!(converted(&[special, at(0x7000_0001, 2, 1)], &[]), [(0, 1, 2), (2, 1, 2)]);
}

#[test]
fn when_there_is_no_room_reserved_ranges_go_first() {
    let map: Vec<_> = (0..8).flat_map(|i| [at(CONVENTIONAL, i * 4, 1), at(RESERVED, i * 4 + 2, 1)]).collect();
    let mut out = [Range::default(); 8];
    assert_eq!(convert(map.iter().copied(), &[], &mut out), Ok(8));
    assert!(out.iter().all(|range| range.kind == range_kind::USABLE));
}

#[test]
fn too_many_usable_ranges_are_refused() {
    let map: Vec<_> = (0..9).map(|i| at(CONVENTIONAL, i * 2, 1)).collect();
    let mut out = [Range::default(); 8];
    assert_eq!(convert(map.iter().copied(), &[], &mut out), Err(TooManyRanges));
}

/// What each of the first pages is for, asked of every descriptor: slow and plain.
fn model(map: &[Descriptor], ours: &[Region], page: u64) -> Option<u64> {
    let covers = |first: u64, pages: u64| page >= first && page < first + pages;
    let kinds = map.iter().filter(|d| covers(d.base / PAGE_BYTES, d.pages)).filter_map(|d| match d.kind {
        CONVENTIONAL | BOOT_DATA => Some(range_kind::USABLE),
        ACPI => Some(range_kind::ACPI),
        MMIO => None,
        _ => Some(range_kind::RESERVED),
    });
    let strictest =
        kinds.max_by_key(|kind| [range_kind::USABLE, range_kind::ACPI, range_kind::RESERVED].iter().position(|k| k == kind))?;
    let is_ours = ours.iter().any(|r| covers(r.base / PAGE_BYTES, r.length_bytes / PAGE_BYTES));
    Some(if is_ours && strictest == range_kind::USABLE { range_kind::BOOT } else { strictest })
}

#[test]
fn random_maps_agree_with_the_model_and_come_out_sorted_and_merged() {
    const PAGES: u64 = 96;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..2000 {
        let kinds = [CONVENTIONAL, CONVENTIONAL, BOOT_DATA, RESERVED, ACPI, MMIO];
        let map: Vec<_> = (0..1 + random(12)).map(|_| at(kinds[random(6) as usize], random(PAGES - 20), random(20))).collect();
        let ours: Vec<_> = (0..random(4))
            .map(|_| Region { base: random(PAGES - 8) * PAGE_BYTES, length_bytes: random(8) * PAGE_BYTES })
            .collect();
        let mut out = [Range::default(); 64];
        let count = convert(map.iter().copied(), &ours, &mut out).expect("fits");
        let ranges = &out[..count];
        for page in 0..PAGES {
            let found = ranges.iter().find(|r| (r.base..r.base + r.length_bytes).contains(&(page * PAGE_BYTES))).map(|r| r.kind);
            assert_eq!(found, model(&map, &ours, page), "page {page} of {map:?} with {ours:?}");
        }
        for pair in ranges.windows(2) {
            let end = pair[0].base + pair[0].length_bytes;
            assert!(end < pair[1].base || (end == pair[1].base && pair[0].kind != pair[1].kind), "{ranges:?}");
        }
    }
}
