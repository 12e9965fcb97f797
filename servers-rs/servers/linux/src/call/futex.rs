// SPDX-License-Identifier: PMPL-1.0-or-later
//! futex(2), futex_waitv(2). Not done: FUTEX_FD, and requeuing to a lock with priority inheritance (`ENOSYS` as on a kernel without);
//! who holds such a lock does not inherit, since threads of a cell have one priority.

use crate::errno::*;
use crate::futex::{Futexes, Key, State, Wait};
use crate::time::read_timespec;
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::{Interrupted, Outcome, Progress, Waker};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general::*;

const WORD_BYTES: u64 = 4;
/// Length of `struct futex_waitv`: value, address, flags, reserved.
const WAITV_BYTES: u64 = 24;

/// The caller, and what it waits among.
#[derive(Debug)]
pub struct Caller<'a> {
    pub memory: &'a mut dyn FutexMemory,
    pub futexes: &'a mut Futexes,
    pub tid: u32,
    pub waker: &'a Arc<dyn Waker>,
    pub progress: &'a mut Progress,
    pub monotonic_ns: u64,
    pub realtime_ns: u64,
    /// Whether a thread with that number is in the cell.
    pub exists: &'a dyn Exists,
}

/// Guest memory that also knows its words by [`Key`].
pub trait FutexMemory: UserMemory + core::fmt::Debug {
    /// `private`: the program says that only its own threads use the word. Errors: `EFAULT`.
    fn key(&mut self, address: u64, private: bool) -> Result<Key>;
}

pub trait Exists: core::fmt::Debug {
    fn exists(&self, tid: u32) -> bool;
}

/// `address, operation, value, time or value2, address2, value3`.
pub fn futex(caller: &mut Caller<'_>, [address, operation, value, fourth, address2, value3]: [u64; 6]) -> Outcome {
    let (operation, value, value3) = (operation as u32, value as u32, value3 as u32);
    let private = operation & FUTEX_PRIVATE_FLAG != 0;
    let realtime = operation & FUTEX_CLOCK_REALTIME != 0;
    let command = operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    if realtime && !matches!(command, FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2 | FUTEX_WAIT_REQUEUE_PI) {
        return ENOSYS.into();
    }
    let first = At { address, private };
    let second = At { address: address2, private };
    match command {
        FUTEX_WAIT => caller.wait(first, value, u32::MAX, Time { address: fourth, until: Until::Relative }),
        FUTEX_WAIT_BITSET => caller.wait(first, value, value3, Time { address: fourth, until: Until::absolute(realtime) }),
        FUTEX_LOCK_PI => caller.lock(first, Time { address: fourth, until: Until::Realtime }),
        FUTEX_LOCK_PI2 => caller.lock(first, Time { address: fourth, until: Until::absolute(realtime) }),
        FUTEX_WAKE => caller.wake(first, value, u32::MAX).into(),
        FUTEX_WAKE_BITSET => caller.wake(first, value, value3).into(),
        FUTEX_REQUEUE => caller.requeue(first, second, value, fourth as u32, None).into(),
        FUTEX_CMP_REQUEUE => caller.requeue(first, second, value, fourth as u32, Some(value3)).into(),
        FUTEX_WAKE_OP => caller.wake_op(first, second, value, fourth as u32, value3).into(),
        FUTEX_TRYLOCK_PI => caller.try_lock(first).into(),
        FUTEX_UNLOCK_PI => caller.unlock(first).into(),
        _ => ENOSYS.into(),
    }
}

/// `words, count, flags, time, clock`; answers which of them was woken.
pub fn futex_waitv(caller: &mut Caller<'_>, [words, count, flags, time, clock, _]: [u64; 6]) -> Outcome {
    if caller.progress.again && caller.futexes.state(caller.tid).is_some() {
        return caller.look(Interrupted::Restart);
    }
    if flags != 0 || !(1..=u64::from(FUTEX_WAITV_MAX)).contains(&count) {
        return EINVAL.into();
    }
    let until = match clock as u32 {
        CLOCK_MONOTONIC => Until::Monotonic,
        CLOCK_REALTIME => Until::Realtime,
        _ if time == 0 => Until::Monotonic,
        _ => return EINVAL.into(),
    };
    let mut begin = || -> Result<Vec<Key>> {
        let keys = (0..count).map(|n| caller.expected(words.wrapping_add(n * WAITV_BYTES))).collect::<Result<Vec<_>>>()?;
        caller.set_deadline(Time { address: time, until })?;
        Ok(keys)
    };
    match begin() {
        Ok(keys) => caller.block(&keys, u32::MAX, false, Interrupted::Restart),
        Err(error) => error.into(),
    }
}

