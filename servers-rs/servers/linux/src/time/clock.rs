// SPDX-License-Identifier: PMPL-1.0-or-later
//! The clocks that calls name (clock_gettime(2)). A cell sleeps with its machine or not at all, so boot time is monotonic time, and there
//! are no leap seconds, so TAI is real time.

use crate::call::{Clock, Clocks, Cpu, Ids};
use crate::errno::{EINVAL, Result};
use linux_raw_sys::general::*;

/// What a `clockid_t` means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    Wall(Clock),
    /// Processor time of the caller, or of a process or thread that is named in the number.
    Used {
        of: Cpu,
        id: u32,
    },
}

impl Named {
    /// Errors: `EINVAL` for a number that is no clock.
    pub fn decode(number: u64, ids: &Ids) -> Result<Named> {
        // clockid_t is an int; negative ones are made of a process or thread number (CPUCLOCK of Linux).
        let number = number as i32;
        if number < 0 {
            let id = (!number >> 3) as u32;
            // 0 profiling, 1 virtual, 2 what was scheduled: all are the time used here; 3 is a clock behind a descriptor.
            if number & 3 == 3 {
                return Err(EINVAL);
            }
            let (of, own) = if number & 4 != 0 { (Cpu::Thread, ids.tid) } else { (Cpu::Process, ids.pid) };
            return Ok(Named::Used { of, id: if id == 0 { own } else { id } });
        }
        Ok(match number as u32 {
            CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI | CLOCK_REALTIME_ALARM => Named::Wall(Clock::Realtime),
            CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => {
                Named::Wall(Clock::Monotonic)
            }
            CLOCK_PROCESS_CPUTIME_ID => Named::Used { of: Cpu::Process, id: ids.pid },
            CLOCK_THREAD_CPUTIME_ID => Named::Used { of: Cpu::Thread, id: ids.tid },
            _ => return Err(EINVAL),
        })
    }

    /// Errors: `EINVAL` for the time of a process or thread that is not there.
    pub fn now_ns(self, clocks: &dyn Clocks) -> Result<u64> {
        match self {
            Named::Wall(clock) => Ok(clocks.now_ns(clock)),
            Named::Used { of, id } => clocks.used_ns(of, id).ok_or(EINVAL),
        }
    }
}

/// A point in time of a wall clock, on the monotonic one.
pub fn to_monotonic(clock: Clock, time_ns: u64, clocks: &dyn Clocks) -> u64 {
    match clock {
        Clock::Monotonic => time_ns,
        Clock::Realtime => {
            let left_ns = time_ns.saturating_sub(clocks.now_ns(Clock::Realtime));
            clocks.now_ns(Clock::Monotonic).saturating_add(left_ns)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_abi_name_clocks_and_the_time_of_processes() {
        let ids = Ids { pid: 7, tid: 9, ..Ids::default() };
        let of = |number: i64| Named::decode(number as u64, &ids);
        assert_eq!(of(CLOCK_BOOTTIME.into()), Ok(Named::Wall(Clock::Monotonic)));
        assert_eq!(of(CLOCK_THREAD_CPUTIME_ID.into()), Ok(Named::Used { of: Cpu::Thread, id: 9 }));
        // As clock_getcpuclockid(3) and pthread_getcpuclockid(3) make them.
        assert_eq!(of((!5 << 3) | 2), Ok(Named::Used { of: Cpu::Process, id: 5 }));
        assert_eq!(of((!5 << 3) | 6), Ok(Named::Used { of: Cpu::Thread, id: 5 }));
        assert_eq!(of((!0 << 3) | 2), Ok(Named::Used { of: Cpu::Process, id: 7 }));
        for wrong in [10, 99, (!5 << 3) | 3] {
            assert_eq!(of(wrong), Err(EINVAL), "{wrong}");
        }
    }
}
