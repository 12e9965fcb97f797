// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names: link(2), symlink(2), unlink(2), rename(2), mknod(2), readlink(2).

use super::Context;
use super::argument::{At, at, call, flags, new_name, path, put_cut};
use crate::errno::{EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EROFS, EXDEV, Result};
use crate::fs::inotify;
use crate::vfs::{Found, How, Kind, New, Place, may_change, new_in};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use linux_raw_sys::general::{self as raw, CAP_DAC_READ_SEARCH, CAP_MKNOD};

const HERE: u64 = raw::AT_FDCWD as u64;

/// What is to go, and whether the directory lets it. Errors: `ENOENT`, `EBUSY` for a mount, `EROFS`, `EACCES`, `EPERM`.
fn victim(cx: &Context<'_>, found: &Found) -> Result<Place> {
    let place = found.place.clone().ok_or(ENOENT)?;
    if found.parent.mount.is_read_only() {
        return Err(EROFS);
    }
    cx.caller().may_remove(&found.parent.inode.owner()?, &place.inode.owner()?)?;
    if place.is_mount_root() {
        return Err(EBUSY);
    }
    Ok(place)
}

fn gone(found: &Found, place: &Place, kind: u32) {
    inotify::tell(&found.parent.inode, raw::IN_DELETE | kind, &found.name, 0);
    inotify::tell(&place.inode, if kind == 0 { raw::IN_ATTRIB } else { raw::IN_DELETE_SELF }, b"", 0);
}

fn remove_file(cx: &mut Context<'_>, at: &At) -> Result<u64> {
    let found = at.resolve(cx, How::NOFOLLOW)?;
    if found.name.is_empty() {
        return Err(EISDIR);
    }
    let place = victim(cx, &found)?;
    let is_directory = place.inode.owner()?.kind() == Kind::Directory;
    match (is_directory, found.wants_directory) {
        (true, _) => Err(EISDIR),
        (false, true) => Err(ENOTDIR),
        _ => {
            found.parent.inode.unlink(&found.name)?;
            gone(&found, &place, 0);
            Ok(0)
        }
    }
}

fn remove_directory(cx: &mut Context<'_>, at: &At) -> Result<u64> {
    let found = at.resolve(cx, How::NOFOLLOW)?;
    if found.name.is_empty() {
        return Err(match () {
            () if found.ended_in_dot => EINVAL,
            () if found.place.as_ref().is_some_and(|place| place.is_same(&at.fs.root)) => EBUSY,
            () => ENOTEMPTY,
        });
    }
    let place = victim(cx, &found)?;
    found.parent.inode.remove_directory(&found.name)?;
    gone(&found, &place, raw::IN_ISDIR);
    Ok(0)
}

call!(
    unlink | cx,
    a | {
        let at = at(cx, HERE, a[0])?;
        remove_file(cx, &at)
    }
);
call!(
    rmdir | cx,
    a | {
        let at = at(cx, HERE, a[0])?;
        remove_directory(cx, &at)
    }
);
call!(
    unlinkat | cx,
    a | {
        let flags = flags(a[2], raw::AT_REMOVEDIR)?;
        let at = at(cx, a[0], a[1])?;
        if flags == 0 { remove_file(cx, &at) } else { remove_directory(cx, &at) }
    }
);

fn make_link(cx: &mut Context<'_>, old: &At, new: &At, flags: u32) -> Result<u64> {
    let place = if old.path.is_empty() && flags & raw::AT_EMPTY_PATH != 0 {
        cx.caller().needs(CAP_DAC_READ_SEARCH).map_err(|_| ENOENT)?;
        old.find_or_self(cx, flags)?
    } else {
        old.find(cx, How::follow_if(flags & raw::AT_SYMLINK_FOLLOW != 0))?
    };
    let found = new.resolve(cx, How::NOFOLLOW)?;
    new_name(&found, Kind::File)?;
    if !Arc::ptr_eq(&place.mount, &found.parent.mount) {
        return Err(EXDEV);
    }
    if place.inode.owner()?.kind() == Kind::Directory {
        return Err(EPERM);
    }
    may_change(&cx.caller(), &found.parent)?;
    found.parent.inode.link(&found.name, &place.inode)?;
    inotify::tell(&found.parent.inode, raw::IN_CREATE, &found.name, 0);
    Ok(0)
}

call!(
    link | cx,
    a | {
        let (old, new) = (at(cx, HERE, a[0])?, at(cx, HERE, a[1])?);
        make_link(cx, &old, &new, 0)
    }
);
call!(
    linkat | cx,
    a | {
        let flags = flags(a[4], raw::AT_SYMLINK_FOLLOW | raw::AT_EMPTY_PATH)?;
        let (old, new) = (at(cx, a[0], a[1])?, at(cx, a[2], a[3])?);
        make_link(cx, &old, &new, flags)
    }
);

/// Makes anything but a file that is opened with it, or a directory.
fn make(cx: &mut Context<'_>, at: &At, new: New<'_>) -> Result<u64> {
    let found = at.resolve(cx, How::NOFOLLOW)?;
    new_name(&found, Kind::of_mode(new.mode))?;
    let caller = cx.caller();
    may_change(&caller, &found.parent)?;
    let owned = new_in(&caller, &found.parent, new.mode)?;
    found.parent.inode.create(&found.name, &New { uid: owned.uid, gid: owned.gid, ..new })?;
    inotify::tell(&found.parent.inode, raw::IN_CREATE, &found.name, 0);
    Ok(0)
}

