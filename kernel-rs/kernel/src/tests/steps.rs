// SPDX-License-Identifier: PMPL-1.0-or-later
//! Long operations: done in steps, between which others come, with nothing half-done left behind.

use super::*;
use abi::right::Rights;

const AT: u64 = 0x1000_0000;
const LARGE: u64 = 2 << 20;

fn map(w: &mut World, m: Handle, offset: u64, address: u64, length: u64, access: u64) -> Answer {
    w.root(Op::Map, SPACE, &[m.0 as u64, offset, address, length, access])
}

/// Executes an operation of root once; true if it asks to be executed again.
fn step(w: &mut World, op: Op, handle: Handle, arguments: &[u64]) -> bool {
    let mut a = [0; 5];
    a[..arguments.len()].copy_from_slice(arguments);
    let r = w.registers(0);
    (r.rax, r.rdi, r.vector, r.rip) = (op as u64, handle.0 as u64, SYSCALL, RIP);
    [r.rsi, r.rdx, r.r10, r.r8, r.r9] = a;
    w.enter(0, Event::Syscall);
    w.registers(0).rip == RIP - SYSCALL_BYTES
}

fn large(w: &mut World, pages_of_2_mib: u64) -> Answer {
    w.root(Op::Create, POOL, &[Kind::Memory as u64, pages_of_2_mib * LARGE, 2])
}

#[test]
fn each_long_operation_comes_back_between_its_steps() {
    let mut w = World::with_frames(8192);
    let memory = w.memory(600);
    let table = [Kind::Table as u64, 65_536];
    assert!(step(&mut w, Op::Create, POOL, &table));
    w.root(Op::Create, POOL, &table).ok();
    assert!(step(&mut w, Op::Create, POOL, &[Kind::Memory as u64, 100 * 4096, 1]));
    w.root(Op::Create, POOL, &[Kind::Memory as u64, 100 * 4096, 1]).ok();
    let range = [memory.0 as u64, 0, AT, 600 * 4096, 3];
    assert!(step(&mut w, Op::Map, SPACE, &range));
    w.root(Op::Map, SPACE, &range).ok();
    assert!(step(&mut w, Op::Protect, SPACE, &[AT, 600 * 4096, 1]));
    w.root(Op::Protect, SPACE, &[AT, 600 * 4096, 1]).ok();
    assert!(step(&mut w, Op::Unmap, SPACE, &[AT, 600 * 4096]));
    assert!(w.root(Op::Unmap, SPACE, &[AT, 600 * 4096]).ok() <= 600);
    assert!(step(&mut w, Op::Destroy, memory, &[]));
    w.root(Op::Destroy, memory, &[]).ok();
}

#[test]
fn a_table_without_quota_for_all_its_slots_takes_nothing() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[100]).handle();
    w.root(Op::Create, pool, &[Kind::Table as u64, 65_536]).fails(Error::NoQuota);
    assert_eq!(w.used(pool), 0);
}

#[test]
fn a_pool_that_dies_while_a_table_is_made_in_it_gets_all_back() {
    let mut w = World::with_frames(8192);
    let before = w.used(POOL);
    let pool = w.root(Op::PoolSplit, POOL, &[2000]).handle();
    let handle = w.thread(1);
    (0..5).for_each(|_| {
        let r = w.registers(1);
        (r.rax, r.rdi, r.vector, r.rip) = (Op::Create as u64, pool.0 as u64, SYSCALL, RIP);
        [r.rsi, r.rdx, r.r10] = [Kind::Table as u64, 65_536, 0];
        w.enter(1, Event::Syscall);
    });
    assert!(w.used(pool) > 1000, "it is paid at once");
    w.root(Op::PoolDestroy, pool, &[]).ok();
    w.root(Op::Destroy, handle, &[]).ok();
    assert!(w.used(POOL) <= before + 2, "but for the thread's slab and its buffer");
}

