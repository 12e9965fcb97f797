// SPDX-License-Identifier: PMPL-1.0-or-later
//! dup(2), fcntl(2), ioctl(2).

use super::Context;
use super::argument::{call, half, open_file, usable_file};
use super::lock::record_lock;
use super::open::{closed, install};
use crate::errno::{EBADF, EINVAL, ENOTTY, EPERM, Result};
use crate::fs::pipe;
use crate::fs::tty::Master;
use crate::user::UserMemoryExt;
use crate::vfs::{File, Named, OnExec, OpenFile, Place};
use crate::wait::Outcome;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::Ordering;
use linux_raw_sys::general::{self as raw, CAP_SYS_RESOURCE};
use linux_raw_sys::ioctl;

fn limit(cx: &Context<'_>) -> u64 {
    cx.limits.soft(raw::RLIMIT_NOFILE)
}

call!(
    dup | cx,
    a | {
        let file = open_file(cx, a[0])?;
        cx.files.lock().add(file, OnExec::Keep, 0, limit(cx)).map(u64::from)
    }
);

fn dup_to(cx: &Context<'_>, from: u64, to: u64, on_exec: OnExec) -> Result<u64> {
    let file = open_file(cx, from)?;
    let old = cx.files.lock().set(to as u32, file, on_exec, limit(cx))?;
    if let Some(old) = old {
        closed(cx, &old);
    }
    Ok(u64::from(to as u32))
}
call!(
    dup2 | cx,
    a | {
        if a[0] as u32 == a[1] as u32 {
            return open_file(cx, a[0]).map(|_| u64::from(a[1] as u32));
        }
        dup_to(cx, a[0], a[1], OnExec::Keep)
    }
);
call!(
    dup3 | cx,
    a | {
        if a[0] as u32 == a[1] as u32 || a[2] as u32 & !raw::O_CLOEXEC != 0 {
            return Err(EINVAL);
        }
        dup_to(cx, a[0], a[1], OnExec::from_cloexec(a[2] as u32 & raw::O_CLOEXEC != 0))
    }
);

/// The pipe behind a descriptor. Errors: `EBADF`, as fcntl(2) has it.
pub fn as_pipe(file: &OpenFile) -> Option<&pipe::End> {
    let any: &dyn Any = &*file.file;
    any.downcast_ref()
}

