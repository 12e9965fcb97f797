// SPDX-License-Identifier: PMPL-1.0-or-later
//! What of a thread stays in the CPU while the kernel runs: FS and GS bases, and the vector registers of a thread that
//! used them. Kernel and native programs use none, so most threads never have any.
//!
//! CR0.TS is set but for a thread that uses vector registers: the first use by another raises #NM, and `kernel` gives
//! the thread a context. The state is switched when the thread is, never later: what one thread left in the registers
//! is not there for another to speculate on.

use super::cpu::{self, Features, features};
use super::guest;
use crate::context::{Block, Image, UserState, VECTOR_BYTES};
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// State components that user code gets: x87, SSE, AVX (SDM volume 1, 13.1).
const COMPONENTS: u64 = 7;
const TASK_SWITCHED: u64 = 1 << 3;

/// Components that are switched; 0 = the CPU has no XSAVE, FXSAVE does it.
static MASK: AtomicU32 = AtomicU32::new(0);
static OPTIMIZED: AtomicU32 = AtomicU32::new(0);
/// Bits of MXCSR that this CPU has (SDM volume 1, 11.6.6).
static MXCSR_MASK: AtomicU32 = AtomicU32::new(0);
/// Bytes of an image: what the CPU writes, as a multiple of 8.
static LENGTH: AtomicU32 = AtomicU32::new(512);

/// Readies this CPU; the same on each. Part of `cpu::protect`.
pub fn init() {
    // SAFETY: 1. OSXSAVE and XCR0 are set only if CPUID has them, to components whose image fits (`components`);
    // 2. they, and TS, concern user state alone, which the functions below keep per thread.
    unsafe {
        if __cpuid(1).ecx & 1 << 26 != 0 {
            let mut cr4: u64;
            asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack));
            asm!("mov cr4, {}", in(reg) cr4 | 1 << 18, options(nostack));
            let mask = components();
            asm!("xsetbv", in("ecx") 0, in("eax") mask, in("edx") 0, options(nostack));
            MASK.store(mask, Relaxed);
            OPTIMIZED.store(__cpuid_count(0xd, 1).eax & 1, Relaxed);
            LENGTH.store(__cpuid_count(0xd, 0).ebx.next_multiple_of(8).min(VECTOR_BYTES as u32), Relaxed);
        }
        let mut image = Image([0; VECTOR_BYTES]);
        asm!("clts", "fxsave64 [{}]", in(reg) image.0.as_mut_ptr(), options(nostack, preserves_flags));
        let mask = u32::from_le_bytes([image.0[28], image.0[29], image.0[30], image.0[31]]);
        MXCSR_MASK.store(if mask == 0 { 0xffbf } else { mask }, Relaxed);
        set_task_switched();
    }
}

/// What the CPU has of [`COMPONENTS`], as far as its image fits into a context: AVX stands last.
fn components() -> u32 {
    let mask = __cpuid_count(0xd, 0).eax & COMPONENTS as u32;
    let avx = __cpuid_count(0xd, 2);
    if mask & 4 != 0 && (avx.eax + avx.ebx) as usize > VECTOR_BYTES { mask & 3 } else { mask }
}

/// User code faults on the next use of a vector register.
///
/// # Safety
/// The registers hold nothing that is not saved or given up.
unsafe fn set_task_switched() {
    let mut cr0: u64;
    // SAFETY: 1. TS only makes user code fault; 2. the rest stays.
    unsafe {
        asm!("mov {}, cr0", out(reg) cr0, options(nomem, nostack, preserves_flags));
        asm!("mov cr0, {}", in(reg) cr0 | TASK_SWITCHED, options(nostack));
    }
}

fn save(image: &mut Image) {
    let (to, mask) = (image.0.as_mut_ptr(), MASK.load(Relaxed));
    // SAFETY: 1. `Image` has room for all components of the mask (`components`) and is aligned to 64; 2. TS is clear:
    // the thread uses vector registers; 3. XSAVEOPT leaves out what is as it was loaded from this same image, and
    // every change of an image by software is followed by `load` before `save`.
    unsafe {
        match (mask, OPTIMIZED.load(Relaxed)) {
            (0, _) => asm!("fxsave64 [{}]", in(reg) to, options(nostack, preserves_flags)),
            (_, 0) => asm!("xsave64 [{}]", in(reg) to, in("eax") mask, in("edx") 0, options(nostack, preserves_flags)),
            _ => asm!("xsaveopt64 [{}]", in(reg) to, in("eax") mask, in("edx") 0, options(nostack, preserves_flags)),
        }
    }
}

/// Loads an image; user code may use the registers from then on.
fn load(image: &Image) {
    let (from, mask) = (image.0.as_ptr(), MASK.load(Relaxed));
    // SAFETY: 1. the image was written by `save`, or is the initial one, or was checked, so nothing reserved is set and
    // the CPU takes it; 2. TS clear only lets user code use what is the thread's own now.
    unsafe {
        asm!("clts", options(nostack, preserves_flags));
        match mask {
            0 => asm!("fxrstor64 [{}]", in(reg) from, options(nostack, preserves_flags)),
            _ => asm!("xrstor64 [{}]", in(reg) from, in("eax") mask, in("edx") 0, options(nostack, preserves_flags)),
        }
    }
}