#[test]
fn deleting_hands_children_up_and_revoking_finds_them() {
    let mut w = World::new();
    let memory = w.memory(1);
    let copy = |w: &mut World, of: Handle| w.root(Op::Copy, of, &[ALL, 0]).handle();
    let (a, sibling) = (copy(&mut w, memory), copy(&mut w, memory));
    let b = copy(&mut w, a);
    let (c, d) = (copy(&mut w, b), copy(&mut w, b));
    w.root(Op::Delete, b, &[]).ok();
    // New children of the sibling are no parents of what stands beside it.
    let under_sibling = copy(&mut w, sibling);
    assert_eq!(w.root(Op::Revoke, sibling, &[]).ok(), 1);
    w.root(Op::Inspect, under_sibling, &[]).fails(Error::StaleHandle);
    w.root(Op::Inspect, c, &[]).ok();
    assert_eq!(w.root(Op::Revoke, a, &[]).ok(), 2);
    for gone in [c, d] {
        w.root(Op::Inspect, gone, &[]).fails(Error::StaleHandle);
    }
    assert_eq!(w.root(Op::Revoke, memory, &[]).ok(), 2, "a and its sibling");
}

#[test]
fn deleting_a_capability_with_many_descendants_is_one_step() {
    let mut w = World::new();
    let memory = w.memory(1);
    let parent = w.root(Op::Copy, memory, &[ALL, 0]).handle();
    let table = w.create_in(POOL, Kind::Table, 4000);
    for _ in 0..3000 {
        w.root(Op::TableInsert, table, &[parent.0 as u64, ALL, 0, 0]).ok();
    }
    assert!(!step(&mut w, Op::Delete, parent, &[]));
    assert_eq!(w.root(Op::Revoke, memory, &[]).ok(), 3000);
}

#[test]
fn a_full_table_of_dead_capabilities_makes_room_and_a_full_one_of_living_does_not() {
    let mut w = World::new();
    let table_slots = 512;
    let memory = w.memory(1);
    let dead = w.memory(1);
    let mut copies = 0;
    while w.root(Op::Copy, memory, &[ALL, 0]).status == 0 {
        copies += 1;
    }
    assert!(copies > table_slots / 2);
    w.root(Op::Copy, memory, &[ALL, 0]).fails(Error::TableFull);
    w.root(Op::Destroy, dead, &[]).ok();
    w.root(Op::Copy, memory, &[ALL, 0]).ok();
    w.root(Op::Copy, memory, &[ALL, 0]).fails(Error::TableFull);
    // Its own capability goes with it, the copies stay until somebody needs their slots.
    w.root(Op::Destroy, memory, &[]).ok();
    for _ in 0..copies {
        w.create(Kind::Notification);
    }
}

#[test]
fn a_mapping_cut_in_two_is_paid_or_refused_with_nothing_unmapped() {
    let mut w = World::new();
    let memory = w.memory(9);
    let pool = w.root(Op::PoolSplit, POOL, &[40]).handle();
    let space = w.create_in(pool, Kind::AddressSpace, 0);
    w.root(Op::Map, space, &[memory.0 as u64, 0, AT, 9 * 4096, 3]).ok();
    // Records fill the slab, then the pool.
    let mut at = AT + 9 * 4096;
    while w.root(Op::Map, space, &[memory.0 as u64, 0, at, 4096, 3]).status == 0 && at < AT + 0x10_0000 {
        at += 4096;
    }
    let left = w.root(Op::PoolUsage, pool, &[]);
    let rest = left.values[0] - left.values[1];
    for _ in 0..rest {
        w.root(Op::Create, pool, &[Kind::Memory as u64, 4096]);
    }
    let answer = w.root(Op::Unmap, space, &[AT + 4096 * 3, 4096]);
    if answer.status != 0 {
        answer.fails(Error::NoQuota);
        assert_eq!(w.root(Op::Unmap, space, &[AT, 9 * 4096]).ok(), 9, "nothing was unmapped");
    } else {
        assert_eq!(w.root(Op::Unmap, space, &[AT, 9 * 4096]).ok(), 8);
    }
}

#[test]
fn a_hole_can_be_mapped_again_and_memory_that_goes_takes_only_its_own_pages() {
    let mut w = World::new();
    let (m, other) = (w.memory(100), w.memory(1));
    map(&mut w, m, 0, AT, 100 * 4096, 3).ok();
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT + 50 * 4096, 4096]).ok(), 1);
    map(&mut w, other, 0, AT + 50 * 4096, 4096, 1).ok();
    map(&mut w, other, 0, AT + 51 * 4096, 4096, 1).fails(Error::Overlap);
    w.root(Op::Destroy, m, &[]).ok();
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 100 * 4096]).ok(), 1);
}

