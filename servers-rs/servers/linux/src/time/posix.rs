// SPDX-License-Identifier: PMPL-1.0-or-later
//! The timers of a process that send signals: those of setitimer(2), and those of timer_create(2).
//!
//! Whoever keeps the cell's time calls [`ProcessTimers::expire`] when [`ProcessTimers::next_ns`] says so.

use crate::call::Clock;
use crate::errno::{EAGAIN, EINVAL, Result};
use crate::signal::info::{Info, More};
use crate::signal::set::LAST;
use crate::time::Setting;
use crate::time::timer::Timer;
use alloc::collections::BTreeMap;
use linux_raw_sys::general::*;

/// Most timers of a process. Linux counts them against RLIMIT_SIGPENDING.
const MOST: usize = 1024;
/// Length of `struct sigevent`.
pub const EVENT_BYTES: usize = 64;

/// How a timer says that it has expired (sigevent(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notify {
    None,
    Process { signal: u32, value: u64 },
    Thread { tid: u32, signal: u32, value: u64 },
}

impl Notify {
    /// `struct sigevent`: value, signal, how, thread. Errors: `EINVAL`.
    pub fn from_bytes(bytes: &[u8; EVENT_BYTES]) -> Result<Notify> {
        let u32_at = |at: usize| u32::from_le_bytes(core::array::from_fn(|n| bytes[at + n]));
        let value = u64::from(u32_at(0)) | u64::from(u32_at(4)) << 32;
        let signal = u32_at(8);
        let how = u32_at(12);
        if how == SIGEV_NONE {
            return Ok(Notify::None);
        }
        if !(1..=LAST).contains(&signal) {
            return Err(EINVAL);
        }
        match how {
            SIGEV_SIGNAL => Ok(Notify::Process { signal, value }),
            how if how == SIGEV_THREAD_ID => Ok(Notify::Thread { tid: u32_at(16), signal, value }),
            _ => Err(EINVAL),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct PosixTimer {
    clock: Clock,
    notify: Notify,
    /// Counts on the monotonic clock.
    timer: Timer,
    /// Expirations that had no signal of their own since the last that had one.
    overrun: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProcessTimers {
    real: Timer,
    timers: BTreeMap<u32, PosixTimer>,
    next_id: u32,
}

/// A signal that a timer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fired {
    /// A thread, or the process.
    pub tid: Option<u32>,
    pub info: Info,
}

impl ProcessTimers {
    /// ITIMER_REAL; returns what it was set to.
    pub fn set_real(&mut self, setting: Setting, now_ns: u64) -> Setting {
        self.real.set(setting, false, now_ns)
    }
    pub fn real(&self, now_ns: u64) -> Setting {
        self.real.setting(now_ns)
    }

    /// Its number. Errors: `EAGAIN` when there are too many.
    pub fn create(&mut self, clock: Clock, notify: Option<Notify>) -> Result<u32> {
        if self.timers.len() >= MOST {
            return Err(EAGAIN);
        }
        while self.timers.contains_key(&self.next_id) {
            self.next_id = (self.next_id + 1) & i32::MAX as u32;
        }
        let id = self.next_id;
        self.next_id = (id + 1) & i32::MAX as u32;
        let notify = notify.unwrap_or(Notify::Process { signal: SIGALRM, value: id.into() });
        self.timers.insert(id, PosixTimer { clock, notify, timer: Timer::default(), overrun: 0 });
        Ok(id)
    }

    /// execve(2) keeps the timer of setitimer(2) alone.
    pub fn delete_all(&mut self) {
        self.timers.clear();
    }

    pub fn delete(&mut self, id: u32) -> Result<()> {
        self.timers.remove(&id).map(drop).ok_or(EINVAL)
    }

    fn get(&mut self, id: u32) -> Result<&mut PosixTimer> {
        self.timers.get_mut(&id).ok_or(EINVAL)
    }

    /// The clock that its absolute times are of.
    pub fn clock(&mut self, id: u32) -> Result<Clock> {
        self.get(id).map(|timer| timer.clock)
    }

    /// `setting.value_ns` is of the monotonic clock if it is `absolute`. Returns what it was set to.
    pub fn set(&mut self, id: u32, setting: Setting, absolute: bool, now_ns: u64) -> Result<Setting> {
        let it = self.get(id)?;
        it.overrun = 0;
        Ok(it.timer.set(setting, absolute, now_ns))
    }

    pub fn setting(&mut self, id: u32, now_ns: u64) -> Result<Setting> {
        self.get(id).map(|it| it.timer.setting(now_ns))
    }

    /// Overruns of the last expiration that was taken.
    pub fn overrun(&mut self, id: u32) -> Result<u32> {
        self.get(id).map(|it| it.overrun)
    }

    /// When to look again, on the monotonic clock.
    pub fn next_ns(&self) -> Option<u64> {
        self.timers.values().map(|it| &it.timer).chain([&self.real]).filter_map(Timer::next_ns).min()
    }

    /// Sends what is due. A timer whose last signal still waits to be taken, as `waits` says, sends none but counts.
    pub fn expire(&mut self, now_ns: u64, waits: impl Fn(u32) -> bool, mut send: impl FnMut(Fired)) {
        if self.real.expirations(now_ns) > 0 {
            send(Fired { tid: None, info: Info::kernel(SIGALRM) });
        }
        for (id, it) in &mut self.timers {
            let times = it.timer.expirations(now_ns);
            if times == 0 {
                continue;
            }
            if waits(*id) {
                it.overrun = it.overrun.saturating_add(u32::try_from(times).unwrap_or(u32::MAX)).min(i32::MAX as u32);
                continue;
            }
            it.overrun = u32::try_from(times - 1).unwrap_or(u32::MAX).min(i32::MAX as u32);
            let (tid, signal, value) = match it.notify {
                Notify::None => continue,
                Notify::Process { signal, value } => (None, signal, value),
                Notify::Thread { tid, signal, value } => (Some(tid), signal, value),
            };
            send(Fired { tid, info: Info { signal, code: SI_TIMER, more: More::Timer { id: *id, overrun: it.overrun, value } } });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn expired(timers: &mut ProcessTimers, now_ns: u64, waits: bool) -> Vec<(u32, More)> {
        let mut found = Vec::new();
        timers.expire(now_ns, |_| waits, |fired| found.push((fired.info.signal, fired.info.more)));
        found
    }

    #[test]
    fn a_timer_sends_its_signal_with_its_value_and_says_what_was_missed() {
        let mut timers = ProcessTimers::default();
        let id = timers.create(Clock::Monotonic, Some(Notify::Process { signal: 40, value: 99 })).unwrap();
        timers.set(id, Setting { value_ns: 100, interval_ns: 10 }, false, 0).unwrap();
        assert_eq!(timers.next_ns(), Some(100));
        assert_eq!(expired(&mut timers, 125, false), [(40, More::Timer { id, overrun: 2, value: 99 })]);
        assert_eq!((expired(&mut timers, 140, true), timers.overrun(id)), (Vec::new(), Ok(4)));
        assert_eq!(expired(&mut timers, 150, false), [(40, More::Timer { id, overrun: 0, value: 99 })]);
    }

    #[test]
    fn the_real_timer_sends_sigalrm() {
        let mut timers = ProcessTimers::default();
        timers.set_real(Setting { value_ns: 5, interval_ns: 0 }, 10);
        assert_eq!(
            [14, 15, 99].map(|now| expired(&mut timers, now, false)),
            [Vec::new(), alloc::vec![(SIGALRM, More::None)], Vec::new()]
        );
        assert_eq!(timers.next_ns(), None);
    }

    #[test]
    fn what_is_no_timer_and_what_is_no_notification_is_refused() {
        let mut timers = ProcessTimers::default();
        let id = timers.create(Clock::Realtime, None).unwrap();
        assert_eq!(timers.delete(id), Ok(()));
        for result in [timers.delete(id), timers.setting(id, 0).map(drop), timers.overrun(id).map(drop)] {
            assert_eq!(result, Err(EINVAL));
        }
        let event = |signal: u32, how: u32| {
            let mut bytes = [0; EVENT_BYTES];
            bytes[8..12].copy_from_slice(&signal.to_le_bytes());
            bytes[12..16].copy_from_slice(&how.to_le_bytes());
            Notify::from_bytes(&bytes)
        };
        assert_eq!(event(40, SIGEV_SIGNAL), Ok(Notify::Process { signal: 40, value: 0 }));
        for (signal, how) in [(0, SIGEV_SIGNAL), (65, SIGEV_SIGNAL), (40, 77)] {
            assert_eq!(event(signal, how), Err(EINVAL));
        }
    }

    #[test]
    fn there_is_an_end_to_timers() {
        let mut timers = ProcessTimers::default();
        for _ in 0..MOST {
            timers.create(Clock::Monotonic, None).unwrap();
        }
        assert_eq!(timers.create(Clock::Monotonic, None), Err(EAGAIN));
    }
}
