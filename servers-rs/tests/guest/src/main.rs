// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest execution, proven from the inside: a static Linux program under a personality of a hundred lines, and what a
//! hostile guest, a hostile neighbour and an unlucky moment try. In TAP; ends with 0 when everything passed.
//!
//! On a host it writes the guest's program to the path that it is given: the same file, to be run by the host's Linux first.
//! Read `personality.rs`, then `program/guest.S`, `worker.rs`, then one file of tests.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod hostile;
#[cfg(target_os = "none")]
mod neighbours;
#[cfg(target_os = "none")]
mod personality;
#[cfg(target_os = "none")]
#[path = "../../suite/src/report.rs"]
mod report;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod threads;
#[cfg(target_os = "none")]
mod vector;
#[cfg(target_os = "none")]
mod worker;

/// The executable that also runs on Linux.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest-program"));

#[cfg(target_os = "none")]
fn main() {
    let mut tap = report::Tap::begin();
    for table in [run::TESTS, hostile::TESTS, threads::TESTS, neighbours::TESTS, vector::TESTS] {
        table.iter().for_each(|test| tap.run(test));
    }
    if tap.end() > 0 {
        sys::thread_exit(1);
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::args_os().nth(1).expect("usage: guest PATH");
    std::fs::write(&path, PROGRAM).expect("the file can be written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it is ours");
}
