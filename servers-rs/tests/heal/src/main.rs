// SPDX-License-Identifier: PMPL-1.0-or-later
//! Kills the other components, one after another, `kills=` times each, at instants drawn from `seed=`, while it calls them;
//! then corrupts each of them `faults=` times; `ends=` ends the process server as often, before that. Says what came of it in lines that begin with `heal`, on the kernel's console.
//!
//! Under instruction counting the same seed draws the same instants and bits; only the disk answers when it likes. Runs as a component beside all others of the
//! real manifest (`build/src/bench/heal.ts`), granted `injector`, which only the dev profile has.
//! Read `targets.rs` for whom it calls and how, `kills.rs` for the time to the first good reply, `faults.rs` for the rest.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod busy;
mod faults;
mod kills;
mod supervisor;
mod targets;

use stage::Random;

/// What went wrong, as text.
pub type Trouble = alloc::string::String;

/// A line for who reads the results.
pub fn say(arguments: core::fmt::Arguments<'_>) {
    let line = alloc::format!("heal {arguments}");
    // `Op::DebugLog` takes 256 bytes.
    let _ = sys::debug_log(line.as_bytes().get(..256.min(line.len())).unwrap_or(&[]));
}

fn number(name: &str, otherwise: u64) -> u64 {
    let given = rt::start::startup().arguments.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
    given.unwrap_or(otherwise)
}

fn main() {
    // The process server's end is the machine's, if it comes too often.
    for _ in 0..number("ends", 0) {
        let _ = supervisor::end("process");
    }
    if busy::prepare().is_err() {
        return say(format_args!("failed: no thread"));
    }
    let mut random = Random::new(number("seed", 1));
    let result = kills::all(number("kills", 10), &mut random).and_then(|()| faults::all(number("faults", 0), &mut random));
    match result {
        Ok(()) => say(format_args!("end")),
        Err(trouble) => {
            say(format_args!("failed: {trouble}"));
            sys::thread_exit(1);
        }
    }
}