#[derive(Clone, Copy, Debug)]
struct At {
    address: u64,
    private: bool,
}

/// A `struct timespec` in guest memory, or none.
#[derive(Clone, Copy, Debug)]
struct Time {
    address: u64,
    until: Until,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Until {
    Relative,
    Monotonic,
    Realtime,
}

impl Until {
    fn absolute(realtime: bool) -> Until {
        if realtime { Until::Realtime } else { Until::Monotonic }
    }
}

impl Caller<'_> {
    fn key(&mut self, at: At) -> Result<Key> {
        if !at.address.is_multiple_of(WORD_BYTES) {
            return Err(EINVAL);
        }
        self.memory.key(at.address, at.private)
    }

    fn set_deadline(&mut self, time: Time) -> Result<()> {
        // Made again: it keeps the deadline of the first time.
        if time.address == 0 || self.progress.deadline_ns.is_some() {
            return Ok(());
        }
        let ns = read_timespec(self.memory, time.address)?;
        self.progress.deadline_ns = Some(match time.until {
            Until::Relative => self.monotonic_ns.saturating_add(ns),
            Until::Monotonic => ns,
            Until::Realtime => self.monotonic_ns.saturating_add(ns.saturating_sub(self.realtime_ns)),
        });
        Ok(())
    }

    /// Stands on the queues, unless it is too late already.
    fn block(&mut self, keys: &[Key], bitset: u32, wants_lock: bool, interrupted: Interrupted) -> Outcome {
        let wait = Wait { tid: self.tid, waker: self.waker, bitset, wants_lock };
        self.futexes.enter(keys, &wait);
        self.look(interrupted)
    }

    /// How far a wait has come.
    fn look(&mut self, interrupted: Interrupted) -> Outcome {
        match self.futexes.state(self.tid) {
            Some(State::Waiting) if self.progress.deadline_ns.is_none_or(|deadline| self.monotonic_ns < deadline) => {
                Outcome::Blocked(interrupted)
            }
            Some(State::Woken { index }) => {
                self.futexes.leave(self.tid);
                Outcome::Done(Ok(index.into()))
            }
            _ => {
                self.futexes.leave(self.tid);
                ETIMEDOUT.into()
            }
        }
    }

    fn wait(&mut self, at: At, value: u32, bitset: u32, time: Time) -> Outcome {
        let relative = time.address != 0 && time.until == Until::Relative;
        let interrupted = if relative { Interrupted::RestartBlock } else { Interrupted::Restart };
        if self.progress.again && self.futexes.state(self.tid).is_some() {
            return self.look(interrupted);
        }
        let begin = |it: &mut Self| {
            if bitset == 0 {
                return Err(EINVAL);
            }
            it.set_deadline(time)?;
            let key = it.key(at)?;
            if it.memory.read_u32(at.address)? == value { Ok(key) } else { Err(EAGAIN) }
        };
        match begin(self) {
            Ok(key) => self.block(&[key], bitset, false, interrupted),
            Err(error) => error.into(),
        }
    }

    /// One `struct futex_waitv`, if its word still has the value.
    fn expected(&mut self, address: u64) -> Result<Key> {
        let value = self.memory.read_u64(address)?;
        let word = self.memory.read_u64(address.wrapping_add(8))?;
        let flags = self.memory.read_u32(address.wrapping_add(16))?;
        let reserved = self.memory.read_u32(address.wrapping_add(20))?;
        if flags & !FUTEX_PRIVATE_FLAG != FUTEX_32 || reserved != 0 || value > u32::MAX.into() {
            return Err(EINVAL);
        }
        let key = self.key(At { address: word, private: flags & FUTEX_PRIVATE_FLAG != 0 })?;
        if u64::from(self.memory.read_u32(word)?) == value { Ok(key) } else { Err(EAGAIN) }
    }

    fn wake(&mut self, at: At, most: u32, bitset: u32) -> Result<u64> {
        if bitset == 0 {
            return Err(EINVAL);
        }
        let key = self.key(at)?;
        Ok(self.futexes.wake(&key, at_least_one(most), bitset).into())
    }

    fn requeue(&mut self, from: At, to: At, wake: u32, moved: u32, expected: Option<u32>) -> Result<u64> {
        if wake as i32 | moved as i32 >= 0 {
            let keys = (self.key(from)?, self.key(to)?);
            if let Some(expected) = expected
                && self.memory.read_u32(from.address)? != expected
            {
                return Err(EAGAIN);
            }
            return Ok(self.futexes.requeue(&keys.0, &keys.1, wake, moved).into());
        }
        Err(EINVAL)
    }

