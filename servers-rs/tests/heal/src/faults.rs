// SPDX-License-Identifier: PMPL-1.0-or-later
//! Faults that leave a component running in a wrong way, and what came of each. After each one the component is ended, so
//! that the next fault meets a sound one.

use crate::kills::{inject, settled};
use crate::supervisor::{self, everybody, status};
use crate::targets::TARGETS;
use crate::{Trouble, say};
use alloc::format;
use api_injector::Kind;
use api_supervisor::Cause;
use core::sync::atomic::{AtomicU32, Ordering};
use rt::clock::now_ns;
use stage::Random;
use sys::{FOREVER, Handle, Notification, Pool, start};

const KINDS: &[Kind] = &[Kind::Stall, Kind::Code, Kind::Registers, Kind::Heap, Kind::Stack, Kind::Reply];
const WITHIN_NS: u64 = 1_000_000;
/// Calls that are made after a fault: if the component still lives then, the fault did nothing that it could see.
const CALLS: u32 = 20;
/// A call that takes longer is one that nobody will answer.
const MOST_NS: u64 = 2_000_000_000;
const STACK_BYTES: u64 = 65536;

/// The thread that calls may wait for ever; the one that counts must not.
static WANTED: AtomicU32 = AtomicU32::new(0);
static WORK: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);

fn caller() {
    let [work, done] = [&WORK, &DONE].map(|place| Notification(Handle(place.load(Ordering::Relaxed))));
    while work.wait(FOREVER).is_ok() {
        if let Some(target) = TARGETS.get(WANTED.load(Ordering::Acquire) as usize) {
            let _ = (target.serves)();
        }
        let _ = done.signal(1);
    }
}

#[derive(Default)]
struct Sum {
    /// By itself, of what its own code or the kernel noticed.
    died: u64,
    /// Found by its heartbeat.
    hung: u64,
    /// It lives and answers.
    nothing: u64,
    /// It lives and does not answer: its caller was freed by ending it.
    silent: u64,
    /// Deaths of anybody else.
    others: u64,
}

pub fn all(faults: u64, random: &mut Random) -> Result<(), Trouble> {
    if faults == 0 {
        return Ok(());
    }
    let make = || Pool(start::POOL).create_notification().map_err(|e| format!("a notification: {e:?}"));
    let (work, done) = (make()?, make()?);
    WORK.store(work.0.0, Ordering::Relaxed);
    DONE.store(done.0.0, Ordering::Relaxed);
    rt::thread::spawn("caller", 50, STACK_BYTES, None, caller).map_err(|e| format!("a thread: {e:?}"))?;
    for (t, target) in TARGETS.iter().enumerate() {
        let Some(number) = supervisor::number(target.name)? else { continue };
        let mut sum = Sum::default();
        for n in 0..faults {
            let kind = random.of(KINDS, Kind::Stall);
            let before = settled()?;
            let seed = random.draw();
            let at_ns = now_ns() + 200_000 + random.below(WITHIN_NS);
            inject(target.name, kind, at_ns, seed)?;
            let deaths = |all: &[api_supervisor::Status]| all.get(number as usize).map_or(0, |s| s.deaths);
            let mut silent = false;
            let mut calls = 0;
            // Calls that come back before the instant do not count: the fault would hit the next incarnation.
            while calls < CALLS {
                calls += u32::from(now_ns() > at_ns);
                WANTED.store(t as u32, Ordering::Release);
                let _ = work.signal(1);
                if done.wait(MOST_NS).is_err() {
                    silent = true;
                    say(format_args!("silent {} fault {n} {kind:?} seed {seed:#x}", target.name));
                    supervisor::end(target.name)?;
                    done.wait(MOST_NS).map_err(|e| format!("{}: its caller waits on: {e:?}", target.name))?;
                }
                if status(number)?.deaths != deaths(&before) {
                    break;
                }
            }
            let after = status(number)?;
            match after.cause {
                _ if silent => sum.silent += 1,
                _ if after.deaths == deaths(&before) => sum.nothing += 1,
                Cause::Hangs => sum.hung += 1,
                _ => sum.died += 1,
            }
            supervisor::end(target.name)?;
            settled()?;
            for (old, new) in before.iter().zip(&everybody()?) {
                if new.name.as_str() != target.name && new.deaths != old.deaths {
                    sum.others += u64::from(new.deaths - old.deaths);
                    say(format_args!("other {} died of {} fault {n} {kind:?} seed {seed:#x}", new.name.as_str(), target.name));
                }
            }
        }
        let Sum { died, hung, nothing, silent, others } = sum;
        let name = target.name;
        say(format_args!("faults {name} {faults} died {died} hung {hung} nothing {nothing} silent {silent} others {others}"));
    }
    Ok(())
}
