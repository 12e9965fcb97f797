// SPDX-License-Identifier: PMPL-1.0-or-later
//! Several threads of a guest, on several CPUs: counting together, kicked, stopped, out of budget.

use crate::personality::{DATA, End, Task};
use crate::report::{Found, Test, equal, must, that};
use crate::run::{command, load};
use crate::worker::{ANY_CPU, begin, begin_limited, step_down, two_cpus, wait_until};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use rt::field;
use sys::guest::reason;
use sys::{Capability, Handle, Notification, Pool, start};

pub const TESTS: &[Test] = &[
    Test { promise: "four threads of one guest add up what they count, on all CPUs", run: count_together },
    Test { promise: "no kick is lost while a guest spins", run: kick_a_spinner },
    Test { promise: "no kick is lost while a thread goes in and out of its guest", run: kick_at_the_door },
    Test { promise: "a kick before the guest is entered keeps it out, once", run: kick_early },
    Test { promise: "a thread that is stopped in its guest stands still there, and goes on", run: stop_and_resume },
    Test { promise: "a guest whose thread's budget ends goes on in the next period", run: budget },
];

const EACH: u64 = 200_000;

/// 0 for an exit with 0.
fn serve(task: &mut Task) -> u64 {
    match task.serve() {
        End::Exited(code) => code,
        End::Kicked => 1000,
        End::Exception { .. } => 1001,
        End::Failed { .. } => 1002,
    }
}

fn count_together() -> Found {
    step_down()?;
    let guest = Arc::new(load()?);
    let cpus = if two_cpus() { [0, 1, 0, 1] } else { [0; 4] };
    step_down()?;
    let workers = cpus.map(|cpu| begin(&guest, [command::COUNT, DATA, EACH], cpu, serve));
    let workers: Vec<_> = workers.into_iter().collect::<Result<_, _>>()?;
    for worker in workers {
        equal(worker.result(20_000), Some(0))?;
    }
    equal(guest.word(DATA), 4 * EACH)
}

/// Kicks that the worker was told of, what it rings then, and whether the next is the last.
static TOLD: AtomicU64 = AtomicU64::new(0);
static BELL: AtomicU32 = AtomicU32::new(0);
static ENOUGH: AtomicBool = AtomicBool::new(false);

fn bell() -> Notification {
    Notification(Handle(BELL.load(SeqCst)))
}

/// Goes in again and again; counts the kicks.
fn in_and_out(task: &mut Task) -> u64 {
    loop {
        match sys::guest::run() {
            Ok(reason::KICKED) => {
                let last = ENOUGH.load(SeqCst);
                TOLD.fetch_add(1, SeqCst);
                let _ = bell().signal(1);
                if last {
                    return 0;
                }
            }
            Ok(reason::SYSCALL) => task.page.set(field!(rax), 1),
            _ => return 1,
        }
    }
}

/// Each kick is answered before the next: a lost one is never answered.
fn kick(what: u64, rounds: u64) -> Found {
    let two = two_cpus();
    step_down()?;
    let guest = Arc::new(load()?);
    BELL.store(must("making a bell", Pool(start::POOL).create_notification())?.handle().0, SeqCst);
    TOLD.store(0, SeqCst);
    ENOUGH.store(false, SeqCst);
    let worker = begin(&guest, [what, 0, 0], if two { 1 } else { 0 }, in_and_out)?;
    // On one CPU the worker runs only while this thread waits: there is no race to look for.
    let rounds = if two { rounds } else { 200 };
    let mut jitter = 1u64;
    for n in 1..=rounds {
        if n == rounds {
            ENOUGH.store(true, SeqCst);
        }
        must("kicking", worker.thread.kick_guest())?;
        let answered = bell().wait(10_000_000_000);
        equal((n, answered), (n, Ok(1)))?;
        equal(TOLD.load(SeqCst), n)?;
        // So that the next kick finds the other at another place.
        jitter = jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (0..jitter >> 55).for_each(|n| {
            let _ = core::hint::black_box(n);
        });
    }
    must("deleting the bell", bell().delete())?;
    equal(worker.result(5_000), Some(0))
}

/// A few thousand; with the argument `kicks=n`, that many for both tests together.
fn rounds() -> u64 {
    let told = rt::start::startup().arguments.iter().find_map(|a| a.strip_prefix("kicks=")?.parse().ok());
    told.unwrap_or(4_000) / 2
}

fn kick_a_spinner() -> Found {
    kick(command::SPIN, rounds())
}

fn kick_at_the_door() -> Found {
    kick(command::GETPID, rounds())
}

fn kick_early() -> Found {
    let guest = load()?;
    let mut task = crate::run::attach(&guest, [command::HELLO, 0, 0])?;
    let me = sys::Thread(sys::start::THREAD);
    must("kicking", me.kick_guest())?;
    must("kicking again", me.kick_guest())?;
    equal(task.serve(), End::Kicked)?;
    equal(task.calls, 0)?;
    equal(task.page.get(field!(reason)), reason::KICKED)?;
    equal(task.serve(), End::Exited(42))
}

fn stop_and_resume() -> Found {
    step_down()?;
    let guest = Arc::new(load()?);
    let worker = begin(&guest, [command::COUNT, DATA, u64::MAX], ANY_CPU, serve)?;
    let count = || guest.word(DATA);
    that(wait_until(5_000, || count() > 0), "it does not count")?;
    must("stopping", worker.thread.stop())?;
    let stopped = count();
    that(!wait_until(30, || count() != stopped), "it counts while it is stopped")?;
    // The kick finds nobody who runs, and waits.
    must("kicking", worker.thread.kick_guest())?;
    that(!wait_until(10, || worker.is_done()), "it runs while it is stopped")?;
    must("resuming", worker.thread.resume())?;
    equal(worker.result(5_000), Some(1000))?;
    that(count() >= stopped, "it lost what it had counted")
}

fn budget() -> Found {
    step_down()?;
    let guest = Arc::new(load()?);
    let worker = begin_limited(&guest, [command::COUNT, DATA, 3_000_000], ANY_CPU, (1_000, 5_000), serve)?;
    equal(worker.result(60_000), Some(0))?;
    equal(guest.word(DATA), 3_000_000)
}
