// SPDX-License-Identifier: PMPL-1.0-or-later
//! wait4(2), waitid(2): a parent learns what became of its children.

use super::current::Current;
use super::exit::child_info;
use super::process::{News, Process};
use crate::cell::Cell;
use crate::errno::{ECHILD, EINVAL, ESRCH, Result};
use crate::signal::info::{Info, More};
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::{Interrupted, Outcome};
use linux_raw_sys::general::*;

/// Length of `struct rusage`.
const RUSAGE_BYTES: usize = 144;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Any,
    Pid(u32),
    Group(u32),
}

/// What a child has to tell: status as wait4(2) has it, as a siginfo.
type Told = (u32, i32, Info);

/// `pid, status, options, usage`.
pub fn wait4(current: &mut Current, cell: &mut Cell, [pid, status, options, usage, ..]: [u64; 6]) -> Outcome {
    let options = options as u32;
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL) != 0 {
        return EINVAL.into();
    }
    let which = match pid as i32 {
        -1 => Which::Any,
        0 => Which::Group(current.process.group()),
        i32::MIN => return ESRCH.into(),
        pid if pid < 0 => Which::Group(pid.unsigned_abs()),
        pid => Which::Pid(pid as u32),
    };
    match look(current, cell, which, options | WEXITED) {
        Err(error) => error.into(),
        Ok(Some((pid, value, _))) => {
            let mut memory = current.memory.lock();
            let told = (|| {
                if status != 0 {
                    memory.write_u32(status, value as u32)?;
                }
                if usage != 0 { memory.write(usage, &[0; RUSAGE_BYTES]) } else { Ok(()) }
            })();
            told.map(|()| pid.into()).into()
        }
        Ok(None) if options & WNOHANG != 0 => Outcome::Done(Ok(0)),
        Ok(None) => Outcome::Blocked(Interrupted::Restart),
    }
}

/// `kind, number, info, options, usage`.
pub fn waitid(current: &mut Current, cell: &mut Cell, [kind, number, info, options, usage, _]: [u64; 6]) -> Outcome {
    let options = options as u32;
    let known = WNOHANG | WEXITED | WSTOPPED | WCONTINUED | WNOWAIT | __WNOTHREAD | __WCLONE | __WALL;
    if options & !known != 0 || options & (WEXITED | WSTOPPED | WCONTINUED) == 0 {
        return EINVAL.into();
    }
    let which = match (kind as u32, number as u32) {
        (P_ALL, _) => Which::Any,
        (P_PID, pid) if pid as i32 > 0 => Which::Pid(pid),
        (P_PGID, 0) => Which::Group(current.process.group()),
        (P_PGID, group) => Which::Group(group),
        _ => return EINVAL.into(),
    };
    let found = match look(current, cell, which, options) {
        Err(error) => return error.into(),
        Ok(None) if options & WNOHANG == 0 => return Outcome::Blocked(Interrupted::Restart),
        Ok(found) => found,
    };
    let mut memory = current.memory.lock();
    let told = (|| {
        if info != 0 {
            let bytes = found.map_or([0; 128], |(_, _, info)| info.to_bytes());
            memory.write(info, &bytes)?;
        }
        if usage != 0 && found.is_some() { memory.write(usage, &[0; RUSAGE_BYTES]) } else { Ok(()) }
    })();
    told.map(|()| 0).into()
}

/// Errors: `ECHILD` when none could ever be meant. Otherwise the caller stands on the queue when there is nothing to tell.
fn look(current: &Current, cell: &mut Cell, which: Which, options: u32) -> Result<Option<Told>> {
    let me = cell.process(current.process.pid)?;
    me.waiters.add(&current.waker);
    let children = me.children.clone();
    let mut any = false;
    let mut found = None;
    for pid in children {
        let Some(child) = cell.processes.get_mut(&pid) else { continue };
        let meant = match which {
            Which::Any => true,
            Which::Pid(wanted) => wanted == pid,
            Which::Group(group) => child.known.group() == group,
        };
        let is_clone = child.exit_signal != SIGCHLD;
        let kind = options & __WALL != 0 || is_clone == (options & __WCLONE != 0);
        if !meant || !kind {
            continue;
        }
        any = true;
        if let Some((status, info, ends)) = told_by(pid, child, options) {
            if options & WNOWAIT == 0 && !ends {
                child.news = News::None;
            }
            found = Some((pid, status, info, ends));
            break;
        }
    }
    let Some((pid, status, info, ends)) = found else { return if any { Ok(None) } else { Err(ECHILD) } };
    if ends && options & WNOWAIT == 0 {
        cell.forget(pid);
    }
    Ok(Some((pid, status, info)))
}

/// Status, siginfo, and whether that is its end.
fn told_by(pid: u32, child: &Process, options: u32) -> Option<(i32, Info, bool)> {
    let info = |code: u32, status: i32| {
        let more = More::Child { pid, uid: 0, status, user_ticks: 0, system_ticks: 0 };
        Info { signal: SIGCHLD, code: code as i32, more }
    };
    if child.is_zombie() {
        let status = child.ending.unwrap_or(0);
        return (options & WEXITED != 0).then(|| (status, child_info(pid, status), true));
    }
    match (child.news, child.stopped) {
        (News::Stopped, Some(signal)) if options & WUNTRACED != 0 => {
            Some(((signal << 8 | 0x7f) as i32, info(CLD_STOPPED, signal as i32), false))
        }
        (News::Continued, None) if options & WCONTINUED != 0 => Some((0xffff, info(CLD_CONTINUED, SIGCONT as i32), false)),
        _ => None,
    }
}
