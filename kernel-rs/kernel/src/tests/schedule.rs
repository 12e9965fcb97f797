// SPDX-License-Identifier: PMPL-1.0-or-later
//! Priorities, slices, budgets.

use super::*;

const SLICE_NS: u64 = 10_000_000;

/// A thread for CPU 1 that is ready; returns its object, to compare with who runs.
fn ready(w: &mut World, priority: u64, budget_us: u64, period_us: u64) -> (Handle, machine::memory::Ref<crate::objects::Thread>) {
    let (t, m) = (w.create(Kind::Thread), w.memory(1));
    w.root(Op::ThreadConfigure, t, &[SPACE.0 as u64, TABLE.0 as u64, 0, m.0 as u64]).ok();
    w.root(Op::ThreadSchedule, t, &[priority, budget_us, period_us, 1]).ok();
    w.root(Op::ThreadStart, t, &[0x40_0000, 0]).ok();
    let thread = w.kernel.cpus[0].current.unwrap();
    let table = w.kernel.threads.get(thread).unwrap().table.unwrap();
    let slot = w.kernel.slot(table, t).unwrap();
    (t, machine::memory::Ref::from_raw(slot.object).unwrap())
}

#[test]
fn the_highest_priority_runs_and_is_preempted_by_a_higher_one() {
    let mut w = World::new();
    let (_, low) = ready(&mut w, 50, 0, 0);
    w.enter(1, Event::Kick);
    assert_eq!(w.kernel.cpus[1].current, Some(low));
    machine::fake(|m| m.kicked.clear());
    let (_, high) = ready(&mut w, 60, 0, 0);
    assert!(machine::fake(|m| m.kicked.contains(&1)));
    w.enter(1, Event::Kick);
    assert_eq!(w.kernel.cpus[1].current, Some(high));
}

#[test]
fn equals_take_turns_when_their_slices_end() {
    let mut w = World::new();
    let (_, a) = ready(&mut w, 50, 0, 0);
    let (_, b) = ready(&mut w, 50, 0, 0);
    w.enter(1, Event::Kick);
    assert_eq!(w.kernel.cpus[1].current, Some(a));
    assert_eq!(machine::fake(|m| m.timer_ns), Some(SLICE_NS));
    w.timer(1, SLICE_NS - 1);
    assert_eq!(w.kernel.cpus[1].current, Some(a));
    w.timer(1, SLICE_NS);
    assert_eq!(w.kernel.cpus[1].current, Some(b));
    w.timer(1, 2 * SLICE_NS);
    assert_eq!(w.kernel.cpus[1].current, Some(a));
}

#[test]
fn a_thread_that_is_preempted_often_does_not_get_a_new_slice_each_time() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    let (_, a) = ready(&mut w, 50, 0, 0);
    let (_, b) = ready(&mut w, 50, 0, 0);
    ready(&mut w, 90, 0, 0);
    w.enter(1, Event::Kick);
    let mut ran = Vec::new();
    for step in 1..30 {
        // The important thread runs briefly every 4 ms.
        assert_eq!(w.call(1, Op::Wait, n, &[FOREVER]), None);
        ran.push(w.kernel.cpus[1].current);
        machine::fake(|m| m.now_ns = step * 4_000_000);
        w.root(Op::Signal, n, &[1]).ok();
        w.enter(1, Event::Kick);
    }
    assert!(ran.contains(&Some(a)) && ran.contains(&Some(b)), "{ran:?}");
}

#[test]
fn yield_lets_an_equal_run() {
    let mut w = World::new();
    let (_, a) = ready(&mut w, 50, 0, 0);
    let (_, b) = ready(&mut w, 50, 0, 0);
    w.enter(1, Event::Kick);
    assert_eq!(w.kernel.cpus[1].current, Some(a));
    assert_eq!(w.call(1, Op::Yield, Handle::NULL, &[]), None);
    assert_eq!(w.kernel.cpus[1].current, Some(b));
}

