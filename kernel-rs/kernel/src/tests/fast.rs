// SPDX-License-Identifier: PMPL-1.0-or-later
//! The fast way and the long way do the same: the same conversation, twice, step by step.

use super::*;
use crate::ipc::CAPS_OFFSET;
use abi::message::Tag;
use model::Random;

/// A client, two servers and a bystander on CPU 1, all in one table; and root, which meddles.
struct Pair {
    w: World,
    endpoints: [Handle; 2],
    threads: Vec<Handle>,
    buffers: Vec<Handle>,
    /// Bound to the first thread.
    notification: Handle,
    /// For all of them.
    bells: [Handle; 2],
}

fn pair(long_way: bool) -> Pair {
    let mut w = World::new();
    w.kernel.long_way = long_way;
    let endpoints = [w.create(Kind::Endpoint), w.create(Kind::Endpoint)];
    let notification = w.create(Kind::Notification);
    let bells = [w.create(Kind::Notification), w.create(Kind::Notification)];
    let (mut threads, mut buffers) = (Vec::new(), Vec::new());
    for (n, priority) in [60u64, 60, 50, 40].into_iter().enumerate() {
        let (t, m) = (w.create(Kind::Thread), w.memory(1));
        // The faults of all but the first server go to the other endpoint.
        let handler = if n > 0 { endpoints[1].0 as u64 } else { 0 };
        w.root(Op::ThreadConfigure, t, &[SPACE.0 as u64, TABLE.0 as u64, handler, m.0 as u64, n as u64 + 0x61]).ok();
        // The client may spend 3 of 50 ms.
        let (budget, period) = if n == 2 { (3_000, 50_000) } else { (0, 0) };
        w.root(Op::ThreadSchedule, t, &[priority, budget, period, 1]).ok();
        w.root(Op::ThreadStart, t, &[0x40_0000 + n as u64 * 16, 0]).ok();
        threads.push(t);
        buffers.push(m);
    }
    w.root(Op::ThreadBind, threads[0], &[notification.0 as u64]).ok();
    w.enter(1, Event::Kick);
    Pair { w, endpoints, threads, buffers, notification, bells }
}

/// One step of whoever runs on CPU 1, or of root, or of time.
fn step(p: &mut Pair, what: u64, a: u64, b: u64) {
    let endpoint = p.endpoints[(a & 1) as usize];
    let mut tag = Tag::new(a as u32 >> 8, (b % 7) as usize, 0).0;
    let busy = p.w.kernel.cpus[1].current.is_some();
    if busy {
        let buffer = p.w.buffer(1);
        (4..7).for_each(|n| p.w.kernel.frames.write_user_word(buffer, n * 8, a ^ n as u64));
        // Now and then a capability goes along, or a copy of it; all of them are taken away again.
        match a >> 8 & 15 {
            0..3 => {
                let given = p.w.root(Op::Copy, p.bells[1], &[if b & 8 == 0 { ALL } else { 0 }, 0]).values[0];
                p.w.kernel.frames.write_user_word(buffer, CAPS_OFFSET, given);
                tag |= Tag::new(0, 0, 1).0 | if b & 16 == 0 { Tag::MOVE_CAPS } else { 0 };
            }
            3 => drop(p.w.root(Op::Revoke, p.bells[1], &[])),
            _ => {}
        }
    }
    match what {
        0..6 if busy => drop(p.w.call(1, Op::Call, endpoint, &[tag, a, b, a ^ b, 9])),
        6..13 if busy => drop(p.w.call(1, Op::ReplyReceive, endpoint, &[tag, b, a, 3, a & b])),
        13 if busy => drop(p.w.call(1, Op::Receive, endpoint, &[[0, 50_000, FOREVER][(b % 3) as usize]])),
        14 if a & 1 == 0 => drop(p.w.root(Op::Signal, p.notification, &[b | 1])),
        14 if busy => drop(p.w.call(1, Op::Signal, p.bells[(a >> 1 & 1) as usize], &[b | 1])),
        15 if busy => drop(p.w.call(1, Op::Wait, p.bells[(a & 1) as usize], &[[0, 50_000, FOREVER, FOREVER][(b % 4) as usize]])),
        16 if busy => drop(p.w.enter(1, Event::Fault { vector: 6, error: 0, address: 0 })),
        17 => {
            let thread = p.threads[(a & 3) as usize];
            p.w.root(Op::ThreadStop, thread, &[]).ok();
            p.w.root(Op::ThreadResume, thread, &[]);
            p.w.enter(1, Event::Kick);
        }
        _ => {
            let now_ns = machine::fake(|m| m.now_ns) + b % 2_000_000;
            p.w.timer(1, now_ns);
        }
    }
}

