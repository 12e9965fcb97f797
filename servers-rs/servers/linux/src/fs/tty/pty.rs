// SPDX-License-Identifier: PMPL-1.0-or-later
//! The master of a pseudoterminal: who has it is the wire (pty(7), ioctl_tty(2)).

use super::control::Who;
use super::registry::PtsFs;
use super::{End, INPUT_BYTES, OUTPUT_BYTES, Terminal};
use crate::errno::{EAGAIN, EIO, Result};
use crate::user::{UserMemory, UserMemoryExt};
use crate::vfs::{Caller, Events, File, Side, Sink, Source};
use crate::wait::Queue;
use alloc::sync::Arc;
use linux_raw_sys::ioctl;

pub struct Master {
    pub(super) terminal: Arc<Terminal>,
    pub(super) number: u32,
    pub(super) system: Arc<PtsFs>,
}

impl Master {
    pub fn number(&self) -> u32 {
        self.number
    }
    /// TIOCGPTPEER: the other end, opened without its name.
    pub fn open_peer(&self, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        End::open(&self.terminal, flags, caller, true)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.system.forget(self.number);
        self.terminal.hang_up();
    }
}

impl File for Master {
    fn read(&self, _: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        let mut state = self.terminal.state.lock();
        if state.packet_mode {
            let status = core::mem::take(&mut state.packet_status);
            if status != 0 {
                return into.put(&[status]);
            }
        }
        if state.output.is_empty() {
            let has_ended = state.was_opened && state.opened == 0;
            return Err(if has_ended { EIO } else { EAGAIN });
        }
        if into.room() == 0 {
            return Ok(0);
        }
        let header = if state.packet_mode { into.put(&[0])? } else { 0 };
        let taken = into.put(state.output.make_contiguous())?;
        state.output.drain(..taken);
        drop(state);
        self.terminal.writable.wake_all();
        Ok(header + taken)
    }
    fn write(&self, _: &Caller<'_>, _: u64, from: &mut dyn Source) -> Result<usize> {
        let state = self.terminal.state.lock();
        if state.was_opened && state.opened == 0 {
            return Err(EIO);
        }
        drop(state);
        let mut chunk = [0; 256];
        let part = from.left().min(chunk.len()).min(self.terminal.input_room());
        if part == 0 && from.left() > 0 {
            return Err(EAGAIN);
        }
        let n = from.take(&mut chunk[..part])?;
        self.terminal.input(&chunk[..n]);
        Ok(n)
    }
    fn writes_whole(&self) -> bool {
        true
    }
    fn poll(&self) -> Events {
        let state = self.terminal.state.lock();
        let has_ended = state.was_opened && state.opened == 0;
        let is_readable = !state.output.is_empty() || state.packet_mode && state.packet_status != 0;
        let has_room = state.output.len() <= OUTPUT_BYTES && state.typed.len() < INPUT_BYTES - 1;
        Events::IN.when(is_readable) | Events::OUT.when(has_room) | Events::HANGUP.when(has_ended)
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        Some(if side == Side::Input { &self.terminal.master_readable } else { &self.terminal.master_writable })
    }
    fn ioctl(&self, caller: &Caller<'_>, memory: &mut dyn UserMemory, request: u32, argument: u64) -> Result<u64> {
        match request {
            ioctl::TIOCGPTN => memory.write_u32(argument, self.number)?,
            ioctl::TIOCSPTLCK => {
                let locks = memory.read_u32(argument)? != 0;
                self.terminal.state.lock().is_locked = locks;
            }
            ioctl::TIOCGPTLCK => {
                let is_locked = self.terminal.state.lock().is_locked;
                memory.write_u32(argument, is_locked.into())?;
            }
            ioctl::TIOCPKT => {
                let on = memory.read_u32(argument)? != 0;
                let mut state = self.terminal.state.lock();
                state.packet_mode = on;
                state.packet_status = 0;
            }
            ioctl::TIOCGPKT => {
                let on = self.terminal.state.lock().packet_mode;
                memory.write_u32(argument, on.into())?;
            }
            _ => return self.terminal.control(caller, memory, request, argument, Who::Master),
        }
        Ok(0)
    }
    fn readable_bytes(&self) -> Option<u64> {
        Some(self.terminal.state.lock().output.len() as u64)
    }
}
