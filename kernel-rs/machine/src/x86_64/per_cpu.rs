// SPDX-License-Identifier: PMPL-1.0-or-later
//! What each CPU has of its own, the kernel's state behind its lock (`lock`), and how CPUs reach each other.
//!
//! TLB shootdown: the CPU that changes page tables asks each CPU that has those tables loaded and waits for its answer.
//! A CPU answers at kernel entry and while it waits for the kernel lock, so the wait always ends (`shootdown`).

use super::cpu::{self, GS_BASE, KERNEL_GS_BASE};
use super::{apic, guest, kernel_space};
use crate::local::{BEFORE_NOBODY, Core, Maker, Nobody};
use crate::memory::PageTable;
use crate::shootdown::{self, Request};
use crate::{MAX_CPUS, lock};
use abi::boot_info::USER_END;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*, fence};

/// The first fields stand where `entry` expects them.
#[repr(C)]
pub struct PerCpu {
    this: AtomicU64,
    /// Top of the kernel stack, a multiple of 16.
    pub stack_top: AtomicU64,
    /// Parks the user's stack pointer during `syscall`.
    pub(super) scratch: AtomicU64,
    /// The registers, and what comes with them, of the thread that runs here: never null.
    loaded: AtomicPtr<u8>,
    /// This CPU's flag of the kernel lock.
    pub flag: AtomicU32,
    user_end: u64,
    /// Its `Core::Own`.
    pub own: AtomicPtr<u8>,
    /// `index` plus 1.
    pub home: AtomicU64,
    pub index: AtomicUsize,
    pub apic_id: AtomicU32,
    pub online: AtomicBool,
    /// What the timer is set to; all ones = off.
    pub alarm_ns: AtomicU64,
    /// Root of the page tables that are loaded.
    pub(super) root: AtomicU64,
    request: AtomicU32,
    /// Block of the running thread's context if it is attached to a guest, else 0; and the roots it may load.
    pub(super) guest: AtomicU64,
    pub(super) pins: [AtomicU64; 2],
    nobody: UnsafeCell<Nobody>,
}

// SAFETY: 1. all is atomic but `nobody`, which only the entry code of its CPU touches, under that CPU's flag.
unsafe impl Sync for PerCpu {}

const FLUSH: u32 = 1;
const RETIRE: u32 = 2;

static CPUS: [PerCpu; MAX_CPUS] = [const {
    PerCpu {
        this: AtomicU64::new(0),
        stack_top: AtomicU64::new(0),
        scratch: AtomicU64::new(0),
        loaded: AtomicPtr::new(core::ptr::null_mut()),
        flag: AtomicU32::new(0),
        user_end: USER_END,
        own: AtomicPtr::new(core::ptr::null_mut()),
        home: AtomicU64::new(0),
        index: AtomicUsize::new(0),
        apic_id: AtomicU32::new(0),
        online: AtomicBool::new(false),
        alarm_ns: AtomicU64::new(u64::MAX),
        root: AtomicU64::new(0),
        request: AtomicU32::new(0),
        guest: AtomicU64::new(0),
        pins: [AtomicU64::new(0), AtomicU64::new(0)],
        nobody: UnsafeCell::new(Nobody::NEW),
    }
}; MAX_CPUS];

/// CPUs that run, once the first one knows; they have the first numbers.
static COUNT: AtomicUsize = AtomicUsize::new(1);

fn running_cpus() -> &'static [PerCpu] {
    &CPUS[..COUNT.load(Relaxed).min(MAX_CPUS)]
}

/// Counts the CPUs, before any but the first enters the kernel.
pub fn count() {
    COUNT.store(CPUS.iter().take_while(|c| c.online.load(Acquire)).count().max(1), Relaxed);
}

/// Any CPU's block.
pub fn cpu_block(index: usize) -> &'static PerCpu {
    &CPUS[index]
}

