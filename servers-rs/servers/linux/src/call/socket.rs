// SPDX-License-Identifier: PMPL-1.0-or-later
//! socket(2), bind(2), connect(2), listen(2), accept(2), and what is asked of sockets.

use super::argument::{call, half, usable_file};
use super::descriptor::as_kind;
use super::open::install;
use super::{Clock, Context, or_wait};
use crate::errno::{
    EADDRINUSE, EAFNOSUPPORT, EAGAIN, ECONNREFUSED, EEXIST, EFAULT, EINVAL, ENOTSOCK, EPROTONOSUPPORT, EPROTOTYPE,
    ESOCKTNOSUPPORT, Result,
};
use crate::socket::{Address, Family, Local, Names, Style};
use crate::user::UserMemoryExt;
use crate::vfs::{How, Kind, New, OpenFile, Want, may_change, new_in, resolve};
use crate::wait::{Interrupted, Outcome};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use linux_raw_sys::general::{self as raw, O_CLOEXEC, O_NONBLOCK, O_RDWR};
use linux_raw_sys::net;

/// Of socket(2), with the values of open(2)'s flags; linux_raw_sys lacks them.
const SOCK_CLOEXEC: u32 = O_CLOEXEC;
const SOCK_NONBLOCK: u32 = O_NONBLOCK;
/// Longest address.
const MAX_ADDRESS_BYTES: u64 = 128;

pub fn names(cx: &Context<'_>) -> Arc<Names> {
    cx.fs.lock().namespace.names().clone()
}

/// Errors: `EBADF`, `ENOTSOCK`.
pub fn socket_of(file: &OpenFile) -> Result<&Local> {
    as_kind::<Local>(file).ok_or(ENOTSOCK)
}

fn kind(domain: u64, kind: u64, protocol: u64) -> Result<(Family, Style, u32)> {
    let flags = kind as u32 & (SOCK_CLOEXEC | SOCK_NONBLOCK);
    let style = match kind as u32 & !flags {
        net::SOCK_STREAM => Style::Stream,
        net::SOCK_DGRAM => Style::Datagram,
        net::SOCK_SEQPACKET => Style::Packets,
        net::SOCK_RAW | net::SOCK_RDM => return Err(ESOCKTNOSUPPORT),
        _ => return Err(EINVAL),
    };
    let (tcp, udp) = (net::IPPROTO_TCP as u64, net::IPPROTO_UDP as u64);
    let family = match domain as u32 {
        net::AF_UNIX if protocol > 1 => return Err(EPROTONOSUPPORT),
        net::AF_UNIX => Family::Unix,
        net::AF_INET => Family::Inet,
        net::AF_INET6 => Family::Inet6,
        _ => return Err(EAFNOSUPPORT),
    };
    if family != Family::Unix {
        match style {
            Style::Stream if protocol == 0 || protocol == tcp => {}
            Style::Datagram if protocol == 0 || protocol == udp => {}
            Style::Packets => return Err(ESOCKTNOSUPPORT),
            _ => return Err(EPROTONOSUPPORT),
        }
    }
    Ok((family, style, flags))
}

fn open(cx: &Context<'_>, socket: Arc<Local>, flags: u32) -> Result<u64> {
    install(cx, OpenFile::unnamed(socket, O_RDWR | flags & O_NONBLOCK), flags & O_CLOEXEC)
}

call!(
    socket | cx,
    a | {
        let (family, style, flags) = kind(a[0], a[1], a[2])?;
        let socket = Local::new(family, style, &names(cx));
        open(cx, socket, flags)
    }
);

