// SPDX-License-Identifier: PMPL-1.0-or-later
//! getsockopt(2) and setsockopt(2): what is kept, and what is answered.

use super::local::{BUFFER_BYTES, Local};
use super::{Family, Style};
use crate::errno::{EINVAL, ENOPROTOOPT, Result};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use linux_raw_sys::net as raw;

/// Of time-outs, which are two words.
const TIME_BYTES: usize = 16;

#[derive(Default)]
pub struct Options {
    /// By level and name: what was set, to be told again.
    set: BTreeMap<(u32, u32), u32>,
    linger: [u32; 2],
    receive_ns: Option<u64>,
    send_ns: Option<u64>,
}

/// Options that change nothing where both ends are here.
const KEPT: [(u32, u32); 24] = [
    (raw::SOL_SOCKET, raw::SO_DEBUG),
    (raw::SOL_SOCKET, raw::SO_REUSEADDR),
    (raw::SOL_SOCKET, raw::SO_REUSEPORT),
    (raw::SOL_SOCKET, raw::SO_DONTROUTE),
    (raw::SOL_SOCKET, raw::SO_BROADCAST),
    (raw::SOL_SOCKET, raw::SO_SNDBUF),
    (raw::SOL_SOCKET, raw::SO_RCVBUF),
    (raw::SOL_SOCKET, raw::SO_SNDBUFFORCE),
    (raw::SOL_SOCKET, raw::SO_RCVBUFFORCE),
    (raw::SOL_SOCKET, raw::SO_KEEPALIVE),
    (raw::SOL_SOCKET, raw::SO_OOBINLINE),
    (raw::SOL_SOCKET, raw::SO_PRIORITY),
    (raw::SOL_SOCKET, raw::SO_PASSCRED),
    (raw::SOL_SOCKET, raw::SO_RCVLOWAT),
    (raw::SOL_TCP, raw::TCP_NODELAY),
    (raw::SOL_TCP, raw::TCP_CORK),
    (raw::SOL_TCP, raw::TCP_KEEPIDLE),
    (raw::SOL_TCP, raw::TCP_KEEPINTVL),
    (raw::SOL_TCP, raw::TCP_KEEPCNT),
    (raw::SOL_TCP, raw::TCP_DEFER_ACCEPT),
    (raw::SOL_TCP, raw::TCP_QUICKACK),
    (raw::SOL_TCP, raw::TCP_USER_TIMEOUT),
    (IPPROTO_IPV6, raw::IPV6_V6ONLY),
    (raw::SOL_IP, raw::IP_TOS),
];
const IPPROTO_IPV6: u32 = raw::IPPROTO_IPV6 as u32;

fn word(bytes: &[u8]) -> Result<u32> {
    bytes.first_chunk().map(|chunk| u32::from_le_bytes(*chunk)).ok_or(EINVAL)
}
fn time_ns(bytes: &[u8]) -> Result<Option<u64>> {
    let both: &[u8; TIME_BYTES] = bytes.first_chunk().ok_or(EINVAL)?;
    let (seconds, micros) = both.split_at(8);
    let [seconds, micros] = [seconds, micros].map(|part| part.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk)));
    if micros >= 1_000_000 {
        return Err(crate::errno::EDOM);
    }
    Ok((seconds | micros != 0).then(|| seconds.saturating_mul(1_000_000_000).saturating_add(micros * 1000)))
}
fn time_bytes(ns: Option<u64>) -> Vec<u8> {
    let ns = ns.unwrap_or(0);
    [ns / 1_000_000_000, ns % 1_000_000_000 / 1000].map(u64::to_le_bytes).concat()
}

