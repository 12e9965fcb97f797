// SPDX-License-Identifier: PMPL-1.0-or-later
//! The machine as an ordinary thread sees it, for tests: time stands still until a test moves it, devices record what
//! is asked of them. One machine per test thread. Same functions as `x86_64`.

use crate::context::UserState;
use crate::memory::{Frames, PageTable};
use core::fmt::Arguments;
use std::cell::RefCell;
use std::collections::BTreeMap;

mod boot;
mod guest;
pub use boot::{test_boot_info, test_bundle};
pub(crate) use guest::{bases, load_vector, pin_roots, save_vector, set_bases, vector_limits};
pub use guest::{guest_faults, guest_runs, guest_syscall, has_guests};

/// What this test thread's machine looks like.
#[derive(Default)]
pub struct Fake {
    pub now_ns: u64,
    pub timer_ns: Option<u64>,
    /// CPUs that were kicked, in order.
    pub kicked: Vec<usize>,
    /// Flushed ranges: root, first address, end.
    pub flushed: Vec<(u64, u64, u64)>,
    pub ports: BTreeMap<u16, u32>,
    /// Masked state of each vector that was routed.
    pub masked: BTreeMap<u8, bool>,
    pub power: Option<Power>,
    pub log: String,
}

thread_local! {
    static FAKE: RefCell<Fake> = RefCell::default();
}

/// Looks at or changes this thread's machine.
pub fn fake<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    FAKE.with(|m| f(&mut m.borrow_mut()))
}

/// Frames 1 to `count` of memory that is made up and never freed.
pub fn test_frames(count: u32) -> Frames {
    // A machine that was just switched on.
    LOADED.with(|l| l.borrow_mut().fill(core::ptr::null_mut()));
    let bytes = vec![[0u64; 512]; count as usize + 1].leak();
    let records = (0..=count).map(|_| Default::default()).collect::<Vec<_>>().leak();
    let bitmap = vec![0; Frames::bitmap_words(count as usize + 1)].leak();
    // SAFETY: 1. leaked memory lives for ever and is used by nobody else; 2. a record for each frame, and their bitmaps.
    unsafe {
        let mut frames = Frames::new(page_aligned(bytes), records, bitmap);
        frames.add_free(1, count - 1);
        frames
    }
}

/// The first page boundary in the memory; one page is lost by it.
fn page_aligned(bytes: &'static mut [[u64; 512]]) -> *mut u8 {
    let first = bytes.as_mut_ptr() as *mut u8;
    first.wrapping_add(first.align_offset(crate::memory::FRAME_BYTES))
}

pub(crate) fn kernel_root_entry(_: usize) -> u64 {
    0
}

pub(crate) fn flush(root: u64, first: u64, end: u64) {
    fake(|m| m.flushed.push((root, first, end)));
}

pub(crate) fn retire(_: u64) {
    crate::guest::RETIRED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
}

pub fn now_ns() -> u64 {
    fake(|m| m.now_ns)
}

pub fn set_timer(deadline_ns: Option<u64>) {
    fake(|m| m.timer_ns = deadline_ns);
}

/// Whether this CPU's timer goes off by then.
pub fn timer_fires_by(deadline_ns: u64) -> bool {
    fake(|m| m.timer_ns.is_some_and(|at| at <= deadline_ns))
}

pub fn kick(cpu: usize) {
    fake(|m| m.kicked.push(cpu));
}

pub fn activate(_: &PageTable) {}

pub fn activate_kernel() {}

pub fn save_user(_: &mut UserState) {}

pub fn load_user(state: &UserState) {
    if let Some(context) = &state.context {
        context.block().guest.check_roots(context.latch());
    }
}

pub fn switch_user(_: &mut UserState, to: &UserState) {
    load_user(to);
}

pub fn begin_vector(state: &mut UserState) {
    if let Some(context) = &mut state.context {
        context.block_mut().uses_vector = true;
    }
}

pub fn forget_user() {}

/// Whether user memory is reachable on this CPU: not after the space was destroyed.
pub fn has_user_space() -> bool {
    true
}

pub fn set_fs_base(_: u64) {}

thread_local! {
    /// What each CPU of this thread's machine runs.
    static LOADED: RefCell<[*mut u8; crate::MAX_CPUS]> = const { RefCell::new([core::ptr::null_mut(); crate::MAX_CPUS]) };
}

