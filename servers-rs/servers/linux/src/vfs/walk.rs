// SPDX-License-Identifier: PMPL-1.0-or-later
//! From a path to what it names (path_resolution(7), openat2(2)).

use super::context::FsContext;
use super::credentials::{Caller, Want};
use super::inode::{Above, Inode, Kind, Link};
use super::mount::Place;
use crate::errno::{EACCES, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;

/// Symbolic links that one path may meet (MAXSYMLINKS of Linux).
const MAX_LINKS: u32 = 40;
/// NAME_MAX.
const MAX_NAME_BYTES: usize = 255;

/// How to walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct How {
    /// A symbolic link at the end is followed. It is anyway when a slash comes behind it.
    pub follow: bool,
    /// RESOLVE_* of openat2(2).
    pub resolve: u32,
}

impl How {
    pub const FOLLOW: How = How { follow: true, resolve: 0 };
    pub const NOFOLLOW: How = How { follow: false, resolve: 0 };
    pub const fn follow_if(follow: bool) -> How {
        How { follow, resolve: 0 }
    }
}

/// What a path came to.
pub struct Found {
    /// The directory in which the last name was looked up.
    pub parent: Place,
    /// The last name; empty for `/`, `.`, `..` and links of /proc, which can be neither made nor removed.
    pub name: Vec<u8>,
    /// What is there.
    pub place: Option<Place>,
    /// A slash came behind the last name.
    pub wants_directory: bool,
    /// The path ended in `.`: rmdir(2) tells that apart.
    pub ended_in_dot: bool,
}

impl Found {
    /// Errors: `ENOENT`.
    pub fn existing(self) -> Result<Place> {
        self.place.ok_or(ENOENT)
    }
}

/// As [`resolve`], for what must be there.
pub fn resolve_place(caller: &Caller<'_>, fs: &FsContext, at: &Place, path: &[u8], how: How) -> Result<Place> {
    resolve(caller, fs, at, path, how)?.existing()
}

/// Walks from `at`, or from the root. Errors: `ENOENT` for a missing directory or an empty path, `ENOTDIR`, `EACCES`, `ELOOP`,
/// `ENAMETOOLONG`, `EXDEV`.
pub fn resolve(caller: &Caller<'_>, fs: &FsContext, at: &Place, path: &[u8], how: How) -> Result<Found> {
    if path.is_empty() {
        return Err(ENOENT);
    }
    let is_scoped = how.resolve & (raw::RESOLVE_BENEATH | raw::RESOLVE_IN_ROOT) != 0;
    let root = if is_scoped { at.clone() } else { fs.root.clone() };
    Walk { caller, fs, root, here: at.clone(), links: 0, how }.run(path)
}

struct Walk<'a> {
    caller: &'a Caller<'a>,
    fs: &'a FsContext,
    root: Place,
    here: Place,
    links: u32,
    how: How,
}

