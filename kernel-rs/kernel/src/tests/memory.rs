// SPDX-License-Identifier: PMPL-1.0-or-later
//! Memory objects and address spaces.

use super::*;
use abi::right::Rights;

const AT: u64 = 0x1000_0000;

fn map(w: &mut World, m: Handle, offset: u64, address: u64, length: u64, access: u64) -> Answer {
    w.root(Op::Map, SPACE, &[m.0 as u64, offset, address, length, access])
}

#[test]
fn map_names_each_wrong_argument() {
    let mut w = World::new();
    let m = w.memory(2);
    map(&mut w, m, 1, AT, 4096, 1).fails_at(Error::Misaligned, 1);
    map(&mut w, m, 0, AT + 1, 4096, 1).fails_at(Error::Misaligned, 2);
    map(&mut w, m, 0, AT, 4095, 1).fails_at(Error::Misaligned, 3);
    map(&mut w, m, 0, AT, 0, 1).fails_at(Error::BadArgument, 3);
    map(&mut w, m, 0, 0, 4096, 1).fails_at(Error::OutOfRange, 2);
    map(&mut w, m, 0, abi::boot_info::USER_END, 4096, 1).fails_at(Error::OutOfRange, 2);
    map(&mut w, m, 0, u64::MAX - 4095, 4096, 1).fails_at(Error::OutOfRange, 2);
    map(&mut w, m, 4096, AT, 8192, 1).fails_at(Error::OutOfRange, 1);
    map(&mut w, m, u64::MAX - 4095, AT, 4096, 1).fails_at(Error::OutOfRange, 1);
    map(&mut w, m, 0, AT, 4096, 8).fails_at(Error::BadArgument, 4);
    map(&mut w, m, 0, AT, 4096, 2).fails_at(Error::BadArgument, 4);
    map(&mut w, m, 0, AT, 4096, 7).fails(Error::WriteAndExecute);
    map(&mut w, POOL, 0, AT, 4096, 1).fails_at(Error::WrongKind, 0);
}

#[test]
fn a_mapping_overlaps_nothing() {
    let mut w = World::new();
    let m = w.memory(4);
    map(&mut w, m, 0, AT, 16384, 3).ok();
    for address in [AT, AT + 4096, AT + 12288] {
        map(&mut w, m, 0, address, 4096, 1).fails(Error::Overlap);
    }
    map(&mut w, m, 0, AT - 4096, 8192, 1).fails(Error::Overlap);
    map(&mut w, m, 0, AT + 16384, 4096, 1).ok();
}

#[test]
fn access_never_goes_beyond_the_capability() {
    let mut w = World::new();
    let m = w.memory(1);
    let read = w.root(Op::Copy, m, &[Rights::READ.0 as u64, 0]).handle();
    map(&mut w, read, 0, AT, 4096, 3).fails_at(Error::NoRight, 0);
    map(&mut w, read, 0, AT, 4096, 5).fails_at(Error::NoRight, 0);
    map(&mut w, read, 0, AT, 4096, 1).ok();
    w.root(Op::Protect, SPACE, &[AT, 4096, 3]).fails(Error::NoRight);
    w.root(Op::Protect, SPACE, &[AT, 8192, 1]).fails(Error::NotMapped);
    w.root(Op::Protect, SPACE, &[AT, 4096, 7]).fails(Error::WriteAndExecute);
    map(&mut w, m, 0, AT + 4096, 4096, 1).ok();
    w.root(Op::Protect, SPACE, &[AT + 4096, 4096, 3]).ok();
    w.root(Op::Protect, SPACE, &[AT + 4096, 4096, 5]).ok();
}

#[test]
fn unmapping_counts_pages_passes_over_holes_and_flushes() {
    let mut w = World::new();
    let m = w.memory(1200);
    map(&mut w, m, 0, AT, 1200 * 4096, 1).ok();
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT + 4096, 4096]).ok(), 1);
    machine::fake(|m| m.flushed.clear());
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT - 4096 * 10, 4096 * 2000]).ok(), 1199);
    assert!(machine::fake(|m| !m.flushed.is_empty()));
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 4096]).ok(), 0);
}

#[test]
fn destroying_memory_unmaps_it_everywhere_and_nothing_else() {
    let mut w = World::new();
    let used = w.used(POOL);
    let (m, other) = (w.memory(3), w.memory(1));
    let space = w.create(Kind::AddressSpace);
    map(&mut w, m, 0, AT, 12288, 3).ok();
    w.root(Op::Map, space, &[m.0 as u64, 4096, 0x8000, 8192, 1]).ok();
    // A hole in the record that something else fills.
    w.root(Op::Unmap, SPACE, &[AT + 4096, 4096]).ok();
    map(&mut w, other, 0, AT + 4096, 4096, 3).ok();
    w.root(Op::Destroy, m, &[]).ok();
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 12288]).ok(), 1, "the other's page stayed");
    assert_eq!(w.root(Op::Unmap, space, &[0x8000, 8192]).ok(), 0);
    w.root(Op::Destroy, space, &[]).ok();
    w.root(Op::Destroy, other, &[]).ok();
    // Page tables of root's own space stay with it.
    assert!(w.used(POOL) <= used + 3);
}

