// SPDX-License-Identifier: PMPL-1.0-or-later
//! A thread's registers as `Op::ThreadReadRegisters` writes them into the message buffer and `Op::ThreadWriteRegisters`
//! takes them from there; what a thread does, as `Op::ThreadUsage` tells it.

pub mod doing {
    /// Never started, or at its end.
    pub const NOTHING: u64 = 0;
    /// Stopped by `Op::ThreadStop`.
    pub const STOPPED: u64 = 1;
    /// Ready, or running.
    pub const RUNS: u64 = 2;
    /// Waits for messages.
    pub const RECEIVES: u64 = 3;
    /// Waits for anything else: an answer, a receiver, a notification, the next period of its budget.
    pub const WAITS: u64 = 4;
}

/// Words of a register set.
pub const REGISTERS: usize = 20;

/// Number of each word.
pub struct Words {
    pub rax: usize,
    pub rbx: usize,
    pub rcx: usize,
    pub rdx: usize,
    pub rsi: usize,
    pub rdi: usize,
    pub rbp: usize,
    pub rsp: usize,
    /// r8 to r15 follow one another.
    pub r8: usize,
    pub rip: usize,
    /// Flags that are the system's are ignored.
    pub rflags: usize,
    pub fs_base: usize,
    pub gs_base: usize,
}

pub const WORD: Words = Words {
    rax: 0,
    rbx: 1,
    rcx: 2,
    rdx: 3,
    rsi: 4,
    rdi: 5,
    rbp: 6,
    rsp: 7,
    r8: 8,
    rip: 16,
    rflags: 17,
    fs_base: 18,
    gs_base: 19,
};
