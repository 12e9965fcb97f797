// SPDX-License-Identifier: PMPL-1.0-or-later
//! Pipes and FIFOs (pipe(7), fifo(7)).
//!
//! A pipe is an inode; its ends are files. What `/proc/self/fd/N` opens is another end of the same pipe.

use crate::errno::{EAGAIN, EBUSY, EINVAL, ENXIO, EPERM, EPIPE, Result};
use crate::signal::request::To;
use crate::vfs::{Caller, Change, Events, File, Inode, Owner, PAGE_BYTES, Side, Sink, Source, Stat, Time};
use crate::wait::Queue;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_raw_sys::general as raw;
use spin::Mutex;

/// PIPE_BUF: as much as this is written at once or not at all.
pub const ATOMIC_BYTES: usize = 4096;
const DEFAULT_BYTES: usize = 16 * PAGE_BYTES as usize;
/// fs.pipe-max-size of Linux.
const MAX_BYTES: usize = 1 << 20;

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    readers: u32,
    writers: u32,
    /// How often either end was ever opened: who waits in open(2) waits for a change of these.
    reads_opened: u64,
    writes_opened: u64,
}

pub struct Pipe {
    state: Mutex<State>,
    readable: Queue,
    writable: Queue,
    number: u64,
    owner: Mutex<Owner>,
    made: Time,
}

impl Pipe {
    /// Of mode 0600, as fstat(2) shows it.
    pub fn new(caller: &Caller<'_>) -> Arc<Pipe> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let owner = Owner { mode: raw::S_IFIFO | 0o600, uid: caller.credentials.fsuid, gid: caller.credentials.fsgid };
        Arc::new(Pipe {
            state: Mutex::new(State { capacity: DEFAULT_BYTES, ..State::default() }),
            readable: Queue::new(),
            writable: Queue::new(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            owner: Mutex::new(owner),
            made: caller.now(),
        })
    }
    /// For a FIFO, whose inode is another.
    pub fn of_fifo() -> Arc<Pipe> {
        let owner = Owner { mode: raw::S_IFIFO, uid: 0, gid: 0 };
        Arc::new(Pipe {
            state: Mutex::new(State { capacity: DEFAULT_BYTES, ..State::default() }),
            readable: Queue::new(),
            writable: Queue::new(),
            number: 0,
            owner: Mutex::new(owner),
            made: Time::default(),
        })
    }
    /// An end, or both. Errors: `ENXIO` for O_WRONLY with O_NONBLOCK where nobody reads.
    pub fn open_end(self: &Arc<Pipe>, flags: u32, is_fifo: bool) -> Result<Arc<dyn File>> {
        let access = flags & raw::O_ACCMODE;
        let (reads, writes) = (access != raw::O_WRONLY, access != raw::O_RDONLY);
        let mut state = self.state.lock();
        if is_fifo && access == raw::O_WRONLY && flags & raw::O_NONBLOCK != 0 && state.readers == 0 {
            return Err(ENXIO);
        }
        let waits = is_fifo && flags & raw::O_NONBLOCK == 0;
        let waits_for = match access {
            raw::O_RDONLY if waits && state.writers == 0 => Some(state.writes_opened),
            raw::O_WRONLY if waits && state.readers == 0 => Some(state.reads_opened),
            _ => None,
        };
        state.readers += u32::from(reads);
        state.writers += u32::from(writes);
        state.reads_opened += u64::from(reads);
        state.writes_opened += u64::from(writes);
        drop(state);
        self.readable.wake_all();
        self.writable.wake_all();
        Ok(Arc::new(End { pipe: self.clone(), reads, writes, waits_for }))
    }
    pub fn room(&self) -> usize {
        let state = self.state.lock();
        state.capacity.saturating_sub(state.bytes.len())
    }
    pub fn has_reader(&self) -> bool {
        self.state.lock().readers > 0
    }
    /// Nothing is in it and nobody writes.
    pub fn has_ended(&self) -> bool {
        let state = self.state.lock();
        state.bytes.is_empty() && state.writers == 0
    }
    /// F_GETPIPE_SZ.
    pub fn capacity_bytes(&self) -> u64 {
        self.state.lock().capacity as u64
    }
    /// F_SETPIPE_SZ. Errors: `EBUSY` when more is in it, `EPERM`, `EINVAL`.
    pub fn set_capacity(&self, bytes: u64, is_privileged: bool) -> Result<u64> {
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= 1 << 31).ok_or(EINVAL)?;
        let rounded = bytes.max(PAGE_BYTES as usize).next_power_of_two();
        let mut state = self.state.lock();
        match rounded {
            _ if rounded > MAX_BYTES && !is_privileged => Err(EPERM),
            _ if rounded < state.bytes.len() => Err(EBUSY),
            _ => {
                state.capacity = rounded;
                self.writable.wake_all();
                Ok(rounded as u64)
            }
        }
    }
}

