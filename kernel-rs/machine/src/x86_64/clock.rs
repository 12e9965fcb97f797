// SPDX-License-Identifier: PMPL-1.0-or-later
//! Time: the time stamp counter as clock, the local APIC's one-shot timer (or TSC deadline) as alarm.
//!
//! Both are measured once against the 8254 timer, whose rate is the only one that never varies.

use super::cpu::{self, Features, features, timestamp};
use super::per_cpu::this;
use super::{apic, ports};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PIT_HZ: u64 = 1_193_182;
/// 20 ms: long enough for 0.01 % with a latency of 2 us, short enough for the boot.
const MEASURE_PIT_TICKS: u64 = PIT_HZ / 50;

/// Counter at the kernel's time 0.
pub(super) static BASE: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds per count, times 2^32.
pub(super) static NS_PER_COUNT: AtomicU64 = AtomicU64::new(1 << 32);
/// Counts of the TSC and of the local APIC timer per nanosecond, times 2^32.
static COUNTS_PER_NS: AtomicU64 = AtomicU64::new(0);
static TIMER_PER_NS: AtomicU64 = AtomicU64::new(0);

fn scale(value: u64, factor: u64) -> u64 {
    ((value as u128 * factor as u128) >> 32) as u64
}

/// Measures both rates; the local APIC must be on.
pub fn init() {
    BASE.store(timestamp(), Relaxed);
    apic::start_timer_for_measure();
    // SAFETY: 1. channel 2 of the 8254 drives the speaker, which stays off (bit 1 of 0x61); nobody else uses it.
    let (counts, timer) = unsafe {
        ports::outb(0x61, ports::inb(0x61) & !3);
        // Channel 2, low then high byte, mode 0: output goes high when the count is through.
        ports::outb(0x43, 0xb0);
        ports::outb(0x42, MEASURE_PIT_TICKS as u8);
        ports::outb(0x42, (MEASURE_PIT_TICKS >> 8) as u8);
        ports::outb(0x61, ports::inb(0x61) & !2 | 1);
        let (start, timer) = (timestamp(), apic::timer_count());
        while ports::inb(0x61) & 0x20 == 0 {
            core::hint::spin_loop();
        }
        let result = (timestamp() - start, timer.wrapping_sub(apic::timer_count()) as u64);
        ports::outb(0x61, ports::inb(0x61) & !3);
        result
    };
    let ns = MEASURE_PIT_TICKS * 1_000_000_000 / PIT_HZ;
    let ratio = |a: u64, b: u64| (((a as u128) << 32) / b.max(1) as u128) as u64;
    NS_PER_COUNT.store(ratio(ns, counts), Relaxed);
    COUNTS_PER_NS.store(ratio(counts, ns), Relaxed);
    TIMER_PER_NS.store(ratio(timer, ns), Relaxed);
}

/// Nanoseconds since the kernel started.
pub fn now_ns() -> u64 {
    scale(timestamp().wrapping_sub(BASE.load(Relaxed)), NS_PER_COUNT.load(Relaxed))
}

/// Nanoseconds from one reading of the counter to time 0.
pub fn ns_before_start(counter: u64) -> u64 {
    let base = BASE.load(Relaxed);
    if counter == 0 || counter > base { 0 } else { scale(base - counter, NS_PER_COUNT.load(Relaxed)) }
}

/// Sets this CPU's alarm; `None` turns it off. An alarm in the past fires at once. One that was set for an earlier time
/// stays: it goes off once for nothing, which is cheaper than setting the timer at each switch of threads.
pub fn set_timer(deadline_ns: Option<u64>) {
    if this().alarm_ns.load(Relaxed) <= deadline_ns.unwrap_or(u64::MAX) {
        return;
    }
    this().alarm_ns.store(deadline_ns.unwrap_or(u64::MAX), Relaxed);
    if features().has(Features::TSC_DEADLINE) {
        let counter = match deadline_ns {
            None => 0,
            Some(ns) => (BASE.load(Relaxed) + scale(ns, COUNTS_PER_NS.load(Relaxed))).max(1),
        };
        // SAFETY: 1. the feature was probed; 2. the deadline only raises the timer's interrupt.
        unsafe { cpu::write_msr(cpu::TSC_DEADLINE, counter) };
        return;
    }
    let count = match deadline_ns {
        None => 0,
        // Rounded up: an alarm that is early would only be set again.
        Some(ns) => (scale(ns.saturating_sub(now_ns()), TIMER_PER_NS.load(Relaxed)) + 1).min(u32::MAX as u64),
    };
    apic::set_timer_count(count as u32);
}

/// Whether this CPU's timer goes off by then anyway. If it does not it may have gone off already.
#[inline(always)]
pub fn timer_fires_by(deadline_ns: u64) -> bool {
    this().alarm_ns.load(Relaxed) <= deadline_ns
}

/// The alarm went off: the next one must be set even if it is for the same time.
pub fn alarm_fired() {
    this().alarm_ns.store(u64::MAX, Relaxed);
}

/// Waits, for hardware that wants a pause.
pub fn spin_us(us: u64) {
    let end = now_ns() + us * 1000;
    while now_ns() < end {
        core::hint::spin_loop();
    }
}
