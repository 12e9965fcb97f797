// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a hostile program tries, each test named by it. The program gets an error code, or nothing; nobody else is touched.

use super::*;
use abi::boot_info::{DIRECT_MAP, KERNEL_BASE, USER_END};
use abi::message::Tag;
use abi::right::Rights;

const R: u64 = Rights::READ.0 as u64;
const W: u64 = Rights::WRITE.0 as u64;

/// A system call with the handle as the register holds it, all 64 bits.
fn raw(w: &mut World, op: Op, rdi: u64, arguments: [u64; 5]) -> Answer {
    let r = w.registers(0);
    (r.rax, r.rdi, r.vector, r.rip) = (op as u64, rdi, SYSCALL, RIP);
    [r.rsi, r.rdx, r.r10, r.r8, r.r9] = arguments;
    assert!(w.enter(0, Event::Syscall));
    let r = w.registers(0);
    Answer { status: r.rax, values: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] }
}

#[test]
fn forged_capability() {
    let mut w = World::new();
    let good = w.create(Kind::Notification);
    let forged = |w: &mut World, h: u64| {
        for op in [Op::Signal, Op::Inspect, Op::Copy, Op::Delete, Op::Destroy, Op::Revoke] {
            let answer = raw(w, op, h, [ALL, 0, 0, 0, 0]);
            assert!(matches!(Error::from_u64(answer.status), Some(Error::BadHandle | Error::StaleHandle)), "{op:?} {h:#x}");
        }
    };
    for generation in [0, 2, 3, 16_383] {
        forged(&mut w, Handle::new(good.index(), generation).0 as u64);
    }
    for index in [0, 400, 511, 512, 65_535, (1 << Handle::INDEX_BITS) - 1] {
        forged(&mut w, Handle::new(index, 1).0 as u64);
    }
    for high in [1 << 32, 1 << 63, u64::MAX << 32] {
        forged(&mut w, high | good.0 as u64);
    }
    w.root(Op::Signal, good, &[1]).ok();
}

#[test]
fn use_after_revoke() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    w.thread(1);
    let lent = w.root(Op::Copy, endpoint, &[ALL, 5]).handle();
    assert_eq!(w.call(1, Op::Receive, lent, &[FOREVER]), None);
    assert_eq!(w.root(Op::Revoke, endpoint, &[]).ok(), 1);
    // Whoever waits there already stays, but asks for no more: not by the short way either.
    for op in [Op::Call, Op::Send, Op::Receive, Op::ReplyReceive] {
        w.root(op, lent, &[0]).fails(Error::StaleHandle);
    }
    w.root(Op::Send, endpoint, &[Tag::new(1, 0, 0).0]).ok();
    w.wakes(1).unwrap().ok();
    w.call(1, Op::Receive, lent, &[FOREVER]).unwrap().fails(Error::StaleHandle);
}

#[test]
fn right_amplification_by_copy_insert_or_transfer() {
    let mut w = World::new();
    let notification = w.create(Kind::Notification);
    let some = Rights::READ | Rights::COPY;
    let weak = w.root(Op::Copy, notification, &[some.0 as u64, 0]).handle();
    let again = w.root(Op::Copy, weak, &[ALL, 0]).handle();
    assert_eq!(w.root(Op::Inspect, again, &[]).values[1], some.0 as u64);
    let inserted = w.root(Op::TableInsert, TABLE, &[weak.0 as u64, ALL, 0, 0]).handle();
    assert_eq!(w.root(Op::Inspect, inserted, &[]).values[1], some.0 as u64);
    for moves in [0, Tag::MOVE_CAPS] {
        let endpoint = w.create(Kind::Endpoint);
        w.thread(1 + (moves != 0) as usize);
        let cpu = 1 + (moves != 0) as usize;
        assert_eq!(w.call(cpu, Op::Receive, endpoint, &[FOREVER]), None);
        let buffer = w.buffer(0);
        w.kernel.frames.write_user(buffer, 512, &weak.0.to_le_bytes());
        w.root(Op::Send, endpoint, &[Tag::new(0, 0, 1).0 | moves]).ok();
        w.wakes(cpu).unwrap().ok();
        let mut bytes = [0; 4];
        w.kernel.frames.read_user(w.buffer(cpu), 512, &mut bytes);
        let received = Handle(u32::from_le_bytes(bytes));
        assert_eq!(w.root(Op::Inspect, received, &[]).values[1], some.0 as u64);
    }
}

