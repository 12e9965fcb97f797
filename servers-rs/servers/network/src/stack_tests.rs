// SPDX-License-Identifier: PMPL-1.0-or-later
use super::*;
use crate::inspect::tests::{frame, prefix_option, router_message};
use crate::link::Buffer;
use smoltcp::socket::tcp::{self, Socket as Tcp, SocketBuffer};
use smoltcp::wire::{Icmpv6Packet, TcpPacket};
use std::collections::VecDeque;

pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const ROUTER: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const LINK: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe12, 0x3456);

#[derive(Default)]
pub struct Wire {
    pub incoming: VecDeque<Vec<u8>>,
    pub outgoing: VecDeque<Vec<u8>>,
}
impl Frames for Wire {
    fn receive(&mut self, into: &mut Buffer) -> Option<usize> {
        let frame = self.incoming.pop_front()?;
        into[..frame.len()].copy_from_slice(&frame);
        Some(frame.len())
    }
    fn can_send(&self) -> bool {
        true
    }
    fn send(&mut self, frame: &[u8]) {
        self.outgoing.push_back(frame.to_vec());
    }
    fn flush(&mut self) {}
}
pub struct Plain([u8; 6], Vec<u32>);
impl Identifiers for Plain {
    fn owners(&self) -> &[u32] {
        &self.1
    }
    fn identifier(&self, _: Ipv6Address, owner: u32, tries: u8) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.0;
        [a ^ 2, b, c, 0xff ^ owner as u8, 0xfe, d, e, f ^ tries]
    }
}
/// Lets everything pass.
struct Open;
impl Gate for Open {
    fn before(&mut self, _: &Segment, _: &Way, _: &[u8], _: &mut SocketSet<'static>) -> bool {
        true
    }
    fn after(&mut self, _: &Segment, _: &mut SocketSet<'static>) {}
}
pub type Host = Stack<Wire, Plain>;
impl Host {
    /// One turn of a host on which nobody listens.
    pub fn poll(&mut self, now_ms: u64) -> bool {
        let more = self.take_in(now_ms, &mut Open);
        self.give_out(now_ms);
        more
    }
}

fn host(address: [u8; 6]) -> Host {
    Stack::new(Wire::default(), address, 1500, Plain(address, vec![]), 7)
}
pub fn up(address: [u8; 6]) -> Host {
    let mut it = host(address);
    it.poll(0);
    it.poll(1000);
    it
}
fn sent(it: &mut Host) -> Vec<Vec<u8>> {
    it.link.frames.outgoing.drain(..).collect()
}
/// The ICMPv6 type of a frame, or that of its only extension's follower.
fn kind(frame: &[u8]) -> u8 {
    if frame[20] == 58 { frame[54] } else { frame[62] }
}
fn join(a: &mut Host, b: &mut Host, now_ms: u64) {
    for _ in 0..40 {
        a.poll(now_ms);
        b.poll(now_ms);
        b.link.frames.incoming.extend(a.link.frames.outgoing.drain(..));
        a.link.frames.incoming.extend(b.link.frames.outgoing.drain(..));
    }
}

#[test]
fn a_host_probes_its_address_then_reports_its_group_and_asks_for_routers() {
    let mut it = host(MAC);
    it.poll(0);
    assert_eq!(sent(&mut it).iter().map(|f| kind(f)).collect::<Vec<_>>(), [135]);
    assert!(it.delay_ms(0) <= Some(1000));
    it.poll(1000);
    let kinds: Vec<u8> = sent(&mut it).iter().map(|f| kind(f)).collect();
    assert!(kinds.contains(&133) && kinds.contains(&143), "{kinds:?}");
    assert!(it.interface.has_ip_addr(LINK));
}

#[test]
fn a_router_gives_an_address_and_a_route() {
    let mut it = up(MAC);
    let prefix = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
    let message = router_message(1800, 0, &[&prefix_option(prefix)]);
    it.link.frames.incoming.push_back(frame(ROUTER, ALL_NODES, 255, &message));
    it.poll(1100);
    it.poll(2200);
    let global = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0x5054, 0xff, 0xfe12, 0x3456);
    assert!(it.interface.has_ip_addr(global));
    assert_eq!(it.autoconf.router(), Some(ROUTER));
}

#[test]
fn an_address_of_ours_is_defended() {
    let mut it = up(MAC);
    sent(&mut it);
    let probe = [&[135, 0, 0, 0, 0, 0, 0, 0], &LINK.octets()[..]].concat();
    it.link.frames.incoming.push_back(frame(Ipv6Address::UNSPECIFIED, solicited_node(LINK), 255, &probe));
    it.poll(1100);
    let answer = sent(&mut it).into_iter().find(|f| kind(f) == 136).unwrap();
    assert_eq!(answer[38..54], ALL_NODES.octets());
}

