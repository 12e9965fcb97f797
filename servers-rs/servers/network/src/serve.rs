// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `socket`, and that of each socket: checks what clients ask, makes sockets, hands out their capabilities.

use crate::autoconf::Identifiers;
use crate::gate::{Ports, is_connected};
use crate::link::Frames;
use crate::listener::Listener;
use crate::sockets::{self, Client, Connection, Kind, Pipes, Sockets, connection};
use crate::stack::Stack;
use alloc::vec::Vec;
use api_socket::pipe::{self, Memory as _};
use api_socket::{Area, Error, Peer, Serve, one};
use core::sync::atomic::AtomicU32;
use ipc::{Badge, Cap};
use manifest::layout;
use rt::memory::Shared;
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint, Ipv6Address};
use sys::{Capability, Endpoint, Handle, Notification, Rights};

/// Of a client's bell: something happened to one of its sockets.
const NEWS: u64 = 1;
/// What a client may do with a socket: call it, and hand it on.
const SOCKET: Rights = Rights(Rights::WRITE.0 | Rights::TRANSFER.0 | Rights::COPY.0);
/// RFC 6335, 6: ports that nobody asks for by number.
const FIRST_PORT: u16 = 49_152;
/// Datagrams that wait in the stack to be sent.
const DATAGRAMS: usize = 32;

/// The buffer that a client shares.
pub struct Window(pub Shared);
impl pipe::Memory for Window {
    fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
        self.0.atomic(offset)
    }
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        self.0.read(offset, out)
    }
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.0.write(offset, bytes)
    }
}

pub struct Server<F, I> {
    pub stack: Stack<F, I>,
    pub clients: Vec<Client<Window>>,
    sockets: Sockets,
    endpoint: Endpoint,
    /// The bell that clients get.
    doorbell: Notification,
    /// A capability that goes out with the answer, to be given up here afterwards.
    going: Option<Handle>,
    /// Makes ports that nobody asked for by number.
    ports: u64,
    now_ms: u64,
}

impl<F: Frames, I: Identifiers> Server<F, I> {
    pub fn new(stack: Stack<F, I>, clients: Vec<Client<Window>>, endpoint: Endpoint, doorbell: Notification, seed: u64) -> Self {
        let sockets = Sockets::new(rt::start::startup().heap_bytes as usize);
        Server { stack, clients, sockets, endpoint, doorbell, going: None, ports: seed.rotate_left(32), now_ms: 0 }
    }

    /// One turn of everything. True if there is more to do at once.
    pub fn turn(&mut self, now_ms: u64) -> bool {
        self.now_ms = now_ms;
        let mut ports = Ports { sockets: &mut self.sockets, clients: &self.clients, now_ms };
        let more = self.stack.take_in(now_ms, &mut ports);
        self.sockets.look_at_listeners(&mut self.stack.sockets, now_ms);
        for client in &self.clients {
            let (Some(buffer), Some(bell)) = (&client.buffer, client.bell) else { continue };
            let autoconf = &self.stack.autoconf;
            let source = |to| {
                let IpAddress::Ipv6(to) = to;
                autoconf.source(client.number, to, now_ms).map(IpAddress::Ipv6)
            };
            if self.sockets.pump(client.number, buffer, &mut self.stack.sockets, now_ms, source) {
                let _ = bell.signal(NEWS);
            }
        }
        self.stack.give_out(now_ms);
        self.sockets.sweep(&mut self.stack.sockets);
        more || self.stack.has_own()
    }

    /// Answers a call. Capabilities that came with it are kept only by `attach`.
    pub fn answer(&mut self, interface: u32, client: Badge, request: &ipc::Message) -> ipc::Message {
        let own = interface.checked_sub(layout::FIRST_OWN);
        let answer = match own {
            Some(place) => one::dispatch(self, Badge((u64::from(place) << 32) | client.0), request),
            None => api_socket::dispatch(self, client, request),
        };
        let keeps = own.is_none() && request.label == api_socket::label::attach && answer.label == ipc::interface::code::OK;
        if !keeps {
            rt::channel::drop_caps(request);
        }
        answer
    }
    /// After the answer went out.
    pub fn answered(&mut self) {
        if let Some(handle) = self.going.take() {
            let _ = Endpoint(handle).delete();
        }
    }

