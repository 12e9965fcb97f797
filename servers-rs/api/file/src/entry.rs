// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directory entries in the buffer: node u64, cookie u64 (both little-endian), kind u8, name length u8, name. Whole entries only.

use crate::Kind;

/// Bytes before the name.
pub const HEADER_BYTES: usize = 18;

/// A name in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    pub node: u64,
    /// Where to go on behind it: for the next `list`, and what getdents64 calls `d_off`.
    pub cookie: u64,
    pub kind: Kind,
    pub name: &'a [u8],
}

/// Puts one entry at the start of `into`; returns its length, or `None` if it does not fit.
pub fn put(into: &mut [u8], entry: &Entry<'_>) -> Option<usize> {
    let (head, rest) = into.split_at_mut_checked(HEADER_BYTES)?;
    let length = u8::try_from(entry.name.len()).ok()?;
    rest.get_mut(..entry.name.len())?.copy_from_slice(entry.name);
    let (node, head) = head.split_at_mut(8);
    let (cookie, head) = head.split_at_mut(8);
    node.copy_from_slice(&entry.node.to_le_bytes());
    cookie.copy_from_slice(&entry.cookie.to_le_bytes());
    head.copy_from_slice(&[entry.kind as u8, length]);
    Some(HEADER_BYTES + entry.name.len())
}

/// The first entry and what follows it; `None` at the end, or if the bytes are no entry.
pub fn take(from: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (node, rest) = from.split_first_chunk::<8>()?;
    let (cookie, rest) = rest.split_first_chunk::<8>()?;
    let (&[kind, length], rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (node, cookie) = (u64::from_le_bytes(*node), u64::from_le_bytes(*cookie));
    Some((Entry { node, cookie, kind: Kind::from_u8(kind)?, name }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Entry<'_> = Entry { node: 1 << 40, cookie: 5, kind: Kind::File, name: b"hello" };

    #[test]
    fn entries_come_back_in_order() {
        let mut buffer = [0; 64];
        let n = put(&mut buffer, &HELLO).unwrap();
        let usr = Entry { node: 2, cookie: u64::MAX, kind: Kind::Directory, name: b"\xff" };
        let m = put(&mut buffer[n..], &usr).unwrap();
        let (first, rest) = take(&buffer[..n + m]).unwrap();
        assert_eq!(first, HELLO);
        let (second, rest) = take(rest).unwrap();
        assert_eq!((second, take(rest)), (usr, None));
    }

    #[test]
    fn an_entry_that_does_not_fit_or_is_cut_off_is_none() {
        assert_eq!(put(&mut [0; HEADER_BYTES + 4], &HELLO), None);
        assert_eq!(put(&mut [0; 300], &Entry { name: &[b'x'; 256], ..HELLO }), None);
        let mut buffer = [0; HEADER_BYTES + 5];
        put(&mut buffer, &HELLO).unwrap();
        assert!(take(&buffer[..HEADER_BYTES + 4]).is_none());
        buffer[16] = 9;
        assert!(take(&buffer).is_none());
    }
}