/// This CPU's block.
#[inline(always)]
pub fn this() -> &'static PerCpu {
    let address: u64;
    // SAFETY: 1. in the kernel GS points to this CPU's block (`install`, and swapgs on every entry); 2. its first word
    // is its own address, which never changes; 3. blocks are static.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) address, options(nostack, preserves_flags, pure, nomem));
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
    block.home.store(index as u64 + 1, Relaxed);
    block.loaded.store(nobody(block), Relaxed);
    block.apic_id.store(apic_id, Relaxed);
    block.root.store(kernel_space::root(), Relaxed);
    // SAFETY: 1. a static block; 2. the user's GS base is 0 until a thread sets it.
    unsafe {
        cpu::write_msr(GS_BASE, block as *const PerCpu as u64);
        cpu::write_msr(KERNEL_GS_BASE, 0);
    }
}

fn nobody(block: &PerCpu) -> *mut u8 {
    (block.nobody.get() as *mut u8).wrapping_add(BEFORE_NOBODY)
}

/// What this CPU runs.
#[inline(always)]
pub(crate) fn loaded(_: u64) -> *mut u8 {
    this().loaded.load(Relaxed)
}

/// What another CPU runs.
pub(crate) fn loaded_on(cpu: usize) -> *mut u8 {
    let block = &CPUS[cpu];
    let at = block.loaded.load(Relaxed);
    if at.is_null() { nobody(block) } else { at }
}

/// This CPU, of that number, runs that from now on.
#[inline(always)]
pub(crate) fn set_loaded(_: usize, at: *mut u8) {
    this().loaded.store(at, Relaxed);
}

/// This CPU, of that number, runs nothing.
pub fn run_nothing(_: usize) {
    this().loaded.store(nobody(this()), Relaxed);
}

/// The object there is about to go: no CPU may run it. All locks are held.
pub(crate) fn forget_loaded(at: *mut u8) {
    for block in running_cpus() {
        if block.loaded.load(Relaxed) == at {
            assert!(core::ptr::eq(block, this()), "removed while another CPU runs it");
            block.loaded.store(nobody(block), Relaxed);
        }
    }
}

/// Loads an address space on this CPU. It stays loaded until another one is, or until it is destroyed.
#[inline(always)]
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

#[inline(always)]
pub(super) fn load(root: u64) {
    if this().root.load(Relaxed) != root {
        this().root.store(root, Relaxed);
        // SAFETY: 1. `PageTable::new` copies the kernel's half; 2. `PageTable::destroy` retires the root first.
        unsafe { cpu::write_cr3(root) };
    }
}

/// Answers what other CPUs asked of this one.
#[inline]
pub fn answer() {
    shootdown::answer(&this().request, do_request);
}

#[cold]
fn do_request(what: u32) {
    let block = this();
    // A flush of everything: other CPUs' changes are rare enough.
    if what & RETIRE != 0 {
        guest::roots_retired();
        block.root.store(kernel_space::root(), Relaxed);
        // SAFETY: 1. the kernel's own tables.
        unsafe { cpu::write_cr3(kernel_space::root()) };
    } else {
        // SAFETY: 1. the same tables again.
        unsafe { cpu::write_cr3(cpu::read_cr3()) };
    }
}

