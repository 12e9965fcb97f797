// SPDX-License-Identifier: PMPL-1.0-or-later
//! Random operations of several threads on several CPUs, checked against a model that is too simple to be wrong. Promises:
//! no right ever grows, revoke cuts what was derived and no more, quotas add up after each operation, a destroyed pool
//! leaves nothing behind, a call is answered once, a handle is given out once, whoever waits is woken by what it waits for.
//!
//! `shared` is the model; a program in a booted kernel has the same (`servers-rs/tests/graph`). `run` puts it beside the kernel,
//! `computer` is what runs both. A failure prints the seed and the shortest sequence of
//! steps that `shrink` found (not with `FLATRACOON_SHRINK=0`); `FLATRACOON_SEED=n` runs that seed again,
//! `FLATRACOON_OPERATIONS=n` says how many operations.

mod computer;
mod run;
mod shared;
mod shrink;

use super::*;
use abi::right::Rights;
use computer::Computer;
pub use shared::Random;
use shared::state::{Expect, e};
use shared::{Actor, Model, steps};
use std::collections::{BTreeMap, VecDeque};

/// The pool of a round: everything that its steps make is made from it.
const ROUND_FRAMES: u64 = 900;
/// Steps of a round; each has a seed of its own, so that a sequence without some of them is a sequence as well.
const ROUND_STEPS: usize = 2500;

impl Model {
    /// One step: an operation of whoever runs somewhere, a fault, an interrupt, time.
    fn step(&mut self, seed: u64) {
        self.random = Random(seed);
        self.make_room();
        match self.random.below(40) {
            0 => return self.spawn(),
            1 => return self.device(),
            2 | 3 => {
                let by_ns = [0, 1000, 300_000, 5_000_000, 40_000_000, run::LONG_NS][self.random.below(6) as usize];
                let by_ns = by_ns + self.random.below(1000);
                return self.advance(by_ns);
            }
            _ => {}
        }
        let cpu = if self.random.below(3) == 0 { 0 } else { 1 + self.random.below(CPUS as u64 - 1) as usize };
        let Some(thread) = self.c.running[cpu] else { return };
        let table = self.w.thread(thread).table.expect("configured");
        let a = Actor { cpu, thread, table };
        if !self.w.things[table].alive {
            self.expect(a, Expect::Fails(e(Error::BadHandle)));
            return self.perform(a, Op::Signal, 5, [0; 5]);
        }
        if cpu > 0 && self.random.below(40) == 0 {
            return self.fault(a);
        }
        self.any_operation(a);
    }

    /// Random steps in a pool of their own; then it dies, and everything must have come back.
    fn round(&mut self, seeds: &[u64]) {
        let a = self.root;
        let free = self.c.kernel.frames.free();
        let used = self.usage[&self.top];
        let handle = self.split(a, POOL.0 as u64, ROUND_FRAMES).expect("the pool of a round");
        (self.arena, self.arena_handle) = (*self.w.pools.last().unwrap(), handle);
        for (n, seed) in seeds.iter().enumerate() {
            self.step(*seed);
            if n % 64 == 0 {
                self.check_idle();
            }
            if n % 512 == 0 {
                self.check_graph();
            }
        }
        self.check_graph();
        let arena = core::mem::replace(&mut self.arena, self.top);
        self.w.kill(arena);
        self.expect(a, Expect::Values([0; 4]));
        self.perform(a, Op::PoolDestroy, handle.0 as u64, [0; 5]);
        assert_eq!(self.c.running, [Some(a.thread), None, None, None], "threads of a destroyed pool");
        self.w.drop_reply(a.thread);
        self.check_graph();
        let left: Vec<_> = self
            .w
            .table_caps(a.table)
            .iter()
            .copied()
            .filter(|c| !self.w.cap(*c).kept || !self.w.is_alive(self.w.cap(*c).object))
            .collect();
        for id in left {
            if self.w.caps[id].is_some() {
                let h = self.w.cap(id).handle.0 as u64;
                self.delete(a, h);
            }
        }
        // Page tables of root's own space come, stay and go with it: three for the window, one above them.
        let kept = self.usage[&self.top] as i64 - used as i64;
        assert!(kept.abs() <= 4, "{kept} frames stay in use");
        assert_eq!(free as i64 - self.c.kernel.frames.free() as i64, kept);
    }
}

