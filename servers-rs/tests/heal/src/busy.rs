// SPDX-License-Identifier: PMPL-1.0-or-later
//! Keeps the CPU from idling while something is measured: where time is counted in instructions, an idle CPU's time jumps to
//! the next timer, however short the disk's answer took.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use sys::{FOREVER, Handle, Notification, Pool, start};

/// Below everybody.
const PRIORITY: u8 = 1;
const STACK_BYTES: u64 = 16384;

static BUSY: AtomicBool = AtomicBool::new(false);
static WORK: AtomicU32 = AtomicU32::new(0);

/// Starts the thread, once.
pub fn prepare() -> sys::Result<()> {
    let work = Pool(start::POOL).create_notification()?;
    WORK.store(work.0.0, Ordering::Relaxed);
    rt::thread::spawn("busy", PRIORITY, STACK_BYTES, None, spin).map(drop)
}

pub fn begin() {
    BUSY.store(true, Ordering::Relaxed);
    let _ = Notification(Handle(WORK.load(Ordering::Relaxed))).signal(1);
}

pub fn end() {
    BUSY.store(false, Ordering::Relaxed);
}

fn spin() {
    let work = Notification(Handle(WORK.load(Ordering::Relaxed)));
    while work.wait(FOREVER).is_ok() {
        while BUSY.load(Ordering::Relaxed) {
            core::hint::spin_loop();
        }
    }
}
