// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls, replies, capabilities in messages.

use super::*;
use abi::message::{MAX_WORDS, Tag};
use abi::right::Rights;

fn tag(label: u32, words: usize) -> u64 {
    Tag::new(label, words, 0).0
}

/// A server on CPU 1 that waits on an endpoint.
fn server(w: &mut World) -> Handle {
    let endpoint = w.create(Kind::Endpoint);
    w.thread(1);
    assert_eq!(w.call(1, Op::Receive, endpoint, &[FOREVER]), None);
    endpoint
}

#[test]
fn a_call_arrives_with_its_badge_and_the_reply_comes_back() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    let badged = w.root(Op::Copy, endpoint, &[ALL, 0x77]).handle();
    assert_eq!(w.call(0, Op::Call, badged, &[tag(5, 2), 10, 20]), None);
    let got = w.wakes(1).unwrap();
    assert_eq!((got.ok(), got.values), (0x77, [0x77, tag(5, 2), 10, 20, 0, 0]));
    assert_eq!(w.call(1, Op::ReplyReceive, endpoint, &[tag(6, 1), 30]), None);
    let reply = w.wakes(0).unwrap();
    assert_eq!((reply.ok(), reply.values[1], reply.values[2]), (0, tag(6, 1), 30));
}

#[test]
fn words_beyond_the_fourth_travel_through_the_buffers() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    let buffer = w.buffer(0);
    for n in 4..MAX_WORDS {
        w.kernel.frames.write_user_word(buffer, n * 8, n as u64 * 3);
    }
    w.call(0, Op::Call, endpoint, &[tag(1, MAX_WORDS)]);
    w.wakes(1).unwrap().ok();
    let buffer = w.buffer(1);
    assert!((4..MAX_WORDS).all(|n| w.kernel.frames.read_user_word(buffer, n * 8) == n as u64 * 3));
}

#[test]
fn senders_wait_in_the_order_in_which_they_came() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    w.thread(1);
    w.thread(2);
    for cpu in [2, 1] {
        assert_eq!(w.call(cpu, Op::Send, endpoint, &[tag(cpu as u32, 0)]), None);
    }
    for cpu in [2, 1] {
        assert_eq!(w.root(Op::Receive, endpoint, &[0]).values[1], tag(cpu as u32, 0));
        w.wakes(cpu).unwrap().ok();
    }
    w.root(Op::Receive, endpoint, &[0]).fails(Error::WouldBlock);
}

#[test]
fn an_invalid_tag_is_refused() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    for bad in [Tag::new(0, 65, 0).0, Tag::new(0, 0, 5).0, 1 << 7, 1 << 12, 1 << 31] {
        w.root(Op::Call, endpoint, &[bad]).fails_at(Error::BadArgument, 0);
    }
}

#[test]
fn calling_needs_write_and_receiving_needs_read() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    let read = w.root(Op::Copy, endpoint, &[Rights::READ.0 as u64, 0]).handle();
    let write = w.root(Op::Copy, endpoint, &[Rights::WRITE.0 as u64, 0]).handle();
    w.root(Op::Call, read, &[0]).fails(Error::NoRight);
    w.root(Op::Send, read, &[0]).fails(Error::NoRight);
    w.root(Op::Receive, write, &[0]).fails(Error::NoRight);
    w.root(Op::ReplyReceive, write, &[0]).fails(Error::NoRight);
}

/// Puts handles into root's buffer and sends them.
fn send_caps(w: &mut World, endpoint: Handle, caps: &[Handle], moves: bool) -> Option<Answer> {
    let buffer = w.buffer(0);
    for (n, cap) in caps.iter().enumerate() {
        w.kernel.frames.write_user(buffer, 512 + n * 4, &cap.0.to_le_bytes());
    }
    let flag = if moves { Tag::MOVE_CAPS } else { 0 };
    w.call(0, Op::Send, endpoint, &[Tag::new(1, 0, caps.len()).0 | flag])
}