#[test]
fn protect_changes_nothing_if_one_page_refuses() {
    let mut w = World::new();
    let m = w.memory(40);
    let read = w.root(Op::Copy, m, &[Rights::READ.0 as u64, 0]).handle();
    map(&mut w, m, 0, AT, 20 * 4096, 1).ok();
    map(&mut w, read, 0, AT + 20 * 4096, 4096, 1).ok();
    machine::fake(|m| m.flushed.clear());
    w.root(Op::Protect, SPACE, &[AT, 21 * 4096, 3]).fails(Error::NoRight);
    w.root(Op::Protect, SPACE, &[AT, 22 * 4096, 1]).fails(Error::NotMapped);
    assert!(machine::fake(|m| m.flushed.is_empty()));
    w.root(Op::Protect, SPACE, &[AT, 20 * 4096, 3]).ok();
    assert!(machine::fake(|m| !m.flushed.is_empty()));
}

#[test]
fn memory_of_large_pages_is_aligned_paid_and_given_back() {
    let mut w = World::with_frames(8192);
    w.root(Op::Create, POOL, &[Kind::Memory as u64, LARGE + 4096, 2]).fails_at(Error::Misaligned, 1);
    let before = w.used(POOL);
    let m = large(&mut w, 3).handle();
    assert_eq!(w.root(Op::MemorySize, m, &[]).ok(), 3 * LARGE);
    w.root(Op::MemoryPhysical, m, &[0]).fails(Error::NoRight);
    map(&mut w, m, 0, LARGE * 64, 3 * LARGE, 3).ok();
    w.root(Op::Destroy, m, &[]).ok();
    assert!(w.used(POOL) <= before + 3, "but for page tables and slabs that stay");
    // Whatever is free lies in runs again.
    large(&mut w, 3).ok();
}

#[test]
fn without_free_runs_large_memory_is_refused_and_nothing_is_left_of_it() {
    let mut w = World::with_frames(4096);
    // A page in the middle of free ones: quota is there for seven times 2 MiB, whole free runs are not.
    let (most, one) = (w.memory(600), w.memory(1));
    w.root(Op::Destroy, most, &[]).ok();
    let before = w.used(POOL);
    large(&mut w, 7).fails(Error::NoQuota);
    assert_eq!(w.used(POOL), before);
    w.root(Op::Destroy, one, &[]).ok();
    large(&mut w, 7).ok();
}

#[test]
fn a_large_page_is_split_for_protect_and_unmap_and_the_split_is_paid() {
    let mut w = World::with_frames(8192);
    let m = large(&mut w, 2).handle();
    let pool = w.root(Op::PoolSplit, POOL, &[5]).handle();
    let space = w.create_in(pool, Kind::AddressSpace, 0);
    let at = LARGE * 512;
    w.root(Op::Map, space, &[m.0 as u64, 0, at, 2 * LARGE, 3]).ok();
    // Space, root table, record, two tables above the large pages: nothing is left to split with.
    assert_eq!(w.used(pool), 5);
    w.root(Op::Protect, space, &[at + 4096, 4096, 1]).fails(Error::NoQuota);
    w.root(Op::Unmap, space, &[at, LARGE + 4096]).fails(Error::NoQuota);
    assert_eq!(w.root(Op::Unmap, space, &[at + LARGE, LARGE]).ok(), 512);
    w.root(Op::Map, SPACE, &[m.0 as u64, 0, at, 2 * LARGE, 3]).ok();
    let before = w.used(POOL);
    w.root(Op::Protect, SPACE, &[at + LARGE - 4096, 8192, 1]).ok();
    assert_eq!(w.used(POOL), before + 2, "both are cut");
    assert_eq!(w.root(Op::Unmap, SPACE, &[at + 4096, 2 * LARGE - 8192]).ok(), 1022);
    assert_eq!(w.root(Op::Unmap, SPACE, &[at, 2 * LARGE]).ok(), 2);
}

