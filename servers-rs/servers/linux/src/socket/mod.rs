// SPDX-License-Identifier: PMPL-1.0-or-later
//! Sockets whose both ends are in the cell: AF_UNIX, and AF_INET and AF_INET6 on the loopback (unix(7), ip(7), ipv6(7)).
//!
//! `address.rs` is what sockaddr says, `local.rs` who is connected to whom, `message.rs` bytes and descriptors on the way,
//! `option.rs` getsockopt. What leaves the cell is the network server's and not done here yet: it is ENETUNREACH.

mod address;
mod local;
mod message;
mod option;

pub use address::Address;
pub use local::{Local, Names};
pub use message::{Outgoing, Received};

/// Families that are done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    Unix,
    Inet,
    Inet6,
}

/// How bytes travel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Style {
    Stream,
    Datagram,
    /// Connected, and in whole messages.
    Packets,
}

impl Style {
    pub const fn is_connected(self) -> bool {
        !matches!(self, Style::Datagram)
    }
}

/// Who sent something (SCM_CREDENTIALS, SO_PEERCRED).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sender {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}
