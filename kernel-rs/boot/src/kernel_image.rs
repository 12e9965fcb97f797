// SPDX-License-Identifier: PMPL-1.0-or-later
//! Where the kernel's segments go, from the bytes of `kernel.elf`: a plan, or a refusal. Copies nothing itself.
//!
//! The kernel is an ELF64 executable linked at [`abi::boot_info::KERNEL_BASE`] that needs no relocation. The file has
//! already passed verity when it comes here, yet nothing in it is believed: a wrong kernel must end in a message.

use abi::boot_info::KERNEL_BASE;
use alloc::vec::Vec;
use core::fmt;

pub const PAGE_BYTES: u64 = 4096;
/// Far above any kernel of ours (about 1 MiB); keeps a wild header from eating the machine's memory.
pub const MAX_IMAGE_BYTES: u64 = 64 << 20;
const MAX_SEGMENTS: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    ReadOnly,
    ReadWrite,
    ReadExecute,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// From `KERNEL_BASE`, so also from the physical start of the image.
    pub offset_bytes: u64,
    pub memory_bytes: u64,
    pub file_offset: u64,
    pub file_bytes: u64,
    pub access: Access,
}

impl Segment {
    /// The pages the segment lies in, as offsets from `KERNEL_BASE`.
    pub fn pages(&self) -> core::ops::Range<u64> {
        let end = self.offset_bytes + self.memory_bytes;
        self.offset_bytes / PAGE_BYTES * PAGE_BYTES..end.div_ceil(PAGE_BYTES) * PAGE_BYTES
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Sorted by offset; no two share a page.
    pub segments: Vec<Segment>,
    /// From `KERNEL_BASE` to the end of the last page.
    pub length_bytes: u64,
    /// Virtual address of the entry point.
    pub entry: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    Truncated,
    NotElf64,
    NotExecutable,
    NotX86,
    TooManySegments,
    NoSegments,
    OutsideFile,
    FileLargerThanMemory,
    OutsideKernelSpace,
    TooLarge,
    WritableAndExecutable,
    SharedPage,
    EntryNotExecutable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Truncated => "kernel.elf ends inside its headers",
            Refusal::NotElf64 => "kernel.elf is not a little-endian ELF64 file",
            Refusal::NotExecutable => "kernel.elf is not a fixed-address executable (ET_EXEC)",
            Refusal::NotX86 => "kernel.elf is not for x86_64",
            Refusal::TooManySegments => "kernel.elf has more than 16 loadable segments",
            Refusal::NoSegments => "kernel.elf has no loadable segment",
            Refusal::OutsideFile => "a segment of kernel.elf lies outside the file",
            Refusal::FileLargerThanMemory => "a segment of kernel.elf has more bytes in the file than in memory",
            Refusal::OutsideKernelSpace => "a segment of kernel.elf lies below the kernel's base address",
            Refusal::TooLarge => "kernel.elf needs more than 64 MiB of memory",
            Refusal::WritableAndExecutable => "a segment of kernel.elf is both writable and executable",
            Refusal::SharedPage => "two segments of kernel.elf share a page",
            Refusal::EntryNotExecutable => "the entry point of kernel.elf is not in an executable segment",
        })
    }
}

/// Plans the loading of `file`, the whole of `kernel.elf`.
pub fn plan(file: &[u8]) -> Result<Plan, Refusal> {
    let header = Header::parse(file)?;
    let mut segments = Vec::new();
    for index in 0..u64::from(header.count) {
        let at = index
            .checked_mul(PROGRAM_HEADER_BYTES)
            .and_then(|skip| header.table_offset.checked_add(skip))
            .ok_or(Refusal::Truncated)?;
        if let Some(segment) = segment(file, at)? {
            if segments.len() == MAX_SEGMENTS {
                return Err(Refusal::TooManySegments);
            }
            segments.push(segment);
        }
    }
    segments.sort_by_key(|segment| segment.offset_bytes);
    let last = segments.last().ok_or(Refusal::NoSegments)?;
    let length_bytes = last.pages().end;
    if segments.windows(2).any(|pair| matches!(pair, [a, b] if a.pages().end > b.pages().start)) {
        return Err(Refusal::SharedPage);
    }
    let runs_at = |segment: &Segment| {
        let start = KERNEL_BASE + segment.offset_bytes;
        segment.access == Access::ReadExecute && (start..start + segment.file_bytes).contains(&header.entry)
    };
    if !segments.iter().any(runs_at) {
        return Err(Refusal::EntryNotExecutable);
    }
    Ok(Plan { segments, length_bytes, entry: header.entry })
}