#[test]
fn a_spent_budget_stops_the_thread_until_its_next_period() {
    let mut w = World::new();
    let (_, a) = ready(&mut w, 50, 1000, 5000);
    w.enter(1, Event::Kick);
    assert_eq!(w.kernel.cpus[1].current, Some(a));
    assert_eq!(machine::fake(|m| m.timer_ns), Some(1_000_000));
    assert!(!w.timer(1, 1_000_000), "throttled");
    assert!(!w.timer(1, 4_999_999));
    assert!(w.timer(1, 5_000_000), "the next period");
    assert!(!w.timer(1, 6_000_000));
}

#[test]
fn a_server_runs_on_its_callers_budget() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    let (_, server) = ready(&mut w, 40, 0, 0);
    w.enter(1, Event::Kick);
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    let (_, client) = ready(&mut w, 50, 1000, 5000);
    assert!(w.enter(1, Event::Kick));
    machine::fake(|m| m.now_ns = 300_000);
    w.call(1, Op::Call, endpoint, &[0]);
    assert_eq!(w.kernel.cpus[1].current, Some(server), "handed over at once");
    machine::fake(|m| m.now_ns = 900_000);
    w.call(1, Op::ReplyReceive, endpoint, &[0]);
    assert_eq!(w.kernel.cpus[1].current, Some(client), "and back");
    assert!(w.timer(1, 999_999), "the server's time counts, and nothing twice");
    assert!(!w.timer(1, 1_000_000), "throttled");
}

#[test]
fn a_caller_that_cannot_pay_does_not_hold_up_its_server() {
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    let (_, server) = ready(&mut w, 40, 0, 0);
    w.enter(1, Event::Kick);
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    ready(&mut w, 50, 1000, 5000);
    w.enter(1, Event::Kick);
    w.call(1, Op::Call, endpoint, &[0]);
    assert!(w.timer(1, 1_000_000));
    assert_eq!(w.kernel.cpus[1].current, Some(server));
    assert_eq!(w.kernel.threads.get(server).unwrap().effective_priority(), 40, "on its own priority");
}

#[test]
fn a_budget_of_a_tenth_is_a_tenth_beside_a_busy_neighbour() {
    const MS: u64 = 1_000_000;
    const WHOLE_NS: u64 = 20_000 * MS;
    let mut w = World::new();
    let (_, limited) = ready(&mut w, 50, 10_000, 100_000);
    let (_, busy) = ready(&mut w, 50, 0, 0);
    w.enter(1, Event::Kick);
    let (mut now, mut ran) = (0, [0, 0]);
    while now < WHOLE_NS {
        let current = w.kernel.cpus[1].current;
        let next = machine::fake(|m| m.timer_ns).expect("somebody waits for the CPU, or for a budget");
        assert!(next > now, "a timer that does not let time pass");
        ran[if current == Some(limited) { 0 } else { 1 }] += next - now;
        assert!(current == Some(limited) || current == Some(busy), "neither runs");
        now = next;
        w.timer(1, now);
    }
    let percent_of_a_tenth = ran[0] * 1000 / now;
    assert!((98..=102).contains(&percent_of_a_tenth), "{ran:?} ns of {now}");
    assert_eq!(ran[0] + ran[1], now);
}

/// Receives on CPU 1 at once.
fn serving(w: &mut World, priority: u64, endpoint: Handle) -> machine::memory::Ref<crate::objects::Thread> {
    let (_, server) = ready(w, priority, 0, 0);
    w.enter(1, Event::Kick);
    assert_eq!(w.kernel.cpus[1].current, Some(server));
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    server
}