/// Rounds that one computer makes.
const ROUNDS: usize = 12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|n| n.parse().unwrap_or_else(|_| panic!("{name}={n} is no number")))
}

/// The seeds of the steps of one round.
fn seeds(seed: u64, round: usize) -> Vec<u64> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (round as u64 + 1) << 32 | 1);
    (0..ROUND_STEPS).map(|_| random.next()).collect()
}

/// One seed: rounds on one computer. Says how often each operation was done and refused.
fn run_seed(seed: u64) -> BTreeMap<u64, [u64; 2]> {
    let mut model = Model::start(seed | 1);
    (0..ROUNDS).for_each(|round| model.round(&seeds(seed, round)));
    model.counts
}

/// The memory of the hosted machine is never given back: a process makes so many operations and no more.
const MOST_OPERATIONS: u64 = 5_000_000;
/// Seeds from one process's first to the next one's: more than it needs.
const SEEDS: u64 = 10_000;

#[test]
fn random_operations_agree_with_the_model() {
    let wanted = number("FLATRACOON_OPERATIONS").unwrap_or(1_000_000);
    let first = number("FLATRACOON_SEED").unwrap_or(1);
    for n in 0..wanted.div_ceil(MOST_OPERATIONS) {
        let (operations, seed) = (MOST_OPERATIONS.min(wanted - n * MOST_OPERATIONS), first + n * SEEDS);
        if wanted <= MOST_OPERATIONS {
            compare(operations, seed);
        } else {
            compare_elsewhere(operations, seed);
        }
    }
}

/// This test again, in a process of its own; what it said is this one's to say, set in so that it is no report of a test.
fn compare_elsewhere(operations: u64, seed: u64) {
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::model::random_operations_agree_with_the_model", "--nocapture"])
        .env("FLATRACOON_OPERATIONS", operations.to_string())
        .env("FLATRACOON_SEED", seed.to_string())
        .output()
        .unwrap();
    for said in [&done.stdout, &done.stderr] {
        String::from_utf8_lossy(said).lines().for_each(|line| println!("  {line}"));
    }
    assert!(done.status.success(), "the operations from seed {seed} on: {}", done.status);
}

fn compare(wanted: u64, first: u64) {
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let next = std::sync::atomic::AtomicU64::new(first);
    let sum = std::sync::Mutex::new(BTreeMap::<u64, [u64; 2]>::new());
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while sum.lock().unwrap().values().flatten().sum::<u64>() < wanted {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let counts = shrink::or_shrink(seed, || run_seed(seed));
                    let mut sum = sum.lock().unwrap();
                    for (op, [done, refused]) in counts {
                        let all = sum.entry(op).or_default();
                        *all = [all[0] + done, all[1] + refused];
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    let count: u64 = sum.values().flatten().sum();
    println!("seeds {first} to {}, {count} operations in {:?}", next.into_inner() - 1, started.elapsed());
    // A short run need not have met every outcome.
    let enough = count >= 500_000;
    for row in abi::op::TABLE {
        let [done, refused] = sum.get(&(row.op as u64)).copied().unwrap_or_default();
        println!("{:22} done {done:9} refused {refused:9}", row.name);
        assert!(done + refused > 0, "{} has no arm in the model (steps::weight, Model::arm)", row.name);
        let can_succeed =
            !matches!(row.op, Op::PowerControl | Op::DebugLog | Op::DebugDump | Op::DebugFail | Op::ThreadWriteRegisters);
        assert!(done > 0 || !can_succeed || !enough, "{} never succeeded", row.name);
        let can_fail = !matches!(row.op, Op::Null | Op::Yield | Op::ClockNow | Op::ThreadExit);
        assert!(refused > 0 || !can_fail || !enough, "{} was never refused", row.name);
    }
}
