// SPDX-License-Identifier: PMPL-1.0-or-later
//! Faults and exits as messages.

use super::*;
use abi::fault::{Cause, label};
use abi::message::Tag;

const PAGE_FAULT: Event = Event::Fault { vector: 14, error: 6, address: 0x1234 };

#[test]
fn a_fault_reaches_the_handler_and_label_zero_resumes() {
    let mut w = World::new();
    let handler = w.create(Kind::Endpoint);
    let badged = w.root(Op::Copy, handler, &[ALL, 5]).handle();
    w.thread_in(POOL, 1, badged);
    w.registers(1).r15 = 0xf00d;
    let before = Registers { vector: 14, error: 6, ..*w.registers(1) };
    assert!(!w.enter(1, PAGE_FAULT));
    let got = w.root(Op::Receive, handler, &[0]);
    assert_eq!(got.ok(), 5);
    assert_eq!(Tag(got.values[1]).label(), label::FAULT);
    assert_eq!(got.values[2..], [Cause::PageFault as u64, 0x1234, 6, before.rip]);
    let buffer = w.buffer(0);
    let words = Tag(got.values[1]).words();
    assert_eq!(w.kernel.frames.read_user_word(buffer, (words - 1) * 8), 0xf00d, "r15 is the last word");
    w.root(Op::Reply, Handle::NULL, &[0]).ok();
    assert!(w.enter(1, Event::Kick));
    assert_eq!(*w.registers(1), before, "it goes on as it was");
}

#[test]
fn another_label_ends_the_thread() {
    let mut w = World::new();
    let handler = w.create(Kind::Endpoint);
    let thread = w.thread_in(POOL, 1, handler);
    w.enter(1, PAGE_FAULT);
    w.root(Op::Receive, handler, &[0]).ok();
    w.root(Op::Reply, Handle::NULL, &[Tag::new(1, 0, 0).0]).ok();
    assert!(!w.enter(1, Event::Kick));
    w.root(Op::ThreadResume, thread, &[]).fails(Error::BadState);
    w.root(Op::ThreadStart, thread, &[0x40_0000, 0x50_0000]).ok();
}

#[test]
fn a_fault_that_nobody_handles_is_logged_with_registers() {
    let mut w = World::new();
    w.thread(1);
    w.registers(1).rip = 0x40_0abc;
    assert!(!w.enter(1, PAGE_FAULT));
    let log = machine::fake(|m| m.log.clone());
    assert!(log.contains("page fault at 0x400abc, address 0x1234"), "{log}");
    assert!(log.contains("rax "), "{log}");
}

#[test]
fn an_exit_is_told_with_its_code_and_leaves_no_reply_right() {
    let mut w = World::new();
    let handler = w.create(Kind::Endpoint);
    w.thread_in(POOL, 1, handler);
    assert_eq!(w.call(1, Op::ThreadExit, Handle::NULL, &[42]), None);
    let got = w.root(Op::Receive, handler, &[0]);
    assert_eq!((Tag(got.values[1]).label(), got.values[2]), (label::EXIT, 42));
    w.root(Op::Reply, Handle::NULL, &[0]).fails(Error::NoReply);
}

#[test]
fn a_caller_of_a_thread_that_exits_gets_gone() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    w.thread(1);
    w.thread(2);
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    w.call(2, Op::Call, endpoint, &[0]);
    w.wakes(1).unwrap().ok();
    w.call(1, Op::ThreadExit, Handle::NULL, &[0]);
    w.wakes(2).unwrap().fails(Error::Gone);
}

#[test]
fn a_thread_that_has_exited_is_not_revived_behind_its_exit() {
    let mut w = World::new();
    let handler = w.create(Kind::Endpoint);
    let thread = w.thread_in(POOL, 1, handler);
    assert_eq!(w.call(1, Op::ThreadExit, Handle::NULL, &[42]), None);
    w.root(Op::ThreadStop, thread, &[]).ok();
    w.root(Op::ThreadResume, thread, &[]).fails(Error::BadState);
    assert_eq!(w.wakes(1), None);
    w.root(Op::Receive, handler, &[0]).fails(Error::WouldBlock);
    // Anew it runs, from its start.
    w.root(Op::ThreadStart, thread, &[0x40_0100, 0x50_0000, 8]).ok();
    assert!(w.enter(1, Event::Kick));
    assert_eq!((w.registers(1).rip, w.registers(1).rdi), (0x40_0100, 8));
}
