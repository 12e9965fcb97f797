// SPDX-License-Identifier: PMPL-1.0-or-later
//! What neighbour discovery says on the link (RFC 4861), out of messages that may hold anything.
//!
//! `inspect.rs` finds them in their frames. smoltcp answers solicitations and resolves addresses. This reads what it does not: all options of a router's
//! advertisement, and whoever claims an address that is to become ours.

use smoltcp::wire::{Icmpv6Message, Ipv6Address};

/// More of a kind in one advertisement are passed over.
pub const MAX_OPTIONS: usize = 4;
const OPTION_PREFIX: u8 = 3;
const OPTION_MTU: u8 = 5;
/// RFC 8106.
const OPTION_RDNSS: u8 = 25;
const ROUTER_HEADER_BYTES: usize = 16;

/// RFC 4861, 4.6.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    pub prefix: Ipv6Address,
    pub length_bits: u8,
    pub on_link: bool,
    pub autonomous: bool,
    pub valid_s: u32,
    pub preferred_s: u32,
}

/// RFC 4861, 4.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouterAdvert {
    pub router: Ipv6Address,
    pub lifetime_s: u16,
    /// RFC 4191: -1, 0, 1.
    pub preference: i8,
    pub mtu_bytes: Option<u32>,
    pub prefixes: [Option<Prefix>; MAX_OPTIONS],
    pub resolvers: [Option<(Ipv6Address, u32)>; MAX_OPTIONS],
}

/// What the link said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "a few of them exist, in one table")]
pub enum News {
    Router(RouterAdvert),
    /// Somebody asks who has this address; `checking`: because it wants to have it (RFC 4862, 5.4.3).
    Asked {
        target: Ipv6Address,
        checking: bool,
    },
    /// Somebody says that it has this address.
    Claimed {
        target: Ipv6Address,
    },
    /// A router on the way to `destination` passes no more than this (RFC 8201).
    TooBig {
        destination: Ipv6Address,
        mtu_bytes: u32,
    },
}

/// A message of neighbour discovery that came whole and from this link. `None`: it breaks a rule.
pub fn discovery(kind: Icmpv6Message, from: Ipv6Address, to: Ipv6Address, body: &[u8]) -> Option<News> {
    match kind {
        Icmpv6Message::RouterAdvert => router(from, body),
        Icmpv6Message::NeighborSolicit => solicit(from, to, body),
        Icmpv6Message::NeighborAdvert => claim(to, body),
        // We are no router, and take no route from who answers a packet of ours.
        _ => None,
    }
}

/// RFC 4861, 6.1.2 and 4.2.
fn router(from: Ipv6Address, body: &[u8]) -> Option<News> {
    if !from.is_unicast_link_local() {
        return None;
    }
    let (flags, lifetime_s) = (*body.get(5)?, u16::from_be_bytes(two(body, 6)?));
    // RFC 4191, 2.2: the reserved value counts as medium.
    let preference = match (flags >> 3) & 3 {
        1 => 1,
        3 => -1,
        _ => 0,
    };
    let mut advert = RouterAdvert {
        router: from,
        lifetime_s,
        preference,
        mtu_bytes: None,
        prefixes: [None; MAX_OPTIONS],
        resolvers: [None; MAX_OPTIONS],
    };
    for option in Options(body.get(ROUTER_HEADER_BYTES..)?) {
        let option = option?;
        match *option.first()? {
            OPTION_PREFIX if option.len() == 32 => put(&mut advert.prefixes, prefix(option)?),
            OPTION_MTU if option.len() == 8 => advert.mtu_bytes = Some(u32::from_be_bytes(four(option, 4)?)),
            OPTION_RDNSS if option.len() >= 24 => {
                let lifetime_s = u32::from_be_bytes(four(option, 4)?);
                let addresses = option.get(8..)?.chunks_exact(16).filter_map(|chunk| address(chunk, 0));
                addresses.for_each(|resolver| put(&mut advert.resolvers, (resolver, lifetime_s)));
            }
            _ => {}
        }
    }
    Some(News::Router(advert))
}

/// RFC 4861, 7.1.1.
fn solicit(from: Ipv6Address, to: Ipv6Address, body: &[u8]) -> Option<News> {
    let (target, checking) = (address(body, 8)?, from.is_unspecified());
    for option in Options(body.get(24..)?) {
        // Who has no address yet must not tell one of hardware either.
        if option?.first() == Some(&1) && checking {
            return None;
        }
    }
    let is_solicited_node = to.octets().starts_with(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
    (!target.is_multicast() && (!checking || is_solicited_node)).then_some(News::Asked { target, checking })
}

/// RFC 4861, 7.1.2.
fn claim(to: Ipv6Address, body: &[u8]) -> Option<News> {
    let (flags, target) = (*body.get(4)?, address(body, 8)?);
    let is_solicited = flags & 0x40 != 0;
    if Options(body.get(24..)?).any(|option| option.is_none()) || target.is_multicast() || (to.is_multicast() && is_solicited) {
        return None;
    }
    Some(News::Claimed { target })
}

/// RFC 4443, 3.2: the packet that was too big is quoted.
pub fn too_big(body: &[u8]) -> Option<News> {
    let mtu_bytes = u32::from_be_bytes(four(body, 4)?);
    Some(News::TooBig { destination: address(body, 8 + 24)?, mtu_bytes })
}

fn prefix(option: &[u8]) -> Option<Prefix> {
    let flags = *option.get(3)?;
    Some(Prefix {
        prefix: address(option, 16)?,
        length_bits: *option.get(2)?,
        on_link: flags & 0x80 != 0,
        autonomous: flags & 0x40 != 0,
        valid_s: u32::from_be_bytes(four(option, 4)?),
        preferred_s: u32::from_be_bytes(four(option, 8)?),
    })
}

/// Options in turn; a `None` in place of one, and nothing after it, where the rest is none (RFC 4861, 4.6).
struct Options<'a>(&'a [u8]);
impl<'a> Iterator for Options<'a> {
    type Item = Option<&'a [u8]>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let length = usize::from(self.0.get(1).copied().unwrap_or(0)) * 8;
        let split = if length == 0 { None } else { self.0.split_at_checked(length) };
        let (option, rest) = split.map_or((None, &[][..]), |(option, rest)| (Some(option), rest));
        self.0 = rest;
        Some(option)
    }
}

fn put<T>(places: &mut [Option<T>], value: T) {
    if let Some(place) = places.iter_mut().find(|p| p.is_none()) {
        *place = Some(value);
    }
}
fn two(from: &[u8], at: usize) -> Option<[u8; 2]> {
    from.get(at..)?.first_chunk().copied()
}
fn four(from: &[u8], at: usize) -> Option<[u8; 4]> {
    from.get(at..)?.first_chunk().copied()
}
fn address(from: &[u8], at: usize) -> Option<Ipv6Address> {
    from.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Address::from(*octets))
}
