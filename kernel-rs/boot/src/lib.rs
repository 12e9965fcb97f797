// SPDX-License-Identifier: PMPL-1.0-or-later
//! The loader's decisions, without the firmware: which bytes go where, and what is refused.
//!
//! Nothing here touches hardware or UEFI; `main.rs` does, and asks this library first. That is why all of it runs
//! under `cargo test` on the host. Read next: `main.rs` for the order of events, `docs/architecture/boot.adoc` for why.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod attempt;
pub mod choice;
pub mod clock;
pub mod device_path;
pub mod kernel_image;
pub mod memory;
pub mod paging;
pub mod rollback;
pub mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_slot;
pub mod voice;
