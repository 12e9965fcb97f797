// SPDX-License-Identifier: PMPL-1.0-or-later
//! From one descriptor to another: sendfile(2), splice(2), tee(2), vmsplice(2), copy_file_range(2).

use super::argument::{MAX_BYTES, flags, segments, usable_file};
use super::descriptor::as_pipe;
use super::{Context, or_wait};
use crate::errno::{EAGAIN, EBADF, EINVAL, EISDIR, EOVERFLOW, ESPIPE, EXDEV, Result};
use crate::user::UserMemoryExt;
use crate::vfs::{BytesSink, BytesSource, Kind, OpenFile, Side};
use crate::wait::{Interrupted, Outcome};
use linux_raw_sys::general as raw;

/// Bytes that are in our hands at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// One end of a copy: a file, and the offset that the guest keeps, if it does.
struct Half<'a> {
    file: &'a OpenFile,
    offset_address: u64,
    offset: u64,
}

impl<'a> Half<'a> {
    fn new(cx: &mut Context<'_>, file: &'a OpenFile, offset_address: u64) -> Result<Self> {
        let has_position = file.file.has_position();
        let offset = match offset_address {
            0 if has_position => *file.position(),
            0 => 0,
            _ if !has_position => return Err(ESPIPE),
            address => cx.memory.read_u64(address)?,
        };
        if offset > i64::MAX as u64 { Err(EINVAL) } else { Ok(Half { file, offset_address, offset }) }
    }
    fn finish(&self, cx: &mut Context<'_>, moved: u64) -> Result<()> {
        let end = self.offset + moved;
        match self.offset_address {
            0 if self.file.file.has_position() => *self.file.position() = end,
            0 => {}
            address => cx.memory.write_u64(address, end)?,
        }
        Ok(())
    }
}

