// SPDX-License-Identifier: PMPL-1.0-or-later
//! The first native program of the verity root: says that it runs, and ends with 0. A oneshot: its end is its sign.
#![cfg_attr(target_os = "none", no_std)]

fn main() {
    rt::info!("I was read from the verified root and run as a program");
}
