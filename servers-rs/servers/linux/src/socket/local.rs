// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who listens under which name, and who is connected to whom.

use super::message::Packet;
use super::option::Options;
use super::{Address, Family, Sender, Style};
use crate::errno::{
    EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, ECONNREFUSED, EINVAL, EISCONN, ENETUNREACH, ENOTCONN, EOPNOTSUPP,
    EPROTOTYPE, Errno, Result,
};
use crate::vfs::Caller;
use crate::wait::Queue;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use linux_raw_sys::net as raw;
use spin::Mutex;

/// net.core.wmem_default of Linux: what one end may have on the way to the other.
pub const BUFFER_BYTES: usize = 212_992;
/// net.core.somaxconn.
const MAX_BACKLOG: u32 = 4096;
/// Ports that are given to those who ask for none (net.ipv4.ip_local_port_range).
const EPHEMERAL: core::ops::RangeInclusive<u16> = 32768..=60999;

/// Each version has ports of its own; a socket of version 6 that is open to all has those of both (ipv6(7), IPV6_V6ONLY).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Ip {
    V4,
    V6,
}

impl Ip {
    fn of(address: &[u8; 16]) -> Ip {
        if super::address::as_v4(address).is_some() { Ip::V4 } else { Ip::V6 }
    }
}

/// Names of sockets of a cell that are no paths.
#[derive(Default)]
pub struct Names {
    abstracts: Mutex<BTreeMap<alloc::vec::Vec<u8>, Weak<Local>>>,
    ports: Mutex<BTreeMap<(Style, Ip, u16), Weak<Local>>>,
    next: AtomicU32,
}

impl Names {
    fn take_abstract(&self, name: &[u8], socket: &Arc<Local>) -> Result<()> {
        let mut names = self.abstracts.lock();
        if names.get(name).is_some_and(|one| one.strong_count() > 0) {
            return Err(EADDRINUSE);
        }
        names.insert(name.to_vec(), Arc::downgrade(socket));
        Ok(())
    }
    /// Five hexadecimal digits (unix(7), "autobind").
    fn take_any(&self, socket: &Arc<Local>) -> Result<Address> {
        for _ in 0..1 << 20 {
            let name = alloc::format!("{:05x}", self.next.fetch_add(1, Ordering::Relaxed) & 0xf_ffff).into_bytes();
            if self.take_abstract(&name, socket).is_ok() {
                return Ok(Address::Abstract(name));
            }
        }
        Err(EADDRINUSE)
    }
    fn take_port(&self, style: Style, versions: &[Ip], port: u16, socket: &Arc<Local>) -> Result<u16> {
        let mut ports = self.ports.lock();
        let is_free = |port: u16, ports: &BTreeMap<(Style, Ip, u16), Weak<Local>>| {
            versions.iter().all(|ip| ports.get(&(style, *ip, port)).is_none_or(|one| one.strong_count() == 0))
        };
        let start = self.next.fetch_add(1, Ordering::Relaxed) % u32::from(EPHEMERAL.end() - EPHEMERAL.start());
        let port = match port {
            0 => EPHEMERAL.cycle_from(start).find(|port| is_free(*port, &ports)).ok_or(EADDRINUSE)?,
            port if is_free(port, &ports) => port,
            _ => return Err(EADDRINUSE),
        };
        versions.iter().for_each(|ip| drop(ports.insert((style, *ip, port), Arc::downgrade(socket))));
        Ok(port)
    }
    pub fn find(&self, address: &Address, style: Style) -> Result<Arc<Local>> {
        let found = match address {
            Address::Abstract(name) => self.abstracts.lock().get(name).and_then(Weak::upgrade),
            Address::Port { address: bytes, port, .. } if address.is_loopback() => {
                self.ports.lock().get(&(style, Ip::of(bytes), *port)).and_then(Weak::upgrade)
            }
            Address::Port { .. } => return Err(ENETUNREACH),
            _ => return Err(EINVAL),
        };
        found.ok_or(ECONNREFUSED)
    }
    fn forget(&self, socket: &Local) {
        let is_it = |one: &Weak<Local>| core::ptr::eq(one.as_ptr(), socket);
        self.abstracts.lock().retain(|_, one| !is_it(one));
        self.ports.lock().retain(|_, one| !is_it(one));
    }
}

