// SPDX-License-Identifier: PMPL-1.0-or-later
//! Opening by name: what open(2) and openat2(2) check, in Linux's order.

use super::context::FsContext;
use super::credentials::{Caller, Want};
use super::file::directory;
use super::inode::{Change, Kind, New};
use super::mount::{Place, mount_flag};
use super::open_file::{Named, OpenFile};
use super::walk::{Found, How, may_change, resolve};
use crate::errno::{EACCES, EEXIST, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS, Result};
use crate::fs::inotify;
use alloc::sync::Arc;
use linux_raw_sys::general as raw;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenHow {
    pub flags: u32,
    pub mode: u32,
    /// RESOLVE_*.
    pub resolve: u32,
}

/// O_TMPFILE without the O_DIRECTORY that it contains.
const UNNAMED: u32 = raw::O_TMPFILE & !raw::O_DIRECTORY;

/// Opens what a path names, seen from `at`; makes it where that is asked.
pub fn open(caller: &Caller<'_>, fs: &FsContext, at: &Place, path: &[u8], how: OpenHow) -> Result<Arc<OpenFile>> {
    let flags = how.flags;
    let is_new = raw::O_CREAT | raw::O_EXCL;
    let follow = flags & raw::O_NOFOLLOW == 0 && flags & is_new != is_new;
    let found = resolve(caller, fs, at, path, How { follow, resolve: how.resolve })?;
    if flags & UNNAMED != 0 {
        return open_unnamed(caller, fs, found.existing()?, how);
    }
    let creates = flags & raw::O_CREAT != 0 && flags & raw::O_PATH == 0;
    match &found.place {
        Some(_) if creates && flags & raw::O_EXCL != 0 => Err(EEXIST),
        Some(place) => {
            let is_directory = place.inode.owner()?.kind() == Kind::Directory;
            if creates && (is_directory || found.wants_directory) {
                return Err(EISDIR);
            }
            let named = (!is_directory && !found.name.is_empty())
                .then(|| Named { directory: found.parent.clone(), name: found.name.clone() });
            open_place(caller, place.clone(), named, flags)
        }
        None if creates => create(caller, fs, found, how),
        None => Err(ENOENT),
    }
}

fn create(caller: &Caller<'_>, fs: &FsContext, found: Found, how: OpenHow) -> Result<Arc<OpenFile>> {
    if found.wants_directory {
        return Err(EISDIR);
    }
    let parent = &found.parent;
    may_change(caller, parent)?;
    let new = new_in(caller, parent, raw::S_IFREG | how.mode & 0o7777 & !fs.umask)?;
    let inode = parent.inode.create(&found.name, &new)?;
    inotify::tell(&parent.inode, raw::IN_CREATE, &found.name, 0);
    // Whoever makes a file may do with it what was asked, whatever its mode (open(2)).
    let file = inode.clone().open(how.flags, caller)?;
    let place = Place { mount: parent.mount.clone(), inode };
    Ok(OpenFile::new(file, Some(place), Some(Named { directory: found.parent, name: found.name }), how.flags))
}

/// Owner and mode of what is made in a directory: its group, and its set-group-ID bit for directories, are inherited where it has that bit.
pub fn new_in(caller: &Caller<'_>, parent: &Place, mode: u32) -> Result<New<'static>> {
    let above = parent.inode.owner()?;
    let inherits = above.mode & raw::S_ISGID != 0;
    let gid = if inherits { above.gid } else { caller.credentials.fsgid };
    let mode = if inherits && Kind::of_mode(mode) == Kind::Directory { mode | raw::S_ISGID } else { mode };
    Ok(New { mode, uid: caller.credentials.fsuid, gid, represents: 0, target: &[] })
}

fn open_unnamed(caller: &Caller<'_>, fs: &FsContext, directory: Place, how: OpenHow) -> Result<Arc<OpenFile>> {
    if directory.inode.owner()?.kind() != Kind::Directory {
        return Err(ENOTDIR);
    }
    may_change(caller, &directory)?;
    let new = new_in(caller, &directory, raw::S_IFREG | how.mode & 0o7777 & !fs.umask)?;
    let inode = directory.inode.create_unnamed(&new)?;
    let file = inode.clone().open(how.flags, caller)?;
    let name = alloc::format!("#{}", inode.stat()?.inode).into_bytes();
    let place = Place { mount: directory.mount.clone(), inode };
    Ok(OpenFile::new(file, Some(place), Some(Named { directory, name }), how.flags))
}

/// Opens what is at a place.
pub fn open_place(caller: &Caller<'_>, place: Place, named: Option<Named>, flags: u32) -> Result<Arc<OpenFile>> {
    let owner = place.inode.owner()?;
    let kind = owner.kind();
    if flags & raw::O_DIRECTORY != 0 && kind != Kind::Directory {
        return Err(ENOTDIR);
    }
    if flags & raw::O_PATH != 0 {
        let kept = flags & (raw::O_PATH | raw::O_DIRECTORY | raw::O_NOFOLLOW);
        return Ok(OpenFile::new(Arc::new(PathOnly), Some(place), named, kept));
    }
    let writes = flags & raw::O_ACCMODE != raw::O_RDONLY || flags & raw::O_TRUNC != 0;
    let mount_flags = place.mount.flags();
    match kind {
        Kind::Symlink => return Err(ELOOP),
        Kind::Directory if writes => return Err(EISDIR),
        Kind::Character | Kind::Block if mount_flags & mount_flag::MS_NODEV != 0 => return Err(EACCES),
        Kind::File | Kind::Directory if writes && mount_flags & mount_flag::MS_RDONLY != 0 => return Err(EROFS),
        _ => {}
    }
    let mut want = Want(0);
    if flags & raw::O_ACCMODE != raw::O_WRONLY {
        want = want.and(Want::READ);
    }
    if writes {
        want = want.and(Want::WRITE);
    }
    caller.may(&owner, want)?;
    if flags & raw::O_NOATIME != 0 && !caller.owns(&owner) {
        return Err(EPERM);
    }
    let file = if kind == Kind::Directory { directory() } else { place.inode.clone().open(flags, caller)? };
    if flags & raw::O_TRUNC != 0 && kind == Kind::File {
        place.inode.set(&Change { size_bytes: Some(0), ..Change::default() })?;
    }
    Ok(OpenFile::new(file, Some(place), named, flags))
}

/// What O_PATH opens: nothing can be done with it but through its place.
struct PathOnly;
impl super::file::File for PathOnly {}
