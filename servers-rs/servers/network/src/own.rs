// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is between clients of this machine: frames to an address of ours go round in here and never onto the wire.
//!
//! It also knows a frame from the wire that claims to come from one of our addresses: that is nobody's whom we should answer.

use crate::link::{Buffer, ETHERNET_HEADER_BYTES, FRAME_BYTES};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, HardwareAddress, Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    Ipv6Address, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

/// Frames that are on their way; more are lost, as on any wire.
const MAX_FRAMES: usize = 128;
/// Where an ICMPv6 message has its type, and a solicitation its target (RFC 4861, 4.3).
const MESSAGE: usize = ETHERNET_HEADER_BYTES + 40;
const TARGET: usize = MESSAGE + 8;

#[derive(Default)]
pub struct Own {
    pub station: EthernetAddress,
    addresses: Vec<Ipv6Address>,
    frames: VecDeque<Vec<u8>>,
}

impl Own {
    pub fn set_addresses(&mut self, addresses: impl Iterator<Item = Ipv6Address>) {
        self.addresses.clear();
        self.addresses.extend(addresses);
    }
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
    /// The next frame between clients; its length.
    pub fn take(&mut self, into: &mut Buffer) -> Option<usize> {
        let frame = self.frames.pop_front()?;
        into.get_mut(..frame.len())?.copy_from_slice(&frame);
        Some(frame.len())
    }
    /// True if a frame that is to be sent is ours to receive: it is kept, or lost without room.
    pub fn keep(&mut self, frame: &[u8]) -> bool {
        let is_ours = EthernetFrame::new_checked(frame).is_ok_and(|ethernet| ethernet.dst_addr() == self.station);
        if is_ours && self.frames.len() < MAX_FRAMES {
            self.frames.push_back(frame.to_vec());
        }
        let is_question = !is_ours && self.asks_for_us(frame);
        if is_question {
            self.introduce();
        }
        is_ours || is_question
    }
    /// Answers for all of our addresses: smoltcp asks once in a second at most, and who answers is asked for as well.
    fn introduce(&mut self) {
        let lladdr = Some(HardwareAddress::Ethernet(self.station).into());
        let mut bytes = [0; FRAME_BYTES];
        for &address in &self.addresses {
            let us = (self.station, address);
            let what = NdiscRepr::NeighborAdvert { flags: NdiscNeighborFlags::OVERRIDE, target_addr: address, lladdr };
            if let Some(frame) = discovery(&mut bytes, us, us, what).filter(|_| self.frames.len() < MAX_FRAMES) {
                self.frames.push_back(frame.to_vec());
            }
        }
    }
    fn asks_for_us(&self, frame: &[u8]) -> bool {
        let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return false };
        let Ok(packet) = Ipv6Packet::new_checked(ethernet.payload()) else { return false };
        let is_question = ethernet.ethertype() == EthernetProtocol::Ipv6
            && packet.next_header() == IpProtocol::Icmpv6
            && frame.get(MESSAGE) == Some(&u8::from(Icmpv6Message::NeighborSolicit));
        let target = frame.get(TARGET..).and_then(|rest| rest.first_chunk::<16>());
        is_question && target.is_some_and(|octets| self.addresses.contains(&Ipv6Address::from(*octets)))
    }
    pub fn is_from_us(&self, frame: &[u8]) -> bool {
        let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return false };
        if ethernet.ethertype() != EthernetProtocol::Ipv6 {
            return false;
        }
        Ipv6Packet::new_checked(ethernet.payload()).is_ok_and(|packet| self.addresses.contains(&packet.src_addr()))
    }
}

/// A frame with a message of neighbour discovery, between a station and address each.
pub fn discovery<'a>(
    bytes: &'a mut Buffer,
    (from_station, from): (EthernetAddress, Ipv6Address),
    (to_station, to): (EthernetAddress, Ipv6Address),
    what: NdiscRepr<'_>,
) -> Option<&'a [u8]> {
    let what = Icmpv6Repr::Ndisc(what);
    let (next_header, payload_len, hop_limit) = (IpProtocol::Icmpv6, what.buffer_len(), 255);
    let ip = Ipv6Repr { src_addr: from, dst_addr: to, next_header, payload_len, hop_limit };
    let frame = bytes.get_mut(..ETHERNET_HEADER_BYTES + ip.buffer_len() + what.buffer_len())?;
    let mut ethernet = EthernetFrame::new_unchecked(&mut *frame);
    ethernet.set_src_addr(from_station);
    ethernet.set_dst_addr(to_station);
    ethernet.set_ethertype(EthernetProtocol::Ipv6);
    let mut packet = Ipv6Packet::new_unchecked(ethernet.payload_mut());
    ip.emit(&mut packet);
    let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
    what.emit(&from, &to, &mut icmp, &ChecksumCapabilities::default());
    Some(frame)
}
