// SPDX-License-Identifier: PMPL-1.0-or-later
//! Call and reply, signal and wait. Both sides read what the other wrote, and the sums are compared at the end.

use crate::meter::row;
use crate::partner::{self, PING, PONG};
use core::sync::atomic::{AtomicU32, Ordering};
use stage::{Give, POOL, PRIORITY, Stage};
use stage::{Trouble, console, must, same};
use sys::{Capability, Endpoint, Error, FOREVER, Handle, Rights, Table, Tag, start};

pub fn null() -> Result<(), Trouble> {
    let mut failed = 0;
    row("syscall.null", 1, || failed += u64::from(sys::null().is_err()));
    same("calls refused", failed, 0)
}

pub fn words_0(stage: &Stage) -> Result<(), Trouble> {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let partner = stage.partner("echo-0", &[Give::Serve(endpoint)])?;
    let mut failed = 0;
    row("ipc.call_reply.other_as.0w", 1, || failed += u64::from(endpoint.call(Tag::new(0, 0, 0), [0; 4]).is_err()));
    partner.destroy();
    same("calls refused", failed, 0)
}

pub fn words_4(stage: &Stage) -> Result<(), Trouble> {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let partner = stage.partner("echo-4", &[Give::Serve(endpoint)])?;
    four_words("ipc.call_reply.other_as.4w", endpoint)?;
    refusals(endpoint)?;
    // On the same path as before, with the same figure: `build/src/bench` compares them.
    four_words("check.call_reply.after_refusals", endpoint)?;
    partner.destroy();
    Ok(())
}

fn four_words(name: &str, endpoint: Endpoint) -> Result<(), Trouble> {
    let (mut n, mut sum) = (0u64, 0u64);
    let passes = row(name, 1, || {
        n += 1;
        if let Ok(answer) = endpoint.call(Tag::new(0, 4, 0), [n, n + 1, n + 2, n + 3]) {
            sum += answer.words[0] + answer.words[1] + answer.words[2] + answer.words[3];
        }
    });
    same("sum of what came back", sum, (1..=passes).map(|n| 4 * n + 10).sum())
}

/// The same call of the same endpoint with a capability that may not, or no longer.
fn refusals(endpoint: Endpoint) -> Result<(), Trouble> {
    let call = |with: Endpoint| with.call(Tag::new(0, 4, 0), [1, 2, 3, 4]).map(|answer| answer.words);
    let weak = must("copying", endpoint.copy(Rights(Rights::ALL.0 & !Rights::WRITE.0), 0))?;
    same("a call without the right", call(weak), Err(Error::NoRight))?;
    let parent = must("copying", endpoint.copy(Rights::ALL, 0))?;
    let child = must("copying", parent.copy(Rights::ALL, 0))?;
    same("a call with a copy", call(child), Ok([2, 3, 4, 5]))?;
    same("copies revoked", parent.revoke(), Ok(1))?;
    let revoked = call(child);
    same("a call with a revoked copy", revoked.is_err(), true)?;
    // The slot's next tenant is the very endpoint again; the old handle names the slot's former life.
    let slot = child.handle().index();
    let tenant = must("copying", Table(start::TABLE).insert(parent.handle(), Rights::ALL, 0, slot))?;
    same("a call with the new copy", call(Endpoint(tenant)), Ok([2, 3, 4, 5]))?;
    same("a call with the old handle", call(child), Err(Error::StaleHandle))?;
    console::say(format_args!("bench refused right {:?} revoked {:?} generation StaleHandle", Error::NoRight, revoked.err()));
    Ok(())
}

pub fn words_10(stage: &Stage) -> Result<(), Trouble> {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let partner = stage.partner("echo-10", &[Give::Serve(endpoint)])?;
    let (mut n, mut sum) = (0u64, 0u64);
    let passes = rt::channel::with_buffer(|buffer| {
        row("ipc.call_reply.other_as.10w", 1, || {
            n += 1;
            for word in 4..10 {
                buffer.set_word(word, n);
            }
            if let Ok(answer) = endpoint.call(Tag::new(0, 10, 0), [n; 4]) {
                sum += answer.words[0] + answer.words[1] + answer.words[2] + answer.words[3];
                for word in 4..10 {
                    sum += buffer.word(word);
                }
            }
        })
    });
    partner.destroy();
    same("sum of what came back", sum, (1..=passes).map(|n| 10 * n + 10).sum())
}

/// Two round trips a pass: a capability goes with the first call and comes back with the second answer, so each round
/// trip moves one.
pub fn capability(stage: &Stage) -> Result<(), Trouble> {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let partner = stage.partner("keep", &[Give::Serve(endpoint)])?;
    let mut travels = must("making a notification", POOL.create_notification())?.handle();
    let moved = Tag(Tag::new(0, 0, 1).0 | Tag::MOVE_CAPS);
    let mut failed = 0;
    rt::channel::with_buffer(|buffer| {
        row("ipc.call_reply.other_as.cap", 2, || {
            buffer.set_cap(0, travels);
            let there = endpoint.call(moved, [0; 4]).is_ok();
            let back = endpoint.call(Tag::new(0, 0, 0), [0; 4]).is_ok_and(|answer| answer.tag.caps() == 1);
            travels = buffer.cap(0);
            failed += u64::from(!there || !back);
        })
    });
    partner.destroy();
    same("calls refused", failed, 0)?;
    must("signalling with what came back", sys::Notification(travels).signal(1))
}

static SAME_SPACE: AtomicU32 = AtomicU32::new(0);

pub fn same_space() -> Result<(), Trouble> {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    SAME_SPACE.store(endpoint.handle().0, Ordering::Relaxed);
    let work = || partner::echo_4(Endpoint(Handle(SAME_SPACE.load(Ordering::Relaxed))));
    let thread = must("starting a thread", rt::thread::spawn("echo", PRIORITY, 16384, None, work))?;
    four_words("ipc.call_reply.same_as.4w", endpoint)?;
    must("ending it", thread.end())
}

pub fn ping_pong(stage: &Stage) -> Result<(), Trouble> {
    let ping = must("making a notification", POOL.create_notification())?;
    let pong = must("making a notification", POOL.create_notification())?;
    let partner = stage.partner("pong", &[Give::Notification(PING, ping), Give::Notification(PONG, pong)])?;
    let mut bits = 0;
    let passes = row("notification.ping_pong.other_as", 1, || {
        let _ = ping.signal(1);
        bits += pong.wait(FOREVER).unwrap_or(0);
    });
    partner.destroy();
    same("answers", bits, passes)
}

/// Nanoseconds of the clock for as many round trips, for `ratio.rs`.
pub fn time_ns(endpoint: Endpoint, round_trips: u64) -> Result<u64, Trouble> {
    let mut failed = 0;
    let before = rt::clock::now_ns();
    for n in 0..round_trips {
        failed += u64::from(endpoint.call(Tag::new(0, 4, 0), [n; 4]).is_err());
    }
    let passed = rt::clock::now_ns() - before;
    same("calls refused", failed, 0)?;
    Ok(passed)
}
