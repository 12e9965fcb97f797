// SPDX-License-Identifier: PMPL-1.0-or-later
//! Before root resets the machine because its process server does not hold: the slot is given up, so that the loader takes the
//! other one. A confirmed slot would otherwise be booted again and again.
//!
//! Storage does it, which runs on without a process server. It is called from a thread of its own: root waits for a while only,
//! since storage may be what does not work, or may never have been started.

use core::sync::atomic::{AtomicU32, Ordering};
use manifest::startup::kept;
use manifest::{Grant, Manifest, What, layout};
use rt::ipc::{Message, Transport};
use sys::{Capability, Endpoint, Handle, Notification, Pool, Rights, start};

/// The name of `api_slot`.
const SLOT: &str = "slot";
const MOST_NS: u64 = 5_000_000_000;
const STACK_BYTES: u64 = 16384;
/// Bits of the notification.
const GIVEN_UP: u64 = 1;
const NOT: u64 = 2;

static ENDPOINT: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);

/// Says what came of it; whatever that is, the reset follows.
pub fn give_up_slot(manifest: &Manifest, held: &[(u32, Grant)]) {
    match ask(manifest, held) {
        Ok(GIVEN_UP) => rt::error!("the slot is given up; the other one is next"),
        Ok(_) => rt::warning!("the slot stays: storage does not give it up"),
        Err(error) => rt::warning!("the slot stays: {error:?}"),
    }
}

fn ask(manifest: &Manifest, held: &[(u32, Grant)]) -> sys::Result<u64> {
    let (server, interface) = manifest.server_of(SLOT).ok_or(sys::Error::BadHandle)?;
    let endpoint = held.iter().find_map(|(of, grant)| match grant.what {
        What::Call { endpoint, .. } if *of as usize == server && grant.name == kept::ENDPOINT => Some(Endpoint(Handle(endpoint))),
        _ => None,
    });
    // Client number 0 is the process server's, which needs it no more.
    let endpoint = endpoint.ok_or(sys::Error::BadHandle)?.copy(Rights::WRITE | Rights::TRANSFER, layout::badge(interface, 0))?;
    let done = Pool(start::POOL).create_notification()?;
    ENDPOINT.store(endpoint.0.0, Ordering::Relaxed);
    DONE.store(done.0.0, Ordering::Relaxed);
    rt::thread::spawn("slot", 100, STACK_BYTES, None, call)?;
    done.wait(MOST_NS)
}

fn call() {
    let [endpoint, done] = [&ENDPOINT, &DONE].map(|place| Handle(place.load(Ordering::Relaxed)));
    let answer = rt::channel::Channel(Endpoint(endpoint)).call(&Message::new(kept::GIVE_UP_SLOT));
    let _ = Notification(done).signal(if answer.is_ok_and(|a| a.label == 0) { GIVEN_UP } else { NOT });
}
