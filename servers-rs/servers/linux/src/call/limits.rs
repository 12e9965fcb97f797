// SPDX-License-Identifier: PMPL-1.0-or-later
//! Limits, and what was used (getrlimit(2), getrusage(2), times(2)).

use super::{Clock, Cpu};
use crate::cell::Cell;
use crate::errno::*;
use crate::task::Current;
use crate::task::limits::Limit;
use crate::time::{NS_PER_S, write_timeval};
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::Outcome;
use linux_raw_sys::general::*;

/// USER_HZ: in clock ticks are told the times of times(2) and of /proc.
pub const NS_PER_TICK: u64 = NS_PER_S / 100;
/// Length of `struct rusage`.
const USAGE_BYTES: usize = 144;

/// `resource, limit`.
pub fn getrlimit(current: &mut Current, cell: &mut Cell, [resource, limit, ..]: [u64; 6]) -> Outcome {
    prlimit64(current, cell, [0, resource, 0, limit, 0, 0])
}
/// `resource, limit`.
pub fn setrlimit(current: &mut Current, cell: &mut Cell, [resource, limit, ..]: [u64; 6]) -> Outcome {
    if limit == 0 { EFAULT.into() } else { prlimit64(current, cell, [0, resource, limit, 0, 0, 0]) }
}

/// `pid, resource, new, old`.
pub fn prlimit64(current: &mut Current, cell: &mut Cell, [pid, resource, new, old, ..]: [u64; 6]) -> Outcome {
    let mut exchange = || -> Result<u64> {
        let pid = if pid as u32 == 0 { current.process.pid } else { pid as u32 };
        let known = cell.process(pid)?.known.clone();
        let owner = cell.threads.values().find(|thread| thread.pid == pid).map(|thread| thread.credentials.clone());
        let (me, can) = (&current.credentials, current.credentials.can(CAP_SYS_RESOURCE));
        let same = owner.is_none_or(|of| [of.uid, of.euid, of.suid] == [me.uid; 3] && [of.gid, of.egid, of.sgid] == [me.gid; 3]);
        if pid != current.process.pid && !same && !can {
            return Err(EPERM);
        }
        let mut memory = current.memory.lock();
        let resource = u32::try_from(resource).map_err(|_| EINVAL)?;
        let before = known.limits.lock().get(resource).ok_or(EINVAL)?;
        if new != 0 {
            let wanted = Limit { soft: memory.read_u64(new)?, hard: memory.read_u64(new.wrapping_add(8))? };
            check(resource, wanted, before, can)?;
            known.limits.lock().set(resource, wanted);
        }
        if old != 0 {
            memory.write_u64(old, before.soft)?;
            memory.write_u64(old.wrapping_add(8), before.hard)?;
        }
        Ok(0)
    };
    exchange().into()
}

/// Errors: `EINVAL` when the soft one is above the hard one, `EPERM` for a higher hard one, or more descriptors than there can be.
fn check(resource: u32, wanted: Limit, before: Limit, can: bool) -> Result<()> {
    if wanted.soft > wanted.hard {
        return Err(EINVAL);
    }
    let beyond = resource == RLIMIT_NOFILE && wanted.hard > crate::vfs::MAX_DESCRIPTORS;
    if beyond || wanted.hard > before.hard && !can { Err(EPERM) } else { Ok(()) }
}

/// `who, usage`. What is known is told: processor time; the rest is 0.
pub fn getrusage(current: &mut Current, cell: &mut Cell, [who, usage, ..]: [u64; 6]) -> Outcome {
    let used_ns = match who as i32 {
        RUSAGE_CHILDREN => cell.process(current.process.pid).map_or(0, |process| process.children_used_ns),
        0 => current.clocks.used_ns(Cpu::Process, current.process.pid).unwrap_or(0),
        1 => current.clocks.used_ns(Cpu::Thread, current.tid).unwrap_or(0),
        _ => return EINVAL.into(),
    };
    let mut memory = current.memory.lock();
    memory.write(usage, &[0; USAGE_BYTES]).and_then(|()| write_timeval(&mut *memory, usage, used_ns)).map(|()| 0).into()
}

/// `times`: user and system time of the process and of its children; all time is counted as the user's.
pub fn times(current: &mut Current, cell: &mut Cell, [times, ..]: [u64; 6]) -> Outcome {
    let own = current.clocks.used_ns(Cpu::Process, current.process.pid).unwrap_or(0);
    let children = cell.process(current.process.pid).map_or(0, |process| process.children_used_ns);
    let now = current.clocks.now_ns(Clock::Monotonic) / NS_PER_TICK;
    if times != 0 {
        let mut memory = current.memory.lock();
        let words = [own / NS_PER_TICK, 0, children / NS_PER_TICK, 0];
        for (n, word) in (0..).zip(words) {
            if let Err(error) = memory.write_u64(times.wrapping_add(n * 8), word) {
                return error.into();
            }
        }
    }
    Ok(now).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Limit = Limit { soft: 10, hard: 20 };

    #[test]
    fn a_hard_limit_goes_up_only_with_the_right() {
        let limit = |soft, hard| Limit { soft, hard };
        assert_eq!(check(RLIMIT_CORE, limit(20, 20), NOW, false), Ok(()));
        assert_eq!(check(RLIMIT_CORE, limit(21, 20), NOW, true), Err(EINVAL));
        assert_eq!(check(RLIMIT_CORE, limit(5, 21), NOW, false), Err(EPERM));
        assert_eq!(check(RLIMIT_CORE, limit(5, 21), NOW, true), Ok(()));
        assert_eq!(check(RLIMIT_NOFILE, limit(5, 1 << 30), NOW, true), Err(EPERM));
    }
}
