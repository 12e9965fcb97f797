// SPDX-License-Identifier: PMPL-1.0-or-later
//! Into the kernel and out again.
//!
//! An entry pushes one `Registers` on the CPU's stack and calls [`enter`]; there is one stack a CPU, since a thread
//! never waits inside the kernel. Interrupts stay off. The way out is `sysret` if the thread came by `syscall`, else
//! `iret`; or no way out: the CPU idles until an interrupt enters again, on a fresh stack.
//!
//! The most frequent system calls have a shorter way, `local`: it takes this CPU's flag of the lock and saves what the C
//! ABI says a call preserves, and the message, into the thread's own `Registers` (what is loaded). If the kernel
//! declines, and with every other call, the other CPUs' flags are taken as well and the registers stay where they are
//! (`entry_in_place`). If one of the flags is not free the call takes the long way: it waits, its registers on the stack.

use super::per_cpu::{KernelLock, PerCpu, answer, this};
use super::{apic, clock, cpu, fatal, guest};
use crate::local::{Core, Left, Local, Outcome, Sent};
use crate::lock::Flag;
use crate::registers::{FORCED_FLAGS, Registers, SYSCALL, USER_FLAGS};
use crate::{Event, Next};
use abi::message::REGISTER_WORDS;
use abi::op::Op;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
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
  .if (n < 32) && (n != 2) && (n != 8) && (n != 18)
  jmp entry_exception
  .else
  jmp entry_common
  .endif
  .set n, n + 1
.endr

# A system call in local mode: number, and the function that does it.
.macro local number, function
  lock btsl $0, %gs:32
  jc entry_syscall_long
  movq %gs:24, %rax
  movq %r15, 0(%rax)
  movq %r14, 8(%rax)
  movq %r13, 16(%rax)
  movq %r12, 24(%rax)
  movq %r10, 40(%rax)
  movq %r9, 48(%rax)
  movq %r8, 56(%rax)
  movq %rbp, 64(%rax)
  movq %rdi, 72(%rax)
  movq %rsi, 80(%rax)
  movq %rdx, 88(%rax)
  movq %rbx, 104(%rax)
  movq %rcx, 136(%rax)
  movq %r11, 152(%rax)
  movq %rsp, 160(%rax)
  movq %gs:8, %rsp
  xorl %ebp, %ebp
  callq *\function(%rip)
  decl %eax
  je entry_leave_same
  jns entry_resume
  movq %gs:24, %rax
  movq $\number, 112(%rax)
  jmp entry_in_place
.endm

.balign 16
.global entry_syscall
entry_syscall:
  swapgs
  cmpq $0, %gs:{guest}
  jne entry_guest
.global entry_syscall_home
entry_syscall_home:
  cmpq $8, %rax
  je entry_call
  cmpq $11, %rax
  je entry_reply_receive
  cmpq $16, %rax
  je entry_signal
  testq %rax, %rax
  je entry_null
  cmpq $17, %rax
  je entry_wait
  cmpq $2, %rax
  je entry_clock_now
entry_syscall_long:
  movq %rsp, %gs:16
  lock btsl $0, %gs:32
  jc entry_syscall_parked
  movq %gs:24, %rsp
  movq %r15, 0(%rsp)
  movq %r14, 8(%rsp)
  movq %r13, 16(%rsp)
  movq %r12, 24(%rsp)
  movq %r10, 40(%rsp)
  movq %r9, 48(%rsp)
  movq %r8, 56(%rsp)
  movq %rbp, 64(%rsp)
  movq %rdi, 72(%rsp)
  movq %rsi, 80(%rsp)
  movq %rdx, 88(%rsp)
  movq %rbx, 104(%rsp)
  movq %rax, 112(%rsp)
  movq %rcx, 136(%rsp)
  movq %r11, 152(%rsp)
  movq %gs:16, %rcx
  movq %rcx, 160(%rsp)
  movq %rsp, %rax
  movq %gs:8, %rsp
  xorl %ebp, %ebp

# What is loaded, at rax, holds the registers of the call, and this CPU its flag.
entry_in_place:
  movq ${syscall_vector}, 120(%rax)
  callq *{call_in_place}(%rip)
  testl %eax, %eax
  je entry_leave_call
  decl %eax
  je entry_resume
  decl %eax
  je entry_declined
  decl %eax
  je entry_idle
  movq %gs:8, %rsp
  subq ${frame}, %rsp
  movq %rsp, %rdi
  call {leave_in_guest}
  jmp entry_leave

