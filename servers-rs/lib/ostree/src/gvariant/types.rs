// SPDX-License-Identifier: PMPL-1.0-or-later
//! Type strings: where the first type ends, its alignment, its size if that is fixed.
//!
//! Type strings of variants are foreign bytes, so length and nesting are bounded.

/// Longer than any type of OSTree (the longest has 22 characters).
pub const MAX_TYPE_BYTES: usize = 64;
const MAX_DEPTH: usize = 16;

/// Splits off the first complete type. `None` if there is none, or it is of a kind that is not supported.
pub fn first(types: &[u8]) -> Option<(&[u8], &[u8])> {
    if types.len() > MAX_TYPE_BYTES {
        return None;
    }
    let length = length(types, 0)?;
    Some((types.get(..length)?, types.get(length..)?))
}

/// Whether the string is exactly one type.
pub fn is_single(types: &[u8]) -> bool {
    first(types).is_some_and(|(_, rest)| rest.is_empty())
}

fn length(types: &[u8], depth: usize) -> Option<usize> {
    if depth > MAX_DEPTH {
        return None;
    }
    match types.first()? {
        b'b' | b'y' | b'u' | b't' | b's' | b'v' => Some(1),
        b'a' => Some(1 + length(types.get(1..)?, depth + 1)?),
        b'(' => members_length(types, b')', depth),
        b'{' => members_length(types, b'}', depth),
        _ => None,
    }
}

fn members_length(types: &[u8], end: u8, depth: usize) -> Option<usize> {
    let mut at = 1;
    while *types.get(at)? != end {
        at += length(types.get(at..)?, depth + 1)?;
    }
    Some(at + 1)
}

/// The member types of a tuple or dictionary entry, one after the other; empty for anything else.
pub fn members(container: &[u8]) -> &[u8] {
    match container {
        [b'(' | b'{', inner @ .., _] => inner,
        _ => &[],
    }
}

/// Alignment in bytes of values of a type.
pub fn alignment(one: &[u8]) -> usize {
    match one.first() {
        Some(b'u') => 4,
        Some(b't' | b'v') => 8,
        Some(b'a') => one.get(1..).map_or(1, alignment),
        Some(b'(' | b'{') => each(members(one)).map(alignment).max().unwrap_or(1),
        _ => 1,
    }
}

/// Size in bytes if all values of the type have the same.
pub fn fixed_size(one: &[u8]) -> Option<usize> {
    match one.first()? {
        b'b' | b'y' => Some(1),
        b'u' => Some(4),
        b't' => Some(8),
        b'(' | b'{' => {
            let mut size = 0;
            for member in each(members(one)) {
                size = align(size, alignment(member)) + fixed_size(member)?;
            }
            // The unit tuple takes one byte (2.5.3).
            Some(align(size, alignment(one)).max(1))
        }
        _ => None,
    }
}

/// The types of a string, one by one.
pub fn each(types: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = types;
    core::iter::from_fn(move || {
        let (one, after) = first(rest)?;
        rest = after;
        Some(one)
    })
}

/// `at` rounded up to a multiple of `alignment` (1, 4 or 8).
pub fn align(at: usize, alignment: usize) -> usize {
    at.div_ceil(alignment).saturating_mul(alignment)
}

/// Bytes of each framing offset in a container of `total` bytes, offsets included (2.3.6).
pub fn offset_size(total: usize) -> usize {
    match total {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}
