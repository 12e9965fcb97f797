// SPDX-License-Identifier: PMPL-1.0-or-later
//! Starts the other CPUs: INIT, SIPI, SIPI (SDM volume 3, 9.4.4), one after the other.

use super::kernel_space::{self, direct, make_stacks};
use super::per_cpu::{cpu_block, install};
use super::{apic, clock, cpu, entry, tables};
use crate::MAX_CPUS;
use crate::acpi::Acpi;
use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};

// Runs in real mode at the trampoline's page, turns long mode on at once, jumps to `ap_main` on its stack.
global_asm!(
    r#"
.section .rodata.trampoline, "a"
.balign 16
.global trampoline_start
.global trampoline_cr3
.global trampoline_jump
.global trampoline_long
.global trampoline_stack
.global trampoline_gdt
.global trampoline_gdt_pointer
.global trampoline_end
trampoline_start:
.code16
  cli
  cld
  movw %cs, %ax
  movw %ax, %ds
  lgdtl trampoline_gdt_pointer - trampoline_start
  movl %cr4, %eax
  orl $0x20, %eax
  movl %eax, %cr4
  movl trampoline_cr3 - trampoline_start, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x901, %eax
  wrmsr
  movl $0x80010001, %eax
  movl %eax, %cr0
  ljmpl *(trampoline_jump - trampoline_start)
.code64
trampoline_long:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movq trampoline_stack(%rip), %rsp
  xorl %ebp, %ebp
  movabsq ${main}, %rax
  call *%rax
.balign 8
trampoline_gdt:
  .quad 0
  .quad 0x00af9b000000ffff
  .quad 0x00cf93000000ffff
trampoline_gdt_pointer:
  .word 23
  .long 0
.balign 8
trampoline_cr3:
  .quad 0
trampoline_stack:
  .quad 0
trampoline_jump:
  .long 0
  .word 8
trampoline_end:
"#,
    main = sym ap_main,
    options(att_syntax)
);

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_cr3: u8;
    static trampoline_jump: u8;
    static trampoline_long: u8;
    static trampoline_stack: u8;
    static trampoline_gdt: u8;
    static trampoline_gdt_pointer: u8;
    static trampoline_end: u8;
}

/// The CPU that is being started: its number, and whether it came (1), is waited for (0) or was given up (2).
static INDEX: AtomicU32 = AtomicU32::new(0);
static STATE: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
static TOPS: [[AtomicU64; 4]; MAX_CPUS] = [const { [const { AtomicU64::new(0) }; 4] }; MAX_CPUS];
static RELEASED: AtomicBool = AtomicBool::new(false);

const WAIT_US: u64 = 200_000;

/// Starts up to `most` CPUs in all, the running one counted; returns how many run. `page` is a free frame below 1 MiB.
pub fn start(acpi: &Acpi, most: usize, page: Option<u64>) -> usize {
    let Some(page) = page else { return 1 };
    let me = apic::id();
    let mut count = 1;
    kernel_space::map_identity(page);
    prepare(page);
    for &id in acpi.cpus[..acpi.cpu_count].iter().filter(|id| **id != me) {
        if count >= most.min(MAX_CPUS) {
            break;
        }
        count += start_one(page, count, id) as usize;
    }
    kernel_space::unmap_identity();
    count
}

/// Copies the trampoline and fills in what all CPUs share.
fn prepare(page: u64) {
    let start = &raw const trampoline_start as u64;
    // SAFETY: 1. the page is free RAM, set aside for this; 2. the trampoline is shorter than a page.
    unsafe {
        core::ptr::copy_nonoverlapping(start as *const u8, direct(page), (&raw const trampoline_end as u64 - start) as usize);
        let at = |symbol: *const u8| direct(page + symbol as u64 - start);
        (at(&raw const trampoline_cr3) as *mut u64).write_unaligned(kernel_space::root());
        (at(&raw const trampoline_jump) as *mut u32).write_unaligned((page + &raw const trampoline_long as u64 - start) as u32);
        (at(&raw const trampoline_gdt_pointer).add(2) as *mut u32)
            .write_unaligned((page + &raw const trampoline_gdt as u64 - start) as u32);
    }
}

fn start_one(page: u64, index: usize, id: u32) -> bool {
    let stacks = make_stacks(index);
    for (slot, top) in TOPS[index].iter().zip([stacks.main, stacks.double_fault, stacks.nmi, stacks.machine_check]) {
        slot.store(top, Relaxed);
    }
    let offset = &raw const trampoline_stack as u64 - &raw const trampoline_start as u64;
    // SAFETY: 1. as `prepare`: no CPU runs there now.
    unsafe { (direct(page + offset) as *mut u64).write_unaligned(stacks.main) };
    INDEX.store(index as u32, Release);
    cpu_block(index).apic_id.store(id, Relaxed);
    apic::send_init(id);
    clock::spin_us(10_000);
    for _ in 0..2 {
        apic::send_startup(id, (page >> 12) as u8);
        let until = clock::now_ns() + WAIT_US * 1000 / 2;
        while clock::now_ns() < until {
            if STATE[index].load(Acquire) == 1 {
                return true;
            }
            core::hint::spin_loop();
        }
    }
    // Given up, unless it comes at this moment.
    STATE[index].compare_exchange(0, 2, AcqRel, Acquire).is_err()
}

/// Lets the started CPUs into the kernel.
pub fn release() {
    RELEASED.store(true, Release);
}

extern "C" fn ap_main() -> ! {
    let index = INDEX.load(Acquire) as usize;
    cpu::protect();
    let top = |n: usize| TOPS[index][n].load(Relaxed);
    let stacks = kernel_space::Stacks { main: top(0), double_fault: top(1), nmi: top(2), machine_check: top(3) };
    tables::load(index, &stacks);
    install(index, cpu_block(index).apic_id.load(Relaxed), stacks.main);
    apic::init_local();
    cpu_block(index).online.store(true, Release);
    if STATE[index].compare_exchange(0, 1, AcqRel, Acquire).is_err() {
        cpu_block(index).online.store(false, Release);
        cpu::halt();
    }
    while !RELEASED.load(Acquire) {
        super::per_cpu::answer();
        core::hint::spin_loop();
    }
    entry::start_running()
}
