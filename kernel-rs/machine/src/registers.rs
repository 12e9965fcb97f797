// SPDX-License-Identifier: PMPL-1.0-or-later
//! The state of user code that the kernel keeps for a thread that does not run.

use abi::boot_info::USER_END;

/// General registers, in the order in which `x86_64/entry.rs` pushes them. Whatever stands in them, leaving the kernel
/// gives user code only user privileges: [`Registers::confine`] runs on every way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// Why the kernel was entered: the vector, or [`SYSCALL`].
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// `vector` of an entry by the `syscall` instruction: such a frame may be left with `sysret`.
pub const SYSCALL: u64 = 0x100;
/// Length of the `syscall` instruction, to execute it again.
pub const SYSCALL_BYTES: u64 = 2;

/// Selectors of user code and data, as `x86_64/tables.rs` lays out the GDT.
pub const USER_CODE: u64 = 0x23;
pub const USER_DATA: u64 = 0x1b;

/// Carry, parity, adjust, zero, sign, trap, direction, overflow, alignment check, identification.
pub(crate) const USER_FLAGS: u64 = 0x0024_0dd5;
/// Interrupts on, and the bit that always reads one.
pub(crate) const FORCED_FLAGS: u64 = 0x202;

impl Registers {
    /// Registers of a thread that starts.
    pub fn start(rip: u64, rsp: u64, argument: u64) -> Registers {
        let mut r = Registers { rip, rsp, rdi: argument, ..Registers::default() };
        r.confine();
        r
    }

    /// Keeps what a thread expects to find again after a system call that gives it values: the instruction pointer, the
    /// stack, the flags, and the registers that are not part of the call.
    pub fn keep(&mut self, r: &Registers) {
        (self.rbx, self.rbp, self.r12, self.r13, self.r14, self.r15) = (r.rbx, r.rbp, r.r12, r.r13, r.r14, r.r15);
        (self.rip, self.rsp, self.rflags, self.vector) = (r.rip, r.rsp, r.rflags, r.vector);
    }

    /// Takes what another thread kept; the registers of the call stay as they are.
    pub fn take(&mut self, r: &Registers) {
        self.keep(r);
    }

    /// Makes the frame one of user code: user selectors, interrupts on, no privileged flag, an address that the CPU
    /// takes without a fault inside the kernel.
    pub fn confine(&mut self) {
        self.cs = USER_CODE;
        self.ss = USER_DATA;
        self.rflags = self.rflags & USER_FLAGS | FORCED_FLAGS;
        if self.rip > USER_END {
            self.rip = 0;
        }
        if self.vector == SYSCALL {
            self.rcx = self.rip;
            self.r11 = self.rflags;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_from_a_liar_leave_with_user_privileges_only() {
        let mut r = Registers { cs: 8, ss: 16, rflags: u64::MAX, rip: u64::MAX, ..Registers::default() };
        r.confine();
        assert_eq!((r.cs, r.ss, r.rip), (USER_CODE, USER_DATA, 0));
        assert_eq!(r.rflags & 0x3000, 0, "I/O privilege level");
        assert_eq!(r.rflags & 0x4000, 0, "nested task");
        assert_ne!(r.rflags & 0x200, 0, "interrupts on");
    }
}