#[test]
fn capabilities_through_an_endpoint_without_the_transfer_right() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    w.thread(1);
    assert_eq!(w.call(1, Op::Receive, endpoint, &[FOREVER]), None);
    let narrow = w.root(Op::Copy, endpoint, &[ALL & !(Rights::TRANSFER.0 as u64), 0]).handle();
    let buffer = w.buffer(0);
    w.kernel.frames.write_user(buffer, 512, &TABLE.0.to_le_bytes());
    for op in [Op::Call, Op::Send] {
        w.root(op, narrow, &[Tag::new(0, 0, 1).0]).fails(Error::NotTransferable);
    }
}

#[test]
fn reply_twice() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    w.thread(1);
    w.thread(2);
    for (cpu, reply) in [(1, Op::Reply), (2, Op::ReplySave)] {
        assert_eq!(w.call(cpu, Op::Call, endpoint, &[0]), None);
        w.root(Op::Receive, endpoint, &[0]).ok();
        let saved = if reply == Op::ReplySave { w.root(Op::ReplySave, Handle::NULL, &[]).handle() } else { Handle::NULL };
        w.root(Op::Reply, saved, &[Tag::new(7, 0, 0).0]).ok();
        assert_eq!(w.wakes(cpu).unwrap().values[1], Tag::new(7, 0, 0).0);
        // The caller calls again: the old right must not answer the new call.
        assert_eq!(w.call(cpu, Op::Call, endpoint, &[0]), None);
        let again = w.root(Op::Reply, saved, &[0]);
        assert!(matches!(Error::from_u64(again.status), Some(Error::NoReply | Error::StaleHandle)));
        assert_eq!(w.wakes(cpu), None, "answered by a right that was used");
        w.root(Op::Receive, endpoint, &[0]).ok();
        w.root(Op::Reply, Handle::NULL, &[0]).ok();
        w.wakes(cpu).unwrap().ok();
    }
}

#[test]
fn reply_to_a_call_that_came_after_the_one_it_was_for() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    let caller = w.thread(1);
    assert_eq!(w.call(1, Op::Call, endpoint, &[0]), None);
    w.root(Op::Receive, endpoint, &[0]).ok();
    let old = w.root(Op::ReplySave, Handle::NULL, &[]).handle();
    // The call ends without an answer, and the caller makes another.
    w.root(Op::ThreadStop, caller, &[]).ok();
    w.root(Op::ThreadResume, caller, &[]).ok();
    w.wakes(1).unwrap().fails(Error::Cancelled);
    assert_eq!(w.call(1, Op::Call, endpoint, &[0]), None);
    w.root(Op::Receive, endpoint, &[0]).ok();
    w.root(Op::Inspect, old, &[]).fails(Error::BadHandle);
    w.root(Op::Reply, old, &[0]).fails(Error::NoReply);
    assert_eq!(w.wakes(1), None, "answered by the right of an older call");
    w.root(Op::Reply, Handle::NULL, &[Tag::new(9, 0, 0).0]).ok();
    assert_eq!(w.wakes(1).unwrap().values[1], Tag::new(9, 0, 0).0);
}

#[test]
fn page_writable_and_executable() {
    let mut w = World::new();
    let m = w.memory(2);
    let at = 0x7000_0000;
    w.root(Op::Map, SPACE, &[m.0 as u64, 0, at, 4096, 7]).fails(Error::WriteAndExecute);
    w.root(Op::Map, SPACE, &[m.0 as u64, 0, at, 4096, 3]).ok();
    w.root(Op::Protect, SPACE, &[at, 4096, 7]).fails(Error::WriteAndExecute);
    w.root(Op::Protect, SPACE, &[at, 4096, 5]).ok();
    // The same page a second time, for the other right: allowed, and visible to whoever reviews the mappings.
    w.root(Op::Map, SPACE, &[m.0 as u64, 0, at + 0x10000, 4096, 3]).ok();
    let only_read = w.root(Op::Copy, m, &[R, 0]).handle();
    for access in [3, 5] {
        w.root(Op::Map, SPACE, &[only_read.0 as u64, 0, at + 0x20000, 4096, access]).fails(Error::NoRight);
    }
    w.root(Op::Map, SPACE, &[only_read.0 as u64, 0, at + 0x20000, 4096, 1]).ok();
    w.root(Op::Protect, SPACE, &[at + 0x20000, 4096, 3]).fails(Error::NoRight);
}

