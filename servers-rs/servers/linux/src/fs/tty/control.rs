// SPDX-License-Identifier: PMPL-1.0-or-later
//! ioctl_tty(2): settings, size, job control.

use super::Terminal;
use super::termios::{LONG_BYTES, SHORT_BYTES, Termios};
use crate::errno::{EINVAL, EIO, ENOTTY, EPERM, ESRCH, Result};
use crate::signal::request::To;
use crate::user::{UserMemory, UserMemoryExt};
use crate::vfs::Caller;
use linux_raw_sys::general::{self as raw, CAP_SYS_ADMIN};
use linux_raw_sys::ioctl;

/// From which end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Slave,
    Master,
}

/// When a change of settings takes effect: output never waits here, so at once, with or without what was typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Typed {
    Kept,
    Dropped,
}

impl Terminal {
    pub(super) fn control(
        &self,
        caller: &Caller<'_>,
        memory: &mut dyn UserMemory,
        request: u32,
        argument: u64,
        who: Who,
    ) -> Result<u64> {
        let changes = [
            ioctl::TCSETS,
            ioctl::TCSETSW,
            ioctl::TCSETSF,
            ioctl::TCSETS2,
            ioctl::TCSETSW2,
            ioctl::TCSETSF2,
            ioctl::TIOCSPGRP,
            ioctl::TCSBRK,
            ioctl::TCSBRKP,
            ioctl::TCXONC,
            ioctl::TCFLSH,
        ];
        if who == Who::Slave {
            if self.state.lock().master_is_gone {
                return Err(EIO);
            }
            if changes.contains(&request) {
                self.check_job(caller, raw::SIGTTOU, Ok(()))?;
            }
        }
        match request {
            ioctl::TCGETS => {
                let bytes = self.state.lock().termios.to_bytes();
                memory.write(argument, &bytes[..SHORT_BYTES])?;
            }
            ioctl::TCGETS2 => {
                let bytes = self.state.lock().termios.to_bytes();
                memory.write(argument, &bytes)?;
            }
            ioctl::TCSETS | ioctl::TCSETSW => self.set(memory, argument, SHORT_BYTES, Typed::Kept)?,
            ioctl::TCSETSF => self.set(memory, argument, SHORT_BYTES, Typed::Dropped)?,
            ioctl::TCSETS2 | ioctl::TCSETSW2 => self.set(memory, argument, LONG_BYTES, Typed::Kept)?,
            ioctl::TCSETSF2 => self.set(memory, argument, LONG_BYTES, Typed::Dropped)?,
            ioctl::TCSBRK | ioctl::TCSBRKP => {}
            ioctl::TCXONC => self.flow(argument)?,
            ioctl::TCFLSH => self.flush(argument)?,
            ioctl::TIOCGWINSZ => {
                let size = self.state.lock().size;
                memory.write(argument, &size.map(u16::to_le_bytes).concat())?;
            }
            ioctl::TIOCSWINSZ => {
                let mut bytes = [0; 8];
                memory.read(argument, &mut bytes)?;
                self.resize([0, 2, 4, 6].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]])));
            }
            ioctl::TIOCOUTQ => {
                let waiting = self.state.lock().output.len() as u32;
                memory.write_u32(argument, waiting)?;
            }
            ioctl::TIOCGPGRP => {
                let group = self.foreground_for(caller, who)?;
                memory.write_u32(argument, group)?;
            }
            ioctl::TIOCSPGRP => {
                let group = memory.read_u32(argument)?;
                self.set_foreground(caller, group as i32, who)?;
            }
            ioctl::TIOCGSID => {
                self.foreground_for(caller, who)?;
                let session = self.state.lock().session;
                memory.write_u32(argument, session)?;
            }
            ioctl::TIOCSCTTY => self.take_control(caller, argument)?,
            ioctl::TIOCNOTTY => {
                let is_mine = self.state.lock().session == caller.ids.session;
                match () {
                    () if !is_mine => return Err(ENOTTY),
                    () if caller.ids.pid == caller.ids.session => self.end_session(caller.ids.session),
                    () => {}
                }
            }
            ioctl::TIOCEXCL | ioctl::TIOCNXCL => self.state.lock().is_exclusive = request == ioctl::TIOCEXCL,
            ioctl::TIOCGEXCL => {
                let is_exclusive = self.state.lock().is_exclusive;
                memory.write_u32(argument, is_exclusive.into())?;
            }
            ioctl::TIOCSTI if caller.credentials.can(CAP_SYS_ADMIN) => {
                let mut byte = [0];
                memory.read(argument, &mut byte)?;
                self.input(&byte);
            }
            ioctl::TIOCSTI => return Err(EPERM),
            ioctl::TIOCGETD => memory.write_u32(argument, 0)?,
            ioctl::TIOCGDEV => memory.write_u32(argument, self.number as u32)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn set(&self, memory: &mut dyn UserMemory, address: u64, length: usize, typed: Typed) -> Result<()> {
        let bytes = memory.read_bytes(address, length)?;
        let mut state = self.state.lock();
        let before = state.termios;
        state.termios = Termios::from_bytes(&bytes, &before);
        if typed == Typed::Dropped {
            state.flush_input();
        }
        state.change_mode(before.is_canonical());
        if state.termios.input & raw::IXON == 0 {
            state.is_stopped = false;
        }
        drop(state);
        self.wake_readers();
        self.writable.wake_all();
        Ok(())
    }
    fn flow(&self, action: u64) -> Result<()> {
        match action as u32 {
            raw::TCOOFF => self.state.lock().is_stopped = true,
            raw::TCOON => {
                self.state.lock().is_stopped = false;
                self.writable.wake_all();
            }
            raw::TCIOFF | raw::TCION => {}
            _ => return Err(EINVAL),
        }
        Ok(())
    }
    fn flush(&self, which: u64) -> Result<()> {
        let mut state = self.state.lock();
        match which as u32 {
            raw::TCIFLUSH => state.flush_input(),
            raw::TCOFLUSH => state.output.clear(),
            raw::TCIOFLUSH => {
                state.flush_input();
                state.output.clear();
            }
            _ => return Err(EINVAL),
        }
        drop(state);
        self.writable.wake_all();
        self.master_writable.wake_all();
        Ok(())
    }
    /// A new size is told to the foreground.
    pub fn resize(&self, size: [u16; 4]) {
        let mut state = self.state.lock();
        let (changes, foreground) = (state.size != size, state.foreground);
        state.size = size;
        drop(state);
        if changes && foreground != 0 {
            self.jobs.send(To::Group(foreground), raw::SIGWINCH, raw::SI_KERNEL as i32);
        }
    }
    fn foreground_for(&self, caller: &Caller<'_>, who: Who) -> Result<u32> {
        let state = self.state.lock();
        let is_mine = state.session != 0 && state.session == caller.ids.session;
        if who == Who::Slave && !is_mine { Err(ENOTTY) } else { Ok(state.foreground) }
    }
    fn set_foreground(&self, caller: &Caller<'_>, group: i32, who: Who) -> Result<()> {
        self.foreground_for(caller, who)?;
        let group = u32::try_from(group).map_err(|_| EINVAL)?;
        let session = self.state.lock().session;
        match self.jobs.session_of(group) {
            None => Err(ESRCH),
            Some(of_group) if of_group != session => Err(EPERM),
            Some(_) => {
                self.state.lock().foreground = group;
                Ok(())
            }
        }
    }
    fn take_control(&self, caller: &Caller<'_>, force: u64) -> Result<()> {
        let mut state = self.state.lock();
        let is_leader = caller.ids.pid == caller.ids.session;
        if is_leader && state.session == caller.ids.session {
            return Ok(());
        }
        let may_steal = force == 1 && caller.credentials.can(CAP_SYS_ADMIN);
        if !is_leader || state.session != 0 && !may_steal {
            return Err(EPERM);
        }
        state.session = caller.ids.session;
        state.foreground = caller.ids.group;
        Ok(())
    }
}
