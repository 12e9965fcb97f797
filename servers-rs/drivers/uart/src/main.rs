// SPDX-License-Identifier: PMPL-1.0-or-later
//! The serial port as the system's log. Hardware in `device.rs`, the interface in `serve.rs`; see README.adoc.
#![cfg_attr(target_os = "none", no_std)]

mod device;
mod serve;

use api_log::ring;
use rt::channel::Event;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Rights, Thread};

/// Bit of the bell that the process server rings; it has no other.
const READ_WRITE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);

fn main() {
    let (ports, first) = grant::ports().expect("the manifest grants the port range of COM1");
    let (endpoint, _, clients) = grant::serve().expect("the manifest says that this component serves log");
    let supervisor = grant::memory(ring::MEMORY_GRANT).and_then(|(m, n)| Shared::map(m, n, READ_WRITE).ok());
    let mut log = serve::Log::new(device::Uart::new(serve::Port { ports, first }), clients, rt::start::startup().log_level);
    if let Some(bell) = grant::notification(ring::BELL_GRANT) {
        // Without the bell the supervisor's lines come with the next line of anyone.
        let _ = Thread(sys::start::THREAD).bind(Some(bell));
    }
    grant::say_ready();
    log.drain(supervisor.as_ref());
    rt::channel::serve(endpoint, |event| {
        let answer = match event {
            Event::Call(_, client, request) => Some(api_log::dispatch(&mut log, client, &request)),
            Event::Bits(_) => None,
        };
        log.drain(supervisor.as_ref());
        answer
    });
}
