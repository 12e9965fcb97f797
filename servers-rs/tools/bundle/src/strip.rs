// SPDX-License-Identifier: PMPL-1.0-or-later
//! An ELF file cut after its last segment: sections, symbols and debugging data gone, program headers untouched.

use program::{Fault, Program};

/// Offsets in the ELF header (gABI chapter 4) of `e_shoff`, and of `e_shnum` with `e_shstrndx`.
const SECTION_OFFSET: std::ops::Range<usize> = 40..48;
const SECTION_COUNTS: std::ops::Range<usize> = 60..64;

pub fn strip(file: &[u8]) -> Result<Vec<u8>, Fault> {
    let parsed = Program::parse(file)?;
    let headers = elf_headers_end(file).ok_or(Fault::NotElf)?;
    let end = parsed.segments().map(|s| s.file_offset + s.file_bytes).max().unwrap_or(0).max(headers);
    let mut small = file.get(..end).ok_or(Fault::NotElf)?.to_vec();
    for range in [SECTION_OFFSET, SECTION_COUNTS] {
        small.get_mut(range).ok_or(Fault::NotElf)?.fill(0);
    }
    Program::parse(&small)?;
    Ok(small)
}

/// The end of the program headers: `e_phoff` + `e_phentsize` * `e_phnum`.
fn elf_headers_end(file: &[u8]) -> Option<usize> {
    let offset = usize::try_from(u64::from_le_bytes(*file.get(32..)?.first_chunk()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(*file.get(54..)?.first_chunk()?));
    let count = usize::from(u16::from_le_bytes(*file.get(56..)?.first_chunk()?));
    offset.checked_add(size * count)
}
