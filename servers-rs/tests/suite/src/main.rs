// SPDX-License-Identifier: PMPL-1.0-or-later
//! Tests of the kernel and the servers from the inside, in TAP. Runs as a component beside `tests/assistant`, and ends
//! with 0 when everything passed, else with 1: a oneshot for the process server.
//!
//! A test is a row of a table: what is promised, and a function that returns what it found instead.
//! Read `report.rs` for how, then `objects.rs`, `messages.rs`, `faults.rs`, `memory.rs`, `vector.rs`, `servers.rs` for what;
//! `healing.rs` and `data.rs` only where the manifest grants a verity root, DATA and the supervisor.
//! With the argument `data` it runs `data.rs` alone.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod data;
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
    let asked = |what: &str| rt::start::startup().arguments.iter().any(|argument| argument == what);
    // The disk's DATA cannot be used, as the test outside has made sure.
    let without_data = asked("without-data");
    let only_data = asked("data") || without_data;
    if without_data {
        data::WITHOUT.iter().for_each(|test| tap.run(test));
    }
    if !only_data {
        for table in [objects::TESTS, memory::TESTS, messages::TESTS, vector::TESTS, faults::TESTS, servers::TESTS] {
            table.iter().for_each(|test| tap.run(test));
        }
    }
    if data::is_granted() && !without_data {
        data::TESTS.iter().for_each(|test| tap.run(test));
    }
    // Last, since the process server's death is one of them.
    if healing::is_granted() && !only_data {
        healing::TESTS.iter().for_each(|test| tap.run(test));
    }
    tap.check("nothing touched a page that nobody was given", canary.is_untouched());
    let failed = tap.end();
    if failed > 0 {
        sys::thread_exit(1);
    }
}
