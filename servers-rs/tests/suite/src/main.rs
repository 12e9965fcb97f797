// SPDX-License-Identifier: PMPL-1.0-or-later
//! Tests of the kernel and the servers from the inside, in TAP. Runs as a component beside `tests/assistant`, and ends
//! with 0 when everything passed, else with 1: a oneshot for the process server.
//!
//! A test is a row of a table: what is promised, and a function that returns what it found instead.
//! Read `report.rs` for how, then `objects.rs`, `messages.rs`, `faults.rs`, `memory.rs`, `vector.rs`, `servers.rs` for what;
//! `healing.rs` only where the manifest grants a verity root and the supervisor.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod faults;
mod healing;
mod memory;
mod messages;
mod objects;
mod report;
mod servers;
mod vector;

fn main() {
    let canary = memory::Canary::new();
    let mut tap = report::Tap::begin();
    for table in [objects::TESTS, memory::TESTS, messages::TESTS, vector::TESTS, faults::TESTS, servers::TESTS] {
        table.iter().for_each(|test| tap.run(test));
    }
    if healing::is_granted() {
        healing::TESTS.iter().for_each(|test| tap.run(test));
    }
    tap.check("nothing touched a page that nobody was given", canary.is_untouched());
    let failed = tap.end();
    if failed > 0 {
        sys::thread_exit(1);
    }
}
