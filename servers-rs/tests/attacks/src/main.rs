// SPDX-License-Identifier: PMPL-1.0-or-later
//! Attacks, each named by what it tries, for what tests on a host cannot show: real paging, real faults, several CPUs.
//! `kernel-rs/kernel/src/tests/attacks.rs` has the others. Reports in TAP.
//!
//! Started in root's place; the attackers are this program in other address spaces (`partner.rs`).
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod migration;
mod objects;
mod pages;
mod partner;
mod pools;
mod stress;
mod user_mode;

use stage::{Stage, Trouble, console};

/// A promise that an attack tries to break.
pub struct Attack {
    pub promise: &'static str,
    pub run: fn(&Stage) -> Result<(), Trouble>,
}

fn main() {
    stage::run("attacks", lead, partner::play);
}

fn lead(stage: &Stage) -> Result<(), Trouble> {
    console::say(format_args!("TAP version 14"));
    let mut failed = 0;
    let all = [user_mode::ATTACKS, pages::ATTACKS, pools::ATTACKS, objects::ATTACKS, migration::ATTACKS, stress::ATTACKS];
    let mut count = 0;
    for attack in all.into_iter().flatten() {
        count += 1;
        match (attack.run)(stage) {
            Ok(()) => console::say(format_args!("ok {count} - {}", attack.promise)),
            Err(trouble) => {
                failed += 1;
                console::say(format_args!("# {trouble}"));
                console::say(format_args!("not ok {count} - {}", attack.promise));
            }
        }
    }
    console::say(format_args!("1..{count}"));
    if failed == 0 { Ok(()) } else { Err(alloc::format!("{failed} attacks got through")) }
}
