// SPDX-License-Identifier: PMPL-1.0-or-later
//! The Linux personality of one cell. README.adoc says how it is divided; read `wait.rs` first, then `table.rs`.
//!
//! All of it but `main.rs` and the native half of `platform.rs` runs on a host, where it is tested and fuzzed.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod call;
pub mod cell;
pub mod errno;
pub mod fs;
pub mod futex;
#[cfg(test)]
mod hosted;
pub mod memory;
pub mod platform;
pub mod signal;
pub mod socket;
pub mod table;
pub mod task;
pub mod time;
pub mod user;
pub mod vfs;
pub mod wait;
#[cfg(test)]
mod world;
