// SPDX-License-Identifier: PMPL-1.0-or-later
//! The partner of a test on the other side of the link. Everything is asked of it over the network:
//!
//! | port | what it does |
//! | --- | --- |
//! | 7 | sends back what comes (TCP and UDP) |
//! | 9 | takes everything, then says how much it was and its checksum |
//! | 19 | takes a number as text, sends so many bytes and the end |
//! | 97 | takes a name, says the IPv6 addresses that a resolver knows of it |
//! | 98 | takes a component's name and ends it |
//! | 99 | takes `address port count`, connects there, sends count bytes, expects them back, says how it went |
//!
//! Bytes that it makes are `pattern(n)`; the checksum is FNV-1a of 32 bits.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod work;

use alloc::vec::Vec;
use api_socket::Peer;
use sockets::{Datagrams, Listener, Net};
use work::{Job, Progress};

const PIPE_BYTES: u32 = 16 * 1024;
const BACKLOG: u16 = 64;
const PORTS: [u16; 6] = [7, 9, 19, 97, 98, 99];
const SECOND_NS: u64 = 1_000_000_000;

fn main() {
    let mut net = match Net::attach(PIPE_BYTES, PIPE_BYTES) {
        Ok(net) => net,
        Err(error) => return rt::error!("no network: {error:?}"),
    };
    let listeners: Vec<(u16, Listener)> =
        PORTS.iter().map(|&port| (port, net.listen(port, BACKLOG).expect("the port is free"))).collect();
    let mut echo = net.bind(7).expect("the port is free");
    rt::start::grant::say_ready();
    rt::info!("listens on {PORTS:?}");
    let mut jobs: Vec<Job> = Vec::new();
    let mut most = 0;
    loop {
        let mut moved = datagrams(&mut net, &mut echo);
        for (port, listener) in &listeners {
            loop {
                match net.accept(listener) {
                    Ok(Some(stream)) => jobs.push(Job::new(*port, stream)),
                    Ok(None) => break,
                    // Started again, this program begins anew.
                    Err(error) => return rt::warning!("the network server is another: {error:?}"),
                }
                moved = true;
            }
        }
        if jobs.len() > most {
            most = jobs.len();
            rt::debug!("{most} connections at once");
        }
        let mut place = 0;
        while let Some(job) = jobs.get_mut(place) {
            match job.turn(&mut net) {
                Progress::Waits => place += 1,
                Progress::Moved => {
                    moved = true;
                    place += 1;
                }
                Progress::Done => jobs.swap_remove(place).end(&mut net),
            }
        }
        if moved {
            net.flush();
        } else {
            net.wait(SECOND_NS);
        }
    }
}

fn datagrams(net: &mut Net, echo: &mut Datagrams) -> bool {
    let mut bytes = [0; 1500];
    let mut moved = false;
    while let Some((peer, length)) = echo.receive(net, &mut bytes) {
        echo.send(net, Peer { ..peer }, bytes.get(..length).unwrap_or(&[]));
        moved = true;
    }
    moved
}
