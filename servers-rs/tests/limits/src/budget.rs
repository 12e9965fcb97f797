// SPDX-License-Identifier: PMPL-1.0-or-later
//! Budgets as programs see them: their share beside a busy neighbour of the same priority, and through servers that work
//! for somebody with a budget. Work is counted, and the machine counts instructions: what runs twice as long counts twice.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use stage::{Trouble, must};
use sys::{Endpoint, FOREVER, Tag, Thread};

const PRIORITY: u8 = 50;
const BUDGET_US: u64 = 10_000;
const PERIOD_US: u64 = 100_000;
const PERIODS: u64 = 10;
/// Per mille.
const SHARE: u64 = 100;
const TOLERANCE: u64 = 2;

static LIMITED: AtomicU64 = AtomicU64::new(0);
static BUSY: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);
/// Handles of the endpoints of the chain, for its threads.
static CHAIN: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];

fn spawn(name: &str, work: fn(), priority: u8, budget_us: u64) -> Result<Thread, Trouble> {
    let thread = must("a thread", rt::thread::spawn(name, 1, 16384, None, work))?;
    let period_us = if budget_us == 0 { 0 } else { PERIOD_US };
    must("its schedule", thread.schedule(u64::from(priority), budget_us, period_us, 0))?;
    Ok(thread)
}

fn limited() {
    while !STOP.load(Relaxed) {
        LIMITED.fetch_add(1, Relaxed);
    }
}

fn busy() {
    while !STOP.load(Relaxed) {
        BUSY.fetch_add(1, Relaxed);
    }
}

fn wait(periods: u64) -> Result<(), Trouble> {
    let timer = must("a timer", stage::POOL.create_notification())?;
    must("arming", timer.arm(rt::clock::now_ns() + periods * PERIOD_US * 1000, 1))?;
    must("waiting", timer.wait(FOREVER)).map(drop)
}

/// How much the busy one does in that many periods.
fn busy_in(periods: u64) -> Result<u64, Trouble> {
    let before = BUSY.load(Relaxed);
    wait(periods)?;
    Ok(BUSY.load(Relaxed) - before)
}

/// What the busy one does alone, and then beside what `begin` starts: what it lost is the other's share of the time.
fn measure(begin: impl FnOnce() -> Result<(), Trouble>) -> Result<(), Trouble> {
    spawn("busy", busy, PRIORITY, 0)?;
    let alone = busy_in(PERIODS)?;
    begin()?;
    // Budgets begin when their threads do: what is counted are whole periods.
    wait(2)?;
    let (beside, done) = (busy_in(PERIODS)?, LIMITED.load(Relaxed));
    STOP.store(true, Relaxed);
    let share = 1000 - beside * 1000 / alone.max(1);
    stage::console::say(format_args!("limits budget share {share} of 1000, {done} pieces done"));
    match share.abs_diff(SHARE) <= TOLERANCE && done > 0 {
        true => Ok(()),
        false => Err(alloc::format!("a share of {share} per mille, not {SHARE}")),
    }
}

/// 10 ms in 100 ms beside a loop of the same priority.
pub fn share() -> Result<(), Trouble> {
    measure(|| spawn("limited", limited, PRIORITY, BUDGET_US).map(drop))
}

/// A client with a budget calls through three servers, the last of which works until it is told to stop: it gets the
/// client's share, at the client's priority, though servers have no limit and a low priority of their own.
pub fn chain() -> Result<(), Trouble> {
    for place in &CHAIN {
        place.store(must("an endpoint", stage::POOL.create_endpoint())?.0.0, Relaxed);
    }
    spawn("last", last, PRIORITY - 20, 0)?;
    spawn("middle", || pass(1), PRIORITY - 20, 0)?;
    spawn("first", || pass(0), PRIORITY - 20, 0)?;
    // They wait for calls before the busy one begins.
    wait(1)?;
    measure(|| spawn("client", client, PRIORITY, BUDGET_US).map(drop))
}

fn endpoint(n: usize) -> Option<Endpoint> {
    Some(Endpoint(sys::Handle(CHAIN.get(n)?.load(Relaxed))))
}

/// Works in short calls, as clients do: each is one of the last server's pieces of work.
fn client() {
    let Some(first) = endpoint(0) else { return };
    while !STOP.load(Relaxed) {
        let _ = first.call(Tag::new(0, 0, 0), [0; 4]);
    }
}

fn pass(n: usize) {
    let (Some(own), Some(next)) = (endpoint(n), endpoint(n + 1)) else { return };
    let mut message = own.receive(FOREVER);
    while message.is_ok() {
        let _ = next.call(Tag::new(0, 0, 0), [0; 4]);
        message = own.reply_receive(Tag::new(0, 0, 0), [0; 4]);
    }
}

fn last() {
    const PIECE: u64 = 5_000;
    let Some(own) = endpoint(2) else { return };
    let mut message = own.receive(FOREVER);
    while message.is_ok() {
        for _ in 0..PIECE {
            if STOP.load(Relaxed) {
                break;
            }
            LIMITED.fetch_add(1, Relaxed);
        }
        message = own.reply_receive(Tag::new(0, 0, 0), [0; 4]);
    }
}
