// SPDX-License-Identifier: PMPL-1.0-or-later
//! epoll_create(2), epoll_ctl(2), epoll_wait(2); eventfd(2).

use super::Context;
use super::argument::{call, flags, half, open_file, word};
use super::descriptor::as_kind;
use super::open::install;
use super::poll::{Patience, read_timespec};
use crate::errno::{EBADF, EFAULT, EINVAL, Result};
use crate::fs::epoll::{Epoll, Interest};
use crate::fs::eventfd::{EventFd, Takes};
use crate::user::UserMemoryExt;
use crate::vfs::OpenFile;
use crate::wait::{Interrupted, Outcome};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;

/// `struct epoll_event` is packed on x86-64.
const EVENT_BYTES: usize = 12;
/// EP_MAX_EVENTS of Linux.
const MAX_EVENTS: u64 = i32::MAX as u64 / EVENT_BYTES as u64;
/// Told at one time at most.
const BATCH: usize = 1024;

call!(
    epoll_create | cx,
    a | {
        if a[0] as i32 <= 0 {
            return Err(EINVAL);
        }
        install(cx, OpenFile::unnamed(Arc::new(Epoll::default()), raw::O_RDWR), 0)
    }
);
call!(
    epoll_create1 | cx,
    a | {
        let flags = flags(a[0], raw::EPOLL_CLOEXEC)?;
        install(cx, OpenFile::unnamed(Arc::new(Epoll::default()), raw::O_RDWR), flags)
    }
);

call!(
    epoll_ctl | cx,
    a | {
        let operation = a[1] as u32;
        let interest = if operation == raw::EPOLL_CTL_DEL {
            Interest { events: 0, data: 0 }
        } else {
            let bytes = cx.memory.read_bytes(a[3], EVENT_BYTES)?;
            Interest { events: half(&bytes, 0), data: word(&bytes, 4) }
        };
        let (poller, file) = (open_file(cx, a[0])?, open_file(cx, a[2])?);
        if file.is_path_only() {
            return Err(EBADF);
        }
        let fd = a[2] as u32;
        let epoll = as_kind::<Epoll>(&poller).ok_or(EINVAL)?;
        if Arc::ptr_eq(&poller, &file) {
            return Err(EINVAL);
        }
        match operation {
            raw::EPOLL_CTL_ADD => epoll.add(&file, fd, interest),
            raw::EPOLL_CTL_MOD => epoll.modify(&file, fd, interest),
            raw::EPOLL_CTL_DEL => epoll.remove(&file, fd),
            _ => Err(EINVAL),
        }?;
        Ok(0)
    }
);

fn wait(cx: &mut Context<'_>, a: [u64; 6], patience: Result<Patience>) -> Outcome {
    let (poller, patience) = match (open_file(cx, a[0]), patience) {
        (Ok(poller), Ok(patience)) => (poller, patience),
        (Err(error), _) | (_, Err(error)) => return error.into(),
    };
    let count = a[2] as i32;
    if count <= 0 || count as u64 > MAX_EVENTS {
        return EINVAL.into();
    }
    let Some(epoll) = as_kind::<Epoll>(&poller) else { return EINVAL.into() };
    let told = epoll.take((count as usize).min(BATCH));
    if told.is_empty() && !patience.is_over(cx) {
        epoll.waiting().add(cx.waker);
        return Outcome::Blocked(Interrupted::Eintr);
    }
    if cx.progress.again {
        epoll.waiting().remove(cx.waker);
    }
    let mut bytes = Vec::with_capacity(told.len() * EVENT_BYTES);
    for one in &told {
        bytes.extend_from_slice(&one.events.to_le_bytes());
        bytes.extend_from_slice(&one.data.to_le_bytes());
    }
    cx.memory.write(a[1], &bytes).map(|()| told.len() as u64).map_err(|_| EFAULT).into()
}

pub fn epoll_wait(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    wait(cx, a, Ok(Patience::from_ms(a[3] as i32)))
}
/// The signal mask is the loop's matter.
pub fn epoll_pwait(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    wait(cx, a, Ok(Patience::from_ms(a[3] as i32)))
}
pub fn epoll_pwait2(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let patience = read_timespec(cx.memory, a[3]);
    wait(cx, a, patience)
}

fn make_event(cx: &mut Context<'_>, count: u64, flags: u32) -> Result<u64> {
    if flags & !(raw::EFD_SEMAPHORE | raw::EFD_CLOEXEC | raw::EFD_NONBLOCK) != 0 {
        return Err(EINVAL);
    }
    let takes = if flags & raw::EFD_SEMAPHORE != 0 { Takes::One } else { Takes::All };
    let file = OpenFile::unnamed(Arc::new(EventFd::new(count as u32, takes)), raw::O_RDWR | flags & raw::EFD_NONBLOCK);
    install(cx, file, flags & raw::EFD_CLOEXEC)
}
call!(eventfd | cx, a | { make_event(cx, a[0], 0) });
call!(eventfd2 | cx, a | { make_event(cx, a[0], a[1] as u32) });