# Other CPUs have flags: the call waits for them, without its own, with the registers on the stack.
entry_syscall_parked:
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

.balign 16
entry_call:
  local 8, {local_call}
.balign 16
entry_reply_receive:
  local 11, {local_reply_receive}
.balign 16
entry_signal:
  local 16, {local_signal}
.balign 16
entry_wait:
  local 17, {local_wait}

entry_null:
  xorl %edi, %edi
  xorl %esi, %esi
  xorl %edx, %edx
  xorl %r10d, %r10d
  swapgs
  sysretq

entry_clock_now:
  lfence
  rdtsc
  shlq $32, %rdx
  orq %rdx, %rax
  subq {base}(%rip), %rax
  mulq {ns_per_count}(%rip)
  shrdq $32, %rdx, %rax
  movq %rax, %rdi
  xorl %eax, %eax
  xorl %esi, %esi
  xorl %edx, %edx
  xorl %r10d, %r10d
  swapgs
  sysretq

# The same thread goes on with the value in its rdi.
entry_leave_same:
  movq %gs:24, %rax
  movq 136(%rax), %rcx
  cmpq %gs:40, %rcx
  ja 5f
  movl 152(%rax), %r11d
  andl ${user_flags}, %r11d
  orl ${forced_flags}, %r11d
  movq 0(%rax), %r15
  movq 8(%rax), %r14
  movq 16(%rax), %r13
  movq 24(%rax), %r12
  movq 64(%rax), %rbp
  movq 72(%rax), %rdi
  movq 104(%rax), %rbx
  movq 160(%rax), %rsp
  xorl %eax, %eax
  xorl %esi, %esi
  xorl %edx, %edx
  xorl %r10d, %r10d
  xorl %r8d, %r8d
  xorl %r9d, %r9d
  movl $0, %gs:32
  swapgs
  sysretq
5:
  ud2

# What is loaded goes on with all of its registers.
entry_resume:
  movq %gs:24, %rax
  movq 136(%rax), %rcx
  cmpq %gs:40, %rcx
  ja 5b
  movl 152(%rax), %edx
  andl ${user_flags}, %edx
  orl ${forced_flags}, %edx
  pushq $0x1b
  pushq 160(%rax)
  pushq %rdx
  pushq $0x23
  pushq %rcx
  movq 0(%rax), %r15
  movq 8(%rax), %r14
  movq 16(%rax), %r13
  movq 24(%rax), %r12
  movq 32(%rax), %r11
  movq 40(%rax), %r10
  movq 48(%rax), %r9
  movq 56(%rax), %r8
  movq 64(%rax), %rbp
  movq 72(%rax), %rdi
  movq 80(%rax), %rsi
  movq 88(%rax), %rdx
  movq 96(%rax), %rcx
  movq 104(%rax), %rbx
  movq 112(%rax), %rax
  movl $0, %gs:32
  swapgs
  iretq

# What is loaded goes on with what its call gave.
entry_leave_call:
  movq %gs:24, %rax
  movq 136(%rax), %rcx
  cmpq %gs:40, %rcx
  ja 5b
  movl 152(%rax), %r11d
  andl ${user_flags}, %r11d
  orl ${forced_flags}, %r11d
  movq 0(%rax), %r15
  movq 8(%rax), %r14
  movq 16(%rax), %r13
  movq 24(%rax), %r12
  movq 40(%rax), %r10
  movq 48(%rax), %r9
  movq 56(%rax), %r8
  movq 64(%rax), %rbp
  movq 72(%rax), %rdi
  movq 80(%rax), %rsi
  movq 88(%rax), %rdx
  movq 104(%rax), %rbx
  movq 160(%rax), %rsp
  movq 112(%rax), %rax
  movl $0, %gs:32
  swapgs
  sysretq

# As if it had never been tried.
entry_declined:
  movq %gs:24, %rcx
  movq 112(%rcx), %rax
  movq 160(%rcx), %r11
  movq %r11, %gs:16
  movq 0(%rcx), %r15
  movq 8(%rcx), %r14
  movq 16(%rcx), %r13
  movq 24(%rcx), %r12
  movq 104(%rcx), %rbx
  movq 40(%rcx), %r10
  movq 48(%rcx), %r9
  movq 56(%rcx), %r8
  movq 64(%rcx), %rbp
  movq 72(%rcx), %rdi
  movq 80(%rcx), %rsi
  movq 88(%rcx), %rdx
  movq 152(%rcx), %r11
  movq 136(%rcx), %rcx
  movl $0, %gs:32
  jmp entry_syscall_parked

