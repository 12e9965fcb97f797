// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who gets what comes to a port, if a rule of `servers.ncl` lets it begin there: listeners get requests that are new, sockets their datagrams, clients the cause of an end.
//!
//! A datagram goes from its frame into its client's pipe, past the stack: smoltcp would take it to the first socket of that
//! port, and copy it once more.

use crate::autoconf::HOST;
use crate::inspect::{Kind as Seen, Segment};
use crate::sockets::{Client, Kind, Record, Sockets};
use crate::stack::{Gate, Way};
use api_socket::pipe;
use manifest::component::{Origin, Protocol};
use smoltcp::iface::SocketSet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{Socket, tcp};
use smoltcp::wire::{IpEndpoint, IpListenEndpoint, UdpPacket, UdpRepr};

pub struct Ports<'a, M> {
    pub sockets: &'a mut Sockets,
    pub clients: &'a [Client<M>],
    pub now_ms: u64,
}

impl<M: pipe::Memory> Gate for Ports<'_, M> {
    fn before(&mut self, segment: &Segment, way: &Way, frame: &[u8], set: &mut SocketSet<'static>) -> bool {
        match segment.kind {
            Seen::Data | Seen::Reset => true,
            Seen::Request => self.request(segment, way, set),
            Seen::Datagram { at } => self.deliver(segment, way, frame.get(at..).unwrap_or(&[])),
        }
    }

    fn after(&mut self, segment: &Segment, set: &mut SocketSet<'static>) {
        match segment.kind {
            Seen::Request => self.sockets.shut_listeners(segment.to, set, self.now_ms),
            Seen::Reset => self.sockets.was_reset(set),
            Seen::Data | Seen::Datagram { .. } => return,
        }
        // Another one is made ready, and none is left that a reset made listen again.
        self.sockets.look_at_listeners(set, self.now_ms);
    }
}

impl<M: pipe::Memory> Ports<'_, M> {
    /// A repeated request is the socket's that has it already; smoltcp answers it again when its own time has come. One that no
    /// rule admits is dropped unseen.
    fn request(&mut self, segment: &Segment, way: &Way, set: &mut SocketSet<'static>) -> bool {
        if is_connected(set, segment.to, segment.from) {
            return true;
        }
        let Some(owner) = way.owner else { return false };
        let to = segment.to;
        let may = |client| self.may(client, owner, Protocol::Tcp, to.port, way.from);
        let is_for = |r: &&Record| matches!(&r.kind, Kind::Listener(it) if it.is_for(to)) && may(r.client);
        let Some(client) = self.sockets.records.iter().flatten().find(is_for).map(|r| r.client) else {
            // Where somebody could listen and does not, the stack says so.
            return self.clients.iter().any(|c| may(c.number));
        };
        self.sockets.look_at_listeners(set, self.now_ms);
        self.sockets.listener(client, to).is_some_and(|listener| listener.open(to, set))
    }

    /// A datagram that a rule admits or that answers one goes to its socket. True if the stack is to say that there is none.
    fn deliver(&mut self, segment: &Segment, way: &Way, bytes: &[u8]) -> bool {
        let Ok(packet) = UdpPacket::new_checked(bytes) else { return false };
        let (Segment { from, to, .. }, Some(owner)) = (*segment, way.owner) else { return false };
        if UdpRepr::parse(&packet, &from.addr, &to.addr, &ChecksumCapabilities::default()).is_err() {
            return false;
        }
        let may = |client| self.may(client, owner, Protocol::Udp, to.port, way.from);
        let is_for = |r: &Record| match &r.kind {
            Kind::Udp { local, asked, .. } => {
                let is_its = owner == HOST || owner == r.client;
                is_its && takes(*local, to) && (asked.contains(&Some(from)) || may(r.client))
            }
            _ => false,
        };
        let Some(place) = self.sockets.records.iter().position(|r| r.as_ref().is_some_and(is_for)) else {
            return self.clients.iter().any(|c| may(c.number));
        };
        let Some(record) = self.sockets.records.get_mut(place).and_then(Option::as_mut) else { return false };
        let client = self.clients.iter().find(|c| c.number == record.client);
        if let Some(memory) = client.and_then(|c| c.buffer.as_ref()) {
            record.news |= record.pipes.deliver(memory, from, packet.payload());
        }
        false
    }

    /// Whether something may begin at a client's port. Of the host's addresses only the link's is its clients' as well.
    fn may(&self, client: u32, owner: u32, protocol: Protocol, port: u16, from: Origin) -> bool {
        let of = self.clients.iter().find(|c| c.number == client && (owner == HOST || owner == client));
        of.is_some_and(|c| c.inbound.iter().any(|rule| rule.admits(protocol, port, from)))
    }
}

fn takes(local: IpListenEndpoint, to: IpEndpoint) -> bool {
    local.port == to.port && local.addr.is_none_or(|address| address == to.addr)
}

/// Whether there is a connection between these ends, or will be.
pub fn is_connected(set: &SocketSet<'static>, local: IpEndpoint, remote: IpEndpoint) -> bool {
    let is_same = |it: &tcp::Socket<'_>| it.local_endpoint() == Some(local) && it.remote_endpoint() == Some(remote);
    set.iter().any(|(_, socket)| matches!(socket, Socket::Tcp(it) if is_same(it)))
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