fn state(p: &mut Pair) -> (Option<machine::memory::Ref<crate::objects::Thread>>, [u64; 14]) {
    let current = p.w.kernel.cpus[1].current;
    let word = |n: usize| current.map_or(0, |_| p.w.kernel.frames.read_user_word(p.w.buffer(1), n * 8));
    let buffer = [word(4), word(5), word(6) ^ word(CAPS_OFFSET / 8).rotate_left(32)];
    let r = p.w.registers(1);
    // Without a thread the CPU's registers mean nothing; of a system call, those of the call count.
    let registers = [r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9, r.rip, r.rsp, r.rbx, r.r12, buffer[0], buffer[1], buffer[2]];
    (current, if current.is_some() { registers } else { [0; 14] })
}

#[test]
fn the_fast_way_and_the_long_way_agree() {
    for seed in 1..=60u64 {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let steps: Vec<_> = (0..2000).map(|_| (random.below(20), random.next(), random.next())).collect();
        let mut runs = Vec::new();
        for long_way in [false, true] {
            machine::fake(|m| *m = Default::default());
            let mut p = pair(long_way);
            runs.push(
                steps
                    .iter()
                    .map(|(what, a, b)| {
                        step(&mut p, *what, *a, *b);
                        state(&mut p)
                    })
                    .collect::<Vec<_>>(),
            );
        }
        for (n, (fast, long)) in runs[0].iter().zip(&runs[1]).enumerate() {
            assert_eq!(fast, long, "seed {seed}, step {n}: {:?}", steps[n]);
        }
    }
}

/// A client of priority 60 runs on CPU 1, a server waits there in the first endpoint. Both are root's.
fn ready(long_way: bool) -> Pair {
    let mut p = pair(long_way);
    // The second thread, of equal priority, runs after the first.
    p.w.call(1, Op::Receive, p.endpoints[0], &[FOREVER]);
    p
}

/// Whether a call of the running thread is done in local mode; the CPU has another thread's registers then or its own.
fn is_local(p: &mut Pair, op: Op, handle: u64, arguments: [u64; 2]) -> bool {
    let mut r = *p.w.registers(1);
    (r.rax, r.rdi, r.vector) = (op as u64, handle, SYSCALL);
    [r.rsi, r.rdx] = arguments;
    p.w.kernel.enter_local(1, &mut r, None)
}

fn call_is_local(p: &mut Pair) -> bool {
    let endpoint = p.endpoints[0].0 as u64;
    is_local(p, Op::Call, endpoint, [Tag::new(1, 1, 0).0, 7])
}

#[test]
fn a_call_to_a_waiting_server_of_this_cpu_is_local_and_so_is_its_reply() {
    let mut p = ready(false);
    assert!(call_is_local(&mut p));
    let endpoint = p.endpoints[0].0 as u64;
    assert!(is_local(&mut p, Op::ReplyReceive, endpoint, [Tag::new(0, 4, 0).0, 1]));
}

#[test]
fn shortcuts_that_a_removal_made_stale_are_made_anew_in_local_mode() {
    let mut p = ready(false);
    let endpoint = p.endpoints[0].0 as u64;
    for words in [1, 4, 6] {
        let memory = p.w.memory(1);
        p.w.root(Op::Destroy, memory, &[]).ok();
        assert!(is_local(&mut p, Op::Call, endpoint, [Tag::new(1, words, 0).0, 7]));
        assert!(is_local(&mut p, Op::ReplyReceive, endpoint, [Tag::new(0, words, 0).0, 1]));
    }
}

