// SPDX-License-Identifier: PMPL-1.0-or-later
//! read(2), write(2) and their families.

use super::argument::{flags, open_file, segment, segments};
use super::{Clock, Context, or_wait};
use crate::errno::{EAGAIN, EFBIG, EINVAL, EOPNOTSUPP, ESPIPE, Result};
use crate::fs::inotify;
use crate::signal::request::To;
use crate::vfs::{Kind, OpenFile, Segment, Side, Source, UserSink, UserSource};
use crate::wait::{Interrupted, Outcome};
use linux_raw_sys::general as raw;

/// Where in the file.
#[derive(Clone, Copy)]
enum Where {
    /// At its position, which moves.
    Position,
    Offset(u64),
}

/// RWF_* that are done: what they ask for is so anyway, or looked at here.
const KNOWN: u32 = raw::RWF_HIPRI | raw::RWF_DSYNC | raw::RWF_SYNC | raw::RWF_NOWAIT | raw::RWF_APPEND;

fn read_into(cx: &mut Context<'_>, fd: u64, segments: Result<&[Segment]>, place: Result<Where>, rwf: u32) -> Outcome {
    let file = match open_file(cx, fd).and_then(|file| file.to_read().map(|()| file)) {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    let result = place.and_then(|place| segments.and_then(|segments| read_once(cx, &file, segments, place)));
    if result == Err(EAGAIN) && (file.is_nonblocking() || rwf & raw::RWF_NOWAIT != 0) {
        return EAGAIN.into();
    }
    if result == Err(EAGAIN)
        && let Some(wait) = file.file.read_wait_ns()
    {
        let now = cx.now_ns(Clock::Monotonic);
        if now >= *cx.progress.deadline_ns.get_or_insert(now.saturating_add(wait)) {
            return Ok(0).into();
        }
    }
    or_wait(cx, result.map(|n| n as u64), &[file.file.queue(Side::Input)], Interrupted::Restart)
}

fn read_once(cx: &mut Context<'_>, file: &OpenFile, segments: &[Segment], place: Where) -> Result<usize> {
    let caller = cx.caller();
    let mut sink = UserSink::new(cx.memory, segments);
    match place {
        Where::Offset(_) if !file.file.has_position() => Err(ESPIPE),
        Where::Offset(at) => file.file.read(&caller, at, &mut sink),
        Where::Position if file.file.has_position() => {
            let at = *file.position();
            let n = file.file.read(&caller, at, &mut sink)?;
            *file.position() = at + n as u64;
            Ok(n)
        }
        Where::Position => file.file.read(&caller, 0, &mut sink),
    }
}

fn write_from(cx: &mut Context<'_>, fd: u64, segments: Result<&[Segment]>, place: Result<Where>, rwf: u32) -> Outcome {
    let file = match open_file(cx, fd).and_then(|file| file.to_write().map(|()| file)) {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    let is_nonblocking = file.is_nonblocking() || rwf & raw::RWF_NOWAIT != 0;
    let result = place.and_then(|place| segments.and_then(|segments| write_all(cx, &file, segments, place, is_nonblocking, rwf)));
    if result == Err(EAGAIN) && is_nonblocking {
        return EAGAIN.into();
    }
    or_wait(cx, result, &[file.file.queue(Side::Output)], Interrupted::Restart)
}

/// What is written so far stays in `progress.done` while it waits.
fn write_all(
    cx: &mut Context<'_>,
    file: &OpenFile,
    segments: &[Segment],
    place: Where,
    is_nonblocking: bool,
    rwf: u32,
) -> Result<u64> {
    let caller = cx.caller();
    let limit = cx.limits.soft(raw::RLIMIT_FSIZE);
    let mut done = cx.progress.done;
    let mut source = UserSource::new(cx.memory, segments);
    source.skip(done as usize);
    let has_position = file.file.has_position();
    let appends = (file.flags() & raw::O_APPEND != 0 || rwf & raw::RWF_APPEND != 0) && has_position;
    loop {
        let at = match place {
            Where::Offset(_) if !has_position => return Err(ESPIPE),
            _ if appends => file.file.size_bytes()?,
            Where::Offset(at) => at + done,
            Where::Position if has_position => *file.position(),
            Where::Position => 0,
        };
        if limit != u64::MAX && has_position && source.left() > 0 && is_file(file)? {
            match limit.saturating_sub(at) {
                0 => {
                    caller.signals.raise(To::Caller, raw::SIGXFSZ, 0);
                    return Err(EFBIG);
                }
                room => source.limit(room as usize),
            }
        }
        match file.file.write(&caller, at, &mut source) {
            Ok(n) => {
                done += n as u64;
                if let Where::Position = place
                    && has_position
                {
                    *file.position() = at + n as u64;
                }
                if n > 0 {
                    inotify::tell_file(file, raw::IN_MODIFY);
                }
                if n == 0 || source.left() == 0 || !file.file.writes_whole() {
                    return Ok(done);
                }
            }
            Err(EAGAIN) if !is_nonblocking => {
                cx.progress.done = done;
                return Err(EAGAIN);
            }
            Err(_) if done > 0 => return Ok(done),
            Err(error) => return Err(error),
        }
    }
}

fn is_file(file: &OpenFile) -> Result<bool> {
    file.inode().map_or(Ok(false), |inode| inode.owner().map(|owner| owner.kind() == Kind::File))
}

/// Offsets are signed.
fn offset(value: u64) -> Result<Where> {
    if value > i64::MAX as u64 { Err(EINVAL) } else { Ok(Where::Offset(value)) }
}
fn offset_or_position(value: u64) -> Result<Where> {
    if value == u64::MAX { Ok(Where::Position) } else { offset(value) }
}

pub fn read(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let one = segment(a[1], a[2]).map(|one| [one]);
    read_into(cx, a[0], one.as_ref().map(|one| &one[..]).map_err(|error| *error), Ok(Where::Position), 0)
}
pub fn write(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let one = segment(a[1], a[2]).map(|one| [one]);
    write_from(cx, a[0], one.as_ref().map(|one| &one[..]).map_err(|error| *error), Ok(Where::Position), 0)
}
pub fn pread64(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let one = segment(a[1], a[2]).map(|one| [one]);
    read_into(cx, a[0], one.as_ref().map(|one| &one[..]).map_err(|error| *error), offset(a[3]), 0)
}
pub fn pwrite64(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let one = segment(a[1], a[2]).map(|one| [one]);
    write_from(cx, a[0], one.as_ref().map(|one| &one[..]).map_err(|error| *error), offset(a[3]), 0)
}

fn vector_in(cx: &mut Context<'_>, a: [u64; 6], place: Result<Where>, rwf: u32) -> Outcome {
    let all = segments(cx, a[1], a[2]);
    read_into(cx, a[0], all.as_deref().map_err(|error| *error), place, rwf)
}
fn vector_out(cx: &mut Context<'_>, a: [u64; 6], place: Result<Where>, rwf: u32) -> Outcome {
    let all = segments(cx, a[1], a[2]);
    write_from(cx, a[0], all.as_deref().map_err(|error| *error), place, rwf)
}

pub fn readv(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    vector_in(cx, a, Ok(Where::Position), 0)
}
pub fn writev(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    vector_out(cx, a, Ok(Where::Position), 0)
}
pub fn preadv(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    vector_in(cx, a, offset(a[3]), 0)
}
pub fn pwritev(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    vector_out(cx, a, offset(a[3]), 0)
}
pub fn preadv2(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    match flags(a[5], KNOWN) {
        Ok(rwf) => vector_in(cx, a, offset_or_position(a[3]), rwf),
        Err(_) => EOPNOTSUPP.into(),
    }
}
pub fn pwritev2(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    match flags(a[5], KNOWN) {
        Ok(rwf) => vector_out(cx, a, offset_or_position(a[3]), rwf),
        Err(_) => EOPNOTSUPP.into(),
    }
}
