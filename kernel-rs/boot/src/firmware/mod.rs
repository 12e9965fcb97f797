// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the loader asks of UEFI, one file a subject. Decides nothing: `main.rs` and the library do.

pub mod com1;
pub mod console;
pub mod disk;
pub mod facts;
pub mod protocol;
pub mod tpm;
pub mod variables;

use core::arch::asm;

/// Whether boot services can still be called.
pub fn is_there() -> bool {
    uefi::table::system_table_raw().is_some_and(|system| {
        // SAFETY: 1. The pointer is the firmware's system table, given to our entry point. 2. It stays mapped until the jump.
        let system = unsafe { system.as_ref() };
        !system.boot_services.is_null()
    })
}

/// Sleeps for ever, interrupts as they are: a timer tick of the firmware wakes the CPU now and then and it sleeps again.
/// Never resets: a machine without a bootable slot must show why, not start over.
pub fn stop() -> ! {
    loop {
        // SAFETY: 1. `hlt` waits for an interrupt and touches neither memory nor flags. 2. The loader runs in ring 0,
        // as UEFI and the kernel's handover both have it.
        unsafe { asm!("hlt", options(nomem, nostack, preserves_flags)) }
    }
}