    fn wake_op(&mut self, first: At, second: At, most: u32, most2: u32, encoded: u32) -> Result<u64> {
        let keys = (self.key(first)?, self.key(second)?);
        let code = WakeOp::decode(encoded)?;
        let old = self.memory.update_u32(second.address, &mut |word| Some(code.change(word)))?;
        let woken = self.futexes.wake(&keys.0, at_least_one(most), u32::MAX);
        let more = if code.compare(old) { self.futexes.wake(&keys.1, at_least_one(most2), u32::MAX) } else { 0 };
        Ok(u64::from(woken) + u64::from(more))
    }

    fn lock(&mut self, at: At, time: Time) -> Outcome {
        if self.progress.again && self.futexes.state(self.tid).is_some() {
            return self.look(Interrupted::Restart);
        }
        match self.set_deadline(time).and_then(|()| self.try_lock(at)) {
            Err(EAGAIN) => {}
            other => return other.into(),
        }
        match self.key(at) {
            Ok(key) => self.block(&[key], u32::MAX, true, Interrupted::Restart),
            Err(error) => error.into(),
        }
    }

    /// Takes the lock, or marks that somebody waits for it. Errors: `EAGAIN` when another thread has it, `EDEADLK` when the
    /// caller has it, `ESRCH` when its owner is no more and left no word of that.
    fn try_lock(&mut self, at: At) -> Result<u64> {
        self.key(at)?;
        let tid = self.tid;
        let old = self.memory.update_u32(at.address, &mut |word| match word & FUTEX_TID_MASK {
            0 => Some(word & (FUTEX_WAITERS | FUTEX_OWNER_DIED) | tid),
            owner if owner == tid => None,
            _ => Some(word | FUTEX_WAITERS),
        })?;
        match old & FUTEX_TID_MASK {
            0 => Ok(0),
            owner if owner == tid => Err(EDEADLK),
            owner if self.exists.exists(owner) => Err(EAGAIN),
            _ => Err(ESRCH),
        }
    }

    fn unlock(&mut self, at: At) -> Result<u64> {
        let key = self.key(at)?;
        if self.memory.read_u32(at.address)? & FUTEX_TID_MASK != self.tid {
            return Err(EPERM);
        }
        let word = match self.futexes.hand_over(&key) {
            Some((heir, true)) => heir | FUTEX_WAITERS,
            Some((heir, false)) => heir,
            None => 0,
        };
        self.memory.update_u32(at.address, &mut |_| Some(word)).map(|_| 0)
    }
}

/// Linux wakes one for 0, and as many as there are for a negative number.
fn at_least_one(most: u32) -> u32 {
    if (most as i32) < 0 { u32::MAX } else { most.max(1) }
}

/// The encoded operation of FUTEX_WAKE_OP.
struct WakeOp {
    operation: u32,
    operand: u32,
    comparison: u32,
    than: i32,
}

impl WakeOp {
    fn decode(encoded: u32) -> Result<WakeOp> {
        // Twelve bits with a sign.
        let signed = |bits: u32| ((bits << 20) as i32) >> 20;
        let (shifts, operation, comparison) = (encoded >> 31 != 0, encoded >> 28 & 7, encoded >> 24 & 0xf);
        let operand = signed(encoded >> 12 & 0xfff) as u32;
        if operation > FUTEX_OP_XOR || comparison > FUTEX_OP_CMP_GE {
            return Err(ENOSYS);
        }
        let operand = if shifts { 1 << (operand & 31) } else { operand };
        Ok(WakeOp { operation, operand, comparison, than: signed(encoded & 0xfff) })
    }
    fn change(&self, word: u32) -> u32 {
        match self.operation {
            FUTEX_OP_SET => self.operand,
            FUTEX_OP_ADD => word.wrapping_add(self.operand),
            FUTEX_OP_OR => word | self.operand,
            FUTEX_OP_ANDN => word & !self.operand,
            _ => word ^ self.operand,
        }
    }
    fn compare(&self, old: u32) -> bool {
        let old = old as i32;
        match self.comparison {
            FUTEX_OP_CMP_EQ => old == self.than,
            FUTEX_OP_CMP_NE => old != self.than,
            FUTEX_OP_CMP_LT => old < self.than,
            FUTEX_OP_CMP_LE => old <= self.than,
            FUTEX_OP_CMP_GT => old > self.than,
            _ => old >= self.than,
        }
    }
}

#[cfg(test)]
#[path = "futex_tests.rs"]
mod tests;
