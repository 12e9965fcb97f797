// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directory entries in the buffer: cookie u64, inode u32 (both little-endian), kind u8, name length u8, name. Whole entries only.

use crate::Kind;

/// Bytes before the name.
pub const HEADER_BYTES: usize = 14;

/// A name in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    pub inode: u32,
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
    let (cookie, head) = head.split_at_mut(8);
    let (inode, head) = head.split_at_mut(4);
    cookie.copy_from_slice(&entry.cookie.to_le_bytes());
    inode.copy_from_slice(&entry.inode.to_le_bytes());
    head.copy_from_slice(&[entry.kind as u8, length]);
    Some(HEADER_BYTES + entry.name.len())
}

/// The first entry and what follows it; `None` at the end, or if the bytes are no entry.
pub fn take(from: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (cookie, rest) = from.split_first_chunk::<8>()?;
    let (inode, rest) = rest.split_first_chunk::<4>()?;
    let (&[kind, length], rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (cookie, inode) = (u64::from_le_bytes(*cookie), u32::from_le_bytes(*inode));
    Some((Entry { inode, cookie, kind: Kind::from_u8(kind)?, name }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Entry<'_> = Entry { inode: 12, cookie: 1 << 40, kind: Kind::File, name: b"hello" };

    #[test]
    fn entries_come_back_in_order() {
        let mut buffer = [0; 64];
        let n = put(&mut buffer, &HELLO).unwrap();
        let fifo = Entry { inode: 70_000, cookie: 1, kind: Kind::Fifo, name: b"\xff" };
        let m = put(&mut buffer[n..], &fifo).unwrap();
        let (first, rest) = take(&buffer[..n + m]).unwrap();
        assert_eq!(first, HELLO);
        let (second, rest) = take(rest).unwrap();
        assert_eq!((second, take(rest)), (fifo, None));
    }
    #[test]
    fn an_entry_that_does_not_fit_or_is_cut_off_is_none() {
        let mut buffer = [0; HEADER_BYTES + 5];
        assert_eq!(put(&mut buffer[..HEADER_BYTES + 4], &HELLO), None);
        put(&mut buffer, &HELLO).unwrap();
        assert!(take(&buffer[..HEADER_BYTES + 4]).is_none());
        buffer[12] = 9;
        assert!(take(&buffer).is_none());
    }
}