#[test]
fn kernel_address_in_a_pointer_argument() {
    let mut w = World::new();
    let m = w.memory(4);
    let t = w.create(Kind::Thread);
    for address in [USER_END & !4095, DIRECT_MAP, KERNEL_BASE, 1 << 47, !4095, 0x0000_8000_0000_0000] {
        w.root(Op::Map, SPACE, &[m.0 as u64, 0, address, 4 * 4096, 1]).fails_at(Error::OutOfRange, 2);
        w.root(Op::Unmap, SPACE, &[address, 4 * 4096]).fails_at(Error::OutOfRange, 0);
        w.root(Op::Protect, SPACE, &[address, 4 * 4096, 1]).fails_at(Error::OutOfRange, 0);
        w.root(Op::ThreadStart, t, &[address | 0xfff, 0x1000, 0]).fails_at(Error::OutOfRange, 0);
        w.root(Op::ThreadStart, t, &[0x1000, address | 0xfff, 0]).fails_at(Error::OutOfRange, 1);
        w.root(Op::ThreadFsBase, Handle::NULL, &[address | 0xfff]).fails_at(Error::OutOfRange, 0);
    }
}

#[test]
fn unaligned_and_huge_sizes_and_offsets_that_overflow() {
    let mut w = World::new();
    let m = w.memory(4);
    let h = m.0 as u64;
    for odd in [1, 4095, 4097, u64::MAX] {
        w.root(Op::Create, POOL, &[Kind::Memory as u64, odd]).fails_at(Error::Misaligned, 1);
        w.root(Op::Map, SPACE, &[h, odd, 0x7000_0000, 4096, 1]).fails_at(Error::Misaligned, 1);
        w.root(Op::Map, SPACE, &[h, 0, odd, 4096, 1]).fails_at(Error::Misaligned, 2);
        w.root(Op::Map, SPACE, &[h, 0, 0x7000_0000, odd, 1]).fails_at(Error::Misaligned, 3);
    }
    for huge in [!4095, 1 << 63, 1 << 52, u32::MAX as u64 * 4096] {
        let answer = w.root(Op::Create, POOL, &[Kind::Memory as u64, huge]);
        assert!(matches!(Error::from_u64(answer.status), Some(Error::BadArgument | Error::NoQuota)), "{huge:#x}");
        assert_ne!(w.root(Op::Map, SPACE, &[h, huge, 0x7000_0000, 4096, 1]).status, 0);
        assert_ne!(w.root(Op::Map, SPACE, &[h, 4096, 0x7000_0000, huge, 1]).status, 0);
        // Offset and length, each in order, add up to less than either.
        w.root(Op::Map, SPACE, &[h, huge, 0x7000_0000, huge.wrapping_neg() & !4095, 1]);
        assert_eq!(root_page(&w.kernel, 0x7000_0000), None);
    }
    for index in [512, 65_535, 1 << 18, 1 << 32, u64::MAX] {
        w.root(Op::TableInsert, TABLE, &[h, ALL, 0, index]).fails_at(Error::OutOfRange, 3);
    }
    w.root(Op::MemoryPhysical, m, &[u64::MAX]).fails(Error::NoRight);
}

