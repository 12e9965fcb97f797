// SPDX-License-Identifier: PMPL-1.0-or-later
//! An ELF file, checked, as the pieces to map: used by the bundle tool on the host and by the process server.
//!
//! Statically linked, fixed-address x86-64 executables only. It maps nothing and copies nothing.
//! Facts of the format: System V gABI, chapters 4 and 5.
#![no_std]

pub mod symbols;

use core::fmt;
use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_R, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_TLS};
use elf::endian::LittleEndian;

pub const PAGE_BYTES: u64 = 4096;
/// As many as `abi::bundle::MAX_ROOT_SEGMENTS`; our linker makes four.
pub const MAX_SEGMENTS: usize = 8;
/// Programs lie below this address, so that what the starter maps (`manifest::layout`) never overlaps.
pub const PROGRAM_END: u64 = 0x1000_0000_0000;
/// No program of ours comes near; more is a damaged header.
pub const MAX_MEMORY_BYTES: u64 = 1 << 30;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    ReadWrite,
    ReadExecute,
}

/// Whole pages; `lead_bytes` zero bytes, then `file_bytes` from the file, then zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    pub address: u64,
    pub memory_bytes: u64,
    pub lead_bytes: u64,
    pub file_offset: usize,
    pub file_bytes: usize,
    pub access: Access,
}

impl Segment {
    /// Its bytes in the file; the bounds were checked when it was made.
    pub fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        self.file_offset.checked_add(self.file_bytes).and_then(|end| file.get(self.file_offset..end)).unwrap_or(&[])
    }
    fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_bytes)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    NotElf,
    /// Not a fixed-address x86-64 executable.
    WrongKind,
    /// It asks for a dynamic linker, relocations or thread-local storage.
    NotStatic,
    NoSegments,
    TooManySegments,
    WriteAndExecute {
        address: u64,
    },
    /// The bytes of a segment are not in the file, or more than its memory.
    OutsideFile {
        address: u64,
    },
    /// Page 0, beyond [`PROGRAM_END`], or more than [`MAX_MEMORY_BYTES`].
    OutsideProgramSpace {
        address: u64,
    },
    Overlap {
        address: u64,
    },
    /// The entry point is in no executable segment.
    EntryNotExecutable {
        address: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotElf => write!(f, "not a 64-bit little-endian ELF file"),
            Fault::WrongKind => write!(f, "not a fixed-address x86-64 executable"),
            Fault::NotStatic => write!(f, "needs a dynamic linker or thread-local storage"),
            Fault::NoSegments => write!(f, "has no loadable segment"),
            Fault::TooManySegments => write!(f, "has more than {MAX_SEGMENTS} loadable segments"),
            Fault::WriteAndExecute { address } => write!(f, "segment at {address:#x} is writable and executable"),
            Fault::OutsideFile { address } => write!(f, "segment at {address:#x} has bytes that are not in the file"),
            Fault::OutsideProgramSpace { address } => write!(f, "segment at {address:#x} lies where no program may"),
            Fault::Overlap { address } => write!(f, "segment at {address:#x} shares a page with the one before"),
            Fault::EntryNotExecutable { address } => write!(f, "entry point {address:#x} is in no executable segment"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub entry: u64,
    segments: [Option<Segment>; MAX_SEGMENTS],
}

impl Program {
    /// Checks everything that mapping relies on. Never panics, whatever the bytes.
    pub fn parse(file: &[u8]) -> Result<Program, Fault> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| Fault::NotElf)?;
        if elf.ehdr.class != elf::file::Class::ELF64 {
            return Err(Fault::NotElf);
        }
        if elf.ehdr.e_machine != EM_X86_64 || elf.ehdr.e_type != ET_EXEC {
            return Err(Fault::WrongKind);
        }
        let mut program = Program { entry: elf.ehdr.e_entry, segments: [None; MAX_SEGMENTS] };
        let mut places = program.segments.iter_mut();
        let mut last_end = PAGE_BYTES;
        for header in elf.segments().ok_or(Fault::NoSegments)?.iter() {
            match header.p_type {
                PT_INTERP | PT_DYNAMIC | PT_TLS => return Err(Fault::NotStatic),
                PT_LOAD if header.p_memsz > 0 => {
                    let segment = check(&header, file.len())?;
                    // The gABI has PT_LOAD in ascending order of address, so looking one back is enough.
                    if segment.address < last_end {
                        return Err(Fault::Overlap { address: header.p_vaddr });
                    }
                    last_end = segment.end();
                    *places.next().ok_or(Fault::TooManySegments)? = Some(segment);
                }
                _ => {}
            }
        }
        if program.segments().next().is_none() {
            return Err(Fault::NoSegments);
        }
        let entered = program.segments().find(|s| (s.address..s.end()).contains(&program.entry));
        if entered.is_none_or(|s| s.access != Access::ReadExecute) {
            return Err(Fault::EntryNotExecutable { address: program.entry });
        }
        Ok(program)
    }

    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().flatten()
    }
    /// What its segments take.
    pub fn memory_bytes(&self) -> u64 {
        self.segments().map(|s| s.memory_bytes).sum()
    }
}

fn check(header: &elf::segment::ProgramHeader, file_length: usize) -> Result<Segment, Fault> {
    let address = header.p_vaddr;
    let access = match (header.p_flags & PF_R != 0, header.p_flags & PF_W != 0, header.p_flags & PF_X != 0) {
        (_, true, true) => return Err(Fault::WriteAndExecute { address }),
        (_, true, false) => Access::ReadWrite,
        (_, false, true) => Access::ReadExecute,
        _ => Access::Read,
    };
    let (offset, length) = (usize::try_from(header.p_offset), usize::try_from(header.p_filesz));
    let (Ok(file_offset), Ok(file_bytes)) = (offset, length) else {
        return Err(Fault::OutsideFile { address });
    };
    let inside = file_offset.checked_add(file_bytes).is_some_and(|end| end <= file_length);
    if !inside || header.p_filesz > header.p_memsz {
        return Err(Fault::OutsideFile { address });
    }
    let start = address / PAGE_BYTES * PAGE_BYTES;
    let end = address.checked_add(header.p_memsz).filter(|&e| e <= PROGRAM_END && header.p_memsz <= MAX_MEMORY_BYTES);
    let (Some(end), true) = (end, start >= PAGE_BYTES) else {
        return Err(Fault::OutsideProgramSpace { address });
    };
    Ok(Segment {
        address: start,
        memory_bytes: end.next_multiple_of(PAGE_BYTES) - start,
        lead_bytes: address - start,
        file_offset,
        file_bytes,
        access,
    })
}

#[cfg(test)]
mod tests;
