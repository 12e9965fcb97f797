// SPDX-License-Identifier: PMPL-1.0-or-later
//! What every native program starts with. Link it and write `fn main()`; when `main` returns, the program exits with 0.
//!
//! | module | for |
//! | --- | --- |
//! | [`start`] | what this program was given: name, arguments, facts, grants by name |
//! | [`log`] | `rt::info!("...")` and its siblings: a line to the `log` grant |
//! | [`channel`] | calls through an endpoint, and the loop that serves one |
//! | [`memory`] | memory of one's own, memory shared with others |
//! | [`pieces`] | many small memory objects that others may read |
//! | [`child`] | another program: loaded, given its capabilities, started, destroyed (root and process only) |
//! | [`guest`], [`grant`] | guests that this program runs: spaces, state pages; and their memory |
//! | [`thread`], [`sync`] | a further thread in this program, and what the two share |
//! | [`health`] | the sign of life that a component's own loop gives |
//! | [`clock`] | time |
//! | [`cpu`] | random numbers of the CPU |
//! | [`provoke`], [`vector`] | faults on purpose and vector registers by hand, for test programs |
//! | [`hostile`] | calls with any registers, for a test program that means harm |
//! | [`measure`] | instructions counted, for benchmarks |
//!
//! It adds no policy: what a program may do is what its manifest entry says.
#![no_std]
#![cfg_attr(target_os = "none", feature(lang_items, never_type))]
#![cfg_attr(target_os = "none", allow(internal_features))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod channel;
pub mod child;
pub mod clock;
pub mod cpu;
#[cfg(target_os = "none")]
mod entry;
pub mod grant;
pub mod guest;
pub mod health;
#[cfg(target_os = "none")]
mod heap;
pub mod hostile;
pub mod log;
pub mod measure;
pub mod memory;
pub mod pieces;
pub mod provoke;
pub mod start;
pub mod sync;
pub mod thread;
pub mod vector;

pub use ipc;
pub use manifest;
pub use sys;