struct Header {
    entry: u64,
    table_offset: u64,
    count: u16,
}

const PROGRAM_HEADER_BYTES: u64 = 56;

impl Header {
    fn parse(file: &[u8]) -> Result<Self, Refusal> {
        let identity = bytes::<8>(file, 0)?;
        // ELFMAG, ELFCLASS64, ELFDATA2LSB, EV_CURRENT; the eighth byte (OS ABI) does not matter.
        if identity.get(..7) != Some(b"\x7fELF\x02\x01\x01") {
            return Err(Refusal::NotElf64);
        }
        if half(file, 16)? != 2 {
            return Err(Refusal::NotExecutable);
        }
        if half(file, 18)? != 62 {
            return Err(Refusal::NotX86);
        }
        if u64::from(half(file, 54)?) != PROGRAM_HEADER_BYTES {
            return Err(Refusal::NotElf64);
        }
        Ok(Header { entry: word(file, 24)?, table_offset: word(file, 32)?, count: half(file, 56)? })
    }
}

/// The program header at `at`, when it is PT_LOAD and not empty.
fn segment(file: &[u8], at: u64) -> Result<Option<Segment>, Refusal> {
    const LOAD: u32 = 1;
    const EXECUTE: u32 = 1;
    const WRITE: u32 = 2;
    let at = usize::try_from(at).map_err(|_| Refusal::Truncated)?;
    let header = file.get(at..).and_then(|rest| rest.get(..56)).ok_or(Refusal::Truncated)?;
    let memory_bytes = word(header, 40)?;
    if u32::from_le_bytes(bytes(header, 0)?) != LOAD || memory_bytes == 0 {
        return Ok(None);
    }
    let flags = u32::from_le_bytes(bytes(header, 4)?);
    let file_offset = word(header, 8)?;
    let file_bytes = word(header, 32)?;
    if file_bytes > memory_bytes {
        return Err(Refusal::FileLargerThanMemory);
    }
    let file_end = file_offset.checked_add(file_bytes).ok_or(Refusal::OutsideFile)?;
    if file_end > file.len() as u64 {
        return Err(Refusal::OutsideFile);
    }
    let offset_bytes = word(header, 16)?.checked_sub(KERNEL_BASE).ok_or(Refusal::OutsideKernelSpace)?;
    if offset_bytes.checked_add(memory_bytes).is_none_or(|end| end > MAX_IMAGE_BYTES) {
        return Err(Refusal::TooLarge);
    }
    let access = match (flags & WRITE != 0, flags & EXECUTE != 0) {
        (true, true) => return Err(Refusal::WritableAndExecutable),
        (true, false) => Access::ReadWrite,
        (false, true) => Access::ReadExecute,
        (false, false) => Access::ReadOnly,
    };
    Ok(Some(Segment { offset_bytes, memory_bytes, file_offset, file_bytes, access }))
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], Refusal> {
    let field = file.get(at..).and_then(|rest| rest.get(..N)).ok_or(Refusal::Truncated)?;
    field.try_into().map_err(|_| Refusal::Truncated)
}

fn half(file: &[u8], at: usize) -> Result<u16, Refusal> {
    bytes(file, at).map(u16::from_le_bytes)
}

fn word(file: &[u8], at: usize) -> Result<u64, Refusal> {
    bytes(file, at).map(u64::from_le_bytes)
}

#[cfg(test)]
#[path = "kernel_image_tests.rs"]
mod tests;
