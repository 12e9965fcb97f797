// SPDX-License-Identifier: PMPL-1.0-or-later
//! The storage server: finds the slot that this system came from, checks every block of it against the signed digest,
//! serves its files (`file`) and its boot attributes (`slot`).
//!
//! It writes two things only: the attributes of the running slot, and a damaged copy of the partition table.
//! Read `disk.rs` (sectors through the driver), `mount.rs` (which partition, which digest), `files.rs`, `slots.rs`.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod disk;
mod files;
mod mount;
mod slots;

use rt::channel::Event;
use rt::start::grant;

fn main() {
    let (endpoint, interfaces, clients) = grant::serve().expect("the manifest says that this component serves file");
    let disk = disk::Disk::connect();
    if disk.is_none() {
        rt::warning!("no disk: nothing is mounted");
    }
    let facts = rt::start::facts();
    let slot = disk.as_ref().and_then(|disk| mount::find_slot(disk, facts));
    let mounted = disk.as_ref().zip(slot.as_ref()).and_then(|(disk, slot)| mount::mount(disk.clone(), slot, facts));
    let mut files = files::Files::new(mounted, files::buffers(interfaces, clients));
    let mut slots = slots::Slots::new(disk, slot.map(|s| (s.guid, s.name)));

    grant::say_ready();
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(interface, client, request) => match interfaces.get(interface as usize).map(|name| name.as_str()) {
            Some(api_slot::NAME) => Some(api_slot::dispatch(&mut slots, client, &request)),
            // An interface that the manifest names and nobody here knows answers as `file` does: malformed.
            _ => Some(api_file::dispatch(&mut files, client, &request)),
        },
        Event::Bits(_) => None,
    });
}
