// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the kernel's operations cost, in instructions (`build/src/bench/kernel-run.ts` reads it).
//!
//! Started in root's place, so that nothing else runs. The same program, in other address spaces, is the partner of
//! each row: `partner.rs` is what it does there. `meter.rs` measures, `rows/` says what.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod meter;
mod partner;
mod rows;

fn main() {
    stage::run("bench", |stage| if stage.has_argument("ratio") { rows::ratio(stage) } else { rows::all(stage) }, partner::play);
}
