// SPDX-License-Identifier: PMPL-1.0-or-later
//! Starting, stopping, configuring threads; ports and power.

use super::*;
use abi::right::Rights;

#[test]
fn a_thread_starts_with_its_argument_and_user_privileges() {
    let mut w = World::new();
    w.thread(1);
    let r = *w.registers(1);
    assert_eq!((r.rip, r.rsp, r.rdi), (0x40_0000, 0x50_0000, 7));
    assert_eq!(r.cs & 3, 3);
}

#[test]
fn a_thread_that_runs_is_neither_configured_nor_started() {
    let mut w = World::new();
    let t = w.thread(1);
    let m = w.memory(1);
    w.root(Op::ThreadStart, t, &[0x40_0000, 0x50_0000]).fails(Error::BadState);
    w.root(Op::ThreadConfigure, t, &[SPACE.0 as u64, TABLE.0 as u64, 0, m.0 as u64]).fails(Error::BadState);
    let fresh = w.create(Kind::Thread);
    w.root(Op::ThreadStart, fresh, &[0x40_0000, 0x50_0000]).fails(Error::BadState);
    w.root(Op::ThreadResume, fresh, &[]).fails(Error::BadState);
}

#[test]
fn configure_names_the_argument_that_is_wrong() {
    let mut w = World::new();
    let (t, m) = (w.create(Kind::Thread), w.memory(1));
    let (s, c, m) = (SPACE.0 as u64, TABLE.0 as u64, m.0 as u64);
    w.root(Op::ThreadConfigure, t, &[c, c, 0, m]).fails_at(Error::WrongKind, 0);
    w.root(Op::ThreadConfigure, t, &[s, s, 0, m]).fails_at(Error::WrongKind, 1);
    w.root(Op::ThreadConfigure, t, &[s, c, c, m]).fails_at(Error::WrongKind, 2);
    w.root(Op::ThreadConfigure, t, &[s, c, 0, s]).fails_at(Error::WrongKind, 3);
    w.root(Op::ThreadConfigure, t, &[s, c, 0, 0]).fails_at(Error::BadHandle, 3);
    w.root(Op::ThreadConfigure, t, &[1 << 40, c, 0, m]).fails_at(Error::BadHandle, 0);
    w.root(Op::ThreadStart, t, &[1 << 47, 0]).fails_at(Error::OutOfRange, 0);
    w.root(Op::ThreadStart, t, &[0, u64::MAX]).fails_at(Error::OutOfRange, 1);
}

#[test]
fn schedule_refuses_what_the_caller_may_not_give() {
    let mut w = World::new();
    let t = w.create(Kind::Thread);
    w.root(Op::ThreadSchedule, t, &[201, 0, 0, FOREVER]).fails_at(Error::BadArgument, 0);
    w.root(Op::ThreadSchedule, t, &[10, 11, 10, FOREVER]).fails_at(Error::BadArgument, 1);
    w.root(Op::ThreadSchedule, t, &[10, 0, u64::MAX, FOREVER]).fails_at(Error::BadArgument, 2);
    w.root(Op::ThreadSchedule, t, &[10, 0, 0, CPUS as u64]).fails_at(Error::BadArgument, 3);
}

#[test]
fn a_thread_stopped_in_a_wait_resumes_with_cancelled() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    let t = w.thread(1);
    w.call(1, Op::Wait, n, &[FOREVER]);
    w.root(Op::ThreadStop, t, &[]).ok();
    w.root(Op::Signal, n, &[1]).ok();
    assert_eq!(w.wakes(1), None);
    w.root(Op::ThreadResume, t, &[]).ok();
    w.wakes(1).unwrap().fails(Error::Cancelled);
    assert_eq!(w.root(Op::Wait, n, &[0]).ok(), 1, "the bits are still there");
}

#[test]
fn a_thread_stopped_while_it_runs_elsewhere_keeps_its_registers() {
    let mut w = World::new();
    let t = w.thread(1);
    w.registers(1).r12 = 0xabcd;
    w.root(Op::ThreadStop, t, &[]).ok();
    assert!(machine::fake(|m| m.kicked.contains(&1)));
    assert!(!w.enter(1, Event::Kick));
    w.registers(1).r12 = 0;
    w.root(Op::ThreadResume, t, &[]).ok();
    assert!(w.enter(1, Event::Kick));
    assert_eq!(w.registers(1).r12, 0xabcd);
}

#[test]
fn a_thread_does_not_destroy_what_it_stands_on() {
    let mut w = World::new();
    for own in [slots::THREAD, TABLE, SPACE] {
        w.root(Op::Destroy, own, &[]).fails(Error::BadState);
    }
    w.root(Op::Destroy, POOL, &[]).fails(Error::BadState);
    w.root(Op::PoolDestroy, POOL, &[]).fails(Error::BadState);
    w.root(Op::Destroy, slots::POWER, &[]).fails(Error::WrongKind);
}

#[test]
fn a_thread_whose_space_is_destroyed_does_not_run() {
    let mut w = World::new();
    let space = w.create(Kind::AddressSpace);
    let (t, m) = (w.create(Kind::Thread), w.memory(1));
    w.root(Op::ThreadConfigure, t, &[space.0 as u64, TABLE.0 as u64, 0, m.0 as u64]).ok();
    w.root(Op::ThreadSchedule, t, &[10, 0, 0, 1]).ok();
    w.root(Op::ThreadStart, t, &[0x40_0000, 0]).ok();
    assert!(w.enter(1, Event::Kick));
    w.root(Op::Destroy, space, &[]).ok();
    assert!(!w.enter(1, Event::Timer), "nothing to run in");
}