# What user code did, outside of guests: in local mode, if this CPU's flag is free.
entry_exception:
  testb $3, 24(%rsp)
  jz entry_common
  swapgs
  cmpq $0, %gs:{guest}
  jne 6f
  lock btsl $0, %gs:32
  jc 6f
  pushq %rax
  movq %gs:24, %rax
  movq %r15, 0(%rax)
  movq %r14, 8(%rax)
  movq %r13, 16(%rax)
  movq %r12, 24(%rax)
  movq %r11, 32(%rax)
  movq %r10, 40(%rax)
  movq %r9, 48(%rax)
  movq %r8, 56(%rax)
  movq %rbp, 64(%rax)
  movq %rdi, 72(%rax)
  movq %rsi, 80(%rax)
  movq %rdx, 88(%rax)
  movq %rcx, 96(%rax)
  movq %rbx, 104(%rax)
  popq 112(%rax)
  popq %rdi
  movq %rdi, 120(%rax)
  popq 128(%rax)
  popq 136(%rax)
  addq $8, %rsp
  popq 152(%rax)
  popq 160(%rax)
  addq $8, %rsp
  cld
  xorl %ebp, %ebp
  callq *{local_fault}(%rip)
  testl %eax, %eax
  jne entry_resume
  movq %gs:24, %rax
  pushq $0x1b
  pushq 160(%rax)
  pushq 152(%rax)
  pushq $0x23
  pushq 136(%rax)
  pushq 128(%rax)
  pushq 120(%rax)
  .set at, 112
  .rept 15
  pushq at(%rax)
  .set at, at - 8
  .endr
  movl $0, %gs:32
  jmp 7f
6:
  swapgs

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
7:
  xorl %ebp, %ebp
  movq %rsp, %rdi
  call {enter}

.global entry_leave
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
    call_in_place = sym CALL_IN_PLACE,
    leave_in_guest = sym leave_in_guest,
    syscall_vector = const SYSCALL,
    frame = const size_of::<Registers>(),
    enter = sym enter,
    enter_syscall = sym enter_syscall,
    first = sym first,
    guest = const offset_of!(PerCpu, guest),
    local_call = sym LOCAL_CALL,
    local_reply_receive = sym LOCAL_REPLY_RECEIVE,
    local_signal = sym LOCAL_SIGNAL,
    local_wait = sym LOCAL_WAIT,
    local_fault = sym LOCAL_FAULT,
    base = sym clock::BASE,
    ns_per_count = sym clock::NS_PER_COUNT,
    user_flags = const USER_FLAGS,
    forced_flags = const FORCED_FLAGS,
    options(att_syntax)
);

