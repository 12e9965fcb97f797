// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls of scheduling. Threads of a cell have one priority, the cell's; what programs set is remembered and told, so that they go on.

use crate::cell::Cell;
use crate::errno::*;
use crate::task::Current;
use crate::time::write_timespec;
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::Outcome;
use linux_raw_sys::general::*;

/// Of the real-time policies.
const PRIORITIES: core::ops::RangeInclusive<u32> = 1..=99;
/// Time slice of the kernel below.
const SLICE_NS: u64 = 10_000_000;

fn pid_or_own(current: &Current, pid: u64) -> u32 {
    if pid as u32 == 0 { current.process.pid } else { pid as u32 }
}

/// The process of a thread number.
fn of_thread(current: &Current, cell: &mut Cell, tid: u64) -> Result<u32> {
    let tid = if tid as u32 == 0 { current.tid } else { tid as u32 };
    cell.thread(tid).map(|thread| thread.pid)
}

/// `thread, length, mask`; answers the length of what was written.
pub fn sched_getaffinity(current: &mut Current, cell: &mut Cell, [tid, length, mask, ..]: [u64; 6]) -> Outcome {
    let tell = |cell: &mut Cell| {
        of_thread(current, cell, tid)?;
        if length < 8 || length % 8 != 0 {
            return Err(EINVAL);
        }
        let cpus = cell.platform.cpus().min(u64::BITS);
        let all = u64::MAX >> (u64::BITS - cpus);
        current.memory.lock().write_u64(mask, all).map(|()| 8)
    };
    tell(cell).into()
}

/// `thread, length, mask`: a mask without any CPU that is there is refused. Where threads run is the kernel's matter.
pub fn sched_setaffinity(current: &mut Current, cell: &mut Cell, [tid, length, mask, ..]: [u64; 6]) -> Outcome {
    let check = |cell: &mut Cell| {
        of_thread(current, cell, tid)?;
        let mut bytes = [0; 8];
        let part = bytes.len().min(length as usize);
        current.memory.lock().read(mask, &mut bytes[..part])?;
        let cpus = cell.platform.cpus().min(u64::BITS);
        if u64::from_le_bytes(bytes) & (u64::MAX >> (u64::BITS - cpus)) == 0 { Err(EINVAL) } else { Ok(0) }
    };
    check(cell).into()
}

/// `thread`.
pub fn sched_getscheduler(current: &mut Current, cell: &mut Cell, [tid, ..]: [u64; 6]) -> Outcome {
    let pid = of_thread(current, cell, tid);
    pid.and_then(|pid| cell.process(pid)).map(|process| process.settings.policy.into()).into()
}

/// `thread, policy, parameters`.
pub fn sched_setscheduler(current: &mut Current, cell: &mut Cell, [tid, policy, parameters, ..]: [u64; 6]) -> Outcome {
    let set = |cell: &mut Cell| {
        let pid = of_thread(current, cell, tid)?;
        let priority = current.memory.lock().read_u32(parameters)?;
        let policy = policy as u32 & !SCHED_RESET_ON_FORK;
        check(policy, priority, current.credentials.can(CAP_SYS_NICE))?;
        let settings = &mut cell.process(pid)?.settings;
        (settings.policy, settings.real_time_priority) = (policy, priority);
        Ok(0)
    };
    set(cell).into()
}

/// `thread, parameters`.
pub fn sched_setparam(current: &mut Current, cell: &mut Cell, [tid, parameters, ..]: [u64; 6]) -> Outcome {
    let policy = of_thread(current, cell, tid).and_then(|pid| cell.process(pid)).map(|process| process.settings.policy);
    match policy {
        Ok(policy) => sched_setscheduler(current, cell, [tid, policy.into(), parameters, 0, 0, 0]),
        Err(error) => error.into(),
    }
}

/// `thread, parameters`.
pub fn sched_getparam(current: &mut Current, cell: &mut Cell, [tid, parameters, ..]: [u64; 6]) -> Outcome {
    let tell = |cell: &mut Cell| {
        let pid = of_thread(current, cell, tid)?;
        let priority = cell.process(pid)?.settings.real_time_priority;
        current.memory.lock().write_u32(parameters, priority).map(|()| 0)
    };
    tell(cell).into()
}

