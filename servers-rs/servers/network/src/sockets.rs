// SPDX-License-Identifier: PMPL-1.0-or-later
//! Sockets of clients: which there are, whose, and the bytes between the stack's buffers and the clients' pipes.
//!
//! Knows memory and stack by traits, so it runs on the host. Nothing here grows beyond the limits below, whatever clients ask.

use crate::listener::Listener;
use alloc::vec::Vec;
use api_socket::pipe::{self, DATAGRAM_BYTES, End};
use api_socket::{Area, State};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{Socket, tcp, udp};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// Sockets of all clients together.
pub const MAX_SOCKETS: usize = 512;
/// Ended connections that are remembered, so that a peer which did not hear of the end hears it again.
const MAX_LINGERING: usize = 32;
/// A datagram of the largest frame.
const MAX_DATAGRAM_BYTES: usize = 1500;
/// A peer that does not answer for so long is given up (RFC 9293, 3.8.3: at least 100 s for data).
const GIVE_UP: Duration = Duration::from_secs(120);

pub enum Kind {
    Tcp { handle: SocketHandle, shut: bool, opened: bool },
    Udp { handle: SocketHandle },
    Listener(Listener),
}

pub struct Pipes {
    pub area: Area,
    pub received: End,
    pub sent: End,
}

pub struct Record {
    /// Which of the sockets that had this place; a capability of an older one is answered with an error.
    pub generation: u32,
    pub client: u32,
    pub kind: Kind,
    /// A listener has none.
    pub pipes: Option<Pipes>,
    pub bytes: usize,
}

#[derive(Default)]
pub struct Sockets {
    pub records: Vec<Option<Record>>,
    generation: u32,
    /// Connections may be in the stack that nobody owns any more.
    orphans: bool,
    /// Buffers in the stack, of all clients together; one client may have three quarters.
    limit_bytes: usize,
}

/// What the buffers of all sockets take, also of those that nobody owns any more.
fn used_bytes(set: &SocketSet<'static>) -> usize {
    let of = |socket: &Socket<'_>| match socket {
        Socket::Tcp(it) => it.recv_capacity() + it.send_capacity(),
        Socket::Udp(it) => it.payload_recv_capacity() + it.payload_send_capacity(),
    };
    set.iter().map(|(_, socket)| of(socket)).sum()
}

impl Record {
    /// The port on this host, if it has one.
    pub fn port(&self, set: &SocketSet<'static>) -> Option<u16> {
        match &self.kind {
            Kind::Tcp { handle, .. } => set.get::<tcp::Socket<'static>>(*handle).local_endpoint().map(|l| l.port),
            Kind::Udp { handle } => Some(set.get::<udp::Socket<'static>>(*handle).endpoint().port),
            Kind::Listener(listener) => Some(listener.port),
        }
    }
}

/// Two buffers, if the heap has them.
pub fn buffers(receive_bytes: u32, send_bytes: u32) -> Option<(Vec<u8>, Vec<u8>)> {
    let make = |length: u32| {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length as usize).ok()?;
        bytes.resize(length as usize, 0);
        Some(bytes)
    };
    Some((make(receive_bytes)?, make(send_bytes)?))
}

/// A connection that is not one yet.
pub fn connection(receive_bytes: u32, send_bytes: u32) -> Option<tcp::Socket<'static>> {
    let (receive, send) = buffers(receive_bytes, send_bytes)?;
    let mut it = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
    it.set_congestion_control(tcp::CongestionControl::Reno);
    it.set_tsval_generator(Some(timestamp));
    it.set_timeout(Some(GIVE_UP));
    it.set_nagle_enabled(false);
    Some(it)
}
/// RFC 7323, 5.4: a clock of milliseconds.
fn timestamp() -> u32 {
    (rt::clock::now_ns() / 1_000_000) as u32
}