#[test]
fn a_buffer_whose_memory_is_gone_is_not_written_in_local_mode() {
    let mut p = ready(false);
    let endpoint = p.endpoints[0].0 as u64;
    assert!(is_local(&mut p, Op::Call, endpoint, [Tag::new(1, 6, 0).0, 7]));
    assert!(is_local(&mut p, Op::ReplyReceive, endpoint, [Tag::new(0, 6, 0).0, 1]));
    p.w.root(Op::Destroy, p.buffers[0], &[]).ok();
    // Whoever has the frame now must not find a message in it.
    let _next = p.w.memory(1);
    assert!(!is_local(&mut p, Op::Call, endpoint, [Tag::new(1, 6, 0).0, 7]));
    p.w.call(1, Op::Call, p.endpoints[0], &[Tag::new(1, 6, 0).0]).unwrap().fails(Error::ReceiverFull);
    assert!(is_local(&mut p, Op::Call, endpoint, [Tag::new(1, 4, 0).0, 7]), "few words need none");
}

/// A thread that faults on CPU 1, its handler waits there.
fn faulting() -> Pair {
    let mut p = pair(false);
    // The first thread waits elsewhere; the second serves the faults of the third.
    p.w.call(1, Op::Wait, p.bells[0], &[FOREVER]);
    p.w.call(1, Op::Receive, p.endpoints[1], &[FOREVER]);
    p
}

fn fault_is_local(p: &mut Pair) -> bool {
    let mut r = *p.w.registers(1);
    let done = p.w.kernel.enter_local(1, &mut r, Some(crate::fault::Fault { vector: 6, error: 0, address: 0 }));
    *p.w.registers(1) = r;
    done
}

#[test]
fn a_fault_is_told_in_local_mode_and_answered() {
    let mut p = faulting();
    let (faulted, rsp) = (p.w.kernel.cpus[1].current, 0x1234_5678);
    p.w.registers(1).rsp = rsp;
    assert!(fault_is_local(&mut p));
    assert_ne!(p.w.kernel.cpus[1].current, faulted);
    assert_eq!(p.w.kernel.frames.read_user_word(p.w.buffer(1), 4 * 8), rsp);
    let endpoint = p.endpoints[1].0 as u64;
    assert!(is_local(&mut p, Op::ReplyReceive, endpoint, [0, 0]));
    assert_eq!(p.w.kernel.cpus[1].current, faulted);
}

#[test]
fn an_answer_to_a_fault_that_ends_the_thread_is_not_local() {
    let mut p = faulting();
    assert!(fault_is_local(&mut p));
    let endpoint = p.endpoints[1].0 as u64;
    assert!(!is_local(&mut p, Op::ReplyReceive, endpoint, [Tag::new(1, 0, 0).0, 0]));
}

#[test]
fn an_answer_to_a_fault_by_a_weak_or_revoked_capability_is_refused_in_local_mode() {
    let mut p = faulting();
    let write = p.w.root(Op::Copy, p.endpoints[1], &[abi::right::Rights::WRITE.0 as u64, 0]).handle();
    let copy = p.w.root(Op::Copy, p.endpoints[1], &[ALL, 0]).handle();
    assert!(fault_is_local(&mut p));
    assert!(!is_local(&mut p, Op::ReplyReceive, write.0 as u64, [0, 0]));
    p.w.root(Op::Revoke, p.endpoints[1], &[]).ok();
    assert!(!is_local(&mut p, Op::ReplyReceive, copy.0 as u64, [0, 0]));
    let endpoint = p.endpoints[1].0 as u64;
    assert!(is_local(&mut p, Op::ReplyReceive, endpoint, [0, 0]));
}

#[test]
fn a_fault_whose_handler_is_gone_or_elsewhere_is_not_local() {
    let mut p = faulting();
    p.w.root(Op::ThreadSchedule, p.threads[1], &[60, 0, 0, 2]).ok();
    assert!(!fault_is_local(&mut p), "its handler may run on CPU 2 only");
    let mut p = faulting();
    p.w.root(Op::Destroy, p.endpoints[1], &[]).ok();
    assert!(!fault_is_local(&mut p));
    let mut p = faulting();
    p.w.root(Op::Destroy, p.buffers[1], &[]).ok();
    assert!(!fault_is_local(&mut p), "most of its words have no place");
}

