// SPDX-License-Identifier: PMPL-1.0-or-later
use super::*;
use crate::advert::MAX_OPTIONS;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{EthernetAddress, Icmpv6Repr, Ipv6Repr};

pub const HOST: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);
pub const ROUTER: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const SOLICITED: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0x10);

/// A frame with this ICMPv6 message in it, checksum made.
pub fn frame(from: Ipv6Address, to: Ipv6Address, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + 40 + message.len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.set_src_addr(EthernetAddress([2, 0, 0, 0, 0, 1]));
    ethernet.set_dst_addr(EthernetAddress([0x33, 0x33, 0, 0, 0, 1]));
    ethernet.set_ethertype(EthernetProtocol::Ipv6);
    let mut packet = Ipv6Packet::new_unchecked(ethernet.payload_mut());
    let (next_header, payload_len) = (IpProtocol::Icmpv6, message.len());
    Ipv6Repr { src_addr: from, dst_addr: to, next_header, payload_len, hop_limit }.emit(&mut packet);
    packet.payload_mut().copy_from_slice(message);
    Icmpv6Packet::new_unchecked(packet.payload_mut()).fill_checksum(&from, &to);
    bytes
}

/// A router's advertisement with these options.
pub fn router_message(lifetime_s: u16, flags: u8, options: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    message[6..8].copy_from_slice(&lifetime_s.to_be_bytes());
    options.iter().for_each(|option| message.extend_from_slice(option));
    message
}
pub fn prefix_option(prefix: Ipv6Address) -> Vec<u8> {
    let mut option = vec![3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x07, 0x08, 0, 0, 0, 0];
    option.extend_from_slice(&prefix.octets());
    option
}
fn rdnss(count: u16) -> Vec<u8> {
    let mut option = vec![25, 1 + 2 * count as u8, 0, 0, 0, 0, 0, 60];
    (0..count).for_each(|n| option.extend_from_slice(&Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).octets()));
    option
}
fn router(message: &[u8]) -> Verdict {
    inspect(&frame(ROUTER, ALL_NODES, 255, message))
}
fn solicit(target: Ipv6Address, options: &[u8]) -> Vec<u8> {
    [&[135, 0, 0, 0, 0, 0, 0, 0], &target.octets()[..], options].concat()
}

#[test]
fn an_advertisement_is_read_with_all_its_options() {
    let prefix = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
    let options: [&[u8]; 4] = [&prefix_option(prefix), &[5, 1, 0, 0, 0, 0, 5, 0x78], &rdnss(2), &[200, 1, 9, 9, 9, 9, 9, 9]];
    let Verdict::PassWith(News::Router(advert)) = router(&router_message(1800, 8, &options)) else { panic!() };
    assert_eq!((advert.router, advert.lifetime_s, advert.preference, advert.mtu_bytes), (ROUTER, 1800, 1, Some(1400)));
    let said = advert.prefixes[0].unwrap();
    assert_eq!((said.prefix, said.length_bits, said.valid_s, said.preferred_s), (prefix, 64, 3600, 1800));
    assert!(said.on_link && said.autonomous);
    assert_eq!(advert.resolvers.iter().flatten().count(), 2);
}

#[test]
fn more_options_than_there_is_room_for_are_passed_over() {
    let many: Vec<Vec<u8>> = (0..20).map(|n| prefix_option(Ipv6Address::new(0x2001, n, 0, 0, 0, 0, 0, 0))).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let Verdict::PassWith(News::Router(advert)) = router(&router_message(1800, 0, &many)) else { panic!() };
    assert_eq!(advert.prefixes.iter().flatten().count(), MAX_OPTIONS);
}

#[test]
fn an_advertisement_from_beyond_the_link_is_dropped() {
    let message = router_message(1800, 0, &[]);
    for hop_limit in [0, 1, 64, 254] {
        assert_eq!(inspect(&frame(ROUTER, ALL_NODES, hop_limit, &message)), Verdict::Drop);
    }
    assert_eq!(inspect(&frame(Ipv6Address::new(0x2001, 0, 0, 0, 0, 0, 0, 1), ALL_NODES, 255, &message)), Verdict::Drop);
    assert!(matches!(inspect(&frame(ROUTER, ALL_NODES, 255, &message)), Verdict::PassWith(_)));
}

#[test]
fn options_of_no_length_or_beyond_the_end_drop_the_message() {
    for bad in [&[3u8, 0, 0, 0, 0, 0, 0, 0][..], &[3, 5, 0, 0, 0, 0, 0, 0], &[3], &[5, 1, 0]] {
        assert_eq!(router(&router_message(1800, 0, &[bad])), Verdict::Drop, "{bad:?}");
    }
    assert_eq!(router(&router_message(1800, 0, &[])[..12]), Verdict::Drop);
}

#[test]
fn a_wrong_checksum_and_a_multicast_sender_drop_the_frame() {
    let mut wrong = frame(ROUTER, ALL_NODES, 255, &router_message(1800, 0, &[]));
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(inspect(&wrong), Verdict::Drop);
    assert_eq!(inspect(&frame(ALL_NODES, HOST, 255, &router_message(1800, 0, &[]))), Verdict::Drop);
}

