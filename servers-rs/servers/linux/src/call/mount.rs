// SPDX-License-Identifier: PMPL-1.0-or-later
//! mount(2), umount2(2): tmpfs, overlay, proc, sysfs, devpts where the cell has them, bind mounts, and flags changed later.

use super::Context;
use super::argument::{at, call, flags};
use crate::errno::{EBUSY, EINVAL, ENODEV, ENOENT, ENOTDIR, Result};
use crate::fs::overlay::Overlay;
use crate::fs::tmpfs::Means;
use crate::user::UserMemoryExt;
use crate::vfs::{FileSystem, FsContext, How, Kind, Mount, Place, mount_flag};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general::{self as raw, CAP_SYS_ADMIN};

const HERE: u64 = raw::AT_FDCWD as u64;
/// Of umount2(2), which linux_raw_sys lacks.
const MNT_FORCE: u32 = 1;
const MNT_DETACH: u32 = 2;
const UMOUNT_NOFOLLOW: u32 = 8;
/// Longest text of options: a page, as Linux copies it.
const DATA_BYTES: usize = 4096;
const SPREADS: u32 = raw::MS_SHARED | raw::MS_PRIVATE | raw::MS_SLAVE | raw::MS_UNBINDABLE;

fn text(cx: &mut Context<'_>, address: u64) -> Result<Vec<u8>> {
    if address == 0 { Ok(Vec::new()) } else { cx.memory.read_string(address, DATA_BYTES) }
}

call!(
    mount | cx,
    a | {
        let flags = a[3] as u32;
        let kind = text(cx, a[2])?;
        let source = text(cx, a[0])?;
        let data = text(cx, a[4])?;
        let target = at(cx, HERE, a[1])?;
        let place = target.find(cx, How::FOLLOW)?;
        cx.caller().needs(CAP_SYS_ADMIN)?;
        let kept = flags & mount_flag::ALL;
        if flags & raw::MS_REMOUNT != 0 {
            if !place.is_mount_root() {
                return Err(EINVAL);
            }
            place.mount.set_flags(kept);
            return Ok(0);
        }
        // Mounts are not spread: there is one namespace, so every one of these is so already.
        if flags & SPREADS != 0 {
            return if place.is_mount_root() { Ok(0) } else { Err(EINVAL) };
        }
        let fs = target.fs;
        if flags & raw::MS_BIND != 0 {
            let from = at(cx, HERE, a[0])?.find(cx, How::FOLLOW)?;
            return bind(&fs, &from, place, flags & raw::MS_REC != 0);
        }
        if flags & raw::MS_MOVE != 0 {
            let from = at(cx, HERE, a[0])?.find(cx, How::FOLLOW)?;
            if !from.is_mount_root() {
                return Err(EINVAL);
            }
            fs.namespace.unmount(&from.mount, false)?;
            return fs.namespace.mount(place, from.mount).map(|()| 0);
        }
        if place.inode.owner()?.kind() != Kind::Directory {
            return Err(ENOTDIR);
        }
        let system = make(cx, &fs, &kind, &data)?;
        let root = system.root();
        fs.namespace.mount(place, Mount::new(system, root, &source, kept)).map(|()| 0)
    }
);

fn bind(fs: &FsContext, from: &Place, onto: Place, recursive: bool) -> Result<u64> {
    let kinds = [from.inode.owner()?.kind(), onto.inode.owner()?.kind()].map(|kind| kind == Kind::Directory);
    if kinds[0] != kinds[1] {
        return Err(ENOTDIR);
    }
    // Those below it are taken before the new one is there, so that it does not find itself.
    let below = if recursive { below(fs, from) } else { Vec::new() };
    let copy = |mount: &Arc<Mount>, root| Mount::new(mount.system.clone(), root, &mount.source, mount.flags());
    let top = copy(&from.mount, from.inode.clone());
    fs.namespace.mount(onto, top.clone())?;
    let mut made = alloc::vec![(from.mount.clone(), top)];
    for mount in below {
        let Some(at) = mount.at() else { continue };
        let parent = made.iter().find(|(old, _)| Arc::ptr_eq(old, &at.mount)).map(|(_, new)| new.clone());
        if let Some(parent) = parent {
            let new = copy(&mount, mount.root.clone());
            fs.namespace.mount(Place { mount: parent, inode: at.inode }, new.clone())?;
            made.push((mount, new));
        }
    }
    Ok(0)
}

/// Mounts that hang below a place, parents before children.
fn below(fs: &FsContext, place: &Place) -> Vec<Arc<Mount>> {
    let is_below = |mount: &Arc<Mount>| {
        let mut here = mount.at();
        while let Some(at) = here {
            if crate::vfs::full_path(place, &at).is_some() {
                return true;
            }
            here = at.mount.at();
        }
        false
    };
    fs.namespace.mounts().into_iter().filter(is_below).collect()
}