static LOCAL_CALL: AtomicUsize = AtomicUsize::new(0);
static LOCAL_REPLY_RECEIVE: AtomicUsize = AtomicUsize::new(0);
static LOCAL_SIGNAL: AtomicUsize = AtomicUsize::new(0);
static LOCAL_WAIT: AtomicUsize = AtomicUsize::new(0);
static LOCAL_FAULT: AtomicUsize = AtomicUsize::new(0);
static CALL_IN_PLACE: AtomicUsize = AtomicUsize::new(0);
/// The `KernelLock`.
static LOCK: AtomicUsize = AtomicUsize::new(0);

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
pub fn run<K: Core + 'static>(lock: &'static KernelLock<K>, handler: Handler, system_call: SystemCall) -> ! {
    super::per_cpu::count();
    lock.make_own();
    LOCAL_CALL.store(local_call::<K, false> as *const () as usize, Relaxed);
    LOCAL_REPLY_RECEIVE.store(local_reply_receive::<K, false> as *const () as usize, Relaxed);
    LOCAL_SIGNAL.store(local_signal::<K> as *const () as usize, Relaxed);
    LOCAL_FAULT.store(local_fault::<K> as *const () as usize, Relaxed);
    LOCAL_WAIT.store(local_wait::<K> as *const () as usize, Relaxed);
    LOCK.store(lock as *const KernelLock<K> as usize, Relaxed);
    CALL_IN_PLACE.store(call_in_place::<K> as *const () as usize, Relaxed);
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

/// This CPU's part of the kernel, and the proof that it is in local mode.
///
/// # Safety
/// Called once by each entry in local mode, with `run`'s `K`.
#[inline(always)]
unsafe fn enter_local<K: Core>() -> (&'static mut K::Own, Local<'static>) {
    let block = this();
    // SAFETY: 1. `make_own` put a `K::Own` there, before any user code ran; 2. it is this CPU's, which is here once;
    // 3. the entry code holds this CPU's flag until it leaves.
    unsafe { (&mut *(block.own.load(Relaxed) as *mut K::Own), Local::new(block.home.load(Relaxed))) }
}

/// What the entry code gets back: the call is declined; the same thread goes on, with the value in its rdi; what is
/// loaded goes on with all of its registers.
const DECLINED: u64 = 0;
const SAME: u64 = 1;
const RESUME: u64 = 2;

/// Functions of this convention keep no register for their caller, and get their arguments in r12 to r15, rdi and rsi:
/// the first four hold the caller's own, which are of no interest.
extern "rust-preserve-none" fn local_call<K: Core, const WORDS: bool>(
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    handle: u64,
    tag: u64,
) -> u64 {
    // A function of its own, so that the one for short messages keeps all in registers.
    if !WORDS && tag as u32 > REGISTER_WORDS as u32 {
        return local_call::<K, true>(a, b, c, d, handle, tag);
    }
    // SAFETY: 1. called by `entry_call` alone, or by itself before it enters.
    let (own, local) = unsafe { enter_local::<K>() };
    leave_local(K::call::<WORDS>(own, &local, handle, tag))
}

extern "rust-preserve-none" fn local_reply_receive<K: Core, const WORDS: bool>(
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    handle: u64,
    tag: u64,
) -> u64 {
    // A function of its own, so that the one for short messages keeps all in registers.
    if !WORDS && tag as u32 > REGISTER_WORDS as u32 {
        return local_reply_receive::<K, true>(a, b, c, d, handle, tag);
    }
    // SAFETY: 1. called by `entry_reply_receive` alone, or by itself before it enters.
    let (own, local) = unsafe { enter_local::<K>() };
    leave_local(K::reply_receive::<WORDS>(own, &local, handle, tag))
}

extern "rust-preserve-none" fn local_signal<K: Core>(_: u64, _: u64, _: u64, _: u64, handle: u64, bits: u64) -> u64 {
    // SAFETY: 1. called by `entry_signal` alone.
    let (own, local) = unsafe { enter_local::<K>() };
    leave_local(K::signal(own, &local, handle, bits))
}

extern "rust-preserve-none" fn local_wait<K: Core>(_: u64, _: u64, _: u64, _: u64, handle: u64, timeout_ns: u64) -> u64 {
    // SAFETY: 1. called by `entry_wait` alone.
    let (own, local) = unsafe { enter_local::<K>() };
    leave_local(K::wait(own, &local, handle, timeout_ns))
}

/// Gets the vector. A page fault's address is in CR2; other exceptions have none.
extern "rust-preserve-none" fn local_fault<K: Core>(_: u64, _: u64, _: u64, _: u64, vector: u64) -> u64 {
    // SAFETY: 1. called by `entry_exception` alone.
    let (own, local) = unsafe { enter_local::<K>() };
    leave_local(K::fault(own, &local, if vector == 14 { cpu::read_cr2() } else { 0 }))
}

/// How a call with its registers in place ends: as it was asked for; somebody goes on with all registers; another CPU has a
/// flag; nobody goes on; somebody goes on in its guest.
const CALLER: u64 = 0;
const OTHER: u64 = 1;
const BUSY: u64 = 2;
const NOBODY: u64 = 3;
const IN_GUEST: u64 = 4;

extern "rust-preserve-none" fn call_in_place<K: Core + 'static>() -> u64 {
    let cpu = this();
    let lock = LOCK.load(Relaxed) as *const KernelLock<K>;
    let index = cpu.index.load(Relaxed);
    // SAFETY: 1. `run` stored a lock of that type, which is static, before any user code ran; 2. the entry code holds this
    // CPU's flag until it leaves, and whatever made use of local mode has returned; 3. the state is not borrowed while there
    // is a `Local`, and what `message` found is not used beyond it but for the registers in `Sent`, which are read only; 4. what
    // is loaded begins with `Registers`, which nobody has borrowed yet.
    let left = unsafe {
        (*lock).with_others(|kernel| {
            let op = (*(crate::loaded(0) as *const Registers)).rax;
            if (op == Op::Call as u64 || op == Op::ReplyReceive as u64)
                && let Some(carried) = (*kernel).carried(index)
            {
                let sent = {
                    let (own, local) = enter_local::<K>();
                    match K::message(own, &local) {
                        Outcome::Message { badge, tag, words } => Some((badge, tag, words.registers)),
                        _ => None,
                    }
                };
                if let Some(sent) = sent {
                    (*kernel).carry(carried);
                    return Err(sent);
                }
            }
            Ok((*kernel).call_in_place(index))
        })
    };
    let left = match left {
        Some(Err((badge, tag, registers))) => leave_other(badge, tag, Sent { registers, of: core::marker::PhantomData }),
        Some(Ok(left)) => Some(left),
        None => None,
    };
    match left {
        Some(Left::Caller) => CALLER,
        Some(Left::Other) if guest::is_inside() => IN_GUEST,
        Some(Left::Other) => OTHER,
        Some(Left::Nobody) => {
            cpu.flag.give();
            NOBODY
        }
        None => BUSY,
    }
}