#[test]
fn who_checks_an_address_is_told_from_who_looks_for_it() {
    let none = Ipv6Address::UNSPECIFIED;
    let asked = |checking| Verdict::PassWith(News::Asked { target: HOST, checking });
    assert_eq!(inspect(&frame(none, SOLICITED, 255, &solicit(HOST, &[]))), asked(true));
    assert_eq!(inspect(&frame(ROUTER, SOLICITED, 255, &solicit(HOST, &[1, 1, 2, 0, 0, 0, 0, 1]))), asked(false));
    for bad in [
        frame(none, SOLICITED, 255, &solicit(HOST, &[1, 1, 2, 0, 0, 0, 0, 1])),
        frame(none, HOST, 255, &solicit(HOST, &[])),
        frame(ROUTER, SOLICITED, 255, &solicit(ALL_NODES, &[])),
        frame(ROUTER, SOLICITED, 255, &solicit(HOST, &[])[..20]),
    ] {
        assert_eq!(inspect(&bad), Verdict::Drop);
    }
}

#[test]
fn redirects_are_dropped_and_other_protocols_passed() {
    let redirect = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &HOST.octets(), &ROUTER.octets()].concat();
    assert_eq!(inspect(&frame(ROUTER, HOST, 255, &redirect)), Verdict::Drop);
    let mut arp = frame(ROUTER, HOST, 255, &redirect);
    arp[12..14].copy_from_slice(&[8, 6]);
    assert_eq!(inspect(&arp), Verdict::Pass);
    let echo = Icmpv6Repr::EchoRequest { ident: 1, seq_no: 2, data: b"x" };
    let mut message = vec![0; echo.buffer_len()];
    echo.emit(&ROUTER, &HOST, &mut Icmpv6Packet::new_unchecked(&mut message[..]), &ChecksumCapabilities::default());
    assert_eq!(inspect(&frame(ROUTER, HOST, 64, &message)), Verdict::Pass);
}

#[test]
fn a_packet_too_big_names_the_path_that_was_too_narrow() {
    let mut quoted = vec![2, 0, 0, 0, 0, 0, 5, 0];
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
    packet.extend_from_slice(&HOST.octets());
    packet.extend_from_slice(&ROUTER.octets());
    quoted.extend_from_slice(&packet);
    let news = News::TooBig { destination: ROUTER, mtu_bytes: 1280 };
    assert_eq!(inspect(&frame(ROUTER, HOST, 64, &quoted)), Verdict::PassWith(news));
    assert_eq!(inspect(&frame(ROUTER, HOST, 64, &quoted[..30])), Verdict::Drop);
}

#[test]
fn no_frame_makes_it_panic() {
    let options: [&[u8]; 2] = [&prefix_option(HOST), &rdnss(3)];
    let good = [
        frame(ROUTER, ALL_NODES, 255, &router_message(1800, 0, &options)),
        frame(ROUTER, SOLICITED, 255, &solicit(HOST, &[1, 1, 2, 0, 0, 0, 0, 1])),
    ];
    for bytes in &good {
        for at in 0..bytes.len() {
            let _ = inspect(&bytes[..at]);
            for value in [0, 1, 0x3a, 0x7f, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[at] = value;
                // With a checksum that fits, so that what is behind it is reached.
                if bad.len() > 58 && at >= 54 {
                    bad[56..58].fill(0);
                    let (from, to) = (ROUTER, ALL_NODES);
                    Icmpv6Packet::new_unchecked(&mut bad[54..]).fill_checksum(&from, &to);
                }
                let _ = inspect(&bad);
            }
        }
    }
}

/// The same frame with a hop-by-hop header in front of what it carries.
fn hidden(frame: &[u8]) -> Vec<u8> {
    let header = [frame[20], 0, 5, 2, 0, 0, 1, 0];
    let mut bytes = [&frame[..54], &header, &frame[54..]].concat();
    bytes[20] = 0;
    let length = (bytes.len() - 54) as u16;
    bytes[18..20].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn behind_a_hop_by_hop_header_only_multicast_listener_discovery_is_taken() {
    let query = [&[130, 0, 0, 0, 0, 10, 0, 0][..], &[0; 16], &[2, 125, 0, 0]].concat();
    let good = hidden(&frame(ROUTER, ALL_NODES, 1, &query));
    assert_eq!(inspect(&good), Verdict::Pass);
    let mut wrong = good.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let mut no_end = good;
    no_end[55] = 9;
    // Neighbour discovery from beyond the link, a segment and a datagram to a port.
    let advert = hidden(&frame(ROUTER, ALL_NODES, 64, &router_message(1800, 0, &[])));
    let as_protocol = |number: u8| {
        let mut bytes = hidden(&frame(ROUTER, HOST, 64, &query));
        bytes[54] = number;
        bytes
    };
    for bad in [wrong, no_end, advert, as_protocol(6), as_protocol(17), as_protocol(0)] {
        assert_eq!(inspect(&bad), Verdict::Drop);
    }
}

#[test]
fn segments_and_datagrams_are_told_by_port_and_kind() {
    let of = |protocol: u8, flags: u8| {
        let mut bytes = frame(ROUTER, HOST, 64, &[0, 80, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        // Where `frame` put a checksum stands the low half of a port.
        (bytes[20], bytes[56], bytes[57]) = (protocol, 1, 0);
        inspect(&bytes)
    };
    let port = |kind| {
        let (from, to) = (IpEndpoint::new(ROUTER.into(), 80), IpEndpoint::new(HOST.into(), 256));
        Verdict::Port(Segment { from, to, kind })
    };
    assert_eq!(of(6, SYN), port(Kind::Request));
    assert_eq!(of(6, SYN | ACK), port(Kind::Data));
    assert_eq!(of(6, SYN | RST), port(Kind::Reset));
    assert_eq!(of(17, 0), port(Kind::Datagram { at: 54 }));
}
