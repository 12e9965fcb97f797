// SPDX-License-Identifier: PMPL-1.0-or-later
//! The cell as a component: its memory is its pool, its root the verity root, its first process what its arguments say.
//! `native/` is the platform; everything else is the library.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod native;
#[cfg(target_os = "none")]
mod start;

#[cfg(target_os = "none")]
fn main() {
    start::run();
}

#[cfg(not(target_os = "none"))]
fn main() {}
