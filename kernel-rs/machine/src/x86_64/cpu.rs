// SPDX-License-Identifier: PMPL-1.0-or-later
//! Control registers, model-specific registers, and which features this CPU has.
//!
//! Features are probed on the first CPU; every other one must have the same (they do, or firmware is broken).

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

pub const EFER: u32 = 0xc000_0080;
pub const STAR: u32 = 0xc000_0081;
pub const LSTAR: u32 = 0xc000_0082;
pub const SYSCALL_MASK: u32 = 0xc000_0084;
pub const FS_BASE: u32 = 0xc000_0100;
pub const GS_BASE: u32 = 0xc000_0101;
pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
pub const APIC_BASE: u32 = 0x1b;
pub const TSC_DEADLINE: u32 = 0x6e0;

const EFER_SYSCALL: u64 = 1;
const EFER_NO_EXECUTE: u64 = 1 << 11;

/// Features, as bits of one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    pub const FSGSBASE: Features = Features(1 << 0);
    pub const SMEP: Features = Features(1 << 1);
    pub const SMAP: Features = Features(1 << 2);
    pub const UMIP: Features = Features(1 << 3);
    pub const X2APIC: Features = Features(1 << 4);
    pub const TSC_DEADLINE: Features = Features(1 << 5);
    pub const INVARIANT_TSC: Features = Features(1 << 6);

    pub fn has(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }
}

static FEATURES: AtomicU32 = AtomicU32::new(0);

pub fn features() -> Features {
    Features(FEATURES.load(Relaxed))
}

fn cpuid(leaf: u32) -> CpuidResult {
    if leaf & 0x7fff_ffff > __cpuid(leaf & 0x8000_0000).eax & 0x7fff_ffff {
        return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    }
    __cpuid_count(leaf, 0)
}

/// Asks the first CPU what it can do (SDM volume 2, CPUID).
pub fn probe() {
    let (one, seven, power) = (cpuid(1), cpuid(7), cpuid(0x8000_0007));
    let bits = [
        (seven.ebx & 1 != 0, Features::FSGSBASE),
        (seven.ebx & 1 << 7 != 0, Features::SMEP),
        (seven.ebx & 1 << 20 != 0, Features::SMAP),
        (seven.ecx & 1 << 2 != 0, Features::UMIP),
        (one.ecx & 1 << 21 != 0, Features::X2APIC),
        (one.ecx & 1 << 24 != 0, Features::TSC_DEADLINE),
        (power.edx & 1 << 8 != 0, Features::INVARIANT_TSC),
    ];
    FEATURES.store(bits.iter().filter(|(on, _)| *on).fold(0, |all, (_, f)| all | f.0), Relaxed);
}

pub fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: 1. reading one of the constants above has no side effect on memory; 2. they exist on every x86_64 CPU, or
    // the caller probed the feature.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    (high as u64) << 32 | low as u64
}

/// # Safety
/// The value must keep what the kernel relies on: entry points, per-CPU base, page protections.
pub unsafe fn write_msr(msr: u32, value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags))
    };
}

pub fn read_cr2() -> u64 {
    let value;
    // SAFETY: 1. reading CR2 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

pub fn read_cr3() -> u64 {
    let value;
    // SAFETY: 1. reading CR3 has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// The tables must map the kernel as `kernel_space` does and stay alive while they are loaded.
pub unsafe fn write_cr3(root: u64) {
    // SAFETY: the caller's. Global pages are off, so this drops every entry of the TLB.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

pub fn invalidate_page(address: u64) {
    // SAFETY: 1. dropping a TLB entry only costs time.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

pub fn timestamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: 1. reads a counter. The fence keeps it from being read early.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    (high as u64) << 32 | low as u64
}

/// Turns on, on this CPU, the protections that the kernel relies on. Runs before the kernel's page tables are loaded.
pub fn protect() {
    // CR0: monitor coprocessor, native FPU errors, write protection; no emulation, caches on.
    const SET: u64 = 1 << 1 | 1 << 5 | 1 << 16;
    const CLEAR: u64 = 1 << 2 | 1 << 3 | 1 << 29 | 1 << 30;
    let (mut cr0, mut cr4): (u64, u64);
    let has = |f| features().has(f);
    // SAFETY: 1. NX, write protection, SMEP, SMAP and UMIP only forbid more; 2. each bit of CR4 is set if CPUID has it;
    // 3. FXSAVE and FSGSBASE concern user state, which `user_state` keeps per thread; 4. PGE off: CR3 writes flush all.
    unsafe {
        write_msr(EFER, read_msr(EFER) | EFER_SYSCALL | EFER_NO_EXECUTE);
        asm!("mov {}, cr0", out(reg) cr0, options(nomem, nostack));
        cr0 = (cr0 | SET) & !CLEAR;
        asm!("mov cr0, {}", in(reg) cr0, options(nostack));
        asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack));
        cr4 &= !(1 << 7 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 22);
        // FXSAVE and unmasked SIMD exceptions; time stamp readable by user code.
        cr4 = (cr4 | 1 << 9 | 1 << 10) & !(1 << 2);
        for (feature, bit) in [(Features::UMIP, 11), (Features::FSGSBASE, 16), (Features::SMEP, 20), (Features::SMAP, 21)] {
            if has(feature) {
                cr4 |= 1 << bit;
            }
        }
        asm!("mov cr4, {}", in(reg) cr4, options(nostack));
    }
    super::machine_check::init();
    super::user_state::init();
}

/// Copies words, the first first.
///
/// # Safety
/// As `core::ptr::copy_nonoverlapping`, but that the two may be the same.
#[inline(always)]
pub(crate) unsafe fn copy_words(from: *const u64, to: *mut u64, count: usize) {
    // SAFETY: the caller's; the direction flag is clear in the kernel.
    unsafe {
        asm!("rep movsq", inout("rcx") count => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack, preserves_flags))
    };
}

/// Stops this CPU for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: 1. interrupts off and halted: only an NMI wakes it, into this loop again.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