/// `lowerdir=A:B,upperdir=C,workdir=D`; the last is looked at and not needed, as changes are made in place.
fn overlay(cx: &Context<'_>, fs: &FsContext, data: &[u8]) -> Result<Arc<Overlay>> {
    let (mut upper, mut lowers) = (None, Vec::new());
    let find = |path: &[u8]| crate::vfs::resolve_place(&cx.caller(), fs, &fs.working, path, How::FOLLOW);
    for option in data.split(|byte| *byte == b',').filter(|option| !option.is_empty()) {
        let split = option.iter().position(|byte| *byte == b'=').unwrap_or(option.len());
        let value = option.get(split + 1..).unwrap_or(&[]);
        match &option[..split] {
            b"lowerdir" => lowers = value.split(|byte| *byte == b':').map(find).collect::<Result<_>>()?,
            b"upperdir" => upper = Some(find(value)?),
            b"workdir" => drop(find(value)?),
            b"index" | b"xino" | b"redirect_dir" | b"metacopy" | b"volatile" => {}
            _ => return Err(EINVAL),
        }
    }
    if lowers.is_empty() {
        return Err(EINVAL);
    }
    Overlay::new(upper, &lowers, fs.namespace.memory().system.means().clock)
}

/// A new file system, or the one that the cell has of that kind. Errors: `ENODEV`.
fn make(cx: &Context<'_>, fs: &FsContext, kind: &[u8], data: &[u8]) -> Result<Arc<dyn FileSystem>> {
    match kind {
        b"overlay" => Ok(overlay(cx, fs, data)?),
        b"tmpfs" | b"ramfs" => Ok(crate::fs::tmpfs::Tmpfs::with_options(&fs.namespace.memory().system.means(), data)?),
        b"proc" | b"sysfs" | b"devpts" | b"devtmpfs" | b"cgroup2" | b"mqueue" => {
            let name = core::str::from_utf8(kind).map_err(|_| ENODEV)?;
            let name = if name == "mqueue" { "tmpfs" } else { name };
            let mount = fs.namespace.mounts().into_iter().find(|mount| mount.system.name() == name);
            mount.map(|mount| mount.system.clone()).ok_or(ENODEV)
        }
        _ => Err(ENODEV),
    }
}

call!(
    umount2 | cx,
    a | {
        let flags = flags(a[1], MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW)?;
        let target = at(cx, HERE, a[0])?;
        let place = target.find(cx, How::follow_if(flags & UMOUNT_NOFOLLOW == 0))?;
        cx.caller().needs(CAP_SYS_ADMIN)?;
        if !place.is_mount_root() || place.mount.at().is_none() {
            return Err(EINVAL);
        }
        let is_used = cx.fs.lock().working.mount.id == place.mount.id || cx.fs.lock().root.mount.id == place.mount.id;
        if is_used && flags & MNT_DETACH == 0 {
            return Err(EBUSY);
        }
        target.fs.namespace.unmount(&place.mount, flags & MNT_DETACH != 0).map(|()| 0)
    }
);

impl crate::fs::tmpfs::Tmpfs {
    /// As the options of mount(8) say: `size=`, `mode=`. Errors: `EINVAL`.
    fn with_options(means: &Means, data: &[u8]) -> Result<Arc<Self>> {
        let (mut size, mut mode) = (means.limit_bytes, 0o1777);
        let text = core::str::from_utf8(data).map_err(|_| EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", value)) => size = bytes(value, means.limit_bytes).ok_or(EINVAL)?,
                Some(("mode", value)) => mode = u32::from_str_radix(value, 8).map_err(|_| EINVAL)? & 0o7777,
                Some(("uid" | "gid" | "nr_inodes" | "nr_blocks" | "huge" | "mpol", _)) | None => {}
                Some(_) => return Err(EINVAL),
            }
        }
        Ok(Self::new(means, "tmpfs", size, mode))
    }
}

/// `65536k`, `50%`; no more than there is.
fn bytes(text: &str, most: u64) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().ok()?;
    let size = match unit {
        "" => number,
        "k" | "K" => number.checked_mul(1 << 10)?,
        "m" | "M" => number.checked_mul(1 << 20)?,
        "g" | "G" => number.checked_mul(1 << 30)?,
        "%" => most / 100 * number,
        _ => return None,
    };
    Some(if size == 0 { most } else { size.min(most) })
}

/// Where a path leads, for whoever mounts before anybody runs. Errors: `ENOENT`.
pub fn place_of(cx: &crate::vfs::Caller<'_>, fs: &FsContext, path: &[u8]) -> Result<Place> {
    crate::vfs::resolve_place(cx, fs, &fs.root, path, How::FOLLOW).map_err(|_| ENOENT)
}