#[test]
fn a_revoked_capability_is_refused_in_local_mode() {
    let mut p = ready(false);
    let copy = p.w.root(Op::Copy, p.endpoints[0], &[ALL, 9]).handle();
    p.w.root(Op::Revoke, p.endpoints[0], &[]).ok();
    assert!(!is_local(&mut p, Op::Call, copy.0 as u64, [0, 0]));
    p.w.call(1, Op::Call, copy, &[0]).unwrap().fails(Error::StaleHandle);
}

#[test]
fn an_under_privileged_capability_is_refused_in_local_mode() {
    let mut p = ready(false);
    let read = p.w.root(Op::Copy, p.endpoints[0], &[abi::right::Rights::READ.0 as u64, 0]).handle();
    assert!(!is_local(&mut p, Op::Call, read.0 as u64, [0, 0]));
    p.w.call(1, Op::Call, read, &[0]).unwrap().fails(Error::NoRight);
    let write = p.w.root(Op::Copy, p.bells[0], &[abi::right::Rights::WRITE.0 as u64, 0]).handle();
    assert!(!is_local(&mut p, Op::Wait, write.0 as u64, [FOREVER, 0]));
    p.w.call(1, Op::Wait, write, &[0]).unwrap().fails(Error::NoRight);
}

#[test]
fn a_stale_handle_and_one_with_high_bits_are_refused_in_local_mode() {
    let mut p = ready(false);
    let (copy, whole) = (p.w.root(Op::Copy, p.endpoints[0], &[ALL, 9]).handle(), p.endpoints[0].0 as u64);
    p.w.root(Op::Delete, copy, &[]).ok();
    assert!(!is_local(&mut p, Op::Call, copy.0 as u64, [0, 0]));
    assert!(!is_local(&mut p, Op::Call, whole | 1 << 32, [0, 0]));
}

#[test]
fn a_capability_of_another_kind_is_refused_in_local_mode() {
    let mut p = ready(false);
    let (bell, endpoint) = (p.bells[0].0 as u64, p.endpoints[0].0 as u64);
    assert!(!is_local(&mut p, Op::Call, bell, [0, 0]));
    assert!(!is_local(&mut p, Op::Signal, endpoint, [1, 0]));
}

#[test]
fn a_destroyed_endpoint_is_refused_in_local_mode() {
    let mut p = ready(false);
    p.w.root(Op::Destroy, p.endpoints[0], &[]).ok();
    assert!(!call_is_local(&mut p));
}

/// Calls with a capability in the buffer, moved or copied.
fn carries(p: &mut Pair, through: Handle, what: Handle, moves: bool) -> bool {
    let buffer = p.w.buffer(1);
    p.w.kernel.frames.write_user_word(buffer, CAPS_OFFSET, what.0 as u64);
    let tag = Tag::new(5, 6, 1).0 | if moves { Tag::MOVE_CAPS } else { 0 };
    is_local(p, Op::Call, through.0 as u64, [tag, 7])
}

#[test]
fn a_capability_goes_with_a_message_without_the_long_way() {
    for moves in [true, false] {
        let mut p = ready(false);
        let what = p.w.root(Op::Copy, p.bells[0], &[ALL, 9]).handle();
        let endpoint = p.endpoints[0];
        assert!(carries(&mut p, endpoint, what, moves));
        let got = Handle(p.w.kernel.frames.read_user_word(p.w.buffer(1), CAPS_OFFSET) as u32);
        assert_ne!(got, what);
        assert_eq!(p.w.root(Op::Inspect, got, &[]).values[2], 9, "its badge");
        assert_eq!(p.w.root(Op::Inspect, what, &[]).status == 0, !moves, "the sender has it still");
        assert_eq!(p.w.root(Op::Revoke, p.bells[0], &[]).ok(), 2 - moves as u64, "it stays in the derivation");
    }
}

