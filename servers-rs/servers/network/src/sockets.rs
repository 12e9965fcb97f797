// SPDX-License-Identifier: PMPL-1.0-or-later
//! Sockets of clients: which there are, whose, and the bytes between the stack's buffers and the clients' pipes.
//!
//! Knows memory and stack by traits, so it runs on the host. Nothing here grows beyond the limits below, whatever clients ask.

use crate::listener::Listener;
use alloc::boxed::Box;
use alloc::vec::Vec;
use api_socket::pipe::{self, DATAGRAM_BYTES, End};
use api_socket::{Area, Cause, MAX_DATAGRAM_BYTES, State};
use manifest::component::Inbound;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{Socket, tcp, udp};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};
use sys::Notification;

/// Sockets of all clients together.
pub const MAX_SOCKETS: usize = 512;
/// Ended connections that are remembered, so that a peer which did not hear of the end hears it again.
const MAX_LINGERING: usize = 32;
/// Peers of one socket that may answer its datagrams.
pub const ASKED: usize = 32;
/// A peer that does not answer for so long is given up (RFC 9293, 3.8.3: at least 100 s for data).
const GIVE_UP: Duration = Duration::from_secs(120);
/// A released connection whose peer does not end its half is ended so much later.
const RELEASE_MS: u64 = 120_000;

/// Who opens sockets.
pub struct Client<M> {
    pub number: u32,
    pub buffer: Option<M>,
    pub bell: Option<Notification>,
    pub inbound: Vec<Inbound>,
}

pub enum Kind {
    Tcp(Connection),
    /// With the last peers that it spoke to, whose answers may come in.
    Udp {
        handle: SocketHandle,
        local: IpListenEndpoint,
        asked: Box<[Option<IpEndpoint>; ASKED]>,
    },
    Listener(Listener),
}

#[derive(Clone, Copy)]
pub struct Connection {
    pub handle: SocketHandle,
    /// Nothing follows what is in the pipe.
    pub shut: bool,
    pub opened: bool,
    /// Known when a reset came.
    pub cause: Option<Cause>,
    /// Its client gave it up to be ended in order, until then.
    pub released_until_ms: Option<u64>,
}

