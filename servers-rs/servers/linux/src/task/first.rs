// SPDX-License-Identifier: PMPL-1.0-or-later
//! The first process of a cell.

use super::credentials::Credentials;
use super::current::{Current, Start};
use super::exit::INIT;
use super::image::Arguments;
use super::process::{Known, News, Process, Thread};
use crate::cell::Cell;
use crate::errno::Result;
use crate::signal::state::{ProcessSignals, ThreadSignals};
use crate::vfs::{FileTable, FsContext};
use crate::wait::Progress;
use abi::guest::{State, resume};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32};
use linux_raw_sys::general::AT_FDCWD;
use spin::Mutex;

/// Starts a program as process 1, in a session of its own. Errors: those of execve(2), `EAGAIN`.
pub fn begin(cell: &mut Cell, fs: FsContext, files: FileTable, given: Arguments) -> Result<()> {
    let worker = cell.platform.worker()?;
    let known = Arc::new(Known {
        pid: INIT,
        parent: AtomicU32::new(0),
        group: AtomicU32::new(INIT),
        session: AtomicU32::new(INIT),
        limits: Mutex::default(),
    });
    let attention = Arc::new(AtomicBool::new(false));
    let (files, fs) = (Arc::new(Mutex::new(files)), Arc::new(Mutex::new(fs)));
    let credentials = Arc::new(Credentials::root());
    let memory = Arc::new(Mutex::new(crate::memory::space::Space::new(&cell.pages)?));
    let mut current = Current {
        tid: INIT,
        process: known.clone(),
        worker: worker.clone(),
        waker: worker.clone(),
        attention: attention.clone(),
        memory,
        files: files.clone(),
        fs: fs.clone(),
        credentials: credentials.clone(),
        clocks: cell.clocks.clone(),
        progress: Progress::default(),
        pending: None,
        uninterruptible: false,
        deaf: 0,
        is_over: false,
        waiting: None,
    };
    let (ready, executable, given) = super::exec::start(&current, cell, AT_FDCWD, 0, given)?;
    let name = given.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = core::array::from_fn(|n| if n < 15 { name.get(n).copied().unwrap_or(0) } else { 0 });
    current.memory = Arc::new(Mutex::new(ready.space));
    let thread = Thread {
        pid: INIT,
        worker: worker.clone(),
        signals: ThreadSignals::default(),
        attention,
        clear_tid: 0,
        robust_list: 0,
        name,
        files,
        fs,
        credentials,
        is_leaving: false,
    };
    let process = Process {
        known,
        threads: alloc::vec![INIT],
        children: Vec::new(),
        memory: Some(current.memory.clone()),
        signals: ProcessSignals { protected: true, ..ProcessSignals::default() },
        exit_signal: 0,
        ending: None,
        stopped: None,
        news: News::None,
        waiters: Default::default(),
        vfork: None,
        is_subreaper: true,
        is_dumpable: true,
        has_executed: true,
        executing: None,
        executable: Some(executable),
        started_ns: cell.clocks.now_ns(crate::call::Clock::Monotonic),
        timers: Default::default(),
        settings: Default::default(),
        children_used_ns: 0,
    };
    cell.threads.insert(INIT, thread);
    cell.processes.insert(INIT, process);
    cell.reserve_id(INIT);
    cell.note_groups();
    let state = State { rip: ready.entry, rsp: ready.stack, rflags: 0x202, resume: resume::ALL, ..State::default() };
    worker.begin(Box::new(Start { current, state, vector: None }));
    Ok(())
}
