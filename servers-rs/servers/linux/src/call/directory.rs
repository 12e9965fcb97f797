// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directories: getdents64(2), mkdir(2), chdir(2), getcwd(2), chroot(2).

use super::Context;
use super::argument::{at, call, open_file, usable_file};
use crate::errno::{EFAULT, EINVAL, ENOENT, ENOTDIR, ERANGE, Result};
use crate::fs::inotify;
use crate::vfs::{Above, How, Kind, Place, Want, full_path, may_change, new_in};
use alloc::vec::Vec;
use linux_raw_sys::general::{self as raw, CAP_SYS_CHROOT};

/// Before the name: d_ino, d_off, d_reclen, d_type.
const HEADER_BYTES: usize = 19;
/// Most that is put together at a time.
const MAX_LISTING_BYTES: usize = 64 * 1024;

struct Listing {
    bytes: Vec<u8>,
    room: usize,
    /// Position behind the last entry that fitted.
    next: u64,
    is_full: bool,
}

impl Listing {
    fn put(&mut self, inode: u64, next: u64, kind: Kind, name: &[u8]) -> bool {
        let length = (HEADER_BYTES + name.len() + 1).next_multiple_of(8);
        if self.bytes.len() + length > self.room {
            self.is_full = true;
            return false;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&inode.to_le_bytes());
        self.bytes.extend_from_slice(&next.to_le_bytes());
        self.bytes.extend_from_slice(&(length as u16).to_le_bytes());
        self.bytes.push(kind.entry_type());
        self.bytes.extend_from_slice(name);
        self.bytes.resize(start + length, 0);
        self.next = next;
        true
    }
}

/// Positions: 0 is `.`, 1 is `..`, then those of the file system, moved by this.
const FIRST: u64 = 2;

call!(
    getdents64 | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let place = file.place.clone().ok_or(ENOTDIR)?;
        let inode = &place.inode;
        if inode.owner()?.kind() != Kind::Directory {
            return Err(ENOTDIR);
        }
        let position = *file.position();
        let room = (a[2] as u32 as usize).min(MAX_LISTING_BYTES);
        let mut listing = Listing { bytes: Vec::new(), room, next: position, is_full: false };
        let own = inode.stat()?;
        if own.links == 0 {
            return Err(ENOENT);
        }
        if position == 0 {
            listing.put(own.inode, 1, Kind::Directory, b".");
        }
        if position <= 1 && !listing.is_full {
            let above = match inode.above() {
                Above::In(parent, _) => parent.stat()?.inode,
                _ => own.inode,
            };
            listing.put(above, FIRST, Kind::Directory, b"..");
        }
        if !listing.is_full {
            let from = position.saturating_sub(FIRST);
            inode.list(from, &cx.caller(), &mut |entry| listing.put(entry.inode, entry.next + FIRST, entry.kind, entry.name))?;
        }
        if listing.bytes.is_empty() && listing.is_full {
            return Err(EINVAL);
        }
        cx.memory.write(a[1], &listing.bytes).map_err(|_| EFAULT)?;
        *file.position() = listing.next;
        Ok(listing.bytes.len() as u64)
    }
);

fn make(cx: &mut Context<'_>, fd: u64, path: u64, mode: u64) -> Result<u64> {
    let at = at(cx, fd, path)?;
    let found = at.resolve(cx, How::NOFOLLOW)?;
    super::argument::new_name(&found, Kind::Directory)?;
    let caller = cx.caller();
    may_change(&caller, &found.parent)?;
    let new = new_in(&caller, &found.parent, raw::S_IFDIR | mode as u32 & 0o1777 & !at.fs.umask)?;
    found.parent.inode.create(&found.name, &new)?;
    inotify::tell(&found.parent.inode, raw::IN_CREATE | raw::IN_ISDIR, &found.name, 0);
    Ok(0)
}
call!(mkdir | cx, a | { make(cx, raw::AT_FDCWD as u64, a[0], a[1]) });
call!(mkdirat | cx, a | { make(cx, a[0], a[1], a[2]) });

/// Errors: `ENOTDIR`, `EACCES`.
fn enterable(cx: &Context<'_>, place: &Place) -> Result<()> {
    let owner = place.inode.owner()?;
    if owner.kind() != Kind::Directory { Err(ENOTDIR) } else { cx.caller().may(&owner, Want::EXECUTE) }
}

call!(
    chdir | cx,
    a | {
        let at = at(cx, raw::AT_FDCWD as u64, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        enterable(cx, &place)?;
        cx.fs.lock().working = place;
        Ok(0)
    }
);
call!(
    fchdir | cx,
    a | {
        let place = open_file(cx, a[0])?.place.clone().ok_or(ENOTDIR)?;
        enterable(cx, &place)?;
        cx.fs.lock().working = place;
        Ok(0)
    }
);
call!(
    chroot | cx,
    a | {
        let at = at(cx, raw::AT_FDCWD as u64, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        enterable(cx, &place)?;
        cx.caller().needs(CAP_SYS_CHROOT)?;
        cx.fs.lock().root = place;
        Ok(0)
    }
);

call!(
    getcwd | cx,
    a | {
        let fs = cx.fs.lock().clone();
        if fs.working.inode.stat()?.links == 0 {
            return Err(ENOENT);
        }
        let mut path = full_path(&fs.root, &fs.working).unwrap_or_else(|| {
            let mut path = b"(unreachable)".to_vec();
            path.extend(full_path(&fs.namespace.cross(fs.namespace.top()), &fs.working).unwrap_or_else(|| b"/".to_vec()));
            path
        });
        path.push(0);
        if path.len() as u64 > a[1] {
            return Err(ERANGE);
        }
        cx.memory.write(a[0], &path)?;
        Ok(path.len() as u64)
    }
);
