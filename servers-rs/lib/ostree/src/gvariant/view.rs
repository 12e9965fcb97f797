// SPDX-License-Identifier: PMPL-1.0-or-later
//! Reads serialised values in place. Anything that is not exactly what the type says is a [`Fault`].

use super::types::{align, alignment, each, first, fixed_size, is_single, members, offset_size};
use core::fmt;

/// Why bytes are not a value of the type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Too short, too long, or an offset that leads outside or backwards.
    Frame,
    /// Asked for another type than there is.
    Type,
    /// Not UTF-8, or no zero at the end, or one within.
    Text,
    /// There is no such member, element or key.
    Missing,
    /// Larger than the reader's limit.
    Limit,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "its framing is damaged",
            Self::Type => "it has another type",
            Self::Text => "its text is no text",
            Self::Missing => "something is missing",
            Self::Limit => "it is larger than allowed",
        })
    }
}

impl core::error::Error for Fault {}

/// A value in serialised form: a type and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    type_string: &'a [u8],
    data: &'a [u8],
}

impl<'a> View<'a> {
    /// A value of `type_string` in `data`.
    pub fn new(type_string: &'a str, data: &'a [u8]) -> Result<Self, Fault> {
        Self::of(type_string.as_bytes(), data)
    }

    fn of(type_string: &'a [u8], data: &'a [u8]) -> Result<Self, Fault> {
        if !is_single(type_string) {
            return Err(Fault::Type);
        }
        match fixed_size(type_string) {
            Some(size) if size != data.len() => Err(Fault::Frame),
            _ => Ok(Self { type_string, data }),
        }
    }

    /// The serialised bytes.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    pub fn bool(&self) -> Result<bool, Fault> {
        match (self.is("b")?, self.data) {
            (_, [0]) => Ok(false),
            (_, [1]) => Ok(true),
            _ => Err(Fault::Frame),
        }
    }

    pub fn u32(&self) -> Result<u32, Fault> {
        self.is("u")?;
        Ok(u32::from_be_bytes(self.data.try_into().map_err(|_| Fault::Frame)?))
    }

    pub fn u64(&self) -> Result<u64, Fault> {
        self.is("t")?;
        Ok(u64::from_be_bytes(self.data.try_into().map_err(|_| Fault::Frame)?))
    }

    pub fn text(&self) -> Result<&'a str, Fault> {
        self.is("s")?;
        let (end, text) = self.data.split_last().ok_or(Fault::Text)?;
        if *end != 0 || text.contains(&0) {
            return Err(Fault::Text);
        }
        core::str::from_utf8(text).map_err(|_| Fault::Text)
    }

    /// The bytes of an `ay`.
    pub fn bytes(&self) -> Result<&'a [u8], Fault> {
        self.is("ay")?;
        Ok(self.data)
    }

    /// The bytes of an `ay` of exactly `N`.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], Fault> {
        self.bytes()?.try_into().map_err(|_| Fault::Frame)
    }

    /// What a variant holds.
    pub fn variant(&self) -> Result<View<'a>, Fault> {
        self.is("v")?;
        let zero = self.data.iter().rposition(|byte| *byte == 0).ok_or(Fault::Frame)?;
        Self::of(self.data.get(zero + 1..).ok_or(Fault::Frame)?, self.data.get(..zero).ok_or(Fault::Frame)?)
    }

    /// The elements of an array. At most `limit`, else [`Fault::Limit`].
    pub fn elements(&self, limit: usize) -> Result<Elements<'a>, Fault> {
        let [b'a', element @ ..] = self.type_string else {
            return Err(Fault::Type);
        };
        let (count, offsets) = match fixed_size(element) {
            Some(size) if self.data.len().is_multiple_of(size) => (self.data.len() / size, None),
            Some(_) => return Err(Fault::Frame),
            None if self.data.is_empty() => (0, None),
            None => {
                let offsets = Offsets::of_array(self.data)?;
                (offsets.count, Some(offsets))
            }
        };
        if count > limit {
            return Err(Fault::Limit);
        }
        Ok(Elements { element, data: self.data, offsets, index: 0, count, end: 0 })
    }

    /// Member `index` of a tuple or dictionary entry.
    pub fn member(&self, index: usize) -> Result<View<'a>, Fault> {
        if !matches!(self.type_string.first(), Some(b'(' | b'{')) {
            return Err(Fault::Type);
        }
        let size = offset_size(self.data.len());
        let variable = each(members(self.type_string)).filter(|one| fixed_size(one).is_none()).count();
        let mut rest = members(self.type_string);
        let (mut at, mut used, mut position) = (0usize, 0usize, 0usize);
        while let Some((one, after)) = first(rest) {
            let start = align(at, alignment(one));
            let end = match fixed_size(one) {
                Some(fixed) => start.checked_add(fixed).ok_or(Fault::Frame)?,
                // The last member needs no offset: it ends where the offsets begin.
                None if after.is_empty() => self.data.len().checked_sub(size * variable.saturating_sub(1)).ok_or(Fault::Frame)?,
                None => {
                    used += 1;
                    let place = self.data.len().checked_sub(size * used).ok_or(Fault::Frame)?;
                    read_offset(self.data, place, size)?
                }
            };
            if position == index {
                // An empty value at the end may start after the padding that nobody wrote.
                let slice = if start <= end { self.data.get(start..end) } else { None };
                return Self::of(one, slice.ok_or(Fault::Frame)?);
            }
            if end < at {
                return Err(Fault::Frame);
            }
            (at, rest, position) = (end, after, position + 1);
        }
        Err(Fault::Missing)
    }

    /// The value of a key of an `a{sv}` with at most `limit` entries. A key that stands there twice is refused.
    pub fn lookup(&self, key: &str, limit: usize) -> Result<View<'a>, Fault> {
        let mut found = None;
        for entry in self.elements(limit)? {
            let entry = entry?;
            if entry.member(0)?.text()? == key {
                if found.is_some() {
                    return Err(Fault::Frame);
                }
                found = Some(entry.member(1)?.variant()?);
            }
        }
        found.ok_or(Fault::Missing)
    }

    fn is(&self, type_string: &str) -> Result<(), Fault> {
        if self.type_string == type_string.as_bytes() { Ok(()) } else { Err(Fault::Type) }
    }
}