#[test]
fn two_hosts_talk_tcp_and_a_narrow_path_narrows_their_segments() {
    let (mut a, mut b) = (up(MAC), up([2, 0, 0, 0, 0, 9]));
    let socket = || Tcp::new(SocketBuffer::new(vec![0; 65536]), SocketBuffer::new(vec![0; 65536]));
    let (client, server) = (a.sockets.add(socket()), b.sockets.add(socket()));
    b.sockets.get_mut::<Tcp>(server).listen(7).unwrap();
    let peer = b.autoconf.addresses().next().unwrap();
    a.sockets.get_mut::<Tcp>(client).connect(a.interface.context(), (IpAddress::Ipv6(peer), 7), 50_000).unwrap();
    join(&mut a, &mut b, 1100);
    assert_eq!(a.sockets.get::<Tcp>(client).state(), tcp::State::Established);
    // Too big, from a router on the way.
    let mut quote = vec![2, 0, 0, 0, 0, 0, 5, 20, 0x60, 0, 0, 0, 0, 0, 6, 64];
    quote.extend_from_slice(&LINK.octets());
    quote.extend_from_slice(&peer.octets());
    a.link.frames.incoming.push_back(frame(ROUTER, LINK, 64, &quote));
    a.poll(1200);
    assert_eq!(a.link.mtu_bytes, 1300);
    sent(&mut a);
    a.sockets.get_mut::<Tcp>(client).send_slice(&[9; 5000]).unwrap();
    (1300..1340).step_by(10).for_each(|now_ms| join(&mut a, &mut b, now_ms));
    assert_eq!(b.sockets.get::<Tcp>(server).recv_queue(), 5000, "the connection goes on");
    // Ten minutes later the path is tried again.
    a.poll(1200 + RAISE_MS);
    assert_eq!(a.link.mtu_bytes, 1500);
}

#[test]
fn a_packet_too_big_of_nobody_whom_we_talk_to_changes_nothing() {
    let mut it = up(MAC);
    let mut quote = vec![2, 0, 0, 0, 0, 0, 5, 0, 0x60, 0, 0, 0, 0, 0, 6, 64];
    quote.extend_from_slice(&LINK.octets());
    quote.extend_from_slice(&ROUTER.octets());
    it.link.frames.incoming.push_back(frame(ROUTER, LINK, 64, &quote));
    it.poll(1100);
    assert_eq!(it.link.mtu_bytes, 1500);
}

#[test]
fn a_turn_ends_however_many_frames_are_there() {
    let mut it = up(MAC);
    let noise = router_message(1800, 0, &[]);
    (0..BATCH * 3).for_each(|_| it.link.frames.incoming.push_back(frame(ROUTER, ALL_NODES, 255, &noise)));
    assert!(it.poll(1100));
    assert!(it.link.frames.incoming.len() >= BATCH);
    while it.poll(1100) {}
    assert!(it.link.frames.incoming.is_empty());
}

