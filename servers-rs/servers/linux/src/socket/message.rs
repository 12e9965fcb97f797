// SPDX-License-Identifier: PMPL-1.0-or-later
//! Bytes, descriptors and credentials on the way from one socket to another.

use super::local::{BUFFER_BYTES, Local, sender};
use super::{Address, Family, Sender, Style};
use crate::errno::{
    EAGAIN, ECONNREFUSED, EDESTADDRREQ, EINVAL, EISCONN, EMSGSIZE, ENOTCONN, EPIPE, EPROTOTYPE, ETOOMANYREFS, Result,
};
use crate::signal::request::To;
use crate::user::UserMemory;
use crate::vfs::{Caller, Events, File, OpenFile, Side, Sink, Source, Stat};
use crate::wait::Queue;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use linux_raw_sys::general::{S_IFSOCK, SIGPIPE};
use linux_raw_sys::net as raw;

/// Descriptors that are on the way in a cell at once. Those that reach only each other are never freed; so many they are at most.
const MAX_IN_FLIGHT: usize = 4096;
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);
/// Longest datagram over ports.
const MAX_DATAGRAM_BYTES: usize = 65_507;

/// Descriptors on the way, counted.
#[derive(Default)]
struct Rights(Vec<Arc<OpenFile>>);

impl Rights {
    fn new(files: Vec<Arc<OpenFile>>) -> Result<Rights> {
        let count = files.len();
        if IN_FLIGHT.fetch_add(count, Ordering::Relaxed) + count > MAX_IN_FLIGHT {
            IN_FLIGHT.fetch_sub(count, Ordering::Relaxed);
            return Err(ETOOMANYREFS);
        }
        Ok(Rights(files))
    }
    fn take(&mut self) -> Vec<Arc<OpenFile>> {
        IN_FLIGHT.fetch_sub(self.0.len(), Ordering::Relaxed);
        core::mem::take(&mut self.0)
    }
}
impl Drop for Rights {
    fn drop(&mut self) {
        drop(self.take());
    }
}

pub struct Packet {
    bytes: VecDeque<u8>,
    from: Address,
    rights: Rights,
    sender: Sender,
}

/// What goes with the bytes of a send.
#[derive(Default)]
pub struct Outgoing {
    /// Of a datagram: the socket that its address names, and that.
    pub to: Option<(Arc<Local>, Address)>,
    pub rights: Vec<Arc<OpenFile>>,
    /// Who says to be the sender; looked at already.
    pub sender: Option<Sender>,
    /// MSG_*.
    pub flags: u32,
}

/// What came with the bytes of a receive.
pub struct Received {
    pub bytes: usize,
    /// Of the whole message.
    pub length: usize,
    pub from: Option<Address>,
    pub rights: Vec<Arc<OpenFile>>,
    pub sender: Sender,
}

impl Local {
    /// Errors: `EAGAIN`, `EPIPE` (with SIGPIPE unless MSG_NOSIGNAL), `ENOTCONN`, `EDESTADDRREQ`, `EMSGSIZE`, `ECONNREFUSED`.
    pub fn send(&self, caller: &Caller<'_>, from: &mut dyn Source, mut out: Outgoing) -> Result<usize> {
        let is_broken = {
            let mut state = self.state.lock();
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            state.writes_no_more || self.style.is_connected() && state.peer_is_gone
        };
        if is_broken {
            if out.flags & raw::MSG_NOSIGNAL == 0 && self.style == Style::Stream {
                caller.signals.raise(To::Caller, SIGPIPE, 0);
            }
            return Err(EPIPE);
        }
        let peer = match out.to.take() {
            Some(_) if self.style.is_connected() => return Err(if self.state.lock().was_connected { EISCONN } else { ENOTCONN }),
            Some((peer, _)) if peer.style != self.style => return Err(EPROTOTYPE),
            Some((peer, _)) => peer,
            None if !self.state.lock().was_connected => {
                return Err(if self.style.is_connected() { ENOTCONN } else { EDESTADDRREQ });
            }
            None => self.peer().ok_or(ECONNREFUSED)?,
        };
        let sender = out.sender.unwrap_or_else(|| sender(caller));
        let name = self.name();
        let mut inbox = peer.state.lock();
        if inbox.reads_no_more && self.style == Style::Datagram {
            return Err(EPIPE);
        }
        let room = BUFFER_BYTES.saturating_sub(inbox.inbox_bytes);
        let whole = from.left();
        let part = match self.style {
            Style::Stream if whole > 0 && room == 0 => return Err(EAGAIN),
            Style::Stream => whole.min(room).min(64 * 1024),
            _ if whole > BUFFER_BYTES || self.family != Family::Unix && whole > MAX_DATAGRAM_BYTES => return Err(EMSGSIZE),
            // So that many empty ones are not for nothing.
            _ if whole > room || inbox.inbox.len() >= BUFFER_BYTES / 64 => return Err(EAGAIN),
            _ => whole,
        };
        if part == 0 && self.style == Style::Stream {
            return Ok(0);
        }
        let mut bytes = alloc::vec![0; part];
        let n = from.take(&mut bytes)?;
        bytes.truncate(n);
        let rights = Rights::new(core::mem::take(&mut out.rights))?;
        inbox.inbox_bytes += n;
        match inbox.inbox.back_mut() {
            Some(last)
                if self.style == Style::Stream && rights.0.is_empty() && last.sender == sender && last.rights.0.is_empty() =>
            {
                last.bytes.extend(bytes);
            }
            _ => inbox.inbox.push_back(Packet { bytes: bytes.into(), from: name, rights, sender }),
        }
        drop(inbox);
        peer.readable.wake_all();
        Ok(n)
    }