/// Asks every other CPU that has `root` loaded, and waits. Under the kernel lock, so nobody loads it meanwhile.
fn ask_others(root: u64, request: u32) {
    let me = this().index.load(Relaxed);
    let others = || running_cpus().iter().enumerate().filter(|(n, c)| *n != me && c.online.load(Relaxed));
    let mut asked = 0u64;
    // The tables were written before: a CPU that does not have them loaded yet will load them as they are now.
    fence(SeqCst);
    for (n, other) in others() {
        let may_load = request == RETIRE && other.pins.iter().any(|p| p.load(Relaxed) == root);
        if may_load || other.root.load(Relaxed) == root {
            other.request.post(request);
            apic::send(other.apic_id.load(Relaxed), apic::FLUSH);
            asked |= 1 << n;
        }
    }
    let asked = others().filter(|(n, _)| asked & 1 << n != 0).map(|(_, c)| &c.request);
    shootdown::wait(asked, core::hint::spin_loop);
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
    guest::count_retired();
    guest::roots_retired();
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

/// The kernel's state, for whoever holds all flags of the lock, and what each CPU has of its own in local mode.
pub struct KernelLock<K: Core> {
    state: UnsafeCell<Option<K>>,
    own: [UnsafeCell<MaybeUninit<K::Own>>; MAX_CPUS],
}

// SAFETY: 1. `state` is reached only by the holder of all flags, one CPU at a time; 2. each `own` only by its CPU, in
// local mode (`entry`); it is made on the first CPU, before any other runs, and nothing in it is tied to a CPU but by
// where it is kept, and `K`, being `Send`, keeps none of it.
unsafe impl<K: Core + Send> Sync for KernelLock<K> {}

impl<K: Core> KernelLock<K> {
    pub const fn new() -> KernelLock<K> {
        KernelLock { state: UnsafeCell::new(None), own: [const { UnsafeCell::new(MaybeUninit::uninit()) }; MAX_CPUS] }
    }

    /// Puts the state in, before anyone uses it.
    pub fn set(&self, state: K) {
        self.locked(|slot| *slot = Some(state));
    }

    /// Makes each CPU's own part. Called once, before any CPU runs user code.
    pub(super) fn make_own(&'static self) {
        for (block, own) in running_cpus().iter().zip(&self.own) {
            let made = self.with(|kernel| kernel.own(&Maker::new(block.index.load(Relaxed))));
            // SAFETY: 1. its CPU is not in local mode: it has not run yet.
            let at = unsafe { (*own.get()).write(made) };
            block.own.store(at as *mut K::Own as *mut u8, Relaxed);
        }
    }

    #[inline(always)]
    fn locked<R>(&self, act: impl FnOnce(&mut Option<K>) -> R) -> R {
        let flags = || running_cpus().iter().map(|c| &c.flag);
        lock::take_all(flags(), || {
            answer();
            core::hint::spin_loop();
        });
        // SAFETY: 1. this CPU holds all flags: nobody else is here, nobody is in local mode; 2. interrupts are off, so
        // this CPU does not come here twice; a panic never comes back.
        let result = act(unsafe { &mut *self.state.get() });
        lock::give_all(flags());
        result
    }

    /// Runs with the kernel's state to itself, if no other CPU has a flag: a pointer, since it may go back to local mode in
    /// between, in which there is no reference to the state.
    ///
    /// # Safety
    /// This CPU holds its own flag, and keeps it.
    #[inline(always)]
    pub(super) unsafe fn with_others<R>(&self, act: impl FnOnce(*mut K) -> R) -> Option<R> {
        let me = this();
        let others = || running_cpus().iter().filter(|c| !core::ptr::eq(*c, me)).map(|c| &c.flag);
        let alone = COUNT.load(Relaxed) == 1;
        if !alone && !lock::try_take_others(others()) {
            return None;
        }
        // SAFETY: as `locked`; 3. the flag that was not taken here is the caller's, and no `Local` is there yet.
        let kernel = unsafe { (*self.state.get()).as_mut() };
        let result = act(kernel.expect("the kernel's state is set before any CPU runs"));
        if !alone {
            lock::give_all(others());
        }
        Some(result)
    }

    /// Runs with the kernel's state to itself.
    #[inline(always)]
    pub fn with<R>(&self, act: impl FnOnce(&mut K) -> R) -> R {
        self.locked(|slot| act(slot.as_mut().expect("the kernel's state is set before any CPU runs")))
    }
}

impl<K: Core> Default for KernelLock<K> {
    fn default() -> Self {
        Self::new()
    }
}