/// Frames of each kind that the stack looks into, mutated: most of them with a checksum that fits, so that what lies behind it is
/// reached. Deterministic; 400,000 rounds.
#[test]
fn mutated_frames_kill_nobody_and_an_echo_is_answered_afterwards() {
    let mut it = up(MAC);
    let mut listening = Tcp::new(SocketBuffer::new(vec![0; 4096]), SocketBuffer::new(vec![0; 4096]));
    listening.listen(7).unwrap();
    let listening = it.sockets.add(listening);
    let echo = [128, 0, 0, 0, 0, 1, 0, 2, 9, 9, 9, 9];
    let query = [&[130, 0, 0, 0, 0, 10, 0, 0][..], &[0; 16], &[2, 125, 0, 0]].concat();
    let neighbour = |kind: u8| [&[kind, 0, 0, 0, 0x60, 0, 0, 0][..], &LINK.octets(), &[1, 1, 2, 0, 0, 0, 0, 9]].concat();
    let prefix = prefix_option(Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0));
    let router = router_message(1800, 0, &[&prefix, &[5, 1, 0, 0, 0, 0, 5, 0x78], &[25, 3, 0, 0, 0, 0, 0, 60], &[0; 16]]);
    let mut syn =
        [0, 99, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0xb0, 2, 16, 0, 0, 0, 0, 0, 2, 4, 5, 0xa0, 1, 3, 3, 7, 4, 2, 1, 1].to_vec();
    syn.extend_from_slice(&[8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1]);
    let corpus: Vec<Vec<u8>> = [&echo[..], &query, &neighbour(135), &neighbour(136), &router, &syn]
        .iter()
        .map(|message| frame(ROUTER, if message[0] == 134 { ALL_NODES } else { LINK }, 255, message))
        .collect();
    let (mut state, mut requests) = (1u32, 0);
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for round in 0..400_000u64 {
        let mut bytes = corpus[random(corpus.len())].clone();
        // The TCP segment of the corpus is one only under its own number.
        let is_tcp = bytes[54] == 0;
        bytes[20] = if is_tcp { 6 } else { 58 };
        if is_tcp {
            // Where ICMPv6 has its checksum.
            bytes[56..58].copy_from_slice(&[0, 7]);
        }
        for _ in 0..random(4) {
            let at = 14 + random(bytes.len() - 14);
            bytes[at] = [0, 1, 0x3a, 0x7f, 0x80, 0xff, random(256) as u8][random(7)];
        }
        if random(8) == 0 {
            bytes.truncate(14 + random(bytes.len() - 14));
        }
        if random(4) != 0 && bytes.len() > 74 && !is_tcp {
            let (from, to) =
                (Ipv6Address::from(*bytes[22..].first_chunk().unwrap()), Ipv6Address::from(*bytes[38..].first_chunk().unwrap()));
            Icmpv6Packet::new_unchecked(&mut bytes[54..]).fill_checksum(&from, &to);
        } else if bytes.len() >= 74 && is_tcp {
            let (from, to) =
                (Ipv6Address::from(*bytes[22..].first_chunk().unwrap()), Ipv6Address::from(*bytes[38..].first_chunk().unwrap()));
            TcpPacket::new_unchecked(&mut bytes[54..]).fill_checksum(&from.into(), &to.into());
        }
        it.link.frames.incoming.push_back(bytes);
        it.poll(2000 + round);
        it.link.frames.outgoing.clear();
        if it.sockets.get::<Tcp>(listening).state() != tcp::State::Listen {
            requests += 1;
            it.sockets.get_mut::<Tcp>(listening).abort();
            it.poll(2000 + round);
            it.sockets.get_mut::<Tcp>(listening).listen(7).unwrap();
        }
    }
    assert!(it.link.refused > 10_000 && requests > 10_000, "{} were refused, {requests} asked to connect", it.link.refused);
    // Its own addresses may have been claimed meanwhile; that of the link was checked before.
    it.link.frames.incoming.push_back(frame(ROUTER, LINK, 255, &neighbour(136)));
    it.link.frames.incoming.push_back(frame(ROUTER, LINK, 255, &echo));
    it.poll(1_000_000);
    it.poll(1_002_000);
    it.link.frames.incoming.push_back(frame(ROUTER, LINK, 255, &neighbour(135)));
    it.link.frames.incoming.push_back(frame(ROUTER, LINK, 255, &echo));
    it.poll(1_002_100);
    assert!(sent(&mut it).iter().any(|f| kind(f) == 129));
}

#[test]
fn clients_reach_each_other_past_the_wire_and_a_stranger_cannot_claim_to_be_one() {
    let mut it = Stack::new(Wire::default(), MAC, 1500, Plain(MAC, vec![1, 2]), 7);
    it.poll(0);
    it.poll(1000);
    let prefix = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
    it.link.frames.incoming.push_back(frame(ROUTER, ALL_NODES, 255, &router_message(1800, 0, &[&prefix_option(prefix)])));
    it.poll(1100);
    it.poll(2200);
    sent(&mut it);
    let [a, b] = [1, 2].map(|owner| it.autoconf.addresses_of(owner, 2200).next().unwrap());
    let socket = || Tcp::new(SocketBuffer::new(vec![0; 65536]), SocketBuffer::new(vec![0; 65536]));
    let (client, server) = (it.sockets.add(socket()), it.sockets.add(socket()));
    it.sockets.get_mut::<Tcp>(server).listen((IpAddress::Ipv6(b), 7)).unwrap();
    let context = it.interface.context();
    it.sockets.get_mut::<Tcp>(client).connect(context, (IpAddress::Ipv6(b), 7), (IpAddress::Ipv6(a), 50_000)).unwrap();
    for now_ms in (2200..2300).step_by(5) {
        it.poll(now_ms);
    }
    it.sockets.get_mut::<Tcp>(client).send_slice(&[9; 5000]).unwrap();
    for now_ms in (2300..2400).step_by(5) {
        it.poll(now_ms);
    }
    assert_eq!(it.sockets.get::<Tcp>(server).recv_queue(), 5000);
    assert_eq!(sent(&mut it).iter().filter(|f| f[20] == 6).count(), 0, "nothing of it is on the wire");
    // An echo that asks in the name of one of them.
    let refused = it.link.refused;
    it.link.frames.incoming.push_back(frame(a, b, 64, &[128, 0, 0, 0, 0, 1, 0, 2, 9, 9, 9, 9]));
    it.poll(2500);
    assert_eq!(it.link.refused, refused + 1);
}