/// The elements of an array, in order.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    element: &'a [u8],
    data: &'a [u8],
    offsets: Option<Offsets>,
    index: usize,
    count: usize,
    end: usize,
}

impl<'a> Elements<'a> {
    /// How many there are in all.
    pub fn count_all(&self) -> usize {
        self.count
    }

    fn take(&mut self) -> Result<View<'a>, Fault> {
        let start = align(self.end, alignment(self.element));
        let end = match (&self.offsets, fixed_size(self.element)) {
            (Some(offsets), _) => offsets.get(self.data, self.index)?,
            (None, Some(size)) => start.checked_add(size).ok_or(Fault::Frame)?,
            (None, None) => return Err(Fault::Frame),
        };
        let limit = self.offsets.as_ref().map_or(self.data.len(), |offsets| offsets.start);
        if start > end || end > limit {
            return Err(Fault::Frame);
        }
        self.end = end;
        View::of(self.element, self.data.get(start..end).ok_or(Fault::Frame)?)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<View<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let item = self.take();
        // After damage there is nothing to go on from.
        self.index = if item.is_ok() { self.index + 1 } else { self.count };
        Some(item)
    }
}

/// The framing offsets at the end of an array.
#[derive(Clone, Debug)]
struct Offsets {
    start: usize,
    size: usize,
    count: usize,
}

impl Offsets {
    fn of_array(data: &[u8]) -> Result<Self, Fault> {
        let size = offset_size(data.len());
        // The last offset is the end of the last element, which is where the offsets begin.
        let start = read_offset(data, data.len().checked_sub(size).ok_or(Fault::Frame)?, size)?;
        let bytes = data.len().checked_sub(start).ok_or(Fault::Frame)?;
        if bytes == 0 || !bytes.is_multiple_of(size) {
            return Err(Fault::Frame);
        }
        Ok(Self { start, size, count: bytes / size })
    }

    fn get(&self, data: &[u8], index: usize) -> Result<usize, Fault> {
        read_offset(data, self.start + index * self.size, self.size)
    }
}

fn read_offset(data: &[u8], at: usize, size: usize) -> Result<usize, Fault> {
    let bytes = at.checked_add(size).and_then(|end| data.get(at..end)).ok_or(Fault::Frame)?;
    let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    usize::try_from(value).map_err(|_| Fault::Frame)
}
