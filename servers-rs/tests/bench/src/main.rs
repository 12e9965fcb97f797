// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the kernel's operations cost, in instructions, told on COM1 (`build/src/bench/kernel.ts` reads it).
//!
//! Started in root's place, so that nothing else runs. The same program, in other address spaces, is the partner of
//! each row: `stage.rs` starts it, `partner.rs` is what it does there. `meter.rs` measures, `rows/` says what.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod console;
mod meter;
mod partner;
mod rows;
mod stage;

use stage::Stage;

/// Why there is no figure.
pub type Trouble = alloc::string::String;

fn main() {
    if rt::start::root_info().is_none() {
        return partner::play();
    }
    console::begin();
    let found = Stage::new().and_then(|stage| if stage.has_argument("ratio") { rows::ratio(&stage) } else { rows::all(&stage) });
    match found {
        Ok(()) => console::say(format_args!("bench end")),
        Err(trouble) => console::say(format_args!("bench failed: {trouble}")),
    }
    // Root's end would be a panic of the machine.
    let _ = sys::Pool(sys::start::POOL).create_notification().and_then(|n| n.wait(sys::FOREVER));
}

/// Something that had to work did not.
pub fn must<T>(what: &str, result: sys::Result<T>) -> Result<T, Trouble> {
    result.map_err(|error| alloc::format!("{what}: {error:?}"))
}

/// Both sides of a measured loop must have done what is measured.
pub fn same<T: PartialEq + core::fmt::Debug>(what: &str, found: T, wanted: T) -> Result<(), Trouble> {
    if found == wanted { Ok(()) } else { Err(alloc::format!("{what}: found {found:?}, wanted {wanted:?}")) }
}
