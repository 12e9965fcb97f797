// SPDX-License-Identifier: PMPL-1.0-or-later
//! A new address space with a program in it: its pieces, its interpreter, its stack (execve(2)).

use super::elf::{HEADER_BYTES, Image, interpreter_path};
use crate::errno::{E2BIG, EACCES, EIO, ELIBBAD, ENOEXEC, ENOMEM, Result};
use crate::memory::area::{Area, Backing};
use crate::memory::object::Object;
use crate::memory::pages::Pages;
use crate::memory::space::{END, Space};
use crate::platform::{Access, PAGE_BYTES};
use crate::task::credentials::Credentials;
use crate::user::UserMemory;
use crate::vfs::{Caller, OpenFile};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use linux_raw_sys::auxvec::*;
use spin::Mutex;

/// Where a program that may be anywhere is, as on Linux without randomisation.
const RELATIVE_BASE: u64 = 0x5555_5555_4000;
/// Between the stack and what mmap places: as far as a stack may grow.
const STACK_ROOM_BYTES: u64 = 64 << 20;
/// Of the stack at first.
const STACK_BYTES: u64 = 132 << 10;
/// Arguments and environment: a quarter of the usual stack limit (execve(2)).
const MOST_ARGUMENT_BYTES: usize = 2 << 20;
/// Features of the CPU's function 1, EDX, that every x86-64 CPU has: AT_HWCAP.
const HARDWARE: u64 = 0x178b_fbff;
const TICKS_PER_S: u64 = 100;

/// What a program is started with.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The path as it was given: AT_EXECFN.
    pub path: Vec<u8>,
    pub arguments: Vec<Vec<u8>>,
    pub environment: Vec<Vec<u8>>,
}

/// A program that is ready to run.
#[derive(Debug)]
pub struct Ready {
    pub space: Space,
    pub entry: u64,
    pub stack: u64,
}

/// Reads the headers of a file. Errors: `ENOEXEC`, those of the file.
pub fn read(file: &OpenFile, caller: &Caller<'_>) -> Result<Image> {
    let mut header = [0; HEADER_BYTES];
    if file.read_at(caller, 0, &mut header)? < HEADER_BYTES {
        return Err(ENOEXEC);
    }
    let at = Image::headers_at(&header)?;
    let mut entries = vec![0; (at.end - at.start) as usize];
    if file.read_at(caller, at.start, &mut entries)? < entries.len() {
        return Err(ENOEXEC);
    }
    Image::parse(&header, &entries)
}

/// The path of the interpreter, if there is one.
pub fn interpreter(file: &OpenFile, image: &Image, caller: &Caller<'_>) -> Result<Option<Vec<u8>>> {
    let Some(at) = &image.interpreter else { return Ok(None) };
    let mut path = vec![0; (at.end - at.start) as usize];
    if file.read_at(caller, at.start, &mut path)? < path.len() {
        return Err(EIO);
    }
    interpreter_path(&path).map(|path| Some(path.to_vec()))
}

/// Puts a program, its interpreter and its arguments into a new space.
pub fn build(
    pages: &Arc<Mutex<Pages>>,
    program: (&Arc<OpenFile>, &Image),
    interpreter: Option<(&Arc<OpenFile>, &Image)>,
    given: &Arguments,
    who: &Credentials,
    random: [u8; 16],
) -> Result<Ready> {
    let mut space = Space::new(pages)?;
    space.layout.mmap_top = END - STACK_ROOM_BYTES;
    let (file, image) = program;
    let base = if image.is_relative { RELATIVE_BASE.wrapping_sub(image.span().start) } else { 0 };
    load(&mut space, file, image, base)?;
    let end = image.span().end.wrapping_add(base);
    (space.layout.brk_start, space.layout.brk) = (end, end);
    let first = image.loads.first().ok_or(ENOEXEC)?;
    space.layout.code = (first.address.wrapping_add(base), end);
    let (mut entry, mut interpreter_base) = (image.entry.wrapping_add(base), 0);
    if let Some((file, other)) = interpreter {
        let span = other.span();
        let at = if other.is_relative { space.place_for(0, span.end - span.start)? } else { span.start };
        interpreter_base = at.wrapping_sub(span.start);
        load(&mut space, file, other, interpreter_base).map_err(|_| ELIBBAD)?;
        entry = other.entry.wrapping_add(interpreter_base);
    }
    let stack_access = if image.stack_executes { Access(7) } else { Access(3) };
    let stack = Area { grows_down: true, name: "[stack]", ..Area::private(END, stack_access) };
    space.map(END - STACK_BYTES..END, stack)?;
    let facts = [
        (AT_HWCAP, HARDWARE),
        (AT_PAGESZ, PAGE_BYTES),
        (AT_CLKTCK, TICKS_PER_S),
        (AT_PHDR, image.headers.0.wrapping_add(base)),
        (AT_PHENT, 56),
        (AT_PHNUM, image.headers.1.into()),
        (AT_BASE, interpreter_base),
        (AT_FLAGS, 0),
        (AT_ENTRY, image.entry.wrapping_add(base)),
        (AT_UID, who.uid.into()),
        (AT_EUID, who.euid.into()),
        (AT_GID, who.gid.into()),
        (AT_EGID, who.egid.into()),
        (AT_SECURE, (who.uid != who.euid || who.gid != who.egid).into()),
        (AT_MINSIGSTKSZ, 2048),
    ];
    let stack = fill_stack(&mut space, given, &facts, random)?;
    Ok(Ready { space, entry, stack })
}