call!(
    socketpair | cx,
    a | {
        let (family, style, flags) = kind(a[0], a[1], a[2])?;
        if family != Family::Unix {
            return Err(crate::errno::EOPNOTSUPP);
        }
        let (one, other) = Local::pair(family, style, &names(cx), &cx.caller());
        let first = open(cx, one, flags)?;
        let second = match open(cx, other, flags) {
            Ok(second) => second,
            Err(error) => {
                drop(cx.files.lock().remove(first as u32));
                return Err(error);
            }
        };
        cx.memory.write(a[3], &(first | second << 32).to_le_bytes()).map_err(|_| {
            let gone = [first, second].map(|fd| cx.files.lock().remove(fd as u32));
            drop(gone);
            EFAULT
        })?;
        Ok(0)
    }
);

/// Errors: `EINVAL`, `EFAULT`, those of [`Address::parse`].
pub fn read_address(cx: &mut Context<'_>, address: u64, length: u64, family: Family) -> Result<Address> {
    let length = length as u32 as i32;
    if length < 0 || length as u64 > MAX_ADDRESS_BYTES {
        return Err(EINVAL);
    }
    let bytes = cx.memory.read_bytes(address, length as usize)?;
    Address::parse(&bytes, family)
}

/// Into a buffer whose length stands at `length_address` and becomes that of the whole.
pub fn put_address(cx: &mut Context<'_>, address: u64, length_address: u64, bytes: &[u8]) -> Result<()> {
    let room = cx.memory.read_u32(length_address)?;
    if (room as i32) < 0 {
        return Err(EINVAL);
    }
    cx.memory.write(address, &bytes[..bytes.len().min(room as usize)])?;
    cx.memory.write_u32(length_address, bytes.len() as u32)
}

/// The socket behind an address. Errors: `ECONNREFUSED`, those of path resolution, `EACCES`.
pub fn find(cx: &Context<'_>, from: &Local, address: &Address) -> Result<Arc<Local>> {
    let Address::Path(path) = address else { return from_names(cx, from, address) };
    let (fs, caller) = (cx.fs.lock().clone(), cx.caller());
    let place = resolve(&caller, &fs, &fs.working, path, How::FOLLOW)?.existing()?;
    let owner = place.inode.owner()?;
    if owner.kind() != Kind::Socket {
        return Err(ECONNREFUSED);
    }
    caller.may(&owner, Want::WRITE)?;
    let kept = place.inode.socket_slot().and_then(|slot| slot.lock().clone()).ok_or(ECONNREFUSED)?;
    let socket = kept.downcast::<Weak<Local>>().map_err(|_| ECONNREFUSED)?.upgrade().ok_or(ECONNREFUSED)?;
    if socket.style == from.style { Ok(socket) } else { Err(EPROTOTYPE) }
}
fn from_names(cx: &Context<'_>, from: &Local, address: &Address) -> Result<Arc<Local>> {
    names(cx).find(address, from.style)
}

call!(
    bind | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let socket = socket_of(&file)?;
        let address = read_address(cx, a[1], a[2], socket.family)?;
        let Address::Path(path) = &address else { return socket.bind(address).map(|()| 0) };
        if socket.name() != Address::Unnamed {
            return Err(EINVAL);
        }
        let (fs, caller) = (cx.fs.lock().clone(), cx.caller());
        let found = resolve(&caller, &fs, &fs.working, path, How::NOFOLLOW)?;
        if found.place.is_some() {
            return Err(EADDRINUSE);
        }
        may_change(&caller, &found.parent)?;
        let new = new_in(&caller, &found.parent, raw::S_IFSOCK | 0o777 & !fs.umask)?;
        let inode = found
            .parent
            .inode
            .create(&found.name, &New { ..new })
            .map_err(|error| if error == EEXIST { EADDRINUSE } else { error })?;
        let weak: Weak<Local> = socket.weak();
        if let Some(slot) = inode.socket_slot() {
            *slot.lock() = Some(Arc::new(weak));
        }
        socket.bind(address).map(|()| 0)
    }
);

call!(
    listen | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let backlog = (a[1] as i32).max(0) as u32;
        socket_of(&file)?.listen(backlog, &cx.caller()).map(|()| 0)
    }
);

