// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interfaces of the network server: `socket` opens, and each socket that it gives is a capability of its own, called
//! through [`one`].
//!
//! Bytes never travel in messages. Client and server share a buffer that outlives both; the client says which [`Area`] of it
//! a socket uses, and the two pass bytes through the pipes in there (`pipe.rs`). Each rings the other's bell after a batch.
#![no_std]

use ipc::{Message, Reader, Wire};

pub mod pipe;

/// What a client and the server share.
pub const BUFFER_BYTES: u64 = 8 << 20;
/// Of IPv6 in a frame of 1500 bytes; a longer datagram is not sent, there are no fragments.
pub const MAX_DATAGRAM_BYTES: usize = 1452;

/// Where a peer is: an IPv6 address, or an IPv4 one in its mapped form, and a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    pub address: [u8; 16],
    pub port: u16,
}

impl Wire for Peer {
    fn put(&self, into: &mut Message) {
        let address = u128::from_be_bytes(self.address);
        ((address >> 64) as u64).put(into);
        (address as u64).put(into);
        self.port.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let (high, low) = <(u64, u64)>::take(from)?;
        let address = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        Some(Peer { address, port: u16::take(from)? })
    }
}

/// A part of the shared buffer: [`pipe::HEADER_BYTES`], then bytes that came in, then bytes to go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Area {
    /// A multiple of 64.
    pub offset_bytes: u32,
    /// Powers of two from 1024 on.
    pub receive_bytes: u32,
    pub send_bytes: u32,
}

impl Area {
    pub const fn length_bytes(receive_bytes: u32, send_bytes: u32) -> u32 {
        pipe::HEADER_BYTES as u32 + receive_bytes + send_bytes
    }
    /// Whether it lies in a buffer of this length, and is as its fields say.
    pub fn fits(&self, buffer_bytes: u64) -> bool {
        let is_size = |n: u32| n.is_power_of_two() && n >= 1024;
        let length = u64::from(pipe::HEADER_BYTES as u32) + u64::from(self.receive_bytes) + u64::from(self.send_bytes);
        is_size(self.receive_bytes)
            && is_size(self.send_bytes)
            && self.offset_bytes.is_multiple_of(64)
            && u64::from(self.offset_bytes) + length <= buffer_bytes
    }
}

impl Wire for Area {
    fn put(&self, into: &mut Message) {
        self.offset_bytes.put(into);
        self.receive_bytes.put(into);
        self.send_bytes.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(Area { offset_bytes: u32::take(from)?, receive_bytes: u32::take(from)?, send_bytes: u32::take(from)? })
    }
}

mod open {
    use super::{Area, Peer};
    use ipc::Cap;

    ipc::interface! {
        /// Opens sockets.
        interface socket;
        errors {
            /// The client has no buffer or rings no bell: it did not attach.
            NotAttached = 16,
            /// The area does not lie in the buffer.
            BadArea = 17,
            /// This client, or the server, has as many sockets or as much memory for them as it may.
            NoRoom = 18,
            /// Somebody listens on that port, or is bound to it.
            InUse = 19,
            /// There is no device, or no address to speak from.
            NoLink = 20,
            /// The peer's address is none that can be spoken to, or the local one is not this client's.
            BadPeer = 21,
            /// Nobody knows that name, or no resolver answers.
            NoName = 22,
        }
        methods {
            /// Begins: sockets of an earlier life of this client are closed. Its bell is rung when something happened to any of
            /// its sockets; what comes back is the server's, to ring after putting or taking bytes.
            1 attach idempotent (bell: Cap) -> Cap;
            /// A connection to a peer, whose bytes pass through the area. It is under way when this returns. `local` says from
            /// where: the unspecified address and port 0 leave the choice to the server.
            2 connect once (area: Area, local: Peer, peer: Peer) -> Cap;
            /// Takes connections on an address of this client (the unspecified one: on all), with buffers of the area's sizes for
            /// each. In the header of the area stands the listener's state and how many wait ([`crate::pipe::detail`]); at most
            /// `backlog` do.
            3 listen once (area: Area, local: Peer, backlog: u16) -> Cap;
            /// Datagrams to an address of this client (the unspecified one: to all) and a port, 0 for any: in the pipes each has
            /// [`crate::pipe::DATAGRAM_BYTES`] before it.
            4 bind once (area: Area, local: Peer) -> Cap;
            /// This client's own address number `n`, those to be preferred first, the link's last.
            5 address idempotent (n: u32) -> Peer;
            /// The resolver number `n` that a router told of.
            6 resolver idempotent (n: u32) -> Peer;
        }
    }
}
pub use open::*;