/// Moves up to `length`; what was read and could not be written goes back, so `from` has a position or `room` was looked at.
fn copy(cx: &mut Context<'_>, from: &Half<'_>, to: &Half<'_>, length: u64) -> Result<u64> {
    let caller = cx.caller();
    let mut done = 0;
    while done < length {
        let mut part = (length - done).min(CHUNK_BYTES as u64) as usize;
        if let Some(end) = as_pipe(to.file) {
            part = part.min(end.pipe().room());
            if part == 0 && end.pipe().has_reader() {
                return if done > 0 { Ok(done) } else { Err(EAGAIN) };
            }
            part = part.max(1);
        }
        let mut sink = BytesSink::new(part);
        // A pipe is asked to show first: its bytes cannot be put back.
        let is_pipe = as_pipe(from.file);
        let read = match is_pipe {
            Some(end) => match end.peek(part) {
                bytes if bytes.is_empty() => from.file.file.read(&caller, 0, &mut sink),
                bytes => {
                    sink.bytes = bytes;
                    Ok(sink.bytes.len())
                }
            },
            None => from.file.file.read(&caller, from.offset + done, &mut sink),
        };
        let n = match read {
            Ok(0) => break,
            Ok(n) => n,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        };
        let mut written = 0;
        while written < n {
            match to.file.file.write(&caller, to.offset + done + written as u64, &mut BytesSource(&sink.bytes[written..n])) {
                Ok(0) => break,
                Ok(part) => written += part,
                Err(error) if written == 0 && done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if is_pipe.is_some() {
            from.file.file.read(&caller, 0, &mut BytesSink::new(written))?;
        }
        done += written as u64;
        if written < part || written < n {
            break;
        }
    }
    Ok(done)
}

/// Waits for what keeps a copy from going on.
fn wait_for(cx: &mut Context<'_>, result: Result<u64>, from: &OpenFile, to: &OpenFile, never: bool) -> Outcome {
    if never && result == Err(EAGAIN) {
        return EAGAIN.into();
    }
    or_wait(cx, result, &[from.file.queue(Side::Input), to.file.queue(Side::Output)], Interrupted::Restart)
}

pub fn sendfile(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let files = usable_file(cx, a[1]).and_then(|from| Ok((from, usable_file(cx, a[0])?)));
    let (from, to) = match files {
        Ok(files) => files,
        Err(error) => return error.into(),
    };
    let result = (|| {
        from.to_read()?;
        to.to_write()?;
        if to.flags() & raw::O_APPEND != 0 || !from.file.has_position() {
            return Err(EINVAL);
        }
        let (source, target) = (Half::new(cx, &from, a[2])?, Half::new(cx, &to, 0)?);
        let moved = copy(cx, &source, &target, a[3].min(MAX_BYTES))?;
        source.finish(cx, moved)?;
        target.finish(cx, moved)?;
        Ok(moved)
    })();
    wait_for(cx, result, &from, &to, to.is_nonblocking())
}

const SPLICE_FLAGS: u32 = raw::SPLICE_F_MOVE | raw::SPLICE_F_NONBLOCK | raw::SPLICE_F_MORE | raw::SPLICE_F_GIFT;

pub fn splice(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let files = usable_file(cx, a[0]).and_then(|from| Ok((from, usable_file(cx, a[2])?)));
    let (from, to) = match files {
        Ok(files) => files,
        Err(error) => return error.into(),
    };
    let result = (|| {
        flags(a[5], SPLICE_FLAGS)?;
        from.to_read()?;
        to.to_write()?;
        let pipes = [as_pipe(&from), as_pipe(&to)];
        match pipes {
            [None, None] => return Err(EINVAL),
            [Some(one), Some(other)] if alloc::sync::Arc::ptr_eq(one.pipe(), other.pipe()) => {
                return Err(EINVAL);
            }
            [_, None] if to.flags() & raw::O_APPEND != 0 => return Err(EINVAL),
            _ => {}
        }
        let (source, target) = (Half::new(cx, &from, a[1])?, Half::new(cx, &to, a[3])?);
        let moved = copy(cx, &source, &target, a[4].min(MAX_BYTES))?;
        source.finish(cx, moved)?;
        target.finish(cx, moved)?;
        Ok(moved)
    })();
    let never = a[5] as u32 & raw::SPLICE_F_NONBLOCK != 0 || from.is_nonblocking() || to.is_nonblocking();
    wait_for(cx, result, &from, &to, never)
}

pub fn tee(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let files = usable_file(cx, a[0]).and_then(|from| Ok((from, usable_file(cx, a[1])?)));
    let (from, to) = match files {
        Ok(files) => files,
        Err(error) => return error.into(),
    };
    let result = (|| {
        flags(a[3], SPLICE_FLAGS)?;
        from.to_read()?;
        to.to_write()?;
        let (Some(source), Some(target)) = (as_pipe(&from), as_pipe(&to)) else { return Err(EINVAL) };
        if alloc::sync::Arc::ptr_eq(source.pipe(), target.pipe()) {
            return Err(EINVAL);
        }
        let bytes = source.peek((a[2].min(MAX_BYTES) as usize).min(target.pipe().room()));
        if bytes.is_empty() {
            let is_over = a[2] == 0 || source.pipe().has_ended();
            return if is_over { Ok(0) } else { Err(EAGAIN) };
        }
        to.file.write(&cx.caller(), 0, &mut BytesSource(&bytes)).map(|n| n as u64)
    })();
    let never = a[3] as u32 & raw::SPLICE_F_NONBLOCK != 0;
    wait_for(cx, result, &from, &to, never)
}

/// Copies: pages of the guest are not lent to a pipe.
pub fn vmsplice(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let is_pipe = usable_file(cx, a[0]).and_then(|file| as_pipe(&file).map(|_| file.clone()).ok_or(EBADF));
    match is_pipe.and_then(|file| segments(cx, a[1], a[2]).map(|_| file)) {
        Ok(file) if file.to_write().is_ok() => super::transfer::writev(cx, a),
        Ok(_) => super::transfer::readv(cx, a),
        Err(error) => error.into(),
    }
}

pub fn copy_file_range(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let result = (|| {
        let (from, to) = (usable_file(cx, a[0])?, usable_file(cx, a[2])?);
        if a[5] != 0 {
            return Err(EINVAL);
        }
        from.to_read()?;
        to.to_write()?;
        let kinds = [from.stat()?.kind(), to.stat()?.kind()];
        match kinds {
            [Kind::File, Kind::File] => {}
            kinds if kinds.contains(&Kind::Directory) => return Err(EISDIR),
            _ => return Err(EINVAL),
        }
        if to.flags() & raw::O_APPEND != 0 {
            return Err(EBADF);
        }
        let (source, target) = (Half::new(cx, &from, a[1])?, Half::new(cx, &to, a[3])?);
        let length = a[4].min(MAX_BYTES);
        let ends = [source.offset.checked_add(length).ok_or(EOVERFLOW)?, target.offset.checked_add(length).ok_or(EOVERFLOW)?];
        let same = matches!((from.inode(), to.inode()), (Some(one), Some(other)) if crate::vfs::same(one, other));
        if same && source.offset < ends[1] && target.offset < ends[0] {
            return Err(EINVAL);
        }
        let devices = [from.stat()?.device, to.stat()?.device];
        if devices[0] != devices[1] && (devices[0] == 0 || devices[1] == 0) {
            return Err(EXDEV);
        }
        let moved = copy(cx, &source, &target, length)?;
        source.finish(cx, moved)?;
        target.finish(cx, moved)?;
        Ok(moved)
    })();
    result.into()
}
