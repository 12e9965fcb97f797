// SPDX-License-Identifier: PMPL-1.0-or-later
//! Quotas, and the end of everything that was made from a pool.

use super::*;

#[test]
fn a_pool_makes_what_it_can_pay_for_and_no_more() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[10]).handle();
    w.root(Op::Create, pool, &[Kind::Memory as u64, 10 * 4096]).fails(Error::NoQuota);
    assert_eq!(w.used(pool), 0, "nothing is taken by a refusal");
    w.root(Op::Create, pool, &[Kind::Memory as u64, 7 * 4096]).ok();
    assert_eq!(w.used(pool), 9, "seven pages, their index, a slab");
    w.root(Op::Create, pool, &[Kind::Notification as u64]).ok();
    w.root(Op::Create, pool, &[Kind::Notification as u64]).ok();
    w.root(Op::Create, pool, &[Kind::Endpoint as u64]).fails(Error::NoQuota);
    w.root(Op::PoolSplit, pool, &[1]).fails(Error::NoQuota);
}

#[test]
fn a_child_counts_with_its_whole_quota() {
    let mut w = World::new();
    let before = w.used(POOL);
    let pool = w.root(Op::PoolSplit, POOL, &[100]).handle();
    assert_eq!(w.used(POOL), before + 100);
    assert_eq!(w.root(Op::PoolUsage, pool, &[]).values[..2], [100, 0]);
    w.root(Op::PoolSplit, POOL, &[u64::MAX]).fails_at(Error::BadArgument, 0);
    w.root(Op::PoolSplit, POOL, &[u32::MAX as u64]).fails(Error::NoQuota);
    w.root(Op::PoolSplit, POOL, &[0]).fails_at(Error::BadArgument, 0);
}

#[test]
fn kinds_that_pools_do_not_make_are_refused() {
    let mut w = World::new();
    for kind in [
        0,
        Kind::Pool as u64,
        Kind::Reply as u64,
        Kind::Interrupt as u64,
        Kind::PortRange as u64,
        Kind::Power as u64,
        99,
        u64::MAX,
    ] {
        w.root(Op::Create, POOL, &[kind]).fails_at(Error::BadArgument, 0);
    }
    w.root(Op::Create, POOL, &[Kind::Memory as u64, 100]).fails_at(Error::Misaligned, 1);
    w.root(Op::Create, POOL, &[Kind::Memory as u64, 0]).fails_at(Error::BadArgument, 1);
    w.root(Op::Create, POOL, &[Kind::Memory as u64, 4096, 3]).fails_at(Error::BadArgument, 2);
    w.root(Op::Create, POOL, &[Kind::Table as u64, 1]).fails_at(Error::BadArgument, 1);
    w.root(Op::Create, POOL, &[Kind::Table as u64, 1 << 20]).fails_at(Error::BadArgument, 1);
}

/// Makes one of everything in a pool, in use and entangled.
fn populate(w: &mut World, pool: Handle) {
    let child = w.root(Op::PoolSplit, pool, &[60]).handle();
    for p in [pool, child] {
        let m = w.create_in(p, Kind::Memory, 5 * 4096);
        let space = w.create_in(p, Kind::AddressSpace, 0);
        w.root(Op::Map, space, &[m.0 as u64, 0, 0x7000, 5 * 4096, 3]).ok();
        let table = w.create_in(p, Kind::Table, 32);
        let n = w.create_in(p, Kind::Notification, 0);
        w.root(Op::TableInsert, table, &[n.0 as u64, ALL, 0, 0]).ok();
        w.root(Op::Arm, n, &[1_000_000, 1]).ok();
        w.create_in(p, Kind::Endpoint, 0);
        w.root(Op::InterruptMsi, slots::INTERRUPT_CONTROL, &[p.0 as u64]).ok();
        w.root(Op::DeviceMemory, slots::DEVICE_RANGE, &[p.0 as u64, 0xc000_0000, 4096]).ok();
    }
}

#[test]
fn a_destroyed_pool_gives_everything_back() {
    let mut w = World::new();
    let (used, free) = (w.used(POOL), w.kernel.frames.free());
    let pool = w.root(Op::PoolSplit, POOL, &[400]).handle();
    populate(&mut w, pool);
    w.thread_in(pool, 1, Handle::NULL);
    let endpoint = w.create_in(pool, Kind::Endpoint, 0);
    assert_eq!(w.call(1, Op::Receive, endpoint, &[FOREVER]), None);
    w.thread_in(pool, 2, Handle::NULL);
    w.root(Op::PoolDestroy, pool, &[]).ok();
    assert_eq!((w.used(POOL), w.kernel.frames.free()), (used, free));
    w.root(Op::PoolUsage, pool, &[]).fails(Error::BadHandle);
    w.root(Op::Receive, endpoint, &[0]).fails(Error::BadHandle);
    assert!(!w.enter(1, Event::Kick) && !w.enter(2, Event::Kick), "its threads are gone");
    w.timer(0, 2_000_000);
}

#[test]
fn a_thread_on_another_cpu_is_let_go_before_it_is_destroyed() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[50]).handle();
    w.thread_in(pool, 1, Handle::NULL);
    w.thread_in(pool, 2, Handle::NULL);
    w.root(Op::PoolDestroy, pool, &[]).ok();
    assert!(machine::fake(|m| m.kicked.contains(&1) && m.kicked.contains(&2)));
}

#[test]
fn a_pool_that_pays_for_its_destroyer_is_not_destroyed() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[100]).handle();
    let child = w.root(Op::PoolSplit, pool, &[50]).handle();
    w.thread_in(child, 1, Handle::NULL);
    w.call(1, Op::PoolDestroy, child, &[]).unwrap().fails(Error::BadState);
    w.call(1, Op::PoolDestroy, pool, &[]).unwrap().fails(Error::BadState);
    w.root(Op::PoolDestroy, pool, &[]).ok();
}

#[test]
fn who_calls_a_server_of_a_destroyed_pool_gets_gone() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[100]).handle();
    let endpoint = w.create(Kind::Endpoint);
    w.thread_in(pool, 1, Handle::NULL);
    w.thread(2);
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    w.call(2, Op::Call, endpoint, &[0]);
    w.wakes(1).unwrap().ok();
    w.root(Op::PoolDestroy, pool, &[]).ok();
    w.wakes(2).unwrap().fails(Error::Gone);
}

#[test]
fn large_memory_is_made_in_steps_and_dies_with_its_pool_half_made() {
    let mut w = World::new();
    let used = w.used(POOL);
    let pool = w.root(Op::PoolSplit, POOL, &[1000]).handle();
    w.thread(1);
    let with_thread = w.used(POOL);
    // One step only: the call is executed again by a CPU, which this one does not do.
    let r = w.registers(1);
    (r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.vector) =
        (Op::Create as u64, pool.0 as u64, Kind::Memory as u64, 500 * 4096, 0, SYSCALL);
    assert!(w.enter(1, Event::Syscall));
    assert!(w.used(pool) >= 500, "all of it is paid");
    w.root(Op::PoolDestroy, pool, &[]).ok();
    assert_eq!(w.used(POOL), with_thread - 1000);
    let m = w.memory(500);
    assert_eq!(w.root(Op::MemorySize, m, &[]).ok(), 500 * 4096);
    assert!(w.used(POOL) > used);
}