    fn client(&self, number: Badge) -> Result<&Client<Window>, Error> {
        let found = self.clients.iter().find(|c| u64::from(c.number) == number.0);
        found.filter(|c| c.bell.is_some() && c.buffer.is_some()).ok_or(Error::NotAttached)
    }
    fn pipes(&self, client: Badge, area: Area) -> Result<Pipes, Error> {
        let buffer = self.client(client)?.buffer.as_ref().ok_or(Error::NotAttached)?;
        if !area.fits(buffer.0.length_bytes()) || buffer.atomic(area.offset_bytes as usize).is_none() {
            return Err(Error::BadArea);
        }
        Ok(Pipes { area, received: pipe::received(&area), sent: pipe::sent(&area) })
    }
    /// A capability to the socket at a place.
    fn mint(&mut self, place: usize, generation: u32) -> Result<Cap, Error> {
        let interface = layout::FIRST_OWN | place as u32;
        let minted = self.endpoint.copy(SOCKET, layout::badge(interface, generation)).map_err(|_| Error::NoRoom)?;
        self.going = Some(minted.handle());
        Ok(Cap(minted.handle()))
    }
    fn open(&mut self, client: Badge, kind: Kind, pipes: Pipes, bytes: usize) -> Result<Cap, Error> {
        let (place, generation) = self.sockets.add(client.0 as u32, kind, pipes, bytes).ok_or(Error::NoRoom)?;
        self.mint(place, generation).inspect_err(|_| self.sockets.remove(place, &mut self.stack.sockets))
    }
    fn room(&self, client: Badge, sizes: &Area) -> Result<usize, Error> {
        let bytes = sizes.receive_bytes as usize + sizes.send_bytes as usize;
        if self.sockets.has_room(client.0 as u32, bytes, &self.stack.sockets) { Ok(bytes) } else { Err(Error::NoRoom) }
    }
    /// An end that a client names: an address must be one of its own.
    fn local(&self, client: Badge, named: Peer) -> Result<IpListenEndpoint, Error> {
        let address = Ipv6Address::from(named.address);
        if address.is_unspecified() {
            return Ok(IpListenEndpoint { addr: None, port: named.port });
        }
        let is_own = self.stack.autoconf.addresses_of(client.0 as u32, self.now_ms).any(|own| own == address);
        if is_own { Ok(IpListenEndpoint { addr: Some(address.into()), port: named.port }) } else { Err(Error::BadPeer) }
    }
    fn own_port(&mut self) -> u16 {
        loop {
            // SplitMix64: RFC 6056, 3.3.1 wants ports that a stranger cannot foretell.
            self.ports = self.ports.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.ports ^ self.ports >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            let port = FIRST_PORT + (mixed >> 50) as u16;
            if !self.sockets.has_port(port, &self.stack.sockets) {
                return port;
            }
        }
    }
}

impl<F: Frames, I: Identifiers> Serve for Server<F, I> {
    fn attach(&mut self, client: Badge, bell: Cap) -> Result<Cap, Error> {
        let bell = Notification(bell.0);
        bell.signal(NEWS).map_err(|_| Error::NotAttached)?;
        let found = self.clients.iter_mut().find(|c| u64::from(c.number) == client.0 && c.buffer.is_some());
        let found = found.ok_or(Error::NotAttached)?;
        if let Some(old) = found.bell.replace(bell) {
            let _ = old.delete();
        }
        self.sockets.remove_all(client.0 as u32, &mut self.stack.sockets);
        Ok(Cap(self.doorbell.handle()))
    }

    fn connect(&mut self, client: Badge, area: Area, local: Peer, peer: Peer) -> Result<Cap, Error> {
        let pipes = self.pipes(client, area)?;
        let bytes = self.room(client, &area)?;
        let address = Ipv6Address::from(peer.address);
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() || peer.port == 0 {
            return Err(Error::BadPeer);
        }
        let mut local = self.local(client, local)?;
        let remote = IpEndpoint::new(address.into(), peer.port);
        let source = || self.stack.autoconf.source(client.0 as u32, address, self.now_ms).map(IpAddress::Ipv6);
        let addr = local.addr.or_else(source).ok_or(Error::NoLink)?;
        if local.port == 0 {
            local.port = self.own_port();
        }
        if is_connected(&self.stack.sockets, IpEndpoint::new(addr, local.port), remote) {
            return Err(Error::InUse);
        }
        let mut socket = connection(area.receive_bytes, area.send_bytes).ok_or(Error::NoRoom)?;
        socket.connect(self.stack.interface.context(), remote, (addr, local.port)).map_err(|_| Error::BadPeer)?;
        let handle = self.stack.sockets.add(socket);
        self.open(client, Kind::Tcp(Connection::new(handle, false)), pipes, bytes)
    }

    fn listen(&mut self, client: Badge, area: Area, local: Peer, backlog: u16) -> Result<Cap, Error> {
        let pipes = self.pipes(client, area)?;
        let mut local = self.local(client, local)?;
        if local.port == 0 {
            local.port = self.own_port();
        }
        if self.sockets.is_listened_on(client.0 as u32, local) {
            return Err(Error::InUse);
        }
        let bytes = self.room(client, &area)?;
        let listener = Listener::new(local, area, backlog, &mut self.stack.sockets).ok_or(Error::NoRoom)?;
        self.open(client, Kind::Listener(listener), pipes, bytes)
    }

