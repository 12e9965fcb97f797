// SPDX-License-Identifier: PMPL-1.0-or-later
//! Into a guest and out of it on this CPU, without the kernel lock and without the scheduler: `GuestRun` of a thread
//! that is attached and needs no attention, the guest's `syscall`, and its exceptions. Whatever else: the long way,
//! through `kernel`.
//!
//! `entry_syscall` comes here if the CPU's `guest` is not null: the running thread is attached. `rsp` holds the thread's
//! block then, not a stack: nothing here may fault but by a broken kernel.

use super::cpu::{self, Features, features};
use super::entry;
use super::per_cpu::{self, PerCpu, this};
use super::user_state;
use crate::context::{Block, Kept, UserState};
use crate::guest::{Exit, Guest, Home, KICK, Latch, RETIRED, STALE};
use crate::registers::{FORCED_FLAGS, Registers, USER_FLAGS};
use crate::{DEVICE_NOT_AVAILABLE, Event};
use abi::boot_info::USER_END;
use abi::error::Error;
use abi::guest::{State, reason, resume, word};
use abi::op::Op;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

const GUEST: usize = offset_of!(Kept, block) + offset_of!(Block, guest);
const HOME: usize = GUEST + offset_of!(Guest, home);

global_asm!(
    r#"
.section .text.entry, "ax"
.balign 16
.global entry_guest
entry_guest:
  movq %rsp, %gs:{scratch}
  movq %gs:{guest}, %rsp
  cmpl $0, {inside}(%rsp)
  jne 4f
  cmpq ${run}, %rax
  jne 1f
  cmpl $0, {attention}(%rsp)
  jne 1f

# GuestRun. Each word of the page is read once: what was checked is what is used.
  movq {state}(%rsp), %rax
  movabsq ${user_end}, %rsi
  movq {rip}(%rax), %rdx
  cmpq %rsi, %rdx
  jae 5f
  movq {fs_base}(%rax), %rdi
  cmpq %rsi, %rdi
  jae 6f
  movq {gs_base}(%rax), %r8
  cmpq %rsi, %r8
  jae 7f
  movl {rflags}(%rax), %r9d
  andl ${user_flags}, %r9d
  orl ${forced_flags}, %r9d
  movq %gs:{scratch}, %r10
  movq %rbx, {home_rbx}(%rsp)
  movq %rbp, {home_rbp}(%rsp)
  movq %r12, {home_r12}(%rsp)
  movq %r13, {home_r13}(%rsp)
  movq %r14, {home_r14}(%rsp)
  movq %r15, {home_r15}(%rsp)
  movq %rcx, {home_rip}(%rsp)
  movq %r11, {home_rflags}(%rsp)
  movq %r10, {home_rsp}(%rsp)
  rdfsbase %r10
  movq %r10, {home_fs_base}(%rsp)
  wrfsbase %rdi
  swapgs
  rdgsbase %r10
  wrgsbase %r8
  swapgs
  movq %r10, {home_gs_base}(%rsp)
  movl $1, {inside}(%rsp)
  movq {guest_root}(%rsp), %r10
  movq %r10, %gs:{root}
  movq %r10, %cr3
  movq {rbx}(%rax), %rbx
  movq {rbp}(%rax), %rbp
  movq {rsi}(%rax), %rsi
  movq {rdi}(%rax), %rdi
  movq {r8}(%rax), %r8
  movq {r10}(%rax), %r10
  movq {r12}(%rax), %r12
  movq {r13}(%rax), %r13
  movq {r14}(%rax), %r14
  movq {r15}(%rax), %r15
  cmpq ${from_syscall}, {resume}(%rax)
  jne 2f
  movq %rdx, %rcx
  movl %r9d, %r11d
  movq {rdx}(%rax), %rdx
  movq {r9}(%rax), %r9
  movq {rsp}(%rax), %rsp
  movq {rax}(%rax), %rax
  swapgs
  sysretq

# With rcx and r11 as well.
2:
  movq %gs:{stack_top}, %rsp
  pushq $0x1b
  pushq {rsp}(%rax)
  pushq %r9
  pushq $0x23
  pushq %rdx
  movq {rcx}(%rax), %rcx
  movq {rdx}(%rax), %rdx
  movq {r9}(%rax), %r9
  movq {r11}(%rax), %r11
  movq {rax}(%rax), %rax
  swapgs
  iretq

# Another call of the thread's own, or one that needs the kernel.
1:
  movq %gs:{scratch}, %rsp
  jmp entry_syscall_home

# A word of the page is refused.
5:
  movl ${rip_word}, %esi
  jmp 8f
6:
  movl ${fs_base_word}, %esi
  jmp 8f
7:
  movl ${gs_base_word}, %esi
8:
  movl ${bad_argument}, %eax
  xorl %edi, %edi
  movq %gs:{scratch}, %rsp
  swapgs
  sysretq

# The guest's syscall.
4:
  movq {state}(%rsp), %rsp
  movq %rax, {rax}(%rsp)
  movq %rbx, {rbx}(%rsp)
  movq %rcx, {rcx}(%rsp)
  movq %rdx, {rdx}(%rsp)
  movq %rsi, {rsi}(%rsp)
  movq %rdi, {rdi}(%rsp)
  movq %rbp, {rbp}(%rsp)
  movq %r8, {r8}(%rsp)
  movq %r9, {r9}(%rsp)
  movq %r10, {r10}(%rsp)
  movq %r11, {r11}(%rsp)
  movq %r12, {r12}(%rsp)
  movq %r13, {r13}(%rsp)
  movq %r14, {r14}(%rsp)
  movq %r15, {r15}(%rsp)
  movq %rcx, {rip}(%rsp)
  movq %r11, {rflags}(%rsp)
  movq %gs:{scratch}, %rax
  movq %rax, {rsp}(%rsp)
  movq ${from_syscall}, {resume}(%rsp)
  movq ${syscall}, {reason}(%rsp)
  movq %gs:{guest}, %rdx
  rdfsbase %rax
  movq %rax, {fs_base}(%rsp)
  movq {home_gs_base}(%rdx), %rcx
  swapgs
  rdgsbase %rax
  wrgsbase %rcx
  swapgs
  movq %rax, {gs_base}(%rsp)
  movq {home_fs_base}(%rdx), %rax
  wrfsbase %rax
  movl $0, {inside}(%rdx)
  testl ${stale}, {attention}(%rdx)
  jnz 3f
  movq {home_root}(%rdx), %rax
  movq %rax, %gs:{root}
  movq %rax, %cr3
  movq {home_rip}(%rdx), %rcx
  movq {home_rflags}(%rdx), %r11
  movq {home_rbx}(%rdx), %rbx
  movq {home_rbp}(%rdx), %rbp
  movq {home_r12}(%rdx), %r12
  movq {home_r13}(%rdx), %r13
  movq {home_r14}(%rdx), %r14
  movq {home_r15}(%rdx), %r15
  movq {home_rsp}(%rdx), %rsp
  xorl %eax, %eax
  movl ${syscall}, %edi
  swapgs
  sysretq

# The thread's own page tables may be gone: the kernel decides.
3:
  movq %gs:{stack_top}, %rsp
  subq ${frame}, %rsp
  xorl %ebp, %ebp
  movq %rsp, %rdi
  call {home_by_kernel}
  jmp entry_leave
"#,
    home_by_kernel = sym home_by_kernel,
    guest = const offset_of!(PerCpu, guest),
    root = const offset_of!(PerCpu, root),
    scratch = const offset_of!(PerCpu, scratch),
    stack_top = const offset_of!(PerCpu, stack_top),
    state = const GUEST + offset_of!(Guest, state),
    attention = const offset_of!(Kept, latch) + offset_of!(Latch, attention),
    inside = const GUEST + offset_of!(Guest, inside),
    home_root = const GUEST + offset_of!(Guest, home_root),
    guest_root = const GUEST + offset_of!(Guest, guest_root),
    home_rbx = const HOME + offset_of!(Home, rbx),
    home_rbp = const HOME + offset_of!(Home, rbp),
    home_r12 = const HOME + offset_of!(Home, r12),
    home_r13 = const HOME + offset_of!(Home, r13),
    home_r14 = const HOME + offset_of!(Home, r14),
    home_r15 = const HOME + offset_of!(Home, r15),
    home_rip = const HOME + offset_of!(Home, rip),
    home_rflags = const HOME + offset_of!(Home, rflags),
    home_rsp = const HOME + offset_of!(Home, rsp),
    home_fs_base = const HOME + offset_of!(Home, fs_base),
    home_gs_base = const HOME + offset_of!(Home, gs_base),
    rax = const offset_of!(State, rax),
    rbx = const offset_of!(State, rbx),
    rcx = const offset_of!(State, rcx),
    rdx = const offset_of!(State, rdx),
    rsi = const offset_of!(State, rsi),
    rdi = const offset_of!(State, rdi),
    rbp = const offset_of!(State, rbp),
    rsp = const offset_of!(State, rsp),
    r8 = const offset_of!(State, r8),
    r9 = const offset_of!(State, r9),
    r10 = const offset_of!(State, r10),
    r11 = const offset_of!(State, r11),
    r12 = const offset_of!(State, r12),
    r13 = const offset_of!(State, r13),
    r14 = const offset_of!(State, r14),
    r15 = const offset_of!(State, r15),
    rip = const offset_of!(State, rip),
    rflags = const offset_of!(State, rflags),
    fs_base = const offset_of!(State, fs_base),
    gs_base = const offset_of!(State, gs_base),
    reason = const offset_of!(State, reason),
    resume = const offset_of!(State, resume),
    run = const Op::GuestRun as u64,
    user_end = const USER_END,
    user_flags = const USER_FLAGS,
    forced_flags = const FORCED_FLAGS,
    from_syscall = const resume::FROM_SYSCALL,
    syscall = const reason::SYSCALL,
    stale = const STALE,
    rip_word = const word::RIP,
    fs_base_word = const word::FS_BASE,
    gs_base_word = const word::GS_BASE,
    bad_argument = const Error::BadArgument as u64,
    frame = const size_of::<Registers>(),
    options(att_syntax)
);

