// SPDX-License-Identifier: PMPL-1.0-or-later
//! Terminals: the console and pseudoterminals (tty(4), termios(3), pty(7)).
//!
//! `input.rs` and `output.rs` are the line discipline, `control.rs` ioctl and job control, `pty.rs` the other end of a
//! pseudoterminal, `registry.rs` all terminals of the cell and /dev/pts.

mod control;
mod input;
mod output;
mod pty;
mod registry;
mod termios;
#[cfg(test)]
mod tests;

pub use pty::Master;
pub use registry::{PtsFs, Terminals};

use crate::errno::{EAGAIN, EIO, ERESTART, Result};
use crate::signal::request::To;
use crate::user::UserMemory;
use crate::vfs::{Caller, Events, File, Side, Sink, Source, Stat};
use crate::wait::Queue;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;
use spin::Mutex;
use termios::Termios;

/// What a terminal asks of the processes. Called with the terminal's lock let go.
pub trait Jobs: Send + Sync {
    fn send(&self, to: To, signal: u32, code: i32);
    /// Session of a process group, if there is such a group.
    fn session_of(&self, group: u32) -> Option<u32>;
}

/// The wire behind the console.
pub trait ConsolePort: Send + Sync {
    fn write(&self, bytes: &[u8]);
}

/// Where output goes.
enum Wire {
    Port(Arc<dyn ConsolePort>),
    /// To the master, through the state's `output`.
    Master,
}

/// As N_TTY_BUF_SIZE of Linux.
const INPUT_BYTES: usize = 4096;
const OUTPUT_BYTES: usize = 16 * 1024;

struct State {
    termios: Termios,
    /// Rows, columns, and both in pixels.
    size: [u16; 4],
    /// Lines that are whole; an empty one is an end of file. Not used in raw mode.
    lines: VecDeque<VecDeque<u8>>,
    /// The line that is typed, or all input of raw mode.
    typed: VecDeque<u8>,
    /// The next byte is taken as it is (VLNEXT).
    is_literal: bool,
    column: usize,
    output: VecDeque<u8>,
    is_stopped: bool,
    session: u32,
    foreground: u32,
    /// Ends that are open on this side.
    opened: u32,
    was_opened: bool,
    master_is_gone: bool,
    is_locked: bool,
    packet_mode: bool,
    /// What the master is told first in packet mode.
    packet_status: u8,
    is_exclusive: bool,
}

pub struct Terminal {
    number: u64,
    state: Mutex<State>,
    readable: Queue,
    writable: Queue,
    master_readable: Queue,
    master_writable: Queue,
    wire: Wire,
    jobs: Arc<dyn Jobs>,
}

