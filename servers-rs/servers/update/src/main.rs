// SPDX-License-Identifier: PMPL-1.0-or-later
//! The update server, as far as it goes today: confirms the slot that runs, once everything of the manifest is up.
//!
//! It holds the right to the slots' attributes and nothing else of the disk, and has no network. Downloading, checking
//! and writing the other slot come with the updates themselves.
#![cfg_attr(target_os = "none", no_std)]

use api_slot::Error;
use rt::channel::Channel;
use rt::start::grant;

fn main() {
    let slot = rt::start::facts().slot_name();
    grant::say_ready();
    if slot == "none" {
        rt::info!("slot=none nothing to confirm");
    } else if all_up() {
        confirm(slot);
    } else {
        rt::error!("slot={slot} not confirmed: a component of the manifest was given up");
    }
    sleep();
}

/// The process server answers when the start has ended.
fn all_up() -> bool {
    let Some((endpoint, _)) = grant::call(api_process::NAME) else { return false };
    loop {
        // A process server that dies meanwhile has a successor, which knows.
        match api_process::Client(Channel(endpoint)).wait_all_up() {
            Err(api_process::Error::Restarted) => {}
            answer => return answer.unwrap_or(false),
        }
    }
}

fn confirm(slot: &str) {
    let Some((endpoint, _)) = grant::call(api_slot::NAME) else {
        return rt::error!("slot={slot} not confirmed: the manifest does not grant it");
    };
    match api_slot::Client(Channel(endpoint)).confirm() {
        Ok(state) => rt::info!("slot={} confirmed", char::from(state.name)),
        // Started directly with a slot's name but without its disk.
        Err(Error::NoSlot) => rt::warning!("slot={slot} not confirmed: it is on no disk of this machine"),
        Err(error) => rt::error!("slot={slot} not confirmed: {error:?}"),
    }
}

/// A service that ends counts as dead. There is nothing to wait for yet, so it waits for what nobody sends.
fn sleep() {
    if let Ok(nothing) = rt::sys::Pool(rt::sys::start::POOL).create_notification() {
        let _ = nothing.wait(rt::sys::FOREVER);
    }
}
