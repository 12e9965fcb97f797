// SPDX-License-Identifier: PMPL-1.0-or-later
//! fork(2), vfork(2), clone(2), clone3(2): a new thread or a new process, which really shares what it is said to share.

use super::current::{Current, Start};
use super::process::{Known, News, Process, Thread, Vfork};
use crate::cell::Cell;
use crate::errno::{EAGAIN, EINVAL, ENOMEM, EPERM, Result};
use crate::platform::PAGE_BYTES;
use crate::signal::stack::AltStack;
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::{Interrupted, Outcome, Progress};
use abi::guest::{State, resume};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use linux_raw_sys::general::*;
use spin::Mutex;

/// Least and most of `struct clone_args` that there is.
const LEAST_ARGUMENT_BYTES: u64 = 64;
const ARGUMENT_BYTES: usize = 88;
/// Namespaces, which a cell does not divide itself into.
const NAMESPACES: u64 =
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) as u64;

#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    flags: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
    /// Where the new stack ends; 0 for the same.
    stack: u64,
    exit_signal: u32,
}

impl Wanted {
    fn has(&self, flag: u32) -> bool {
        self.flags & u64::from(flag) != 0
    }
    /// Errors: `EINVAL`, `EPERM`.
    fn check(&self) -> Result<()> {
        let needs = |flag, other| self.has(flag) && !self.has(other);
        let contradicts = needs(CLONE_THREAD, CLONE_SIGHAND)
            || needs(CLONE_SIGHAND, CLONE_VM)
            || self.has(CLONE_FS) && self.has(CLONE_NEWNS)
            || self.exit_signal > 64
            || self.has(CLONE_PIDFD);
        match () {
            () if contradicts => Err(EINVAL),
            () if self.flags & NAMESPACES != 0 => Err(EPERM),
            () => Ok(()),
        }
    }
}

pub fn fork(current: &mut Current, cell: &mut Cell, _: [u64; 6]) -> Outcome {
    make(current, cell, Wanted { exit_signal: SIGCHLD, ..Wanted::default() })
}

pub fn vfork(current: &mut Current, cell: &mut Cell, _: [u64; 6]) -> Outcome {
    make(current, cell, Wanted { flags: (CLONE_VM | CLONE_VFORK).into(), exit_signal: SIGCHLD, ..Wanted::default() })
}

/// `flags, stack, parent_tid, child_tid, tls`.
pub fn clone(current: &mut Current, cell: &mut Cell, [flags, stack, parent_tid, child_tid, tls, _]: [u64; 6]) -> Outcome {
    let exit_signal = (flags as u32) & CSIGNAL;
    let flags = flags & !u64::from(CSIGNAL) & 0xffff_ffff;
    make(current, cell, Wanted { flags, parent_tid, child_tid, tls, stack, exit_signal })
}

/// `struct clone_args, its length`.
pub fn clone3(current: &mut Current, cell: &mut Cell, [arguments, length, ..]: [u64; 6]) -> Outcome {
    let read = || -> Result<Wanted> {
        if !(LEAST_ARGUMENT_BYTES..=PAGE_BYTES).contains(&length) {
            return Err(EINVAL);
        }
        let mut bytes = [0; ARGUMENT_BYTES];
        let known = (length as usize).min(ARGUMENT_BYTES);
        current.memory.lock().read(arguments, &mut bytes[..known])?;
        let word = |n: usize| u64::from_le_bytes(core::array::from_fn(|i| bytes[n * 8 + i]));
        let (stack, stack_bytes) = (word(5), word(6));
        let unknown = word(0) & !0x3_ffff_ffff != 0 || word(0) & u64::from(CSIGNAL | CLONE_DETACHED) != 0;
        if unknown || (stack == 0) != (stack_bytes == 0) || word(8) != 0 || word(0) >> 32 != 0 {
            return Err(EINVAL);
        }
        let exit_signal = u32::try_from(word(4)).map_err(|_| EINVAL)?;
        let stack = stack.wrapping_add(stack_bytes);
        Ok(Wanted { flags: word(0), child_tid: word(2), parent_tid: word(3), exit_signal, stack, tls: word(7) })
    };
    match read() {
        Ok(wanted) => make(current, cell, wanted),
        Err(error) => error.into(),
    }
}

fn make(current: &mut Current, cell: &mut Cell, wanted: Wanted) -> Outcome {
    if let Some(vfork) = current.pending.clone().and_then(|pending| pending.downcast::<(Arc<Vfork>, u32)>().ok()) {
        return if vfork.0.done.load(Ordering::Acquire) { Outcome::Done(Ok(vfork.1.into())) } else { blocked(current) };
    }
    let made = wanted.check().and_then(|()| begin(current, cell, wanted));
    match made {
        Ok((tid, Some(vfork))) => {
            current.pending = Some(Arc::new((vfork, tid)));
            blocked(current)
        }
        Ok((tid, None)) => Outcome::Done(Ok(tid.into())),
        Err(error) => error.into(),
    }
}

