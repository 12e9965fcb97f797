// SPDX-License-Identifier: PMPL-1.0-or-later
//! The network server: IPv6 over the network device, sockets for programs.
//!
//! The stack is smoltcp's. Around it: `advert.rs` (what the link says), `autoconf.rs` (addresses, routers, resolvers),
//! `stack.rs` (the three together), `link.rs` and `nic.rs` (frames from and to the driver), `inspect.rs` and `gate.rs` (what a
//! frame is, and who gets it).
//! Without a device it is up all the same, and says so.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod advert;
mod autoconf;
mod gate;
mod identity;
mod inspect;
mod link;
mod listener;
mod nic;
mod own;
mod serve;
mod sockets;
mod stack;

use alloc::vec::Vec;
use identity::Identity;
use nic::Nic;
use rt::channel::Event;
use rt::memory::Shared;
use rt::start::grant;
use serve::{Server, Window};
use sockets::Client;
use stack::Stack;
use sys::{Capability, Endpoint, FOREVER, Notification, Pool, Rights, Thread, start};

const NS_PER_MS: u64 = 1_000_000;
/// Bit of this server's notification that clients ring.
const CLIENT: u64 = 8;

fn main() {
    let (endpoint, _, clients) = grant::serve().expect("the manifest says that this component serves socket");
    let news = Pool(start::POOL).create_notification().expect("the pool holds a notification");
    Thread(start::THREAD).bind(Some(news)).expect("this thread has no other notification");
    let doorbell = news.copy(Rights::WRITE | Rights::COPY, CLIENT).expect("the table holds one more capability");
    let mut nic = Nic::default();
    let info = Nic::info();
    match &info {
        None => rt::warning!("no network device: there is no link, and nobody can be reached"),
        Some(_) if !nic.connect(news) || nic::watch(news).is_err() => rt::error!("the driver gives no access to its device"),
        Some(_) => {}
    }
    let (address, mtu_bytes) = info.map_or(([2, 0, 0, 0, 0, 0], 1500), |i| (i.address_bytes(), i.mtu_bytes));
    let names: Vec<(u32, &str)> = clients.iter().map(|c| (manifest::layout::unbadge(c.badge).1, c.name.as_str())).collect();
    if names.len() > autoconf::MAX_OWNERS {
        rt::warning!("{} clients: the last {} have no address", names.len(), names.len() - autoconf::MAX_OWNERS);
    }
    let identity = Identity::new(address, &names);
    let seed = identity.seed();
    let mut stack = Stack::new(nic, address, mtu_bytes, identity, seed);
    if info.is_none() {
        stack.autoconf.give_up();
    }
    let mut server = Server::new(stack, buffers(clients), endpoint, doorbell, seed);
    grant::say_ready();
    serve(endpoint, news, &mut server)
}

/// The buffer of each client.
fn buffers(clients: &[manifest::startup::Client]) -> Vec<Client<Window>> {
    let access = Rights::READ | Rights::WRITE;
    let of = |it: &manifest::startup::Client| {
        let map = |b: manifest::startup::Buffer| Shared::map(grant::typed(b.memory), b.length_bytes, access).ok().map(Window);
        let number = manifest::layout::unbadge(it.badge).1;
        Client { number, buffer: it.buffer.and_then(map), bell: None, inbound: it.inbound.clone() }
    };
    clients.iter().map(of).collect()
}

fn serve(endpoint: Endpoint, news: Notification, server: &mut Server<Nic, Identity>) {
    let mut known = 0;
    loop {
        rt::health::beat();
        let now_ms = rt::clock::now_ns() / NS_PER_MS;
        let more = server.turn(now_ms);
        let count = server.stack.autoconf.addresses().count();
        if count != known {
            known = count;
            let autoconf = &server.stack.autoconf;
            for (address, owner) in autoconf.owned() {
                match autoconf.identifiers.name(owner) {
                    Some(name) => rt::info!("address {address} of {name}"),
                    None => rt::info!("address {address}"),
                }
            }
        }
        let timeout = match (more, server.stack.delay_ms(now_ms)) {
            (true, _) => 0,
            (false, Some(ms)) => (ms * NS_PER_MS).max(1),
            (false, None) => FOREVER,
        };
        let received = match endpoint.receive(timeout) {
            Ok(received) => received,
            Err(sys::Error::TimedOut | sys::Error::WouldBlock) => continue,
            Err(_) => return,
        };
        match rt::channel::event(&received) {
            Event::Bits(bits) => {
                let nic = &mut server.stack.link.frames;
                if bits & nic::LOST != 0 {
                    rt::warning!("the driver ended");
                    nic.disconnect();
                }
                if bits & nic::BACK != 0 && nic.connect(news) {
                    rt::info!("there is a driver again");
                }
            }
            Event::Call(interface, client, request) => {
                let answer = server.answer(interface, client, &request);
                let Some(answer) = rt::health::mutated(Some(answer)) else { continue };
                let words = rt::channel::put(&answer);
                // A caller that is gone needs no answer.
                let _ = sys::reply(answer.tag(), words);
                server.answered();
            }
        }
    }
}
