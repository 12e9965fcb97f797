// SPDX-License-Identifier: PMPL-1.0-or-later
//! open(2), openat2(2), close(2), close_range(2).

use super::argument::{at, call, flags, word};
use super::{Context, or_wait};
use crate::errno::{E2BIG, EAGAIN, EINVAL, Result};
use crate::fs::inotify;
use crate::user::UserMemoryExt;
use crate::vfs::{LockOwner, OnExec, OpenFile, OpenHow, Side, check_resolve, open as open_path};
use crate::wait::{Interrupted, Outcome};
use alloc::sync::Arc;
use linux_raw_sys::general as raw;

/// What open(2) knows; it leaves out what it does not.
const KNOWN: u32 = raw::O_ACCMODE
    | raw::O_CREAT
    | raw::O_EXCL
    | raw::O_NOCTTY
    | raw::O_TRUNC
    | raw::O_APPEND
    | raw::O_NONBLOCK
    | raw::O_SYNC
    | raw::FASYNC
    | raw::O_DIRECT
    | raw::O_LARGEFILE
    | raw::O_TMPFILE
    | raw::O_NOFOLLOW
    | raw::O_NOATIME
    | raw::O_CLOEXEC
    | raw::O_PATH;

/// Puts an open file into the table. Errors: `EMFILE`.
pub fn install(cx: &Context<'_>, file: Arc<OpenFile>, flags: u32) -> Result<u64> {
    let limit = cx.limits.soft(raw::RLIMIT_NOFILE);
    let on_exec = OnExec::from_cloexec(flags & raw::O_CLOEXEC != 0);
    cx.files.lock().add(file, on_exec, 0, limit).map(u64::from)
}

fn open_at(cx: &mut Context<'_>, directory: u64, path: u64, how: OpenHow) -> Outcome {
    if let Some(waiting) = cx.pending.take().and_then(|one| one.downcast::<OpenFile>().ok()) {
        return opened(cx, waiting, how.flags);
    }
    let unnamed = raw::O_TMPFILE & !raw::O_DIRECTORY;
    if how.flags & unnamed != 0 && (how.flags & raw::O_DIRECTORY == 0 || how.flags & raw::O_ACCMODE == raw::O_RDONLY) {
        return EINVAL.into();
    }
    let result = at(cx, directory, path).and_then(|at| open_path(&cx.caller(), &at.fs, &at.start, &at.path, how));
    match result {
        Ok(file) => opened(cx, file, how.flags),
        Err(error) => error.into(),
    }
}

/// It is open, or waits for its other end (fifo(7)).
fn opened(cx: &mut Context<'_>, file: Arc<OpenFile>, flags: u32) -> Outcome {
    if !file.file.is_opening() {
        inotify::tell_file(&file, raw::IN_OPEN);
        return install(cx, file, flags).into();
    }
    let queues = [file.file.queue(Side::Input), file.file.queue(Side::Output)];
    let outcome = or_wait(cx, Err(EAGAIN), &queues, Interrupted::Restart);
    *cx.pending = Some(file);
    outcome
}

fn legacy(flags: u64, mode: u64) -> OpenHow {
    let flags = flags as u32 & KNOWN;
    // Whether it is for one's own table is no matter of the file's.
    OpenHow { flags: flags | raw::O_LARGEFILE, mode: mode as u32 & 0o7777, resolve: 0 }
}

pub fn open(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    open_at(cx, raw::AT_FDCWD as u64, a[0], legacy(a[1], a[2]))
}
pub fn creat(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    open_at(cx, raw::AT_FDCWD as u64, a[0], legacy(u64::from(raw::O_CREAT | raw::O_WRONLY | raw::O_TRUNC), a[1]))
}
pub fn openat(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    open_at(cx, a[0], a[1], legacy(a[2], a[3]))
}

/// Longest structure that is looked at; what is longer than we know must be zero.
const HOW_BYTES: u64 = size_of::<raw::open_how>() as u64;

pub fn openat2(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    match read_how(cx, a[2], a[3]) {
        Ok(how) => open_at(cx, a[0], a[1], how),
        Err(error) => error.into(),
    }
}

fn read_how(cx: &mut Context<'_>, address: u64, size: u64) -> Result<OpenHow> {
    match size {
        0..HOW_BYTES => return Err(EINVAL),
        4097.. => return Err(E2BIG),
        _ => {}
    }
    let bytes = cx.memory.read_bytes(address, size as usize)?;
    let (known, more) = bytes.split_at(HOW_BYTES as usize);
    if more.iter().any(|byte| *byte != 0) {
        return Err(E2BIG);
    }
    let (flags, mode, resolve) = (word(known, 0), word(known, 8), word(known, 16));
    let flags = u32::try_from(flags).ok().filter(|flags| flags & !KNOWN == 0).ok_or(EINVAL)?;
    let makes = flags & (raw::O_CREAT | raw::O_TMPFILE & !raw::O_DIRECTORY) != 0;
    let path_only = raw::O_PATH | raw::O_DIRECTORY | raw::O_NOFOLLOW | raw::O_CLOEXEC;
    if mode & !0o7777 != 0 || mode != 0 && !makes || flags & raw::O_PATH != 0 && flags & !path_only != 0 {
        return Err(EINVAL);
    }
    let resolve = check_resolve(resolve)?;
    if resolve & raw::RESOLVE_CACHED != 0 {
        // Nothing is ever known without looking.
        return Err(EAGAIN);
    }
    Ok(OpenHow { flags: flags | raw::O_LARGEFILE, mode: mode as u32, resolve })
}

/// What a process gives up with a descriptor.
pub fn closed(cx: &Context<'_>, file: &OpenFile) {
    if let Some(locks) = file.inode().and_then(|inode| inode.locks()) {
        locks.release(LockOwner::Process(cx.ids.pid));
    }
    file.file.closed(&cx.caller());
    inotify::tell_file(file, if file.to_write().is_ok() { raw::IN_CLOSE_WRITE } else { raw::IN_CLOSE_NOWRITE });
}

call!(
    close | cx,
    a | {
        let file = cx.files.lock().remove(a[0] as u32)?;
        closed(cx, &file);
        Ok(0)
    }
);

/// Numbers of close_range(2), which linux_raw_sys lacks.
const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;

call!(
    close_range | cx,
    a | {
        let flags = flags(a[2], CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)?;
        let (first, last) = (a[0] as u32, a[1] as u32);
        if first > last {
            return Err(EINVAL);
        }
        // Others would see it happen.
        if flags & CLOSE_RANGE_UNSHARE != 0 && Arc::strong_count(cx.files) > 1 {
            return Err(EINVAL);
        }
        let numbers: alloc::vec::Vec<u32> = cx.files.lock().numbers().filter(|fd| (first..=last).contains(fd)).collect();
        for fd in numbers {
            if flags & CLOSE_RANGE_CLOEXEC != 0 {
                cx.files.lock().set_closes_on_exec(fd, true)?;
            } else {
                let file = cx.files.lock().remove(fd)?;
                closed(cx, &file);
            }
        }
        Ok(0)
    }
);