impl Sockets {
    /// A place for a socket. `None`: there are as many as may be, or this client has as much as it may.
    pub fn add(&mut self, client: u32, kind: Kind, pipes: Option<Pipes>, bytes: usize) -> Option<(usize, u32)> {
        let place = match self.records.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.records.len() < MAX_SOCKETS => {
                self.records.push(None);
                self.records.len() - 1
            }
            None => return None,
        };
        self.generation = self.generation.wrapping_add(1);
        let record = Record { generation: self.generation, client, kind, pipes, bytes };
        *self.records.get_mut(place)? = Some(record);
        Some((place, self.generation))
    }
    /// The rest of the heap is for what is beside the buffers.
    pub fn new(heap_bytes: usize) -> Sockets {
        Sockets { limit_bytes: heap_bytes / 4 * 3, ..Sockets::default() }
    }
    /// Whether a client may have so much more.
    pub fn has_room(&self, client: u32, bytes: usize, set: &SocketSet<'static>) -> bool {
        let of_client: usize = self.records.iter().flatten().filter(|r| r.client == client).map(|r| r.bytes).sum();
        let count = self.records.iter().flatten().count();
        count < MAX_SOCKETS
            && of_client.saturating_add(bytes) <= self.limit_bytes / 4 * 3
            && used_bytes(set).saturating_add(bytes) <= self.limit_bytes
    }
    pub fn get(&mut self, place: usize, generation: u32) -> Option<&mut Record> {
        self.records.get_mut(place)?.as_mut().filter(|r| r.generation == generation)
    }

    /// Ends a socket at once. A connection that is closed in order already keeps its peace.
    pub fn remove(&mut self, place: usize, set: &mut SocketSet<'static>) {
        let Some(record) = self.records.get_mut(place).and_then(Option::take) else { return };
        match record.kind {
            Kind::Tcp { handle, .. } => {
                leave(handle, set);
                self.orphans = true;
            }
            Kind::Udp { handle } => drop(set.remove(handle)),
            Kind::Listener(listener) => listener.end(set),
        }
    }
    pub fn remove_all(&mut self, client: u32, set: &mut SocketSet<'static>) {
        for place in 0..self.records.len() {
            if self.records.get(place).and_then(Option::as_ref).is_some_and(|r| r.client == client) {
                self.remove(place, set);
            }
        }
    }

    /// Whether some socket has this port.
    pub fn has_port(&self, port: u16, set: &SocketSet<'static>) -> bool {
        self.records.iter().flatten().any(|r| r.port(set) == Some(port))
    }
    /// Whether somebody listens on it.
    pub fn is_listened_on(&self, port: u16) -> bool {
        self.records.iter().flatten().any(|r| matches!(&r.kind, Kind::Listener(it) if it.port == port))
    }
    /// Whether datagrams to it are somebody's.
    pub fn is_bound(&self, port: u16, set: &SocketSet<'static>) -> bool {
        self.records.iter().flatten().any(|r| matches!(r.kind, Kind::Udp { .. }) && r.port(set) == Some(port))
    }
    /// Lets each listener look at its sockets; `full` are the ports that can take no request.
    pub fn look_at_listeners(&mut self, set: &mut SocketSet<'static>, full: &mut Vec<u16>, now_ms: u64) {
        full.clear();
        let limit = self.limit_bytes;
        for record in self.records.iter_mut().flatten() {
            if let Kind::Listener(listener) = &mut record.kind
                && !listener.turn(set, now_ms, |set, bytes| used_bytes(set) + bytes <= limit)
            {
                full.push(listener.port);
            }
        }
    }
    /// A connection was given up that no record has.
    pub fn orphaned(&mut self) {
        self.orphans = true;
    }
    /// Forgets connections that nobody owns and that have said their last word.
    pub fn sweep(&mut self, set: &mut SocketSet<'static>) {
        if !self.orphans {
            return;
        }
        let owned = |handle| {
            self.records.iter().flatten().any(|r| match &r.kind {
                Kind::Tcp { handle: own, .. } | Kind::Udp { handle: own } => *own == handle,
                Kind::Listener(listener) => listener.owns(handle),
            })
        };
        let is_over = |socket: &Socket<'_>| matches!(socket, Socket::Tcp(it) if it.state() == tcp::State::Closed);
        let over = |set: &SocketSet<'static>| {
            let found = set.iter().find(|(handle, socket)| is_over(socket) && !owned(*handle));
            found.map(|(handle, _)| handle)
        };
        while let Some(handle) = over(set) {
            set.remove(handle);
        }
        self.orphans = set.iter().any(|(handle, socket)| matches!(socket, Socket::Tcp(_)) && !owned(handle));
    }

    /// Moves bytes of every socket of a client both ways. True if the client has something new to see.
    pub fn pump(&mut self, client: u32, memory: &impl pipe::Memory, set: &mut SocketSet<'static>) -> bool {
        let mut news = false;
        for record in self.records.iter_mut().flatten().filter(|r| r.client == client) {
            let Some(pipes) = &mut record.pipes else {
                if let Kind::Listener(listener) = &mut record.kind {
                    news |= listener.has_news(set);
                }
                continue;
            };
            news |= match &mut record.kind {
                Kind::Tcp { handle, shut, opened } => stream(set.get_mut(*handle), pipes, memory, *shut, opened),
                Kind::Udp { handle } => datagrams(set.get_mut(*handle), pipes, memory),
                Kind::Listener(_) => false,
            };
        }
        news
    }
}