#[test]
fn a_priority_and_a_budget_go_through_a_chain_of_calls_and_come_back_with_the_next_period() {
    let mut w = World::new();
    let (front, back) = (w.create(Kind::Endpoint), w.create(Kind::Endpoint));
    let (near, far) = (serving(&mut w, 40, front), serving(&mut w, 30, back));
    let (_, client) = ready(&mut w, 60, 1000, 5000);
    w.enter(1, Event::Kick);
    w.call(1, Op::Call, front, &[0]);
    w.call(1, Op::Call, back, &[0]);
    assert_eq!(w.kernel.cpus[1].current, Some(far));
    let priority = |w: &World, t| w.kernel.threads.get(t).unwrap().effective_priority();
    assert_eq!((priority(&w, near), priority(&w, far)), (60, 60));
    assert_eq!(machine::fake(|m| m.timer_ns), Some(1_000_000), "the budget of who called first");
    assert!(w.timer(1, 1_000_000), "it goes on with what is its own");
    assert_eq!(priority(&w, far), 30);
    w.timer(1, 5_000_000);
    assert_eq!((w.kernel.cpus[1].current, priority(&w, far)), (Some(far), 60), "the next period");
    w.call(1, Op::ReplyReceive, back, &[0]);
    assert_eq!((w.kernel.cpus[1].current, priority(&w, far)), (Some(near), 30));
    w.call(1, Op::ReplyReceive, front, &[0]);
    assert_eq!((w.kernel.cpus[1].current, priority(&w, near)), (Some(client), 40));
}

#[test]
fn who_saved_a_reply_and_went_on_gets_nothing_more_from_that_caller() {
    let mut w = World::new();
    let (endpoint, other) = (w.create(Kind::Endpoint), w.create(Kind::Endpoint));
    let server = serving(&mut w, 40, endpoint);
    ready(&mut w, 60, 1000, 5000);
    w.enter(1, Event::Kick);
    w.call(1, Op::Call, endpoint, &[0]);
    w.call(1, Op::ReplySave, Handle::NULL, &[]).unwrap().handle();
    // It runs on the caller's time until that is spent, and the caller's alarm is set.
    assert!(w.timer(1, 1_000_000));
    w.call(1, Op::Receive, other, &[0]).unwrap().fails(Error::WouldBlock);
    w.timer(1, 5_000_000);
    assert_eq!(w.kernel.cpus[1].current, Some(server));
    let t = w.kernel.threads.get(server).unwrap();
    assert_eq!((t.effective_priority(), t.payer), (40, None), "it does not work for the caller");
}

#[test]
fn an_idle_cpu_takes_work_from_a_busy_one() {
    let mut w = World::new();
    let (_, _) = ready(&mut w, 50, 0, 0);
    let (free, second) = ready(&mut w, 50, 0, 0);
    w.enter(1, Event::Kick);
    w.root(Op::ThreadSchedule, free, &[50, 0, 0, FOREVER]).ok();
    let on: Vec<_> = [2, 3].into_iter().filter(|c| w.enter(*c, Event::Kick)).collect();
    assert_eq!(on.len(), 1);
    assert_eq!(w.kernel.cpus[on[0]].current, Some(second));
}

#[test]
fn usage_says_what_a_thread_does_and_for_how_long_it_ran() {
    use abi::thread::doing;
    let mut w = World::new();
    let endpoint = w.create(Kind::Endpoint);
    let (spins, _) = ready(&mut w, 50, 0, 0);
    let (starves, _) = ready(&mut w, 40, 0, 0);
    let usage = |w: &mut World, of: Handle| {
        let doing = w.root(Op::ThreadUsage, of, &[]).ok();
        (doing, w.registers(0).rsi)
    };
    w.enter(1, Event::Kick);
    machine::fake(|m| m.now_ns = 5_000_000);
    assert_eq!(usage(&mut w, spins), (doing::RUNS, 5_000_000), "also while its CPU has not told");
    w.timer(1, 7_000_000);
    assert_eq!(usage(&mut w, spins), (doing::RUNS, 7_000_000));
    assert_eq!(usage(&mut w, starves), (doing::RUNS, 0), "ready is not running");
    w.call(1, Op::Receive, endpoint, &[FOREVER]);
    machine::fake(|m| m.now_ns = 9_000_000);
    assert_eq!(usage(&mut w, spins), (doing::RECEIVES, 7_000_000), "who waits uses nothing");
    assert_eq!(usage(&mut w, starves), (doing::RUNS, 2_000_000));
    w.root(Op::ThreadStop, starves, &[]).ok();
    assert_eq!(usage(&mut w, starves).0, doing::STOPPED);
    let blind = w.root(Op::Copy, spins, &[abi::right::Rights::WRITE.0 as u64, 0]).handle();
    w.root(Op::ThreadUsage, blind, &[]).fails(Error::NoRight);
}
