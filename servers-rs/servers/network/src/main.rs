// SPDX-License-Identifier: PMPL-1.0-or-later
//! The network server: IPv6 over the network device, sockets for programs.
//!
//! The stack is smoltcp's. Around it: `advert.rs` (what the link says), `autoconf.rs` (addresses, routers, resolvers),
//! `stack.rs` (the three together), `link.rs` and `nic.rs` (frames from and to the driver).
//! Without a device it is up all the same, and says so.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod advert;
mod autoconf;
mod identity;
mod link;
mod nic;
mod stack;

use nic::Nic;
use rt::channel::Event;
use rt::start::grant;
use stack::Stack;
use sys::{Endpoint, FOREVER, Notification, Pool, Thread, start};

const NS_PER_MS: u64 = 1_000_000;

fn main() {
    let (endpoint, _, _) = grant::serve().expect("the manifest says that this component serves socket");
    let news = Pool(start::POOL).create_notification().expect("the pool holds a notification");
    Thread(start::THREAD).bind(Some(news)).expect("this thread has no other notification");
    let Some(info) = Nic::info() else {
        rt::warning!("no network device: there is no link, and every connection is refused");
        grant::say_ready();
        return idle(endpoint);
    };
    let mut nic = Nic::default();
    if !nic.connect(news) || nic::watch(news).is_err() {
        rt::error!("the driver gives no access to its device");
    }
    let address = info.address_bytes();
    let identity = identity::Identity::new(address);
    let seed = identity.seed();
    let mut stack = Stack::new(nic, address, info.mtu_bytes, identity, seed);
    grant::say_ready();
    serve(endpoint, news, &mut stack)
}

fn idle(endpoint: Endpoint) {
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(..) => Some(ipc::Message::new(ipc::interface::code::MALFORMED)),
        Event::Bits(_) => None,
    });
}

fn serve(endpoint: Endpoint, news: Notification, stack: &mut Stack<Nic, identity::Identity>) {
    let mut known = 0;
    loop {
        let now_ms = rt::clock::now_ns() / NS_PER_MS;
        let more = stack.poll(now_ms);
        let count = stack.autoconf.addresses().count();
        if count != known {
            known = count;
            stack.autoconf.addresses().for_each(|address| rt::info!("address {address}"));
        }
        let timeout = match (more, stack.delay_ms(now_ms)) {
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
                if bits & nic::LOST != 0 {
                    rt::warning!("the driver ended");
                    stack.link.frames.disconnect();
                }
                if bits & nic::BACK != 0 && stack.link.frames.connect(news) {
                    rt::info!("there is a driver again");
                }
            }
            Event::Call(_, _, request) => {
                rt::channel::drop_caps(&request);
                let answer = ipc::Message::new(ipc::interface::code::MALFORMED);
                let words = rt::channel::put(&answer);
                let _ = sys::reply(answer.tag(), words);
            }
        }
    }
}
