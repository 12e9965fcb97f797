// SPDX-License-Identifier: PMPL-1.0-or-later
//! The components that are killed, and for each a call that says whether it serves. A call that is answered at all is a good
//! one here, but for storage: what it reads must be what it was.

use ipc::{ApiError, Text};
use rt::channel::Channel;
use rt::start::grant;
use sys::Endpoint;

#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Whether it answered.
    pub serves: fn() -> bool,
}

/// In the order of the start, the process server last.
pub const TARGETS: &[Target] = &[
    Target {
        name: "uart",
        serves: || call(api_log::NAME, |c| api_log::Client(c).write(api_log::Level::Debug, Text::clipped(""))),
    },
    Target { name: "virtio-blk", serves: || call(api_block::NAME, |c| api_block::Client(c).info()) },
    Target { name: "rtc", serves: || call(api_time::NAME, |c| api_time::Client(c).now()) },
    Target { name: "virtio-rng", serves: || call(api_entropy::NAME, |c| api_entropy::Client(c).bits()) },
    Target { name: "random", serves: || call(api_random::NAME, |c| api_random::Client(c).bytes()) },
    Target { name: "virtio-net", serves: || call(api_net::NAME, |c| api_net::Client(c).info()) },
    Target { name: "network", serves: || call(api_socket::NAME, |c| api_socket::Client(c).resolver(0)) },
    Target { name: "storage", serves: reads },
    Target { name: "process", serves: || call(api_supervisor::NAME, |c| api_supervisor::Client(c).count()) },
];

fn call<R, E: ApiError>(interface: &str, make: fn(Channel) -> Result<R, E>) -> bool {
    let Some((endpoint, _)) = grant::call(interface) else { return false };
    answered(make(Channel(endpoint)))
}

fn answered<R, E: ApiError>(result: Result<R, E>) -> bool {
    result.err().is_none_or(|error| error.code() != ipc::interface::code::RESTARTED)
}

/// A file of the verity root: through storage and the driver below it.
fn reads() -> bool {
    let Some((endpoint, _)) = grant::call(api_file::NAME) else { return false };
    let mut files = api_file::Client(Channel(Endpoint(endpoint.0)));
    let Ok(file) = files.resolve(Text::clipped("/programs/hello")) else { return false };
    files.read(file.node, 0, ipc::Place { offset_bytes: 0, length_bytes: 16 }) == Ok(16)
}
