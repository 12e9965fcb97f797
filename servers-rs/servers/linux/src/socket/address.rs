// SPDX-License-Identifier: PMPL-1.0-or-later
//! sockaddr, read and written.

use super::Family;
use crate::errno::{EAFNOSUPPORT, EINVAL, Result};
use alloc::vec::Vec;
use linux_raw_sys::net as raw;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Address {
    Unnamed,
    /// AF_UNSPEC: connect(2) of a datagram socket forgets its peer.
    Nobody,
    Path(Vec<u8>),
    Abstract(Vec<u8>),
    /// IPv4 is in its mapped form. The scope is that of a link-local one.
    Port {
        address: [u8; 16],
        port: u16,
        scope: u32,
    },
}

const FAMILY_BYTES: usize = 2;
/// Longest path, without its zero byte.
const PATH_BYTES: usize = 108;
const V4_BYTES: usize = size_of::<raw::sockaddr_in>();
const V6_BYTES: usize = size_of::<raw::sockaddr_in6>();
/// Without the scope, as old programs have it.
const V6_SHORT_BYTES: usize = 24;
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
pub const LOOPBACK_V6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

pub fn mapped(v4: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..12].copy_from_slice(&MAPPED);
    address[12..].copy_from_slice(&v4);
    address
}
pub fn as_v4(address: &[u8; 16]) -> Option<[u8; 4]> {
    let (head, tail) = address.split_at(12);
    (head == MAPPED).then(|| [tail[0], tail[1], tail[2], tail[3]])
}

impl Address {
    /// Errors: `EINVAL`, `EAFNOSUPPORT` for another family than the socket's.
    pub fn parse(bytes: &[u8], family: Family) -> Result<Address> {
        let (kind, rest) = bytes.split_first_chunk::<FAMILY_BYTES>().ok_or(EINVAL)?;
        let kind = u32::from(u16::from_le_bytes(*kind));
        match (kind, family) {
            (raw::AF_UNSPEC, _) => Ok(Address::Nobody),
            (raw::AF_UNIX, Family::Unix) => match rest {
                [] => Ok(Address::Unnamed),
                [0, name @ ..] if name.len() < PATH_BYTES => Ok(Address::Abstract(name.to_vec())),
                [0, ..] => Err(EINVAL),
                path => {
                    let length = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                    if length > PATH_BYTES { Err(EINVAL) } else { Ok(Address::Path(path[..length].to_vec())) }
                }
            },
            (_, Family::Unix) => Err(EINVAL),
            // A socket of IPv6 takes IPv4 only in its mapped form.
            (raw::AF_INET, Family::Inet) if bytes.len() >= V4_BYTES => {
                let v4 = [rest[2], rest[3], rest[4], rest[5]];
                Ok(Address::Port { address: mapped(v4), port: u16::from_be_bytes([rest[0], rest[1]]), scope: 0 })
            }
            (raw::AF_INET6, Family::Inet6) if bytes.len() >= V6_SHORT_BYTES => {
                let mut address = [0; 16];
                address.copy_from_slice(&rest[6..22]);
                let scope = rest.get(22..26).map_or(0, |scope| u32::from_le_bytes([scope[0], scope[1], scope[2], scope[3]]));
                Ok(Address::Port { address, port: u16::from_be_bytes([rest[0], rest[1]]), scope })
            }
            (raw::AF_INET, Family::Inet) | (raw::AF_INET6, Family::Inet6) => Err(EINVAL),
            _ => Err(EAFNOSUPPORT),
        }
    }
    /// As a socket of that family shows it.
    pub fn to_bytes(&self, family: Family) -> Vec<u8> {
        let with = |kind: u32, rest: &[u8]| [&(kind as u16).to_le_bytes()[..], rest].concat();
        match (self, family) {
            (Address::Path(path), _) => with(raw::AF_UNIX, &[path, &[0][..]].concat()),
            (Address::Abstract(name), _) => with(raw::AF_UNIX, &[&[0][..], name].concat()),
            (Address::Port { address, port, .. }, Family::Inet) => {
                let v4 = as_v4(address).unwrap_or_default();
                with(raw::AF_INET, &[&port.to_be_bytes()[..], &v4, &[0; 8]].concat())
            }
            (Address::Port { address, port, scope }, _) => {
                let rest = [&port.to_be_bytes()[..], &[0; 4], address, &scope.to_le_bytes()].concat();
                debug_assert_eq!(rest.len() + FAMILY_BYTES, V6_BYTES);
                with(raw::AF_INET6, &rest)
            }
            (_, Family::Unix) => with(raw::AF_UNIX, &[]),
            (_, Family::Inet) => Address::any(family).to_bytes(family),
            (_, Family::Inet6) => Address::any(family).to_bytes(family),
        }
    }
    pub fn any(family: Family) -> Address {
        let address = if family == Family::Inet { mapped([0; 4]) } else { [0; 16] };
        Address::Port { address, port: 0, scope: 0 }
    }
    /// Whether it is the cell itself. The unspecified address is, as a destination.
    pub fn is_loopback(&self) -> bool {
        match self {
            Address::Port { address, .. } => {
                *address == LOOPBACK_V6 || *address == [0; 16] || as_v4(address).is_some_and(|v4| v4[0] == 127 || v4 == [0; 4])
            }
            _ => false,
        }
    }
    pub fn is_any(&self) -> bool {
        matches!(self, Address::Port { address, .. } if *address == [0; 16] || *address == mapped([0; 4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        let v6 = [&(raw::AF_INET6 as u16).to_le_bytes()[..], &[0x1f, 0x90], &[0; 4], &LOOPBACK_V6, &[0; 4]].concat();
        let address = Address::parse(&v6, Family::Inet6).unwrap();
        assert!(address.is_loopback());
        assert_eq!(address.to_bytes(Family::Inet6), v6);
        let v4 = [&(raw::AF_INET as u16).to_le_bytes()[..], &[0, 80, 127, 0, 0, 1], &[0; 8]].concat();
        assert_eq!(Address::parse(&v4, Family::Inet).unwrap().to_bytes(Family::Inet), v4);
        let name = [&1u16.to_le_bytes()[..], b"\0name"].concat();
        assert_eq!(Address::parse(&name, Family::Unix).unwrap().to_bytes(Family::Unix), name);
    }
    #[test]
    fn short_long_and_foreign_addresses_are_refused() {
        assert_eq!(Address::parse(&[1], Family::Unix), Err(EINVAL));
        assert_eq!(Address::parse(&[2, 0, 0, 80], Family::Inet), Err(EINVAL));
        assert_eq!(Address::parse(&[1, 0, b'x'], Family::Inet6), Err(EAFNOSUPPORT));
        assert_eq!(Address::parse(&[&[1, 0][..], &[b'x'; 109]].concat(), Family::Unix), Err(EINVAL));
    }
}
