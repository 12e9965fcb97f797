// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who gets what comes to a port: listeners get requests that are new, sockets their datagrams, clients the cause of an end.
//!
//! A datagram goes from its frame into its client's pipe, past the stack: smoltcp would take it to the first socket of that
//! port, and copy it once more.

use crate::inspect::{Kind as Seen, Segment};
use crate::sockets::{Client, Kind, Sockets};
use crate::stack::Gate;
use api_socket::pipe;
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
    fn before(&mut self, segment: &Segment, frame: &[u8], set: &mut SocketSet<'static>) -> bool {
        match segment.kind {
            Seen::Data | Seen::Reset => true,
            Seen::Request => self.request(segment, set),
            Seen::Datagram { at } => !self.deliver(segment, frame.get(at..).unwrap_or(&[])),
        }
    }

    fn after(&mut self, segment: &Segment, set: &mut SocketSet<'static>) {
        match segment.kind {
            Seen::Request => {
                if let Some(listener) = self.sockets.listener(segment.to) {
                    listener.shut(set, self.now_ms);
                }
            }
            Seen::Reset => self.sockets.was_reset(set),
            Seen::Data | Seen::Datagram { .. } => return,
        }
        // Another one is made ready, and none is left that a reset made listen again.
        self.sockets.look_at_listeners(set, self.now_ms);
    }
}

impl<M: pipe::Memory> Ports<'_, M> {
    /// A repeated request is the socket's that has it already; smoltcp answers it again when its own time has come.
    fn request(&mut self, segment: &Segment, set: &mut SocketSet<'static>) -> bool {
        if is_connected(set, segment.to, segment.from) {
            return true;
        }
        self.sockets.look_at_listeners(set, self.now_ms);
        // Where nobody listens the stack says so.
        self.sockets.listener(segment.to).is_none_or(|listener| listener.open(segment.to, set))
    }

    /// True if it was somebody's.
    fn deliver(&mut self, segment: &Segment, bytes: &[u8]) -> bool {
        let Ok(packet) = UdpPacket::new_checked(bytes) else { return true };
        let (from, to) = (segment.from, segment.to);
        if UdpRepr::parse(&packet, &from.addr, &to.addr, &ChecksumCapabilities::default()).is_err() {
            return true;
        }
        let is_its = |kind: &Kind| matches!(kind, Kind::Udp { local, .. } if takes(*local, to));
        let Some(record) = self.sockets.records.iter_mut().flatten().find(|r| is_its(&r.kind)) else { return false };
        let client = self.clients.iter().find(|c| c.number == record.client);
        if let Some(memory) = client.and_then(|c| c.buffer.as_ref()) {
            record.news |= record.pipes.deliver(memory, from, packet.payload());
        }
        true
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
