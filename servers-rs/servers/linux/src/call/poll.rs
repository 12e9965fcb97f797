// SPDX-License-Identifier: PMPL-1.0-or-later
//! poll(2) and select(2).

use super::argument::{half, word};
use super::{Clock, Context};
use crate::errno::{EBADF, EINVAL, Result};
use crate::user::{UserMemory, UserMemoryExt};
use crate::vfs::{Events, OpenFile, Side};
use crate::wait::{Interrupted, Outcome};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;

/// One file that is waited for.
struct Watched {
    file: Arc<OpenFile>,
    wanted: u32,
}

/// How long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    Never,
    Forever,
    Ns(u64),
}

/// A timespec. Errors: `EINVAL`, `EFAULT`.
pub fn read_timespec(memory: &mut dyn UserMemory, address: u64) -> Result<Patience> {
    if address == 0 {
        return Ok(Patience::Forever);
    }
    let bytes = memory.read_bytes(address, 16)?;
    let (seconds, nanoseconds) = (word(&bytes, 0) as i64, word(&bytes, 8));
    if seconds < 0 || nanoseconds >= 1_000_000_000 {
        return Err(EINVAL);
    }
    Ok(Patience::from_ns((seconds as u64).saturating_mul(1_000_000_000).saturating_add(nanoseconds)))
}

impl Patience {
    fn from_ns(ns: u64) -> Patience {
        if ns == 0 { Patience::Never } else { Patience::Ns(ns) }
    }
    pub fn from_ms(ms: i32) -> Patience {
        if ms < 0 { Patience::Forever } else { Patience::from_ns(ms as u64 * 1_000_000) }
    }
    /// Whether the time is over; sets the deadline of a call that begins.
    pub fn is_over(self, cx: &mut Context<'_>) -> bool {
        match self {
            Patience::Never => true,
            Patience::Forever => false,
            Patience::Ns(ns) => {
                let now = cx.now_ns(Clock::Monotonic);
                now >= *cx.progress.deadline_ns.get_or_insert(now.saturating_add(ns))
            }
        }
    }
}

/// Both sides where hang-ups and errors are all that is wanted: they wake both.
fn stand(cx: &Context<'_>, watched: &[Watched]) {
    for one in watched {
        if one.wanted & Events::OUT.0 != 0 {
            one.file.file.queue(Side::Output).inspect(|queue| queue.add(cx.waker));
        }
        if one.wanted & !Events::OUT.0 != 0 || one.wanted == 0 {
            one.file.file.queue(Side::Input).inspect(|queue| queue.add(cx.waker));
        }
    }
}
fn leave(cx: &Context<'_>, watched: &[Watched]) {
    for queue in watched.iter().flat_map(|one| [Side::Input, Side::Output].map(|side| one.file.file.queue(side))).flatten() {
        queue.remove(cx.waker);
    }
}

fn poll_all(cx: &mut Context<'_>, address: u64, count: u64, patience: Patience) -> Outcome {
    match look(cx, address, count) {
        Err(error) => error.into(),
        Ok((ready, watched)) => {
            if ready > 0 || patience.is_over(cx) {
                if cx.progress.again {
                    leave(cx, &watched);
                }
                return Ok(ready).into();
            }
            stand(cx, &watched);
            Outcome::Blocked(Interrupted::Eintr)
        }
    }
}

/// Writes what is ready, and says how many are.
fn look(cx: &mut Context<'_>, address: u64, count: u64) -> Result<(u64, Vec<Watched>)> {
    if count > cx.limits.soft(raw::RLIMIT_NOFILE) {
        return Err(EINVAL);
    }
    let mut bytes = cx.memory.read_bytes(address, count as usize * 8)?;
    let (mut ready, mut watched) = (0, Vec::with_capacity(count as usize));
    for one in bytes.chunks_exact_mut(8) {
        let fd = half(one, 0) as i32;
        let wanted = u32::from(u16::from_le_bytes([one[4], one[5]]));
        let file = u32::try_from(fd).ok().map(|fd| cx.files.lock().get(fd).cloned());
        let happened = match file {
            None => 0,
            Some(Err(_)) => raw::EPOLLNVAL,
            Some(Ok(file)) => {
                let now = file.file.poll().0 & (wanted | raw::EPOLLERR | raw::EPOLLHUP);
                watched.push(Watched { file, wanted });
                now
            }
        };
        ready += u64::from(happened != 0);
        one[6..8].copy_from_slice(&(happened as u16).to_le_bytes());
    }
    // What was asked must not be written: it may be memory that is only read from elsewhere.
    for (n, one) in bytes.chunks_exact(8).enumerate() {
        cx.memory.write(address + 8 * n as u64 + 6, &one[6..8])?;
    }
    Ok((ready, watched))
}

pub fn poll(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    poll_all(cx, a[0], u64::from(a[1] as u32), Patience::from_ms(a[2] as i32))
}

