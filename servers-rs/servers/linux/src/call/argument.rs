// SPDX-License-Identifier: PMPL-1.0-or-later
//! What arguments of many calls mean: descriptors, paths, directories to begin at, vectors of buffers; and how structures are written.

use super::Context;
use crate::errno::{EFAULT, EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, Result};
use crate::user::UserMemoryExt;
use crate::vfs::{FsContext, How, Kind, OpenFile, Place, Segment, resolve, resolve_place};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;

/// Most bytes that one call moves (MAX_RW_COUNT of Linux).
pub const MAX_BYTES: u64 = 0x7fff_f000;

/// A call whose body is `Result<u64>`.
macro_rules! call {
    ($(#[$meta:meta])* $name:ident |$cx:ident, $a:pat_param| $body:block) => {
        $(#[$meta])*
        pub fn $name($cx: &mut $crate::call::Context<'_>, $a: [u64; 6]) -> $crate::wait::Outcome {
            #[allow(clippy::redundant_closure_call)]
            let result: $crate::errno::Result<u64> = (|| $body)();
            result.into()
        }
    };
}
pub(crate) use call;

/// Errors: `EBADF`.
pub fn open_file(cx: &Context<'_>, fd: u64) -> Result<Arc<OpenFile>> {
    cx.files.lock().get(fd as u32).cloned()
}

/// Errors: `EBADF`, also for what was opened with O_PATH.
pub fn usable_file(cx: &Context<'_>, fd: u64) -> Result<Arc<OpenFile>> {
    open_file(cx, fd).and_then(|file| if file.is_path_only() { Err(crate::errno::EBADF) } else { Ok(file) })
}

/// Errors: `ENAMETOOLONG`, `EFAULT`. It may be empty.
pub fn path(cx: &mut Context<'_>, address: u64) -> Result<Vec<u8>> {
    cx.memory.read_string(address, raw::PATH_MAX as usize)
}

/// A path and where it begins.
pub struct At {
    pub fs: FsContext,
    pub start: Place,
    pub path: Vec<u8>,
    /// The open file itself, when the path is empty.
    pub file: Option<Arc<OpenFile>>,
}

const WORKING: i32 = raw::AT_FDCWD;

/// Reads a path that begins at the directory `fd`. Errors: those of [`path`], `EBADF`, `ENOTDIR`.
pub fn at(cx: &mut Context<'_>, fd: u64, address: u64) -> Result<At> {
    let path = path(cx, address)?;
    from(cx, fd, path)
}

/// The same for a path that was read.
pub fn from(cx: &mut Context<'_>, fd: u64, path: Vec<u8>) -> Result<At> {
    let fs = cx.fs.lock().clone();
    if path.first() == Some(&b'/') || fd as i32 == WORKING {
        let start = fs.working.clone();
        return Ok(At { fs, start, path, file: None });
    }
    let file = open_file(cx, fd)?;
    match file.place.clone() {
        Some(start) => Ok(At { fs, start, path, file: Some(file) }),
        None if path.is_empty() => Ok(At { start: fs.working.clone(), fs, path, file: Some(file) }),
        None => Err(ENOTDIR),
    }
}

impl At {
    pub fn find(&self, cx: &Context<'_>, how: How) -> Result<Place> {
        resolve_place(&cx.caller(), &self.fs, &self.start, &self.path, how)
    }
    pub fn resolve(&self, cx: &Context<'_>, how: How) -> Result<crate::vfs::Found> {
        resolve(&cx.caller(), &self.fs, &self.start, &self.path, how)
    }
    /// As [`At::find`]; an empty path is the descriptor itself where `flags` have AT_EMPTY_PATH. Errors: `ENOENT`.
    pub fn find_or_self(&self, cx: &Context<'_>, flags: u32) -> Result<Place> {
        if self.path.is_empty() && flags & raw::AT_EMPTY_PATH != 0 {
            return match &self.file {
                Some(file) => file.place.clone().ok_or(ENOENT),
                None => Ok(self.start.clone()),
            };
        }
        self.find(cx, How::follow_if(flags & raw::AT_SYMLINK_NOFOLLOW == 0))
    }
}

/// Errors: `EINVAL` where other bits are set.
pub fn flags(value: u64, known: u32) -> Result<u32> {
    let flags = value as u32;
    if flags & !known == 0 { Ok(flags) } else { Err(EINVAL) }
}

/// One buffer. Errors: `EFAULT` for more than there is of addresses.
pub fn segment(address: u64, count: u64) -> Result<Segment> {
    if count > i64::MAX as u64 {
        return Err(EFAULT);
    }
    Ok(Segment { address, length_bytes: count.min(MAX_BYTES) })
}

/// An array of iovec. Errors: `EINVAL` for too many or too long ones.
pub fn segments(cx: &mut Context<'_>, address: u64, count: u64) -> Result<Vec<Segment>> {
    if count > u64::from(raw::UIO_MAXIOV) {
        return Err(EINVAL);
    }
    let bytes = cx.memory.read_bytes(address, count as usize * size_of::<raw::iovec>())?;
    let mut left = MAX_BYTES;
    bytes
        .chunks_exact(size_of::<raw::iovec>())
        .map(|one| {
            let (address, length) = (word(one, 0), word(one, 8));
            if length > i64::MAX as u64 {
                return Err(EINVAL);
            }
            let length_bytes = length.min(left);
            left -= length_bytes;
            Ok(Segment { address, length_bytes })
        })
        .collect()
}

/// Eight bytes at an offset that lies inside.
pub fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}
/// Four of them.
pub fn half(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// A structure put together field by field.
pub struct Record<const N: usize>(pub [u8; N]);

impl<const N: usize> Record<N> {
    pub fn new() -> Self {
        Record([0; N])
    }
    pub fn u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    pub fn u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    pub fn u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
}

/// A name for something new: not of `.`, `..` or the root. Errors: `EEXIST` for what is there.
pub fn new_name(found: &crate::vfs::Found, kind: Kind) -> Result<()> {
    match found.place {
        Some(_) => Err(crate::errno::EEXIST),
        None if found.wants_directory && kind != Kind::Directory => Err(ENOENT),
        None => Ok(()),
    }
}

/// A string for the guest without its zero byte, cut to `room`: readlink(2).
pub fn put_cut(cx: &mut Context<'_>, address: u64, bytes: &[u8], room: u64) -> Result<u64> {
    let length = bytes.len().min(room as usize);
    cx.memory.write(address, &bytes[..length])?;
    Ok(length as u64)
}

/// As long as a name may be, with its zero byte: attributes, memfd.
pub fn short_name(cx: &mut Context<'_>, address: u64, limit: usize, too_long: crate::errno::Errno) -> Result<Vec<u8>> {
    cx.memory.read_string(address, limit).map_err(|error| if error == ENAMETOOLONG { too_long } else { error })
}
