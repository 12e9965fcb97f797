// SPDX-License-Identifier: PMPL-1.0-or-later
//! Starts one attacker after another until enough calls were made, and looks after each whether the neighbour noticed.

use crate::attacker::{self, BELL, BOARD, CALLS};
use crate::board::{Board, THREADS, Violation};
use crate::neighbour::{self, ATTACKER, WATCHER};
use alloc::string::ToString;
use rt::memory::Shared;
use stage::{Give, POOL, Part, Stage, Trouble, console, must, same};
use sys::{Endpoint, Error, Memory, Notification, PAGE_BYTES, Rights, Tag};

/// How often an attacker is looked at.
const LOOK_NS: u64 = 5_000_000;
/// Looks without a further call: its threads are dead, or wait for one another.
const STILL: u32 = 6;
/// A line is said after so many calls.
const SAY_EVERY: u64 = 500_000;
/// So many looks of this program go by for at least one tick of the neighbour, which wants one in two: a busy host delays
/// both alike.
const LOOKS_PER_TICK: u64 = 8;

struct Watch {
    faults: Endpoint,
    board: Board,
    board_memory: Memory,
    lent: Memory,
    bell: Notification,
    /// The neighbour's, without a badge.
    neighbour: Endpoint,
    /// The same with the watcher's.
    ask: Endpoint,
}

#[derive(Default)]
struct Sum {
    calls: u64,
    attackers: u64,
    /// Ended by a fault of its first thread, or its exit.
    ended: u64,
    stood_still: u64,
}

pub fn lead(stage: &Stage) -> Result<(), Trouble> {
    let wanted = stage.number("calls").unwrap_or(100_000);
    let first_seed = stage.number("seed").unwrap_or(1);
    let watch = Watch::new()?;
    let gives = [Give::Serve(watch.neighbour), Give::Memory(neighbour::LENT, watch.lent, PAGE_BYTES, Rights::ALL)];
    let part = Part { priority: neighbour::PRIORITY, ..Part::new("neighbour", &gives, stage.accidents) };
    // This program's own page tables grow with the first partner.
    stage.start(&part)?.destroy();
    let before_all = must("usage", POOL.usage())?;
    let canary = stage.start(&part)?;
    watch.is_well()?;
    let mut sum = Sum::default();
    watch.attack(stage, first_seed, &mut sum)?;
    let before = must("usage", POOL.usage())?.1;
    let mut said = 0;
    let mut seed = first_seed;
    while sum.calls < wanted {
        seed += 1;
        watch.attack(stage, seed, &mut sum)?;
        // Records lie several in a frame, so it may be one less, by who was destroyed first; never more.
        let used = must("usage", POOL.usage())?.1;
        if used > before {
            return Err(at(seed, alloc::format!("{used} frames in use after an attacker, {before} before")));
        }
        if sum.calls - said >= SAY_EVERY {
            said = sum.calls;
            console::say(format_args!("hostile calls {} seed {seed}", sum.calls));
        }
    }
    watch.is_well()?;
    canary.destroy();
    same("the pool's frames in the end", must("usage", POOL.usage())?, before_all)?;
    let Sum { calls, attackers, ended, stood_still } = sum;
    console::say(format_args!(
        "hostile done calls {calls} seeds {first_seed}..{seed} attackers {attackers} ended {ended} still {stood_still}"
    ));
    Ok(())
}

fn at(seed: u64, trouble: Trouble) -> Trouble {
    alloc::format!("seed {seed}: {trouble}")
}

impl Watch {
    fn new() -> Result<Watch, Trouble> {
        let board_memory = must("making memory", POOL.create_memory(PAGE_BYTES))?;
        let neighbour = must("making an endpoint", POOL.create_endpoint())?;
        Ok(Watch {
            faults: must("making an endpoint", POOL.create_endpoint())?,
            board: Board(must("mapping", Shared::map(board_memory, PAGE_BYTES, Rights::READ | Rights::WRITE))?),
            board_memory,
            lent: must("making memory", POOL.create_memory(PAGE_BYTES))?,
            bell: must("making a notification", POOL.create_notification())?,
            neighbour,
            ask: must("badging", sys::Capability::copy(neighbour, Rights::WRITE | Rights::COPY, WATCHER))?,
        })
    }

    /// One attacker from its start to its end.
    fn attack(&self, stage: &Stage, seed: u64, sum: &mut Sum) -> Result<(), Trouble> {
        self.board.clear();
        let gives = [
            Give::Memory(BOARD, self.board_memory, PAGE_BYTES, Rights::READ | Rights::WRITE),
            Give::Memory(attacker::LENT, self.lent, PAGE_BYTES, Rights::READ | Rights::COPY),
            Give::Call(attacker::NEIGHBOUR, self.neighbour, ATTACKER),
            Give::Notification(BELL, self.bell),
        ];
        let arguments = alloc::vec![seed.to_string()];
        let part = Part { arguments, priority: attacker::PRIORITY, ..Part::new("attacker", &gives, self.faults) };
        let ticks = self.is_well()?;
        let attacker = stage.start(&part).map_err(|t| at(seed, t))?;
        let (mut calls, mut still, mut looks) = (0, 0, 0);
        while still < STILL && calls < u64::from(CALLS) * THREADS as u64 {
            match self.faults.receive(LOOK_NS) {
                // A fault or the exit of its first thread; without an answer it stays dead.
                Ok(_) => sum.ended += 1,
                Err(Error::TimedOut) => looks += 1,
                Err(error) => return Err(at(seed, alloc::format!("hearing of its end: {error:?}"))),
            }
            let now = self.board.calls();
            (still, calls) = (if now == calls { still + 1 } else { 0 }, now);
        }
        let violation = self.board.violation();
        attacker.destroy();
        sum.calls += calls;
        sum.attackers += 1;
        sum.stood_still += u64::from(still == STILL);
        same("a call", violation, Violation::None).map_err(|t| at(seed, t))?;
        let wanted = looks / LOOKS_PER_TICK;
        let got = self.is_well().map_err(|t| at(seed, t))? - ticks;
        if got < wanted { Err(at(seed, alloc::format!("the neighbour ran {got} times instead of {wanted}"))) } else { Ok(()) }
    }

    /// The neighbour answers, its memory is whole; returns how often it has run.
    fn is_well(&self) -> Result<u64, Trouble> {
        let sent = rt::clock::now_ns();
        let answer = must("calling the neighbour", self.ask.call(Tag::new(0, 4, 0), [sent, 0, 0, 0]))?;
        same("what the neighbour answers", (answer.words[0], answer.words[2]), (sent, 1))?;
        Ok(answer.words[1])
    }
}
