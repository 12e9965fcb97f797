// SPDX-License-Identifier: PMPL-1.0-or-later
//! The client's side of `api/socket`: a program that may call it attaches once and then has streams, listeners and datagrams.
//!
//! Nothing here blocks but [`Net::wait`]: a program moves what it can on all of its sockets, then waits for news of any.
//! All sockets of a program have pipes of one size, so that any area does for any of them.
#![no_std]

extern crate alloc;

mod lookup;

use alloc::vec::Vec;
use api_socket::pipe::{self, DATAGRAM_BYTES, End};
use api_socket::{Area, Cause, Client, Peer, State, one};
use core::cell::Cell;
use core::sync::atomic::AtomicU32;
use ipc::Cap;
use rt::channel::Channel;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Capability, Endpoint, Memory, Notification, Pool, Rights};

pub use api_socket::{Error, one::Error as SocketError};
pub use dns::Kind;
pub use lookup::Lookup;

struct Window(Shared);
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

/// What a program has of the network.
pub struct Net {
    endpoint: Endpoint,
    memory: Window,
    bell: Notification,
    doorbell: Notification,
    sizes: Area,
    used: Vec<bool>,
    /// Of released streams: the server's until it says so.
    leaving: Vec<Area>,
    /// Bytes were put or taken since the server's bell was rung.
    moved: Cell<bool>,
}

/// A capability to a socket, and its pipes.
pub struct Stream {
    socket: Endpoint,
    area: Area,
    received: End,
    sent: End,
}

/// Takes connections on a port.
pub struct Listener {
    socket: Endpoint,
    area: Area,
}

/// Datagrams on a port.
pub struct Datagrams(Stream);

impl Net {
    /// Begins, with pipes of these sizes (powers of two). Errors: those of `attach`; `NotAttached` as well without the grant.
    pub fn attach(receive_bytes: u32, send_bytes: u32) -> Result<Net, Error> {
        let (endpoint, buffer) = grant::call(api_socket::NAME).ok_or(Error::NotAttached)?;
        let buffer = buffer.ok_or(Error::NotAttached)?;
        let memory: Memory = grant::typed(buffer.memory);
        let memory = Shared::map(memory, buffer.length_bytes, Rights::READ | Rights::WRITE).map_err(|_| Error::NotAttached)?;
        let bell = Pool(sys::start::POOL).create_notification().map_err(|_| Error::NoRoom)?;
        let theirs = bell.copy(Rights::WRITE | Rights::COPY, 0).map_err(|_| Error::NoRoom)?;
        let doorbell = Client(Channel(endpoint)).attach(Cap(theirs.handle()));
        let _ = theirs.delete();
        let each = u64::from(Area::length_bytes(receive_bytes, send_bytes));
        Ok(Net {
            endpoint,
            memory: Window(memory),
            bell,
            doorbell: Notification(doorbell?.0),
            sizes: Area { offset_bytes: 0, receive_bytes, send_bytes },
            used: alloc::vec![false; (buffer.length_bytes / each) as usize],
            leaving: Vec::new(),
            moved: Cell::new(false),
        })
    }

    /// Tells the server of what was moved, then waits for news of any socket, at most so long.
    pub fn wait(&self, timeout_ns: u64) {
        self.flush();
        let _ = self.bell.wait(timeout_ns);
    }
    pub fn flush(&self) {
        if self.moved.replace(false) {
            let _ = self.doorbell.signal(1);
        }
    }

    pub fn connect(&mut self, peer: Peer) -> Result<Stream, Error> {
        let area = self.area().ok_or(Error::NoRoom)?;
        let socket = Client(Channel(self.endpoint)).connect(area, Peer::default(), peer);
        self.stream(area, socket)
    }
    /// On all addresses of this program.
    pub fn listen(&mut self, port: u16, backlog: u16) -> Result<Listener, Error> {
        let area = self.area().ok_or(Error::NoRoom)?;
        let socket = Client(Channel(self.endpoint)).listen(area, Peer { port, ..Peer::default() }, backlog);
        let Stream { socket, area, .. } = self.stream(area, socket)?;
        Ok(Listener { socket, area })
    }
    /// A connection that waits, if there is one and an area for it. Errors: `WrongKind` or `Restarted` when the server that
    /// made this listener is gone, and all its sockets with it: attach anew.
    pub fn accept(&mut self, listener: &Listener) -> Result<Option<Stream>, SocketError> {
        let Some(area) = self.area() else { return Ok(None) };
        let socket = one::Client(Channel(listener.socket)).accept(area);
        match self.stream(area, socket) {
            Ok(stream) => Ok(Some(stream)),
            Err(SocketError::Nothing) => Ok(None),
            Err(error) => Err(error),
        }
    }
    /// How many wait to be accepted.
    pub fn waiting(&self, listener: &Listener) -> u32 {
        pipe::detail(&self.memory, &listener.area)
    }
    /// On all addresses of this program; port 0 takes any.
    pub fn bind(&mut self, port: u16) -> Result<Datagrams, Error> {
        let area = self.area().ok_or(Error::NoRoom)?;
        let socket = Client(Channel(self.endpoint)).bind(area, Peer { port, ..Peer::default() });
        self.stream(area, socket).map(Datagrams)
    }
    /// This program's own address number `n`.
    pub fn address(&self, n: u32) -> Result<Peer, Error> {
        Client(Channel(self.endpoint)).address(n)
    }
    /// The resolver number `n`.
    pub fn resolver(&self, n: u32) -> Result<Peer, Error> {
        Client(Channel(self.endpoint)).resolver(n)
    }

