// SPDX-License-Identifier: PMPL-1.0-or-later
//! execve(2), execveat(2): the process goes on with another program.

use super::current::Current;
use super::image::{self, Arguments, Ready};
use crate::cell::Cell;
use crate::errno::{E2BIG, EACCES, EFAULT, EINVAL, ELOOP, ENOENT, ENOEXEC, Result};
use crate::signal::stack::AltStack;
use crate::user::{UserMemory, UserMemoryExt};
use crate::vfs::{Caller, How, Kind, OpenFile, OpenHow, Place, Want, resolve_place};
use crate::wait::{Interrupted, Outcome};
use abi::guest::{State, resume};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use linux_raw_sys::general::*;
use spin::Mutex;

/// PATH_MAX.
const MOST_PATH_BYTES: usize = 4096;
/// MAX_ARG_STRLEN.
const MOST_STRING_BYTES: usize = 128 << 10;
const MOST_STRINGS_BYTES: usize = 2 << 20;
/// Of the first line of a script (BINPRM_BUF_SIZE).
const LINE_BYTES: usize = 256;
/// Scripts whose interpreters are scripts (BINPRM_MAX_DEPTH).
const MOST_SCRIPTS: usize = 5;

/// `path, arguments, environment`.
pub fn execve(current: &mut Current, cell: &mut Cell, [path, arguments, environment, ..]: [u64; 6]) -> Outcome {
    run(current, cell, [AT_FDCWD as i64 as u64, path, arguments, environment, 0])
}

/// `directory, path, arguments, environment, flags`.
pub fn execveat(
    current: &mut Current,
    cell: &mut Cell,
    [directory, path, arguments, environment, flags, _]: [u64; 6],
) -> Outcome {
    run(current, cell, [directory, path, arguments, environment, flags])
}

fn run(current: &mut Current, cell: &mut Cell, arguments: [u64; 5]) -> Outcome {
    match prepare(current, cell, arguments)
        .and_then(|(ready, file, given)| Ok(if others_are_gone(current, cell)? { Some((ready, file, given)) } else { None }))
    {
        Ok(Some((ready, file, given))) => match become_it(current, cell, ready, file, &given) {
            Ok(()) => Outcome::NoAnswer,
            Err(error) => error.into(),
        },
        Ok(None) => {
            current.uninterruptible = true;
            Outcome::Blocked(Interrupted::Restart)
        }
        Err(error) => error.into(),
    }
}

fn strings(memory: &mut dyn UserMemory, mut at: u64, room: &mut usize) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    while at != 0 {
        match memory.read_u64(at)? {
            0 => break,
            pointer => {
                let one = memory.read_string(pointer, MOST_STRING_BYTES).map_err(|e| if e == EFAULT { EFAULT } else { E2BIG })?;
                *room = room.checked_sub(one.len() + 9).ok_or(E2BIG)?;
                all.push(one);
            }
        }
        at = at.wrapping_add(8);
    }
    Ok(all)
}

type Prepared = (Ready, Arc<OpenFile>, Arguments);

fn prepare(
    current: &mut Current,
    cell: &mut Cell,
    [directory, path, arguments, environment, flags]: [u64; 5],
) -> Result<Prepared> {
    if flags & !u64::from(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(EINVAL);
    }
    let mut given = {
        let mut memory = current.memory.lock();
        let path = memory.read_string(path, MOST_PATH_BYTES)?;
        let mut room = MOST_STRINGS_BYTES;
        let arguments = strings(&mut *memory, arguments, &mut room)?;
        Arguments { path, arguments, environment: strings(&mut *memory, environment, &mut room)? }
    };
    if given.arguments.is_empty() {
        given.arguments.push(Vec::new());
    }
    start(current, cell, directory as i32, flags as u32, given)
}

