// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls about the caller's own signals and about futexes: each is given the parts of thread, process and cell that it works on.

use super::futex::{Exists, FutexMemory};
use super::signal::Own;
use super::{Clock, futex, signal, timer};
use crate::cell::Cell;
use crate::errno::{EFAULT, ESRCH, Result};
use crate::futex::Key;
use crate::memory::space::Space;
use crate::platform::Access;
use crate::signal::info::Info;
use crate::signal::set::Set;
use crate::task::Current;
use crate::user::UserMemory;
use crate::wait::Outcome;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use linux_raw_sys::general::{SIGSEGV, SIGTTIN, SIGTTOU};
use spin::Mutex;

/// The memory of a process, locked for each access.
#[derive(Debug)]
pub struct Words<'a>(pub &'a Arc<Mutex<Space>>);

impl UserMemory for Words<'_> {
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<()> {
        self.0.lock().read(address, into)
    }
    fn write(&mut self, address: u64, from: &[u8]) -> Result<()> {
        self.0.lock().write(address, from)
    }
    fn update_u32(&mut self, address: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> Result<u32> {
        self.0.lock().update_u32(address, change)
    }
}

impl FutexMemory for Words<'_> {
    fn key(&mut self, address: u64, private: bool) -> Result<Key> {
        let mut space = self.0.lock();
        let shared = space.areas.find(address).ok_or(EFAULT)?.1.shared;
        if private || !shared {
            return Ok(Key::Private { space: Arc::as_ptr(self.0) as u64, address });
        }
        // Pages of shared memory stay where they are for as long as somebody has them mapped.
        Ok(Key::Shared { object: (0, 0), offset: space.key(address, Access::READ)? })
    }
}

struct Threads<'a>(&'a BTreeMap<u32, crate::task::process::Thread>);
impl core::fmt::Debug for Threads<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} threads", self.0.len())
    }
}
impl Exists for Threads<'_> {
    fn exists(&self, tid: u32) -> bool {
        self.0.contains_key(&tid)
    }
}

fn with_futexes(current: &mut Current, cell: &mut Cell, work: impl FnOnce(&mut futex::Caller<'_>) -> Outcome) -> Outcome {
    let Cell { futexes, threads, clocks, .. } = cell;
    work(&mut futex::Caller {
        memory: &mut Words(&current.memory),
        futexes,
        tid: current.tid,
        waker: &current.waker,
        progress: &mut current.progress,
        monotonic_ns: clocks.now_ns(Clock::Monotonic),
        realtime_ns: clocks.now_ns(Clock::Realtime),
        exists: &Threads(threads),
    })
}

pub fn futex(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    with_futexes(current, cell, |caller| futex::futex(caller, arguments))
}
pub fn futex_waitv(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    with_futexes(current, cell, |caller| futex::futex_waitv(caller, arguments))
}

fn with_own<R>(
    current: &mut Current,
    cell: &mut Cell,
    work: impl FnOnce(&mut Own<'_>, &mut crate::wait::Progress) -> R,
) -> Result<R> {
    let (thread, process) = cell.both(current.tid)?;
    let result = {
        let mut memory = current.memory.lock();
        let mut own = Own { memory: &mut *memory, thread: &mut thread.signals, process: &mut process.signals };
        work(&mut own, &mut current.progress)
    };
    let actions = process.signals.actions.lock();
    let ignored = [SIGTTIN, SIGTTOU]
        .into_iter()
        .filter(|signal| actions.ignores(*signal))
        .fold(Set::EMPTY, |set, signal| set.with(Set::of(&[signal])));
    current.deaf = thread.signals.mask.with(ignored).0;
    // What was let through now is looked at before the guest goes on.
    current.attention.store(true, core::sync::atomic::Ordering::Release);
    Ok(result)
}

pub fn rt_sigaction(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    with_own(current, cell, |own, _| signal::rt_sigaction(own, arguments)).flatten().into()
}
pub fn rt_sigprocmask(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    with_own(current, cell, |own, _| signal::rt_sigprocmask(own, arguments)).flatten().into()
}
pub fn rt_sigpending(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    with_own(current, cell, |own, _| signal::rt_sigpending(own, arguments)).flatten().into()
}
pub fn sigaltstack(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    let sp = current.worker.state().rsp;
    with_own(current, cell, |own, _| signal::sigaltstack(own, arguments, sp)).flatten().into()
}
pub fn rt_sigsuspend(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    with_own(current, cell, |own, progress| signal::rt_sigsuspend(own, progress, arguments)).unwrap_or_else(Into::into)
}
pub fn pause(_: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    signal::pause()
}
pub fn rt_sigtimedwait(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    let now_ns = current.clocks.now_ns(Clock::Monotonic);
    with_own(current, cell, |own, progress| signal::rt_sigtimedwait(own, progress, arguments, now_ns)).unwrap_or_else(Into::into)
}
pub fn rt_sigreturn(current: &mut Current, cell: &mut Cell, _: [u64; 6]) -> Outcome {
    if current.return_from_signal(cell).is_err() {
        current.force(cell, Info::kernel(SIGSEGV));
    }
    Outcome::NoAnswer
}

fn with_timers(current: &mut Current, cell: &mut Cell, work: impl FnOnce(&mut timer::Own<'_>) -> Result<u64>) -> Outcome {
    let ids = current.ids();
    let Cell { processes, clocks, .. } = cell;
    let Some(process) = processes.get_mut(&ids.pid) else { return ESRCH.into() };
    let result = {
        let mut memory = current.memory.lock();
        work(&mut timer::Own { memory: &mut *memory, timers: &mut process.timers, ids, clocks: &**clocks })
    };
    cell.set_alarm();
    result.into()
}

macro_rules! timers {
    ($($name:ident)*) => { $(
        pub fn $name(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
            with_timers(current, cell, |own| timer::$name(own, arguments))
        }
    )* };
}
timers! { getitimer setitimer alarm timer_create timer_settime timer_gettime timer_getoverrun timer_delete }