/// A place before which there is no home, as on a CPU.
fn nobody() -> *mut u8 {
    static NOBODY: crate::local::Nobody = crate::local::Nobody::NEW;
    (&raw const NOBODY as *mut u8).wrapping_add(crate::local::BEFORE_NOBODY)
}

pub(crate) fn loaded(home: u64) -> *mut u8 {
    let at = LOADED.with(|l| l.borrow()[home as usize - 1]);
    if at.is_null() { nobody() } else { at }
}

pub(crate) fn loaded_on(cpu: usize) -> *mut u8 {
    loaded(cpu as u64 + 1)
}

pub(crate) fn set_loaded(cpu: usize, at: *mut u8) {
    LOADED.with(|l| l.borrow_mut()[cpu] = at);
}

pub(crate) fn forget_loaded(at: *mut u8) {
    LOADED.with(|l| l.borrow_mut().iter_mut().filter(|l| **l == at).for_each(|l| *l = core::ptr::null_mut()));
}

/// This CPU runs nothing.
pub fn run_nothing(cpu: usize) {
    set_loaded(cpu, core::ptr::null_mut());
}

/// # Safety
/// As `core::ptr::copy`.
pub(crate) unsafe fn copy_words(from: *const u64, to: *mut u64, count: usize) {
    // SAFETY: the caller's.
    unsafe { core::ptr::copy(from, to, count) };
}

/// Local mode of a CPU of this machine. Tests run one CPU at a time; whoever holds `state` holds all locks.
pub fn local<K>(_state: &mut K, cpu: usize) -> crate::Local<'_> {
    // SAFETY: 1. one thread is all CPUs of its machine; 2. `state`, through which stores are reached, is borrowed.
    unsafe { crate::Local::new(cpu as u64 + 1) }
}

/// The words of a message, as the entry code reads them.
pub fn sent_words(sent: &crate::local::Sent) -> [u64; 4] {
    // SAFETY: 1. registers of a live object of this test's machine, which nobody writes meanwhile.
    let r = unsafe { &*sent.registers };
    [r.rdx, r.r10, r.r8, r.r9]
}

/// The maker of a CPU's keys.
pub fn maker(cpu: usize) -> crate::Maker {
    crate::Maker::new(cpu)
}

pub fn print(line: Arguments) {
    use std::fmt::Write;
    fake(|m| writeln!(m.log, "{line}").unwrap());
}

/// Width of a port access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    Byte,
    Word,
    Long,
}

pub fn port_in(port: u16, _: Width) -> u32 {
    fake(|m| m.ports.get(&port).copied().unwrap_or(0))
}

pub fn port_out(port: u16, _: Width, value: u32) {
    fake(|m| m.ports.insert(port, value));
}

/// Ports that only the kernel touches.
pub fn port_is_kernels(port: u16) -> bool {
    matches!(port, 0x20 | 0x21 | 0xa0 | 0xa1)
}

/// Whether the page at this physical address is one of the kernel's own devices.
pub fn device_is_kernels(physical: u64) -> bool {
    physical == 0xfee0_0000
}

/// First vector that devices may get, and how many there are.
pub const FIRST_VECTOR: u8 = 0x30;
pub const VECTORS: usize = 160;

/// Trigger and polarity of an I/O APIC input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trigger {
    pub level: bool,
    pub active_low: bool,
}

/// Routes an I/O APIC input to a vector, masked. `false`: there is no such input.
pub fn route_gsi(gsi: u32, vector: u8, _: Trigger) -> bool {
    fake(|m| m.masked.insert(vector, true));
    gsi < 24
}

pub fn mask_gsi(gsi: u32, masked: bool) {
    fake(|m| m.masked.insert(gsi as u8, masked));
}

/// Where a device writes, and what, to raise the vector.
pub fn msi(vector: u8) -> (u64, u32) {
    (0xfee0_0000, vector as u32)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    Reset,
    Off,
}

/// Returns only if the machine cannot do it.
pub fn power(action: Power) {
    fake(|m| m.power = Some(action));
}

/// Ends the test.
pub fn fail(how: crate::Failing) -> ! {
    panic!("asked to fail: {how:?}");
}
