// SPDX-License-Identifier: PMPL-1.0-or-later
//! Faults on purpose, for test programs. Each of these always ends the thread that calls it, unless its fault handler
//! lets it go on; none of them reads or changes anything that is there.

use core::hint::black_box;

/// Reads byte `offset` (below 4096) of the page at address 0, which is never mapped (`manifest::layout`).
pub fn read_null_page(offset: u64) {
    let address = offset % sys::PAGE_BYTES;
    // SAFETY: nothing is mapped there, so nothing is read. Assembly, since to the compiler a null read means "never".
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {0}, qword ptr [{1}]", out(reg) _, in(reg) address, options(nostack, readonly))
    }
}

/// Touches the byte at any address: what is there stays there and is not told, and where nothing is, it is a fault.
#[inline(always)]
pub fn touch(address: u64) {
    // SAFETY: one byte is loaded into a register and dropped. A device's register, where a load has effects, is mapped
    // in a `memory::Window` only, and its owner alone knows where.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {0}, byte ptr [{1}]", out(reg_byte) _, in(reg) address, options(nostack, readonly))
    }
}

/// Writes to the program's own code, which is mapped without the write right.
pub fn write_code() {
    let code = write_code as *const () as u64;
    // SAFETY: the write never happens: a code page is never writable.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov byte ptr [{0}], 0", in(reg) code, options(nostack))
    }
}

/// Jumps onto the stack, which is mapped without the execute right.
pub fn execute_stack() {
    let place = black_box([0xc3u8; 16]);
    // SAFETY: nothing is executed there: a stack is never executable. If it were, 0xc3 returns at once.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("call {0}", in(reg) place.as_ptr(), clobber_abi("C"))
    }
    black_box(place);
}

/// An instruction that is none.
pub fn invalid_opcode() {
    // SAFETY: `ud2` raises the exception and does nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("ud2", options(nostack, nomem))
    }
}

/// An instruction of the kernel's.
pub fn privileged() {
    // SAFETY: in user mode `hlt` raises an exception and does nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("hlt", options(nostack, nomem))
    }
}

/// Reads a port, which no program may do by itself.
pub fn port_in() {
    // SAFETY: in user mode, without the port's permission, `in` raises an exception and does nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("in al, dx", in("dx") 0x3f8u16, out("al") _, options(nostack, nomem))
    }
}

/// Asks where the interrupt table is: with UMIP on (Intel SDM volume 3, 2.5) user mode may not know.
pub fn table_address() {
    let mut told = [0u8; 16];
    // SAFETY: it raises an exception; if it did not, it would write 10 bytes into `told`.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("sidt [{0}]", in(reg) told.as_mut_ptr(), options(nostack))
    }
    black_box(told);
}

/// Calls itself until the page under the stack is touched.
#[allow(unconditional_recursion, reason = "that is the point")]
pub fn overflow_stack() -> u64 {
    let room = black_box([1u64; 64]);
    overflow_stack().wrapping_add(room.iter().sum::<u64>())
}

/// The address of the instruction range of this program, to compare a fault's `rip` with.
pub fn is_code(address: u64) -> bool {
    (0x40_0000..0x1000_0000).contains(&address)
}
