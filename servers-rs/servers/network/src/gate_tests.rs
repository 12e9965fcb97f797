// SPDX-License-Identifier: PMPL-1.0-or-later
use super::*;
use crate::listener::Listener;
use crate::sockets::{Connection, Pipes, connection};
use crate::stack::tests::{Host, MAC, up};
use api_socket::pipe::{DATAGRAM_BYTES, End, Memory};
use api_socket::{Area, Cause, State};
use manifest::component::Inbound;
use smoltcp::socket::udp;
use std::cell::RefCell;
use std::sync::atomic::AtomicU32;

const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const EACH: usize = Area::length_bytes(4096, 4096) as usize;
const CLIENT: u32 = 3;
const BYTES: u32 = 1000;

struct Fake {
    words: Vec<AtomicU32>,
    bytes: RefCell<Vec<u8>>,
}
impl Memory for Fake {
    fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
        self.words.get(offset / 4)
    }
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        out.copy_from_slice(self.bytes.borrow().get(offset..offset + out.len())?);
        Some(())
    }
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.bytes.borrow_mut().get_mut(offset..offset + bytes.len())?.copy_from_slice(bytes);
        Some(())
    }
}

fn rules() -> Vec<Inbound> {
    let rule = |protocol| Inbound { protocol, first: 7, last: 7, from: Origin::Link };
    vec![rule(Protocol::Tcp), rule(Protocol::Udp)]
}

/// A host with a client that echoes what comes on port 7.
struct Served {
    host: Host,
    sockets: Sockets,
    clients: Vec<Client<Fake>>,
    listener: (usize, u32),
    echoes: Vec<(usize, Area, End, End)>,
    free: Vec<usize>,
}

fn area(place: usize) -> Area {
    Area { offset_bytes: (place * EACH) as u32, receive_bytes: 4096, send_bytes: 4096 }
}
fn pipes(place: usize) -> Pipes {
    let area = area(place);
    Pipes { area, received: pipe::received(&area), sent: pipe::sent(&area) }
}

impl Served {
    fn new() -> Served {
        let words = (0..16 * EACH / 4).map(|_| AtomicU32::new(0)).collect();
        let memory = Fake { words, bytes: RefCell::new(vec![0; 16 * EACH]) };
        let (mut host, mut sockets) = (up(MAC), Sockets::new(4 << 20));
        let listener = Listener::new(IpListenEndpoint::from(7), area(0), 4, &mut host.sockets).unwrap();
        let listener = sockets.add(CLIENT, Kind::Listener(listener), pipes(0), 8192).unwrap();
        let clients = vec![Client { number: CLIENT, buffer: Some(memory), bell: None, inbound: rules() }];
        Served { host, sockets, clients, listener, echoes: vec![], free: (1..16).collect() }
    }
    fn memory(&self) -> &Fake {
        self.clients[0].buffer.as_ref().unwrap()
    }

    fn turn(&mut self, now_ms: u64) {
        let mut ports = Ports { sockets: &mut self.sockets, clients: &self.clients, now_ms };
        self.host.take_in(now_ms, &mut ports);
        let set = &mut self.host.sockets;
        self.sockets.look_at_listeners(set, now_ms);
        self.sockets.pump(CLIENT, self.clients[0].buffer.as_ref().unwrap(), set, now_ms, |_| None);
        self.host.give_out(now_ms);
        self.sockets.sweep(&mut self.host.sockets);
        self.echo();
    }
    fn accept(&mut self) -> Option<smoltcp::iface::SocketHandle> {
        let record = self.sockets.get(self.listener.0, self.listener.1).unwrap();
        let Kind::Listener(listener) = &mut record.kind else { panic!() };
        listener.accept(&self.host.sockets)
    }
    /// What the client does.
    fn echo(&mut self) {
        while let Some(handle) = self.accept() {
            let place = self.free.pop().unwrap();
            pipe::clear(self.clients[0].buffer.as_ref().unwrap(), &area(place)).unwrap();
            let (number, _) = self.sockets.add(CLIENT, Kind::Tcp(Connection::new(handle, true)), pipes(place), 8192).unwrap();
            let area = area(place);
            self.echoes.push((number, area, pipe::received(&area), pipe::sent(&area)));
        }
        let memory = self.clients[0].buffer.as_ref().unwrap();
        let mut over = vec![];
        for (number, area, received, sent) in &mut self.echoes {
            let mut bytes = [0; 4096];
            let count = received.look(memory, &mut bytes);
            let count = sent.put(memory, &bytes[..count]);
            received.skip(memory, count);
            match State::from_u32(pipe::state(memory, area)) {
                Some(State::PeerShut) => self.sockets.release(*number, 0),
                Some(State::Closed | State::Failed) => over.push(*area),
                _ => {}
            }
        }
        for area in over {
            self.echoes.retain(|e| e.1 != area);
            self.free.push(area.offset_bytes as usize / EACH);
        }
    }
}