/// Whether this machine can: bases of FS and GS are switched by their instructions.
pub fn has_guests() -> bool {
    features().has(Features::FSGSBASE)
}

/// Where the running thread's context is, if it is attached.
fn attached() -> Option<NonNull<Kept>> {
    NonNull::new(this().guest.load(Relaxed) as *mut Kept)
}

/// The running thread's latch, if it is attached.
fn latch() -> Option<&'static Latch> {
    // SAFETY: 1. `load_context` put the running thread's context there, `save_context` takes it away; 2. a latch is only ever
    // borrowed shared.
    attached().map(|kept| unsafe { &(*kept.as_ptr()).latch })
}

/// The running thread's block, if it is attached.
fn running() -> Option<&'static mut Block> {
    // SAFETY: 1. as `latch`; 2. interrupts are off, and whoever else reaches this thread's context (`kernel`, under its lock)
    // does not run on this CPU meanwhile nor touches more than the latch, which is no part of the block, of a thread that
    // runs elsewhere.
    attached().map(|kept| unsafe { &mut (*kept.as_ptr()).block })
}

/// The running thread's block, if its guest's registers are what was interrupted.
fn inside() -> Option<&'static mut Block> {
    running().filter(|b| b.guest.inside != 0)
}

/// Whether the thread that runs here goes on in its guest.
#[inline(always)]
pub fn is_inside() -> bool {
    this().guest.load(Relaxed) != 0 && inside().is_some()
}

