// SPDX-License-Identifier: PMPL-1.0-or-later
//! For programs that are started in root's place to try the kernel, with nothing else running: lines for whoever
//! watches, and partners, which are the same program in other address spaces (`partner.rs`).
//!
//! What this crate does not do: say what is tried, or judge it.
#![no_std]

extern crate alloc;

pub mod console;
mod partner;
mod random;

pub use partner::{Give, POOL, PRIORITY, Part, Stage};
pub use random::Random;

use sys::{Power, start};

/// What went another way than it had to.
pub type Trouble = alloc::string::String;

/// The argument with which the machine is reset in the end, which ends an emulator that may not reboot.
const RESET: &str = "reset";

/// The program's `main`: `lead` in root's place, `play` in a partner. `name` begins its last line, which says `end`
/// or what the trouble was.
pub fn run(name: &str, lead: fn(&Stage) -> Result<(), Trouble>, play: fn()) {
    if rt::start::root_info().is_none() {
        return play();
    }
    console::begin();
    let stage = Stage::new();
    let resets = stage.as_ref().is_ok_and(|stage| stage.has_argument(RESET));
    match stage.and_then(|stage| lead(&stage)) {
        Ok(()) => console::say(format_args!("{name} end")),
        Err(trouble) => console::say(format_args!("{name} failed: {trouble}")),
    }
    if resets {
        let error = Power(start::POWER).reset();
        console::say(format_args!("{name}: it cannot be reset: {error:?}"));
    }
    // Root's end would be a panic of the machine.
    let _ = POOL.create_notification().and_then(|n| n.wait(sys::FOREVER));
}

/// Something that had to work did not.
pub fn must<T>(what: &str, result: sys::Result<T>) -> Result<T, Trouble> {
    result.map_err(|error| alloc::format!("{what}: {error:?}"))
}

/// What was found must be what was wanted.
pub fn same<T: PartialEq + core::fmt::Debug>(what: &str, found: T, wanted: T) -> Result<(), Trouble> {
    if found == wanted { Ok(()) } else { Err(alloc::format!("{what}: found {found:?}, wanted {wanted:?}")) }
}