/// Numbers below 1, the same for the same seed.
struct Chance(u32);
impl Chance {
    fn is_below(&mut self, part: f64) -> bool {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / f64::from(1 << 24) < part
    }
}

/// A wire that loses frames and holds some back until two more have passed, the same ones for the same seed.
struct Lossy {
    chance: Chance,
    part: f64,
    held: Vec<(Vec<u8>, u8)>,
}
impl Lossy {
    fn pass(&mut self, a: &mut Host, b: &mut Host) {
        let frames: Vec<Vec<u8>> = a.link.frames.outgoing.drain(..).chain(b.link.frames.outgoing.drain(..)).collect();
        for frame in frames {
            self.held.iter_mut().for_each(|held| held.1 -= 1);
            let mut through = vec![];
            match (self.chance.is_below(self.part), self.chance.is_below(self.part)) {
                (true, _) => {}
                (false, true) => self.held.push((frame, 2)),
                (false, false) => through.push(frame),
            }
            through.extend(self.held.extract_if(.., |held| held.1 == 0).map(|held| held.0));
            for frame in through {
                let to = if frame[6..12] == MAC { &mut *b } else { &mut *a };
                to.link.frames.incoming.push_back(frame);
            }
        }
    }
}

/// One connection that sends 1,000 bytes and wants them back; how it ended.
fn exchange(server: &mut Served, other: &mut Host, wire: &mut Lossy, port: u16, now_ms: &mut u64) -> Result<(), String> {
    let peer = server.host.autoconf.addresses().next().unwrap();
    let handle = other.sockets.add(connection(8192, 8192).unwrap());
    let (mut sent, mut back) = (0u32, 0u32);
    let socket = other.sockets.get_mut::<tcp::Socket<'static>>(handle);
    socket.connect(other.interface.context(), (peer, 7), port).unwrap();
    let end_ms = *now_ms + 300_000;
    while *now_ms < end_ms {
        server.turn(*now_ms);
        other.poll(*now_ms);
        let socket = other.sockets.get_mut::<tcp::Socket<'static>>(handle);
        while socket.can_send() && sent < BYTES {
            socket.send_slice(&[sent as u8]).unwrap();
            sent += 1;
        }
        while socket.can_recv() {
            let mut byte = [0];
            socket.recv_slice(&mut byte).unwrap();
            assert_eq!(byte[0], back as u8);
            back += 1;
        }
        if back == BYTES && socket.may_send() {
            socket.close();
        }
        let is_over = matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait);
        other.poll(*now_ms);
        wire.pass(&mut server.host, other);
        if is_over {
            other.sockets.remove(handle);
            return if back == BYTES { Ok(()) } else { Err(format!("ended after {back}")) };
        }
        *now_ms += 5;
    }
    Err(format!("no end: {sent} sent, {back} back"))
}

/// What goes wrong without it: the request is held back, its repetition is answered, and then it comes as well.
#[test]
fn connections_on_a_wire_that_loses_and_swaps_frames_are_never_reset() {
    for seed in 0..20 {
        let (mut server, mut other) = (Served::new(), up(OTHER));
        let mut wire = Lossy { chance: Chance(seed), part: 0.05, held: vec![] };
        let mut now_ms = 2000;
        for n in 0..30 {
            let port = 50_000 + n;
            let result = exchange(&mut server, &mut other, &mut wire, port, &mut now_ms);
            assert_eq!(result, Ok(()), "seed {seed}, connection {n}");
        }
    }
}