fn blocked(current: &mut Current) -> Outcome {
    current.uninterruptible = true;
    Outcome::Blocked(Interrupted::Restart)
}

fn begin(current: &mut Current, cell: &mut Cell, wanted: Wanted) -> Result<(u32, Option<Arc<Vfork>>)> {
    let limit = current.process.limits.lock().soft(RLIMIT_NPROC);
    if cell.threads.len() as u64 >= limit.min(32_000) {
        return Err(EAGAIN);
    }
    let worker = cell.platform.worker()?;
    let tid = cell.new_id();
    let memory = if wanted.has(CLONE_VM) {
        current.memory.clone()
    } else {
        let copy = current.memory.lock().fork().map_err(|_| ENOMEM)?;
        Arc::new(Mutex::new(copy))
    };
    let files =
        if wanted.has(CLONE_FILES) { current.files.clone() } else { Arc::new(Mutex::new(current.files.lock().fork_copy())) };
    let fs = if wanted.has(CLONE_FS) { current.fs.clone() } else { Arc::new(Mutex::new(current.fs.lock().clone())) };
    let vfork = wanted.has(CLONE_VFORK).then(|| Arc::new(Vfork { done: AtomicBool::new(false), parent: current.worker.clone() }));
    let known = if wanted.has(CLONE_THREAD) {
        cell.process(current.process.pid)?.threads.push(tid);
        current.process.clone()
    } else {
        new_process(current, cell, tid, &wanted, &memory, vfork.clone())?
    };
    if wanted.has(CLONE_PARENT_SETTID) {
        current.memory.lock().write_u32(wanted.parent_tid, tid)?;
    }
    let attention = Arc::new(AtomicBool::new(false));
    let own = cell.thread(current.tid)?;
    let mut signals = own.signals.for_child();
    if wanted.has(CLONE_VM) && !wanted.has(CLONE_VFORK) {
        signals.stack = AltStack::default();
    }
    let thread = Thread {
        pid: known.pid,
        worker: worker.clone(),
        signals,
        attention: attention.clone(),
        clear_tid: if wanted.has(CLONE_CHILD_CLEARTID) { wanted.child_tid } else { 0 },
        robust_list: 0,
        name: own.name,
        files: files.clone(),
        fs: fs.clone(),
        credentials: current.credentials.clone(),
        is_leaving: false,
    };
    cell.threads.insert(tid, thread);
    if wanted.has(CLONE_CHILD_SETTID) {
        // In the child's memory; a bad address is the child's own concern, as on Linux.
        let _ = memory.lock().write_u32(wanted.child_tid, tid);
    }
    let parent = current.worker.state();
    let state = State {
        rax: 0,
        rsp: if wanted.stack != 0 { wanted.stack } else { parent.rsp },
        fs_base: if wanted.has(CLONE_SETTLS) { wanted.tls } else { parent.fs_base },
        resume: resume::ALL,
        ..parent
    };
    let child = Current {
        tid,
        process: known,
        worker: worker.clone(),
        waker: worker.clone(),
        attention,
        memory,
        files,
        fs,
        credentials: current.credentials.clone(),
        clocks: current.clocks.clone(),
        progress: Progress::default(),
        pending: None,
        uninterruptible: false,
        deaf: current.deaf,
        is_over: false,
        waiting: None,
    };
    worker.begin(Box::new(Start { current: child, state, vector: Some(current.worker.save_vector()) }));
    Ok((tid, vfork))
}

fn new_process(
    current: &Current,
    cell: &mut Cell,
    pid: u32,
    wanted: &Wanted,
    memory: &Arc<Mutex<crate::memory::space::Space>>,
    vfork: Option<Arc<Vfork>>,
) -> Result<Arc<Known>> {
    let started_ns = cell.clocks.now_ns(crate::call::Clock::Monotonic);
    let own = cell.process(current.process.pid)?;
    let parent = if wanted.has(CLONE_PARENT) { own.known.parent() } else { current.process.pid };
    let mut signals = own.signals.for_child();
    if wanted.has(CLONE_SIGHAND) {
        signals.actions = own.signals.actions.clone();
    }
    let known = Arc::new(Known {
        pid,
        parent: AtomicU32::new(parent),
        group: AtomicU32::new(own.known.group()),
        session: AtomicU32::new(own.known.session()),
        limits: Mutex::new(own.known.limits.lock().clone()),
    });
    let process = Process {
        known: known.clone(),
        threads: alloc::vec![pid],
        children: alloc::vec::Vec::new(),
        memory: Some(memory.clone()),
        signals,
        exit_signal: wanted.exit_signal,
        ending: None,
        stopped: None,
        news: News::None,
        waiters: Default::default(),
        vfork,
        is_subreaper: false,
        is_dumpable: own.is_dumpable,
        has_executed: false,
        executing: None,
        executable: own.executable.clone(),
        started_ns,
        timers: Default::default(),
        settings: own.settings.for_child(),
        children_used_ns: 0,
    };
    cell.processes.insert(pid, process);
    if let Some(parent) = cell.processes.get_mut(&parent) {
        parent.children.push(pid);
    }
    Ok(known)
}