#[test]
fn recursion_of_pools() {
    let mut w = World::new();
    let outer = w.root(Op::PoolSplit, POOL, &[200]).handle();
    let (before, mut pool) = (w.used(POOL), outer);
    let mut depth = 0;
    loop {
        let frames = w.root(Op::PoolUsage, pool, &[]).values[0];
        let child = w.root(Op::PoolSplit, pool, &[frames - 1]);
        if child.status != 0 {
            child.fails(Error::BadState);
            break;
        }
        (pool, depth) = (child.handle(), depth + 1);
    }
    assert_eq!(depth, 30, "pools in one another, below the outer one and root's");
    w.root(Op::Destroy, pool, &[]).fails(Error::BadState);
    w.root(Op::PoolDestroy, outer, &[]).ok();
    assert_eq!(w.used(POOL), before - 200, "all of them came back");
    w.root(Op::PoolSplit, pool, &[1]).fails(Error::BadHandle);
}

#[test]
fn cycle_of_calls() {
    let mut w = World::new();
    let endpoints = [(); 3].map(|_| w.create(Kind::Endpoint));
    for cpu in 1..=3 {
        w.thread(cpu);
        // Each serves one endpoint, and is known by that.
        w.call(cpu, Op::Receive, endpoints[cpu - 1], &[0]).unwrap().fails(Error::WouldBlock);
    }
    assert_eq!(w.call(1, Op::Call, endpoints[1], &[0]), None);
    assert_eq!(w.call(2, Op::Call, endpoints[2], &[0]), None);
    w.call(3, Op::Call, endpoints[0], &[0]).unwrap().fails(Error::Cycle);
    w.call(3, Op::Call, endpoints[2], &[0]).unwrap().fails(Error::Cycle);
}

#[test]
fn starvation_by_a_busy_loop() {
    let mut w = World::new();
    let mut made = Vec::new();
    for n in 0..3u64 {
        let (t, m) = (w.create(Kind::Thread), w.memory(1));
        w.root(Op::ThreadConfigure, t, &[SPACE.0 as u64, TABLE.0 as u64, 0, m.0 as u64, n]).ok();
        w.root(Op::ThreadSchedule, t, &[50, 0, 0, 1]).ok();
        machine::fake(|m| m.kicked.clear());
        w.root(Op::ThreadStart, t, &[0x40_0000, 0x5000 + n * 16]).ok();
        // The CPU that loops has no timer until it hears that it must share.
        assert_eq!(machine::fake(|m| m.kicked.clone()), [1], "thread {n}");
        w.enter(1, Event::Kick);
        made.push(t);
    }
    let mut turns = [0; 3];
    for n in 1..=30 {
        w.timer(1, n * 10_000_000);
        turns[(w.registers(1).rsp as usize - 0x5000) / 16] += 1;
    }
    assert_eq!(turns, [10, 10, 10]);
}

#[test]
fn priority_inversion() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    // A server of low priority, a busy neighbour above it, a caller above both; all on CPU 1.
    let thread = |w: &mut World, priority: u64, stack: u64| {
        let (t, m) = (w.create(Kind::Thread), w.memory(1));
        w.root(Op::ThreadConfigure, t, &[SPACE.0 as u64, TABLE.0 as u64, 0, m.0 as u64, 0]).ok();
        w.root(Op::ThreadSchedule, t, &[priority, 0, 0, 1]).ok();
        w.root(Op::ThreadStart, t, &[0x40_0000, stack]).ok();
        w.enter(1, Event::Kick);
        t
    };
    thread(&mut w, 20, 0x1000);
    assert_eq!(w.call(1, Op::Receive, endpoint, &[FOREVER]), None);
    thread(&mut w, 50, 0x2000);
    thread(&mut w, 90, 0x3000);
    assert_eq!(w.call(1, Op::Call, endpoint, &[0]), None);
    assert_eq!(w.registers(1).rsp, 0x1000, "the server runs for its caller, before the neighbour");
    // It drops the call without an answer: with it goes what was lent.
    w.call(1, Op::Receive, endpoint, &[0]);
    assert_eq!(w.registers(1).rsp, 0x3000, "the caller hears that it is gone");
}

