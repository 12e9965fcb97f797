// SPDX-License-Identifier: PMPL-1.0-or-later
//! smoltcp and what a host needs around it: addresses of its own, routers, the path's MTU. Knows no client and no kernel.

use crate::advert::News;
use crate::autoconf::{Action, Autoconf, Identifiers, MAX_ADDRESSES};
use crate::inspect::{Kind, Segment};
use crate::link::{FRAME_BYTES, Frames, Link, Staged};
use crate::own::discovery;
use manifest::component::Origin;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::Socket;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv6Address, Ipv6Cidr, NdiscNeighborFlags, NdiscRepr};

// `.cargo/config.toml` sets it.
const _: () = assert!(smoltcp::config::IFACE_MAX_ADDR_COUNT >= MAX_ADDRESSES);

/// Frames of one turn: after them clients get theirs.
const BATCH: usize = 128;
/// RFC 8200, 5.
const LEAST_MTU_BYTES: u32 = 1280;
/// RFC 8201, 5.3.
const RAISE_MS: u64 = 600_000;
const ALL_ROUTERS: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ALL_NODES: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// From where to whom.
pub struct Way {
    pub from: Origin,
    /// Whose the address is that it goes to. `None`: nobody's of this machine.
    pub owner: Option<u32>,
}

/// Who guards the ports.
pub trait Gate {
    /// Whether the stack is to see this segment or datagram, which is in the frame.
    fn before(&mut self, segment: &Segment, way: &Way, frame: &[u8], set: &mut SocketSet<'static>) -> bool;
    /// The stack saw a request or a reset.
    fn after(&mut self, segment: &Segment, set: &mut SocketSet<'static>);
}

pub struct Stack<F, I> {
    pub link: Link<F>,
    pub sockets: SocketSet<'static>,
    pub interface: Interface,
    pub autoconf: Autoconf<I>,
    address: EthernetAddress,
    /// When a path that was found narrow is tried again.
    raise_at_ms: u64,
    seed: u64,
}

impl<F: Frames, I: Identifiers> Stack<F, I> {
    /// `seed` makes sequence numbers and ports hard to guess; `address` must be one of a single station.
    pub fn new(frames: F, address: [u8; 6], mtu_bytes: u16, identifiers: I, seed: u64) -> Self {
        let address = EthernetAddress(address);
        let mut link = Link::new(frames, mtu_bytes);
        link.own.station = address;
        let interface = interface(&mut link, address, seed, 0);
        let autoconf = Autoconf::new(identifiers, mtu_bytes);
        Stack { link, sockets: SocketSet::new(alloc::vec![]), interface, autoconf, address, raise_at_ms: u64::MAX, seed }
    }

    /// Frames in, and what follows from them. True if frames may be left over.
    pub fn take_in(&mut self, now_ms: u64, gate: &mut impl Gate) -> bool {
        let now = instant(now_ms);
        let mut count = 0;
        while count < BATCH {
            match self.link.stage() {
                None if !self.hear(now_ms) => break,
                None => {}
                Some(Staged::Other) => {
                    self.interface.poll_ingress_single(now, &mut self.link, &mut self.sockets);
                    self.hear(now_ms);
                }
                Some(Staged::Port(segment)) => {
                    let way = self.way(&segment);
                    if gate.before(&segment, &way, self.link.frame(), &mut self.sockets) {
                        self.interface.poll_ingress_single(now, &mut self.link, &mut self.sockets);
                        if matches!(segment.kind, Kind::Request | Kind::Reset) {
                            gate.after(&segment, &mut self.sockets);
                        }
                    } else {
                        self.link.dismiss();
                    }
                }
            }
            count += 1;
        }
        while let Some(action) = self.autoconf.poll(now_ms) {
            self.act(action);
        }
        if self.raise_at_ms <= now_ms {
            self.raise_at_ms = u64::MAX;
            self.narrow(self.autoconf.mtu_bytes(), now_ms);
        }
        if self.autoconf.take_changed() {
            self.narrow(self.link.mtu_bytes.min(self.autoconf.mtu_bytes()), now_ms);
            self.apply(now_ms);
        }
        count == BATCH
    }
    /// Whether frames go round that nobody took in yet.
    pub fn has_own(&self) -> bool {
        !self.link.own.is_empty()
    }

    fn way(&self, segment: &Segment) -> Way {
        let (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) = (segment.from.addr, segment.to.addr);
        let from = match self.link.is_own() {
            true => Origin::Components,
            false if self.autoconf.is_near(from) => Origin::Link,
            false => Origin::Anywhere,
        };
        Way { from, owner: self.autoconf.owner_of(to) }
    }

    /// Frames out.
    pub fn give_out(&mut self, now_ms: u64) {
        let now = instant(now_ms);
        self.interface.poll_maintenance(now);
        self.interface.poll_egress(now, &mut self.link, &mut self.sockets);
        self.link.frames.flush();
    }

    /// Milliseconds until `poll` has something to do by itself.
    pub fn delay_ms(&mut self, now_ms: u64) -> Option<u64> {
        let of_stack = self.interface.poll_delay(instant(now_ms), &self.sockets).map(|d| d.total_micros().div_ceil(1000));
        let of_addresses = self.autoconf.next_ms().map(|at| at.saturating_sub(now_ms));
        of_stack.into_iter().chain(of_addresses).min()
    }

    fn hear(&mut self, now_ms: u64) -> bool {
        let mut heard = false;
        while let Some(news) = self.link.take_news() {
            heard = true;
            if let News::TooBig { destination, mtu_bytes } = news {
                self.too_big(destination, mtu_bytes, now_ms);
            }
            if let Some(action) = self.autoconf.heard(news, now_ms) {
                self.act(action);
            }
        }
        heard
    }

    /// smoltcp has one MTU for all: the narrowest path of the last ten minutes is everyone's. Believed only for a peer that
    /// there is a connection with (RFC 8201, 4).
    fn too_big(&mut self, destination: Ipv6Address, mtu_bytes: u32, now_ms: u64) {
        let is_peer = self.sockets.iter().any(|(_, socket)| match socket {
            Socket::Tcp(it) => it.remote_endpoint().is_some_and(|peer| peer.addr == IpAddress::Ipv6(destination)),
            _ => false,
        });
        let narrower = u16::try_from(mtu_bytes.max(LEAST_MTU_BYTES)).ok().filter(|&mtu| mtu < self.link.mtu_bytes);
        if let Some(mtu_bytes) = narrower.filter(|_| is_peer) {
            self.narrow(mtu_bytes, now_ms);
            self.raise_at_ms = now_ms + RAISE_MS;
        }
    }

    /// smoltcp asks the device for its MTU once, so another one is another interface; sockets are not its.
    fn narrow(&mut self, mtu_bytes: u16, now_ms: u64) {
        if mtu_bytes != self.link.mtu_bytes {
            self.link.mtu_bytes = mtu_bytes;
            self.interface = interface(&mut self.link, self.address, self.seed, now_ms);
            self.apply(now_ms);
        }
    }

    fn apply(&mut self, now_ms: u64) {
        let autoconf = &self.autoconf;
        self.interface.update_ip_addrs(|list| {
            list.clear();
            for (address, bits) in autoconf.prefixes(now_ms) {
                // The list is as long as the other one.
                let _ = list.push(IpCidr::Ipv6(Ipv6Cidr::new(address, bits)));
            }
        });
        self.link.own.set_addresses(self.autoconf.addresses());
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv6_route();
        if let Some(router) = autoconf.router() {
            let _ = routes.add_default_ipv6_route(router);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Probe(target) => {
                let probe = NdiscRepr::NeighborSolicit { target_addr: target, lladdr: None };
                self.say(Ipv6Address::UNSPECIFIED, solicited_node(target), probe);
            }
            Action::Defend(target) => {
                let lladdr = Some(HardwareAddress::Ethernet(self.address).into());
                let advert = NdiscRepr::NeighborAdvert { flags: NdiscNeighborFlags::OVERRIDE, target_addr: target, lladdr };
                self.say(target, ALL_NODES, advert);
            }
            Action::Solicit(from) => {
                let lladdr = Some(HardwareAddress::Ethernet(self.address).into());
                self.say(from, ALL_ROUTERS, NdiscRepr::RouterSolicit { lladdr });
            }
        }
    }

    /// Sends a message of neighbour discovery to a multicast address.
    fn say(&mut self, from: Ipv6Address, to: Ipv6Address, what: NdiscRepr<'_>) {
        let [.., a, b, c, d] = to.octets();
        let station = EthernetAddress([0x33, 0x33, a, b, c, d]);
        let mut bytes = [0; FRAME_BYTES];
        if let Some(frame) = discovery(&mut bytes, (self.address, from), (station, to), what) {
            self.link.frames.send(frame);
        }
    }
}

/// RFC 4291, 2.7.1.
fn solicited_node(address: Ipv6Address) -> Ipv6Address {
    let [.., a, b, c] = address.octets();
    Ipv6Address::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

fn interface<F: Frames>(link: &mut Link<F>, address: EthernetAddress, seed: u64, now_ms: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ethernet(address));
    config.random_seed = seed;
    Interface::new(config, link, instant(now_ms))
}

pub fn instant(now_ms: u64) -> Instant {
    Instant::from_millis(i64::try_from(now_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "stack_tests.rs"]
pub mod tests;