/// The guest did what the CPU refuses. `None`: what was interrupted is no guest.
pub fn exception(frame: &mut Registers) -> Option<u64> {
    let block = inside()?;
    if frame.vector == DEVICE_NOT_AVAILABLE as u64 && !block.uses_vector {
        user_state::begin(block);
        return Some(0);
    }
    let address = if frame.vector == 14 { cpu::read_cr2() } else { 0 };
    Some(go_home(block, frame, Exit::exception(frame.vector, frame.error, address)))
}

/// Right before user code goes on: a guest whose thread was kicked comes out instead. How to leave, then.
pub fn before_leaving(frame: &mut Registers) -> Option<u64> {
    let block = inside()?;
    latch()?.take(KICK).then(|| go_home(block, frame, Exit::KICKED))
}

fn go_home(block: &mut Block, frame: &mut Registers, exit: Exit) -> u64 {
    let bases = block.guest.leave(frame, bases(), exit);
    set_bases(bases);
    if latch().is_some_and(|l| l.has(STALE)) {
        return entry::dispatch(true, Event::Nothing, frame);
    }
    per_cpu::load(block.guest.home_root);
    1
}

/// The short way out of the guest ends here if its thread is stale: all is done but the way home.
extern "C" fn home_by_kernel(frame: &mut Registers) -> u64 {
    if let Some(block) = running() {
        block.guest.come_home(frame, reason::SYSCALL);
    }
    entry::dispatch(true, Event::Nothing, frame)
}

/// FS and GS base of user code. Only with `has_guests`.
pub(crate) fn bases() -> [u64; 2] {
    let (fs, gs): (u64, u64);
    // SAFETY: 1. reads registers; 2. nothing uses GS between the two swapgs; 3. FSGSBASE (`has_guests`).
    unsafe {
        asm!("rdfsbase {}", "swapgs", "rdgsbase {}", "swapgs", out(reg) fs, out(reg) gs, options(nostack, preserves_flags))
    };
    [fs, gs]
}

/// Sets both. They are user addresses, or came from the CPU.
pub(crate) fn set_bases([fs, gs]: [u64; 2]) {
    // SAFETY: as `bases`; 4. canonical.
    unsafe { asm!("wrfsbase {}", "swapgs", "wrgsbase {}", "swapgs", in(reg) fs, in(reg) gs, options(nostack, preserves_flags)) };
}

/// The thread that runs here may load its roots: whoever retires one asks this CPU.
pub(crate) fn pin_roots(state: &UserState) {
    let Some(context) = state.context.as_ref().filter(|c| c.is_attached()) else { return };
    let (block, guest) = (this(), &context.block().guest);
    block.pins[0].store(guest.home_root, SeqCst);
    block.pins[1].store(guest.guest_root, SeqCst);
    block.guest.store(context.address() as u64, Relaxed);
}

/// The thread that runs here no longer does.
pub(crate) fn unpin_roots() {
    let block = this();
    block.guest.store(0, Relaxed);
    block.pins.iter().for_each(|p| p.store(0, Relaxed));
}

/// A root that this CPU has pinned was retired.
pub(crate) fn roots_retired() {
    if let Some(latch) = latch() {
        latch.set(STALE);
    }
}

/// Counts a retired root, before anybody is asked.
pub(crate) fn count_retired() {
    RETIRED.fetch_add(1, SeqCst);
}