/// Numbers of a range, from one in it on, all once.
trait Cycle {
    fn cycle_from(&self, start: u32) -> impl Iterator<Item = u16>;
}
impl Cycle for core::ops::RangeInclusive<u16> {
    fn cycle_from(&self, start: u32) -> impl Iterator<Item = u16> {
        let length = u32::from(self.end() - self.start()) + 1;
        let first = *self.start();
        (0..length).map(move |n| first + ((start + n) % length) as u16)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub name: Option<Address>,
    pub peer: Option<Weak<Local>>,
    pub peer_name: Option<Address>,
    pub peer_sender: Sender,
    /// How many may wait to be accepted.
    backlog: Option<u32>,
    waiting: VecDeque<Arc<Local>>,
    pub inbox: VecDeque<Packet>,
    pub inbox_bytes: usize,
    pub reads_no_more: bool,
    pub writes_no_more: bool,
    /// The peer is gone, or sends no more.
    pub peer_ended: bool,
    pub peer_is_gone: bool,
    pub was_connected: bool,
    pub error: Option<Errno>,
    pub options: Options,
}

pub struct Local {
    pub family: Family,
    pub style: Style,
    pub number: u64,
    pub(super) state: Mutex<State>,
    pub(super) readable: Queue,
    pub(super) writable: Queue,
    pub(super) names: Arc<Names>,
    pub(super) me: Weak<Local>,
}

pub(super) fn sender(caller: &Caller<'_>) -> Sender {
    Sender { pid: caller.ids.pid, uid: caller.credentials.euid, gid: caller.credentials.egid }
}

impl Local {
    pub fn new(family: Family, style: Style, names: &Arc<Names>) -> Arc<Local> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new_cyclic(|me| Local {
            family,
            style,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            state: Mutex::default(),
            readable: Queue::new(),
            writable: Queue::new(),
            names: names.clone(),
            me: me.clone(),
        })
    }
    /// Two that are connected: socketpair(2).
    pub fn pair(family: Family, style: Style, names: &Arc<Names>, caller: &Caller<'_>) -> (Arc<Local>, Arc<Local>) {
        let (one, other) = (Local::new(family, style, names), Local::new(family, style, names));
        for (a, b) in [(&one, &other), (&other, &one)] {
            a.join(b, Address::Unnamed, sender(caller));
        }
        (one, other)
    }
    fn join(&self, peer: &Arc<Local>, name: Address, sender: Sender) {
        let mut state = self.state.lock();
        state.peer = Some(Arc::downgrade(peer));
        state.peer_name = Some(name);
        state.peer_sender = sender;
        state.was_connected = true;
    }
    pub fn weak(&self) -> Weak<Local> {
        self.me.clone()
    }
    pub fn name(&self) -> Address {
        self.state.lock().name.clone().unwrap_or(match self.family {
            Family::Unix => Address::Unnamed,
            family => Address::any(family),
        })
    }
    /// Errors: `ENOTCONN`.
    pub fn peer_name(&self) -> Result<Address> {
        let state = self.state.lock();
        if state.peer_is_gone && self.family != Family::Unix {
            return Err(ENOTCONN);
        }
        state.peer_name.clone().ok_or(ENOTCONN)
    }
    pub(super) fn peer(&self) -> Option<Arc<Local>> {
        self.state.lock().peer.as_ref().and_then(Weak::upgrade)
    }
    /// Takes a name; a path has been made by who calls. Errors: `EINVAL` for a second name, `EADDRINUSE`, `EADDRNOTAVAIL`.
    pub fn bind(&self, address: Address) -> Result<()> {
        let me = self.me.upgrade().ok_or(EINVAL)?;
        if self.state.lock().name.is_some() {
            return Err(EINVAL);
        }
        let address = match address {
            Address::Unnamed => self.names.take_any(&me)?,
            Address::Abstract(name) => {
                self.names.take_abstract(&name, &me)?;
                Address::Abstract(name)
            }
            Address::Port { address: bytes, port, scope } => {
                let wanted = Address::Port { address: bytes, port, scope };
                if !wanted.is_loopback() && !wanted.is_any() {
                    return Err(EADDRNOTAVAIL);
                }
                let only = self.option(raw::IPPROTO_IPV6 as u32, raw::IPV6_V6ONLY).is_ok_and(|value| value.first() != Some(&0));
                let versions: &[Ip] = if bytes == [0; 16] && !only { &[Ip::V4, Ip::V6] } else { &[Ip::of(&bytes)] };
                Address::Port { address: bytes, port: self.names.take_port(self.style, versions, port, &me)?, scope }
            }
            path @ Address::Path(_) => path,
            Address::Nobody => return Err(EAFNOSUPPORT),
        };
        self.state.lock().name = Some(address);
        Ok(())
    }
    fn bind_any(&self) -> Result<()> {
        if self.state.lock().name.is_some() || self.family == Family::Unix {
            return Ok(());
        }
        let address =
            if self.family == Family::Inet { super::address::mapped([127, 0, 0, 1]) } else { super::address::LOOPBACK_V6 };
        self.bind(Address::Port { address, port: 0, scope: 0 })
    }
    /// Errors: `EOPNOTSUPP`, `EINVAL` without a name.
    pub fn listen(&self, backlog: u32, caller: &Caller<'_>) -> Result<()> {
        if !self.style.is_connected() {
            return Err(EOPNOTSUPP);
        }
        if self.family == Family::Unix && self.state.lock().name.is_none() || self.state.lock().peer.is_some() {
            return Err(EINVAL);
        }
        self.bind_any()?;
        let mut state = self.state.lock();
        state.backlog = Some(backlog.min(MAX_BACKLOG));
        state.peer_sender = sender(caller);
        Ok(())
    }
    pub fn is_listening(&self) -> bool {
        self.state.lock().backlog.is_some()
    }
    /// To a socket that was found under `address`. Errors: `EAGAIN` while its backlog is full, `ECONNREFUSED`, `EPROTOTYPE`, `EISCONN`.
    pub fn connect(&self, to: &Arc<Local>, address: Address, caller: &Caller<'_>) -> Result<()> {
        if to.style != self.style {
            return Err(EPROTOTYPE);
        }
        let me = self.me.upgrade().ok_or(EINVAL)?;
        if !self.style.is_connected() {
            self.bind_any()?;
            self.join(to, address, Sender::default());
            return Ok(());
        }
        if self.is_listening() {
            return Err(EINVAL);
        }
        if self.state.lock().was_connected {
            return Err(EISCONN);
        }
        let (backlog, waiting) = {
            let state = to.state.lock();
            (state.backlog.filter(|_| !state.reads_no_more), state.waiting.len())
        };
        let backlog = backlog.ok_or(ECONNREFUSED)?;
        if waiting > backlog as usize {
            return Err(EAGAIN);
        }
        self.bind_any()?;
        let served = Local::new(to.family, self.style, &self.names);
        served.state.lock().name = Some(if self.family == Family::Unix { to.name() } else { address.clone() });
        served.join(&me, self.name(), sender(caller));
        let listener = to.state.lock().peer_sender;
        self.join(&served, address, listener);
        to.state.lock().waiting.push_back(served);
        to.readable.wake_all();
        self.writable.wake_all();
        Ok(())
    }
    /// A datagram socket forgets its peer.
    pub fn disconnect(&self) -> Result<()> {
        if self.style.is_connected() {
            return Err(if self.family == Family::Unix { EINVAL } else { EAFNOSUPPORT });
        }
        let mut state = self.state.lock();
        (state.peer, state.peer_name, state.was_connected) = (None, None, false);
        Ok(())
    }
    /// Errors: `EAGAIN`, `EINVAL` for who does not listen.
    pub fn accept(&self) -> Result<Arc<Local>> {
        let mut state = self.state.lock();
        if state.backlog.is_none() {
            return Err(if self.style.is_connected() { EINVAL } else { EOPNOTSUPP });
        }
        if state.reads_no_more {
            return Err(EINVAL);
        }
        let accepted = state.waiting.pop_front().ok_or(EAGAIN)?;
        drop(state);
        // Who found the backlog full waits on this queue.
        self.writable.wake_all();
        Ok(accepted)
    }
    pub(super) fn has_waiting(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }
    /// Where who finds the backlog full waits.
    pub fn accepted(&self) -> &Queue {
        &self.writable
    }
    /// Errors: `ENOTCONN`, `EINVAL`.
    pub fn shutdown(&self, how: u32) -> Result<()> {
        let (reads, writes) = match how {
            raw::SHUT_RD => (true, false),
            raw::SHUT_WR => (false, true),
            raw::SHUT_RDWR => (true, true),
            _ => return Err(EINVAL),
        };
        let mut state = self.state.lock();
        if !state.was_connected && state.backlog.is_none() {
            return Err(ENOTCONN);
        }
        state.reads_no_more |= reads;
        state.writes_no_more |= writes;
        drop(state);
        self.readable.wake_all();
        self.writable.wake_all();
        if let Some(peer) = self.peer().filter(|_| self.style.is_connected()) {
            let mut state = peer.state.lock();
            state.peer_ended |= writes;
            state.writes_no_more |= reads && self.family == Family::Unix;
            drop(state);
            peer.readable.wake_all();
            peer.writable.wake_all();
        }
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.names.forget(self);
        let state = self.state.get_mut();
        let had_unread = !state.inbox.is_empty();
        let peer = state.peer.take().and_then(|peer| peer.upgrade());
        let waiting = core::mem::take(&mut state.waiting);
        if let Some(peer) = peer.filter(|_| self.style.is_connected()) {
            let mut other = peer.state.lock();
            other.peer_ended = true;
            other.peer_is_gone = true;
            // What was sent and not read is lost, and that is told (unix(7), tcp(7)).
            if had_unread {
                other.error = Some(crate::errno::ECONNRESET);
            }
            drop(other);
            peer.readable.wake_all();
            peer.writable.wake_all();
        }
        self.writable.wake_all();
        drop(waiting);
    }
}
