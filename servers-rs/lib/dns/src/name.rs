// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names of hosts: labels with their lengths before them (RFC 1035, 3.1 and 4.1.4). Small letters only: they compare so
//! (RFC 4343, 3).

use alloc::vec::Vec;

/// RFC 1035, 2.3.4.
const MAX_NAME_BYTES: usize = 255;
const MAX_LABEL_BYTES: usize = 63;
/// Each goes backwards, and a message that needs more of them was made to keep its reader busy.
const MAX_POINTERS: usize = 16;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name(Vec<u8>);

impl Name {
    /// From text: letters, digits, `-` and `_` between dots, a dot at the end or not. `None`: it is no name.
    pub fn from_text(text: &str) -> Option<Name> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut bytes = Vec::with_capacity(text.len() + 2);
        for label in text.split('.') {
            let is_fit = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if label.is_empty() || label.len() > MAX_LABEL_BYTES || !label.bytes().all(is_fit) {
                return None;
            }
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
        }
        bytes.push(0);
        (bytes.len() <= MAX_NAME_BYTES).then_some(Name(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name at a place of a message, and where it ends there. `None`: it runs out of the message, is too long, or points
    /// forwards or too often.
    pub fn read(message: &[u8], at: usize) -> Option<(Name, usize)> {
        let (mut bytes, mut place, mut end, mut pointers) = (Vec::new(), at, None, 0);
        loop {
            let length = *message.get(place)?;
            match length >> 6 {
                0 => {
                    let label = message.get(place..place + 1 + usize::from(length))?;
                    bytes.push(length);
                    bytes.extend(label.iter().skip(1).map(u8::to_ascii_lowercase));
                    place += label.len();
                    if bytes.len() > MAX_NAME_BYTES {
                        return None;
                    }
                    if length == 0 {
                        return Some((Name(bytes), end.unwrap_or(place)));
                    }
                }
                3 => {
                    let to = usize::from(u16::from_be_bytes([length & 0x3f, *message.get(place + 1)?]));
                    pointers += 1;
                    if to >= place || pointers > MAX_POINTERS {
                        return None;
                    }
                    end = end.or(Some(place + 2));
                    place = to;
                }
                _ => return None,
            }
        }
    }
}