impl Connection {
    pub fn new(handle: SocketHandle, opened: bool) -> Connection {
        Connection { handle, shut: false, opened, cause: None, released_until_ms: None }
    }
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
    /// Of a listener only their area's header is used.
    pub pipes: Pipes,
    pub bytes: usize,
    /// Something came for it that its client was not told of.
    pub news: bool,
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
    /// Its own end, if it has one.
    pub fn local(&self, set: &SocketSet<'static>) -> Option<IpListenEndpoint> {
        match &self.kind {
            Kind::Tcp(it) => set.get::<tcp::Socket<'static>>(it.handle).local_endpoint().map(IpListenEndpoint::from),
            Kind::Udp { local, .. } => Some(*local),
            Kind::Listener(listener) => Some(listener.local),
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
    pub fn add(&mut self, client: u32, kind: Kind, pipes: Pipes, bytes: usize) -> Option<(usize, u32)> {
        let place = match self.records.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.records.len() < MAX_SOCKETS => {
                self.records.push(None);
                self.records.len() - 1
            }
            None => return None,
        };
        self.generation = self.generation.wrapping_add(1);
        let record = Record { generation: self.generation, client, kind, pipes, bytes, news: false };
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
            Kind::Tcp(it) => {
                leave(it.handle, set);
                self.orphans = true;
            }
            Kind::Udp { handle, .. } => drop(set.remove(handle)),
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
        self.records.iter().flatten().any(|r| r.local(set).is_some_and(|local| local.port == port))
    }
    /// Whether a client listens already where a new listener of its would.
    pub fn is_listened_on(&self, client: u32, local: IpListenEndpoint) -> bool {
        self.of(client).any(|r| matches!(&r.kind, Kind::Listener(it) if overlap(it.local, local)))
    }
    /// Whether datagrams to it are another socket's of this client.
    pub fn is_bound(&self, client: u32, local: IpListenEndpoint) -> bool {
        self.of(client).any(|r| matches!(&r.kind, Kind::Udp { local: own, .. } if overlap(*own, local)))
    }
    fn of(&self, client: u32) -> impl Iterator<Item = &Record> {
        self.records.iter().flatten().filter(move |r| r.client == client)
    }
    /// What of a client listens there.
    pub fn listener(&mut self, client: u32, to: IpEndpoint) -> Option<&mut Listener> {
        self.records.iter_mut().flatten().filter(|r| r.client == client).find_map(|r| match &mut r.kind {
            Kind::Listener(listener) if listener.is_for(to) => Some(listener),
            _ => None,
        })
    }
    /// A request was seen that one of them may have taken.
    pub fn shut_listeners(&mut self, to: IpEndpoint, set: &mut SocketSet<'static>, now_ms: u64) {
        for record in self.records.iter_mut().flatten() {
            if let Kind::Listener(listener) = &mut record.kind
                && listener.is_for(to)
            {
                listener.shut(set, now_ms);
            }
        }
    }
    /// A reset came: whose connection is gone now knows why.
    pub fn was_reset(&mut self, set: &SocketSet<'static>) {
        for record in self.records.iter_mut().flatten() {
            if let Kind::Tcp(it) = &mut record.kind
                && it.cause.is_none()
                && set.get::<tcp::Socket<'static>>(it.handle).state() == tcp::State::Closed
            {
                it.cause = Some(if it.opened { Cause::Reset } else { Cause::Refused });
            }
        }
    }
    /// Lets each listener look at its sockets.
    pub fn look_at_listeners(&mut self, set: &mut SocketSet<'static>, now_ms: u64) {
        let limit = self.limit_bytes;
        for record in self.records.iter_mut().flatten() {
            if let Kind::Listener(listener) = &mut record.kind {
                listener.turn(set, now_ms, |set, bytes| used_bytes(set) + bytes <= limit);
            }
        }
    }
    /// A connection ends in order, without its client.
    pub fn release(&mut self, place: usize, now_ms: u64) {
        if let Some(Record { kind: Kind::Tcp(it), .. }) = self.records.get_mut(place).and_then(Option::as_mut) {
            it.shut = true;
            it.released_until_ms = Some(now_ms + RELEASE_MS);
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
                Kind::Tcp(Connection { handle: own, .. }) | Kind::Udp { handle: own, .. } => *own == handle,
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
    /// `source` says from which address a datagram goes.
    pub fn pump(
        &mut self,
        client: u32,
        memory: &impl pipe::Memory,
        set: &mut SocketSet<'static>,
        now_ms: u64,
        source: impl Fn(IpAddress) -> Option<IpAddress>,
    ) -> bool {
        let mut news = false;
        for place in 0..self.records.len() {
            let record = self.records.get_mut(place).and_then(Option::as_mut).filter(|r| r.client == client);
            let Some(record) = record else { continue };
            news |= core::mem::take(&mut record.news);
            let mut is_over = false;
            news |= match &mut record.kind {
                Kind::Tcp(it) => {
                    let socket = set.get_mut(it.handle);
                    let moved = stream(socket, &mut record.pipes, memory, it);
                    is_over = it.released_until_ms.is_some_and(|until_ms| is_left(socket, until_ms <= now_ms));
                    moved
                }
                Kind::Udp { handle, local, asked } => {
                    let source = |to: IpEndpoint| {
                        ask(asked, to);
                        local.addr.or_else(|| source(to.addr))
                    };
                    datagrams(set.get_mut(*handle), source, &mut record.pipes, memory)
                }
                Kind::Listener(listener) => {
                    let ready = listener.ready(set) as u32;
                    let before = pipe::set_detail(memory, &record.pipes.area, ready);
                    pipe::set_state(memory, &record.pipes.area, State::Open as u32) | (ready > before)
                }
            };
            if is_over {
                self.remove(place, set);
            }
        }
        news
    }
}

/// Whether two cannot be had at once.
fn overlap(a: IpListenEndpoint, b: IpListenEndpoint) -> bool {
    a.port == b.port && (a.addr.is_none() || b.addr.is_none() || a.addr == b.addr)
}

/// Whether a released connection is at its end. What comes for nobody is answered with a reset (RFC 1122, 4.2.2.13).
fn is_left(socket: &mut tcp::Socket<'static>, is_late: bool) -> bool {
    let is_over = matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait);
    is_over || is_late || socket.can_recv()
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

fn stream(it: &mut tcp::Socket<'_>, pipes: &mut Pipes, memory: &impl pipe::Memory, of: &mut Connection) -> bool {
    let mut news = false;
    while of.released_until_ms.is_none() && it.can_recv() && pipes.received.room(memory) > 0 {
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
    if of.shut && pipes.sent.available(memory) == 0 && it.may_send() {
        it.close();
    }
    of.opened |= it.may_recv() || it.may_send();
    let state = match it.state() {
        tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => State::Opening,
        tcp::State::Established | tcp::State::FinWait1 | tcp::State::FinWait2 => State::Open,
        // What came before the end is still to be read.
        _ if it.can_recv() => State::Open,
        // Whether the peer has all that was sent is not known before the end.
        tcp::State::CloseWait | tcp::State::LastAck | tcp::State::Closing => State::PeerShut,
        tcp::State::TimeWait => State::Closed,
        tcp::State::Closed if of.opened && of.shut && of.cause.is_none() => State::Closed,
        tcp::State::Closed => State::Failed,
    };
    if state == State::Failed {
        pipe::set_detail(memory, &pipes.area, of.cause.unwrap_or(Cause::TimedOut) as u32);
    }
    pipe::set_state(memory, &pipes.area, state as u32) | news
}

/// Remembers a peer that was spoken to, in place of the one that was not for the longest time.
pub fn ask(asked: &mut [Option<IpEndpoint>; ASKED], to: IpEndpoint) {
    let place = asked.iter().position(|&one| one == Some(to)).unwrap_or(ASKED - 1);
    if let Some(recent) = asked.get_mut(..=place) {
        recent.rotate_right(1);
    }
    asked[0] = Some(to);
}

/// What is to go out; what comes in is handed on by `gate.rs`.
fn datagrams(
    it: &mut udp::Socket<'_>,
    mut source: impl FnMut(IpEndpoint) -> Option<IpAddress>,
    pipes: &mut Pipes,
    memory: &impl pipe::Memory,
) -> bool {
    let mut news = false;
    while it.can_send() {
        let mut header = [0; DATAGRAM_BYTES];
        if pipes.sent.look(memory, &mut header) < DATAGRAM_BYTES {
            break;
        }
        let (to, length) = read_header(&header);
        if length > MAX_DATAGRAM_BYTES || pipes.sent.available(memory) < DATAGRAM_BYTES + length {
            // No datagram of ours: what is in the pipe means nothing.
            pipes.sent.skip(memory, pipes.sent.available(memory));
            break;
        }
        let mut meta = udp::UdpMetadata::from(to);
        meta.local_address = source(to);
        if meta.local_address.is_none() {
            pipes.sent.skip(memory, DATAGRAM_BYTES + length);
            continue;
        }
        let moved = it.send_with(length, meta, |room| {
            pipes.sent.skip(memory, DATAGRAM_BYTES);
            pipes.sent.take(memory, room);
            length
        });
        if moved == Err(udp::SendError::BufferFull) {
            break;
        }
        if moved.is_err() {
            pipes.sent.skip(memory, DATAGRAM_BYTES + length);
        }
        news = true;
    }
    pipe::set_state(memory, &pipes.area, State::Open as u32) | news
}

impl Pipes {
    /// A datagram that came; without room it is lost, as datagrams are.
    pub fn deliver(&mut self, memory: &impl pipe::Memory, from: IpEndpoint, bytes: &[u8]) -> bool {
        let length = u16::try_from(bytes.len());
        length.is_ok_and(|length| self.received.put_whole(memory, &[&header_of(&from, length), bytes]))
    }
}

fn header_of(from: &IpEndpoint, length: u16) -> [u8; DATAGRAM_BYTES] {
    let mut header = [0; DATAGRAM_BYTES];
    let IpAddress::Ipv6(address) = from.addr;
    let fields = address.octets().into_iter().chain(from.port.to_le_bytes()).chain(length.to_le_bytes());
    header.iter_mut().zip(fields).for_each(|(to, byte)| *to = byte);
    header
}
fn read_header(header: &[u8; DATAGRAM_BYTES]) -> (IpEndpoint, usize) {
    let [a @ .., p, q, m, n] = *header;
    let address = smoltcp::wire::Ipv6Address::from(a);
    let length = usize::from(u16::from_le_bytes([m, n]));
    (IpEndpoint { addr: IpAddress::Ipv6(address), port: u16::from_le_bytes([p, q]) }, length)
}
