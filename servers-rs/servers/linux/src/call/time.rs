// SPDX-License-Identifier: PMPL-1.0-or-later
//! Clocks, sleeping, timers that are read. Timers that send signals: `call/timer.rs`.

use super::{Clock, Context};
use crate::errno::*;
use crate::fs::timerfd::TimerFd;
use crate::time::clock::{Named, to_monotonic};
use crate::time::{Setting, read_timespec, write_timespec, write_timeval};
use crate::user::UserMemoryExt;
use crate::vfs::{File, OnExec, OpenFile};
use crate::wait::{Interrupted, Outcome};
use alloc::sync::Arc;
use core::any::Any;
use linux_raw_sys::general::*;

/// `clock, time`.
pub fn clock_gettime(cx: &mut Context<'_>, [clock, time, ..]: [u64; 6]) -> Outcome {
    let now = Named::decode(clock, &cx.ids).and_then(|clock| clock.now_ns(&**cx.clock));
    now.and_then(|ns| write_timespec(cx.memory, time, ns)).map(|()| 0).into()
}

/// `clock, resolution`: a nanosecond for all.
pub fn clock_getres(cx: &mut Context<'_>, [clock, resolution, ..]: [u64; 6]) -> Outcome {
    let told = |cx: &mut Context<'_>| {
        Named::decode(clock, &cx.ids)?;
        if resolution == 0 { Ok(0) } else { write_timespec(cx.memory, resolution, 1).map(|()| 0) }
    };
    told(cx).into()
}

/// `clock, time`: a cell has no clock of its own to set.
pub fn clock_settime(cx: &mut Context<'_>, [clock, time, ..]: [u64; 6]) -> Outcome {
    match Named::decode(clock, &cx.ids) {
        Ok(Named::Wall(Clock::Realtime)) => read_timespec(cx.memory, time).and(Err(EPERM)).into(),
        _ => EINVAL.into(),
    }
}

/// `time, zone`: the zone is that of Greenwich.
pub fn gettimeofday(cx: &mut Context<'_>, [time, zone, ..]: [u64; 6]) -> Outcome {
    let now_ns = cx.now_ns(Clock::Realtime);
    let told = |cx: &mut Context<'_>| {
        if time != 0 {
            write_timeval(cx.memory, time, now_ns)?;
        }
        if zone != 0 { cx.memory.write_u64(zone, 0).map(|()| 0) } else { Ok(0) }
    };
    told(cx).into()
}

/// `seconds`.
pub fn time(cx: &mut Context<'_>, [seconds, ..]: [u64; 6]) -> Outcome {
    let now_s = cx.now_ns(Clock::Realtime) / crate::time::NS_PER_S;
    if seconds == 0 { Ok(now_s).into() } else { cx.memory.write_u64(seconds, now_s).map(|()| now_s).into() }
}

/// `time, left`.
pub fn nanosleep(cx: &mut Context<'_>, [time, left, ..]: [u64; 6]) -> Outcome {
    sleep(cx, Clock::Monotonic, false, time, left)
}

/// `clock, flags, time, left`.
pub fn clock_nanosleep(cx: &mut Context<'_>, [clock, flags, time, left, ..]: [u64; 6]) -> Outcome {
    match Named::decode(clock, &cx.ids) {
        Ok(Named::Wall(clock)) => sleep(cx, clock, flags & u64::from(TIMER_ABSTIME) != 0, time, left),
        // Waiting for the time that somebody uses is not done; nobody may wait for their own.
        Ok(Named::Used { .. }) => if clock as u32 == CLOCK_THREAD_CPUTIME_ID { EINVAL } else { EOPNOTSUPP }.into(),
        Err(error) => error.into(),
    }
}

/// `left` is written each time it waits on, so that it is right when a signal ends the wait.
fn sleep(cx: &mut Context<'_>, clock: Clock, absolute: bool, time: u64, left: u64) -> Outcome {
    let deadline_ns = match cx.progress.deadline_ns {
        Some(deadline) => deadline,
        None => match read_timespec(cx.memory, time) {
            Ok(ns) if absolute => to_monotonic(clock, ns, &**cx.clock),
            Ok(ns) => cx.now_ns(Clock::Monotonic).saturating_add(ns),
            Err(error) => return error.into(),
        },
    };
    let now_ns = cx.now_ns(Clock::Monotonic);
    if now_ns >= deadline_ns {
        return Ok(0).into();
    }
    cx.progress.deadline_ns = Some(deadline_ns);
    if absolute {
        return Outcome::Blocked(Interrupted::Eintr);
    }
    if left != 0
        && let Err(error) = write_timespec(cx.memory, left, deadline_ns - now_ns)
    {
        return error.into();
    }
    Outcome::Blocked(Interrupted::RestartBlock)
}

/// `clock, flags`.
pub fn timerfd_create(cx: &mut Context<'_>, [clock, flags, ..]: [u64; 6]) -> Outcome {
    let flags = flags as u32;
    let Ok(Named::Wall(clock)) = Named::decode(clock, &cx.ids) else { return EINVAL.into() };
    if flags & !(TFD_CLOEXEC | TFD_NONBLOCK) != 0 {
        return EINVAL.into();
    }
    let file = OpenFile::unnamed(Arc::new(TimerFd::new(cx.clock, clock)), O_RDWR | flags & TFD_NONBLOCK);
    let on_exec = OnExec::from_cloexec(flags & TFD_CLOEXEC != 0);
    let added = cx.files.lock().add(file, on_exec, 0, cx.limits.soft(RLIMIT_NOFILE));
    added.map(u64::from).into()
}

/// `fd, flags, new, old`. TFD_TIMER_CANCEL_ON_SET is taken: the real-time clock is never set.
pub fn timerfd_settime(cx: &mut Context<'_>, [fd, flags, new, old, ..]: [u64; 6]) -> Outcome {
    let set = |cx: &mut Context<'_>| {
        if flags & !u64::from(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
            return Err(EINVAL);
        }
        let mut setting = Setting::read(cx.memory, new)?;
        let open = cx.files.lock().get(fd as u32)?.clone();
        let timer = timer_of(&open)?;
        let absolute = flags & u64::from(TFD_TIMER_ABSTIME) != 0;
        if absolute && setting.value_ns != 0 {
            setting.value_ns = to_monotonic(timer.clock, setting.value_ns, &**cx.clock);
        }
        let before = timer.set(setting, absolute);
        if old == 0 { Ok(0) } else { before.write(cx.memory, old).map(|()| 0) }
    };
    set(cx).into()
}

/// `fd, current`.
pub fn timerfd_gettime(cx: &mut Context<'_>, [fd, current, ..]: [u64; 6]) -> Outcome {
    let told = |cx: &mut Context<'_>| {
        let open = cx.files.lock().get(fd as u32)?.clone();
        timer_of(&open)?.setting().write(cx.memory, current).map(|()| 0)
    };
    told(cx).into()
}

fn timer_of(open: &Arc<OpenFile>) -> Result<&TimerFd> {
    let file: &dyn File = &*open.file;
    (file as &dyn Any).downcast_ref::<TimerFd>().ok_or(EINVAL)
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
