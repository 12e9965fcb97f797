// SPDX-License-Identifier: PMPL-1.0-or-later
//! The system-call instruction with any registers, for programs that try to harm the kernel.

/// As they go into a call: `rdi rsi rdx r10 r8 r9`.
pub type Values = [u64; 6];

/// What came out of a call with any registers.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// `rax`.
    pub status: u64,
    /// `rdi rsi rdx r10 r8 r9`.
    pub values: [u64; 6],
    /// `r12` to `r15` are as they were: the kernel keeps them.
    pub kept: bool,
}

/// Calls `number` with `registers` in `rdi rsi rdx r10 r8 r9`.
///
/// # Safety
/// The operation may take away or change any memory of the calling process, and start code anywhere in it.
#[cfg(target_os = "none")]
pub unsafe fn call(number: u64, registers: Values) -> Outcome {
    const SIGN: u64 = 0x5a5a_1234_9876_c3c3;
    let status: u64;
    let mut v = registers;
    let [mut a, mut b, mut c, mut d] = [SIGN, !SIGN, SIGN << 1, SIGN >> 1];
    // SAFETY: 1. registers go in and come out as `abi`'s table says, and `syscall` itself destroys rcx and r11. 2. The
    // kernel switches stacks, so the red zone stays. 3. What the operation may do is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") v[0],
            inlateout("rsi") v[1],
            inlateout("rdx") v[2],
            inlateout("r10") v[3],
            inlateout("r8") v[4],
            inlateout("r9") v[5],
            inlateout("r12") a,
            inlateout("r13") b,
            inlateout("r14") c,
            inlateout("r15") d,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    Outcome { status, values: v, kept: [a, b, c, d] == [SIGN, !SIGN, SIGN << 1, SIGN >> 1] }
}

/// On a host there is no such kernel.
///
/// # Safety
/// None needed; the signature is the one of the real thing.
#[cfg(not(target_os = "none"))]
pub unsafe fn call(_number: u64, registers: Values) -> Outcome {
    Outcome { status: crate::Error::Unsupported as u64, values: registers, kept: true }
}
