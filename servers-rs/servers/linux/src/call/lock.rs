// SPDX-License-Identifier: PMPL-1.0-or-later
//! flock(2), and the locks of fcntl(2).

use super::argument::{Record, usable_file, word};
use super::{Context, or_wait};
use crate::errno::{EAGAIN, EBADF, EINVAL, EOVERFLOW, Result};
use crate::user::UserMemoryExt;
use crate::vfs::{Held, LockKind, LockOwner, OpenFile};
use crate::wait::{Interrupted, Outcome};
use core::mem::offset_of;
use linux_raw_sys::general as raw;

pub fn flock(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let file = match usable_file(cx, a[0]) {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    let operation = a[1] as u32;
    let kind = match operation & !raw::LOCK_NB {
        raw::LOCK_SH => Some(LockKind::Shared),
        raw::LOCK_EX => Some(LockKind::Exclusive),
        raw::LOCK_UN => None,
        _ => return EINVAL.into(),
    };
    let Some(locks) = file.inode().and_then(|inode| inode.locks()) else { return EBADF.into() };
    let Some(kind) = kind else {
        locks.unset_whole(file.id);
        return Ok(0).into();
    };
    let result = locks.set_whole(file.id, kind).map(|()| 0);
    let queue = (operation & raw::LOCK_NB == 0).then_some(&locks.queue);
    or_wait(cx, result, &[queue], Interrupted::Restart)
}

/// A `struct flock` of the guest.
struct Wanted {
    kind: Option<LockKind>,
    first: u64,
    last: u64,
    pid: u32,
}

fn read_wanted(cx: &mut Context<'_>, file: &OpenFile, address: u64) -> Result<Wanted> {
    let bytes = cx.memory.read_bytes(address, size_of::<raw::flock>())?;
    let short = |at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let kind = match short(offset_of!(raw::flock, l_type)) {
        raw::F_RDLCK => Some(LockKind::Shared),
        raw::F_WRLCK => Some(LockKind::Exclusive),
        raw::F_UNLCK => None,
        _ => return Err(EINVAL),
    };
    let base = match short(offset_of!(raw::flock, l_whence)) {
        raw::SEEK_SET => 0,
        raw::SEEK_CUR => *file.position() as i64,
        raw::SEEK_END => file.file.size_bytes()? as i64,
        _ => return Err(EINVAL),
    };
    let start = base.checked_add(word(&bytes, offset_of!(raw::flock, l_start)) as i64).ok_or(EOVERFLOW)?;
    let length = word(&bytes, offset_of!(raw::flock, l_len)) as i64;
    // A negative length is what lies before; none at all is to the end, wherever that will be.
    let (first, last) = match length {
        0 => (start, i64::MAX),
        1.. => (start, start.checked_add(length - 1).ok_or(EOVERFLOW)?),
        _ => (start.checked_add(length).ok_or(EINVAL)?, start - 1),
    };
    let at = offset_of!(raw::flock, l_pid);
    let pid = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let first = u64::try_from(first).map_err(|_| EINVAL)?;
    let last = if last == i64::MAX { u64::MAX } else { last as u64 };
    Ok(Wanted { kind, first, last, pid })
}

pub fn record_lock(cx: &mut Context<'_>, file: &OpenFile, command: u32, address: u64) -> Outcome {
    let wanted = match read_wanted(cx, file, address) {
        Ok(wanted) => wanted,
        Err(error) => return error.into(),
    };
    let by_file = matches!(command, raw::F_OFD_GETLK | raw::F_OFD_SETLK | raw::F_OFD_SETLKW);
    if by_file && wanted.pid != 0 {
        return EINVAL.into();
    }
    let owner = if by_file { LockOwner::OpenFile(file.id) } else { LockOwner::Process(cx.ids.pid) };
    let Some(locks) = file.inode().and_then(|inode| inode.locks()) else { return EBADF.into() };
    if matches!(command, raw::F_GETLK | raw::F_OFD_GETLK) {
        let Some(kind) = wanted.kind else { return EINVAL.into() };
        let conflict = locks.conflict(&Held { owner, kind, first: wanted.first, last: wanted.last });
        return put_conflict(cx, address, conflict).into();
    }
    let Some(kind) = wanted.kind else {
        locks.unset(owner, wanted.first, wanted.last);
        return Ok(0).into();
    };
    let allowed = if kind == LockKind::Shared { file.to_read() } else { file.to_write() };
    if let Err(error) = allowed {
        return error.into();
    }
    let waits = matches!(command, raw::F_SETLKW | raw::F_OFD_SETLKW);
    let result = locks.set(Held { owner, kind, first: wanted.first, last: wanted.last }).map(|()| 0);
    if result == Err(EAGAIN) && !waits {
        return EAGAIN.into();
    }
    or_wait(cx, result, &[waits.then_some(&locks.queue)], Interrupted::Restart)
}

fn put_conflict(cx: &mut Context<'_>, address: u64, conflict: Option<Held>) -> Result<u64> {
    let Some(held) = conflict else {
        return cx
            .memory
            .write(address + offset_of!(raw::flock, l_type) as u64, &(raw::F_UNLCK as u16).to_le_bytes())
            .map(|()| 0);
    };
    let mut record = Record::<{ size_of::<raw::flock>() }>::new();
    let kind = if held.kind == LockKind::Shared { raw::F_RDLCK } else { raw::F_WRLCK };
    record.u16(offset_of!(raw::flock, l_type), kind as u16);
    record.u16(offset_of!(raw::flock, l_whence), raw::SEEK_SET as u16);
    record.u64(offset_of!(raw::flock, l_start), held.first);
    record.u64(offset_of!(raw::flock, l_len), if held.last == u64::MAX { 0 } else { held.last - held.first + 1 });
    let pid = if let LockOwner::Process(pid) = held.owner { pid as i32 } else { -1 };
    record.u32(offset_of!(raw::flock, l_pid), pid as u32);
    cx.memory.write(address, &record.0).map(|()| 0)
}
