// SPDX-License-Identifier: PMPL-1.0-or-later
//! sendto(2), recvfrom(2), sendmsg(2), recvmsg(2) and the calls for many messages; what goes beside the bytes (cmsg(3)).

use super::argument::{Record, half, open_file, segment, segments, usable_file, word};
use super::open::install;
use super::socket::{find, is_late, put_address, read_address, socket_of};
use super::{Context, or_wait};
use crate::errno::{EAGAIN, EBADF, EINVAL, EMSGSIZE, EPERM, Result};
use crate::socket::{Family, Outgoing, Received, Sender, Style};
use crate::user::UserMemoryExt;
use crate::vfs::{File, OpenFile, Segment, Side, Sink, Source, UserSink, UserSource};
use crate::wait::{Interrupted, Outcome};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::offset_of;
use linux_raw_sys::general::{CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, O_CLOEXEC};
use linux_raw_sys::net as raw;

const HEADER_BYTES: usize = size_of::<raw::msghdr>();
const CONTROL_BYTES: usize = size_of::<raw::cmsghdr>();
/// SCM_MAX_FD of Linux.
const MAX_RIGHTS: usize = 253;
/// net.core.optmem_max of Linux.
const MAX_CONTROL_BYTES: u64 = 20_480;
/// UIO_MAXIOV of sendmmsg(2).
const MAX_MESSAGES: u64 = 1024;

/// A `struct msghdr`.
struct Header {
    name: u64,
    name_bytes: u32,
    segments: Vec<Segment>,
    control: u64,
    control_bytes: u64,
}

fn read_header(cx: &mut Context<'_>, address: u64) -> Result<Header> {
    let bytes = cx.memory.read_bytes(address, HEADER_BYTES)?;
    let count = word(&bytes, offset_of!(raw::msghdr, msg_iovlen));
    let segments = segments(cx, word(&bytes, offset_of!(raw::msghdr, msg_iov)), count).map_err(|error| match error {
        EINVAL if count > MAX_MESSAGES => EMSGSIZE,
        other => other,
    })?;
    Ok(Header {
        name: word(&bytes, offset_of!(raw::msghdr, msg_name)),
        name_bytes: half(&bytes, offset_of!(raw::msghdr, msg_namelen)),
        segments,
        control: word(&bytes, offset_of!(raw::msghdr, msg_control)),
        control_bytes: word(&bytes, offset_of!(raw::msghdr, msg_controllen)),
    })
}

/// What a sender put beside its bytes. Errors: `EINVAL`, `EBADF`, `EPERM` for credentials that are not its own.
fn read_control(cx: &mut Context<'_>, header: &Header) -> Result<(Vec<Arc<OpenFile>>, Option<Sender>)> {
    let (mut rights, mut sender) = (Vec::new(), None);
    if header.control == 0 || header.control_bytes == 0 {
        return Ok((rights, sender));
    }
    if header.control_bytes > MAX_CONTROL_BYTES {
        return Err(crate::errno::ENOBUFS);
    }
    let bytes = cx.memory.read_bytes(header.control, header.control_bytes as usize)?;
    let mut rest = &bytes[..];
    while rest.len() >= CONTROL_BYTES {
        let length = word(rest, 0);
        if length < CONTROL_BYTES as u64 || length > rest.len() as u64 {
            return Err(EINVAL);
        }
        let (level, kind) = (half(rest, 8), half(rest, 12));
        let data = &rest[CONTROL_BYTES..length as usize];
        match (level, kind) {
            (raw::SOL_SOCKET, raw::SCM_RIGHTS) => {
                for fd in data.chunks_exact(4) {
                    rights.push(open_file(cx, u64::from(half(fd, 0))).map_err(|_| EBADF)?);
                }
                if rights.len() > MAX_RIGHTS {
                    return Err(EINVAL);
                }
            }
            (raw::SOL_SOCKET, raw::SCM_CREDENTIALS) => {
                if data.len() < size_of::<raw::ucred>() {
                    return Err(EINVAL);
                }
                let said = Sender { pid: half(data, 0), uid: half(data, 4), gid: half(data, 8) };
                let mine = cx.credentials;
                let uid_ok = [mine.uid, mine.euid, mine.suid].contains(&said.uid) || mine.can(CAP_SETUID);
                let gid_ok = [mine.gid, mine.egid, mine.sgid].contains(&said.gid) || mine.can(CAP_SETGID);
                let pid_ok = said.pid == cx.ids.pid || mine.can(CAP_SYS_ADMIN);
                if !(uid_ok && gid_ok && pid_ok) {
                    return Err(EPERM);
                }
                sender = Some(said);
            }
            _ => return Err(EINVAL),
        }
        rest = rest.get((length as usize).next_multiple_of(8)..).unwrap_or(&[]);
    }
    Ok((rights, sender))
}

