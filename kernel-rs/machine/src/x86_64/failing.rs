// SPDX-License-Identifier: PMPL-1.0-or-later
//! Failures on purpose, for tests of how the kernel ends: only the debug operation that asks for them leads here.

use crate::Failing;
use core::arch::asm;
use core::hint::black_box;

/// Does not return.
pub fn fail(how: Failing) -> ! {
    match how {
        Failing::StackOverflow => {
            deeper(0);
        }
        // SAFETY: 1. no page is mapped there; the CPU faults and the kernel ends.
        Failing::PageFault => unsafe { asm!("mov [{}], {0:e}", in(reg) 0xffff_ffff_ffff_e000u64, options(nostack)) },
        // SAFETY: 1. the fault of the first push finds no stack; the double fault has one of its own, and the kernel ends.
        Failing::DoubleFault => unsafe { asm!("mov rsp, {}", "push rax", in(reg) 0xffff_ffff_ffff_e000u64, options(noreturn)) },
        // SAFETY: 1. the instruction is there to be undefined; the kernel ends.
        Failing::Undefined => unsafe { asm!("ud2", options(noreturn)) },
        Failing::Panic => {}
    }
    panic!("asked to fail");
}

#[inline(never)]
fn deeper(n: u64) -> u64 {
    let frame = black_box([n; 64]);
    if n == u64::MAX { n } else { deeper(n + 1) + frame[(n % 64) as usize] }
}
