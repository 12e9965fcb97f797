// SPDX-License-Identifier: PMPL-1.0-or-later
//! The first program. It holds every capability for the first milliseconds, cuts grants exactly as the manifest says,
//! starts the process server with them, gives the rest up, and guards the process server from then on.
//!
//! It serves nobody and understands no device beyond its PCI registers.
//! Read `cut.rs` for the grants, `devices.rs` for where they come from, `keep.rs` for what outlives a process server,
//! `guard.rs` for what it does afterwards, `fall_back.rs` for the last of it.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod console;
mod cut;
mod devices;
mod fall_back;
mod guard;
mod keep;

use manifest::bundle::Bundle;

fn main() {
    let Some(info) = rt::start::root_info() else { return };
    let bytes = rt::memory::root_bundle().unwrap_or(&[]);
    let bundle = match Bundle::parse(bytes) {
        Ok(bundle) => bundle,
        Err(fault) => return rt::error!("the boot bundle {fault}; nothing can be started"),
    };
    console::begin(bundle.manifest.serial_console);
    let cut = cut::all(&bundle.manifest, info).and_then(|grants| Ok((grants, keep::all(&bundle.manifest)?)));
    let mut held = match cut {
        Ok((mut grants, kept)) => {
            grants.extend(kept);
            grants
        }
        Err(problem) => return rt::error!("{problem}"),
    };
    cut::give_up_the_rest();
    guard::run(&bundle, info, &mut held);
}
