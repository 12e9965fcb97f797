// SPDX-License-Identifier: PMPL-1.0-or-later
//! /proc, as far as real programs read it (proc(5)). `system.rs` is what it says of the cell, `process.rs` the folders of processes,
//! `format.rs` their texts.

mod format;
mod process;
mod system;
#[cfg(test)]
mod tests;

use super::text::{Text, TextFs};
use crate::errno::Result;
use crate::task::credentials::Credentials;
use crate::task::limits::Limits;
use crate::vfs::{FileTable, FsContext, OpenFile};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general::PROC_SUPER_MAGIC;
use spin::Mutex;

/// What /proc/PID/stat and status say, of a thread.
#[derive(Clone, Debug)]
pub struct Facts {
    pub pid: u32,
    pub tid: u32,
    pub parent: u32,
    pub group: u32,
    pub session: u32,
    /// Of the controlling terminal; 0 is none.
    pub terminal: u64,
    pub foreground: u32,
    pub name: Vec<u8>,
    /// `R`, `S`, `D`, `T`, `t`, `Z` or `X`.
    pub state: u8,
    pub credentials: Credentials,
    pub threads: u32,
    pub nice: i32,
    pub user_ns: u64,
    pub system_ns: u64,
    pub children_user_ns: u64,
    pub children_system_ns: u64,
    /// Since the cell began.
    pub started_ns: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    pub shared_bytes: u64,
    pub peak_bytes: u64,
    pub data_bytes: u64,
    pub stack_bytes: u64,
    pub code_bytes: u64,
    pub stack_start: u64,
    pub exit_signal: u32,
    pub exit_status: u32,
    pub cpu: u32,
    /// Bit n-1 is signal n.
    pub pending: u64,
    pub process_pending: u64,
    pub blocked: u64,
    pub ignored: u64,
    pub caught: u64,
    pub no_new_privileges: bool,
    pub seccomp: u32,
    pub oom_score_adjust: i32,
}

/// What is known of the cell.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    pub up_ns: u64,
    pub idle_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    /// Seconds since 1970.
    pub booted_s: u64,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub free_bytes: u64,
    /// Of files, given back when memory is short.
    pub cached_bytes: u64,
    pub shared_bytes: u64,
    pub forks: u64,
    pub switches: u64,
    pub running: u32,
    pub threads: u32,
    pub last_pid: u32,
    pub host: Vec<u8>,
    pub domain: Vec<u8>,
    pub release: Vec<u8>,
    pub version: Vec<u8>,
    /// A line for each processor, as /proc/cpuinfo has them.
    pub processors: Vec<u8>,
}

/// Who knows the processes: `task/`. Asked while a call is served, so what it needs must not be locked by that call.
pub trait ProcSource: Send + Sync {
    /// In order.
    fn processes(&self) -> Vec<u32>;
    /// In order.
    fn threads(&self, pid: u32) -> Vec<u32>;
    fn facts(&self, tid: u32) -> Option<Facts>;
    fn command_line(&self, pid: u32) -> Option<Vec<u8>>;
    fn environment(&self, pid: u32) -> Option<Vec<u8>>;
    /// As /proc/PID/maps has it.
    fn maps(&self, pid: u32) -> Option<Vec<u8>>;
    fn executable(&self, pid: u32) -> Option<Arc<OpenFile>>;
    fn files(&self, tid: u32) -> Option<Arc<Mutex<FileTable>>>;
    fn fs(&self, tid: u32) -> Option<Arc<Mutex<FsContext>>>;
    fn limits(&self, pid: u32) -> Option<Limits>;
    fn set_name(&self, tid: u32, name: &[u8]) -> Result<()>;
    fn set_oom_score_adjust(&self, pid: u32, value: i32) -> Result<()>;
    fn whole(&self) -> Whole;
    fn set_host(&self, name: &[u8]) -> Result<()>;
}

/// The file system, for one cell.
pub fn new(source: Arc<dyn ProcSource>) -> Arc<TextFs> {
    let mut entries = system::entries(&source);
    entries.push(("mounts", Text::Link(b"self/mounts".to_vec())));
    TextFs::new("proc", PROC_SUPER_MAGIC, entries, Some(Box::new(process::Processes { source })))
}
