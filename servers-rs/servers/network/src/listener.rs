// SPDX-License-Identifier: PMPL-1.0-or-later
//! A port that takes connections. smoltcp has no backlog: each connection needs a socket of its own, so a spare one is kept
//! ready, up to the backlog. It listens only while the stack looks at a request that was found to be a new one: were it to
//! listen always, a request that is repeated because its answer was lost would open a second connection between the same
//! ends, and the two would reset each other's peer.
//!
//! When the backlog is full, a further request is dropped and not refused: its sender tries again. Half-open connections
//! make way for it, the oldest first, so a flood of requests takes no more than the backlog, and no honest peer
//! waits behind it for ever (RFC 4987, 3.4).

use crate::sockets::connection;
use alloc::vec::Vec;
use api_socket::Area;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

pub const MAX_BACKLOG: u16 = 128;
/// A half-open connection has so long before it may have to make way.
const GRACE_MS: u64 = 300;

pub struct Listener {
    /// `None`: all addresses of its client.
    pub local: IpListenEndpoint,
    pub area: Area,
    backlog: usize,
    /// The one that takes the next request.
    spare: Option<SocketHandle>,
    /// Taken, oldest first, with the time of their request.
    waiting: Vec<(SocketHandle, u64)>,
}

impl Listener {
    /// `None`: the heap has no room for a connection.
    pub fn new(local: IpListenEndpoint, area: Area, backlog: u16, set: &mut SocketSet<'static>) -> Option<Listener> {
        let backlog = usize::from(backlog.clamp(1, MAX_BACKLOG));
        let waiting = Vec::with_capacity(backlog);
        let mut it = Listener { local, area, backlog, spare: None, waiting };
        it.prepare(set).then_some(it)
    }

    fn prepare(&mut self, set: &mut SocketSet<'static>) -> bool {
        self.spare = connection(self.area.receive_bytes, self.area.send_bytes).map(|socket| set.add(socket));
        self.spare.is_some()
    }

    pub fn is_for(&self, to: IpEndpoint) -> bool {
        self.local.port == to.port && self.local.addr.is_none_or(|address| address == to.addr)
    }
    /// A request is about to be seen. False: nothing can take it; it is lost, and its sender tries again.
    pub fn open(&mut self, to: IpEndpoint, set: &mut SocketSet<'static>) -> bool {
        let spare = self.spare.map(|handle| set.get_mut::<tcp::Socket<'static>>(handle));
        spare.is_some_and(|socket| socket.listen(to).is_ok())
    }
    /// It was seen.
    pub fn shut(&mut self, set: &mut SocketSet<'static>, now_ms: u64) {
        let Some(handle) = self.spare else { return };
        let socket: &mut tcp::Socket<'static> = set.get_mut(handle);
        match socket.state() {
            // It was none after all.
            tcp::State::Listen => socket.close(),
            tcp::State::Closed => {}
            _ => {
                self.waiting.push((handle, now_ms));
                self.spare = None;
            }
        }
    }

    /// Looks what became of its sockets, and keeps one ready if there is room for its buffers.
    pub fn turn(&mut self, set: &mut SocketSet<'static>, now_ms: u64, has_room: impl Fn(&SocketSet<'static>, usize) -> bool) {
        self.waiting.retain(|&(handle, _)| {
            let over = matches!(state(set, handle), tcp::State::Closed | tcp::State::TimeWait | tcp::State::Listen);
            if over {
                set.remove(handle);
            }
            !over
        });
        if self.spare.is_none() && self.waiting.len() >= self.backlog {
            let half = |&(handle, since): &(SocketHandle, u64)| {
                state(set, handle) == tcp::State::SynReceived && now_ms.saturating_sub(since) >= GRACE_MS
            };
            if let Some(oldest) = self.waiting.iter().position(half) {
                // Without a reset: who sent the request may not be who it says.
                set.remove(self.waiting.remove(oldest).0);
            }
        }
        let bytes = (self.area.receive_bytes + self.area.send_bytes) as usize;
        if self.spare.is_none() && self.waiting.len() < self.backlog && has_room(set, bytes) {
            self.prepare(set);
        }
    }

    /// The oldest connection that is one.
    pub fn accept(&mut self, set: &SocketSet<'static>) -> Option<SocketHandle> {
        let first = self.waiting.iter().position(|w| state(set, w.0) != tcp::State::SynReceived)?;
        Some(self.waiting.remove(first).0)
    }
    /// How many wait to be accepted.
    pub fn ready(&self, set: &SocketSet<'static>) -> usize {
        self.waiting.iter().filter(|w| state(set, w.0) != tcp::State::SynReceived).count()
    }
    pub fn owns(&self, handle: SocketHandle) -> bool {
        self.spare == Some(handle) || self.waiting.iter().any(|w| w.0 == handle)
    }
    pub fn end(self, set: &mut SocketSet<'static>) {
        self.waiting.iter().map(|w| w.0).chain(self.spare).for_each(|handle| {
            set.remove(handle);
        });
    }
}

fn state(set: &SocketSet<'static>, handle: SocketHandle) -> tcp::State {
    set.get::<tcp::Socket<'static>>(handle).state()
}
