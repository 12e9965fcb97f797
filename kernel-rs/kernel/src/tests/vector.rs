// SPDX-License-Identifier: PMPL-1.0-or-later
//! Vector registers: given at the first use, paid by the thread's pool, given back with the thread.

use super::*;
use machine::DEVICE_NOT_AVAILABLE;

const FIRST_USE: Event = Event::Fault { vector: DEVICE_NOT_AVAILABLE, error: 0, address: 0 };

#[test]
fn the_first_use_of_vector_registers_is_no_fault_and_costs_the_threads_pool_a_frame() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[64]).handle();
    let thread = w.thread_in(pool, 1, Handle::NULL);
    let before = w.used(pool);
    w.registers(1).rip = 0x40_1234;
    assert!(w.enter(1, FIRST_USE));
    assert_eq!(w.registers(1).rip, 0x40_1234, "the instruction is executed again");
    assert_eq!(w.used(pool), before + 1);
    w.root(Op::Destroy, thread, &[]).ok();
    w.root(Op::PoolDestroy, pool, &[]).ok();
}

#[test]
fn a_thread_whose_pool_cannot_pay_for_vector_registers_ends_with_the_fault() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[64]).handle();
    w.thread_in(pool, 1, Handle::NULL);
    // The last frame as well: a memory object may need two.
    for (kind, argument) in [(Kind::Memory, 4096), (Kind::Endpoint, 0)] {
        while w.root(Op::Create, pool, &[kind as u64, argument]).status == 0 {}
    }
    assert!(!w.enter(1, FIRST_USE), "nothing else runs there");
    assert!(machine::fake(|m| m.log.contains("device not available")));
}

#[test]
fn a_second_first_use_is_a_fault() {
    let mut w = World::new();
    w.thread(1);
    assert!(w.enter(1, FIRST_USE));
    assert!(!w.enter(1, FIRST_USE));
}

#[test]
fn a_thread_that_is_started_again_keeps_the_frame_and_nothing_in_it() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[64]).handle();
    let thread = w.thread_in(pool, 1, Handle::NULL);
    assert!(w.enter(1, FIRST_USE));
    let used = w.used(pool);
    w.call(1, Op::ThreadExit, Handle::NULL, &[0]);
    w.root(Op::ThreadStart, thread, &[0x40_0000, 0x50_0000, 7]).ok();
    assert!(w.enter(1, Event::Kick));
    assert_eq!(w.used(pool), used);
    assert!(w.enter(1, FIRST_USE), "as if it never had any");
    assert_eq!(w.used(pool), used);
}