/// Errors: `EINVAL` for a policy that is none or a priority that is not of it, `EPERM` for a real-time one without the right.
fn check(policy: u32, priority: u32, can: bool) -> Result<()> {
    match policy {
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE if priority == 0 => Ok(()),
        SCHED_FIFO | SCHED_RR if PRIORITIES.contains(&priority) => {
            if can {
                Ok(())
            } else {
                Err(EPERM)
            }
        }
        _ => Err(EINVAL),
    }
}

/// `policy`.
pub fn sched_get_priority_max(_: &mut Current, _: &mut Cell, [policy, ..]: [u64; 6]) -> Outcome {
    bound(policy, *PRIORITIES.end())
}
pub fn sched_get_priority_min(_: &mut Current, _: &mut Cell, [policy, ..]: [u64; 6]) -> Outcome {
    bound(policy, *PRIORITIES.start())
}
fn bound(policy: u64, of_real_time: u32) -> Outcome {
    match policy as u32 {
        SCHED_FIFO | SCHED_RR => Ok(of_real_time.into()).into(),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0).into(),
        _ => EINVAL.into(),
    }
}

/// `thread, time`.
pub fn sched_rr_get_interval(current: &mut Current, cell: &mut Cell, [tid, time, ..]: [u64; 6]) -> Outcome {
    let known = of_thread(current, cell, tid);
    known.and_then(|_| write_timespec(&mut *current.memory.lock(), time, SLICE_NS)).map(|()| 0).into()
}

/// `which, who`; answers 20 less the nice value, which is never negative.
pub fn getpriority(current: &mut Current, cell: &mut Cell, [which, who, ..]: [u64; 6]) -> Outcome {
    let nice = meant(current, cell, which, who)
        .map(|pids| pids.iter().filter_map(|pid| cell.process(*pid).ok().map(|process| process.settings.nice)).min());
    match nice {
        Ok(Some(nice)) => Ok((20 - nice) as u64).into(),
        Ok(None) => ESRCH.into(),
        Err(error) => error.into(),
    }
}

/// `which, who, nice`.
pub fn setpriority(current: &mut Current, cell: &mut Cell, [which, who, nice, ..]: [u64; 6]) -> Outcome {
    let set = |cell: &mut Cell| {
        let pids = meant(current, cell, which, who)?;
        let nice = (nice as i32).clamp(-20, 19);
        if pids.is_empty() {
            return Err(ESRCH);
        }
        for pid in pids {
            let settings = &mut cell.process(pid)?.settings;
            if nice < settings.nice && !current.credentials.can(CAP_SYS_NICE) {
                return Err(EACCES);
            }
            settings.nice = nice;
        }
        Ok(0)
    };
    set(cell).into()
}

/// PRIO_PROCESS, PRIO_PGRP, PRIO_USER of sys/resource.h.
fn meant(current: &Current, cell: &mut Cell, which: u64, who: u64) -> Result<alloc::vec::Vec<u32>> {
    let all = cell.processes.iter().filter(|(_, process)| !process.is_zombie());
    Ok(match which as u32 {
        0 => {
            let pid = pid_or_own(current, who);
            all.filter(|(one, _)| **one == pid).map(|(pid, _)| *pid).collect()
        }
        1 => {
            let group = if who as u32 == 0 { current.process.group() } else { who as u32 };
            all.filter(|(_, process)| process.known.group() == group).map(|(pid, _)| *pid).collect()
        }
        2 => {
            let uid = if who as u32 == 0 { current.credentials.uid } else { who as u32 };
            let owns = |pid: &u32| cell.threads.values().any(|thread| thread.pid == *pid && thread.credentials.uid == uid);
            all.map(|(pid, _)| *pid).filter(owns).collect()
        }
        _ => return Err(EINVAL),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_takes_its_own_priorities_and_a_real_time_one_a_right() {
        assert_eq!([(SCHED_NORMAL, 0), (SCHED_BATCH, 0), (SCHED_IDLE, 0)].map(|(p, n)| check(p, n, false)), [Ok(()); 3]);
        assert_eq!(
            [(SCHED_NORMAL, 1), (SCHED_FIFO, 0), (SCHED_RR, 100), (77, 0)].map(|(p, n)| check(p, n, true)),
            [Err(EINVAL); 4]
        );
        assert_eq!([check(SCHED_FIFO, 1, false), check(SCHED_FIFO, 99, true)], [Err(EPERM), Ok(())]);
    }
}