    fn bind(&mut self, client: Badge, area: Area, local: Peer) -> Result<Cap, Error> {
        let pipes = self.pipes(client, area)?;
        let bytes = self.room(client, &area)?;
        let mut local = self.local(client, local)?;
        if local.port == 0 {
            local.port = self.own_port();
        }
        if self.sockets.is_bound(client.0 as u32, local) {
            return Err(Error::InUse);
        }
        // What comes in never passes through it.
        let (_, send) = sockets::buffers(0, area.send_bytes).ok_or(Error::NoRoom)?;
        let meta = |count| alloc::vec![udp::PacketMetadata::EMPTY; count];
        let empty = udp::PacketBuffer::new(meta(0), alloc::vec![]);
        let mut socket = udp::Socket::new(empty, udp::PacketBuffer::new(meta(DATAGRAMS), send));
        socket.bind(local).map_err(|_| Error::InUse)?;
        let handle = self.stack.sockets.add(socket);
        self.open(client, Kind::Udp { handle, local, asked: Default::default() }, pipes, bytes)
    }

    fn address(&mut self, client: Badge, n: u32) -> Result<Peer, Error> {
        let mut own = self.stack.autoconf.addresses_of(client.0 as u32, self.now_ms);
        let found = own.nth(n as usize).ok_or(Error::NoLink)?;
        Ok(Peer { address: found.octets(), port: 0 })
    }
    fn resolver(&mut self, _: Badge, n: u32) -> Result<Peer, Error> {
        let found = self.stack.autoconf.resolvers().nth(n as usize).ok_or(Error::NoName)?;
        Ok(Peer { address: found.octets(), port: 53 })
    }
}

impl<F: Frames, I: Identifiers> one::Serve for Server<F, I> {
    fn accept(&mut self, socket: Badge, area: Area) -> Result<Cap, one::Error> {
        let (place, generation) = split(socket);
        let record = self.sockets.get(place, generation).ok_or(one::Error::WrongKind)?;
        let client = Badge(u64::from(record.client));
        let Kind::Listener(listener) = &mut record.kind else { return Err(one::Error::WrongKind) };
        let same = (area.receive_bytes, area.send_bytes) == (listener.area.receive_bytes, listener.area.send_bytes);
        if !same || area.offset_bytes == listener.area.offset_bytes {
            return Err(one::Error::BadArea);
        }
        let handle = listener.accept(&self.stack.sockets).ok_or(one::Error::Nothing)?;
        let pipes = self.pipes(client, area).map_err(|_| one::Error::BadArea);
        let bytes = self.room(client, &area).map_err(|_| one::Error::NoRoom);
        match (pipes, bytes) {
            (Ok(pipes), Ok(bytes)) => {
                self.open(client, Kind::Tcp(Connection::new(handle, true)), pipes, bytes).map_err(|_| one::Error::NoRoom)
            }
            (Err(error), _) | (_, Err(error)) => {
                self.stack.sockets.get_mut::<tcp::Socket<'static>>(handle).abort();
                self.sockets.orphaned();
                Err(error)
            }
        }
    }
    fn shut(&mut self, socket: Badge) -> Result<(), one::Error> {
        match &mut self.record(socket)?.kind {
            Kind::Tcp(it) => it.shut = true,
            _ => return Err(one::Error::WrongKind),
        }
        Ok(())
    }
    fn close(&mut self, socket: Badge) -> Result<(), one::Error> {
        self.record(socket)?;
        self.sockets.remove(split(socket).0, &mut self.stack.sockets);
        Ok(())
    }
    fn peer(&mut self, socket: Badge) -> Result<Peer, one::Error> {
        let Kind::Tcp(it) = &self.record(socket)?.kind else { return Err(one::Error::WrongKind) };
        let handle = it.handle;
        let remote = self.stack.sockets.get::<tcp::Socket<'static>>(handle).remote_endpoint();
        let (IpAddress::Ipv6(address), port) = remote.map(|r| (r.addr, r.port)).ok_or(one::Error::Nothing)?;
        Ok(Peer { address: address.octets(), port })
    }
    fn keep_alive(&mut self, socket: Badge, seconds: u32) -> Result<(), one::Error> {
        let Kind::Tcp(it) = &self.record(socket)?.kind else { return Err(one::Error::WrongKind) };
        let handle = it.handle;
        sockets::keep_alive(self.stack.sockets.get_mut(handle), seconds);
        Ok(())
    }
    fn local(&mut self, socket: Badge) -> Result<Peer, one::Error> {
        let (place, generation) = split(socket);
        let record = self.sockets.get(place, generation).ok_or(one::Error::WrongKind)?;
        let local = record.local(&self.stack.sockets).ok_or(one::Error::Nothing)?;
        let address = local.addr.map_or([0; 16], |IpAddress::Ipv6(address)| address.octets());
        Ok(Peer { address, port: local.port })
    }
    fn release(&mut self, socket: Badge) -> Result<(), one::Error> {
        if !matches!(self.record(socket)?.kind, Kind::Tcp(_)) {
            return Err(one::Error::WrongKind);
        }
        self.sockets.release(split(socket).0, self.now_ms);
        Ok(())
    }
}

impl<F: Frames, I: Identifiers> Server<F, I> {
    fn record(&mut self, socket: Badge) -> Result<&mut sockets::Record, one::Error> {
        let (place, generation) = split(socket);
        self.sockets.get(place, generation).ok_or(one::Error::WrongKind)
    }
}

fn split(socket: Badge) -> (usize, u32) {
    ((socket.0 >> 32) as usize, socket.0 as u32)
}
