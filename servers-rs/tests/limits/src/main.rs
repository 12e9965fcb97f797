// SPDX-License-Identifier: PMPL-1.0-or-later
//! Shows where the kernel keeps to its limits, in root's place (`servers-rs/tests/stage`): one trial per boot, named by
//! the argument `trial=`. 0 to 4: the kernel fails on purpose (`abi::op`, DebugFail); the others are files here.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod budget;
mod shootdown;

use stage::{Stage, Trouble, must};
use sys::{Power, start};

fn main() {
    stage::run("limits", lead, shootdown::play);
}

fn lead(stage: &Stage) -> Result<(), Trouble> {
    match stage.number("trial") {
        Some(how @ 0..5) => must("failing", Power(start::POWER).fail(how)),
        Some(10) => shootdown::lead(stage),
        Some(11) => budget::share(),
        Some(12) => budget::chain(),
        Some(13) => idle(stage),
        other => Err(alloc::format!("no trial {other:?}")),
    }
}

/// Waits; whoever counts what the kernel does meanwhile counts from outside.
fn idle(stage: &Stage) -> Result<(), Trouble> {
    let timer = must("a timer", stage::POOL.create_notification())?;
    must("arming it", timer.arm(rt::clock::now_ns() + stage.number("ns").unwrap_or(0), 1))?;
    must("waiting", timer.wait(sys::FOREVER)).map(drop)
}
