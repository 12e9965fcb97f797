// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the handler of a thread's faults receives: an ordinary call, with the badge of the handler's capability.
//!
//! Replying with label 0 resumes the thread where it stopped (a page fault is tried again); replying with any other
//! label, or destroying the thread, ends it. An exit has no answer: a reply to it is dropped.

/// Labels of messages that the kernel sends in a thread's name.
pub mod label {
    /// Words: 0 [`super::Cause`], 1 address (page fault: what was touched), 2 error code of the CPU, 3 `rip`,
    /// 4 `rsp`, 5 `rflags`, 6 `rbp`, 7.. the other general registers (rax rbx rcx rdx rsi rdi r8..r15).
    pub const FAULT: u32 = 0xffff_0002;
    /// Word 0: the code that the thread gave to `Op::ThreadExit`.
    pub const EXIT: u32 = 0xffff_0003;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Cause {
    DivideError = 0,
    Debug = 1,
    Breakpoint = 3,
    Overflow = 4,
    BoundRange = 5,
    InvalidOpcode = 6,
    DeviceNotAvailable = 7,
    StackSegment = 12,
    GeneralProtection = 13,
    PageFault = 14,
    FloatingPoint = 16,
    AlignmentCheck = 17,
    SimdFloatingPoint = 19,
}

impl Cause {
    /// The vector of the Intel SDM (volume 3, table 6-1) as a cause, if user code can raise it.
    pub const fn from_vector(vector: u8) -> Option<Cause> {
        Some(match vector {
            0 => Cause::DivideError,
            1 => Cause::Debug,
            3 => Cause::Breakpoint,
            4 => Cause::Overflow,
            5 => Cause::BoundRange,
            6 => Cause::InvalidOpcode,
            7 => Cause::DeviceNotAvailable,
            12 => Cause::StackSegment,
            13 => Cause::GeneralProtection,
            14 => Cause::PageFault,
            16 => Cause::FloatingPoint,
            17 => Cause::AlignmentCheck,
            19 => Cause::SimdFloatingPoint,
            _ => return None,
        })
    }
    pub const fn name(self) -> &'static str {
        match self {
            Cause::DivideError => "divide error",
            Cause::Debug => "debug trap",
            Cause::Breakpoint => "breakpoint",
            Cause::Overflow => "overflow",
            Cause::BoundRange => "bound range exceeded",
            Cause::InvalidOpcode => "invalid opcode",
            Cause::DeviceNotAvailable => "device not available",
            Cause::StackSegment => "stack-segment fault",
            Cause::GeneralProtection => "general protection",
            Cause::PageFault => "page fault",
            Cause::FloatingPoint => "x87 floating point",
            Cause::AlignmentCheck => "alignment check",
            Cause::SimdFloatingPoint => "SIMD floating point",
        }
    }
}
