// SPDX-License-Identifier: PMPL-1.0-or-later
//! How values lie in a message: each in whole words. Taking one never panics, whatever the other side sent.

use crate::message::{Message, Reader};
use abi::handle::Handle;

pub trait Wire: Sized {
    fn put(&self, into: &mut Message);
    /// `None`: the words do not hold such a value.
    fn take(from: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($ty:ty)*) => { $(
        impl Wire for $ty {
            fn put(&self, into: &mut Message) {
                into.put_word(*self as u64);
            }
            fn take(from: &mut Reader<'_>) -> Option<Self> {
                <$ty>::try_from(from.word()?).ok()
            }
        }
    )* };
}
integers!(u8 u16 u32 u64);

impl Wire for () {
    fn put(&self, _: &mut Message) {}
    fn take(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Wire for bool {
    fn put(&self, into: &mut Message) {
        into.put_word(u64::from(*self));
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        match from.word()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, into: &mut Message) {
        self.0.put(into);
        self.1.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

/// A capability that travels. The receiver finds a handle of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap(pub Handle);

impl Wire for Cap {
    fn put(&self, into: &mut Message) {
        into.put_cap(self.0);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        from.cap().map(Cap)
    }
}

/// UTF-8 of at most [`Text::MAX_BYTES`], inside the message.
#[derive(Clone)]
pub struct Text {
    bytes: [u8; Text::MAX_BYTES],
    len: usize,
}

impl Text {
    /// 50 words, so that a text and a dozen numbers fit into one message.
    pub const MAX_BYTES: usize = 400;

    /// `None` if it is too long.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::MAX_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Text { bytes, len: text.len() })
    }
    /// Cut at the last character that fits.
    pub fn clipped(text: &str) -> Self {
        let mut end = text.len().min(Self::MAX_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).and_then(Text::new).unwrap_or(Text { bytes: [0; Self::MAX_BYTES], len: 0 })
    }
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|b| core::str::from_utf8(b).ok()).unwrap_or("")
    }
}

impl core::fmt::Debug for Text {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Wire for Text {
    fn put(&self, into: &mut Message) {
        into.put_word(self.len as u64);
        let used = self.bytes.get(..self.len).unwrap_or(&[]);
        for chunk in used.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            into.put_word(u64::from_le_bytes(word));
        }
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let len = usize::try_from(from.word()?).ok().filter(|&n| n <= Self::MAX_BYTES)?;
        let mut bytes = [0; Self::MAX_BYTES];
        for chunk in bytes.get_mut(..len)?.chunks_mut(8) {
            let word = from.word()?.to_le_bytes();
            chunk.copy_from_slice(word.get(..chunk.len())?);
        }
        core::str::from_utf8(bytes.get(..len)?).ok()?;
        Some(Text { bytes, len })
    }
}

/// A file's name: at most 255 bytes of any value. 32 words at most.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; Name::MAX_BYTES],
    length: u8,
}

impl Name {
    pub const MAX_BYTES: usize = 255;

    /// `None` if it is too long.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Name { bytes, length: name.len() as u8 })
    }
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl Wire for Name {
    fn put(&self, into: &mut Message) {
        // The length is the first byte, so that the longest name fills 32 words exactly.
        let all = core::iter::once(self.length).chain(self.as_bytes().iter().copied());
        let (mut word, mut used) = (0u64, 0);
        for byte in all {
            word |= u64::from(byte) << (8 * used);
            used += 1;
            if used == 8 {
                into.put_word(core::mem::take(&mut word));
                used = 0;
            }
        }
        if used > 0 {
            into.put_word(word);
        }
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let first = from.word()?.to_le_bytes();
        let length = first[0];
        let mut bytes = [0; Self::MAX_BYTES];
        let name = bytes.get_mut(..usize::from(length))?;
        let (head, rest) = name.split_at_mut(usize::from(length).min(7));
        head.copy_from_slice(first.get(1..1 + head.len())?);
        for chunk in rest.chunks_mut(8) {
            let word = from.word()?.to_le_bytes();
            chunk.copy_from_slice(word.get(..chunk.len())?);
        }
        Some(Name { bytes, length })
    }
}

/// A part of the buffer between a client and a server. A client with several threads gives each a part of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub offset_bytes: u32,
    pub length_bytes: u32,
}

impl Wire for Place {
    fn put(&self, into: &mut Message) {
        into.put_word(u64::from(self.offset_bytes) | u64::from(self.length_bytes) << 32);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let word = from.word()?;
        Some(Place { offset_bytes: word as u32, length_bytes: (word >> 32) as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round<T: Wire>(value: &T) -> Option<T> {
        let mut message = Message::new(1);
        value.put(&mut message);
        let mut reader = message.reader();
        let back = T::take(&mut reader);
        assert!(reader.is_empty());
        back
    }

    #[test]
    fn a_text_comes_back_whatever_its_length() {
        for n in [0, 1, 7, 8, 9, 399, 400] {
            let text: [u8; 400] = [b'x'; 400];
            let text = core::str::from_utf8(&text[..n]).unwrap();
            assert_eq!(round(&Text::new(text).unwrap()).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_text_too_long_is_refused_or_clipped_between_characters() {
        let mut long = [b'x'; 402];
        long[399..402].copy_from_slice("€".as_bytes());
        let long = core::str::from_utf8(&long).unwrap();
        assert!(Text::new(long).is_none());
        assert_eq!(Text::clipped(long).as_str().len(), 399);
    }

    #[test]
    fn two_names_of_any_length_fit_into_one_message() {
        for n in [0, 1, 6, 7, 8, 15, 254, 255] {
            let bytes: [u8; 255] = core::array::from_fn(|n| n as u8 ^ 0xa5);
            let name = Name::new(&bytes[..n]).unwrap();
            assert_eq!(round(&name), Some(name));
            assert_eq!(round(&(name, name)), Some((name, name)));
            assert_eq!(name.as_bytes(), &bytes[..n]);
        }
        assert!(Name::new(&[b'x'; 256]).is_none());
        let mut cut = Message::new(1);
        cut.put_word(0x6161_6161_6161_61ff);
        assert_eq!(Name::take(&mut cut.reader()), None, "the rest of it is missing");
    }

    #[test]
    fn a_length_beyond_the_message_is_refused() {
        for words in [&[401][..], &[u64::MAX], &[16, 0x6161], &[1, 0xff]] {
            let mut message = Message::new(1);
            words.iter().for_each(|w| message.put_word(*w));
            assert!(Text::take(&mut message.reader()).is_none(), "{words:?}");
        }
    }

    #[test]
    fn a_number_too_large_for_its_type_is_refused() {
        let mut message = Message::new(1);
        message.put_word(1 << 32);
        assert_eq!(u32::take(&mut message.reader()), None);
        assert_eq!(bool::take(&mut message.reader()), None);
    }

    #[test]
    fn a_message_too_full_says_so() {
        let mut message = Message::new(1);
        (0..65).for_each(|n| message.put_word(n));
        assert!(message.overflowed());
        assert_eq!(message.words().len(), 64);
    }
}