#[test]
fn map_many_stops_at_the_first_record_that_is_refused_and_names_it() {
    let mut w = World::new();
    let m = w.memory(8);
    let buffer = w.buffer(0);
    for n in 0..128u64 {
        let offset = if n == 100 { 1 } else { n % 8 * 4096 };
        for (i, word) in [m.0 as u64 | 3 << 32, offset, AT + n * 4096, 4096].into_iter().enumerate() {
            w.kernel.frames.write_user_word(buffer, n as usize * 32 + i * 8, word);
        }
    }
    w.root(Op::MapMany, SPACE, &[0]).fails_at(Error::BadArgument, 0);
    w.root(Op::MapMany, SPACE, &[129]).fails_at(Error::BadArgument, 0);
    w.root(Op::MapMany, m, &[1]).fails(Error::WrongKind);
    assert_eq!(w.root(Op::MapMany, SPACE, &[50]).ok(), 50);
    w.root(Op::MapMany, SPACE, &[50]).fails_at(Error::Overlap, 0);
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 128 * 4096]).ok(), 50);
    w.root(Op::MapMany, SPACE, &[128]).fails_at(Error::Misaligned, 100 << 8 | 1);
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 128 * 4096]).ok(), 100);
}

#[test]
fn map_many_refuses_halves_of_pages_that_make_a_whole_one() {
    let mut w = World::new();
    let m = w.memory(8);
    let buffer = w.buffer(0);
    let records = [(0, 4096), (4096, 4096), (8192, 2048), (10240, 2048)];
    for (n, (at, length)) in records.into_iter().enumerate() {
        for (i, word) in [m.0 as u64 | 3 << 32, at, AT + at, length].into_iter().enumerate() {
            w.kernel.frames.write_user_word(buffer, n * 32 + i * 8, word);
        }
    }
    w.root(Op::MapMany, SPACE, &[4]).fails_at(Error::Misaligned, 2 << 8 | 3);
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 128 * 4096]).ok(), 2);
}

#[test]
fn map_many_takes_many_records_in_a_step_if_they_go_on_with_each_other() {
    let mut w = World::new();
    let m = w.memory(128);
    let buffer = w.buffer(0);
    for n in 0..128u64 {
        for (i, word) in [m.0 as u64 | 3 << 32, n * 4096, AT + n * 4096, 4096].into_iter().enumerate() {
            w.kernel.frames.write_user_word(buffer, n as usize * 32 + i * 8, word);
        }
    }
    let mut steps = 1;
    while step(&mut w, Op::MapMany, SPACE, &[128]) {
        steps += 1;
    }
    assert!((5..16).contains(&steps), "{steps} steps");
    assert_eq!(w.registers(0).rdi, 128);
    assert_eq!(w.root(Op::Unmap, SPACE, &[AT, 128 * 4096]).ok(), 128);
}

#[test]
fn pools_nest_no_deeper_than_can_be_walked() {
    let mut w = World::new();
    let mut pool = POOL;
    for left in (1..=31).rev() {
        pool = w.root(Op::PoolSplit, pool, &[left * 3]).handle();
    }
    w.root(Op::PoolSplit, pool, &[1]).fails(Error::BadState);
}

#[test]
fn ten_thousand_alarms_fire_in_order() {
    let mut w = World::with_frames(8192);
    let pool = w.root(Op::PoolSplit, POOL, &[4000]).handle();
    let table = w.create_in(pool, Kind::Table, 10_001);
    let mut random = 1u64;
    let mut times = Vec::new();
    for n in 0..10_000u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = 1_000_000 + (random >> 44);
        times.push(at);
        let it = w.create_in(pool, Kind::Notification, 0);
        w.root(Op::Arm, it, &[at, n + 1]).ok();
        w.root(Op::TableInsert, table, &[it.0 as u64, 0, 0, 0]).ok();
        w.root(Op::Delete, it, &[]).ok();
    }
    times.sort();
    // The timer is always set to the first that is left; what is due is handled some at a time.
    for expected in times.chunks(4).map(|c| c[0]) {
        let next = machine::fake(|m| m.timer_ns).unwrap();
        assert!(next <= expected, "{next} {expected}");
        w.timer(0, expected);
    }
    w.root(Op::PoolDestroy, pool, &[]).ok();
}
