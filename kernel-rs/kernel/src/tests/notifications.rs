// SPDX-License-Identifier: PMPL-1.0-or-later
//! Bits, alarms, interrupts.

use super::*;
use abi::message::{NOTIFICATION_LABEL, Tag};
use abi::right::Rights;

#[test]
fn bits_add_up_and_are_taken_once() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    w.root(Op::Signal, n, &[1]).ok();
    w.root(Op::Signal, n, &[4]).ok();
    assert_eq!(w.root(Op::Wait, n, &[0]).ok(), 5);
    w.root(Op::Wait, n, &[0]).fails(Error::WouldBlock);
}

#[test]
fn a_waiter_wakes_with_the_bits() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    w.thread(1);
    assert_eq!(w.call(1, Op::Wait, n, &[FOREVER]), None);
    w.root(Op::Signal, n, &[0]).ok();
    assert_eq!(w.wakes(1), None, "no bit, no news");
    w.root(Op::Signal, n, &[6]).ok();
    assert_eq!(w.wakes(1).unwrap().ok(), 6);
}

#[test]
fn one_receive_serves_endpoint_and_bound_notification() {
    let mut w = World::new();
    let (endpoint, n) = (w.create(Kind::Endpoint), w.create(Kind::Notification));
    let server = w.thread(1);
    w.root(Op::ThreadBind, server, &[n.0 as u64]).ok();
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    w.root(Op::Signal, n, &[9]).ok();
    let got = w.wakes(1).unwrap();
    assert_eq!((got.ok(), got.values[1], got.values[2]), (0, Tag::new(NOTIFICATION_LABEL, 1, 0).0, 9));
    w.root(Op::Signal, n, &[2]).ok();
    assert_eq!(w.call(1, Op::Receive, endpoint, &[FOREVER]).unwrap().values[2], 2, "bits from before count");
    assert_eq!(w.call(1, Op::Receive, endpoint, &[FOREVER]), None);
    w.root(Op::Send, endpoint, &[0]).ok();
    w.wakes(1).unwrap().ok();
}

#[test]
fn a_notification_binds_to_one_thread() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    let (a, b) = (w.thread(1), w.thread(2));
    w.root(Op::ThreadBind, a, &[n.0 as u64]).ok();
    w.root(Op::ThreadBind, a, &[n.0 as u64]).ok();
    w.root(Op::ThreadBind, b, &[n.0 as u64]).fails(Error::BadState);
    w.root(Op::ThreadBind, a, &[0]).ok();
    w.root(Op::ThreadBind, b, &[n.0 as u64]).ok();
}

#[test]
fn rights_are_read_to_wait_write_to_signal_edit_to_arm() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    let read = w.root(Op::Copy, n, &[Rights::READ.0 as u64, 0]).handle();
    let write = w.root(Op::Copy, n, &[Rights::WRITE.0 as u64, 0]).handle();
    w.root(Op::Signal, read, &[1]).fails(Error::NoRight);
    w.root(Op::Wait, write, &[0]).fails(Error::NoRight);
    w.root(Op::Arm, write, &[1, 1]).fails(Error::NoRight);
}

#[test]
fn an_alarm_signals_once_at_its_deadline_and_the_last_one_counts() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    w.root(Op::Arm, n, &[500, 1]).ok();
    w.root(Op::Arm, n, &[800, 2]).ok();
    assert_eq!(machine::fake(|m| m.timer_ns), Some(800));
    w.timer(0, 799);
    w.root(Op::Wait, n, &[0]).fails(Error::WouldBlock);
    w.timer(0, 800);
    assert_eq!(w.root(Op::Wait, n, &[0]).ok(), 2);
    w.timer(0, 5000);
    w.root(Op::Wait, n, &[0]).fails(Error::WouldBlock);
    w.root(Op::Arm, n, &[6000, 1]).ok();
    w.root(Op::Arm, n, &[FOREVER, 0]).ok();
    w.timer(0, 7000);
    w.root(Op::Wait, n, &[0]).fails(Error::WouldBlock);
}

#[test]
fn alarms_of_many_fire_in_order() {
    let mut w = World::new();
    let all: Vec<_> = [30u64, 10, 20, 10].into_iter().map(|ns| (ns, w.create(Kind::Notification))).collect();
    for (ns, n) in &all {
        w.root(Op::Arm, *n, &[*ns, 1]).ok();
    }
    for now in [10, 20, 30] {
        assert_eq!(machine::fake(|m| m.timer_ns), Some(now));
        w.timer(0, now);
        for (ns, n) in &all {
            assert_eq!(w.root(Op::Wait, *n, &[0]).status == 0, *ns == now, "{ns} at {now}");
        }
    }
}

#[test]
fn an_interrupt_signals_its_notification_and_dies_with_its_object() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    let i = w.root(Op::InterruptGsi, slots::INTERRUPT_CONTROL, &[4, 1, POOL.0 as u64]).handle();
    w.root(Op::InterruptGsi, slots::INTERRUPT_CONTROL, &[4, 0, POOL.0 as u64]).fails(Error::BadState);
    w.root(Op::InterruptGsi, slots::INTERRUPT_CONTROL, &[5, 4, POOL.0 as u64]).fails_at(Error::BadArgument, 1);
    w.root(Op::InterruptGsi, slots::INTERRUPT_CONTROL, &[99, 0, POOL.0 as u64]).fails_at(Error::BadArgument, 0);
    w.root(Op::InterruptBind, i, &[n.0 as u64, 8]).ok();
    let vector = machine::FIRST_VECTOR;
    w.enter(0, Event::Interrupt(vector));
    assert_eq!(w.root(Op::Wait, n, &[0]).ok(), 8);
    w.root(Op::Destroy, i, &[]).ok();
    assert_eq!(machine::fake(|m| m.masked.get(&4).copied()), Some(true));
    w.enter(0, Event::Interrupt(vector));
    w.root(Op::Wait, n, &[0]).fails(Error::WouldBlock);
    w.root(Op::InterruptGsi, slots::INTERRUPT_CONTROL, &[4, 0, POOL.0 as u64]).ok();
}

#[test]
fn message_signalled_vectors_run_out_and_come_back() {
    let mut w = World::new();
    let mut all = Vec::new();
    for _ in 0..machine::VECTORS {
        all.push(w.root(Op::InterruptMsi, slots::INTERRUPT_CONTROL, &[POOL.0 as u64]).handle());
    }
    w.root(Op::InterruptMsi, slots::INTERRUPT_CONTROL, &[POOL.0 as u64]).fails(Error::Unsupported);
    w.root(Op::Destroy, all[7], &[]).ok();
    let again = w.root(Op::InterruptMsi, slots::INTERRUPT_CONTROL, &[POOL.0 as u64]);
    again.ok();
    assert_eq!(again.values[2], machine::FIRST_VECTOR as u64 + 7);
}