fn send(cx: &mut Context<'_>, fd: u64, header: &Header, flags: u32) -> Outcome {
    let file = match usable_file(cx, fd) {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    let mut drained = None;
    let never = file.is_nonblocking() || flags & raw::MSG_DONTWAIT != 0;
    let result = (|| {
        let socket = socket_of(&file)?;
        if flags & raw::MSG_OOB != 0 {
            return Err(crate::errno::EOPNOTSUPP);
        }
        let to = match header.name {
            0 => None,
            // A connected stream takes no notice of a name (sendto(2)), but Linux refuses it.
            address => {
                let address = read_address(cx, address, header.name_bytes.into(), socket.family)?;
                Some((find(cx, socket, &address)?, address))
            }
        };
        let (rights, sender) = read_control(cx, header)?;
        let mut out = Outgoing { to, rights, sender, flags };
        drained = socket.drained(&out);
        let caller = cx.caller();
        let mut done = cx.progress.done;
        let mut source = UserSource::new(cx.memory, &header.segments);
        source.skip(done as usize);
        loop {
            match socket.send(&caller, &mut source, core::mem::take(&mut out)) {
                Ok(n) => done += n as u64,
                Err(EAGAIN) if !never => {
                    cx.progress.done = done;
                    return Err(EAGAIN);
                }
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
            out.flags = flags;
            if socket.style != Style::Stream || source.left() == 0 {
                return Ok(done);
            }
        }
    })();
    let limit = socket_of(&file).ok().and_then(|socket| socket.send_limit_ns());
    if result == Err(EAGAIN) && (never || is_late(cx, limit)) {
        return if cx.progress.done > 0 { Ok(cx.progress.done).into() } else { EAGAIN.into() };
    }
    let queues = [file.file.queue(Side::Output), drained.as_ref().and_then(|to| to.queue(Side::Output))];
    or_wait(cx, result, &queues, Interrupted::Restart)
}

fn one_segment(address: u64, count: u64) -> Result<Header> {
    let segments = alloc::vec![segment(address, count)?];
    Ok(Header { name: 0, name_bytes: 0, segments, control: 0, control_bytes: 0 })
}

pub fn sendto(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    match one_segment(a[1], a[2]) {
        Ok(header) => send(cx, a[0], &Header { name: a[4], name_bytes: a[5] as u32, ..header }, a[3] as u32),
        Err(error) => error.into(),
    }
}
pub fn sendmsg(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    match read_header(cx, a[1]) {
        Ok(header) => send(cx, a[0], &header, a[2] as u32),
        Err(error) => error.into(),
    }
}

/// A receive that has something, or says why not.
fn receive(cx: &mut Context<'_>, file: &OpenFile, segments: &[Segment], flags: u32) -> Result<(Received, usize)> {
    let socket = socket_of(file)?;
    let mut sink = UserSink::new(cx.memory, segments);
    let room = sink.room();
    socket.receive(&mut sink, flags).map(|got| (got, room))
}

fn waits(cx: &mut Context<'_>, file: &OpenFile, error: crate::errno::Errno, flags: u32) -> Outcome {
    let limit = socket_of(file).ok().and_then(|socket| socket.receive_limit_ns());
    if error == EAGAIN && (file.is_nonblocking() || flags & raw::MSG_DONTWAIT != 0 || is_late(cx, limit)) {
        return EAGAIN.into();
    }
    or_wait(cx, Err(error), &[file.file.queue(Side::Input)], Interrupted::Restart)
}

/// What a message that was cut is said to be long: its whole with MSG_TRUNC.
fn length_told(got: &Received, flags: u32, style: Style) -> u64 {
    if flags & raw::MSG_TRUNC != 0 && style != Style::Stream { got.length as u64 } else { got.bytes as u64 }
}

pub fn recvfrom(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let flags = a[3] as u32;
    let (file, header) = match usable_file(cx, a[0]).and_then(|file| Ok((file, one_segment(a[1], a[2])?))) {
        Ok(both) => both,
        Err(error) => return error.into(),
    };
    match receive(cx, &file, &header.segments, flags) {
        Err(error) => waits(cx, &file, error, flags),
        Ok((got, _)) => (|| {
            let socket = socket_of(&file)?;
            if a[4] != 0 {
                let bytes = name_told(&got, socket.family, socket.style);
                put_address(cx, a[4], a[5], &bytes)?;
            }
            Ok(length_told(&got, flags, socket.style))
        })()
        .into(),
    }
}

/// Connected sockets tell nobody's name.
fn name_told(got: &Received, family: Family, style: Style) -> Vec<u8> {
    match &got.from {
        Some(from) if !style.is_connected() && *from != crate::socket::Address::Unnamed => from.to_bytes(family),
        _ => Vec::new(),
    }
}

pub fn recvmsg(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let flags = a[2] as u32;
    let (file, header) = match usable_file(cx, a[0]).and_then(|file| Ok((file, read_header(cx, a[1])?))) {
        Ok(both) => both,
        Err(error) => return error.into(),
    };
    match receive(cx, &file, &header.segments, flags) {
        Err(error) => waits(cx, &file, error, flags),
        Ok((got, room)) => finish(cx, &file, a[1], &header, got, room, flags).into(),
    }
}

/// Writes what came beside the bytes, and what the header says of it.
fn finish(
    cx: &mut Context<'_>,
    file: &OpenFile,
    address: u64,
    header: &Header,
    got: Received,
    room: usize,
    flags: u32,
) -> Result<u64> {
    let socket = socket_of(file)?;
    let answer = length_told(&got, flags, socket.style);
    let mut told = 0;
    if socket.style != Style::Stream && got.length > room {
        told |= raw::MSG_TRUNC;
    }
    let name = name_told(&got, socket.family, socket.style);
    if header.name != 0 {
        cx.memory.write(header.name, &name[..name.len().min(header.name_bytes as usize)])?;
    }
    let mut control = Vec::new();
    let mut control_room = if header.control == 0 { 0 } else { header.control_bytes as usize };
    if socket.passes_credentials() && socket.family == Family::Unix {
        let words = [got.sender.pid, got.sender.uid, got.sender.gid].map(u32::to_le_bytes).concat();
        if control_room >= CONTROL_BYTES + words.len() {
            put_control(&mut control, raw::SCM_CREDENTIALS, &words);
            control_room -= control.len().min(control_room);
        } else {
            told |= raw::MSG_CTRUNC;
        }
    }
    if !got.rights.is_empty() {
        let fits = control_room.saturating_sub(CONTROL_BYTES) / 4;
        if fits < got.rights.len() {
            told |= raw::MSG_CTRUNC;
        }
        let on_exec = if flags & raw::MSG_CMSG_CLOEXEC != 0 { O_CLOEXEC } else { 0 };
        let mut numbers = Vec::new();
        for file in got.rights.into_iter().take(fits) {
            match install(cx, file, on_exec) {
                Ok(fd) => numbers.extend_from_slice(&(fd as u32).to_le_bytes()),
                // As many as there is room for; the rest is gone.
                Err(_) => {
                    told |= raw::MSG_CTRUNC;
                    break;
                }
            }
        }
        if !numbers.is_empty() {
            put_control(&mut control, raw::SCM_RIGHTS, &numbers);
        }
    }
    if !control.is_empty() {
        // The last one may lack its padding where there is no room for it.
        let length = control.len().min(header.control_bytes as usize);
        cx.memory.write(header.control, &control[..length])?;
    }
    let mut lengths = Record::<8>::new();
    lengths.u64(0, control.len().min(header.control_bytes as usize) as u64);
    cx.memory.write(address + offset_of!(raw::msghdr, msg_controllen) as u64, &lengths.0)?;
    cx.memory.write_u32(address + offset_of!(raw::msghdr, msg_namelen) as u64, name.len() as u32)?;
    cx.memory.write_u32(address + offset_of!(raw::msghdr, msg_flags) as u64, told | flags & raw::MSG_CMSG_CLOEXEC)?;
    Ok(answer)
}

fn put_control(control: &mut Vec<u8>, kind: u32, data: &[u8]) {
    control.extend_from_slice(&((CONTROL_BYTES + data.len()) as u64).to_le_bytes());
    control.extend_from_slice(&raw::SOL_SOCKET.to_le_bytes());
    control.extend_from_slice(&kind.to_le_bytes());
    control.extend_from_slice(data);
    control.resize(control.len().next_multiple_of(8), 0);
}

/// One message after the other; what was done counts when one of them must wait.
fn many(cx: &mut Context<'_>, a: [u64; 6], mut each: impl FnMut(&mut Context<'_>, u64, u32) -> Outcome) -> Outcome {
    let count = a[2].min(MAX_MESSAGES);
    let mut flags = a[3] as u32;
    for n in 0..count {
        let address = a[1] + n * size_of::<raw::mmsghdr>() as u64;
        match each(cx, address, flags) {
            Outcome::Done(Ok(length)) => {
                if let Err(error) = cx.memory.write_u32(address + HEADER_BYTES as u64, length as u32) {
                    return if n == 0 { error.into() } else { Ok(n).into() };
                }
            }
            _ if n > 0 => return Ok(n).into(),
            other => return other,
        }
        // The first one may wait, the others are taken as far as they are there.
        flags |= raw::MSG_DONTWAIT;
    }
    Ok(count).into()
}
pub fn sendmmsg(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    many(cx, a, |cx, address, flags| sendmsg(cx, [a[0], address, flags.into(), 0, 0, 0]))
}
pub fn recvmmsg(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    many(cx, a, |cx, address, flags| recvmsg(cx, [a[0], address, flags.into(), 0, 0, 0]))
}
