// SPDX-License-Identifier: PMPL-1.0-or-later
//! The fast way and the long way do the same: the same conversation, twice, step by step.

use super::*;
use abi::message::Tag;
use model::Random;

/// A client, two servers and a bystander on CPU 1, all in one table; and root, which meddles.
struct Pair {
    w: World,
    endpoints: [Handle; 2],
    threads: Vec<Handle>,
    notification: Handle,
}

fn pair(long_way: bool) -> Pair {
    let mut w = World::new();
    w.kernel.long_way = long_way;
    let endpoints = [w.create(Kind::Endpoint), w.create(Kind::Endpoint)];
    let notification = w.create(Kind::Notification);
    let mut threads = Vec::new();
    for (n, priority) in [60u64, 60, 50, 40].into_iter().enumerate() {
        let (t, m) = (w.create(Kind::Thread), w.memory(1));
        w.root(Op::ThreadConfigure, t, &[SPACE.0 as u64, TABLE.0 as u64, 0, m.0 as u64, n as u64 + 0x61]).ok();
        // The client may spend 3 of 50 ms.
        let (budget, period) = if n == 2 { (3_000, 50_000) } else { (0, 0) };
        w.root(Op::ThreadSchedule, t, &[priority, budget, period, 1]).ok();
        w.root(Op::ThreadStart, t, &[0x40_0000 + n as u64 * 16, 0]).ok();
        threads.push(t);
    }
    w.root(Op::ThreadBind, threads[0], &[notification.0 as u64]).ok();
    w.enter(1, Event::Kick);
    Pair { w, endpoints, threads, notification }
}

/// One step of whoever runs on CPU 1, or of root, or of time.
fn step(p: &mut Pair, what: u64, a: u64, b: u64) {
    let endpoint = p.endpoints[(a & 1) as usize];
    let tag = Tag::new(a as u32 >> 8, (b % 7) as usize, 0).0;
    let busy = p.w.kernel.cpus[1].current.is_some();
    if busy {
        let buffer = p.w.buffer(1);
        (4..7).for_each(|n| p.w.kernel.frames.write_user_word(buffer, n * 8, a ^ n as u64));
    }
    match what {
        0..6 if busy => drop(p.w.call(1, Op::Call, endpoint, &[tag, a, b, a ^ b, 9])),
        6..13 if busy => drop(p.w.call(1, Op::ReplyReceive, endpoint, &[tag, b, a, 3, a & b])),
        13 if busy => drop(p.w.call(1, Op::Receive, endpoint, &[[0, 50_000, FOREVER][(b % 3) as usize]])),
        14 => drop(p.w.root(Op::Signal, p.notification, &[b | 1])),
        15 => {
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
    let buffer = [word(4), word(5), word(6)];
    let r = p.w.registers(1);
    // Without a thread the CPU's registers mean nothing; of a system call, those of the call count.
    let registers = [r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9, r.rip, r.rsp, r.rbx, r.r12, buffer[0], buffer[1], buffer[2]];
    (current, if current.is_some() { registers } else { [0; 14] })
}

#[test]
fn the_fast_way_and_the_long_way_agree() {
    for seed in 1..=60u64 {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let steps: Vec<_> = (0..2000).map(|_| (random.below(18), random.next(), random.next())).collect();
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
