// SPDX-License-Identifier: PMPL-1.0-or-later
//! What an ELF executable asks for (elf(5)): 64 bits, x86-64, static or with an interpreter. Any bytes may come: every number is
//! checked before it is used. It maps nothing.

use crate::errno::{EINVAL, ELIBBAD, ENOEXEC, Result};
use crate::memory::space::{END, LOWEST};
use crate::platform::{Access, PAGE_BYTES};
use alloc::vec::Vec;
use core::ops::Range;
use elf::abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::SegmentTable;

/// Length of the header of 64-bit files.
pub const HEADER_BYTES: usize = 64;
const IDENT_BYTES: usize = 16;
const ENTRY_BYTES: u16 = 56;
/// As ELF_MIN_ALIGN times 16 of Linux would allow: a page of entries.
const MOST_ENTRIES: u16 = 73;
/// PATH_MAX.
const MOST_PATH_BYTES: u64 = 4096;

/// A piece to map: pages from the file, then zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    pub address: u64,
    pub file_offset: u64,
    pub file_bytes: u64,
    pub memory_bytes: u64,
    pub access: Access,
}

impl Load {
    /// In whole pages, from the first that holds a byte of it.
    pub fn pages(&self) -> Range<u64> {
        self.address & !(PAGE_BYTES - 1)..(self.address + self.memory_bytes).next_multiple_of(PAGE_BYTES)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    pub entry: u64,
    /// It may be loaded anywhere.
    pub is_relative: bool,
    pub loads: Vec<Load>,
    /// Where the path of its interpreter is in the file.
    pub interpreter: Option<Range<u64>>,
    /// Where the program headers are in memory; and how many.
    pub headers: (u64, u16),
    pub stack_executes: bool,
}

impl Image {
    /// Where its program headers are in the file. Errors: `ENOEXEC` for what is no executable of this machine.
    pub fn headers_at(header: &[u8]) -> Result<Range<u64>> {
        let header = parse(header)?;
        if header.e_phentsize != ENTRY_BYTES || header.e_phnum == 0 || header.e_phnum > MOST_ENTRIES {
            return Err(ENOEXEC);
        }
        let length = u64::from(header.e_phnum) * u64::from(ENTRY_BYTES);
        let end = header.e_phoff.checked_add(length).ok_or(ENOEXEC)?;
        Ok(header.e_phoff..end)
    }

    /// Errors: `ENOEXEC`; `EINVAL` for pieces that make no sense; `ELIBBAD` for a path of an interpreter that is none.
    pub fn parse(header: &[u8], entries: &[u8]) -> Result<Image> {
        let header = parse(header)?;
        let mut image = Image {
            entry: header.e_entry,
            is_relative: header.e_type == ET_DYN,
            loads: Vec::new(),
            interpreter: None,
            headers: (0, header.e_phnum),
            stack_executes: false,
        };
        let mut named = None;
        for entry in SegmentTable::new(LittleEndian, Class::ELF64, entries).iter() {
            match entry.p_type {
                PT_LOAD if entry.p_memsz > 0 => {
                    let end = entry.p_vaddr.checked_add(entry.p_memsz).filter(|end| *end <= END).ok_or(EINVAL)?;
                    let file_end = entry.p_offset.checked_add(entry.p_filesz).ok_or(EINVAL)?;
                    let alike = entry.p_vaddr % PAGE_BYTES == entry.p_offset % PAGE_BYTES;
                    if entry.p_filesz > entry.p_memsz || !alike || file_end > i64::MAX as u64 || end < entry.p_vaddr {
                        return Err(EINVAL);
                    }
                    let bit = |flag, access: Access| if entry.p_flags & flag != 0 { access } else { Access::NONE };
                    let access = bit(PF_R, Access::READ).with(bit(PF_W, Access::WRITE)).with(bit(PF_X, Access::EXECUTE));
                    let load = Load {
                        address: entry.p_vaddr,
                        file_offset: entry.p_offset,
                        file_bytes: entry.p_filesz,
                        memory_bytes: entry.p_memsz,
                        access,
                    };
                    // The headers are in memory where the piece of the file that holds them is.
                    if (entry.p_offset..file_end).contains(&header.e_phoff) {
                        image.headers.0 = entry.p_vaddr + (header.e_phoff - entry.p_offset);
                    }
                    image.loads.push(load);
                }
                PT_INTERP if image.interpreter.is_none() => {
                    let end = entry.p_offset.checked_add(entry.p_filesz).ok_or(ENOEXEC)?;
                    if !(2..=MOST_PATH_BYTES).contains(&entry.p_filesz) {
                        return Err(ENOEXEC);
                    }
                    image.interpreter = Some(entry.p_offset..end);
                }
                PT_PHDR => named = Some(entry.p_vaddr),
                PT_GNU_STACK => image.stack_executes = entry.p_flags & PF_X != 0,
                _ => {}
            }
        }
        image.headers.0 = named.unwrap_or(image.headers.0);
        image.check()?;
        Ok(image)
    }

    fn check(&self) -> Result<()> {
        let first = self.loads.first().ok_or(ENOEXEC)?;
        let ordered = self.loads.windows(2).all(|pair| pair[0].address + pair[0].memory_bytes <= pair[1].address);
        if !ordered {
            return Err(EINVAL);
        }
        if !self.is_relative && first.address < LOWEST { Err(EINVAL) } else { Ok(()) }
    }

    /// From the first page to the last.
    pub fn span(&self) -> Range<u64> {
        let start = self.loads.first().map_or(0, |load| load.pages().start);
        start..self.loads.last().map_or(start, |load| load.pages().end)
    }
}

/// A path of an interpreter, without its zero. Errors: `ELIBBAD`.
pub fn interpreter_path(bytes: &[u8]) -> Result<&[u8]> {
    match bytes.split_last() {
        Some((0, path)) if !path.is_empty() && !path.contains(&0) => Ok(path),
        _ => Err(ELIBBAD),
    }
}

fn parse(bytes: &[u8]) -> Result<FileHeader<LittleEndian>> {
    let (ident, tail) = bytes.get(..HEADER_BYTES).and_then(|all| all.split_at_checked(IDENT_BYTES)).ok_or(ENOEXEC)?;
    let ident = parse_ident::<LittleEndian>(ident).map_err(|_| ENOEXEC)?;
    if ident.1 != Class::ELF64 {
        return Err(ENOEXEC);
    }
    let header = FileHeader::parse_tail(ident, tail).map_err(|_| ENOEXEC)?;
    let fits = header.e_machine == EM_X86_64 && (header.e_type == ET_EXEC || header.e_type == ET_DYN);
    if fits { Ok(header) } else { Err(ENOEXEC) }
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
