// SPDX-License-Identifier: PMPL-1.0-or-later
//! What others do to a guest while it runs: its memory, its space, its thread are taken away.

use crate::personality::{DATA, DATA_BYTES, End, Task};
use crate::report::{Found, Test, equal, must, that};
use crate::run::{attach, command, load};
use crate::worker::{begin, step_down, two_cpus, wait_until};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sys::{Error, PAGE_BYTES, Pool, Rights, start};

pub const TESTS: &[Test] = &[
    Test { promise: "attack: a sibling unmaps what a guest works on", run: unmap },
    Test { promise: "attack: a sibling write-protects what a guest writes to", run: protect },
    Test { promise: "attack: the address space is destroyed while a guest runs in it", run: destroy_space },
    Test { promise: "attack: the thread is destroyed while it runs its guest", run: destroy_thread },
    Test { promise: "attack: a guest is entered whose address space is gone", run: enter_gone },
    Test { promise: "spaces come and go while a guest runs, and it notices nothing", run: others_come_and_go },
];

static FAULT: AtomicU64 = AtomicU64::new(0);

/// 0 = exited, 1 = page fault (its address in `FAULT`), 2 = gone, 3 = kicked, 4 = anything else.
fn serve(task: &mut Task) -> u64 {
    match task.serve() {
        End::Exited(_) => 0,
        End::Exception { vector: 14, address, .. } => {
            FAULT.store(address, SeqCst);
            1
        }
        End::Failed { error: Error::Gone, .. } => 2,
        End::Kicked => 3,
        _ => 4,
    }
}

fn other_cpu() -> Result<u64, alloc::string::String> {
    let two = two_cpus();
    step_down()?;
    Ok(two as u64)
}

fn unmap() -> Found {
    let cpu = other_cpu()?;
    let guest = Arc::new(load()?);
    let worker = begin(&guest, [command::COUNT, DATA, u64::MAX], cpu, serve)?;
    that(wait_until(5_000, || guest.word(DATA) > 0), "it does not count")?;
    must("unmapping", guest.space.unmap(DATA, DATA_BYTES))?;
    let last = guest.word(DATA);
    equal(worker.result(5_000), Some(1))?;
    equal(FAULT.load(SeqCst), DATA)?;
    equal(guest.word(DATA), last)
}

fn protect() -> Found {
    let cpu = other_cpu()?;
    let guest = Arc::new(load()?);
    let worker = begin(&guest, [command::COUNT, DATA + 8, u64::MAX], cpu, serve)?;
    that(wait_until(5_000, || guest.word(DATA + 8) > 0), "it does not count")?;
    must("protecting", guest.space.protect(DATA, DATA_BYTES, Rights::READ))?;
    let last = guest.word(DATA + 8);
    equal(worker.result(5_000), Some(1))?;
    equal(FAULT.load(SeqCst), DATA + 8)?;
    equal(guest.word(DATA + 8), last)
}

fn destroy_space() -> Found {
    let cpu = other_cpu()?;
    for what in [command::COUNT, command::GETPID] {
        let guest = Arc::new(load()?);
        let worker = begin(&guest, [what, DATA, u64::MAX], cpu, serve)?;
        that(!wait_until(20, || worker.is_done()), "it does not run")?;
        must("destroying the space", guest.space.destroy())?;
        // Its pages go before the space does: it may fault first.
        that(matches!(worker.result(5_000), Some(1 | 2)), "it runs on in a space that is gone")?;
    }
    Ok(())
}

fn destroy_thread() -> Found {
    let cpu = other_cpu()?;
    let pool = Pool(start::POOL);
    let guest = Arc::new(load()?);
    for what in [command::SPIN, command::GETPID, command::COUNT] {
        let worker = begin(&guest, [what, DATA, u64::MAX], cpu, serve)?;
        that(!wait_until(20, || worker.is_done()), "it does not run")?;
        let (_, before) = must("asking the pool", pool.usage())?;
        must("destroying the thread", worker.thread.end())?;
        let (_, after) = must("asking the pool", pool.usage())?;
        // Its context, and what it paid for the state page.
        that(before - after >= 2, "it gave nothing back")?;
        let last = guest.word(DATA);
        that(!wait_until(10, || guest.word(DATA) != last), "it counts on")?;
    }
    Ok(())
}

fn enter_gone() -> Found {
    let guest = load()?;
    let mut task = attach(&guest, [command::GETPID, 0, 0])?;
    equal(sys::guest::run(), Ok(sys::guest::reason::SYSCALL))?;
    must("destroying the space", guest.space.destroy())?;
    for _ in 0..3 {
        equal(task.serve(), End::Failed { error: Error::Gone, word: 0 })?;
    }
    Ok(())
}

fn others_come_and_go() -> Found {
    let cpu = other_cpu()?;
    let guest = Arc::new(load()?);
    let worker = begin(&guest, [command::COUNT, DATA, u64::MAX], cpu, serve)?;
    let caller = begin(&guest, [command::GETPID, 0, 0], cpu, serve)?;
    for _ in 0..200 {
        let space = must("making a space", rt::guest::Space::new(Pool(start::POOL)))?;
        let memory = must("making memory", Pool(start::POOL).create_memory(PAGE_BYTES))?;
        must("mapping", space.map(memory, 0, DATA, PAGE_BYTES, Rights::READ))?;
        must("destroying the space", space.destroy())?;
        must("giving memory back", sys::Capability::delete(memory))?;
    }
    for worker in [worker, caller] {
        must("kicking", worker.thread.kick_guest())?;
        equal(worker.result(5_000), Some(3))?;
    }
    that(guest.word(DATA) > 0, "it did not count")
}
