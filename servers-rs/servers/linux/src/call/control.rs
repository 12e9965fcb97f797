// SPDX-License-Identifier: PMPL-1.0-or-later
//! prctl(2), and seccomp(2) as far as programs ask what there is. Filters are not done: `EINVAL`, as on a Linux without them.

use super::identity::change_credentials;
use crate::cell::Cell;
use crate::errno::*;
use crate::signal::set::LAST;
use crate::task::Current;
use crate::task::credentials::Credentials;
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::Outcome;
use linux_raw_sys::general::*;
use linux_raw_sys::prctl::*;

/// Length of a thread's name, the zero at its end included.
const NAME_BYTES: usize = 16;

/// `operation, argument, ...`.
pub fn prctl(current: &mut Current, cell: &mut Cell, [operation, argument, third, fourth, fifth, _]: [u64; 6]) -> Outcome {
    let rest = [third, fourth, fifth];
    serve(current, cell, operation as u32, argument, rest).into()
}

fn serve(current: &mut Current, cell: &mut Cell, operation: u32, argument: u64, rest: [u64; 3]) -> Result<u64> {
    match operation {
        PR_SET_NAME => set_name(current, cell, argument),
        PR_GET_NAME => {
            let name = cell.thread(current.tid)?.name;
            current.memory.lock().write(argument, &name).map(|()| 0)
        }
        PR_CAPBSET_READ if argument <= CAP_LAST_CAP.into() => Ok(current.credentials.bounding >> argument & 1),
        PR_CAPBSET_DROP => drop_bounding(current, cell, argument),
        PR_CAP_AMBIENT => ambient(current, cell, argument as u32, rest[0]),
        PR_GET_SECUREBITS => Ok(0),
        PR_GET_SECCOMP => Ok(0),
        // Of virtual machines under debuggers and checkpointing; nothing here cares.
        PR_SET_VMA | PR_SET_THP_DISABLE | PR_GET_THP_DISABLE => Ok(0),
        _ => of_process(current, cell, operation, argument, rest),
    }
}

fn of_process(current: &mut Current, cell: &mut Cell, operation: u32, argument: u64, rest: [u64; 3]) -> Result<u64> {
    let process = cell.process(current.process.pid)?;
    let settings = &mut process.settings;
    let flag = || if argument <= 1 { Ok(argument == 1) } else { Err(EINVAL) };
    match operation {
        PR_SET_PDEATHSIG if argument <= LAST.into() => settings.death_signal = argument as u32,
        PR_GET_PDEATHSIG => {
            let signal = settings.death_signal;
            return current.memory.lock().write_u32(argument, signal).map(|()| 0);
        }
        PR_SET_DUMPABLE => process.is_dumpable = flag()?,
        PR_GET_DUMPABLE => return Ok(process.is_dumpable.into()),
        PR_SET_KEEPCAPS => settings.keeps_capabilities = flag()?,
        PR_GET_KEEPCAPS => return Ok(settings.keeps_capabilities.into()),
        PR_SET_NO_NEW_PRIVS if argument == 1 && rest == [0; 3] => settings.no_new_privileges = true,
        PR_GET_NO_NEW_PRIVS if argument == 0 && rest == [0; 3] => return Ok(settings.no_new_privileges.into()),
        PR_SET_TIMERSLACK => settings.timer_slack_ns = if argument == 0 { 50_000 } else { argument },
        PR_GET_TIMERSLACK => return Ok(settings.timer_slack_ns),
        PR_SET_CHILD_SUBREAPER => process.is_subreaper = argument != 0,
        PR_GET_CHILD_SUBREAPER => {
            let is = process.is_subreaper.into();
            return current.memory.lock().write_u32(argument, is).map(|()| 0);
        }
        _ => return Err(EINVAL),
    }
    Ok(0)
}

fn set_name(current: &Current, cell: &mut Cell, address: u64) -> Result<u64> {
    let mut name = [0; NAME_BYTES];
    let given = match current.memory.lock().read_string(address, NAME_BYTES - 1) {
        // Longer than there is room for: cut.
        Err(ENAMETOOLONG) => current.memory.lock().read_bytes(address, NAME_BYTES - 1)?,
        other => other?,
    };
    name[..given.len()].copy_from_slice(&given);
    cell.thread(current.tid)?.name = name;
    Ok(0)
}

fn drop_bounding(current: &mut Current, cell: &mut Cell, capability: u64) -> Result<u64> {
    if capability > CAP_LAST_CAP.into() {
        return Err(EINVAL);
    }
    if !current.credentials.can(CAP_SETPCAP) {
        return Err(EPERM);
    }
    set_credentials(current, cell, |it| it.bounding &= !(1 << capability))
}

fn ambient(current: &mut Current, cell: &mut Cell, operation: u32, capability: u64) -> Result<u64> {
    let now = current.credentials.ambient;
    if operation == PR_CAP_AMBIENT_CLEAR_ALL {
        return set_credentials(current, cell, |it| it.ambient = 0);
    }
    if capability > CAP_LAST_CAP.into() {
        return Err(EINVAL);
    }
    let bit = 1 << capability;
    match operation {
        PR_CAP_AMBIENT_IS_SET => Ok(u64::from(now & bit != 0)),
        PR_CAP_AMBIENT_LOWER => set_credentials(current, cell, |it| it.ambient &= !bit),
        PR_CAP_AMBIENT_RAISE if current.credentials.permitted & current.credentials.inheritable & bit == 0 => Err(EPERM),
        PR_CAP_AMBIENT_RAISE => set_credentials(current, cell, |it| it.ambient |= bit),
        _ => Err(EINVAL),
    }
}

fn set_credentials(current: &mut Current, cell: &mut Cell, how: impl FnOnce(&mut Credentials)) -> Result<u64> {
    change_credentials(current, cell, |it| {
        how(it);
        Ok(0)
    })
}

/// `operation, flags, arguments`. A program that only wants to know loads a filter from nowhere and expects `EFAULT`; it learns here that
/// there are none.
pub fn seccomp(_: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    EINVAL.into()
}