#[test]
fn unknown_operations_are_refused() {
    let mut w = World::new();
    for number in [3, 127, 200, u64::MAX] {
        let r = w.registers(0);
        (r.rax, r.rdi, r.vector) = (number, 0, SYSCALL);
        assert!(w.enter(0, Event::Syscall));
        assert_eq!(w.registers(0).rax, Error::UnknownOperation as u64);
    }
}

#[cfg(not(feature = "debug"))]
#[test]
fn debug_operations_do_not_exist_without_the_feature() {
    let mut w = World::new();
    w.root(Op::DebugLog, Handle::NULL, &[0, 0]).fails(Error::UnknownOperation);
    w.root(Op::DebugDump, Handle::NULL, &[]).fails(Error::UnknownOperation);
}

#[test]
fn ports_are_reached_within_their_range_only() {
    let mut w = World::new();
    let ports = w.root(Op::PortNarrow, slots::PORTS, &[0x3f8, 0x3ff]).handle();
    w.root(Op::PortOut, ports, &[0x3f8, 1, 65]).ok();
    assert_eq!(w.root(Op::PortIn, ports, &[0x3f8, 1]).ok(), 65);
    w.root(Op::PortIn, ports, &[0x3f7, 1]).fails_at(Error::OutOfRange, 0);
    w.root(Op::PortIn, ports, &[0x3ff, 2]).fails_at(Error::OutOfRange, 0);
    w.root(Op::PortIn, ports, &[0x3f8, 3]).fails_at(Error::BadArgument, 1);
    w.root(Op::PortIn, ports, &[u64::MAX, 4]).fails_at(Error::OutOfRange, 0);
    w.root(Op::PortNarrow, ports, &[0x3f0, 0x3ff]).fails_at(Error::OutOfRange, 0);
    w.root(Op::PortNarrow, ports, &[0x3f8, 0x400]).fails_at(Error::OutOfRange, 1);
    w.root(Op::PortNarrow, ports, &[0x3fa, 0x3f9]).fails_at(Error::OutOfRange, 0);
    let read = w.root(Op::Copy, ports, &[Rights::READ.0 as u64, 0]).handle();
    w.root(Op::PortOut, read, &[0x3f8, 1, 0]).fails(Error::NoRight);
}

#[test]
fn power_needs_its_capability() {
    let mut w = World::new();
    w.root(Op::PowerControl, POOL, &[1]).fails(Error::WrongKind);
    w.root(Op::PowerControl, slots::POWER, &[2]).fails_at(Error::BadArgument, 0);
    assert_eq!(machine::fake(|m| m.power), None);
    w.root(Op::PowerControl, slots::POWER, &[1]).fails(Error::Unsupported);
    assert_eq!(machine::fake(|m| m.power), Some(machine::Power::Off));
}

#[test]
fn registers_of_a_stopped_thread_are_read_and_written_whole() {
    use abi::thread::{REGISTERS, WORD};
    let mut w = World::new();
    let thread = w.thread(1);
    let buffer = w.buffer(0);
    w.root(Op::ThreadReadRegisters, thread, &[]).fails(Error::BadState);
    *w.registers(1) = Registers { rax: 1, rbx: 2, r15: 16, rip: 0x41_0000, rsp: 0x50_0000, rflags: 0x202, ..*w.registers(1) };
    w.root(Op::ThreadStop, thread, &[]).ok();
    assert_eq!(w.root(Op::ThreadReadRegisters, thread, &[]).ok(), REGISTERS as u64);
    let word = |w: &World, n: usize| w.kernel.frames.read_user_word(buffer, n * 8);
    assert_eq!([WORD.rax, WORD.rbx, WORD.r8 + 7, WORD.rip].map(|n| word(&w, n)), [1, 2, 16, 0x41_0000]);
    for (n, value) in (0..).zip(1000..1000 + REGISTERS as u64) {
        w.kernel.frames.write_user_word(buffer, n * 8, value);
    }
    // I/O privilege, nested task, virtual 8086, interrupts off, trap.
    w.kernel.frames.write_user_word(buffer, WORD.rflags * 8, 0x2_7100);
    w.root(Op::ThreadWriteRegisters, thread, &[]).ok();
    w.root(Op::ThreadResume, thread, &[]).ok();
    assert!(w.enter(1, Event::Kick));
    let r = *w.registers(1);
    assert_eq!((r.rax, r.rbx, r.rsp, r.r15, r.rip), (1000, 1001, 1007, 1015, 1016));
    assert_eq!(r.rflags, 0x302, "the trap flag is the program's own");
}

#[test]
fn registers_that_no_user_program_may_have_are_refused_and_named() {
    use abi::thread::WORD;
    let mut w = World::new();
    let thread = w.thread(1);
    w.root(Op::ThreadStop, thread, &[]).ok();
    w.root(Op::ThreadReadRegisters, thread, &[]).ok();
    let buffer = w.buffer(0);
    for n in [WORD.rip, WORD.fs_base, WORD.gs_base] {
        let before = w.kernel.frames.read_user_word(buffer, n * 8);
        for bad in [abi::boot_info::USER_END, 0x8000_0000_0000, u64::MAX] {
            w.kernel.frames.write_user_word(buffer, n * 8, bad);
            w.root(Op::ThreadWriteRegisters, thread, &[]).fails_at(Error::OutOfRange, n as u64);
        }
        w.kernel.frames.write_user_word(buffer, n * 8, before);
    }
    let only_write = w.root(Op::Copy, thread, &[abi::right::Rights::WRITE.0 as u64, 0]).handle();
    w.root(Op::ThreadReadRegisters, only_write, &[]).fails(Error::NoRight);
    let only_read = w.root(Op::Copy, thread, &[abi::right::Rights::READ.0 as u64, 0]).handle();
    w.root(Op::ThreadWriteRegisters, only_read, &[]).fails(Error::NoRight);
}
