// SPDX-License-Identifier: PMPL-1.0-or-later
//! Timers that send signals: getitimer(2), timer_create(2) and their siblings. ITIMER_VIRTUAL and ITIMER_PROF, which count the time that
//! a process uses, are not done: `EINVAL`, as for a number that is none.

use super::{Clock, Clocks, Ids};
use crate::errno::*;
use crate::time::clock::{Named, to_monotonic};
use crate::time::posix::{EVENT_BYTES, Notify, ProcessTimers};
use crate::time::{NS_PER_S, Setting};
use crate::user::{UserMemory, UserMemoryExt};
use linux_raw_sys::general::{ITIMER_REAL, TIMER_ABSTIME};

/// The caller of a call about its process's timers.
pub struct Own<'a> {
    pub memory: &'a mut dyn UserMemory,
    pub timers: &'a mut ProcessTimers,
    pub ids: Ids,
    pub clocks: &'a dyn Clocks,
}

impl Own<'_> {
    fn now_ns(&self) -> u64 {
        self.clocks.now_ns(Clock::Monotonic)
    }
}

/// `which, current`.
pub fn getitimer(own: &mut Own<'_>, [which, current, ..]: [u64; 6]) -> Result<u64> {
    real(which)?;
    own.timers.real(own.now_ns()).write_timevals(own.memory, current).map(|()| 0)
}

/// `which, new, old`. As Linux has it, no new value stops the timer.
pub fn setitimer(own: &mut Own<'_>, [which, new, old, ..]: [u64; 6]) -> Result<u64> {
    real(which)?;
    let setting = if new == 0 { Setting::default() } else { Setting::read_timevals(own.memory, new)? };
    let before = own.timers.set_real(setting, own.now_ns());
    if old == 0 { Ok(0) } else { before.write_timevals(own.memory, old).map(|()| 0) }
}

/// `seconds`; answers how many were left.
pub fn alarm(own: &mut Own<'_>, [seconds, ..]: [u64; 6]) -> Result<u64> {
    let seconds = u64::from(seconds as u32);
    let before = own.timers.set_real(Setting { value_ns: seconds * NS_PER_S, interval_ns: 0 }, own.now_ns());
    // To the nearest, and never 0 while it runs.
    let left = (before.value_ns.saturating_add(NS_PER_S / 2)) / NS_PER_S;
    Ok(if before.value_ns > 0 { left.max(1) } else { 0 })
}

fn real(which: u64) -> Result<()> {
    if which as u32 == ITIMER_REAL { Ok(()) } else { Err(EINVAL) }
}

/// `clock, event, id`.
pub fn timer_create(own: &mut Own<'_>, [clock, event, id, ..]: [u64; 6]) -> Result<u64> {
    let Named::Wall(clock) = Named::decode(clock, &own.ids)? else { return Err(EOPNOTSUPP) };
    let notify = match event {
        0 => None,
        address => {
            let mut bytes = [0; EVENT_BYTES];
            own.memory.read(address, &mut bytes)?;
            Some(Notify::from_bytes(&bytes)?)
        }
    };
    let number = own.timers.create(clock, notify)?;
    if let Err(error) = own.memory.write_u32(id, number) {
        own.timers.delete(number)?;
        return Err(error);
    }
    Ok(0)
}

/// `id, flags, new, old`.
pub fn timer_settime(own: &mut Own<'_>, [id, flags, new, old, ..]: [u64; 6]) -> Result<u64> {
    if new == 0 {
        return Err(EINVAL);
    }
    let mut setting = Setting::read(own.memory, new)?;
    let absolute = flags & u64::from(TIMER_ABSTIME) != 0;
    let clock = own.timers.clock(id as u32)?;
    if absolute && setting.value_ns != 0 {
        setting.value_ns = to_monotonic(clock, setting.value_ns, own.clocks);
    }
    let before = own.timers.set(id as u32, setting, absolute, own.now_ns())?;
    if old == 0 { Ok(0) } else { before.write(own.memory, old).map(|()| 0) }
}

/// `id, current`.
pub fn timer_gettime(own: &mut Own<'_>, [id, current, ..]: [u64; 6]) -> Result<u64> {
    let now_ns = own.now_ns();
    own.timers.setting(id as u32, now_ns)?.write(own.memory, current).map(|()| 0)
}

/// `id`.
pub fn timer_getoverrun(own: &mut Own<'_>, [id, ..]: [u64; 6]) -> Result<u64> {
    own.timers.overrun(id as u32).map(u64::from)
}

/// `id`.
pub fn timer_delete(own: &mut Own<'_>, [id, ..]: [u64; 6]) -> Result<u64> {
    own.timers.delete(id as u32).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::testing::Flat;
    use crate::world::world;
    use linux_raw_sys::general::{CLOCK_MONOTONIC, ITIMER_PROF};

    const BASE: u64 = 0x1000;

    fn with<R>(timers: &mut ProcessTimers, work: impl FnOnce(&mut Own<'_>) -> R) -> R {
        let world = world();
        let mut memory = Flat::new(BASE, 4096);
        Setting { value_ns: 5 * NS_PER_S, interval_ns: NS_PER_S }.write(&mut memory, BASE).unwrap();
        work(&mut Own { memory: &mut memory, timers, ids: world.ids, clocks: world.caller().clock })
    }

    #[test]
    fn an_alarm_replaces_the_last_and_says_what_was_left() {
        let mut timers = ProcessTimers::default();
        let left = [7, 3, 0, 0].map(|seconds| with(&mut timers, |own| alarm(own, [seconds, 0, 0, 0, 0, 0])));
        assert_eq!(left, [Ok(0), Ok(7), Ok(3), Ok(0)]);
    }

    #[test]
    fn a_timer_is_made_set_told_and_gone() {
        let mut timers = ProcessTimers::default();
        with(&mut timers, |own| {
            assert_eq!(timer_create(own, [CLOCK_MONOTONIC.into(), 0, BASE + 64, 0, 0, 0]), Ok(0));
            let id = own.memory.read_u32(BASE + 64).unwrap().into();
            assert_eq!(timer_settime(own, [id, 0, BASE, BASE + 128, 0, 0]), Ok(0));
            assert_eq!(timer_gettime(own, [id, BASE + 128, 0, 0, 0, 0]), Ok(0));
            let told = Setting::read(own.memory, BASE + 128).unwrap();
            assert!(told.interval_ns == NS_PER_S && (1..5 * NS_PER_S).contains(&told.value_ns), "{told:?}");
            assert_eq!(timer_delete(own, [id, 0, 0, 0, 0, 0]), Ok(0));
            assert_eq!(timer_settime(own, [id, 0, BASE, 0, 0, 0]), Err(EINVAL));
        });
    }

    #[test]
    fn what_cannot_be_told_where_it_shall_leaves_no_timer() {
        let mut timers = ProcessTimers::default();
        with(&mut timers, |own| {
            assert_eq!(timer_create(own, [CLOCK_MONOTONIC.into(), 0, 8, 0, 0, 0]), Err(EFAULT));
            assert_eq!(timer_create(own, [99, 0, BASE + 64, 0, 0, 0]), Err(EINVAL));
            assert_eq!(getitimer(own, [ITIMER_PROF.into(), BASE, 0, 0, 0, 0]), Err(EINVAL));
        });
        assert_eq!(timers.next_ns(), None);
        assert_eq!(timers.setting(0, 0), Err(EINVAL));
    }
}