#[test]
fn a_repeated_request_is_its_sockets_and_no_second_connection() {
    let (mut server, mut other) = (Served::new(), up(OTHER));
    let peer = server.host.autoconf.addresses().next().unwrap();
    // The first one takes the first place in the stack's set, and leaves it to the spare one.
    for port in [50_000, 50_001] {
        let handle = other.sockets.add(connection(8192, 8192).unwrap());
        let socket = other.sockets.get_mut::<tcp::Socket<'static>>(handle);
        socket.connect(other.interface.context(), (peer, 7), port).unwrap();
        let mut request = None;
        for now_ms in (2000..2400).step_by(20) {
            other.poll(now_ms);
            let frames: Vec<Vec<u8>> = other.link.frames.outgoing.drain(..).collect();
            request = request.or_else(|| frames.iter().find(|f| f[20] == 6).cloned());
            server.host.link.frames.incoming.extend(frames);
            server.turn(now_ms);
            other.link.frames.incoming.extend(server.host.link.frames.outgoing.drain(..));
        }
        server.host.link.frames.incoming.push_back(request.unwrap());
        server.turn(2400);
        let answers = server.host.link.frames.outgoing.drain(..).filter(|f| f[20] == 6).count();
        assert_eq!((answers, server.echoes.len()), (0, 1), "the connection of port {port}");
        assert_eq!(other.sockets.get::<tcp::Socket<'static>>(handle).state(), tcp::State::Established);
        other.sockets.get_mut::<tcp::Socket<'static>>(handle).abort();
        other.poll(2500);
        server.host.link.frames.incoming.extend(other.link.frames.outgoing.drain(..));
        (0..3).for_each(|n| server.turn(2500 + n));
        other.sockets.remove(handle);
        assert!(server.echoes.is_empty());
    }
}

/// The state and cause that a client reads of a connection which it asked for.
fn called(answer: impl Fn(&mut Served, &mut Host)) -> (Option<State>, Option<Cause>) {
    let (mut server, mut other) = (Served::new(), up(OTHER));
    let peer = other.autoconf.addresses().next().unwrap();
    let mut socket = connection(4096, 4096).unwrap();
    socket.connect(server.host.interface.context(), (peer, 9), 50_000).unwrap();
    let handle = server.host.sockets.add(socket);
    server.sockets.add(CLIENT, Kind::Tcp(Connection::new(handle, false)), pipes(1), 8192).unwrap();
    for now_ms in (2000..200_000).step_by(50) {
        server.turn(now_ms);
        other.link.frames.incoming.extend(server.host.link.frames.outgoing.drain(..));
        other.poll(now_ms);
        answer(&mut server, &mut other);
    }
    let memory = server.memory();
    (State::from_u32(pipe::state(memory, &area(1))), Cause::from_u32(pipe::detail(memory, &area(1))))
}

#[test]
fn a_client_is_told_why_its_connection_failed() {
    let refused = called(|server, other| server.host.link.frames.incoming.extend(other.link.frames.outgoing.drain(..)));
    assert_eq!(refused, (Some(State::Failed), Some(Cause::Refused)));
    let silent = called(|_, other| other.link.frames.outgoing.clear());
    assert_eq!(silent, (Some(State::Failed), Some(Cause::TimedOut)));
}

#[test]
fn a_datagram_is_its_ports_and_a_damaged_one_is_nobodys() {
    let (mut server, mut other) = (Served::new(), up(OTHER));
    let own = server.host.autoconf.addresses().next().unwrap();
    let empty = || udp::PacketBuffer::new(vec![], vec![]);
    let handle = server.host.sockets.add(udp::Socket::new(empty(), empty()));
    let local = IpListenEndpoint::from(7);
    server.sockets.add(CLIENT, Kind::Udp { handle, local, asked: Default::default() }, pipes(1), 8192).unwrap();
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 4096]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(9).unwrap();
    let handle = other.sockets.add(socket);
    let mut read = pipe::received(&area(1));
    for (n, (port, damage)) in [(7, 0), (7, 1), (8, 0), (7, 0)].into_iter().enumerate() {
        other.sockets.get_mut::<udp::Socket<'static>>(handle).send_slice(&[n as u8; 100], (own, port)).unwrap();
        for now_ms in (2000..2200).step_by(20) {
            other.poll(now_ms);
            let frames = other.link.frames.outgoing.drain(..).map(|mut frame| {
                if frame[20] == 17 {
                    *frame.last_mut().unwrap() ^= damage;
                }
                frame
            });
            server.host.link.frames.incoming.extend(frames);
            server.turn(now_ms);
            other.link.frames.incoming.extend(server.host.link.frames.outgoing.drain(..));
        }
        let mut bytes = [0; 200];
        let count = read.take(server.memory(), &mut bytes);
        if (port, damage) == (7, 0) {
            assert_eq!((count, bytes[16..20].to_vec()), (DATAGRAM_BYTES + 100, vec![9, 0, 100, 0]));
            assert_eq!(bytes[DATAGRAM_BYTES..count], [n as u8; 100]);
        } else {
            assert_eq!(count, 0, "port {port}, damage {damage}");
        }
    }
}