pub fn connect(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let file = match usable_file(cx, a[0]) {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    let mut found = None;
    let result = (|| {
        let socket = socket_of(&file)?;
        let address = read_address(cx, a[1], a[2], socket.family)?;
        if address == Address::Nobody {
            return socket.disconnect().map(|()| 0);
        }
        let to = find(cx, socket, &address)?;
        let result = socket.connect(&to, address, &cx.caller()).map(|()| 0);
        found = Some(to);
        result
    })();
    if result == Err(EAGAIN) && file.is_nonblocking() {
        return EAGAIN.into();
    }
    or_wait(cx, result, &[found.as_ref().map(|to| to.accepted())], Interrupted::Restart)
}

/// Ends a wait that a time-out of the socket limits.
pub fn is_late(cx: &mut Context<'_>, limit_ns: Option<u64>) -> bool {
    let Some(limit) = limit_ns else { return false };
    let now = cx.now_ns(Clock::Monotonic);
    now >= *cx.progress.deadline_ns.get_or_insert(now.saturating_add(limit))
}

fn take(cx: &mut Context<'_>, a: [u64; 6], flags: u32) -> Outcome {
    let file = match usable_file(cx, a[0]) {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    let socket = match socket_of(&file) {
        Ok(_) if flags & !(SOCK_CLOEXEC | SOCK_NONBLOCK) != 0 => return EINVAL.into(),
        Ok(socket) => socket,
        Err(error) => return error.into(),
    };
    match socket.accept() {
        Err(EAGAIN) if file.is_nonblocking() || is_late(cx, socket.receive_limit_ns()) => EAGAIN.into(),
        Err(error) => or_wait(cx, Err(error), &[crate::vfs::File::queue(socket, crate::vfs::Side::Input)], Interrupted::Restart),
        Ok(accepted) => (|| {
            let name = accepted.peer_name().unwrap_or(Address::Unnamed).to_bytes(accepted.family);
            let fd = open(cx, accepted, flags)?;
            if a[1] != 0
                && let Err(error) = put_address(cx, a[1], a[2], &name)
            {
                drop(cx.files.lock().remove(fd as u32));
                return Err(error);
            }
            Ok(fd)
        })()
        .into(),
    }
}
pub fn accept(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    take(cx, a, 0)
}
pub fn accept4(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    take(cx, a, a[3] as u32)
}

call!(
    getsockname | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let socket = socket_of(&file)?;
        let bytes = socket.name().to_bytes(socket.family);
        put_address(cx, a[1], a[2], &bytes).map(|()| 0)
    }
);
call!(
    getpeername | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let socket = socket_of(&file)?;
        let bytes = socket.peer_name()?.to_bytes(socket.family);
        put_address(cx, a[1], a[2], &bytes).map(|()| 0)
    }
);
call!(
    shutdown | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        socket_of(&file)?.shutdown(a[1] as u32).map(|()| 0)
    }
);

/// Longest option that is looked at.
const MAX_OPTION_BYTES: u64 = 64;

call!(
    setsockopt | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let socket = socket_of(&file)?;
        if (a[4] as i32) < 0 {
            return Err(EINVAL);
        }
        let bytes: Vec<u8> = cx.memory.read_bytes(a[3], a[4].min(MAX_OPTION_BYTES) as usize)?;
        socket.set_option(a[1] as u32, a[2] as u32, &bytes).map(|()| 0)
    }
);
call!(
    getsockopt | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        let socket = socket_of(&file)?;
        let bytes = cx.memory.read_bytes(a[4], 4)?;
        let room = half(&bytes, 0) as i32;
        if room < 0 {
            return Err(EINVAL);
        }
        let value = socket.option(a[1] as u32, a[2] as u32)?;
        let told = value.len().min(room as usize);
        cx.memory.write(a[3], &value[..told])?;
        cx.memory.write_u32(a[4], told as u32)?;
        Ok(0)
    }
);