#[test]
fn physical_addresses_need_contiguous_memory_and_the_dma_right() {
    let mut w = World::new();
    let plain = w.memory(2);
    w.root(Op::MemoryPhysical, plain, &[0]).fails(Error::NoRight);
    let dma = w.root(Op::Create, POOL, &[Kind::Memory as u64, 8192, 1]).handle();
    let first = w.root(Op::MemoryPhysical, dma, &[0]).ok();
    assert_eq!(w.root(Op::MemoryPhysical, dma, &[4097]).ok(), first + 4097);
    w.root(Op::MemoryPhysical, dma, &[8192]).fails_at(Error::OutOfRange, 0);
    assert_eq!(w.root(Op::MemorySize, dma, &[]).ok(), 8192);
}

#[test]
fn a_pool_without_the_dma_right_makes_no_dma_memory_and_neither_do_its_parts() {
    let mut w = World::new();
    let keep = (Rights::ALL.0 & !Rights::DMA.0) as u64;
    let plain = w.root(Op::Copy, POOL, &[keep, 0]).handle();
    w.root(Op::Create, plain, &[Kind::Memory as u64, 8192, 1]).fails(Error::NoRight);
    w.root(Op::Create, plain, &[Kind::Memory as u64, 8192, 0]).ok();
    let part = w.root(Op::PoolSplit, plain, &[64]).handle();
    w.root(Op::Create, part, &[Kind::Memory as u64, 8192, 1]).fails(Error::NoRight);
}

#[test]
fn device_memory_is_no_ram_and_no_device_of_the_kernel() {
    let mut w = World::new();
    let pool = POOL.0 as u64;
    let device = slots::DEVICE_RANGE;
    w.root(Op::DeviceMemory, device, &[pool, 4096, 4096]).fails_at(Error::OutOfRange, 1);
    w.root(Op::DeviceMemory, device, &[pool, 0xfee0_0000, 4096]).fails_at(Error::OutOfRange, 1);
    w.root(Op::DeviceMemory, device, &[pool, 0xfed0_0000, 2 << 20]).fails_at(Error::OutOfRange, 1);
    w.root(Op::DeviceMemory, device, &[pool, 0xc000_0001, 4096]).fails_at(Error::Misaligned, 1);
    w.root(Op::DeviceMemory, device, &[pool, 0xc000_0000, 0]).fails_at(Error::BadArgument, 2);
    w.root(Op::DeviceMemory, device, &[pool, 1 << 52, 4096]).fails_at(Error::OutOfRange, 1);
    let m = w.root(Op::DeviceMemory, device, &[pool, 0xc000_0000, 8192]).handle();
    map(&mut w, m, 0, AT, 8192, 3).ok();
    map(&mut w, m, 0, AT + 8192, 4096, 5).fails_at(Error::NoRight, 0);
    w.root(Op::MemoryPhysical, m, &[0]).fails(Error::NoRight);
    w.root(Op::Destroy, m, &[]).ok();
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 8192]).ok(), 0);
}

#[test]
fn a_map_that_goes_on_with_the_one_before_it_costs_nothing() {
    let mut w = World::new();
    let m = w.memory(200);
    map(&mut w, m, 0, AT, 4096, 3).ok();
    let before = w.used(POOL);
    for n in 1..200 {
        map(&mut w, m, n * 4096, AT + n * 4096, 4096, 3).ok();
    }
    assert_eq!(w.used(POOL), before);
    map(&mut w, m, 0, AT + 199 * 4096, 4096, 3).fails(Error::Overlap);
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT + 70 * 4096, 4096]).ok(), 1);
    assert_eq!([69, 70, 71].map(|n| root_page(&w.kernel, AT + n * 4096).is_some()), [true, false, true]);
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 200 * 4096]).ok(), 199);
    map(&mut w, m, 0, AT, 200 * 4096, 3).ok();
}

#[test]
fn a_neighbour_of_other_rights_or_another_place_stays_for_itself() {
    let mut w = World::new();
    let (m, other) = (w.memory(4), w.memory(4));
    let read = w.root(Op::Copy, m, &[Rights::READ.0 as u64, 0]).handle();
    map(&mut w, m, 0, AT, 4096, 1).ok();
    map(&mut w, read, 4096, AT + 4096, 4096, 1).ok();
    w.root(Op::Protect, SPACE, &[AT, 4096, 3]).ok();
    w.root(Op::Protect, SPACE, &[AT + 4096, 4096, 3]).fails(Error::NoRight);
    // Behind it in the space, but not in the object; and of another object.
    map(&mut w, read, 0, AT + 8192, 4096, 1).ok();
    map(&mut w, other, 4096, AT + 12288, 4096, 1).ok();
    w.root(Op::Destroy, m, &[]).ok();
    assert_eq!([0, 1, 2, 3].map(|n| root_page(&w.kernel, AT + n * 4096).is_some()), [false, false, false, true]);
    // What goes with its object goes as a whole, however it was put together.
    map(&mut w, other, 8192, AT + 16384, 4096, 1).ok();
    w.root(Op::Destroy, other, &[]).ok();
    assert_eq!([3, 4].map(|n| root_page(&w.kernel, AT + n * 4096)), [None; 2]);
}
