// SPDX-License-Identifier: PMPL-1.0-or-later
//! Into the kernel and out again.
//!
//! Every entry pushes one `Registers` on the CPU's stack and calls [`enter`]; there is one stack a CPU, since a thread
//! never waits inside the kernel. Interrupts stay off. The way out is `sysret` if the thread came by `syscall`, else
//! `iret`; or no way out: the CPU idles until an interrupt enters again, on a fresh stack.

use super::per_cpu::{answer, this};
use super::{apic, clock, cpu, fatal};
use crate::registers::{Registers, SYSCALL};
use crate::{Event, Next};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The kernel: gets the CPU's number, whether a thread was interrupted (else the CPU was idle), why, and its registers;
/// leaves the registers to go on with.
pub type Handler = fn(usize, bool, Event, &mut Registers) -> Next;

/// The kernel for a system call, the most frequent way in: the CPU's number and the registers.
pub type SystemCall = fn(usize, &mut Registers) -> Next;

static HANDLER: AtomicUsize = AtomicUsize::new(0);
static SYSTEM_CALL: AtomicUsize = AtomicUsize::new(0);

global_asm!(
    r#"
.section .text.entry, "ax"
.balign 16
.global vector_stubs
vector_stubs:
.set n, 0
.rept 256
  .balign 16
  .if (n == 8) || ((n >= 10) && (n <= 14)) || (n == 17) || (n == 21) || (n == 29) || (n == 30)
  .else
  pushq $0
  .endif
  pushq $n
  jmp entry_common
  .set n, n + 1
.endr

.balign 16
.global entry_syscall
entry_syscall:
  swapgs
  movq %rsp, %gs:16
  movq %gs:8, %rsp
  pushq $0x1b
  pushq %gs:16
  pushq %r11
  pushq $0x23
  pushq %rcx
  pushq $0
  pushq $0x100
  pushq %rax
  pushq %rbx
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %rbp
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  cld
  xorl %ebp, %ebp
  movq %rsp, %rdi
  call {enter_syscall}
  jmp entry_leave

entry_common:
  pushq %rax
  pushq %rbx
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %rbp
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  testb $3, 144(%rsp)
  jz 1f
  swapgs
1:
  cld
  xorl %ebp, %ebp
  movq %rsp, %rdi
  call {enter}

entry_leave:
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rbp
  popq %rdi
  popq %rsi
  popq %rdx
  popq %rcx
  popq %rbx
  testl %eax, %eax
  popq %rax
  jnz 2f
  addq $16, %rsp
  swapgs
  iretq
2:
  movq 40(%rsp), %rsp
  swapgs
  sysretq

.global entry_first
entry_first:
  movq %gs:8, %rsp
  xorl %ebp, %ebp
  movl $22, %ecx
3:
  pushq $0
  loop 3b
  movq %rsp, %rdi
  call {first}
  jmp entry_leave

.global entry_idle
entry_idle:
  movq %gs:8, %rsp
4:
  sti
  hlt
  jmp 4b
"#,
    enter = sym enter,
    enter_syscall = sym enter_syscall,
    first = sym first,
    options(att_syntax)
);

unsafe extern "C" {
    static vector_stubs: u8;
    fn entry_syscall();
    fn entry_first() -> !;
    fn entry_idle() -> !;
}

/// Address of a vector's stub.
pub fn stub(vector: usize) -> u64 {
    &raw const vector_stubs as u64 + vector as u64 * 16
}

pub fn syscall_address() -> u64 {
    entry_syscall as *const () as u64
}

/// Runs the kernel on this CPU, for ever.
pub fn run(handler: Handler, system_call: SystemCall) -> ! {
    SYSTEM_CALL.store(system_call as usize, Relaxed);
    HANDLER.store(handler as usize, Relaxed);
    super::smp::release();
    start_running()
}

/// What a CPU does when the kernel's state is there.
pub fn start_running() -> ! {
    // SAFETY: 1. the per-CPU block holds a mapped stack; whatever is on the present one is not needed again.
    unsafe { entry_first() }
}

/// 0 = leave by `iret`, 1 = leave by `sysret`.
extern "C" fn enter(frame: &mut Registers) -> u64 {
    let from_user = frame.cs & 3 == 3;
    // Their stacks are their own and GS may be the user's: they only ever end in a panic.
    if matches!(frame.vector, 2 | 8 | 18) || !from_user && frame.vector < 32 {
        fatal::exception(frame);
    }
    answer();
    let event = match frame.vector {
        14 => Event::Fault { vector: 14, error: frame.error, address: cpu::read_cr2() },
        vector @ 0..32 => Event::Fault { vector: vector as u8, error: frame.error, address: 0 },
        vector => interrupt(vector as u8),
    };
    dispatch(from_user, event, frame)
}

fn interrupt(vector: u8) -> Event {
    match vector {
        apic::TIMER => {
            apic::end_of_interrupt();
            clock::alarm_fired();
            Event::Timer
        }
        apic::KICK | apic::FLUSH => {
            apic::end_of_interrupt();
            Event::Kick
        }
        _ if (apic::FIRST_VECTOR as usize..apic::FIRST_VECTOR as usize + apic::VECTORS).contains(&(vector as usize)) => {
            apic::acknowledge(vector);
            Event::Interrupt(vector)
        }
        // Spurious interrupts of the local APIC and of the 8259s want no acknowledgement.
        _ => Event::Nothing,
    }
}

/// As [`enter`], for the most frequent way in.
extern "C" fn enter_syscall(frame: &mut Registers) -> u64 {
    answer();
    let address = SYSTEM_CALL.load(Relaxed);
    // SAFETY: 1. `run` stored a `SystemCall` before any user code ran, and nobody stores anything else.
    let handler = unsafe { core::mem::transmute::<usize, SystemCall>(address) };
    let next = handler(this().index.load(Relaxed), frame);
    leave(next, frame)
}

extern "C" fn first(frame: &mut Registers) -> u64 {
    dispatch(false, Event::Nothing, frame)
}

fn dispatch(from_user: bool, event: Event, frame: &mut Registers) -> u64 {
    let address = HANDLER.load(Relaxed);
    // SAFETY: 1. `run` stored a `Handler` before any CPU came here, and nobody stores anything else.
    let handler = unsafe { core::mem::transmute::<usize, Handler>(address) };
    let next = handler(this().index.load(Relaxed), from_user, event, frame);
    leave(next, frame)
}

fn leave(next: Next, frame: &mut Registers) -> u64 {
    match next {
        Next::User => {
            frame.confine();
            (frame.vector == SYSCALL) as u64
        }
        // SAFETY: 1. nothing on this stack is needed again.
        Next::Idle => unsafe { entry_idle() },
    }
}

/// Used by the boot code for a back-trace's start.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let value;
    // SAFETY: 1. reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