impl Terminal {
    fn new(number: u64, wire: Wire, jobs: Arc<dyn Jobs>) -> Arc<Terminal> {
        let is_pty = matches!(wire, Wire::Master);
        let state = State {
            termios: Termios::default(),
            size: if is_pty { [0; 4] } else { [24, 80, 0, 0] },
            lines: VecDeque::new(),
            typed: VecDeque::new(),
            is_literal: false,
            column: 0,
            output: VecDeque::new(),
            is_stopped: false,
            session: 0,
            foreground: 0,
            opened: 0,
            was_opened: false,
            master_is_gone: false,
            is_locked: is_pty,
            packet_mode: false,
            packet_status: 0,
            is_exclusive: false,
        };
        Arc::new(Terminal {
            number,
            state: Mutex::new(state),
            readable: Queue::new(),
            writable: Queue::new(),
            master_readable: Queue::new(),
            master_writable: Queue::new(),
            wire,
            jobs,
        })
    }
    fn wake_readers(&self) {
        self.readable.wake_all();
        self.master_writable.wake_all();
    }
    /// Bytes from the wire: what somebody typed.
    pub fn input(&self, bytes: &[u8]) {
        let mut signals = Vec::new();
        let mut state = self.state.lock();
        for byte in bytes {
            state.take_in(*byte, &mut signals);
        }
        let echo: Vec<u8> = if let Wire::Port(_) = self.wire { state.output.drain(..).collect() } else { Vec::new() };
        let foreground = state.foreground;
        drop(state);
        if let Wire::Port(port) = &self.wire
            && !echo.is_empty()
        {
            port.write(&echo);
        }
        self.wake_readers();
        self.master_readable.wake_all();
        // VSTART, and a signal that drops what waits to go out, let writers go on.
        self.writable.wake_all();
        if foreground != 0 {
            signals.iter().for_each(|signal| self.jobs.send(To::Group(foreground), *signal, raw::SI_KERNEL as i32));
        }
    }
    fn input_room(&self) -> usize {
        let state = self.state.lock();
        // A line that is not whole must always be able to become so.
        let used = state.typed.len() + state.lines.iter().map(VecDeque::len).sum::<usize>();
        INPUT_BYTES.saturating_sub(if state.termios.is_canonical() { used - state.typed.len().min(used) } else { used })
    }
    /// The wire is cut: the session is told, and nothing goes in or out any more.
    fn hang_up(&self) {
        let mut state = self.state.lock();
        state.master_is_gone = true;
        let (session, foreground) = (state.session, state.foreground);
        drop(state);
        self.wake_readers();
        self.writable.wake_all();
        self.leave_session(session, foreground);
    }
    fn leave_session(&self, session: u32, foreground: u32) {
        for signal in [raw::SIGHUP, raw::SIGCONT] {
            if foreground != 0 {
                self.jobs.send(To::Group(foreground), signal, raw::SI_KERNEL as i32);
            }
            if session != 0 && session != foreground {
                self.jobs.send(To::Process(session), signal, raw::SI_KERNEL as i32);
            }
        }
    }
    /// A session's leader is gone, or gave its terminal up.
    pub fn end_session(&self, session: u32) {
        let mut state = self.state.lock();
        if session == 0 || state.session != session {
            return;
        }
        let foreground = core::mem::take(&mut state.foreground);
        state.session = 0;
        drop(state);
        self.leave_session(0, foreground);
    }
    /// Whether a job in the background may go on with it; if not, it is told so (POSIX, "General Terminal Interface").
    fn check_job(&self, caller: &Caller<'_>, signal: u32, if_deaf: Result<()>) -> Result<()> {
        let state = self.state.lock();
        let is_mine = state.session != 0 && state.session == caller.ids.session;
        if !is_mine || state.foreground == caller.ids.group || state.foreground == 0 {
            return Ok(());
        }
        drop(state);
        if caller.signals.is_deaf_to(signal) {
            return if_deaf;
        }
        if caller.signals.orphaned {
            return Err(EIO);
        }
        caller.signals.raise(To::Group(caller.ids.group), signal, raw::SI_KERNEL as i32);
        Err(ERESTART)
    }
}

/// An open end of a terminal, as programs have it.
pub struct End(Arc<Terminal>);

impl End {
    pub(super) fn open(terminal: &Arc<Terminal>, flags: u32, caller: &Caller<'_>, has_terminal: bool) -> Result<Arc<dyn File>> {
        let mut state = terminal.state.lock();
        if state.is_locked || state.master_is_gone {
            return Err(EIO);
        }
        if state.is_exclusive && !caller.credentials.can(raw::CAP_SYS_ADMIN) {
            return Err(crate::errno::EBUSY);
        }
        state.opened += 1;
        state.was_opened = true;
        let is_leader = caller.ids.pid == caller.ids.session;
        if flags & raw::O_NOCTTY == 0 && is_leader && !has_terminal && state.session == 0 {
            state.session = caller.ids.session;
            state.foreground = caller.ids.group;
        }
        drop(state);
        terminal.master_writable.wake_all();
        Ok(Arc::new(End(terminal.clone())))
    }
    pub fn terminal(&self) -> &Arc<Terminal> {
        &self.0
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.opened -= 1;
        let is_last = state.opened == 0;
        drop(state);
        if is_last {
            self.0.master_readable.wake_all();
        }
    }
}