#[test]
fn fork_bomb_of_threads_within_a_pool() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[40]).handle();
    let (free, outside) = (w.kernel.frames.free(), w.used(POOL));
    let mut count = 0;
    loop {
        let t = w.root(Op::Create, pool, &[Kind::Thread as u64]);
        if t.status != 0 {
            t.fails(Error::NoQuota);
            break;
        }
        count += 1;
        assert!(count < 2000, "a pool of 40 frames pays for all of them");
    }
    assert_eq!(w.used(POOL), outside, "nobody else paid");
    w.create(Kind::Thread);
    w.root(Op::PoolDestroy, pool, &[]).ok();
    assert!(w.kernel.frames.free() >= free - 1);
}

#[test]
fn exhausting_a_pool_and_freeing_it_ten_thousand_times() {
    let mut w = World::new();
    let (free, used) = (w.kernel.frames.free(), w.used(POOL));
    for n in 0..10_000u64 {
        let pool = w.root(Op::PoolSplit, POOL, &[24]).handle();
        for kind in [Kind::Thread, Kind::Endpoint, Kind::Notification, Kind::AddressSpace] {
            w.root(Op::Create, pool, &[kind as u64]).ok();
        }
        w.root(Op::Create, pool, &[Kind::Table as u64, 2 + n % 60]).ok();
        let mut pages = 8;
        while pages > 0 {
            if w.root(Op::Create, pool, &[Kind::Memory as u64, pages * 4096]).status != 0 {
                pages -= 1;
            }
        }
        w.root(Op::PoolDestroy, pool, &[]).ok();
        w.root(Op::Delete, pool, &[]).ok();
        assert_eq!((w.kernel.frames.free(), w.used(POOL)), (free, used), "round {n}");
    }
}

#[test]
fn handle_of_a_slot_that_was_used_sixteen_thousand_times() {
    let mut w = World::new();
    let notification = w.create(Kind::Notification);
    let table = w.create_in(POOL, Kind::Table, 3);
    let first = w.root(Op::TableInsert, table, &[notification.0 as u64, ALL, 0, 1]).handle();
    assert_eq!(first, Handle::new(1, 1));
    // A thread that has nothing but this table empties its slots again.
    let (t, m) = (w.create(Kind::Thread), w.memory(1));
    w.root(Op::ThreadConfigure, t, &[SPACE.0 as u64, table.0 as u64, 0, m.0 as u64, 0]).ok();
    w.root(Op::ThreadSchedule, t, &[100, 0, 0, 1]).ok();
    w.root(Op::ThreadStart, t, &[0x40_0000, 0x5000]).ok();
    assert!(w.enter(1, Event::Kick));
    let mut last = first;
    for life in 2..=16_383 {
        w.call(1, Op::Delete, last, &[]).unwrap().ok();
        last = w.root(Op::TableInsert, table, &[notification.0 as u64, ALL, 0, 1]).handle();
        assert_eq!(last, Handle::new(1, life));
        w.call(1, Op::Inspect, first, &[]).unwrap().fails(Error::StaleHandle);
    }
    w.call(1, Op::Delete, last, &[]).unwrap().ok();
    // The slot is used no more; the other one is.
    w.root(Op::TableInsert, table, &[notification.0 as u64, ALL, 0, 1]).fails(Error::TableFull);
    let other = w.root(Op::TableInsert, table, &[notification.0 as u64, ALL, 0, 0]).handle();
    assert_eq!(other.index(), 2);
    w.root(Op::TableInsert, table, &[notification.0 as u64, ALL, 0, 0]).fails(Error::TableFull);
    for old in [first, last] {
        w.call(1, Op::Inspect, old, &[]).unwrap().fails(Error::StaleHandle);
    }
    w.call(1, Op::Inspect, Handle::new(1, 0), &[]).unwrap().fails(Error::BadHandle);
}

#[test]
fn write_right_on_a_thread_does_not_reconfigure_it() {
    let mut w = World::new();
    let t = w.create(Kind::Thread);
    let weak = w.root(Op::Copy, t, &[R | W, 0]).handle();
    let m = w.memory(1);
    w.root(Op::ThreadConfigure, weak, &[SPACE.0 as u64, TABLE.0 as u64, 0, m.0 as u64, 0]).fails(Error::NoRight);
    w.root(Op::ThreadSchedule, weak, &[1, 0, 0, 0]).fails(Error::NoRight);
    w.root(Op::Destroy, weak, &[]).fails(Error::NoRight);
}