    /// Errors: `EAGAIN`, `ENOTCONN`, what the connection died of. 0 bytes of a connected one are its end.
    pub fn receive(&self, into: &mut dyn Sink, flags: u32) -> Result<Received> {
        let mut state = self.state.lock();
        let peeks = flags & raw::MSG_PEEK != 0;
        if self.style.is_connected() && !state.was_connected {
            return Err(if state.inbox.is_empty() && self.family == Family::Unix { EINVAL } else { ENOTCONN });
        }
        let ended = state.reads_no_more || self.style.is_connected() && (state.peer_ended || state.peer_is_gone);
        let mut got = Received { bytes: 0, length: 0, from: None, rights: Vec::new(), sender: Sender::default() };
        let mut first = true;
        while let Some(packet) = state.inbox.front_mut() {
            if !first && (self.style != Style::Stream || !packet.rights.0.is_empty() || packet.sender != got.sender) {
                break;
            }
            if first {
                got.sender = packet.sender;
                got.from = Some(packet.from.clone());
                got.length = packet.bytes.len();
                if peeks {
                    got.rights = packet.rights.0.clone();
                } else {
                    got.rights = packet.rights.take();
                }
            }
            first = false;
            let n = into.put(packet.bytes.make_contiguous())?;
            got.bytes += n;
            let is_done = n == packet.bytes.len();
            if peeks {
                break;
            }
            let gone = if self.style == Style::Stream {
                packet.bytes.drain(..n);
                n
            } else {
                packet.bytes.len()
            };
            if is_done || self.style != Style::Stream {
                state.inbox.pop_front();
            }
            state.inbox_bytes -= gone;
            if !is_done || into.room() == 0 {
                break;
            }
        }
        if first {
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            return if ended { Ok(got) } else { Err(EAGAIN) };
        }
        drop(state);
        match self.peer().filter(|_| self.style.is_connected()) {
            Some(peer) => peer.writable.wake_all(),
            // Who sends datagrams waits where they go.
            None => self.writable.wake_all(),
        }
        Ok(got)
    }
    /// Where who found no room for a datagram waits.
    pub fn drained(&self, out: &Outgoing) -> Option<Arc<Local>> {
        out.to.as_ref().map(|(to, _)| to.clone()).or_else(|| self.peer().filter(|_| !self.style.is_connected()))
    }
    fn has_room(&self) -> bool {
        let Some(peer) = self.peer() else { return true };
        let used = peer.state.lock().inbox_bytes;
        used <= BUFFER_BYTES / 2
    }
}

impl File for Local {
    fn read(&self, _: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        self.receive(into, 0).map(|got| got.bytes)
    }
    fn write(&self, caller: &Caller<'_>, _: u64, from: &mut dyn Source) -> Result<usize> {
        self.send(caller, from, Outgoing::default())
    }
    fn writes_whole(&self) -> bool {
        self.style == Style::Stream
    }
    fn poll(&self) -> Events {
        if self.is_listening() {
            return Events::IN.when(self.has_waiting());
        }
        let has_room = self.has_room();
        let state = self.state.lock();
        let is_connected = self.style.is_connected();
        let ended = state.reads_no_more || is_connected && state.peer_ended;
        let hung_up = is_connected && (state.peer_is_gone || ended && state.writes_no_more || !state.was_connected);
        Events::IN.when(!state.inbox.is_empty() || ended)
            | Events::READ_HANGUP.when(ended)
            | Events::OUT.when(has_room || state.peer_is_gone)
            | Events::HANGUP.when(hung_up)
            | Events::ERROR.when(state.error.is_some())
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        Some(if side == Side::Input { &self.readable } else { &self.writable })
    }
    fn stat(&self) -> Result<Stat> {
        Ok(Stat { device: 8, inode: self.number, mode: S_IFSOCK | 0o777, links: 1, block_bytes: 4096, ..Stat::default() })
    }
    fn describe(&self) -> Vec<u8> {
        alloc::format!("socket:[{}]", self.number).into_bytes()
    }
    fn readable_bytes(&self) -> Option<u64> {
        let state = self.state.lock();
        let first = state.inbox.front().map_or(0, |packet| packet.bytes.len());
        Some(if self.style == Style::Stream { state.inbox_bytes } else { first } as u64)
    }
    fn ioctl(&self, _: &Caller<'_>, _: &mut dyn UserMemory, _: u32, _: u64) -> Result<u64> {
        Err(crate::errno::ENOTTY)
    }
}
