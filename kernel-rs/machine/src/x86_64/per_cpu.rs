// SPDX-License-Identifier: PMPL-1.0-or-later
//! What each CPU has of its own, the kernel lock, and how CPUs reach each other.
//!
//! TLB shootdown: the CPU that changes page tables asks each CPU that has those tables loaded and waits for its answer.
//! A CPU answers at kernel entry and while it waits for the kernel lock, so the wait always ends.

use super::cpu::{self, GS_BASE, KERNEL_GS_BASE};
use super::{apic, kernel_space};
use crate::MAX_CPUS;
use crate::memory::PageTable;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

/// The first three fields stand where `entry` expects them.
#[repr(C)]
pub struct PerCpu {
    this: AtomicU64,
    /// Top of the kernel stack, a multiple of 16.
    pub stack_top: AtomicU64,
    /// Parks the user's stack pointer during `syscall`.
    scratch: AtomicU64,
    pub index: AtomicUsize,
    pub apic_id: AtomicU32,
    pub online: AtomicBool,
    /// What the timer is set to; all ones = off.
    pub alarm_ns: AtomicU64,
    /// Root of the page tables that are loaded.
    root: AtomicU64,
    request: AtomicU32,
}

const FLUSH: u32 = 1;
const RETIRE: u32 = 2;

static CPUS: [PerCpu; MAX_CPUS] = [const {
    PerCpu {
        this: AtomicU64::new(0),
        stack_top: AtomicU64::new(0),
        scratch: AtomicU64::new(0),
        index: AtomicUsize::new(0),
        apic_id: AtomicU32::new(0),
        online: AtomicBool::new(false),
        alarm_ns: AtomicU64::new(u64::MAX),
        root: AtomicU64::new(0),
        request: AtomicU32::new(0),
    }
}; MAX_CPUS];

/// Any CPU's block.
pub fn cpu_block(index: usize) -> &'static PerCpu {
    &CPUS[index]
}

/// This CPU's block.
pub fn this() -> &'static PerCpu {
    let address: u64;
    // SAFETY: 1. in the kernel GS points to this CPU's block (`install`, and swapgs on every entry); 2. its first word
    // is its own address; 3. blocks are static.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) address, options(nostack, preserves_flags, readonly));
        &*(address as *const PerCpu)
    }
}

pub fn first_apic_id() -> u32 {
    CPUS[0].apic_id.load(Relaxed)
}

/// Makes block `index` this CPU's.
pub fn install(index: usize, apic_id: u32, stack_top: u64) {
    let block = &CPUS[index];
    block.this.store(block as *const PerCpu as u64, Relaxed);
    block.stack_top.store(stack_top, Relaxed);
    block.index.store(index, Relaxed);
    block.apic_id.store(apic_id, Relaxed);
    block.root.store(kernel_space::root(), Relaxed);
    // SAFETY: 1. a static block; 2. the user's GS base is 0 until a thread sets it.
    unsafe {
        cpu::write_msr(GS_BASE, block as *const PerCpu as u64);
        cpu::write_msr(KERNEL_GS_BASE, 0);
    }
}

/// Loads an address space on this CPU. It stays loaded until another one is, or until it is destroyed.
pub fn activate(table: &PageTable) {
    load(table.root());
}

/// Whether user memory is reachable on this CPU: not after the space was destroyed.
pub fn has_user_space() -> bool {
    this().root.load(Relaxed) != kernel_space::root()
}

/// Loads the kernel's own page tables: no user memory is reachable.
pub fn activate_kernel() {
    load(kernel_space::root());
}

fn load(root: u64) {
    if this().root.load(Relaxed) != root {
        this().root.store(root, Relaxed);
        // SAFETY: 1. `PageTable::new` copies the kernel's half; 2. `PageTable::destroy` retires the root first.
        unsafe { cpu::write_cr3(root) };
    }
}

/// Answers what other CPUs asked of this one.
#[inline]
pub fn answer() {
    if this().request.load(Acquire) != 0 {
        answer_request();
    }
}

