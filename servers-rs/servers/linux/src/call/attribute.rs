// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is known of a file: chmod(2), chown(2), utimensat(2), access(2), umask(2); and its size: truncate(2), fallocate(2), fsync(2).

use super::Context;
use super::argument::{at, call, flags, half, open_file, usable_file, word};
use crate::errno::{EACCES, EFBIG, EINVAL, EISDIR, ENODEV, EOPNOTSUPP, EPERM, EROFS, ESPIPE, Result};
use crate::signal::request::To;
use crate::user::UserMemoryExt;
use crate::vfs::{Caller, Change, How, Inode, Kind, Place, Time, Want};
use alloc::sync::Arc;
use linux_raw_sys::general::{self as raw, CAP_CHOWN, CAP_FSETID};

const HERE: u64 = raw::AT_FDCWD as u64;

fn writable(place: &Place) -> Result<&Arc<dyn Inode>> {
    if place.mount.is_read_only() { Err(EROFS) } else { Ok(&place.inode) }
}
fn place_of(cx: &Context<'_>, fd: u64) -> Result<Place> {
    // A pipe or a socket keeps its mode for itself; nothing of ours asks for it.
    usable_file(cx, fd)?.place.clone().ok_or(EINVAL)
}

fn set_mode(cx: &Context<'_>, place: &Place, mode: u64) -> Result<u64> {
    let inode = writable(place)?;
    let (owner, caller) = (inode.owner()?, cx.caller());
    if owner.kind() == Kind::Symlink {
        return Err(EOPNOTSUPP);
    }
    if !caller.owns(&owner) {
        return Err(EPERM);
    }
    let mut mode = mode as u32 & 0o7777;
    if !caller.credentials.in_group(owner.gid) && !caller.credentials.can(CAP_FSETID) {
        mode &= !raw::S_ISGID;
    }
    inode.set(&Change { mode: Some(mode), ..Change::default() }).map(|()| 0)
}
call!(
    chmod | cx,
    a | {
        let at = at(cx, HERE, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        set_mode(cx, &place, a[1])
    }
);
call!(
    fchmod | cx,
    a | {
        let place = place_of(cx, a[0])?;
        set_mode(cx, &place, a[1])
    }
);
call!(
    fchmodat | cx,
    a | {
        let at = at(cx, a[0], a[1])?;
        let place = at.find(cx, How::FOLLOW)?;
        set_mode(cx, &place, a[2])
    }
);
call!(
    fchmodat2 | cx,
    a | {
        let flags = flags(a[3], raw::AT_SYMLINK_NOFOLLOW | raw::AT_EMPTY_PATH)?;
        let at = at(cx, a[0], a[1])?;
        let place = at.find_or_self(cx, flags)?;
        set_mode(cx, &place, a[2])
    }
);

fn set_owner(cx: &Context<'_>, place: &Place, uid: u64, gid: u64) -> Result<u64> {
    let inode = writable(place)?;
    let (owner, caller) = (inode.owner()?, cx.caller());
    let wanted = |value: u64| (value as u32 != u32::MAX).then_some(value as u32);
    let (uid, gid) = (wanted(uid), wanted(gid));
    let may = caller.credentials.can(CAP_CHOWN);
    let is_mine = caller.credentials.fsuid == owner.uid;
    let uid_ok = uid.is_none_or(|uid| may || is_mine && uid == owner.uid);
    let gid_ok = gid.is_none_or(|gid| may || is_mine && (gid == owner.gid || caller.credentials.in_group(gid)));
    if !uid_ok || !gid_ok {
        return Err(EPERM);
    }
    // A program that runs as its owner shall not become another's by this (chown(2)).
    let runs_in_group = owner.mode & (raw::S_ISGID | raw::S_IXGRP) == raw::S_ISGID | raw::S_IXGRP;
    let lost = raw::S_ISUID | if runs_in_group { raw::S_ISGID } else { 0 };
    let mode = (owner.kind() != Kind::Directory && owner.mode & lost != 0).then_some(owner.mode & 0o7777 & !lost);
    inode.set(&Change { uid, gid, mode, ..Change::default() }).map(|()| 0)
}
call!(
    chown | cx,
    a | {
        let at = at(cx, HERE, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        set_owner(cx, &place, a[1], a[2])
    }
);
call!(
    lchown | cx,
    a | {
        let at = at(cx, HERE, a[0])?;
        let place = at.find(cx, How::NOFOLLOW)?;
        set_owner(cx, &place, a[1], a[2])
    }
);
call!(
    fchown | cx,
    a | {
        let place = place_of(cx, a[0])?;
        set_owner(cx, &place, a[1], a[2])
    }
);
call!(
    fchownat | cx,
    a | {
        let flags = flags(a[4], raw::AT_SYMLINK_NOFOLLOW | raw::AT_EMPTY_PATH)?;
        let at = at(cx, a[0], a[1])?;
        let place = at.find_or_self(cx, flags)?;
        set_owner(cx, &place, a[2], a[3])
    }
);

/// One of the two times of utimensat(2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    Omit,
    At(Time),
}

fn set_times(cx: &Context<'_>, place: &Place, times: [When; 2]) -> Result<u64> {
    if times == [When::Omit; 2] {
        return Ok(0);
    }
    let inode = writable(place)?;
    let (owner, caller) = (inode.owner()?, cx.caller());
    if !caller.owns(&owner) {
        if times != [When::Now; 2] {
            return Err(EPERM);
        }
        caller.may(&owner, Want::WRITE)?;
    }
    let now = caller.now();
    let [accessed, modified] = times.map(|time| match time {
        When::Now => Some(now),
        When::Omit => None,
        When::At(time) => Some(time),
    });
    inode.set(&Change { accessed, modified, ..Change::default() }).map(|()| 0)
}

fn read_times(cx: &mut Context<'_>, address: u64) -> Result<[When; 2]> {
    if address == 0 {
        return Ok([When::Now; 2]);
    }
    let bytes = cx.memory.read_bytes(address, 32)?;
    let one = |at: usize| match word(&bytes, at + 8) {
        n if n == u64::from(raw::UTIME_NOW) => Ok(When::Now),
        n if n == u64::from(raw::UTIME_OMIT) => Ok(When::Omit),
        n @ 0..1_000_000_000 => Ok(When::At(Time { seconds: word(&bytes, at) as i64, nanoseconds: n as u32 })),
        _ => Err(EINVAL),
    };
    Ok([one(0)?, one(16)?])
}

call!(
    utimensat | cx,
    a | {
        let times = read_times(cx, a[2])?;
        let flags = flags(a[3], raw::AT_SYMLINK_NOFOLLOW | raw::AT_EMPTY_PATH)?;
        if a[1] == 0 {
            if a[0] as i32 == raw::AT_FDCWD {
                return Err(crate::errno::EFAULT);
            }
            let place = open_file(cx, a[0])?.place.clone().ok_or(EINVAL)?;
            return set_times(cx, &place, times);
        }
        let at = at(cx, a[0], a[1])?;
        let place = at.find_or_self(cx, flags)?;
        set_times(cx, &place, times)
    }
);
/// Microseconds.
fn read_timevals(cx: &mut Context<'_>, address: u64) -> Result<[When; 2]> {
    if address == 0 {
        return Ok([When::Now; 2]);
    }
    let bytes = cx.memory.read_bytes(address, 32)?;
    let one = |at: usize| match word(&bytes, at + 8) {
        micros @ 0..1_000_000 => Ok(When::At(Time { seconds: word(&bytes, at) as i64, nanoseconds: micros as u32 * 1000 })),
        _ => Err(EINVAL),
    };
    Ok([one(0)?, one(16)?])
}
call!(
    utimes | cx,
    a | {
        let times = read_timevals(cx, a[1])?;
        let at = at(cx, HERE, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        set_times(cx, &place, times)
    }
);
call!(
    futimesat | cx,
    a | {
        let times = read_timevals(cx, a[2])?;
        let at = at(cx, a[0], a[1])?;
        let place = at.find(cx, How::FOLLOW)?;
        set_times(cx, &place, times)
    }
);
call!(
    utime | cx,
    a | {
        let times = if a[1] == 0 {
            [When::Now; 2]
        } else {
            let bytes = cx.memory.read_bytes(a[1], 16)?;
            [0, 8].map(|at| When::At(Time { seconds: word(&bytes, at) as i64, nanoseconds: 0 }))
        };
        let at = at(cx, HERE, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        set_times(cx, &place, times)
    }
);

fn is_allowed(cx: &mut Context<'_>, fd: u64, path: u64, mode: u64, flags: u32) -> Result<u64> {
    if mode & !7 != 0 {
        return Err(EINVAL);
    }
    let at = at(cx, fd, path)?;
    let real = cx.credentials.real();
    let credentials = if flags & raw::AT_EACCESS != 0 { cx.credentials } else { &real };
    let caller = Caller { credentials, ..cx.caller() };
    let place = if at.path.is_empty() && flags & raw::AT_EMPTY_PATH != 0 {
        at.find_or_self(cx, flags)?
    } else {
        crate::vfs::resolve_place(&caller, &at.fs, &at.start, &at.path, How::follow_if(flags & raw::AT_SYMLINK_NOFOLLOW == 0))?
    };
    let (owner, want) = (place.inode.owner()?, Want(mode as u32));
    let is_device = matches!(owner.kind(), Kind::Character | Kind::Block | Kind::Fifo | Kind::Socket);
    if mode & 2 != 0 && place.mount.is_read_only() && !is_device {
        return Err(EROFS);
    }
    if mode & 1 != 0 && owner.kind() == Kind::File && place.mount.flags() & raw::MS_NOEXEC != 0 {
        return Err(EACCES);
    }
    caller.may(&owner, want).map(|()| 0)
}
call!(access | cx, a | { is_allowed(cx, HERE, a[0], a[1], 0) });
call!(faccessat | cx, a | { is_allowed(cx, a[0], a[1], a[2], 0) });
call!(
    faccessat2 | cx,
    a | {
        let flags = flags(a[3], raw::AT_EACCESS | raw::AT_SYMLINK_NOFOLLOW | raw::AT_EMPTY_PATH)?;
        is_allowed(cx, a[0], a[1], a[2], flags)
    }
);

call!(
    umask | cx,
    a | {
        let mut fs = cx.fs.lock();
        Ok(u64::from(core::mem::replace(&mut fs.umask, a[0] as u32 & 0o777)))
    }
);

fn set_size(cx: &Context<'_>, inode: &Arc<dyn Inode>, length: u64) -> Result<u64> {
    if length > cx.limits.soft(raw::RLIMIT_FSIZE) {
        cx.signals.raise(To::Caller, raw::SIGXFSZ, 0);
        return Err(EFBIG);
    }
    inode.set(&Change { size_bytes: Some(length), ..Change::default() }).map(|()| 0)
}
call!(
    truncate | cx,
    a | {
        if a[1] as i64 <= -1 {
            return Err(EINVAL);
        }
        let at = at(cx, HERE, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        let owner = place.inode.owner()?;
        match owner.kind() {
            Kind::File => {}
            Kind::Directory => return Err(EISDIR),
            _ => return Err(EINVAL),
        }
        let inode = writable(&place)?;
        cx.caller().may(&owner, Want::WRITE)?;
        set_size(cx, inode, a[1])
    }
);
call!(
    ftruncate | cx,
    a | {
        if a[1] as i64 <= -1 {
            return Err(EINVAL);
        }
        let file = usable_file(cx, a[0])?;
        let inode = file.inode().ok_or(EINVAL)?;
        if file.to_write().is_err() || inode.owner()?.kind() != Kind::File {
            return Err(EINVAL);
        }
        set_size(cx, inode, a[1])
    }
);
call!(
    fallocate | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let (mode, offset, length) = (a[1] as u32, a[2] as i64, a[3] as i64);
        if offset < 0 || length <= 0 {
            return Err(EINVAL);
        }
        let punches = mode & raw::FALLOC_FL_PUNCH_HOLE != 0;
        if mode & !0x7f != 0 || punches && mode & raw::FALLOC_FL_KEEP_SIZE == 0 {
            return Err(EOPNOTSUPP);
        }
        file.to_write()?;
        let Some(inode) = file.inode() else { return Err(ESPIPE) };
        match inode.owner()?.kind() {
            Kind::File => {}
            Kind::Directory => return Err(EISDIR),
            Kind::Fifo => return Err(ESPIPE),
            _ => return Err(ENODEV),
        }
        let end = offset.checked_add(length).ok_or(EFBIG)?;
        if mode & raw::FALLOC_FL_KEEP_SIZE == 0 && end as u64 > cx.limits.soft(raw::RLIMIT_FSIZE) {
            cx.signals.raise(To::Caller, raw::SIGXFSZ, 0);
            return Err(EFBIG);
        }
        inode.allocate(mode, offset as u64, length as u64).map(|()| 0)
    }
);

fn sync_file(cx: &Context<'_>, fd: u64) -> Result<u64> {
    let file = usable_file(cx, fd)?;
    match file.inode() {
        Some(inode) if matches!(inode.owner()?.kind(), Kind::File | Kind::Directory) => inode.sync().map(|()| 0),
        _ => Err(EINVAL),
    }
}
call!(fsync | cx, a | { sync_file(cx, a[0]) });
call!(fdatasync | cx, a | { sync_file(cx, a[0]) });
call!(
    syncfs | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        file.place.as_ref().map_or(Ok(()), |place| place.mount.system.sync()).map(|()| 0)
    }
);
call!(
    sync | cx,
    _ | {
        let namespace = cx.fs.lock().namespace.clone();
        // Nobody is told of errors (sync(2)).
        namespace.mounts().iter().for_each(|mount| mount.system.sync().unwrap_or_default());
        Ok(0)
    }
);
call!(
    sync_file_range | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        if a[3] & !7 != 0 || (a[1] as i64) < 0 || (a[2] as i64) < 0 {
            return Err(EINVAL);
        }
        match file.inode() {
            Some(inode) if file.file.has_position() => inode.sync().map(|()| 0),
            _ => Err(ESPIPE),
        }
    }
);
/// Advice: looked at, then left (posix_fadvise(2), readahead(2)).
fn advised(cx: &Context<'_>, fd: u64) -> Result<u64> {
    let file = usable_file(cx, fd)?;
    if file.file.has_position() { Ok(0) } else { Err(ESPIPE) }
}
call!(
    fadvise64 | cx,
    a | {
        let answer = advised(cx, a[0])?;
        if a[3] > 5 || (a[2] as i64) < 0 { Err(EINVAL) } else { Ok(answer) }
    }
);
call!(
    readahead | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        file.to_read()?;
        match file.inode() {
            Some(inode) if inode.owner()?.kind() == Kind::File => Ok(0),
            _ => Err(EINVAL),
        }
    }
);
call!(
    name_to_handle_at | cx,
    a | {
        let at = at(cx, a[0], a[1])?;
        at.find_or_self(cx, a[4] as u32 | raw::AT_SYMLINK_NOFOLLOW)?;
        // Handles would have to outlive their inodes.
        let bytes = cx.memory.read_bytes(a[2], 4)?;
        if half(&bytes, 0) > 128 { Err(EINVAL) } else { Err(EOPNOTSUPP) }
    }
);
call!(
    open_by_handle_at | cx,
    _ | {
        cx.caller().needs(linux_raw_sys::general::CAP_DAC_READ_SEARCH)?;
        Err(crate::errno::ESTALE)
    }
);