/// What a socket is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    Opening = 1,
    /// Bytes go both ways.
    Open = 2,
    /// The peer sends no more.
    PeerShut = 3,
    /// Nothing goes any way: it ended in order.
    Closed = 4,
    /// It was refused, reset, or the peer vanished: the detail is a [`Cause`].
    Failed = 5,
}

impl State {
    pub const fn from_u32(n: u32) -> Option<State> {
        Some(match n {
            1 => State::Opening,
            2 => State::Open,
            3 => State::PeerShut,
            4 => State::Closed,
            5 => State::Failed,
            _ => return None,
        })
    }
}

/// Why a connection failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Cause {
    /// Nobody listens there.
    Refused = 1,
    /// The peer ended it without order.
    Reset = 2,
    /// Nobody answered for too long.
    TimedOut = 3,
}

impl Cause {
    pub const fn from_u32(n: u32) -> Option<Cause> {
        Some(match n {
            1 => Cause::Refused,
            2 => Cause::Reset,
            3 => Cause::TimedOut,
            _ => return None,
        })
    }
}

/// The interface of one socket, through the capability that opened it.
pub mod one {
    use super::{Area, Peer};
    use ipc::Cap;

    ipc::interface! {
        /// A socket. Its state is in its area; what else it can do is here.
        interface one;
        errors {
            /// Nothing waits to be accepted.
            Nothing = 16,
            /// The area does not lie in the buffer, or has other sizes than the listener said.
            BadArea = 17,
            /// This socket cannot do that: a connection accepts nobody, a listener sends nothing.
            WrongKind = 18,
            /// This client has as many sockets as it may.
            NoRoom = 19,
        }
        methods {
            /// A connection that waits on this listener; its bytes pass through the area.
            1 accept once (area: Area) -> Cap;
            /// Sends what is in the pipe, then says that no more follows. Bytes still come in.
            2 shut idempotent () -> ();
            /// Ends it at once and forgets it. What the peer did not acknowledge may be lost.
            3 close once () -> ();
            /// The peer of a connection.
            4 peer idempotent () -> Peer;
            /// Asks a silent peer every so many seconds, and gives it up after three times as long; 0 never asks.
            5 keep_alive idempotent (seconds: u32) -> ();
            /// Its own end: the unspecified address while it has all of this client's.
            6 local idempotent () -> Peer;
            /// Ends a connection in order, and forgets it: what is in the pipe is sent, then the end. The area is the server's until
            /// the state there is `Closed` or `Failed`. What comes meanwhile is answered with a reset.
            7 release once () -> ();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_crosses_whole() {
        let peer = Peer { address: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], port: 80 };
        let mut message = Message::new(1);
        peer.put(&mut message);
        assert_eq!(Peer::take(&mut message.reader()), Some(peer));
    }
    #[test]
    fn an_area_beyond_the_buffer_or_of_an_odd_size_does_not_fit() {
        let good = Area { offset_bytes: 64, receive_bytes: 1024, send_bytes: 4096 };
        let end = u64::from(64 + Area::length_bytes(1024, 4096));
        assert!(good.fits(end) && !good.fits(end - 1));
        for bad in [
            Area { offset_bytes: 65, ..good },
            Area { receive_bytes: 1000, ..good },
            Area { send_bytes: 512, ..good },
            Area { offset_bytes: u32::MAX - 63, ..good },
            Area { receive_bytes: 1 << 31, send_bytes: 1 << 31, ..good },
        ] {
            assert!(!bad.fits(BUFFER_BYTES), "{bad:?}");
        }
    }
}