impl Walk<'_> {
    fn run(mut self, path: &[u8]) -> Result<Found> {
        let mut longer: Vec<u8>;
        let mut rest = path;
        self.begin(rest)?;
        loop {
            rest = &rest[rest.iter().take_while(|byte| **byte == b'/').count()..];
            if rest.is_empty() {
                return Ok(self.special(true, false));
            }
            let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            let behind = &after[after.iter().take_while(|byte| **byte == b'/').count()..];
            let (is_last, wants_directory) = (behind.is_empty(), !after.is_empty());
            self.enter()?;
            match name {
                b"." | b".." => {
                    if name == b".." {
                        self.up()?;
                    }
                    if is_last {
                        return Ok(self.special(true, name == b"."));
                    }
                    rest = behind;
                    continue;
                }
                _ => {}
            }
            if name.len() > MAX_NAME_BYTES {
                return Err(ENAMETOOLONG);
            }
            let parent = self.here.clone();
            let inode = match self.here.inode.lookup(name, self.caller) {
                Err(ENOENT) if is_last => {
                    return Ok(Found { parent, name: name.to_vec(), place: None, wants_directory, ended_in_dot: false });
                }
                other => other?,
            };
            let kind = inode.owner()?.kind();
            if kind == Kind::Symlink && (!is_last || wants_directory || self.how.follow) {
                match self.link(&inode)? {
                    Link::Path(target) => {
                        if target.is_empty() {
                            return Err(ENOENT);
                        }
                        let mut next = target;
                        next.extend_from_slice(after);
                        self.begin(&next)?;
                        longer = next;
                        rest = &longer;
                        continue;
                    }
                    Link::Place(place) => self.jump(place)?,
                    Link::Inode(inode) => self.here.inode = inode,
                }
                if is_last {
                    return Ok(self.special(wants_directory, false));
                }
            } else {
                let mount = parent.mount.clone();
                self.here = self.fs.namespace.cross(Place { mount, inode });
                if self.how.resolve & raw::RESOLVE_NO_XDEV != 0 && !Arc::ptr_eq(&self.here.mount, &parent.mount) {
                    return Err(EXDEV);
                }
                if is_last {
                    if wants_directory && self.here.inode.owner()?.kind() != Kind::Directory {
                        return Err(ENOTDIR);
                    }
                    let place = Some(self.here);
                    return Ok(Found { parent, name: name.to_vec(), place, wants_directory, ended_in_dot: false });
                }
            }
            rest = behind;
        }
    }

    /// An absolute path, or target of a link, begins at the root.
    fn begin(&mut self, path: &[u8]) -> Result<()> {
        if path.first() == Some(&b'/') {
            if self.how.resolve & raw::RESOLVE_BENEATH != 0 {
                return Err(EXDEV);
            }
            let is_other = !Arc::ptr_eq(&self.root.mount, &self.here.mount);
            if self.how.resolve & raw::RESOLVE_NO_XDEV != 0 && is_other {
                return Err(EXDEV);
            }
            self.here = self.root.clone();
        }
        Ok(())
    }
    /// `here` must be a directory that may be searched.
    fn enter(&self) -> Result<()> {
        let owner = self.here.inode.owner()?;
        if owner.kind() != Kind::Directory {
            return Err(ENOTDIR);
        }
        self.caller.may(&owner, Want::EXECUTE)
    }
    fn special(self, wants_directory: bool, ended_in_dot: bool) -> Found {
        Found { parent: self.here.clone(), name: Vec::new(), place: Some(self.here), wants_directory, ended_in_dot }
    }
    fn link(&mut self, inode: &Arc<dyn Inode>) -> Result<Link> {
        self.links += 1;
        if self.links > MAX_LINKS || self.how.resolve & raw::RESOLVE_NO_SYMLINKS != 0 {
            return Err(ELOOP);
        }
        let link = inode.follow(self.caller)?;
        let is_magic = !matches!(link, Link::Path(_));
        let scoped = raw::RESOLVE_BENEATH | raw::RESOLVE_IN_ROOT;
        match is_magic {
            true if self.how.resolve & raw::RESOLVE_NO_MAGICLINKS != 0 => Err(ELOOP),
            true if self.how.resolve & scoped != 0 => Err(EXDEV),
            _ => Ok(link),
        }
    }
    fn jump(&mut self, place: Place) -> Result<()> {
        if self.how.resolve & raw::RESOLVE_NO_XDEV != 0 && !Arc::ptr_eq(&place.mount, &self.here.mount) {
            return Err(EXDEV);
        }
        self.here = place;
        Ok(())
    }
    fn up(&mut self) -> Result<()> {
        loop {
            if self.here.is_same(&self.root) {
                let leaves = self.how.resolve & raw::RESOLVE_BENEATH != 0;
                return if leaves { Err(EXDEV) } else { Ok(()) };
            }
            if !self.here.is_mount_root() {
                break;
            }
            match self.here.mount.at() {
                Some(at) if self.how.resolve & raw::RESOLVE_NO_XDEV == 0 => self.here = at,
                Some(_) => return Err(EXDEV),
                None => return Ok(()),
            }
        }
        match self.here.inode.above() {
            Above::In(inode, _) => {
                let above = Place { mount: self.here.mount.clone(), inode };
                self.here = self.fs.namespace.cross(above);
                Ok(())
            }
            Above::Top => Ok(()),
            Above::Nowhere => Err(ENOENT),
        }
    }
}

/// What openat2(2) refuses before it looks at anything.
pub fn check_resolve(resolve: u64) -> Result<u32> {
    let known = raw::RESOLVE_NO_XDEV
        | raw::RESOLVE_NO_MAGICLINKS
        | raw::RESOLVE_NO_SYMLINKS
        | raw::RESOLVE_BENEATH
        | raw::RESOLVE_IN_ROOT
        | raw::RESOLVE_CACHED;
    let both = raw::RESOLVE_BENEATH | raw::RESOLVE_IN_ROOT;
    match u32::try_from(resolve) {
        Ok(resolve) if resolve & !known == 0 && resolve & both != both => Ok(resolve),
        _ => Err(EINVAL),
    }
}

/// A place where things may be made: `parent` is writable. Errors: `EACCES`, `EROFS`.
pub fn may_change(caller: &Caller<'_>, parent: &Place) -> Result<()> {
    if parent.mount.is_read_only() {
        return Err(crate::errno::EROFS);
    }
    caller.may(&parent.inode.owner()?, Want::WRITE.and(Want::EXECUTE)).map_err(|_| EACCES)
}
