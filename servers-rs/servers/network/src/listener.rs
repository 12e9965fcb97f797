// SPDX-License-Identifier: PMPL-1.0-or-later
//! A port that takes connections. smoltcp has no backlog: each connection needs a socket that listens, so one is made
//! whenever the last one was taken, up to the backlog.
//!
//! When the backlog is full, a further request is dropped and not refused: its sender tries again. Half-open connections
//! make way for it, the oldest first, so a flood of requests takes no more than the backlog, and no honest peer
//! waits behind it for ever (RFC 4987, 3.4).

use crate::sockets::connection;
use alloc::vec::Vec;
use api_socket::Area;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

pub const MAX_BACKLOG: u16 = 128;
/// A half-open connection has so long before it may have to make way.
const GRACE_MS: u64 = 300;

pub struct Listener {
    pub port: u16,
    pub sizes: Area,
    backlog: usize,
    /// The one that takes the next request.
    listening: Option<SocketHandle>,
    /// Taken, oldest first, with the time of their request.
    waiting: Vec<(SocketHandle, u64)>,
    told: usize,
}

impl Listener {
    /// `None`: the heap has no room for a connection.
    pub fn new(port: u16, sizes: Area, backlog: u16, set: &mut SocketSet<'static>) -> Option<Listener> {
        let backlog = usize::from(backlog.clamp(1, MAX_BACKLOG));
        let waiting = Vec::with_capacity(backlog);
        let mut it = Listener { port, sizes, backlog, listening: None, waiting, told: 0 };
        it.listen(set).then_some(it)
    }

    fn listen(&mut self, set: &mut SocketSet<'static>) -> bool {
        let Some(mut socket) = connection(self.sizes.receive_bytes, self.sizes.send_bytes) else { return false };
        let listens = socket.listen(self.port).is_ok();
        self.listening = listens.then(|| set.add(socket));
        listens
    }

    /// Looks what became of its sockets; after a request came, another one listens if there is room for its buffers. True if
    /// it can take a request.
    pub fn turn(
        &mut self,
        set: &mut SocketSet<'static>,
        now_ms: u64,
        has_room: impl Fn(&SocketSet<'static>, usize) -> bool,
    ) -> bool {
        if let Some(handle) = self.listening.filter(|&h| state(&*set, h) != tcp::State::Listen) {
            self.waiting.push((handle, now_ms));
            self.listening = None;
        }
        self.waiting.retain(|&(handle, _)| {
            let over = matches!(state(set, handle), tcp::State::Closed | tcp::State::TimeWait | tcp::State::Listen);
            if over {
                set.remove(handle);
            }
            !over
        });
        if self.listening.is_none() && self.waiting.len() >= self.backlog {
            let half = |&(handle, since): &(SocketHandle, u64)| {
                state(set, handle) == tcp::State::SynReceived && now_ms.saturating_sub(since) >= GRACE_MS
            };
            if let Some(oldest) = self.waiting.iter().position(half) {
                // Without a reset: who sent the request may not be who it says.
                set.remove(self.waiting.remove(oldest).0);
            }
        }
        let bytes = (self.sizes.receive_bytes + self.sizes.send_bytes) as usize;
        if self.listening.is_none() && self.waiting.len() < self.backlog && has_room(set, bytes) {
            self.listen(set);
        }
        self.listening.is_some()
    }

    /// The oldest connection that is one.
    pub fn accept(&mut self, set: &SocketSet<'static>) -> Option<SocketHandle> {
        let first = self.waiting.iter().position(|w| state(set, w.0) != tcp::State::SynReceived)?;
        self.told = self.told.saturating_sub(1);
        Some(self.waiting.remove(first).0)
    }
    /// Whether there are more to accept than when this was asked last.
    pub fn has_news(&mut self, set: &SocketSet<'static>) -> bool {
        let ready = self.waiting.iter().filter(|w| state(set, w.0) != tcp::State::SynReceived).count();
        core::mem::replace(&mut self.told, ready) < ready
    }
    pub fn owns(&self, handle: SocketHandle) -> bool {
        self.listening == Some(handle) || self.waiting.iter().any(|w| w.0 == handle)
    }
    pub fn end(self, set: &mut SocketSet<'static>) {
        self.waiting.iter().map(|w| w.0).chain(self.listening).for_each(|handle| {
            set.remove(handle);
        });
    }
}

fn state(set: &SocketSet<'static>, handle: SocketHandle) -> tcp::State {
    set.get::<tcp::Socket<'static>>(handle).state()
}