#[cold]
fn answer_request() {
    let block = this();
    // A flush of everything: other CPUs' changes are rare enough.
    if block.request.load(Acquire) & RETIRE != 0 {
        block.root.store(kernel_space::root(), Relaxed);
        // SAFETY: 1. the kernel's own tables.
        unsafe { cpu::write_cr3(kernel_space::root()) };
    } else {
        // SAFETY: 1. the same tables again.
        unsafe { cpu::write_cr3(cpu::read_cr3()) };
    }
    block.request.store(0, Release);
}

/// Asks every other CPU that has `root` loaded, and waits. Under the kernel lock, so nobody loads it meanwhile.
fn ask_others(root: u64, request: u32) {
    let me = this().index.load(Relaxed);
    let others = || CPUS.iter().enumerate().filter(|(n, c)| *n != me && c.online.load(Relaxed));
    let mut asked = 0u64;
    for (n, other) in others() {
        if other.root.load(Relaxed) == root {
            other.request.store(request, Release);
            apic::send(other.apic_id.load(Relaxed), apic::FLUSH);
            asked |= 1 << n;
        }
    }
    for (_, other) in others().filter(|(n, _)| asked & 1 << n != 0) {
        while other.request.load(Acquire) != 0 {
            core::hint::spin_loop();
        }
    }
}

/// After it returns no CPU uses an old translation of that range of that space.
pub(crate) fn flush(root: u64, first: u64, end: u64) {
    /// Pages from which reloading everything is cheaper.
    const FEW: u64 = 32;
    if this().root.load(Relaxed) == root {
        if (end - first) >> 12 <= FEW {
            (first..end).step_by(4096).for_each(cpu::invalidate_page);
        } else {
            // SAFETY: 1. the same tables again.
            unsafe { cpu::write_cr3(root) };
        }
    }
    ask_others(root, FLUSH);
}

/// After it returns no CPU has these tables loaded.
pub(crate) fn retire(root: u64) {
    if this().root.load(Relaxed) == root {
        activate_kernel();
    }
    ask_others(root, RETIRE);
}

/// Makes another CPU enter the kernel.
pub fn kick(cpu: usize) {
    if let Some(block) = CPUS.get(cpu).filter(|b| b.online.load(Relaxed)) {
        apic::send(block.apic_id.load(Relaxed), apic::KICK);
    }
}

/// The one lock of the kernel: who holds it may touch the state in it. It is not first come, first served: on a virtual
/// machine whose CPUs are not always running, a queue would wait for whoever sleeps at its head.
pub struct KernelLock<T> {
    held: AtomicBool,
    state: UnsafeCell<Option<T>>,
}

// SAFETY: 1. `state` is reached only by the holder of the lock, one CPU at a time.
unsafe impl<T: Send> Sync for KernelLock<T> {}

impl<T> KernelLock<T> {
    pub const fn new() -> KernelLock<T> {
        KernelLock { held: AtomicBool::new(false), state: UnsafeCell::new(None) }
    }

    /// Puts the state in, before anyone uses it.
    pub fn set(&self, state: T) {
        self.locked(|slot| *slot = Some(state));
    }

    fn locked<R>(&self, act: impl FnOnce(&mut Option<T>) -> R) -> R {
        while self.held.swap(true, Acquire) {
            while self.held.load(Relaxed) {
                answer();
                core::hint::spin_loop();
            }
        }
        // SAFETY: 1. this CPU holds the lock: nobody else is here; 2. interrupts are off, so this CPU does not come
        // here twice; a panic never comes back.
        let result = act(unsafe { &mut *self.state.get() });
        self.held.store(false, Release);
        result
    }

    /// Runs with the kernel's state to itself.
    pub fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        self.locked(|slot| act(slot.as_mut().expect("the kernel's state is set before any CPU runs")))
    }
}

impl<T> Default for KernelLock<T> {
    fn default() -> Self {
        Self::new()
    }
}