impl Inode for Pipe {
    fn stat(&self) -> Result<Stat> {
        let owner = self.owner.lock();
        Ok(Stat {
            // As Linux's pipefs: one file system that is never seen.
            device: PIPE_DEVICE,
            inode: self.number,
            mode: owner.mode,
            links: 1,
            uid: owner.uid,
            gid: owner.gid,
            block_bytes: PAGE_BYTES as u32,
            accessed: self.made,
            modified: self.made,
            changed: self.made,
            ..Stat::default()
        })
    }
    fn set(&self, change: &Change) -> Result<()> {
        let mut owner = self.owner.lock();
        owner.mode = change.mode.map_or(owner.mode, |mode| raw::S_IFIFO | mode);
        owner.uid = change.uid.unwrap_or(owner.uid);
        owner.gid = change.gid.unwrap_or(owner.gid);
        Ok(())
    }
    fn open(self: Arc<Self>, flags: u32, _: &Caller<'_>) -> Result<Arc<dyn File>> {
        self.open_end(flags, true)
    }
}

/// `st_dev` of pipes, far from those of mounts.
const PIPE_DEVICE: u64 = 0xd;

pub struct End {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// The count of the other side's openings when this one was opened and had to wait.
    waits_for: Option<u64>,
}

impl End {
    pub fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }
    /// The two ends of a new pipe.
    pub fn pair(pipe: &Arc<Pipe>) -> Result<(Arc<dyn File>, Arc<dyn File>)> {
        Ok((pipe.open_end(raw::O_RDONLY, false)?, pipe.open_end(raw::O_WRONLY, false)?))
    }
    /// Copies without taking (tee(2)).
    pub fn peek(&self, limit: usize) -> Vec<u8> {
        self.pipe.state.lock().bytes.iter().take(limit).copied().collect()
    }
}

impl File for End {
    fn read(&self, _: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        let mut state = self.pipe.state.lock();
        if into.room() == 0 {
            return Ok(0);
        }
        if state.bytes.is_empty() {
            return if state.writers == 0 { Ok(0) } else { Err(EAGAIN) };
        }
        let (front, back) = state.bytes.as_slices();
        let mut taken = into.put(front)?;
        if taken == front.len() && !back.is_empty() {
            taken += into.put(back)?;
        }
        state.bytes.drain(..taken);
        drop(state);
        self.pipe.writable.wake_all();
        Ok(taken)
    }
    fn write(&self, caller: &Caller<'_>, _: u64, from: &mut dyn Source) -> Result<usize> {
        let mut state = self.pipe.state.lock();
        if state.readers == 0 {
            caller.signals.raise(To::Caller, raw::SIGPIPE, 0);
            return Err(EPIPE);
        }
        let room = state.capacity.saturating_sub(state.bytes.len());
        let whole = from.left();
        if whole == 0 {
            return Ok(0);
        }
        if room == 0 || whole <= ATOMIC_BYTES && room < whole {
            return Err(EAGAIN);
        }
        let mut chunk = [0; 2048];
        let mut done = 0;
        while done < whole.min(room) {
            let part = (whole.min(room) - done).min(chunk.len());
            match from.take(&mut chunk[..part]) {
                Ok(n) => {
                    state.bytes.extend(&chunk[..n]);
                    done += n;
                    if n < part {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        drop(state);
        self.pipe.readable.wake_all();
        Ok(done)
    }
    fn writes_whole(&self) -> bool {
        true
    }
    fn poll(&self) -> Events {
        let state = self.pipe.state.lock();
        let mut events = Events(0);
        if self.reads {
            let has_ended = state.writers == 0 && state.writes_opened > 0;
            events = events | Events::IN.when(!state.bytes.is_empty()) | Events::HANGUP.when(has_ended);
        }
        if self.writes {
            let has_room = state.capacity.saturating_sub(state.bytes.len()) >= ATOMIC_BYTES;
            events = events | Events::OUT.when(has_room) | Events::ERROR.when(state.readers == 0);
        }
        events
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        Some(if side == Side::Input { &self.pipe.readable } else { &self.pipe.writable })
    }
    fn is_opening(&self) -> bool {
        let state = self.pipe.state.lock();
        self.waits_for == Some(if self.reads { state.writes_opened } else { state.reads_opened })
    }
    fn stat(&self) -> Result<Stat> {
        Inode::stat(&*self.pipe)
    }
    fn describe(&self) -> Vec<u8> {
        alloc::format!("pipe:[{}]", self.pipe.number).into_bytes()
    }
    fn unnamed_inode(&self) -> Option<Arc<dyn Inode>> {
        Some(self.pipe.clone())
    }
    fn readable_bytes(&self) -> Option<u64> {
        Some(self.pipe.state.lock().bytes.len() as u64)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.pipe.state.lock();
        state.readers -= u32::from(self.reads);
        state.writers -= u32::from(self.writes);
        if state.readers == 0 && state.writers == 0 {
            state.bytes.clear();
        }
        drop(state);
        self.pipe.readable.wake_all();
        self.pipe.writable.wake_all();
    }
}
