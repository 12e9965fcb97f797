// SPDX-License-Identifier: PMPL-1.0-or-later
//! Descriptor tables: segments, task state with the exception stacks, interrupt vectors (SDM volume 3, chapters 3, 6, 8).

use super::cpu::{self, LSTAR, STAR, SYSCALL_MASK};
use super::entry;
use super::kernel_space::Stacks;
use crate::MAX_CPUS;
use core::arch::asm;

/// Selectors; user ones are in `crate::registers`. `sysret` wants user data right before user code.
pub const KERNEL_CODE: u16 = 0x08;
const KERNEL_DATA: u16 = 0x10;
const TASK: u16 = 0x28;

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct TaskState {
    reserved: u32,
    /// Stacks on entry from a less privileged level.
    privileged: [u64; 3],
    reserved2: u64,
    exception: [u64; 7],
    reserved3: u64,
    reserved4: u16,
    io_map: u16,
}

#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Block {
    segments: [u64; 7],
    task: TaskState,
}

const EMPTY: Block = Block {
    segments: [
        0,
        0x00af_9b00_0000_ffff, // kernel code, 64 bits
        0x00cf_9300_0000_ffff, // kernel data
        0x00cf_f300_0000_ffff, // user data
        0x00af_fb00_0000_ffff, // user code, 64 bits
        0,
        0,
    ],
    // An I/O map beyond the limit: no port is open to user code.
    task: TaskState {
        reserved: 0,
        privileged: [0; 3],
        reserved2: 0,
        exception: [0; 7],
        reserved3: 0,
        reserved4: 0,
        io_map: size_of::<TaskState>() as u16,
    },
};

static mut BLOCKS: [Block; MAX_CPUS] = [EMPTY; MAX_CPUS];
static mut VECTORS: [[u64; 2]; 256] = [[0; 2]; 256];

/// Exception stacks: NMI, double fault and machine check each have their own (SDM 6.14.5).
fn exception_stack(vector: usize) -> u64 {
    match vector {
        8 => 1,
        2 => 2,
        18 => 3,
        _ => 0,
    }
}

/// Fills the vectors that all CPUs share.
#[allow(clippy::needless_range_loop)]
pub fn init_vectors() {
    for n in 0..256 {
        let at = entry::stub(n);
        // Interrupt gate: present, interrupts off. Breakpoint and overflow may be raised by user code.
        let kind: u64 = if matches!(n, 3 | 4) { 0xee } else { 0x8e };
        let low = at & 0xffff | (KERNEL_CODE as u64) << 16 | exception_stack(n) << 32 | kind << 40 | (at >> 16 & 0xffff) << 48;
        // SAFETY: 1. once, on the first CPU, before any CPU loads the table.
        unsafe { (&raw mut VECTORS[n]).write([low, at >> 32]) };
    }
}

/// Loads this CPU's tables and its way in by `syscall`.
pub fn load(index: usize, stacks: &Stacks) {
    // SAFETY: 1. block `index` is this CPU's alone; 2. descriptors are constants, the task state's stacks are mapped
    // with guard pages; 3. the code segment keeps its selector and meaning; 4. STAR's bases match the table above.
    unsafe {
        let block = &raw mut BLOCKS[index];
        let task = &raw mut (*block).task;
        (&raw mut (*task).privileged).write_unaligned([stacks.main, 0, 0]);
        (&raw mut (*task).exception).write_unaligned([stacks.double_fault, stacks.nmi, stacks.machine_check, 0, 0, 0, 0]);
        let (base, limit) = (task as u64, size_of::<TaskState>() as u64 - 1);
        (*block).segments[5] = limit & 0xffff | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
        (*block).segments[6] = base >> 32;
        let segments = Pointer { limit: 55, base: &raw const (*block).segments as u64 };
        let vectors = Pointer { limit: 4095, base: &raw const VECTORS as u64 };
        asm!(
            "lgdt [{segments}]",
            "lidt [{vectors}]",
            "push {code}", "lea {t}, [rip + 2f]", "push {t}", "retfq", "2:",
            "mov ds, {data:e}", "mov es, {data:e}", "mov ss, {data:e}",
            "mov fs, {zero:e}", "mov gs, {zero:e}",
            "ltr {task:x}",
            segments = in(reg) &segments, vectors = in(reg) &vectors, code = in(reg) KERNEL_CODE as u64,
            data = in(reg) KERNEL_DATA as u64, zero = in(reg) 0u64, task = in(reg) TASK as u64, t = out(reg) _,
        );
        cpu::write_msr(STAR, (KERNEL_CODE as u64) << 32 | (KERNEL_DATA as u64) << 48);
        cpu::write_msr(LSTAR, entry::syscall_address());
        // Cleared on entry: trap, interrupt, direction, I/O privilege, nested task, alignment check.
        cpu::write_msr(SYSCALL_MASK, 0x0004_7700);
    }
}