/// Takes what the running thread has in the CPU.
#[inline(always)]
pub fn save_user(state: &mut UserState) {
    // SAFETY: 1. between the two swapgs nothing uses GS (one asm block, interrupts off; an NMI does not use it);
    // 2. FSGSBASE was probed.
    if features().has(Features::FSGSBASE) {
        unsafe {
            asm!("rdfsbase {}", "swapgs", "rdgsbase {}", "swapgs", out(reg) state.fs_base, out(reg) state.gs_base, options(nostack, preserves_flags));
        }
    }
    if state.context.is_some() {
        save_context(state);
    }
}

/// Puts a thread's state into the CPU. The bases are canonical: they came from the CPU or were checked.
#[inline(always)]
pub fn load_user(state: &UserState) {
    // SAFETY: 1. as `save_user`; 2. without FSGSBASE user code cannot change the bases, and they are user addresses.
    unsafe {
        if features().has(Features::FSGSBASE) {
            asm!("wrfsbase {}", "swapgs", "wrgsbase {}", "swapgs", in(reg) state.fs_base, in(reg) state.gs_base, options(nostack, preserves_flags));
        } else {
            cpu::write_msr(cpu::FS_BASE, state.fs_base);
            cpu::write_msr(cpu::KERNEL_GS_BASE, state.gs_base);
        }
    }
    if state.context.is_some() {
        load_context(state);
    }
}

/// From one thread's state to another's: the bases, and one test if neither has a context.
#[inline(always)]
pub fn switch_user(from: &mut UserState, to: &UserState) {
    if !features().has(Features::FSGSBASE) {
        return switch_by_msr(from, to);
    }
    // SAFETY: as `save_user` and `load_user`.
    unsafe {
        asm!(
            "rdfsbase {old_fs}", "wrfsbase {fs}", "swapgs", "rdgsbase {old_gs}", "wrgsbase {gs}", "swapgs",
            old_fs = out(reg) from.fs_base, old_gs = out(reg) from.gs_base, fs = in(reg) to.fs_base, gs = in(reg) to.gs_base,
            options(nostack, preserves_flags)
        );
    }
    if from.context.is_some() | to.context.is_some() {
        switch_contexts(from, to);
    }
}

/// These two keep the registers of who calls them, so that the way without them saves none.
#[cold]
#[inline(never)]
extern "rust-cold" fn switch_contexts(from: &mut UserState, to: &UserState) {
    save_context(from);
    load_context(to);
}

#[cold]
#[inline(never)]
extern "rust-cold" fn switch_by_msr(from: &mut UserState, to: &UserState) {
    save_user(from);
    load_user(to);
}

#[inline(never)]
fn save_context(state: &mut UserState) {
    let Some(context) = &mut state.context else { return };
    let block = context.block_mut();
    if block.uses_vector {
        save(&mut block.vector);
        // SAFETY: 1. saved just now.
        unsafe { set_task_switched() };
    }
    guest::unpin_roots();
}

#[inline(never)]
fn load_context(state: &UserState) {
    guest::pin_roots(state);
    let Some(context) = &state.context else { return };
    let block = context.block();
    block.guest.check_roots(context.latch());
    if block.uses_vector {
        load(&block.vector);
    }
}

/// The running thread uses vector registers from now on, in their initial state.
pub fn begin_vector(state: &mut UserState) {
    if let Some(context) = &mut state.context {
        begin(context.block_mut());
    }
}

pub(super) fn begin(block: &mut Block) {
    block.uses_vector = true;
    block.vector.clear();
    load(&block.vector);
}

/// Writes the running thread's vector registers to its block's image; how long it is.
pub(crate) fn save_vector(block: &mut Block) -> usize {
    if !block.uses_vector {
        begin(block);
    }
    let (to, mask) = (block.vector.0.as_mut_ptr(), MASK.load(Relaxed));
    // SAFETY: as `save`; 4. XSAVE writes every component, also one in its initial state.
    unsafe {
        match mask {
            0 => asm!("fxsave64 [{}]", in(reg) to, options(nostack, preserves_flags)),
            _ => asm!("xsave64 [{}]", in(reg) to, in("eax") mask, in("edx") 0, options(nostack, preserves_flags)),
        }
    }
    LENGTH.load(Relaxed) as usize
}

/// Loads the image in the running thread's block, which was checked.
pub(crate) fn load_vector(block: &mut Block) {
    block.uses_vector = true;
    load(&block.vector);
}

/// Components that an image may have, and bits of MXCSR.
pub(crate) fn vector_limits() -> (u64, u32) {
    let mask = MASK.load(Relaxed) as u64;
    (if mask == 0 { 3 } else { mask }, MXCSR_MASK.load(Relaxed))
}

/// The running thread is about to be destroyed: this CPU forgets what it has of it.
pub fn forget_user() {
    // SAFETY: 1. the registers' content is given up; the next thread that uses them loads its own.
    unsafe { set_task_switched() };
    guest::unpin_roots();
}

/// Sets FS base of the running thread to a user address.
pub fn set_fs_base(address: u64) {
    assert!(address < abi::boot_info::USER_END);
    // SAFETY: 1. a canonical address (asserted); the kernel does not use FS.
    unsafe { cpu::write_msr(cpu::FS_BASE, address) };
}
