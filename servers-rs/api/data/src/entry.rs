// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directory entries in the buffer: inode u32 little-endian, kind u8, name length u8, name. Whole entries only.

use crate::Kind;

const HEADER_BYTES: usize = 6;

/// Puts one entry at the start of `into`; returns its length, or `None` if it does not fit.
pub fn put(into: &mut [u8], inode: u32, kind: Kind, name: &[u8]) -> Option<usize> {
    let (head, rest) = into.split_at_mut_checked(HEADER_BYTES)?;
    let [a, b, c, d] = inode.to_le_bytes();
    let length = u8::try_from(name.len()).ok()?;
    rest.get_mut(..name.len())?.copy_from_slice(name);
    head.copy_from_slice(&[a, b, c, d, kind as u8, length]);
    Some(HEADER_BYTES + name.len())
}

/// The first entry and what follows it; `None` at the end, or if the bytes are no entry.
pub fn take(from: &[u8]) -> Option<(u32, Kind, &[u8], &[u8])> {
    let (&[a, b, c, d, kind, length], rest) = from.split_first_chunk::<HEADER_BYTES>()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    Some((u32::from_le_bytes([a, b, c, d]), Kind::from_u8(kind)?, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order() {
        let mut buffer = [0; 40];
        let n = put(&mut buffer, 12, Kind::File, b"hello").unwrap();
        let m = put(&mut buffer[n..], 70_000, Kind::Fifo, b"\xff").unwrap();
        let (inode, kind, name, rest) = take(&buffer[..n + m]).unwrap();
        assert_eq!((inode, kind, name), (12, Kind::File, &b"hello"[..]));
        assert_eq!(take(rest).unwrap().0, 70_000);
        assert!(take(take(rest).unwrap().3).is_none());
    }
    #[test]
    fn an_entry_that_does_not_fit_or_is_cut_off_is_none() {
        assert_eq!(put(&mut [0; 10], 1, Kind::File, b"hello"), None);
        assert!(take(&[1, 0, 0, 0, 1, 5, b'h']).is_none());
        assert!(take(&[1, 0, 0, 0, 9, 0]).is_none());
    }
}
