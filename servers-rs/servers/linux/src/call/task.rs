// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls about who a task is: ends, numbers, groups and sessions, the base of thread-local storage.

use crate::cell::Cell;
use crate::errno::*;
use crate::memory::space::END;
use crate::task::Current;
use crate::task::process::exited;
use crate::user::UserMemoryExt;
use crate::wait::Outcome;
use abi::guest::{State, resume};
use core::sync::atomic::Ordering;

/// arch_prctl(2), as asm/prctl.h has them: linux_raw_sys leaves them out.
const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

fn number(value: u32) -> Outcome {
    Outcome::Done(Ok(value.into()))
}

pub fn exit(current: &mut Current, cell: &mut Cell, [code, ..]: [u64; 6]) -> Outcome {
    if let Ok(process) = cell.process(current.process.pid)
        && process.threads.len() == 1
    {
        process.ending.get_or_insert(exited(code as u32));
    }
    current.leave(cell);
    Outcome::NoAnswer
}

pub fn exit_group(current: &mut Current, cell: &mut Cell, [code, ..]: [u64; 6]) -> Outcome {
    cell.end_process(current.process.pid, exited(code as u32));
    current.leave(cell);
    Outcome::NoAnswer
}

pub fn getpid(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.process.pid)
}
pub fn gettid(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.tid)
}
pub fn getppid(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.process.parent())
}
pub fn getuid(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.credentials.uid)
}
pub fn geteuid(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.credentials.euid)
}
pub fn getgid(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.credentials.gid)
}
pub fn getegid(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.credentials.egid)
}

pub fn getpgrp(current: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    number(current.process.group())
}

/// `pid`; 0 is the caller.
pub fn getpgid(current: &mut Current, cell: &mut Cell, [pid, ..]: [u64; 6]) -> Outcome {
    let pid = if pid as u32 == 0 { current.process.pid } else { pid as u32 };
    cell.process(pid).map(|process| process.known.group().into()).into()
}

pub fn getsid(current: &mut Current, cell: &mut Cell, [pid, ..]: [u64; 6]) -> Outcome {
    let pid = if pid as u32 == 0 { current.process.pid } else { pid as u32 };
    cell.process(pid).map(|process| process.known.session().into()).into()
}

/// `pid, group`; 0 is the caller, and the process's own number.
pub fn setpgid(current: &mut Current, cell: &mut Cell, [pid, group, ..]: [u64; 6]) -> Outcome {
    let mut change = || -> Result<u64> {
        let me = &current.process;
        let pid = if pid as u32 == 0 { me.pid } else { pid as u32 };
        let group = if group as u32 == 0 { pid } else { group as u32 };
        if group as i32 <= 0 {
            return Err(EINVAL);
        }
        let process = cell.process(pid)?;
        if pid != me.pid {
            if process.known.parent() != me.pid {
                return Err(ESRCH);
            }
            if process.has_executed {
                return Err(EACCES);
            }
        }
        if process.known.session() == pid || process.known.session() != me.session() {
            return Err(EPERM);
        }
        let known = process.known.clone();
        let exists = |p: &crate::task::process::Process| p.known.group() == group && p.known.session() == me.session();
        if group != pid && !cell.processes.values().any(exists) {
            return Err(EPERM);
        }
        known.group.store(group, Ordering::Relaxed);
        cell.note_groups();
        Ok(0)
    };
    change().into()
}

pub fn setsid(current: &mut Current, cell: &mut Cell, _: [u64; 6]) -> Outcome {
    let pid = current.process.pid;
    if cell.processes.values().any(|process| process.known.group() == pid) {
        return EPERM.into();
    }
    current.process.group.store(pid, Ordering::Relaxed);
    current.process.session.store(pid, Ordering::Relaxed);
    cell.note_groups();
    number(pid)
}

pub fn set_tid_address(current: &mut Current, cell: &mut Cell, [address, ..]: [u64; 6]) -> Outcome {
    cell.thread(current.tid).map(|thread| thread.clear_tid = address).map(|()| current.tid.into()).into()
}

/// `head, length`.
pub fn set_robust_list(current: &mut Current, cell: &mut Cell, [head, length, ..]: [u64; 6]) -> Outcome {
    if length != crate::futex::robust::HEAD_BYTES {
        return EINVAL.into();
    }
    cell.thread(current.tid).map(|thread| thread.robust_list = head).map(|()| 0).into()
}

/// `tid, head, length`.
pub fn get_robust_list(current: &mut Current, cell: &mut Cell, [tid, head, length, ..]: [u64; 6]) -> Outcome {
    let tid = if tid as u32 == 0 { current.tid } else { tid as u32 };
    let mut tell = || -> Result<u64> {
        let list = cell.thread(tid)?.robust_list;
        let mut memory = current.memory.lock();
        memory.write_u64(length, crate::futex::robust::HEAD_BYTES)?;
        memory.write_u64(head, list).map(|()| 0)
    };
    tell().into()
}

/// `code, address`.
pub fn arch_prctl(current: &mut Current, _: &mut Cell, [code, address, ..]: [u64; 6]) -> Outcome {
    let state = current.worker.state();
    let set = |state: State| current.worker.set_state(&State { resume: resume::ALL, ..state });
    match code {
        ARCH_SET_FS | ARCH_SET_GS if address >= END => EPERM.into(),
        ARCH_SET_FS => {
            set(State { fs_base: address, ..state });
            number(0)
        }
        ARCH_SET_GS => {
            set(State { gs_base: address, ..state });
            number(0)
        }
        ARCH_GET_FS => current.memory.lock().write_u64(address, state.fs_base).map(|()| 0).into(),
        ARCH_GET_GS => current.memory.lock().write_u64(address, state.gs_base).map(|()| 0).into(),
        _ => EINVAL.into(),
    }
}
