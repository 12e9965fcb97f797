// SPDX-License-Identifier: PMPL-1.0-or-later
//! Machine checks: the hardware found an error in itself (SDM volume 3, chapter 16). A CPU without CR4.MCE shuts down on
//! one, which looks like a reset without a reason; so they are turned on, and what the banks say is printed.

use super::console::print_urgent;
use super::cpu::{read_msr, write_msr};
use core::arch::asm;
use core::arch::x86_64::__cpuid;

const CAPABILITIES: u32 = 0x179;
const STATUS: u32 = 0x17a;
const CONTROL: u32 = 0x17b;
/// Control, status, address, more: four registers a bank.
const BANKS: u32 = 0x400;
const MOST_BANKS: u32 = 32;
const CONTROL_PRESENT: u64 = 1 << 8;
const VALID: u64 = 1 << 63;
const HAS_MORE: u64 = 1 << 59;
const HAS_ADDRESS: u64 = 1 << 58;
const MACHINE_CHECK_ENABLE: u64 = 1 << 6;

fn banks() -> u32 {
    // CPUID leaf 1, EDX: bit 7 machine check exception, bit 14 machine check architecture.
    const BOTH: u32 = 1 << 7 | 1 << 14;
    if __cpuid(1).edx & BOTH != BOTH {
        return 0;
    }
    (read_msr(CAPABILITIES) & 0xff).min(MOST_BANKS as u64) as u32
}

/// Turns them on, on this CPU.
pub fn init() {
    let count = banks();
    // SAFETY: 1. CPUID and the capabilities say that these registers are there; 2. they only make errors known; 3. the
    // vector has a handler with a stack of its own.
    unsafe {
        if count > 0 && read_msr(CAPABILITIES) & CONTROL_PRESENT != 0 {
            write_msr(CONTROL, u64::MAX);
        }
        for bank in 0..count {
            write_msr(BANKS + 4 * bank, u64::MAX);
            write_msr(BANKS + 4 * bank + 1, 0);
        }
        if __cpuid(1).edx & 1 << 7 != 0 {
            asm!("mov {t}, cr4", "or {t}, {bit}", "mov cr4, {t}", t = out(reg) _, bit = const MACHINE_CHECK_ENABLE, options(nostack));
        }
    }
}

/// Prints what this CPU's banks hold; returns the first bank with an error and its status.
pub fn report() -> Option<(u32, u64)> {
    let mut first = None;
    for bank in 0..banks() {
        let at = BANKS + 4 * bank;
        // Address and more are there only if the status says so.
        let status = read_msr(at + 1);
        let read = |there: u64, register: u32| if status & there != 0 { read_msr(register) } else { 0 };
        let (address, more) = (read(HAS_ADDRESS, at + 2), read(HAS_MORE, at + 3));
        if status & VALID != 0 {
            print_urgent(format_args!("kernel:   bank {bank}: status {status:#018x}, address {address:#x}, more {more:#x}"));
            first = first.or(Some((bank, status)));
        }
    }
    if banks() > 0 {
        print_urgent(format_args!("kernel:   global status {:#x}", read_msr(STATUS)));
    }
    first
}