impl Local {
    pub fn set_option(&self, level: u32, name: u32, bytes: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        match (level, name) {
            (raw::SOL_SOCKET, raw::SO_LINGER) => {
                let both: &[u8; 8] = bytes.first_chunk().ok_or(EINVAL)?;
                state.options.linger = [word(&both[..4])?, word(&both[4..])?];
            }
            (raw::SOL_SOCKET, raw::SO_RCVTIMEO_OLD | raw::SO_RCVTIMEO_NEW) => state.options.receive_ns = time_ns(bytes)?,
            (raw::SOL_SOCKET, raw::SO_SNDTIMEO_OLD | raw::SO_SNDTIMEO_NEW) => state.options.send_ns = time_ns(bytes)?,
            pair if KEPT.contains(&pair) => {
                let is_buffer = [raw::SO_SNDBUF, raw::SO_RCVBUF, raw::SO_SNDBUFFORCE, raw::SO_RCVBUFFORCE].contains(&name);
                let value = word(bytes)?;
                // Linux doubles them, for its own needs (socket(7)).
                let value = if level == raw::SOL_SOCKET && is_buffer {
                    value.min(BUFFER_BYTES as u32).saturating_mul(2).max(2304)
                } else {
                    value
                };
                let name = match (level, name) {
                    (raw::SOL_SOCKET, raw::SO_SNDBUFFORCE) => raw::SO_SNDBUF,
                    (raw::SOL_SOCKET, raw::SO_RCVBUFFORCE) => raw::SO_RCVBUF,
                    (_, name) => name,
                };
                state.options.set.insert((level, name), value);
            }
            _ => return Err(ENOPROTOOPT),
        }
        Ok(())
    }
    pub fn option(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        let is_listening = self.is_listening();
        let mut state = self.state.lock();
        let value = match (level, name) {
            (raw::SOL_SOCKET, raw::SO_TYPE) => match self.style {
                Style::Stream => raw::SOCK_STREAM,
                Style::Datagram => raw::SOCK_DGRAM,
                Style::Packets => raw::SOCK_SEQPACKET,
            },
            (raw::SOL_SOCKET, raw::SO_DOMAIN) => match self.family {
                Family::Unix => raw::AF_UNIX,
                Family::Inet => raw::AF_INET,
                Family::Inet6 => raw::AF_INET6,
            },
            (raw::SOL_SOCKET, raw::SO_PROTOCOL) => match (self.family, self.style) {
                (Family::Unix, _) => 0,
                (_, Style::Stream) => raw::IPPROTO_TCP as u32,
                _ => raw::IPPROTO_UDP as u32,
            },
            (raw::SOL_SOCKET, raw::SO_ERROR) => state.error.take().map_or(0, |error| error.0),
            (raw::SOL_SOCKET, raw::SO_ACCEPTCONN) => is_listening.into(),
            (raw::SOL_SOCKET, raw::SO_SNDBUF | raw::SO_RCVBUF) => {
                state.options.set.get(&(level, name)).copied().unwrap_or(BUFFER_BYTES as u32)
            }
            (raw::SOL_SOCKET, raw::SO_LINGER) => return Ok(state.options.linger.map(u32::to_le_bytes).concat()),
            (raw::SOL_SOCKET, raw::SO_RCVTIMEO_OLD | raw::SO_RCVTIMEO_NEW) => return Ok(time_bytes(state.options.receive_ns)),
            (raw::SOL_SOCKET, raw::SO_SNDTIMEO_OLD | raw::SO_SNDTIMEO_NEW) => return Ok(time_bytes(state.options.send_ns)),
            (raw::SOL_SOCKET, raw::SO_PEERCRED) if self.family == Family::Unix => {
                let sender = state.peer_sender;
                let words = if state.was_connected { [sender.pid, sender.uid, sender.gid] } else { [0, u32::MAX, u32::MAX] };
                return Ok(words.map(u32::to_le_bytes).concat());
            }
            (raw::SOL_TCP, raw::TCP_MAXSEG) if self.family != Family::Unix => 32_741,
            pair if KEPT.contains(&pair) => state.options.set.get(&pair).copied().unwrap_or(0),
            _ => return Err(ENOPROTOOPT),
        };
        Ok(value.to_le_bytes().to_vec())
    }
    /// Whether credentials are to be told with each message.
    pub fn passes_credentials(&self) -> bool {
        let state = self.state.lock();
        state.options.set.get(&(raw::SOL_SOCKET, raw::SO_PASSCRED)).is_some_and(|value| *value != 0)
    }
    pub fn receive_limit_ns(&self) -> Option<u64> {
        self.state.lock().options.receive_ns
    }
    pub fn send_limit_ns(&self) -> Option<u64> {
        self.state.lock().options.send_ns
    }
}
