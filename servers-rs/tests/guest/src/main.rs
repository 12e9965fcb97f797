// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest execution, proven from the inside: a static Linux program under a personality of a hundred lines, and what a
//! hostile guest, a hostile neighbour and an unlucky moment try. In TAP; ends with 0 when everything passed.
//!
//! On a host it writes the guest's program to its output: the same file, to be run by the host's Linux first.
//! Read `personality.rs`, then `program/guest.S`, `worker.rs`, then one file of tests.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod hostile;
mod measure;
mod neighbours;
mod personality;
#[path = "../../suite/src/report.rs"]
mod report;
mod run;
mod threads;
mod vector;
mod worker;

#[cfg(target_os = "none")]
fn main() {
    let mut tap = report::Tap::begin();
    for table in [run::TESTS, hostile::TESTS, threads::TESTS, neighbours::TESTS, vector::TESTS] {
        table.iter().for_each(|test| tap.run(test));
    }
    measure::say();
    if tap.end() > 0 {
        sys::thread_exit(1);
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    use std::io::Write;
    std::io::stdout().write_all(personality::PROGRAM).expect("the output takes it");
}