fn received_cap(w: &World, n: usize) -> Handle {
    let mut bytes = [0; 4];
    w.kernel.frames.read_user(w.buffer(1), 512 + n * 4, &mut bytes);
    Handle(u32::from_le_bytes(bytes))
}

#[test]
fn a_copied_capability_is_derived_and_a_moved_one_is_gone_from_its_sender() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    let (copied, moved) = (w.create(Kind::Notification), w.create(Kind::Notification));
    send_caps(&mut w, endpoint, &[copied], false).unwrap().ok();
    w.wakes(1).unwrap().ok();
    let there = received_cap(&w, 0);
    assert_eq!(w.call(1, Op::Inspect, there, &[]).unwrap().ok(), Kind::Notification as u64);
    assert_eq!(w.root(Op::Revoke, copied, &[]).ok(), 1);
    w.call(1, Op::Inspect, there, &[]).unwrap().fails(Error::StaleHandle);

    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    send_caps(&mut w, endpoint, &[moved], true).unwrap().ok();
    w.wakes(1).unwrap().ok();
    w.root(Op::Inspect, moved, &[]).fails(Error::StaleHandle);
    let there = received_cap(&w, 0);
    assert_eq!(w.call(1, Op::Inspect, there, &[]).unwrap().ok(), Kind::Notification as u64);
}

#[test]
fn capabilities_that_may_not_travel_do_not() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    let fixed = w.create(Kind::Notification);
    let without_copy = w.root(Op::Copy, fixed, &[Rights::READ.0 as u64, 0]).handle();
    send_caps(&mut w, endpoint, &[without_copy], false).unwrap().fails(Error::NotTransferable);
    let without_transfer = w.root(Op::Copy, endpoint, &[Rights::WRITE.0 as u64, 0]).handle();
    send_caps(&mut w, without_transfer, &[fixed], false).unwrap().fails(Error::NotTransferable);
    send_caps(&mut w, endpoint, &[fixed, fixed], true).unwrap().fails(Error::NotTransferable);
    send_caps(&mut w, endpoint, &[Handle::NULL], false).unwrap().fails(Error::BadHandle);
    assert_eq!(w.wakes(1), None, "nothing arrived");
}

#[test]
fn a_second_reply_is_refused_and_a_saved_reply_answers_later() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    w.call(0, Op::Call, endpoint, &[0]);
    w.wakes(1).unwrap().ok();
    let saved = w.call(1, Op::ReplySave, Handle::NULL, &[]).unwrap().handle();
    w.call(1, Op::Reply, Handle::NULL, &[0]).unwrap().fails(Error::NoReply);
    w.call(1, Op::ReplySave, Handle::NULL, &[]).unwrap().fails(Error::NoReply);
    assert_eq!(w.wakes(0), None);
    w.call(1, Op::Copy, saved, &[ALL]).unwrap().fails(Error::NoRight);
    w.call(1, Op::Reply, saved, &[tag(9, 0)]).unwrap().ok();
    assert_eq!(w.wakes(0).unwrap().values[1], tag(9, 0));
    w.call(1, Op::Reply, saved, &[0]).unwrap().fails(Error::StaleHandle);
}

#[test]
fn deleting_a_saved_reply_tells_the_caller_that_nobody_answers() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    w.call(0, Op::Call, endpoint, &[0]);
    w.wakes(1);
    let saved = w.call(1, Op::ReplySave, Handle::NULL, &[]).unwrap().handle();
    w.call(1, Op::Delete, saved, &[]).unwrap().ok();
    w.wakes(0).unwrap().fails(Error::Gone);
}

#[test]
fn receiving_again_without_a_reply_gives_the_caller_gone() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    w.call(0, Op::Call, endpoint, &[0]);
    w.wakes(1).unwrap().ok();
    assert_eq!(w.call(1, Op::Receive, endpoint, &[FOREVER]), None);
    w.wakes(0).unwrap().fails(Error::Gone);
}