/// Opens and reads a program and puts it into a new space.
pub fn start(current: &Current, cell: &mut Cell, directory: i32, flags: u32, mut given: Arguments) -> Result<Prepared> {
    let mut random = [0; 16];
    cell.random.fill(&mut random);
    let pages = cell.pages.clone();
    current.with_caller(cell, |caller| {
        let mut file = open(current, caller, directory, &given.path, flags)?;
        for _ in 0..MOST_SCRIPTS {
            let mut line = [0; LINE_BYTES];
            let length = file.read_at(caller, 0, &mut line)?;
            let Some((interpreter, argument)) = script(&line[..length])? else { break };
            let mut arguments = vec![interpreter.to_vec()];
            arguments.extend(argument.map(<[u8]>::to_vec));
            arguments.push(given.path.clone());
            arguments.extend(given.arguments.drain(1..));
            given.arguments = arguments;
            file = open(current, caller, AT_FDCWD, &given.arguments[0], 0)?;
            // What a script's interpreter is told of itself is its own name.
            given.path = given.arguments[0].clone();
        }
        let image = image::read(&file, caller)?;
        let interpreter = match image::interpreter(&file, &image, caller)? {
            None => None,
            Some(path) => {
                let file = open(current, caller, AT_FDCWD, &path, 0)?;
                let image = image::read(&file, caller)?;
                Some((file, image))
            }
        };
        let other = interpreter.as_ref().map(|(file, image)| (file, image));
        let ready = image::build(&pages, (&file, &image), other, &given, caller.credentials, random)?;
        Ok((ready, file, given))
    })
}

/// Opens a file that may be executed.
fn open(current: &Current, caller: &Caller<'_>, directory: i32, path: &[u8], flags: u32) -> Result<Arc<OpenFile>> {
    let fs = current.fs.lock().clone();
    let at = match directory {
        AT_FDCWD => fs.working.clone(),
        _ if path.first() == Some(&b'/') => fs.root.clone(),
        fd => current.files.lock().get(fd as u32)?.place.clone().ok_or(EACCES)?,
    };
    let place: Place = match path.is_empty() {
        true if flags & AT_EMPTY_PATH != 0 => at.clone(),
        true => return Err(ENOENT),
        false => resolve_place(caller, &fs, &at, path, How::follow_if(flags & AT_SYMLINK_NOFOLLOW == 0))?,
    };
    let owner = place.inode.owner()?;
    match owner.kind() {
        Kind::File => {}
        Kind::Symlink => return Err(ELOOP),
        _ => return Err(EACCES),
    }
    if place.mount.flags() & MS_NOEXEC != 0 {
        return Err(EACCES);
    }
    caller.may(&owner, Want::EXECUTE)?;
    if path.is_empty() {
        let file = place.inode.clone().open(O_RDONLY, caller)?;
        return Ok(OpenFile::new(file, Some(place), None, O_RDONLY));
    }
    // Reading needs no permission here: the name is looked up once more for what /proc shows.
    match crate::vfs::open(caller, &fs, &at, path, OpenHow { flags: O_RDONLY, ..OpenHow::default() }) {
        Ok(file) => Ok(file),
        Err(_) => {
            let file = place.inode.clone().open(O_RDONLY, caller)?;
            Ok(OpenFile::new(file, Some(place), None, O_RDONLY))
        }
    }
}

/// An interpreter's path, and what stands behind it.
type Script<'a> = (&'a [u8], Option<&'a [u8]>);

/// Interpreter and its argument of a first line `#! path argument`. Errors: `ENOEXEC` for one without a path.
fn script(line: &[u8]) -> Result<Option<Script<'_>>> {
    let Some(rest) = line.strip_prefix(b"#!") else { return Ok(None) };
    let cut = rest.len() == LINE_BYTES - 2;
    let end = rest.iter().position(|byte| *byte == b'\n');
    if end.is_none() && cut && !rest.trim_ascii_start().contains(&b' ') {
        return Err(ENOEXEC);
    }
    let rest = rest[..end.unwrap_or(rest.len())].trim_ascii();
    let split = rest.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    let (path, argument) = rest.split_at(split);
    let argument = argument.trim_ascii();
    if path.is_empty() { Err(ENOEXEC) } else { Ok(Some((path, (!argument.is_empty()).then_some(argument)))) }
}