impl File for End {
    fn read(&self, caller: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        self.0.check_job(caller, raw::SIGTTIN, Err(EIO))?;
        let mut state = self.0.state.lock();
        if into.room() == 0 {
            return Ok(0);
        }
        let gone = state.master_is_gone;
        let (room, minimum) = (into.room(), state.termios.minimum());
        if state.termios.is_canonical() {
            let Some(line) = state.lines.front_mut() else { return if gone { Ok(0) } else { Err(EAGAIN) } };
            let taken = into.put(line.make_contiguous())?;
            line.drain(..taken);
            if line.is_empty() {
                state.lines.pop_front();
            }
            drop(state);
            self.0.master_writable.wake_all();
            return Ok(taken);
        }
        let enough = if state.termios.wait_ns().is_some() { 1.min(minimum) } else { minimum.min(room) };
        if state.typed.len() < enough || state.typed.is_empty() {
            let never_waits = gone || minimum == 0 && state.termios.wait_ns().is_none();
            return if never_waits { Ok(0) } else { Err(EAGAIN) };
        }
        let taken = into.put(state.typed.make_contiguous())?;
        state.typed.drain(..taken);
        drop(state);
        self.0.master_writable.wake_all();
        Ok(taken)
    }
    fn read_wait_ns(&self) -> Option<u64> {
        let state = self.0.state.lock();
        let is_timed = !state.termios.is_canonical() && state.termios.minimum() == 0;
        is_timed.then(|| state.termios.wait_ns()).flatten()
    }
    fn write(&self, caller: &Caller<'_>, _: u64, from: &mut dyn Source) -> Result<usize> {
        if self.0.state.lock().termios.stops_background() {
            self.0.check_job(caller, raw::SIGTTOU, Ok(()))?;
        }
        let mut state = self.0.state.lock();
        if state.master_is_gone {
            return Err(EIO);
        }
        let room = OUTPUT_BYTES.saturating_sub(state.output.len());
        // One byte may become several.
        let wanted = from.left().min(room / 8);
        if state.is_stopped || wanted == 0 && from.left() > 0 {
            return Err(EAGAIN);
        }
        let mut chunk = [0; 512];
        let part = wanted.min(chunk.len());
        let n = from.take(&mut chunk[..part])?;
        chunk[..n].iter().for_each(|byte| state.put_out(*byte));
        if let Wire::Port(port) = &self.0.wire {
            let bytes: Vec<u8> = state.output.drain(..).collect();
            drop(state);
            port.write(&bytes);
        } else {
            drop(state);
            self.0.master_readable.wake_all();
        }
        Ok(n)
    }
    fn writes_whole(&self) -> bool {
        true
    }
    fn poll(&self) -> Events {
        let state = self.0.state.lock();
        let is_ready = if state.termios.is_canonical() {
            !state.lines.is_empty()
        } else {
            state.typed.len() >= if state.termios.wait_ns().is_some() { 1 } else { state.termios.minimum().max(1) }
        };
        let has_room = !state.is_stopped && state.output.len() < OUTPUT_BYTES / 2;
        Events::IN.when(is_ready || state.master_is_gone) | Events::OUT.when(has_room) | Events::HANGUP.when(state.master_is_gone)
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        Some(if side == Side::Input { &self.0.readable } else { &self.0.writable })
    }
    fn ioctl(&self, caller: &Caller<'_>, memory: &mut dyn UserMemory, request: u32, argument: u64) -> Result<u64> {
        self.0.control(caller, memory, request, argument, control::Who::Slave)
    }
    fn stat(&self) -> Result<Stat> {
        Ok(Stat { mode: raw::S_IFCHR | 0o620, links: 1, represents: self.0.number, block_bytes: 1024, ..Stat::default() })
    }
    fn readable_bytes(&self) -> Option<u64> {
        let state = self.0.state.lock();
        let line = state.lines.front().map_or(0, VecDeque::len);
        Some(if state.termios.is_canonical() { line } else { state.typed.len() } as u64)
    }
}
