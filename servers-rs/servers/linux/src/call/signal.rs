// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls about one's own signals. Sending them needs the table of processes: `call/kill.rs`.
//!
//! Each takes what it needs of the caller: its memory, its own and its process's signals.

use crate::errno::{EAGAIN, EINVAL, Result};
use crate::signal::action::{ACTION_BYTES, Action};
use crate::signal::set::Set;
use crate::signal::stack::{AltStack, STACK_BYTES};
use crate::signal::state::{ProcessSignals, ThreadSignals};
use crate::time::read_timespec;
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::{Interrupted, Outcome, Progress};
use linux_raw_sys::general::{SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK};

/// Length of the kernel's `sigset_t`: the only one that calls accept.
const SET_BYTES: u64 = 8;

/// The caller of a call about its own signals.
#[derive(Debug)]
pub struct Own<'a> {
    pub memory: &'a mut dyn UserMemory,
    pub thread: &'a mut ThreadSignals,
    pub process: &'a mut ProcessSignals,
}

impl core::fmt::Debug for dyn UserMemory + '_ {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("UserMemory")
    }
}

/// `signal, new, old, set length`.
pub fn rt_sigaction(own: &mut Own<'_>, [signal, new, old, length, ..]: [u64; 6]) -> Result<u64> {
    whole_set(length)?;
    let signal = u32::try_from(signal).map_err(|_| EINVAL)?;
    let wanted = match new {
        0 => None,
        address => {
            let mut bytes = [0; ACTION_BYTES];
            own.memory.read(address, &mut bytes)?;
            Some(Action::from_bytes(&bytes))
        }
    };
    let (before, ignored) = {
        let mut actions = own.process.actions.lock();
        let before = match wanted {
            Some(action) => actions.set(signal, action)?,
            None => actions.get(signal)?,
        };
        (before, actions.ignores(signal))
    };
    if wanted.is_some() && ignored {
        // POSIX 2.4.3: what waits is thrown away when it is ignored from now on, blocked or not.
        own.process.pending.discard(Set::of(&[signal]));
        own.thread.pending.discard(Set::of(&[signal]));
    }
    if old != 0 {
        own.memory.write(old, &before.to_bytes())?;
    }
    Ok(0)
}

/// `how, new, old, set length`.
pub fn rt_sigprocmask(own: &mut Own<'_>, [how, new, old, length, ..]: [u64; 6]) -> Result<u64> {
    whole_set(length)?;
    let before = own.thread.mask;
    if new != 0 {
        let set = Set(own.memory.read_u64(new)?);
        let mask = match u32::try_from(how) {
            Ok(SIG_BLOCK) => before.with(set),
            Ok(SIG_UNBLOCK) => before.without(set),
            Ok(SIG_SETMASK) => set,
            _ => return Err(EINVAL),
        };
        own.thread.mask = mask.without(Set::ABSOLUTE);
    }
    if old != 0 {
        own.memory.write_u64(old, before.0)?;
    }
    Ok(0)
}

/// `set, set length`.
pub fn rt_sigpending(own: &mut Own<'_>, [set, length, ..]: [u64; 6]) -> Result<u64> {
    if length > SET_BYTES {
        return Err(EINVAL);
    }
    let waiting = own.thread.pending.set().with(own.process.pending.set()).and(own.thread.mask);
    own.memory.write(set, &waiting.0.to_le_bytes()[..length as usize])?;
    Ok(0)
}

/// `new, old`; `sp` is the caller's stack pointer.
pub fn sigaltstack(own: &mut Own<'_>, [new, old, ..]: [u64; 6], sp: u64) -> Result<u64> {
    let before = own.thread.stack.shown(sp);
    if new != 0 {
        let mut bytes = [0; STACK_BYTES];
        own.memory.read(new, &mut bytes)?;
        own.thread.stack.replace(AltStack::from_bytes(&bytes), sp)?;
    }
    if old != 0 {
        own.memory.write(old, &before.to_bytes())?;
    }
    Ok(0)
}

/// `mask, set length`: waits with that mask until a handler has run.
pub fn rt_sigsuspend(own: &mut Own<'_>, progress: &mut Progress, [mask, length, ..]: [u64; 6]) -> Outcome {
    if !progress.again {
        let read = whole_set(length).and_then(|()| own.memory.read_u64(mask));
        match read {
            Ok(mask) => own.thread.suspend_with(Set(mask)),
            Err(error) => return error.into(),
        }
    }
    Outcome::Blocked(Interrupted::Eintr)
}

/// Waits until a handler has run.
pub fn pause() -> Outcome {
    Outcome::Blocked(Interrupted::Eintr)
}

/// `set, info, time, set length`. While it waits [`ThreadSignals::awaited`] holds what for; it is empty again when this is over, and
/// whoever interrupts the wait empties it.
pub fn rt_sigtimedwait(
    own: &mut Own<'_>,
    progress: &mut Progress,
    [set, info, time, length, ..]: [u64; 6],
    now_ns: u64,
) -> Outcome {
    let arguments = whole_set(length).and_then(|()| {
        let wanted = Set(own.memory.read_u64(set)?).without(Set::ABSOLUTE);
        let time_ns = if time == 0 || progress.again { None } else { Some(read_timespec(own.memory, time)?) };
        Ok((wanted, time_ns))
    });
    let (wanted, time_ns) = match arguments {
        Ok(arguments) => arguments,
        Err(error) => return error.into(),
    };
    own.thread.awaited = Set::EMPTY;
    if let Some(found) = own.thread.dequeue(own.process, wanted) {
        let told = if info == 0 { Ok(()) } else { own.memory.write(info, &found.to_bytes()) };
        return told.map(|()| found.signal.into()).into();
    }
    if let Some(time_ns) = time_ns {
        progress.deadline_ns = Some(now_ns.saturating_add(time_ns));
    }
    if progress.deadline_ns.is_some_and(|deadline| now_ns >= deadline) {
        return EAGAIN.into();
    }
    own.thread.awaited = wanted;
    Outcome::Blocked(Interrupted::Eintr)
}

fn whole_set(length: u64) -> Result<()> {
    if length == SET_BYTES { Ok(()) } else { Err(EINVAL) }
}

#[cfg(test)]
#[path = "signal_tests.rs"]
mod tests;
