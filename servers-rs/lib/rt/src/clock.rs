// SPDX-License-Identifier: PMPL-1.0-or-later
//! Time that never goes back.

use core::time::Duration;

/// Nanoseconds since the kernel started.
pub fn now_ns() -> u64 {
    sys::clock_now()
}
/// Milliseconds since the loader took over, as far as the startup block tells.
pub fn boot_ms() -> u64 {
    now_ns().saturating_add(crate::start::facts().clock_offset_ns) / 1_000_000
}
/// The point in time that lies `delay` ahead, in nanoseconds.
pub fn deadline_ns(delay: Duration) -> u64 {
    now_ns().saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX))
}
