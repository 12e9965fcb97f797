// SPDX-License-Identifier: PMPL-1.0-or-later
//! The PC's clock as the time of day. Hardware in `device.rs`, the interface in `serve.rs`; see README.adoc.
#![cfg_attr(target_os = "none", no_std)]

mod device;
mod serve;

use rt::channel::Event;
use rt::start::grant;

fn main() {
    let (ports, first) = grant::ports().expect("the manifest grants the ports of the clock");
    let (endpoint, _, _) = grant::serve().expect("the manifest says that this component serves time");
    let mut clock = serve::Clock::new(serve::Port { ports, first });
    clock.announce();
    grant::say_ready();
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(_, client, request) => Some(api_time::dispatch(&mut clock, client, &request)),
        Event::Bits(_) => None,
    });
}