fn symbolic(cx: &mut Context<'_>, target: u64, fd: u64, name: u64) -> Result<u64> {
    let target = path(cx, target)?;
    let at = at(cx, fd, name)?;
    if target.is_empty() {
        return Err(ENOENT);
    }
    make(cx, &at, New { mode: raw::S_IFLNK | 0o777, uid: 0, gid: 0, represents: 0, target: &target })
}
call!(symlink | cx, a | { symbolic(cx, a[0], HERE, a[1]) });
call!(symlinkat | cx, a | { symbolic(cx, a[0], a[1], a[2]) });

fn node(cx: &mut Context<'_>, fd: u64, name: u64, mode: u64, device: u64) -> Result<u64> {
    let at = at(cx, fd, name)?;
    let mode = mode as u32;
    let kind = if mode & raw::S_IFMT == 0 { raw::S_IFREG } else { mode & raw::S_IFMT };
    match Kind::of_mode(kind) {
        Kind::Directory => return Err(EPERM),
        Kind::Symlink => return Err(EINVAL),
        Kind::Character | Kind::Block => cx.caller().needs(CAP_MKNOD)?,
        _ if kind & raw::S_IFMT != kind => return Err(EINVAL),
        _ => {}
    }
    let mode = kind | mode & 0o7777 & !at.fs.umask;
    make(cx, &at, New { mode, uid: 0, gid: 0, represents: u64::from(device as u32), target: &[] })
}
call!(mknod | cx, a | { node(cx, HERE, a[0], a[1], a[2]) });
call!(mknodat | cx, a | { node(cx, a[0], a[1], a[2], a[3]) });

fn move_name(cx: &mut Context<'_>, old: &At, new: &At, flags: u32) -> Result<u64> {
    let exchanges = flags & raw::RENAME_EXCHANGE != 0;
    if flags & !(raw::RENAME_NOREPLACE | raw::RENAME_EXCHANGE) != 0 || exchanges && flags & raw::RENAME_NOREPLACE != 0 {
        return Err(EINVAL);
    }
    let from = old.resolve(cx, How::NOFOLLOW)?;
    let to = new.resolve(cx, How::NOFOLLOW)?;
    if !Arc::ptr_eq(&from.parent.mount, &to.parent.mount) {
        return Err(EXDEV);
    }
    if from.name.is_empty() || to.name.is_empty() {
        return Err(if to.name.is_empty() && flags & raw::RENAME_NOREPLACE != 0 { EEXIST } else { EBUSY });
    }
    let place = victim(cx, &from)?;
    let caller = cx.caller();
    match &to.place {
        Some(_) if flags & raw::RENAME_NOREPLACE != 0 => return Err(EEXIST),
        Some(_) => drop(victim(cx, &to)?),
        None if exchanges => return Err(ENOENT),
        None => may_change(&caller, &to.parent)?,
    }
    let is_directory = place.inode.owner()?.kind() == Kind::Directory;
    if !is_directory && (from.wants_directory || to.wants_directory) {
        return Err(ENOTDIR);
    }
    from.parent.inode.rename(&from.name, &to.parent.inode, &to.name, flags)?;
    static MOVES: AtomicU32 = AtomicU32::new(1);
    let (cookie, kind) = (MOVES.fetch_add(1, Ordering::Relaxed), if is_directory { raw::IN_ISDIR } else { 0 });
    inotify::tell(&from.parent.inode, raw::IN_MOVED_FROM | kind, &from.name, cookie);
    inotify::tell(&to.parent.inode, raw::IN_MOVED_TO | kind, &to.name, cookie);
    inotify::tell(&place.inode, raw::IN_MOVE_SELF, b"", 0);
    Ok(0)
}
call!(
    rename | cx,
    a | {
        let (old, new) = (at(cx, HERE, a[0])?, at(cx, HERE, a[1])?);
        move_name(cx, &old, &new, 0)
    }
);
call!(
    renameat | cx,
    a | {
        let (old, new) = (at(cx, a[0], a[1])?, at(cx, a[2], a[3])?);
        move_name(cx, &old, &new, 0)
    }
);
call!(
    renameat2 | cx,
    a | {
        let (old, new) = (at(cx, a[0], a[1])?, at(cx, a[2], a[3])?);
        move_name(cx, &old, &new, a[4] as u32)
    }
);

fn read_name(cx: &mut Context<'_>, fd: u64, name: u64, buffer: u64, room: u64) -> Result<u64> {
    if room as i32 <= 0 {
        return Err(EINVAL);
    }
    let at = at(cx, fd, name)?;
    // An empty path is the descriptor, which must be of a symbolic link (O_PATH).
    let place = at.find_or_self(cx, raw::AT_SYMLINK_NOFOLLOW | if at.file.is_some() { raw::AT_EMPTY_PATH } else { 0 })?;
    if place.inode.owner()?.kind() != Kind::Symlink {
        return Err(if at.path.is_empty() { ENOENT } else { EINVAL });
    }
    let target = place.inode.read_link(&cx.caller())?;
    put_cut(cx, buffer, &target, u64::from(room as u32))
}
call!(readlink | cx, a | { read_name(cx, HERE, a[0], a[1], a[2]) });
call!(readlinkat | cx, a | { read_name(cx, a[0], a[1], a[2], a[3]) });
