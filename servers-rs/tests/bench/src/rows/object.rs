// SPDX-License-Identifier: PMPL-1.0-or-later
//! Objects made and destroyed.

use crate::meter::{part, parts, row};
use core::sync::atomic::{AtomicU32, Ordering};
use rt::thread::Place;
use stage::{POOL, PRIORITY};
use stage::{Trouble, must, same};
use sys::{Capability, FOREVER, Handle, Notification};

static FIRST_SIGNAL: AtomicU32 = AtomicU32::new(0);

/// Create, configure, schedule, start, and the new thread's signal received. Its stack and buffer are there before, its
/// end is not counted: as the peers' row.
pub fn thread() -> Result<(), Trouble> {
    let signal = must("making a notification", POOL.create_notification())?;
    FIRST_SIGNAL.store(signal.handle().0, Ordering::Relaxed);
    let work = || {
        let _ = Notification(Handle(FIRST_SIGNAL.load(Ordering::Relaxed))).signal(1);
    };
    let mut place = must("making room", Place::new(16384))?;
    parts("thread.create_to_first_signal", || {
        let (result, instructions) = part(|| {
            let thread = place.start(POOL, *b"newborn\0", PRIORITY, work)?;
            signal.wait(FOREVER)?;
            Ok(thread)
        });
        must("a thread's first signal", result).map(|_| instructions)
    })?;
    Ok(())
}

pub fn pool() -> Result<(), Trouble> {
    let mut done = 0;
    let passes = row("pool.create_destroy", 1, || {
        done += u64::from(POOL.split(16).and_then(rt::child::destroy_pool).is_ok());
    });
    same("pools", done, passes)
}
