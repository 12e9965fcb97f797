// SPDX-License-Identifier: PMPL-1.0-or-later
//! The process server: starts the manifest's components in order, hears of every death, restarts, says who runs.
//!
//! It knows nothing of devices: root prepared their capabilities, and they are passed on by name. It never calls a
//! component, since it is the one who would have to restart it: its lines go through a ring (`voice.rs`), and a
//! second thread reads programs from the verity root (`fetch.rs`).
//!
//! When it dies its components run on: root starts another one, which takes over (`inherit.rs`, `vault.rs`).
//!
//! Read `supervise.rs` for the loop, `policy.rs` for who is restarted when, `launch.rs` for what a component gets,
//! `report.rs` for what a death looks like, `inform.rs` for who asks.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod fetch;
mod inform;
mod inherit;
mod inject;
mod launch;
mod policy;
mod power;
mod report;
mod state;
mod supervise;
mod vault;
mod voice;

use manifest::bundle::Bundle;
use rt::start::grant;

fn main() {
    let (memory, length) = grant::memory("bundle").expect("root grants the boot bundle");
    let bytes = rt::memory::boot_bundle(memory, length).expect("the boot bundle can be mapped");
    let bundle = Bundle::parse(bytes).expect("root checked the boot bundle");
    // It lives as long as the program; threads refer to it.
    let bundle: &'static Bundle<'static> = alloc::boxed::Box::leak(alloc::boxed::Box::new(bundle));
    let mut supervisor = match supervise::Supervisor::new(bundle) {
        Ok(supervisor) => supervisor,
        Err(error) => panic!("what the components need cannot be made: {error:?}"),
    };
    supervisor.run();
}
