// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest execution: the page through which a thread and its guest's registers meet.
//!
//! A guest is an ordinary address space in which foreign programs run: all 47 bits are theirs, nothing of the thread's
//! own program is mapped there. A thread attaches itself to a space and to a page (`Op::GuestAttach`); `Op::GuestRun`
//! loads the registers that stand in the page and goes on in the space, in ring 3, until the guest comes out again.
//! Then the registers stand in the page, and the operation returns with the reason. One thread of the guest is one
//! thread of ours, so whatever waits just waits; several threads may be attached to one space, each with its own page.
//!
//! | comes out | reason | in the page besides the registers |
//! | --- | --- | --- |
//! | executed `syscall` | [`reason::SYSCALL`] | `rcx`, `r11`: as the CPU leaves them; nothing of it reached the kernel |
//! | did what the CPU refuses, or trapped | [`reason::EXCEPTION`] | `vector`, `error`, `address` (SDM volume 3, 6.15) |
//! | was kicked (`Op::GuestKick`) | [`reason::KICKED`] | nothing |
//! | its address space was destroyed | none: the operation fails with `Gone` | nothing |
//!
//! Interrupts, the end of a time slice or of a budget do not bring it out: it goes on later where it was.
//!
//! Vector registers (x87, SSE, AVX) stay in the CPU: whoever attaches must not use any for its own purposes.
//! `Op::GuestSaveVector` and `Op::GuestLoadVector` move them to and from the page, at [`VECTOR_OFFSET_BYTES`].
//!
//! # What is believed
//!
//! Anybody may write the page at any moment. `GuestRun` reads each word once, and refuses or masks what could reach the
//! kernel: `rip`, `fs_base` and `gs_base` must be below `boot_info::USER_END`, else `BadArgument` names the word
//! ([`word`]); of `rflags` only carry, parity, adjust, zero, sign, trap, direction, overflow, alignment check and
//! identification are taken, interrupts are always on. `rsp` and the general registers may be anything.

/// The page. It is 4096 bytes; what is not named here is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    /// Why the guest came out last: [`reason`].
    pub reason: u64,
    /// How it goes in: [`resume`]. The kernel sets it whenever the guest comes out, so only who changes `rcx` or
    /// `r11` after a system call must.
    pub resume: u64,
    /// Of an exception: number, error code of the CPU (0 if it has none), and for a page fault what was touched.
    pub vector: u64,
    pub error: u64,
    pub address: u64,
}

/// Why the guest came out; value 0 of `Op::GuestRun`.
pub mod reason {
    pub const SYSCALL: u64 = 1;
    pub const EXCEPTION: u64 = 2;
    pub const KICKED: u64 = 3;
}

/// Values of [`State::resume`].
pub mod resume {
    /// As after a system call: `rcx` becomes `rip`, `r11` becomes `rflags`. The shortest way.
    pub const FROM_SYSCALL: u64 = 0;
    /// With all registers as they stand in the page; so any other value.
    pub const ALL: u64 = 1;
}

/// Words of the page that `BadArgument` can name.
pub mod word {
    pub const RIP: u64 = 16;
    pub const FS_BASE: u64 = 18;
    pub const GS_BASE: u64 = 19;
}

/// Where in the page `GuestSaveVector` writes and `GuestLoadVector` reads an image in the standard format of XSAVE
/// (SDM volume 1, 13.4): what a Linux signal frame holds.
pub const VECTOR_OFFSET_BYTES: usize = 1024;
/// Longest image.
pub const MAX_VECTOR_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn words_stand_where_their_numbers_say_and_the_page_has_room_for_all() {
        assert_eq!(offset_of!(State, rip) as u64, word::RIP * 8);
        assert_eq!(offset_of!(State, fs_base) as u64, word::FS_BASE * 8);
        assert_eq!(offset_of!(State, gs_base) as u64, word::GS_BASE * 8);
        assert!(size_of::<State>() <= VECTOR_OFFSET_BYTES && VECTOR_OFFSET_BYTES + MAX_VECTOR_BYTES <= 4096);
    }
}
