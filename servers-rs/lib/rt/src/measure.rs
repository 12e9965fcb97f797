// SPDX-License-Identifier: PMPL-1.0-or-later
//! How many instructions a piece of work takes, in an emulator that counts one nanosecond for each (`-icount shift=0`):
//! there the time stamp counter is a count of instructions. Elsewhere it is time, in a unit of the CPU's.

/// The time stamp counter.
#[inline(always)]
pub fn counter() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a counter and nothing else; the kernel lets user programs do it (CR4.TSD is clear).
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Tells an observer outside the machine (`scripts/peer/heavy-operations.c`) that a measured loop begins. To the CPU it
/// is an instruction that does nothing, with a displacement that no compiler writes.
#[inline(always)]
pub fn begin() {
    // SAFETY: a no-operation of seven bytes (Intel SDM volume 2, NOP: multi-byte form); its address is never used.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".byte 0x0f, 0x1f, 0x80, 0x01, 0x52, 0x46, 0x7f", options(nostack, nomem, preserves_flags))
    }
}

/// Tells it that what was measured is over, or goes on with the next `begin`.
#[inline(always)]
pub fn end() {
    // SAFETY: as in `begin`.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".byte 0x0f, 0x1f, 0x80, 0x02, 0x52, 0x46, 0x7f", options(nostack, nomem, preserves_flags))
    }
}

/// Asks it to say what it saw between all pairs of `begin` and `end` since it said so last.
#[inline(always)]
pub fn report() {
    // SAFETY: as in `begin`.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".byte 0x0f, 0x1f, 0x80, 0x03, 0x52, 0x46, 0x7f", options(nostack, nomem, preserves_flags))
    }
}

/// Asks it to forget what it saw since then.
#[inline(always)]
pub fn forget() {
    // SAFETY: as in `begin`.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".byte 0x0f, 0x1f, 0x80, 0x04, 0x52, 0x46, 0x7f", options(nostack, nomem, preserves_flags))
    }
}