fn load(space: &mut Space, file: &Arc<OpenFile>, image: &Image, base: u64) -> Result<()> {
    let object = Arc::new(Object::File(file.clone()));
    for one in &image.loads {
        let pages = one.pages();
        let (start, end) = (pages.start.wrapping_add(base), pages.end.wrapping_add(base));
        if end > END || start >= end || !space.areas.is_free(start..end) {
            return Err(ENOMEM);
        }
        let file_end = (one.address + one.file_bytes).wrapping_add(base);
        let from_file = if one.file_bytes == 0 { start } else { file_end.next_multiple_of(PAGE_BYTES) };
        if from_file > start {
            let backing = Backing::Object { object: object.clone(), offset_bytes: one.file_offset & !(PAGE_BYTES - 1) };
            space.areas.insert(start, Area { backing, ..Area::private(from_file, one.access) });
        }
        if end > from_file {
            space.areas.insert(from_file, Area::private(end, one.access));
        }
        // What follows the file's bytes in their last page is zero.
        if one.memory_bytes > one.file_bytes
            && file_end % PAGE_BYTES != 0
            && one.file_bytes > 0
            && one.access.holds(Access::WRITE)
        {
            let count = (PAGE_BYTES - file_end % PAGE_BYTES) as usize;
            space.write(file_end, &vec![0; count]).map_err(|_| EACCES)?;
        }
    }
    Ok(())
}

/// Strings at the upper end, below them what points there: argc, argv, envp, auxiliary vector (System V ABI, 3.4.1).
fn fill_stack(space: &mut Space, given: &Arguments, facts: &[(u32, u64)], random: [u8; 16]) -> Result<u64> {
    let strings = given.arguments.iter().chain(&given.environment).map(|one| one.len() + 9).sum::<usize>();
    if strings + given.path.len() > MOST_ARGUMENT_BYTES {
        return Err(E2BIG);
    }
    let mut at = END - 8;
    let mut put = |space: &mut Space, bytes: &[u8]| -> Result<u64> {
        at -= bytes.len() as u64 + 1;
        space.write(at, bytes)?;
        Ok(at)
    };
    let path = put(space, &given.path)?;
    let end = path;
    let mut pointers = |space: &mut Space, all: &[Vec<u8>]| -> Result<Vec<u64>> {
        let mut found = all.iter().rev().map(|one| put(space, one)).collect::<Result<Vec<_>>>()?;
        found.reverse();
        Ok(found)
    };
    let environment = pointers(space, &given.environment)?;
    let arguments = pointers(space, &given.arguments)?;
    let middle = environment.first().copied().unwrap_or(end);
    let first = arguments.first().copied().unwrap_or(middle);
    (space.layout.arguments, space.layout.environment) = ((first, middle), (middle, end));
    let platform = first - 7;
    space.write(platform, b"x86_64\0")?;
    let random_at = (platform - 16) & !15;
    space.write(random_at, &random)?;
    let mut words = vec![arguments.len() as u64];
    words.extend(arguments);
    words.push(0);
    words.extend(environment);
    words.push(0);
    for (kind, value) in
        facts.iter().copied().chain([(AT_RANDOM, random_at), (AT_EXECFN, path), (AT_PLATFORM, platform), (AT_NULL, 0)])
    {
        words.extend([u64::from(kind), value]);
    }
    let stack = (random_at - words.len() as u64 * 8) & !15;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    space.write(stack, &bytes)?;
    space.layout.stack_start = stack;
    Ok(stack)
}