    /// Ends a stream at once and takes its area back.
    pub fn close(&mut self, stream: Stream) {
        let _ = one::Client(Channel(stream.socket)).close();
        let _ = stream.socket.delete();
        self.free(&stream.area);
    }

    /// Ends a stream in order, without waiting for it.
    pub fn release(&mut self, stream: Stream) {
        if one::Client(Channel(stream.socket)).release().is_ok() {
            self.leaving.push(stream.area);
        } else {
            self.free(&stream.area);
        }
        let _ = stream.socket.delete();
    }

    fn area(&mut self) -> Option<Area> {
        let is_over =
            |area: &Area| matches!(State::from_u32(pipe::state(&self.memory, area)), Some(State::Closed | State::Failed));
        let (over, leaving) = core::mem::take(&mut self.leaving).into_iter().partition(is_over);
        self.leaving = leaving;
        let over: Vec<Area> = over;
        over.iter().for_each(|area| self.free(area));
        let place = self.used.iter().position(|used| !used)?;
        let each = Area::length_bytes(self.sizes.receive_bytes, self.sizes.send_bytes);
        let area = Area { offset_bytes: place as u32 * each, ..self.sizes };
        pipe::clear(&self.memory, &area)?;
        *self.used.get_mut(place)? = true;
        Some(area)
    }
    fn free(&mut self, area: &Area) {
        let each = Area::length_bytes(self.sizes.receive_bytes, self.sizes.send_bytes);
        if let Some(used) = self.used.get_mut((area.offset_bytes / each) as usize) {
            *used = false;
        }
    }
    fn stream<E>(&mut self, area: Area, socket: Result<Cap, E>) -> Result<Stream, E> {
        match socket {
            Ok(cap) => Ok(Stream { socket: Endpoint(cap.0), area, received: pipe::received(&area), sent: pipe::sent(&area) }),
            Err(error) => {
                self.free(&area);
                Err(error)
            }
        }
    }
}

impl Stream {
    /// `None` until the server said something.
    pub fn state(&self, net: &Net) -> Option<State> {
        State::from_u32(pipe::state(&net.memory, &self.area))
    }
    /// Takes bytes that came; how many.
    pub fn read(&mut self, net: &Net, out: &mut [u8]) -> usize {
        let count = self.received.take(&net.memory, out);
        net.moved.set(net.moved.get() || count > 0);
        count
    }
    /// Puts bytes to be sent, as many as there is room for; how many.
    pub fn write(&mut self, net: &Net, bytes: &[u8]) -> usize {
        let count = self.sent.put(&net.memory, bytes);
        net.moved.set(net.moved.get() || count > 0);
        count
    }
    pub fn room(&self, net: &Net) -> usize {
        self.sent.room(&net.memory)
    }
    /// Whether the peer will send no more, and all that it sent was read.
    pub fn is_at_end(&self, net: &Net) -> bool {
        let ended = matches!(self.state(net), Some(State::PeerShut | State::Closed | State::Failed));
        ended && self.received.available(&net.memory) == 0
    }
    /// No more is sent after what was put.
    pub fn shut(&mut self) -> Result<(), SocketError> {
        one::Client(Channel(self.socket)).shut()
    }
    pub fn keep_alive(&mut self, seconds: u32) -> Result<(), SocketError> {
        one::Client(Channel(self.socket)).keep_alive(seconds)
    }
    pub fn peer(&self) -> Result<Peer, SocketError> {
        one::Client(Channel(self.socket)).peer()
    }
    pub fn local(&self) -> Result<Peer, SocketError> {
        one::Client(Channel(self.socket)).local()
    }
    /// Why its state is `Failed`.
    pub fn cause(&self, net: &Net) -> Option<Cause> {
        Cause::from_u32(pipe::detail(&net.memory, &self.area))
    }
}

impl Datagrams {
    /// Sends one datagram, of at most `MAX_DATAGRAM_BYTES`; false without room for it.
    pub fn send(&mut self, net: &Net, to: Peer, bytes: &[u8]) -> bool {
        let Ok(length) = u16::try_from(bytes.len()) else { return false };
        let parts: [&[u8]; 4] = [&to.address, &to.port.to_le_bytes(), &length.to_le_bytes(), bytes];
        let is_put = self.0.sent.put_whole(&net.memory, &parts);
        net.moved.set(net.moved.get() || is_put);
        is_put
    }
    /// A datagram that came, cut to `out`: from whom, how long.
    pub fn receive(&mut self, net: &Net, out: &mut [u8]) -> Option<(Peer, usize)> {
        let mut header = [0; DATAGRAM_BYTES];
        if self.0.read(net, &mut header) < DATAGRAM_BYTES {
            return None;
        }
        let [address @ .., p, q, m, n] = header;
        let (peer, length) = (Peer { address, port: u16::from_le_bytes([p, q]) }, usize::from(u16::from_le_bytes([m, n])));
        let count = self.0.read(net, out.get_mut(..length.min(out.len()))?);
        let mut rest = length - count;
        let mut nowhere = [0; 64];
        while rest > 0 {
            let step = self.0.read(net, nowhere.get_mut(..rest.min(64))?);
            if step == 0 {
                break;
            }
            rest -= step;
        }
        Some((peer, count))
    }
}
