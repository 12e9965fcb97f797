// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls the kernel with random registers, pointers, capability numbers and messages, `calls=` times in all, from
//! several threads of one attacker after another, each with the next seed from `seed=` on (`attacker.rs`, `draw.rs`).
//!
//! Beside them lives a neighbour that must not notice (`neighbour.rs`). This program watches both (`watch.rs`): an
//! attacker may die or get an error of the table, nothing else, and in the end every frame is back in the pool.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod attacker;
mod board;
mod draw;
mod neighbour;
mod watch;

fn main() {
    stage::run("hostile", watch::lead, || match rt::start::startup().name.as_str() {
        "attacker" => attacker::play(),
        _ => neighbour::play(),
    });
}
