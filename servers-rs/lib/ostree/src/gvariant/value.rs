// SPDX-License-Identifier: PMPL-1.0-or-later
//! A value to serialise. Values are our own, so a mistake in their types is a programmer's, not an input's.

use super::types::{align, alignment, fixed_size, offset_size};
use alloc::{boxed::Box, string::String, vec::Vec};

/// A GVariant value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Bool(bool),
    U32(u32),
    U64(u64),
    Text(String),
    /// `ay`.
    Bytes(Vec<u8>),
    /// Elements, all of the type that the string names.
    Array(&'static str, Vec<Value>),
    Tuple(Vec<Value>),
    /// `{sv}`.
    Entry(String, Box<Value>),
}

impl Value {
    /// `a{sv}` from pairs; sorted by key, so that equal content has equal bytes.
    pub fn dictionary(mut pairs: Vec<(String, Value)>) -> Self {
        pairs.sort_by(|one, two| one.0.cmp(&two.0));
        Self::Array("{sv}", pairs.into_iter().map(|(key, value)| Self::Entry(key, Box::new(value))).collect())
    }

    /// The type string.
    pub fn type_string(&self) -> String {
        match self {
            Self::Bool(_) => "b".into(),
            Self::U32(_) => "u".into(),
            Self::U64(_) => "t".into(),
            Self::Text(_) => "s".into(),
            Self::Bytes(_) => "ay".into(),
            Self::Array(element, _) => String::from("a") + element,
            Self::Tuple(members) => {
                let inner: String = members.iter().map(Self::type_string).collect();
                String::from("(") + &inner + ")"
            }
            Self::Entry(..) => "{sv}".into(),
        }
    }

    /// A tuple of members that are serialised already: type string and bytes of each, and the tuple's own type.
    pub(crate) fn serialised_tuple(members: Vec<(String, Vec<u8>)>, own_type: &str) -> Vec<u8> {
        tuple_bytes(members, own_type)
    }

    /// The serialised bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => alloc::vec![u8::from(*value)],
            Self::U32(value) => value.to_be_bytes().to_vec(),
            Self::U64(value) => value.to_be_bytes().to_vec(),
            Self::Text(text) => text_bytes(text),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Array(element, items) => array_bytes(element, items),
            Self::Tuple(members) => {
                tuple_bytes(members.iter().map(|member| (member.type_string(), member.to_bytes())).collect(), &self.type_string())
            }
            Self::Entry(key, value) => {
                tuple_bytes(alloc::vec![("s".into(), text_bytes(key)), ("v".into(), variant_bytes(value))], "{sv}")
            }
        }
    }
}

fn text_bytes(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The value, a zero, its type string (2.5.4).
fn variant_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = value.to_bytes();
    bytes.push(0);
    bytes.extend_from_slice(value.type_string().as_bytes());
    bytes
}

fn array_bytes(element: &str, items: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for item in items {
        bytes.resize(align(bytes.len(), alignment(element.as_bytes())), 0);
        bytes.extend_from_slice(&item.to_bytes());
        ends.push(bytes.len());
    }
    if fixed_size(element.as_bytes()).is_none() {
        append_offsets(&mut bytes, &ends);
    }
    bytes
}

/// Members with their types, framing offsets of all but a last variable-size one in reverse order (2.5.3).
fn tuple_bytes(members: Vec<(String, Vec<u8>)>, own_type: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    let last = members.len().saturating_sub(1);
    for (index, (member_type, member)) in members.iter().enumerate() {
        bytes.resize(align(bytes.len(), alignment(member_type.as_bytes())), 0);
        bytes.extend_from_slice(member);
        if index != last && fixed_size(member_type.as_bytes()).is_none() {
            ends.push(bytes.len());
        }
    }
    if let Some(size) = fixed_size(own_type.as_bytes()) {
        bytes.resize(size, 0);
    }
    ends.reverse();
    append_offsets(&mut bytes, &ends);
    bytes
}

fn append_offsets(bytes: &mut Vec<u8>, ends: &[usize]) {
    if ends.is_empty() {
        return;
    }
    // The smallest offset size that still holds when the offsets themselves are counted.
    let fits = |size: &usize| offset_size(bytes.len() + size * ends.len()) <= *size;
    let size = [1, 2, 4, 8].into_iter().find(fits).unwrap_or(8);
    for end in ends {
        bytes.extend(end.to_le_bytes().into_iter().take(size));
    }
}