/// Whether the caller is alone in its process; else the others are told to end, and it stands where they wake it.
fn others_are_gone(current: &Current, cell: &mut Cell) -> Result<bool> {
    let pid = current.process.pid;
    let process = cell.process(pid)?;
    if process.threads.len() == 1 {
        return Ok(true);
    }
    process.waiters.add(&current.waker);
    let others: Vec<u32> = process.threads.iter().copied().filter(|tid| *tid != current.tid).collect();
    for tid in others {
        if let Ok(thread) = cell.thread(tid) {
            thread.is_leaving = true;
        }
        cell.notify(tid);
    }
    Ok(false)
}

fn become_it(current: &mut Current, cell: &mut Cell, ready: Ready, file: Arc<OpenFile>, given: &Arguments) -> Result<()> {
    take_first_number(current, cell)?;
    current.worker.attach(&ready.space.native)?;
    let memory = Arc::new(Mutex::new(ready.space));
    let (thread, process) = cell.both(current.tid)?;
    let old = process.memory.replace(memory.clone());
    process.executable = Some(file);
    process.has_executed = true;
    process.settings = process.settings.after_exec();
    let actions = process.signals.actions.lock().after_exec();
    process.signals.actions = Arc::new(Mutex::new(actions));
    thread.signals.stack = AltStack::default();
    thread.robust_list = 0;
    let clear_tid = core::mem::take(&mut thread.clear_tid);
    let name = given.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    thread.name = core::array::from_fn(|n| if n < 15 { name.get(n).copied().unwrap_or(0) } else { 0 });
    let vfork = process.vfork.take();
    let left = core::mem::replace(&mut current.memory, memory);
    if clear_tid != 0 && Arc::strong_count(&left) > 1 {
        // Others still share the old memory: one of them may wait for it.
        let _ = left.lock().write_u32(clear_tid, 0);
    }
    if Arc::strong_count(&current.files) > 2 {
        // Shared beyond the cell's own record: exec has its own table (execve(2)).
        let own = Arc::new(Mutex::new(current.files.lock().fork_copy()));
        current.files = own.clone();
        if let Ok(thread) = cell.thread(current.tid) {
            thread.files = own;
        }
    }
    let closed = current.files.lock().close_on_exec();
    current.with_caller(cell, |caller| closed.iter().for_each(|open| open.file.closed(caller)));
    drop(closed);
    if let Some(vfork) = vfork {
        vfork.end();
    }
    drop((left, old));
    current.worker.load_vector(None)?;
    current.worker.set_state(&State {
        rip: ready.entry,
        rsp: ready.stack,
        rflags: 0x202,
        resume: resume::ALL,
        ..State::default()
    });
    Ok(())
}

/// Who executes a program has the process's own number afterwards, whatever thread it was.
fn take_first_number(current: &mut Current, cell: &mut Cell) -> Result<()> {
    let pid = current.process.pid;
    if current.tid == pid {
        return Ok(());
    }
    if let Some(thread) = cell.threads.remove(&current.tid) {
        cell.threads.insert(pid, thread);
    }
    cell.process(pid)?.threads = vec![pid];
    current.tid = pid;
    cell.running = pid;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_is_read_as_linux_reads_it() {
        assert_eq!(script(b"#! /bin/sh -e  x \nexit"), Ok(Some((&b"/bin/sh"[..], Some(&b"-e  x"[..])))));
        assert_eq!(script(b"#!/bin/sh"), Ok(Some((&b"/bin/sh"[..], None))));
        assert_eq!((script(b"#!  \n"), script(b"\x7fELF")), (Err(ENOEXEC), Ok(None)));
    }
}