/// A connection whose owner is gone: the stack ends it with a reset, unless both sides ended it already, and `sweep` takes it.
fn leave(handle: SocketHandle, set: &mut SocketSet<'static>) {
    let lingering = set.iter().filter(|(_, it)| matches!(it, Socket::Tcp(it) if it.state() == tcp::State::TimeWait)).count();
    let socket: &mut tcp::Socket<'static> = set.get_mut(handle);
    if socket.state() != tcp::State::TimeWait || lingering > MAX_LINGERING {
        socket.abort();
    }
}

/// Asks a silent peer every so many seconds, and gives it up after three times as long.
pub fn keep_alive(it: &mut tcp::Socket<'static>, seconds: u32) {
    let every = Duration::from_secs(u64::from(seconds));
    it.set_keep_alive((seconds > 0).then_some(every));
    it.set_timeout(Some(if seconds > 0 { every * 3 } else { GIVE_UP }));
}

fn stream(it: &mut tcp::Socket<'_>, pipes: &mut Pipes, memory: &impl pipe::Memory, shut: bool, opened: &mut bool) -> bool {
    let mut news = false;
    while it.can_recv() && pipes.received.room(memory) > 0 {
        let moved = it.recv(|bytes| {
            let count = pipes.received.put(memory, bytes);
            (count, count)
        });
        match moved {
            Ok(count) if count > 0 => news = true,
            _ => break,
        }
    }
    while it.can_send() && pipes.sent.available(memory) > 0 {
        let moved = it.send(|room| {
            let count = pipes.sent.take(memory, room);
            (count, count)
        });
        match moved {
            Ok(count) if count > 0 => news = true,
            _ => break,
        }
    }
    if shut && pipes.sent.available(memory) == 0 && it.may_send() {
        it.close();
    }
    *opened |= it.may_recv() || it.may_send();
    let state = match it.state() {
        tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => State::Opening,
        tcp::State::Established | tcp::State::FinWait1 | tcp::State::FinWait2 => State::Open,
        // What came before the end is still to be read.
        _ if it.can_recv() => State::Open,
        // Whether the peer has all that was sent is not known before the end.
        tcp::State::CloseWait | tcp::State::LastAck | tcp::State::Closing => State::PeerShut,
        tcp::State::TimeWait => State::Closed,
        tcp::State::Closed if *opened && shut => State::Closed,
        tcp::State::Closed => State::Failed,
    };
    pipe::set_state(memory, &pipes.area, state as u32) | news
}

fn datagrams(it: &mut udp::Socket<'_>, pipes: &mut Pipes, memory: &impl pipe::Memory) -> bool {
    let mut news = false;
    let mut bytes = [0; DATAGRAM_BYTES + MAX_DATAGRAM_BYTES];
    while it.can_recv() {
        let (header, room) = bytes.split_at_mut(DATAGRAM_BYTES);
        let Ok((length, from)) = it.recv_slice(room) else { continue };
        write_header(header, &from.endpoint, length as u16);
        let whole = bytes.get(..DATAGRAM_BYTES + length).unwrap_or(&[]);
        // Without room it is lost, as datagrams are.
        if pipes.received.room(memory) >= whole.len() {
            pipes.received.put(memory, whole);
            news = true;
        }
    }
    while it.can_send() {
        let Some(header) = bytes.get_mut(..DATAGRAM_BYTES) else { break };
        if pipes.sent.look(memory, header) < DATAGRAM_BYTES {
            break;
        }
        let (to, length) = read_header(header);
        let whole = DATAGRAM_BYTES + usize::from(length);
        if usize::from(length) > MAX_DATAGRAM_BYTES || pipes.sent.available(memory) < whole {
            // No datagram of ours: what is in the pipe means nothing.
            pipes.sent.skip(memory, pipes.sent.available(memory));
            break;
        }
        pipes.sent.take(memory, bytes.get_mut(..whole).unwrap_or(&mut []));
        let _ = it.send_slice(bytes.get(DATAGRAM_BYTES..whole).unwrap_or(&[]), to);
        news = true;
    }
    pipe::set_state(memory, &pipes.area, State::Open as u32) | news
}

fn write_header(header: &mut [u8], from: &IpEndpoint, length: u16) {
    let IpAddress::Ipv6(address) = from.addr;
    let fields = address.octets().into_iter().chain(from.port.to_le_bytes()).chain(length.to_le_bytes());
    header.iter_mut().zip(fields).for_each(|(to, byte)| *to = byte);
}
fn read_header(header: &[u8]) -> (IpEndpoint, u16) {
    let mut fields = [0; DATAGRAM_BYTES];
    fields.iter_mut().zip(header).for_each(|(to, byte)| *to = *byte);
    let [a @ .., p, q, m, n] = fields;
    let address = smoltcp::wire::Ipv6Address::from(a);
    (IpEndpoint { addr: IpAddress::Ipv6(address), port: u16::from_le_bytes([p, q]) }, u16::from_le_bytes([m, n]))
}