#[test]
fn a_weak_revoked_or_stale_capability_goes_nowhere_and_through_none() {
    use abi::right::Rights;
    let mut p = ready(false);
    let endpoint = p.endpoints[0];
    let rights = |r: Rights| (Rights::ALL.0 & !r.0) as u64;
    let fixed = p.w.root(Op::Copy, p.bells[0], &[rights(Rights::COPY), 0]).handle();
    assert!(!carries(&mut p, endpoint, fixed, true), "it may not be passed on");
    let good = p.w.root(Op::Copy, p.bells[0], &[ALL, 0]).handle();
    for missing in [Rights::TRANSFER, Rights::WRITE] {
        let weak = p.w.root(Op::Copy, endpoint, &[rights(missing), 0]).handle();
        assert!(!carries(&mut p, weak, good, true), "through a capability that must not");
    }
    let child = p.w.root(Op::Copy, endpoint, &[ALL, 0]).handle();
    p.w.root(Op::Revoke, endpoint, &[]).ok();
    assert!(!carries(&mut p, child, good, true), "through a revoked capability");
    p.w.root(Op::Revoke, p.bells[0], &[]).ok();
    assert!(!carries(&mut p, endpoint, good, true), "a revoked capability");
    let gone = p.w.create(Kind::Notification);
    p.w.root(Op::Destroy, gone, &[]).ok();
    for nothing in [gone, Handle::NULL, Handle(u32::MAX)] {
        assert!(!carries(&mut p, endpoint, nothing, true));
    }
    p.w.root(Op::ThreadSchedule, p.threads[0], &[60, 0, 0, 2]).ok();
    let good = p.w.root(Op::Copy, p.bells[0], &[ALL, 0]).handle();
    assert!(!carries(&mut p, endpoint, good, true), "to another CPU");
    assert_eq!(p.w.root(Op::Inspect, good, &[]).status, 0, "nothing was moved");
}

#[test]
fn a_message_with_many_capabilities_or_an_invalid_tag_is_not_local() {
    let mut p = ready(false);
    let endpoint = p.endpoints[0].0 as u64;
    for tag in [Tag::new(0, 0, 1).0, Tag::new(0, 0, 2).0, Tag::new(0, 65, 0).0, Tag::MOVE_CAPS, 1 << 12] {
        assert!(!is_local(&mut p, Op::Call, endpoint, [tag, 0]));
    }
}

#[test]
fn a_stopped_server_and_one_on_another_cpu_are_not_called_in_local_mode() {
    let mut p = ready(false);
    p.w.root(Op::ThreadStop, p.threads[0], &[]).ok();
    assert!(!call_is_local(&mut p));
    let mut p = ready(false);
    p.w.root(Op::ThreadSchedule, p.threads[0], &[60, 0, 0, 2]).ok();
    assert!(!call_is_local(&mut p), "it may run on CPU 2 only");
}

#[test]
fn bits_of_the_bound_notification_come_before_waiting_again() {
    let mut p = ready(false);
    assert!(call_is_local(&mut p));
    p.w.root(Op::Signal, p.notification, &[4]).ok();
    let endpoint = p.endpoints[0].0 as u64;
    assert!(!is_local(&mut p, Op::ReplyReceive, endpoint, [0, 0]), "the long way takes the bits");
}

#[test]
fn a_server_that_waits_with_a_timeout_is_not_called_in_local_mode() {
    let mut p = pair(false);
    p.w.call(1, Op::Receive, p.endpoints[0], &[50_000]);
    assert!(!call_is_local(&mut p));
}

#[test]
fn a_server_whose_space_is_being_destroyed_is_not_called_in_local_mode() {
    let mut p = ready(false);
    assert!(call_is_local(&mut p));
    let server = p.w.kernel.cpus[1].current.unwrap();
    let (space, endpoint) = (p.w.kernel.threads.get(server).unwrap().space.unwrap(), p.endpoints[0].0 as u64);
    assert!(is_local(&mut p, Op::ReplyReceive, endpoint, [0, 0]));
    p.w.kernel.spaces.get_mut(space).unwrap().dying = true;
    assert!(!call_is_local(&mut p), "also by a shortcut that was taken before");
}
