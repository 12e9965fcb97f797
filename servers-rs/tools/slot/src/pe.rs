// SPDX-License-Identifier: PMPL-1.0-or-later
//! Finds the section of keys in a PE file (PE/COFF specification, sections 3 and 4). Nothing else of a PE file is understood.

use slot::{KEYS_SECTION_BYTES, KEYS_SECTION_NAME};
use std::{fmt, ops::Range};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeFault {
    NotPe,
    NoSection,
    TwoSections,
    SectionSize { bytes: usize },
    Signed,
}

impl fmt::Display for PeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPe => write!(f, "it is no 64-bit PE file, or a damaged one"),
            Self::NoSection => write!(f, "it has no section {KEYS_SECTION_NAME}"),
            Self::TwoSections => write!(f, "it has more than one section {KEYS_SECTION_NAME}"),
            Self::SectionSize { bytes } => {
                write!(f, "its section {KEYS_SECTION_NAME} has {bytes} bytes, {KEYS_SECTION_BYTES} are needed")
            }
            Self::Signed => write!(f, "it is signed already, and other keys would break the signature"),
        }
    }
}

/// Where in the file the keys lie.
pub fn keys_section(file: &[u8]) -> Result<Range<usize>, PeFault> {
    let coff = coff_header(file).ok_or(PeFault::NotPe)?;
    let count = usize::from(u16_at(file, coff + 2).ok_or(PeFault::NotPe)?);
    let table = coff + 20 + usize::from(u16_at(file, coff + 16).ok_or(PeFault::NotPe)?);
    let mut found = None;
    for index in 0..count {
        let at = table + index * 40;
        let name = file.get(at..at + 8).ok_or(PeFault::NotPe)?;
        if name.strip_prefix(KEYS_SECTION_NAME.as_bytes()).is_none_or(|rest| rest.iter().any(|byte| *byte != 0)) {
            continue;
        }
        let [virtual_size, _, raw_size, start] =
            [8, 12, 16, 20].map(|field| u32_at(file, at + field).map(|value| value as usize));
        let bytes = virtual_size.ok_or(PeFault::NotPe)?.min(raw_size.ok_or(PeFault::NotPe)?);
        let start = start.ok_or(PeFault::NotPe)?;
        if bytes < KEYS_SECTION_BYTES {
            return Err(PeFault::SectionSize { bytes });
        }
        file.get(start..start + KEYS_SECTION_BYTES).ok_or(PeFault::NotPe)?;
        if found.replace(start..start + KEYS_SECTION_BYTES).is_some() {
            return Err(PeFault::TwoSections);
        }
    }
    found.ok_or(PeFault::NoSection)
}

/// Whether the file carries Authenticode signatures: data directory 4 is not empty.
pub fn is_signed(file: &[u8]) -> Result<bool, PeFault> {
    let optional = coff_header(file).ok_or(PeFault::NotPe)? + 20;
    let directories = u32_at(file, optional + 108).ok_or(PeFault::NotPe)?;
    Ok(directories > 4 && u32_at(file, optional + 112 + 4 * 8 + 4).ok_or(PeFault::NotPe)? != 0)
}

/// Offset of the COFF header of a PE32+ file.
fn coff_header(file: &[u8]) -> Option<usize> {
    let start = u32_at(file, 0x3c)? as usize;
    let is_pe = file.starts_with(b"MZ") && file.get(start..start + 4)? == b"PE\0\0";
    (is_pe && u16_at(file, start + 24)? == 0x20b).then_some(start + 4)
}

fn u16_at(file: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?))
}
