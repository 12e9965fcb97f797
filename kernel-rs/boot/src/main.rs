// SPDX-License-Identifier: PMPL-1.0-or-later
//! BOOTX64.EFI: chooses a slot, verifies it, loads kernel and bundle, measures them, leaves the firmware, jumps.
//!
//! This file is the order of events. What is decided is in the library (`lib.rs`), what is asked of UEFI in `firmware/`,
//! the point of no return in `handover.rs`. On a host it is only a message: run the library's tests there.

#![cfg_attr(target_os = "uefi", no_main, no_std)]

#[cfg(target_os = "uefi")]
extern crate alloc;

#[cfg(target_os = "uefi")]
mod firmware;
#[cfg(target_os = "uefi")]
mod frames;
#[cfg(target_os = "uefi")]
mod handover;
#[cfg(target_os = "uefi")]
mod keys;
#[cfg(target_os = "uefi")]
mod start;

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!("the loader is a UEFI program: build it with `cargo efi`");
    std::process::exit(2);
}