/// What is loaded goes on in its guest, if nobody wants it out of there.
extern "C" fn leave_in_guest(frame: &mut Registers) -> u64 {
    // SAFETY: 1. what is loaded begins with `Registers`; 2. this CPU holds its flag: nobody writes them.
    *frame = unsafe { *(crate::loaded(0) as *const Registers) };
    this().flag.give();
    leave(Next::User, frame)
}

#[inline(always)]
fn leave_local(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Declined => DECLINED,
        Outcome::Value(value) => {
            let registers = crate::loaded(0) as *mut Registers;
            // SAFETY: 1. what is loaded begins with `Registers`; 2. this CPU holds its flag, and no reference to the
            // thread is left: the kernel's function has returned.
            unsafe { (*registers).rdi = value };
            SAME
        }
        Outcome::Message { badge, tag, words } => leave_other(badge, tag, words),
        Outcome::Resume => RESUME,
    }
}

/// Leaves to what is loaded now, which waited in a system call: registers that the call preserves come from its
/// `Registers`, confined as by [`Registers::confine`]; the words of the message from those in which it was sent.
#[inline(always)]
fn leave_other(badge: u64, tag: u64, from: Sent) -> ! {
    // SAFETY: 1. what is loaded begins with `Registers`, as does what was when the CPU came in (`Sent`), and this CPU holds its flag until the last of
    // them is read; 2. only user privileges: the address is a user one, the flags are masked, `sysret` sets the rest;
    // 3. every other register is given, so none holds what is the kernel's; 4. nothing on this stack is needed again.
    unsafe {
        asm!(
            "movq 40(%rax), %r10",
            "movq 48(%rax), %r9",
            "movq 56(%rax), %r8",
            "movq 88(%rax), %rdx",
            "movq %gs:24, %rax",
            "movq 136(%rax), %rcx",
            "cmpq %gs:40, %rcx",
            "ja 2f",
            "movl 152(%rax), %r11d",
            "andl ${user_flags}, %r11d",
            "orl ${forced_flags}, %r11d",
            "movq 0(%rax), %r15",
            "movq 8(%rax), %r14",
            "movq 16(%rax), %r13",
            "movq 24(%rax), %r12",
            "movq 64(%rax), %rbp",
            "movq 104(%rax), %rbx",
            "movq 160(%rax), %rsp",
            "xorl %eax, %eax",
            "movl $0, %gs:32",
            "swapgs",
            "sysretq",
            "2:",
            "ud2",
            user_flags = const USER_FLAGS,
            forced_flags = const FORCED_FLAGS,
            in("rdi") badge, in("rsi") tag, in("rax") from.registers,
            options(noreturn, att_syntax)
        )
    }
}

/// 0 = leave by `iret`, 1 = leave by `sysret`.
extern "C" fn enter(frame: &mut Registers) -> u64 {
    let from_user = frame.cs & 3 == 3;
    // Their stacks are their own and GS may be the user's: they only ever end in a panic.
    if matches!(frame.vector, 2 | 8 | 18) || !from_user && frame.vector < 32 {
        fatal::exception(frame);
    }
    answer();
    if frame.vector < 32
        && let Some(way) = guest::exception(frame)
    {
        return way;
    }
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

pub(super) fn dispatch(from_user: bool, event: Event, frame: &mut Registers) -> u64 {
    let address = HANDLER.load(Relaxed);
    // SAFETY: 1. `run` stored a `Handler` before any CPU came here, and nobody stores anything else.
    let handler = unsafe { core::mem::transmute::<usize, Handler>(address) };
    let next = handler(this().index.load(Relaxed), from_user, event, frame);
    leave(next, frame)
}

fn leave(next: Next, frame: &mut Registers) -> u64 {
    match next {
        Next::User => {
            if let Some(way) = guest::before_leaving(frame) {
                return way;
            }
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
