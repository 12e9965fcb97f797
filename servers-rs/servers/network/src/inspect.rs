// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a frame is, before anybody acts on it: dropped, news of the link, a segment or datagram for a port, or the stack's.
//!
//! Between IPv6's header and what it carries only a hop-by-hop header may stand, and only before a message of multicast
//! listener discovery (RFC 2710, 3): before anything else it would hide what is checked here. Fragments and other extension
//! headers are left to smoltcp, which takes none of them.

use crate::advert::{News, discovery, too_big};
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, IpEndpoint, IpProtocol, Ipv6Address, Ipv6ExtHeader, Ipv6Packet,
};

/// RFC 4861, 6.1.2 and 7.1: a router on the way would have counted it down, so the sender is on this link.
const HOP_LIMIT: u8 = 255;
/// RFC 9293, 3.1.
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "it lives on the stack of one call")]
pub enum Verdict {
    /// It is the stack's.
    Pass,
    PassWith(News),
    /// It goes to a port, if whoever guards that lets it.
    Port(Segment),
    /// It breaks a rule that every receiver must hold to; nobody sees it.
    Drop,
}

/// From whom to which port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    pub from: IpEndpoint,
    pub to: IpEndpoint,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Of TCP: a connection is asked for.
    Request,
    /// Of TCP: a connection is ended without order.
    Reset,
    /// Of TCP: anything else.
    Data,
    /// Of UDP. Where its header begins in the frame.
    Datagram { at: usize },
}

/// Looks at one frame.
pub fn inspect(frame: &[u8]) -> Verdict {
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return Verdict::Drop };
    if ethernet.ethertype() != EthernetProtocol::Ipv6 {
        return Verdict::Pass;
    }
    let Ok(packet) = Ipv6Packet::new_checked(ethernet.payload()) else { return Verdict::Drop };
    if packet.version() != 6 || packet.src_addr().is_multicast() {
        return Verdict::Drop;
    }
    let (from, to, body) = (packet.src_addr(), packet.dst_addr(), packet.payload());
    let at = frame.len() - ethernet.payload().len() + packet.header_len();
    match packet.next_header() {
        IpProtocol::Icmpv6 => control(from, to, packet.hop_limit(), body),
        IpProtocol::Tcp | IpProtocol::Udp => {
            port(from, to, packet.next_header() == IpProtocol::Udp, at, body).map_or(Verdict::Drop, Verdict::Port)
        }
        IpProtocol::HopByHop => listener_discovery(from, to, body).unwrap_or(Verdict::Drop),
        _ => Verdict::Pass,
    }
}

fn port(from: Ipv6Address, to: Ipv6Address, is_datagram: bool, at: usize, body: &[u8]) -> Option<Segment> {
    let [a, b, c, d] = *body.first_chunk()?;
    let kind = if is_datagram {
        Kind::Datagram { at }
    } else {
        match *body.get(13)? {
            flags if flags & RST != 0 => Kind::Reset,
            flags if flags & (SYN | ACK) == SYN => Kind::Request,
            _ => Kind::Data,
        }
    };
    let end = |address: Ipv6Address, high, low| IpEndpoint::new(address.into(), u16::from_be_bytes([high, low]));
    Some(Segment { from: end(from, a, b), to: end(to, c, d), kind })
}

fn control(from: Ipv6Address, to: Ipv6Address, hop_limit: u8, body: &[u8]) -> Verdict {
    let Ok(icmp) = Icmpv6Packet::new_checked(body) else { return Verdict::Drop };
    if !icmp.verify_checksum(&from, &to) {
        return Verdict::Drop;
    }
    let kind = icmp.msg_type();
    match kind {
        Icmpv6Message::RouterSolicit
        | Icmpv6Message::RouterAdvert
        | Icmpv6Message::NeighborSolicit
        | Icmpv6Message::NeighborAdvert
        | Icmpv6Message::Redirect => {
            let is_near = hop_limit == HOP_LIMIT && icmp.msg_code() == 0;
            let news = if is_near { discovery(kind, from, to, body) } else { None };
            news.map_or(Verdict::Drop, Verdict::PassWith)
        }
        Icmpv6Message::PktTooBig => too_big(body).map_or(Verdict::Drop, Verdict::PassWith),
        _ => Verdict::Pass,
    }
}

/// Behind a hop-by-hop header.
fn listener_discovery(from: Ipv6Address, to: Ipv6Address, body: &[u8]) -> Option<Verdict> {
    let header = Ipv6ExtHeader::new_checked(body).ok()?;
    let message = body.get(8 + 8 * usize::from(header.header_len())..)?;
    let icmp = Icmpv6Packet::new_checked(message).ok().filter(|_| header.next_header() == IpProtocol::Icmpv6)?;
    let is_one = matches!(icmp.msg_type(), Icmpv6Message::MldQuery | Icmpv6Message::MldReport);
    (is_one && icmp.verify_checksum(&from, &to)).then_some(Verdict::Pass)
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
pub mod tests;
