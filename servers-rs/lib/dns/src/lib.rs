// SPDX-License-Identifier: PMPL-1.0-or-later
//! Questions to a resolver and its answers, as bytes (RFC 1035, 3596, 6891). Knows no socket: `lib/sockets` asks.
//!
//! An answer may hold anything. It counts only if it repeats the question and its number; names are followed from the question
//! through aliases, as many as [`MAX_ALIASES`], and no more than [`MAX_ADDRESSES`] addresses are taken. Nothing is kept between
//! two questions: there is no cache that could be poisoned.
#![no_std]

extern crate alloc;

mod name;

use alloc::vec::Vec;
pub use name::Name;

/// RFC 1035, 4.2.1, and what RFC 9715 advises to promise with EDNS.
pub const MAX_DATAGRAM_BYTES: usize = 1232;
/// Of one answer; more are passed over.
pub const MAX_ADDRESSES: usize = 16;
/// Steps from the name that was asked for to the one that has addresses.
pub const MAX_ALIASES: usize = 8;
/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 256;
const HEADER_BYTES: usize = 12;
/// RFC 1035, 3.2.2.
const TYPE_CNAME: u16 = 5;
/// RFC 6891, 6.1.2.
const TYPE_OPT: u16 = 41;
const CLASS_INTERNET: u16 = 1;
/// RFC 1035, 4.1.1.
const RESPONSE: u16 = 1 << 15;
const TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;
const CODE: u16 = 15;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Kind {
    V4 = 1,
    /// RFC 3596, 2.1.
    V6 = 28,
}

/// What a resolver said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Addresses, IPv4 ones in their mapped form; none if the name has none of this kind.
    Addresses(Vec<[u8; 16]>),
    /// It did not fit: ask over TCP.
    Truncated,
    /// There is no such name (RFC 2308, 2.1).
    NoName,
    /// The resolver does not answer this: ask another one.
    Refused,
}

/// A question, to be sent as it is in a datagram, over TCP behind its length in two bytes.
pub fn question(number: u16, name: &Name, kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + name.bytes().len() + 4 + 11);
    // One question, one further record.
    for word in [number, RECURSION_DESIRED, 1, 0, 0, 1] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(name.bytes());
    bytes.extend_from_slice(&(kind as u16).to_be_bytes());
    bytes.extend_from_slice(&CLASS_INTERNET.to_be_bytes());
    // RFC 6891, 6.1.2: the root's name, the type, how long a datagram may be, no flags, no options.
    bytes.push(0);
    bytes.extend_from_slice(&TYPE_OPT.to_be_bytes());
    bytes.extend_from_slice(&(MAX_DATAGRAM_BYTES as u16).to_be_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes
}

/// Reads what came back. `None`: it is no answer to this question.
pub fn answer(bytes: &[u8], number: u16, name: &Name, kind: Kind) -> Option<Answer> {
    let flags = word(bytes, 2)?;
    if word(bytes, 0)? != number || flags & RESPONSE == 0 || word(bytes, 4)? != 1 {
        return None;
    }
    let (asked, at) = Name::read(bytes, HEADER_BYTES)?;
    if asked != *name || word(bytes, at)? != kind as u16 || word(bytes, at + 2)? != CLASS_INTERNET {
        return None;
    }
    if flags & TRUNCATED != 0 {
        return Some(Answer::Truncated);
    }
    match flags & CODE {
        0 => addresses(bytes, at + 4, name, kind).map(Answer::Addresses),
        3 => Some(Answer::NoName),
        _ => Some(Answer::Refused),
    }
}

/// A record of an answer.
struct Record<'a> {
    name: Name,
    kind: u16,
    class: u16,
    data: &'a [u8],
    /// Where its data is in the message: a name there may point to before it.
    at: usize,
}

fn record(bytes: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let (name, at) = Name::read(bytes, at)?;
    let length = usize::from(word(bytes, at + 8)?);
    let data = bytes.get(at + 10..at + 10 + length)?;
    Some((Record { name, kind: word(bytes, at)?, class: word(bytes, at + 2)?, data, at: at + 10 }, at + 10 + length))
}

fn addresses(bytes: &[u8], mut at: usize, name: &Name, kind: Kind) -> Option<Vec<[u8; 16]>> {
    let mut records = Vec::new();
    for _ in 0..usize::from(word(bytes, 6)?).min(MAX_RECORDS) {
        let (one, next) = record(bytes, at)?;
        at = next;
        if one.class == CLASS_INTERNET && (one.kind == kind as u16 || one.kind == TYPE_CNAME) {
            records.push(one);
        }
    }
    let mut of = name.clone();
    for _ in 0..=MAX_ALIASES {
        let own = records.iter().filter(|one| one.name == of);
        let found: Vec<[u8; 16]> = own.clone().filter_map(|one| address(one, kind)).take(MAX_ADDRESSES).collect();
        let alias = own.clone().find(|one| one.kind == TYPE_CNAME).and_then(|one| Name::read(bytes, one.at));
        match alias {
            Some((next, _)) if found.is_empty() => of = next,
            _ => return Some(found),
        }
    }
    // Round and round.
    None
}

fn address(one: &Record<'_>, kind: Kind) -> Option<[u8; 16]> {
    match kind {
        _ if one.kind != kind as u16 => None,
        Kind::V6 => one.data.try_into().ok(),
        Kind::V4 => {
            let [a, b, c, d] = one.data.try_into().ok()?;
            Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests;
