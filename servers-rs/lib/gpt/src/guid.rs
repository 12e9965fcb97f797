// SPDX-License-Identifier: PMPL-1.0-or-later
//! A GUID as it lies on disk: the first three fields little endian (UEFI 2.10 appendix A).

use core::{fmt, str::FromStr};

/// Sixteen bytes in disk order. Shown and parsed in the usual text form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

/// The text is not of the form `01234567-89ab-cdef-0123-456789abcdef`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuidError;

impl fmt::Display for GuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no GUID: want 8-4-4-4-12 hexadecimal digits")
    }
}

impl core::error::Error for GuidError {}

impl Guid {
    /// All zero: an unused entry's type.
    pub const NIL: Self = Self([0; 16]);

    /// From the fields of the text form.
    pub const fn from_fields(a: u32, b: u16, c: u16, d: [u8; 8]) -> Self {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        Self([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
    }

    /// Whether it is all zero.
    pub fn is_nil(&self) -> bool {
        *self == Self::NIL
    }
}

/// Which disk byte each pair of hexadecimal digits of the text form is.
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, index) in ORDER.iter().enumerate() {
            if matches!(position, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0.get(*index).copied().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        let groups = [8, 4, 4, 4, 12];
        let mut parts = text.split('-');
        let mut digits = [0u8; 32];
        let mut at = 0;
        for length in groups {
            let part = parts.next().filter(|part| part.len() == length).ok_or(GuidError)?;
            for character in part.chars() {
                *digits.get_mut(at).ok_or(GuidError)? = character.to_digit(16).ok_or(GuidError)? as u8;
                at += 1;
            }
        }
        if parts.next().is_some() {
            return Err(GuidError);
        }
        let mut bytes = [0u8; 16];
        for (index, pair) in ORDER.iter().zip(digits.chunks_exact(2)) {
            if let ([high, low], Some(byte)) = (pair, bytes.get_mut(*index)) {
                *byte = high << 4 | low;
            }
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_first_three_fields_are_little_endian() {
        let text = "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6";
        let guid: Guid = text.parse().unwrap();
        assert_eq!(guid, crate::types::SLOT);
        assert_eq!(guid.0[..8], [0xf4, 0xf5, 0xfb, 0x5d, 0x48, 0x28, 0xac, 0x4b]);
        assert_eq!(guid.to_string(), text);
    }

    #[test]
    fn what_is_no_guid_is_refused() {
        for text in [
            "",
            "5dfbf5f4",
            "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a",
            "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6-",
            "5dfbf5fg-2848-4bac-aa5e-0d9a20b745a6",
            "é234567-2848-4bac-aa5e-0d9a20b745a6",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(GuidError), "{text}");
        }
    }
}
