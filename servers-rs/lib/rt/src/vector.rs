// SPDX-License-Identifier: PMPL-1.0-or-later
//! Vector registers by hand, for test programs: no native program uses any, so a thread has them from its first call
//! here on, and the compiler never notices.

/// The sixteen registers: 32 bytes each with AVX, else 16 and the rest zero.
pub type Registers = [[u8; 32]; 16];

/// Whether the kernel lets user code have AVX state (SDM volume 1, 14.3).
pub fn has_avx() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const NEEDED: u32 = 1 << 27 | 1 << 28;
        if core::arch::x86_64::__cpuid(1).ecx & NEEDED != NEEDED {
            return false;
        }
        let components: u32;
        // SAFETY: 1. CPUID says that XGETBV may be used. 2. It reads a register and nothing else.
        unsafe { core::arch::asm!("xgetbv", in("ecx") 0, out("eax") components, out("edx") _, options(nomem, nostack)) };
        components & 6 == 6
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_os = "none")]
macro_rules! each {
    ($before:literal, $name:literal, $after:literal, $pointer:expr, $step:literal) => {
        core::arch::asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            concat!($before, $name, $after),
            concat!("add {p}, ", $step),
            ".endr",
            p = inout(reg) $pointer => _,
            options(nostack),
        )
    };
}

/// Loads all sixteen.
pub fn load(registers: &Registers) {
    let from = registers.as_ptr();
    // SAFETY: 1. sixteen times 32 bytes are read, which is what there is. 2. The target has no vector registers, so the
    // compiler keeps nothing in them.
    #[cfg(target_os = "none")]
    unsafe {
        match has_avx() {
            true => each!("vmovdqu ", "ymm\\n", ", [{p}]", from, "32"),
            false => each!("movdqu ", "xmm\\n", ", [{p}]", from, "32"),
        }
    }
    let _ = from;
}

/// What stands in all sixteen.
pub fn read() -> Registers {
    let mut registers = [[0; 32]; 16];
    let to = registers.as_mut_ptr();
    // SAFETY: 1. sixteen times 32 bytes are written, which is what there is.
    #[cfg(target_os = "none")]
    unsafe {
        match has_avx() {
            true => each!("vmovdqu [{p}], ", "ymm\\n", "", to, "32"),
            false => each!("movdqu [{p}], ", "xmm\\n", "", to, "32"),
        }
    }
    let _ = to;
    registers
}