/// Whether a request or a datagram is answered that comes from there.
fn is_let_in(from: Origin, owner: Option<u32>, is_datagram: bool, port: u16) -> bool {
    let mut server = Served::new();
    let address = |n| smoltcp::wire::IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, n);
    let empty = || udp::PacketBuffer::new(vec![], vec![]);
    let handle = server.host.sockets.add(udp::Socket::new(empty(), empty()));
    for port in [7, 8] {
        let local = IpListenEndpoint::from(port);
        let kind = Kind::Udp { handle, local, asked: Default::default() };
        server.sockets.add(CLIENT, kind, pipes(1), 8192).unwrap();
    }
    let kind = if is_datagram { Seen::Datagram { at: 0 } } else { Seen::Request };
    let segment = Segment { from: IpEndpoint::new(address(1), 99), to: IpEndpoint::new(address(2), port), kind };
    let mut datagram = [0, 99, 0, port as u8, 0, 10, 0, 0, 1, 2];
    UdpPacket::new_unchecked(&mut datagram[..]).fill_checksum(&address(1), &address(2));
    let mut ports = Ports { sockets: &mut server.sockets, clients: &server.clients, now_ms: 0 };
    let is_seen = ports.before(&segment, &Way { from, owner }, &datagram, &mut server.host.sockets);
    is_seen || pipe::received(&area(1)).available(server.memory()) > 0
}

#[test]
fn only_what_a_rule_admits_begins_at_a_client() {
    for is_datagram in [false, true] {
        let is_in = |from, owner, port| is_let_in(from, owner, is_datagram, port);
        assert!(is_in(Origin::Link, Some(CLIENT), 7), "as the rule says");
        assert!(is_in(Origin::Components, Some(CLIENT), 7), "components are nearer than the link");
        assert!(is_in(Origin::Link, Some(HOST), 7), "the link's address is everyone's");
        assert!(!is_in(Origin::Anywhere, Some(CLIENT), 7), "from too far");
        assert!(!is_in(Origin::Link, Some(CLIENT), 8), "another port");
        assert!(!is_in(Origin::Link, Some(CLIENT + 1), 7), "another client's address");
        assert!(!is_in(Origin::Link, None, 7), "nobody's address");
    }
}

#[test]
fn who_was_asked_may_answer_without_a_rule_and_the_one_that_was_not_may_not() {
    let mut server = Served::new();
    server.clients[0].inbound.clear();
    let address = |n| smoltcp::wire::IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, n);
    let empty = || udp::PacketBuffer::new(vec![], vec![]);
    let handle = server.host.sockets.add(udp::Socket::new(empty(), empty()));
    let mut asked = [None; crate::sockets::ASKED];
    for n in 1..=40 {
        crate::sockets::ask(&mut asked, IpEndpoint::new(address(n), 53));
        crate::sockets::ask(&mut asked, IpEndpoint::new(address(1), 53));
    }
    let local = IpListenEndpoint::from(7);
    server.sockets.add(CLIENT, Kind::Udp { handle, local, asked: Box::new(asked) }, pipes(1), 8192).unwrap();
    for (n, port, wanted) in [(1, 53, 30), (40, 53, 30), (1, 54, 0), (99, 53, 0), (2, 53, 0)] {
        let segment = Segment {
            from: IpEndpoint::new(address(n), port),
            to: IpEndpoint::new(address(200), 7),
            kind: Seen::Datagram { at: 0 },
        };
        let mut datagram = [0, port as u8, 0, 7, 0, 18, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        UdpPacket::new_unchecked(&mut datagram[..]).fill_checksum(&address(n), &address(200));
        let mut ports = Ports { sockets: &mut server.sockets, clients: &server.clients, now_ms: 0 };
        let way = Way { from: Origin::Anywhere, owner: Some(CLIENT) };
        assert!(!ports.before(&segment, &way, &datagram, &mut server.host.sockets), "nobody says that nobody is there");
        let mut bytes = [0; 100];
        let mut read = pipe::received(&area(1));
        let count = read.take(server.memory(), &mut bytes);
        assert_eq!(count, wanted, "{n} {port}");
        if count > 0 {
            let Some(record) = server.sockets.records.iter_mut().flatten().find(|r| matches!(r.kind, Kind::Udp { .. })) else {
                panic!()
            };
            record.pipes = pipes(1);
            pipe::clear(server.memory(), &area(1)).unwrap();
        }
    }
}
