// SPDX-License-Identifier: PMPL-1.0-or-later
//! Extended attributes behind an inode.

use super::PlanError;
use crate::{Entry, ondisk::*};
use alloc::vec::Vec;

/// The count field has 16 bits and counts 4 bytes each, one for the header.
const MAX_BYTES: usize = (u16::MAX as usize - 1) * 4;

/// Header and attributes sorted by name; empty if there are none.
pub fn encode(entry: &Entry) -> Result<Vec<u8>, PlanError> {
    if entry.xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut sorted: Vec<_> = entry.xattrs.iter().collect();
    sorted.sort_by(|one, two| one.0.cmp(&two.0));
    let mut bytes = alloc::vec![0u8; XATTR_HEADER_BYTES];
    let mut previous = None;
    for (name, value) in sorted {
        let fault = || PlanError::Xattr { path: entry.path.clone(), name: name.clone() };
        let (index, suffix) = split(name).ok_or_else(fault)?;
        let (Ok(name_length), Ok(value_length)) = (u8::try_from(suffix.len()), u16::try_from(value.len())) else {
            return Err(fault());
        };
        if previous.replace(name) == Some(name) {
            return Err(fault());
        }
        bytes.extend_from_slice(&[name_length, index]);
        bytes.extend_from_slice(&value_length.to_le_bytes());
        bytes.extend_from_slice(suffix.as_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    match bytes.len() - XATTR_HEADER_BYTES {
        too_many if too_many > MAX_BYTES => Err(PlanError::XattrsTooLarge { path: entry.path.clone(), bytes: too_many }),
        _ => Ok(bytes),
    }
}

/// The inode's count field for so many bytes.
pub fn count(bytes: usize) -> u16 {
    if bytes == 0 { 0 } else { (1 + bytes.saturating_sub(XATTR_HEADER_BYTES) / 4) as u16 }
}

fn split(name: &str) -> Option<(u8, &str)> {
    XATTR_PREFIXES.iter().find_map(|(index, prefix)| {
        let suffix = name.strip_prefix(prefix)?;
        // A prefix with a dot needs something behind it, the others nothing.
        (suffix.is_empty() != prefix.ends_with('.') && !suffix.contains('\0')).then_some((*index, suffix))
    })
}
