// SPDX-License-Identifier: PMPL-1.0-or-later
//! The storage server: finds the slot that this system came from, checks every block of it against the signed digest,
//! serves its files (`file`) and its boot attributes (`slot`); and the data file system (`data`).
//!
//! It writes three things only: the attributes of the running slot, a damaged copy of the partition table, and DATA.
//! Read `disk.rs` (sectors through the driver), `mount.rs` (which partition, which digest), `cache.rs` (pages that clients map), `files.rs`,
//! `slots.rs`; `data.rs` (the data file system) and `nodes.rs` (its nodes as capabilities).
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod cache;
mod data;
mod disk;
mod files;
mod mount;
mod nodes;
mod slots;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use rt::channel::Event;
use rt::manifest::layout;
use rt::manifest::startup::Client;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Endpoint, Pool};

fn main() {
    let (endpoint, interfaces, clients) = grant::serve().expect("the manifest says that this component serves file");
    let disk = disk::Disk::connect();
    if disk.is_none() {
        rt::warning!("no disk: nothing is mounted");
    }
    let facts = rt::start::facts();
    let slot = disk.as_ref().and_then(|disk| mount::find_slot(disk, facts));
    let mounted = disk.as_ref().zip(slot.as_ref()).and_then(|(disk, slot)| mount::mount(disk.clone(), slot, facts));
    let cache = Rc::new(RefCell::new(cache::Cache::new(cache::Frames::new(Pool(sys::start::POOL)))));
    let mut files = files::Files::new(mounted, files::buffers(api_file::NAME, interfaces, clients), cache.clone());
    let mut nodes = open_data(disk.clone(), (endpoint, interfaces, clients), cache);
    let mut slots = slots::Slots::new(disk, slot.map(|s| (s.guid, s.name)));

    grant::say_ready();
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(interface, client, request) => match interfaces.get(interface as usize).map(|name| name.as_str()) {
            Some(api_slot::NAME) => Some(api_slot::dispatch(&mut slots, client, &request)),
            Some(api_data::NAME) => Some(nodes.answer(None, client, &request)),
            None if let Some(node) = nodes::Node::parse(interface, client.0 as u32) => {
                Some(nodes.answer(Some(node), client, &request))
            }
            // An interface that the manifest names and nobody here knows answers as `file` does: malformed.
            _ => Some(api_file::dispatch(&mut files, client, &request)),
        },
        Event::Bits(_) => None,
    });
}

type Pages = Rc<RefCell<cache::Cache<cache::Frames>>>;
type Data = nodes::Nodes<data::Part<disk::Disk>, Shared, cache::Frames>;
type Served<'a> = (Endpoint, &'a [String], &'a [Client]);

/// The data file system and a directory for each client that the manifest grants one. Where nobody is granted any, DATA is not touched.
fn open_data(disk: Option<disk::Disk>, (endpoint, interfaces, clients): Served<'_>, cache: Pages) -> Data {
    let buffers = files::buffers(api_data::NAME, interfaces, clients);
    let part = disk.filter(|_| !buffers.is_empty()).and_then(data::find);
    let open: Vec<u32> = buffers.iter().flat_map(|(_, buffer)| nodes::noted(buffer)).collect();
    let mut fs = part.and_then(|(part, guid)| data::mount(part, guid, rt::clock::now_ns(), &open));
    let name = |number: u64| {
        let of = clients.iter().find(|c| u64::from(layout::unbadge(c.badge).1) == number);
        of.map_or("", |c| c.name.as_str())
    };
    let mut all = Vec::new();
    for (number, buffer) in buffers {
        let home = fs.as_mut().map_or(Ok(0), |fs| data::home(fs, name(number)));
        match home {
            Ok(home) => all.push(nodes::Client { number: number as u32, buffer, home }),
            Err(error) => rt::error!("data: no directory for {}: {error}", name(number)),
        }
    }
    nodes::Nodes::new(fs, all, endpoint, cache)
}
