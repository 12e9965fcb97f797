// SPDX-License-Identifier: PMPL-1.0-or-later
//! Memory: a pool emptied again and again, and a program that makes threads until nothing is left.

use crate::Attack;
use crate::partner::COUNTER;
use core::sync::atomic::Ordering;
use rt::memory::Shared;
use stage::{Give, POOL, Part, Stage, Trouble, must, same};
use sys::{Error, PAGE_BYTES, Rights};

pub const ATTACKS: &[Attack] = &[
    Attack { promise: "a pool that is exhausted and freed 10,000 times leaves exactly what was there", run: exhaust },
    Attack { promise: "a bomb of threads stays in its pool, and its end gives all of it back", run: bomb },
];

const ROUNDS: usize = 10_000;
const FRAMES: u64 = 24;

fn exhaust(_: &Stage) -> Result<(), Trouble> {
    let round = || -> Result<u64, Trouble> {
        let pool = must("splitting", POOL.split(FRAMES))?;
        let mut made = 0;
        let refused = loop {
            match if made % 3 == 0 { pool.create_thread().map(drop) } else { pool.create_memory(PAGE_BYTES).map(drop) } {
                Ok(()) => made += 1,
                Err(error) => break error,
            }
        };
        same("the last answer", refused, Error::NoQuota)?;
        let (limit, used) = must("usage", pool.usage())?;
        if used > limit {
            return Err(alloc::format!("{used} frames in use of {limit}"));
        }
        must("destroying", rt::child::destroy_pool(pool))?;
        Ok(made)
    };
    let first = round()?;
    let before = must("usage", POOL.usage())?;
    for _ in 1..ROUNDS {
        same("objects that it held", round()?, first)?;
    }
    same("the pool's frames", must("usage", POOL.usage())?, before)
}

fn bomb(stage: &Stage) -> Result<(), Trouble> {
    let access = Rights::READ | Rights::WRITE;
    let counted = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let shared = must("mapping", Shared::map(counted, PAGE_BYTES, access))?;
    let counter = shared.atomic(0).ok_or("the first word of a page")?;
    let gives = [Give::Memory(COUNTER, counted, PAGE_BYTES, access)];
    let pause = must("making a notification", POOL.create_notification())?;
    let part = Part { priority: 40, memory_bytes: 3 << 20, ..Part::new("bomb", &gives, stage.accidents) };
    // This program's own page tables grow with the first partner.
    stage.start(&part)?.destroy();
    let before = must("usage", POOL.usage())?;
    for _ in 0..3 {
        counter.store(0, Ordering::SeqCst);
        let bomb = stage.start(&part)?;
        let mut seen = 0;
        loop {
            // 100 ms without another thread: its pool or its table is full.
            same("a wait of this program", pause.wait(100_000_000), Err(Error::TimedOut))?;
            let now = counter.load(Ordering::SeqCst);
            if now > 0 && now == seen {
                break;
            }
            seen = now;
        }
        let (limit, used) = must("usage", bomb.pool.usage())?;
        if used > limit || seen < 10 {
            return Err(alloc::format!("{seen} threads, {used} frames in use of {limit}"));
        }
        bomb.destroy();
        same("the pool's frames", must("usage", POOL.usage())?, before)?;
    }
    Ok(())
}