#[test]
fn destroying_an_endpoint_frees_everyone_who_waits_there() {
    let mut w = World::new();
    let (a, b) = (w.create(Kind::Endpoint), w.create(Kind::Endpoint));
    w.thread(1);
    w.thread(2);
    assert_eq!(w.call(1, Op::Call, a, &[0]), None);
    assert_eq!(w.call(2, Op::Receive, b, &[FOREVER]), None);
    w.root(Op::Destroy, a, &[]).ok();
    w.root(Op::Destroy, b, &[]).ok();
    w.wakes(1).unwrap().fails(Error::Gone);
    w.wakes(2).unwrap().fails(Error::Gone);
    w.root(Op::Send, a, &[0]).fails(Error::StaleHandle);
}

#[test]
fn a_server_that_dies_gives_its_caller_gone() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    w.thread(2);
    let server = w.thread(1);
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    w.call(2, Op::Call, endpoint, &[0]);
    w.wakes(1).unwrap().ok();
    w.root(Op::Destroy, server, &[]).ok();
    w.wakes(2).unwrap().fails(Error::Gone);
}

#[test]
fn receive_times_out_at_its_deadline_and_not_before() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    w.thread(1);
    assert_eq!(w.call(1, Op::Receive, endpoint, &[1000]), None);
    assert!(!w.timer(1, 999));
    assert!(w.timer(1, 1000));
    assert_eq!(w.registers(1).rax, Error::TimedOut as u64);
}

#[test]
fn a_call_that_would_wait_for_itself_is_refused() {
    let mut w = World::new();
    let (a, b) = (w.create(Kind::Endpoint), w.create(Kind::Endpoint));
    w.thread(1);
    w.thread(2);
    // 1 serves a, 2 serves b; 2 calls a and is being served by 1, which then calls b.
    w.call(2, Op::Receive, b, &[0]);
    w.call(1, Op::Receive, a, &[FOREVER]);
    w.call(2, Op::Call, a, &[0]);
    w.wakes(1).unwrap().ok();
    w.call(1, Op::Call, b, &[0]).unwrap().fails(Error::Cycle);
}

#[test]
fn a_message_for_a_receiver_without_room_is_refused_and_the_receiver_waits_on() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    let table = w.create_in(POOL, Kind::Table, 2);
    let thread = w.create(Kind::Thread);
    let buffer = w.memory(1);
    w.root(Op::ThreadConfigure, thread, &[SPACE.0 as u64, table.0 as u64, 0, buffer.0 as u64]).ok();
    w.root(Op::ThreadSchedule, thread, &[100, 0, 0, 1]).ok();
    let inside = w.root(Op::TableInsert, table, &[endpoint.0 as u64, ALL, 0, 0]).handle();
    w.root(Op::ThreadStart, thread, &[0x40_0000, 0x50_0000]).ok();
    assert!(w.enter(1, Event::Kick));
    assert_eq!(w.call(1, Op::Receive, inside, &[FOREVER]), None);
    let cap = w.create(Kind::Notification);
    send_caps(&mut w, endpoint, &[cap], false).unwrap().fails(Error::ReceiverFull);
    assert_eq!(w.wakes(1), None);
    w.root(Op::Send, endpoint, &[tag(3, 0)]).ok();
    assert_eq!(w.wakes(1).unwrap().values[1], tag(3, 0));
}

#[test]
fn a_callers_priority_is_lent_until_the_reply() {
    let mut w = World::new();
    let endpoint = server(&mut w);
    w.call(0, Op::Call, endpoint, &[0]);
    w.wakes(1).unwrap().ok();
    let server = w.kernel.cpus[1].current.unwrap();
    assert_eq!(w.kernel.threads.get(server).unwrap().effective_priority(), 200);
    w.call(1, Op::Reply, Handle::NULL, &[0]).unwrap().ok();
    assert_eq!(w.kernel.threads.get(server).unwrap().effective_priority(), 100);
}