/// The signal mask is the loop's matter: it is put on before and taken off after.
pub fn ppoll(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    match read_timespec(cx.memory, a[2]) {
        Ok(patience) => poll_all(cx, a[0], u64::from(a[1] as u32), patience),
        Err(error) => error.into(),
    }
}

/// What the three sets of select(2) mean in terms of poll.
const SETS: [(u32, u32); 3] = [
    (Events::IN.0 | raw::EPOLLRDBAND | raw::EPOLLHUP | raw::EPOLLERR, Events::IN.0),
    (Events::OUT.0 | raw::EPOLLWRBAND | raw::EPOLLERR, Events::OUT.0),
    (raw::EPOLLPRI, raw::EPOLLPRI),
];
/// As many as FD_SETSIZE allows, and more: Linux takes as many as the table has.
const MAX_SET: u64 = 1 << 16;

fn select_all(cx: &mut Context<'_>, a: [u64; 6], patience: Patience) -> Outcome {
    match look_sets(cx, a[0], [a[1], a[2], a[3]]) {
        Err(error) => error.into(),
        Ok((ready, sets, watched)) => {
            if ready == 0 && !patience.is_over(cx) {
                stand(cx, &watched);
                return Outcome::Blocked(Interrupted::Eintr);
            }
            if cx.progress.again {
                leave(cx, &watched);
            }
            for (address, set) in [a[1], a[2], a[3]].into_iter().zip(sets) {
                if address != 0
                    && let Err(error) = cx.memory.write(address, &set)
                {
                    return error.into();
                }
            }
            Ok(ready).into()
        }
    }
}

type Sets = [Vec<u8>; 3];

fn look_sets(cx: &mut Context<'_>, count: u64, addresses: [u64; 3]) -> Result<(u64, Sets, Vec<Watched>)> {
    if count as i32 <= -1 {
        return Err(EINVAL);
    }
    let count = u64::from(count as u32).min(MAX_SET);
    let length = count.div_ceil(64) as usize * 8;
    let mut wanted: Sets = Sets::default();
    for (set, address) in wanted.iter_mut().zip(addresses) {
        *set = if address == 0 { alloc::vec![0; length] } else { cx.memory.read_bytes(address, length)? };
    }
    let mut found: Sets = core::array::from_fn(|_| alloc::vec![0; length]);
    let (mut ready, mut watched) = (0, Vec::new());
    for fd in 0..count {
        let (at, bit) = ((fd / 8) as usize, 1u8 << (fd % 8));
        let is_in: [bool; 3] = core::array::from_fn(|n| wanted[n][at] & bit != 0);
        if is_in == [false; 3] {
            continue;
        }
        let file = cx.files.lock().get(fd as u32).cloned().map_err(|_| EBADF)?;
        let now = file.file.poll().0;
        let mut wants = 0;
        for (n, (shows, asks)) in SETS.iter().enumerate().filter(|(n, _)| is_in[*n]) {
            wants |= asks;
            if now & shows != 0 {
                found[n][at] |= bit;
                ready += 1;
            }
        }
        watched.push(Watched { file, wanted: wants });
    }
    Ok((ready, found, watched))
}

pub fn select(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    let patience = match a[4] {
        0 => Ok(Patience::Forever),
        address => cx.memory.read_bytes(address, 16).and_then(|bytes| {
            let (seconds, micros) = (word(&bytes, 0) as i64, word(&bytes, 8) as i64);
            if seconds < 0 || micros < 0 {
                return Err(EINVAL);
            }
            Ok(Patience::from_ns(
                (seconds as u64).saturating_mul(1_000_000_000).saturating_add((micros as u64).saturating_mul(1000)),
            ))
        }),
    };
    match patience {
        Ok(patience) => {
            let outcome = select_all(cx, a, patience);
            put_left(cx, &outcome, a[4], 1000);
            outcome
        }
        Err(error) => error.into(),
    }
}

pub fn pselect6(cx: &mut Context<'_>, a: [u64; 6]) -> Outcome {
    match read_timespec(cx.memory, a[4]) {
        Ok(patience) => {
            let outcome = select_all(cx, a, patience);
            put_left(cx, &outcome, a[4], 1);
            outcome
        }
        Err(error) => error.into(),
    }
}

/// Linux says how much time was left (select(2), "the timeout"). Where it cannot be written nothing is said.
fn put_left(cx: &mut Context<'_>, outcome: &Outcome, address: u64, unit_ns: u64) {
    let (Outcome::Done(Ok(_)), Some(deadline)) = (outcome, cx.progress.deadline_ns) else { return };
    if address != 0 {
        let left = deadline.saturating_sub(cx.now_ns(Clock::Monotonic));
        let pair = [left / 1_000_000_000, left % 1_000_000_000 / unit_ns].map(u64::to_le_bytes).concat();
        cx.memory.write(address, &pair).unwrap_or_default();
    }
}
