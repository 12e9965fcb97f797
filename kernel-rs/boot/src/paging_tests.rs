// SPDX-License-Identifier: PMPL-1.0-or-later
//! Walks the planned tables as the CPU would and compares with what the kernel was promised.

use super::*;

const BASE: u64 = 0x7000_0000;
const KERNEL: u64 = 0x1234_5000;
const JUMP: u64 = 0x6543_2000;

fn segments() -> Vec<Segment> {
    let segment =
        |offset_bytes, memory_bytes, access| Segment { offset_bytes, memory_bytes, file_offset: 0, file_bytes: 0, access };
    vec![
        segment(0, 0x1800, Access::ReadOnly),
        segment(0x2000, 0x3000, Access::ReadExecute),
        segment(0x6010, 0x20, Access::ReadWrite),
    ]
}

fn tables(ram: &[(u64, u64)], largest_page: LargestPage) -> Tables {
    let segments = segments();
    let layout = Layout { kernel_base: KERNEL, segments: &segments, ram, jump_page: JUMP, largest_page };
    Tables::build(BASE, &layout).expect("plan")
}

/// (physical address, leaf entry's flags, page size), or `None` if not present.
fn walk(tables: &Tables, address: u64) -> Option<(u64, u64, u64)> {
    let mut table = 0;
    let mut span = 1_u64 << 39;
    loop {
        let entry = tables.as_slice()[table][index(address, span)];
        if entry & PRESENT == 0 {
            return None;
        }
        if span == KIB4 || entry & LARGE != 0 {
            return Some(((entry & ADDRESS) + address % span, entry & !ADDRESS, span));
        }
        table = ((entry & ADDRESS) - tables.root()) as usize / 4096;
        span >>= 9;
    }
}

fn rights(tables: &Tables, address: u64) -> Option<(bool, bool)> {
    walk(tables, address).map(|(_, flags, _)| (flags & WRITABLE != 0, flags & NO_EXECUTE == 0))
}

#[test]
fn the_kernel_is_mapped_as_its_segments_say() {
    let tables = tables(&[], LargestPage::Mib2);
    assert_eq!(rights(&tables, KERNEL_BASE), Some((false, false)));
    assert_eq!(rights(&tables, KERNEL_BASE + 0x1fff), Some((false, false)));
    assert_eq!(rights(&tables, KERNEL_BASE + 0x2000), Some((false, true)));
    assert_eq!(rights(&tables, KERNEL_BASE + 0x6000), Some((true, false)));
    assert_eq!(walk(&tables, KERNEL_BASE + 0x2345).map(|leaf| leaf.0), Some(KERNEL + 0x2345));
}

#[test]
fn what_is_between_segments_and_after_them_is_not_mapped() {
    let tables = tables(&[], LargestPage::Mib2);
    assert_eq!(walk(&tables, KERNEL_BASE + 0x5000), None);
    assert_eq!(walk(&tables, KERNEL_BASE + 0x7000), None);
}

#[test]
fn nothing_is_writable_and_executable() {
    let tables = tables(&[(8 * GIB1, 4 * GIB1)], LargestPage::Gib1);
    for address in [KERNEL_BASE, KERNEL_BASE + 0x2000, KERNEL_BASE + 0x6000, JUMP, DIRECT_MAP, DIRECT_MAP + 9 * GIB1] {
        assert_ne!(rights(&tables, address), Some((true, true)), "{address:#x}");
        assert!(rights(&tables, address).is_some(), "{address:#x}");
    }
}

#[test]
fn the_jump_page_is_one_to_one_and_its_neighbours_are_not_there() {
    let tables = tables(&[], LargestPage::Mib2);
    assert_eq!(walk(&tables, JUMP + 5).map(|leaf| leaf.0), Some(JUMP + 5));
    assert_eq!(rights(&tables, JUMP), Some((false, true)));
    assert_eq!(walk(&tables, JUMP + KIB4), None);
    assert_eq!(walk(&tables, JUMP - 1), None);
    assert_eq!(walk(&tables, 0), None);
}

#[test]
fn four_gib_are_direct_on_a_small_machine() {
    let tables = tables(&[(0, 256 << 20)], LargestPage::Gib1);
    assert_eq!(walk(&tables, DIRECT_MAP + 0xfee0_0020), Some((0xfee0_0020, WRITABLE | NO_EXECUTE | LARGE | PRESENT, MIB2)));
    assert_eq!(walk(&tables, DIRECT_MAP + 4 * GIB1), None);
}

#[test]
fn ram_above_a_hole_is_mapped_and_the_hole_is_not() {
    let ram = [(6 * GIB1 + 3 * MIB2 + KIB4, 2 * GIB1), (0, 2 * GIB1)];
    let tables = tables(&ram, LargestPage::Gib1);
    assert_eq!(walk(&tables, DIRECT_MAP + 5 * GIB1), None);
    assert_eq!(walk(&tables, DIRECT_MAP + 6 * GIB1 + 2 * MIB2), None);
    assert_eq!(walk(&tables, DIRECT_MAP + 6 * GIB1 + 3 * MIB2).map(|leaf| leaf.2), Some(MIB2));
    assert_eq!(walk(&tables, DIRECT_MAP + 7 * GIB1 + 77).map(|leaf| (leaf.0, leaf.2)), Some((7 * GIB1 + 77, GIB1)));
    assert_eq!(walk(&tables, DIRECT_MAP + 8 * GIB1 + 3 * MIB2).map(|leaf| leaf.2), Some(MIB2));
    assert_eq!(walk(&tables, DIRECT_MAP + 8 * GIB1 + 4 * MIB2), None);
}

#[test]
fn a_cpu_without_gib_pages_gets_none() {
    let tables = tables(&[(4 * GIB1, 4 * GIB1)], LargestPage::Mib2);
    assert_eq!(walk(&tables, DIRECT_MAP + 5 * GIB1).map(|leaf| leaf.2), Some(MIB2));
}

#[test]
fn overlapping_ram_is_mapped_once() {
    let tables = tables(&[(4 * GIB1, GIB1), (4 * GIB1 + MIB2, 2 * GIB1), (5 * GIB1, MIB2)], LargestPage::Mib2);
    assert_eq!(walk(&tables, DIRECT_MAP + 6 * GIB1).map(|leaf| leaf.0), Some(6 * GIB1));
}

#[test]
fn the_number_of_tables_does_not_depend_on_where_they_lie() {
    let segments = segments();
    let ram = [(4 * GIB1, 60 * GIB1)];
    let layout = Layout { kernel_base: KERNEL, segments: &segments, ram: &ram, jump_page: JUMP, largest_page: LargestPage::Mib2 };
    let counted = Tables::build(0, &layout).expect("plan").as_slice().len();
    assert_eq!(Tables::build(BASE, &layout).expect("plan").as_slice().len(), counted);
}

#[test]
fn refused_ram_above_what_four_levels_reach() {
    for ram in [(1_u64 << 46, GIB1), (u64::MAX - 10, 20)] {
        let layout = Layout { kernel_base: KERNEL, segments: &[], ram: &[ram], jump_page: JUMP, largest_page: LargestPage::Mib2 };
        assert_eq!(Tables::build(BASE, &layout), Err(Refusal::AddressTooHigh));
    }
}
