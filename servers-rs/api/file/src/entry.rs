// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directory entries in the buffer: kind u8, name length u8, name. Whole entries only.

use crate::FileKind;

/// Puts one entry at the start of `into`; returns its length, or `None` if it does not fit.
pub fn put(into: &mut [u8], kind: FileKind, name: &[u8]) -> Option<usize> {
    let (head, rest) = into.split_at_mut_checked(2)?;
    let length = u8::try_from(name.len()).ok()?;
    rest.get_mut(..name.len())?.copy_from_slice(name);
    head.copy_from_slice(&[kind as u8, length]);
    Some(2 + name.len())
}

/// The first entry and what follows it; `None` at the end, or if the bytes are no entry.
pub fn take(from: &[u8]) -> Option<(FileKind, &[u8], &[u8])> {
    let (&[kind, length], rest) = from.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    Some((FileKind::from_u8(kind)?, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order() {
        let mut buffer = [0; 16];
        let n = put(&mut buffer, FileKind::File, b"hello").unwrap();
        let m = put(&mut buffer[n..], FileKind::Directory, b"usr").unwrap();
        let (kind, name, rest) = take(&buffer[..n + m]).unwrap();
        assert_eq!((kind, name), (FileKind::File, &b"hello"[..]));
        assert_eq!(take(rest).unwrap().1, b"usr");
        assert!(take(take(rest).unwrap().2).is_none());
    }

    #[test]
    fn an_entry_that_does_not_fit_or_is_cut_off_is_none() {
        assert_eq!(put(&mut [0; 6], FileKind::File, b"hello"), None);
        assert_eq!(put(&mut [0; 300], FileKind::File, &[b'x'; 256]), None);
        assert!(take(&[1, 5, b'h']).is_none());
        assert!(take(&[9, 0]).is_none());
    }
}
