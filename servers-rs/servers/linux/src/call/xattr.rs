// SPDX-License-Identifier: PMPL-1.0-or-later
//! Extended attributes (xattr(7)).

use super::Context;
use super::argument::{at, call, flags, short_name, usable_file};
use crate::errno::{E2BIG, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE, EROFS, Result};
use crate::user::UserMemoryExt;
use crate::vfs::{How, Kind, Place, Want};
use alloc::vec::Vec;
use linux_raw_sys::general::{self as raw, CAP_SYS_ADMIN};

const HERE: u64 = raw::AT_FDCWD as u64;

/// Where a call's path or descriptor leads.
#[derive(Clone, Copy)]
enum By {
    Path,
    Link,
    Descriptor,
}

fn place(cx: &mut Context<'_>, by: By, argument: u64) -> Result<Place> {
    let how = match by {
        By::Path => How::FOLLOW,
        By::Link => How::NOFOLLOW,
        By::Descriptor => return usable_file(cx, argument)?.place.clone().ok_or(EOPNOTSUPP),
    };
    let at = at(cx, HERE, argument)?;
    at.find(cx, how)
}

fn name(cx: &mut Context<'_>, address: u64) -> Result<Vec<u8>> {
    let name = short_name(cx, address, raw::XATTR_NAME_MAX as usize + 1, ERANGE)?;
    if name.is_empty() { Err(ERANGE) } else { Ok(name) }
}

/// What the name's first part asks for. Errors: `EPERM`, `ENODATA`, `EACCES`, `EOPNOTSUPP`.
fn check(cx: &Context<'_>, place: &Place, name: &[u8], want: Want) -> Result<()> {
    let caller = cx.caller();
    let owner = place.inode.owner()?;
    let writes = want == Want::WRITE;
    if writes && place.mount.is_read_only() {
        return Err(EROFS);
    }
    match name.iter().position(|byte| *byte == b'.').map(|dot| &name[..dot]) {
        Some(b"trusted") => caller.needs(CAP_SYS_ADMIN).map_err(|error| if writes { error } else { ENODATA }),
        Some(b"security") if writes => caller.needs(CAP_SYS_ADMIN),
        Some(b"security" | b"system") => Ok(()),
        Some(b"user") => {
            // Only where data are (xattr(7)).
            if !matches!(owner.kind(), Kind::File | Kind::Directory) {
                return Err(if writes { EPERM } else { ENODATA });
            }
            if writes && owner.mode & raw::S_ISVTX != 0 && owner.kind() == Kind::Directory && !caller.owns(&owner) {
                return Err(EPERM);
            }
            caller.may(&owner, want)
        }
        _ => Err(EOPNOTSUPP),
    }
}

/// Into a buffer; a length of 0 asks how long it would have to be. Errors: `ERANGE`.
fn answer(cx: &mut Context<'_>, address: u64, room: u64, bytes: &[u8]) -> Result<u64> {
    match room {
        0 => {}
        _ if (bytes.len() as u64) > room => return Err(ERANGE),
        _ => cx.memory.write(address, bytes)?,
    }
    Ok(bytes.len() as u64)
}

fn get(cx: &mut Context<'_>, by: By, a: [u64; 6]) -> Result<u64> {
    let name = name(cx, a[1])?;
    let place = place(cx, by, a[0])?;
    check(cx, &place, &name, Want::READ)?;
    let value = place.inode.attribute(&name)?;
    answer(cx, a[2], a[3], &value)
}
fn list(cx: &mut Context<'_>, by: By, a: [u64; 6]) -> Result<u64> {
    let place = place(cx, by, a[0])?;
    let mut names = place.inode.attribute_names()?;
    if !cx.credentials.can(CAP_SYS_ADMIN) {
        let shown = names.split_inclusive(|byte| *byte == 0).filter(|name| !name.starts_with(b"trusted."));
        names = shown.flatten().copied().collect();
    }
    answer(cx, a[1], a[2], &names)
}
fn set(cx: &mut Context<'_>, by: By, a: [u64; 6]) -> Result<u64> {
    let flags = flags(a[4], raw::XATTR_CREATE | raw::XATTR_REPLACE)?;
    let name = name(cx, a[1])?;
    if a[3] > u64::from(raw::XATTR_SIZE_MAX) {
        return Err(E2BIG);
    }
    let value = cx.memory.read_bytes(a[2], a[3] as usize)?;
    let place = place(cx, by, a[0])?;
    check(cx, &place, &name, Want::WRITE)?;
    if flags == raw::XATTR_CREATE | raw::XATTR_REPLACE {
        return Err(EINVAL);
    }
    place.inode.set_attribute(&name, &value, flags).map(|()| 0)
}
fn remove(cx: &mut Context<'_>, by: By, a: [u64; 6]) -> Result<u64> {
    let name = name(cx, a[1])?;
    let place = place(cx, by, a[0])?;
    check(cx, &place, &name, Want::WRITE)?;
    place.inode.remove_attribute(&name).map(|()| 0)
}

call!(getxattr | cx, a | { get(cx, By::Path, a) });
call!(lgetxattr | cx, a | { get(cx, By::Link, a) });
call!(fgetxattr | cx, a | { get(cx, By::Descriptor, a) });
call!(listxattr | cx, a | { list(cx, By::Path, a) });
call!(llistxattr | cx, a | { list(cx, By::Link, a) });
call!(flistxattr | cx, a | { list(cx, By::Descriptor, a) });
call!(setxattr | cx, a | { set(cx, By::Path, a) });
call!(lsetxattr | cx, a | { set(cx, By::Link, a) });
call!(fsetxattr | cx, a | { set(cx, By::Descriptor, a) });
call!(removexattr | cx, a | { remove(cx, By::Path, a) });
call!(lremovexattr | cx, a | { remove(cx, By::Link, a) });
call!(fremovexattr | cx, a | { remove(cx, By::Descriptor, a) });
