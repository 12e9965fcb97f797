// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls between threads that are moved from CPU to CPU all the while: none is lost, none arrives twice.

use crate::Attack;
use crate::partner::{COUNTER, OTHER, SERVER};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use rt::child::Child;
use rt::memory::Shared;
use stage::{Give, POOL, PRIORITY, Part, Random, Stage, Trouble, console, must, same};
use sys::{Endpoint, Error, Notification, PAGE_BYTES, Rights};

pub const ATTACKS: &[Attack] =
    &[Attack { promise: "threads that call each other while they change CPUs lose no call and get none twice", run: migration }];

const ROUNDS: u64 = 3;
/// Callers, and as many servers; each caller calls its own server and the next one in turn.
pub const PAIRS: usize = 3;
/// By each caller.
pub const CALLS: u32 = 4000;
/// Between two moves.
const PAUSE_NS: u64 = 200_000;
/// 60 seconds at the least: who is not done by then never is.
const MOST_MOVES: u64 = 300_000;

/// Where each counts, in the page that all share.
pub fn calls_done(caller: usize) -> usize {
    caller * 4
}
pub fn calls_served(server: usize) -> usize {
    (PAIRS + server) * 4
}
pub const WRONG: usize = 2 * PAIRS * 4;

fn migration(stage: &Stage) -> Result<(), Trouble> {
    let cpus = rt::start::root_info().map_or(1, |info| info.cpu_count);
    let mut before = None;
    for n in 0..ROUNDS {
        round(stage, &mut Random::new(n), cpus)?;
        let used = must("usage", POOL.usage())?.1;
        same("frames in use", used, *before.get_or_insert(used))?;
    }
    Ok(())
}

fn round(stage: &Stage, random: &mut Random, cpus: u64) -> Result<(), Trouble> {
    let access = Rights::READ | Rights::WRITE;
    let pause = must("making a notification", POOL.create_notification())?;
    let counted = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let shared = must("mapping", Shared::map(counted, PAGE_BYTES, access))?;
    let counter = Give::Memory(COUNTER, counted, PAGE_BYTES, access);
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for _ in 0..PAIRS {
        endpoints.push(must("making an endpoint", POOL.create_endpoint())?);
    }
    let mut children = Vec::new();
    let mut start = |role, gives: &[Give], number: usize| {
        let part = Part { priority: LOW, arguments: [number.to_string()].into(), ..Part::new(role, gives, stage.accidents) };
        stage.start(&part).map(|child| children.push(child))
    };
    for (number, endpoint) in endpoints.iter().enumerate() {
        start("counting server", &[Give::Serve(*endpoint), counter], number)?;
    }
    for number in 0..PAIRS {
        let [own, next] = [number, (number + 1) % PAIRS].map(|n| endpoints[n]);
        start("counting caller", &[Give::Call(SERVER, own, 1), Give::Call(OTHER, next, 2), counter], number)?;
    }
    let count = |offset| shared.atomic(offset).map_or(0, |word| word.load(Ordering::SeqCst));
    let all = PAIRS as u32 * CALLS;
    let done = || (0..PAIRS).map(|n| count(calls_done(n))).sum::<u32>();
    let (mut moves, movable) = (0, children.iter().collect::<Vec<_>>());
    while done() + count(WRONG) < all && moves < MOST_MOVES {
        move_one(&movable, pause, random, cpus)?;
        moves += 1;
    }
    let served = (0..PAIRS).map(|n| count(calls_served(n))).sum::<u32>();
    let outcome = (done(), served, count(WRONG));
    children.into_iter().for_each(Child::destroy);
    drop(shared);
    must("giving it back", rt::memory::discard(counted))?;
    for endpoint in endpoints {
        must("closing", endpoint.close())?;
    }
    must("destroying", rt::child::destroy_notification(pause))?;
    console::say(format_args!("# {all} calls, {moves} moves"));
    same(&format!("calls done, served and wrong after {moves} moves"), outcome, (all, all, 0))
}

/// Of threads that are moved: whoever moves them goes first.
pub const LOW: u8 = PRIORITY - 10;

/// Waits a little, then moves one of them to a CPU that chance picks.
pub fn move_one(children: &[&Child], pause: Notification, random: &mut Random, cpus: u64) -> Result<(), Trouble> {
    same("a wait of this program", pause.wait(PAUSE_NS), Err(Error::TimedOut))?;
    let chosen = random.below(children.len().max(1) as u64) as usize;
    let Some(child) = children.get(chosen) else { return Ok(()) };
    must("moving", child.pin(LOW, random.below(cpus)))
}