pub fn fcntl(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let file = match open_file(cx, a[0]) {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    let command = a[1] as u32;
    let path_only = [raw::F_DUPFD, raw::F_DUPFD_CLOEXEC, raw::F_GETFD, raw::F_SETFD, raw::F_GETFL];
    if file.is_path_only() && !path_only.contains(&command) {
        return EBADF.into();
    }
    match command {
        raw::F_GETLK | raw::F_SETLK | raw::F_SETLKW | raw::F_OFD_GETLK | raw::F_OFD_SETLK | raw::F_OFD_SETLKW => {
            record_lock(cx, &file, command, a[2])
        }
        _ => control(cx, &file, a).into(),
    }
}

fn control(cx: &mut Context<'_>, file: &Arc<OpenFile>, a: [u64; 6]) -> Result<u64> {
    let (fd, value) = (a[0] as u32, a[2]);
    match a[1] as u32 {
        raw::F_DUPFD => cx.files.lock().add(file.clone(), OnExec::Keep, value as u32, limit(cx)).map(u64::from),
        raw::F_DUPFD_CLOEXEC => cx.files.lock().add(file.clone(), OnExec::Close, value as u32, limit(cx)).map(u64::from),
        raw::F_GETFD => cx.files.lock().closes_on_exec(fd).map(u64::from),
        raw::F_SETFD => {
            let closes = value as u32 & raw::FD_CLOEXEC != 0;
            cx.files.lock().set_closes_on_exec(fd, closes).map(|()| 0)
        }
        raw::F_GETFL => Ok(u64::from(file.flags())),
        raw::F_SETFL => {
            let wanted = value as u32;
            if file.inode().is_some() && wanted & raw::O_NOATIME & !file.flags() != 0 {
                let owner = file.stat()?.owner();
                if !cx.caller().owns(&owner) {
                    return Err(EPERM);
                }
            }
            file.set_status(wanted);
            Ok(0)
        }
        raw::F_GETOWN => Ok(file.owner.load(Ordering::Relaxed) as u64),
        raw::F_SETOWN => {
            file.owner.store(value as i32, Ordering::Relaxed);
            Ok(0)
        }
        raw::F_GETOWN_EX => {
            let owner = file.owner.load(Ordering::Relaxed);
            let kind = if owner < 0 { raw::F_OWNER_PGRP } else { raw::F_OWNER_PID };
            cx.memory.write_u32(value, kind)?;
            cx.memory.write_u32(value + 4, owner.unsigned_abs())?;
            Ok(0)
        }
        raw::F_SETOWN_EX => {
            let bytes = cx.memory.read_bytes(value, 8)?;
            let id = half(&bytes, 4) as i32;
            let owner = match half(&bytes, 0) {
                raw::F_OWNER_TID | raw::F_OWNER_PID => id,
                raw::F_OWNER_PGRP => -id,
                _ => return Err(EINVAL),
            };
            file.owner.store(owner, Ordering::Relaxed);
            Ok(0)
        }
        raw::F_GETSIG => Ok(u64::from(file.signal.load(Ordering::Relaxed))),
        raw::F_SETSIG if value <= 64 => {
            file.signal.store(value as u32, Ordering::Relaxed);
            Ok(0)
        }
        raw::F_GETPIPE_SZ => as_pipe(file).map(|end| end.pipe().capacity_bytes()).ok_or(EBADF),
        raw::F_SETPIPE_SZ => {
            let may = cx.credentials.can(CAP_SYS_RESOURCE);
            as_pipe(file).ok_or(EBADF)?.pipe().set_capacity(u64::from(value as u32), may)
        }
        raw::F_GET_SEALS => file.inode().ok_or(EINVAL)?.seals().map(u64::from),
        raw::F_ADD_SEALS => {
            let known = raw::F_SEAL_SEAL | raw::F_SEAL_SHRINK | raw::F_SEAL_GROW | raw::F_SEAL_WRITE | raw::F_SEAL_FUTURE_WRITE;
            if value as u32 & !(known | raw::F_SEAL_EXEC) != 0 {
                return Err(EINVAL);
            }
            file.to_write().map_err(|_| EPERM)?;
            file.inode().ok_or(EINVAL)?.add_seals(value as u32).map(|()| 0)
        }
        // Nobody has a lease, so nobody can be made to give it up.
        raw::F_GETLEASE => Ok(u64::from(raw::F_UNLCK)),
        raw::F_DUPFD_QUERY => Ok(u64::from(Arc::ptr_eq(file, &open_file(cx, value)?))),
        _ => Err(EINVAL),
    }
}

call!(
    ioctl | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let (request, argument) = (a[1] as u32, a[2]);
        match request {
            ioctl::FIOCLEX => cx.files.lock().set_closes_on_exec(a[0] as u32, true).map(|()| 0),
            ioctl::FIONCLEX => cx.files.lock().set_closes_on_exec(a[0] as u32, false).map(|()| 0),
            ioctl::FIONBIO | ioctl::FIOASYNC => {
                let bit = if request == ioctl::FIONBIO { raw::O_NONBLOCK } else { raw::FASYNC };
                let is_on = cx.memory.read_u32(argument)? != 0;
                let now = file.flags() & !bit;
                file.set_status(if is_on { now | bit } else { now });
                Ok(0)
            }
            ioctl::FIOSETOWN => {
                file.owner.store(cx.memory.read_u32(argument)? as i32, Ordering::Relaxed);
                Ok(0)
            }
            ioctl::FIOGETOWN => {
                cx.memory.write_u32(argument, file.owner.load(Ordering::Relaxed) as u32)?;
                Ok(0)
            }
            ioctl::FIONREAD if readable(&file).is_some() => {
                let bytes = readable(&file).ok_or(ENOTTY)?;
                cx.memory.write_u32(argument, bytes.min(i32::MAX as u64) as u32)?;
                Ok(0)
            }
            ioctl::TIOCGPTPEER if as_kind::<Master>(&file).is_some() => {
                let flags = argument as u32;
                let peer = as_kind::<Master>(&file).ok_or(ENOTTY)?.open_peer(flags, &cx.caller())?;
                open_peer(cx, &file, peer, flags)
            }
            _ => {
                let caller = cx.caller();
                file.file.ioctl(&caller, cx.memory, request, argument)
            }
        }
    }
);

/// The other end of a pseudoterminal, with the place that it would have by its name, where /dev/pts is mounted.
fn open_peer(cx: &mut Context<'_>, master: &OpenFile, peer: Arc<dyn File>, flags: u32) -> Result<u64> {
    let number = as_kind::<Master>(master).ok_or(ENOTTY)?.number();
    let name = alloc::format!("{number}").into_bytes();
    let namespace = cx.fs.lock().namespace.clone();
    let mount = namespace.mounts().into_iter().find(|mount| mount.system.name() == "devpts");
    let place = mount.and_then(|mount| {
        let inode = mount.root.lookup(&name, &cx.caller()).ok()?;
        Some((Place { mount: mount.clone(), inode }, Named { directory: Place::top(&mount), name }))
    });
    let (place, named) = place.unzip();
    install(cx, OpenFile::new(peer, place, named, flags), flags)
}

fn readable(file: &OpenFile) -> Option<u64> {
    let regular =
        file.file.has_position().then(|| file.stat().ok()).flatten().filter(|stat| stat.kind() == crate::vfs::Kind::File);
    regular.map(|stat| stat.size_bytes.saturating_sub(*file.position())).or_else(|| file.file.readable_bytes())
}

/// What a file is, where it is one of ours of that kind.
pub fn as_kind<T: File>(file: &OpenFile) -> Option<&T> {
    let any: &dyn Any = &*file.file;
    any.downcast_ref()
}
