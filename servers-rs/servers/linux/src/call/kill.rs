// SPDX-License-Identifier: PMPL-1.0-or-later
//! Sending signals: kill(2), tkill(2), tgkill(2), rt_sigqueueinfo(2), rt_tgsigqueueinfo(2).

use crate::cell::Cell;
use crate::errno::{EINVAL, EPERM, ESRCH, Result};
use crate::signal::info::{INFO_BYTES, Info, More};
use crate::task::Current;
use crate::task::exit::INIT;
use crate::user::UserMemory;
use crate::wait::Outcome;
use linux_raw_sys::general::{CAP_KILL, SI_TKILL, SI_USER, SIGCONT};

/// Errors: `EINVAL`.
fn signal_number(signal: u64) -> Result<u32> {
    if signal as u32 <= 64 { Ok(signal as u32) } else { Err(EINVAL) }
}

/// Whether the caller may send a signal to a process (kill(2)).
fn may(current: &Current, cell: &Cell, pid: u32, signal: u32) -> bool {
    let Some(process) = cell.processes.get(&pid) else { return false };
    let me = &current.credentials;
    let target = process.threads.first().and_then(|tid| cell.threads.get(tid)).map(|thread| thread.credentials.clone());
    me.can(CAP_KILL)
        || target.is_none_or(|it| [me.euid, me.uid].iter().any(|id| *id == it.uid || *id == it.suid))
        || signal == SIGCONT && process.known.session() == current.process.session()
}

/// `pid, signal`.
pub fn kill(current: &mut Current, cell: &mut Cell, [pid, signal, ..]: [u64; 6]) -> Outcome {
    let mut send = || -> Result<u64> {
        let signal = signal_number(signal)?;
        let more = More::Sender { pid: current.process.pid, uid: current.credentials.uid };
        let info = Info { signal, code: SI_USER as i32, more };
        match pid as i32 {
            pid if pid > 0 => one(current, cell, pid as u32, None, info)?,
            i32::MIN => return Err(ESRCH),
            -1 => {
                let me = current.process.pid;
                many(current, cell, info, |p| p.known.pid != INIT && p.known.pid != me)?;
            }
            0 => {
                let group = current.process.group();
                many(current, cell, info, |p| p.known.group() == group)?;
            }
            group => many(current, cell, info, |p| p.known.group() == group.unsigned_abs())?,
        }
        Ok(0)
    };
    send().into()
}

fn one(current: &Current, cell: &mut Cell, pid: u32, tid: Option<u32>, info: Info) -> Result<()> {
    // A thread's number names its process.
    let pid = if cell.processes.contains_key(&pid) { pid } else { cell.thread(pid)?.pid };
    if !may(current, cell, pid, info.signal) {
        return Err(EPERM);
    }
    if info.signal == 0 { Ok(()) } else { cell.send(pid, tid, info) }
}

fn many(current: &Current, cell: &mut Cell, info: Info, is_meant: impl Fn(&crate::task::process::Process) -> bool) -> Result<()> {
    if info.signal == 0 {
        return if cell.processes.values().any(is_meant) { Ok(()) } else { Err(ESRCH) };
    }
    cell.send_where(info, is_meant, |cell, pid| may(current, cell, pid, info.signal))
}

fn to_thread(current: &Current, cell: &mut Cell, group: Option<u32>, tid: u64, info: Info) -> Result<u64> {
    if tid as i32 <= 0 || group.is_some_and(|pid| pid as i32 <= 0) {
        return Err(EINVAL);
    }
    let pid = cell.thread(tid as u32)?.pid;
    if group.is_some_and(|group| group != pid) {
        return Err(ESRCH);
    }
    one(current, cell, pid, Some(tid as u32), info).map(|()| 0)
}

/// `tid, signal`.
pub fn tkill(current: &mut Current, cell: &mut Cell, [tid, signal, ..]: [u64; 6]) -> Outcome {
    let more = More::Sender { pid: current.process.pid, uid: current.credentials.uid };
    let info = signal_number(signal).map(|signal| Info { signal, code: SI_TKILL, more });
    info.and_then(|info| to_thread(current, cell, None, tid, info)).into()
}

/// `pid, tid, signal`.
pub fn tgkill(current: &mut Current, cell: &mut Cell, [pid, tid, signal, ..]: [u64; 6]) -> Outcome {
    let more = More::Sender { pid: current.process.pid, uid: current.credentials.uid };
    let info = signal_number(signal).map(|signal| Info { signal, code: SI_TKILL, more });
    info.and_then(|info| to_thread(current, cell, Some(pid as u32), tid, info)).into()
}

fn read_info(current: &Current, signal: u64, address: u64, to_self: bool) -> Result<Info> {
    let signal = signal_number(signal)?;
    let mut bytes = [0; INFO_BYTES];
    current.memory.lock().read(address, &mut bytes)?;
    let info = Info::from_bytes(signal, &bytes).map_err(|_| EPERM)?;
    if info.claims_kill() && !to_self { Err(EPERM) } else { Ok(info) }
}

/// `pid, signal, info`.
pub fn rt_sigqueueinfo(current: &mut Current, cell: &mut Cell, [pid, signal, info, ..]: [u64; 6]) -> Outcome {
    let mut send = || -> Result<u64> {
        let info = read_info(current, signal, info, pid as u32 == current.process.pid)?;
        one(current, cell, pid as u32, None, info).map(|()| 0)
    };
    send().into()
}

/// `pid, tid, signal, info`.
pub fn rt_tgsigqueueinfo(current: &mut Current, cell: &mut Cell, [pid, tid, signal, info, ..]: [u64; 6]) -> Outcome {
    let mut send = || -> Result<u64> {
        let info = read_info(current, signal, info, pid as u32 == current.process.pid)?;
        to_thread(current, cell, Some(pid as u32), tid, info)
    };
    send().into()
}
