// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interrupt controllers: the local APIC of each CPU (xAPIC, or x2APIC where there is one) and the I/O APICs.
//! SDM volume 3, chapter 11; 82093AA data sheet. Which vector belongs to whom is the kernel's matter.

use super::cpu::{self, Features, features};
use super::kernel_space::map_device;
use crate::acpi::{Acpi, MAX_IO_APICS};
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// First vector that devices may get, and how many there are; above them are the kernel's own.
pub const FIRST_VECTOR: u8 = 0x30;
pub const VECTORS: usize = 0xc0;
pub const TIMER: u8 = 0xf0;
pub const KICK: u8 = 0xf1;
pub const FLUSH: u8 = 0xf2;
pub const SPURIOUS: u8 = 0xff;

const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const END_OF_INTERRUPT: u32 = 0xb0;
const SPURIOUS_VECTOR: u32 = 0xf0;
const COMMAND_LOW: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const TIMER_ENTRY: u32 = 0x320;
const LINT0: u32 = 0x350;
const LINT1: u32 = 0x360;
const ERROR_ENTRY: u32 = 0x370;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;

const MASKED: u32 = 1 << 16;
const DELIVERY_PENDING: u32 = 1 << 12;
const TSC_DEADLINE_MODE: u32 = 2 << 17;

/// Virtual and physical address of the local APIC's page.
static LOCAL: AtomicU64 = AtomicU64::new(0);
static LOCAL_PHYSICAL: AtomicU64 = AtomicU64::new(0);
static X2: AtomicBool = AtomicBool::new(false);

struct IoApic {
    address: AtomicU64,
    physical: AtomicU64,
    first_gsi: AtomicU32,
    inputs: AtomicU32,
}

static IO: [IoApic; MAX_IO_APICS] = [const {
    IoApic { address: AtomicU64::new(0), physical: AtomicU64::new(0), first_gsi: AtomicU32::new(0), inputs: AtomicU32::new(0) }
}; MAX_IO_APICS];
static IO_COUNT: AtomicUsize = AtomicUsize::new(0);

/// For each device vector: GSI + 1 if it is level triggered, so that it is masked before it is acknowledged.
static LEVEL: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];
/// ISA overrides: polarity and trigger of a GSI, flags + 1.
static OVERRIDE: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

fn read(register: u32) -> u32 {
    if X2.load(Relaxed) {
        return cpu::read_msr(0x800 + (register >> 4)) as u32;
    }
    // SAFETY: 1. LOCAL maps the local APIC's page uncached (`init`); 2. registers are 32 bits at multiples of 16.
    unsafe { ((LOCAL.load(Relaxed) + register as u64) as *const u32).read_volatile() }
}

fn write(register: u32, value: u32) {
    // SAFETY: 1. as `read`; 2. only constants of this file are written: they raise interrupts that have handlers.
    unsafe {
        if X2.load(Relaxed) {
            cpu::write_msr(0x800 + (register >> 4), value as u64);
        } else {
            ((LOCAL.load(Relaxed) + register as u64) as *mut u32).write_volatile(value);
        }
    }
}

/// Finds and maps the controllers and masks every I/O APIC input. Once, on the first CPU.
pub fn init(acpi: &Acpi) {
    X2.store(features().has(Features::X2APIC), Relaxed);
    LOCAL_PHYSICAL.store(acpi.local_apic, Relaxed);
    LOCAL.store(map_device(acpi.local_apic), Relaxed);
    for entry in &acpi.io_apics[..acpi.io_apic_count] {
        let io = &IO[IO_COUNT.load(Relaxed)];
        io.physical.store(entry.address as u64, Relaxed);
        io.address.store(map_device(entry.address as u64), Relaxed);
        io.first_gsi.store(entry.first_gsi, Relaxed);
        io.inputs.store((io_read(io, 1) >> 16 & 0xff) + 1, Relaxed);
        IO_COUNT.fetch_add(1, Relaxed);
        for input in 0..io.inputs.load(Relaxed) {
            io_write(io, 0x10 + 2 * input, MASKED);
            io_write(io, 0x11 + 2 * input, 0);
        }
    }
    for &(_, gsi, flags) in &acpi.overrides[..acpi.override_count] {
        if let Some(slot) = OVERRIDE.get(gsi as usize) {
            slot.store(flags as u32 + 1, Relaxed);
        }
    }
    init_local();
}

/// Turns this CPU's local APIC on.
pub fn init_local() {
    const ENABLE: u64 = 1 << 11;
    const ENABLE_X2: u64 = 1 << 10;
    let mode = if X2.load(Relaxed) { ENABLE | ENABLE_X2 } else { ENABLE };
    // SAFETY: 1. enables the APIC where it is already mapped.
    unsafe { cpu::write_msr(cpu::APIC_BASE, cpu::read_msr(cpu::APIC_BASE) | mode) };
    write(TASK_PRIORITY, 0);
    write(LINT0, MASKED);
    // NMI stays enabled on LINT1.
    write(LINT1, 4 << 8);
    write(ERROR_ENTRY, MASKED);
    write(SPURIOUS_VECTOR, 1 << 8 | SPURIOUS as u32);
    write(DIVIDE, 0b1011);
    write(TIMER_ENTRY, TIMER as u32 | if features().has(Features::TSC_DEADLINE) { TSC_DEADLINE_MODE } else { 0 });
    write(INITIAL_COUNT, 0);
    end_of_interrupt();
}

pub fn id() -> u32 {
    if X2.load(Relaxed) { read(ID) } else { read(ID) >> 24 }
}

pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

pub fn start_timer_for_measure() {
    write(TIMER_ENTRY, MASKED | TIMER as u32);
    write(INITIAL_COUNT, u32::MAX);
}

/// Ends the measure: the timer raises interrupts again.
pub fn finish_measure() {
    init_local();
}

pub fn timer_count() -> u32 {
    read(CURRENT_COUNT)
}

pub fn set_timer_count(count: u32) {
    write(INITIAL_COUNT, count);
}

fn command(target: u32, low: u32) {
    if X2.load(Relaxed) {
        // SAFETY: 1. as `write`.
        unsafe { cpu::write_msr(0x830, (target as u64) << 32 | low as u64) };
        return;
    }
    while read(COMMAND_LOW) & DELIVERY_PENDING != 0 {
        core::hint::spin_loop();
    }
    write(COMMAND_HIGH, target << 24);
    write(COMMAND_LOW, low);
    while read(COMMAND_LOW) & DELIVERY_PENDING != 0 {
        core::hint::spin_loop();
    }
}

/// Raises one of the kernel's vectors on the CPU with that local APIC number.
pub fn send(target: u32, vector: u8) {
    command(target, 1 << 14 | vector as u32);
}

/// Stops all other CPUs through their NMI handler; nothing before the APIC is mapped.
pub fn send_nmi_to_others() {
    if LOCAL.load(Relaxed) == 0 {
        return;
    }
    command(0, 3 << 18 | 1 << 14 | 4 << 8);
}

pub fn send_init(target: u32) {
    command(target, 1 << 15 | 1 << 14 | 5 << 8);
    command(target, 1 << 15 | 5 << 8);
}

/// Starts a CPU at `page` * 4096 in real mode.
pub fn send_startup(target: u32, page: u8) {
    command(target, 1 << 14 | 6 << 8 | page as u32);
}

/// Index and data register belong together; an interrupt is acknowledged before the kernel lock is taken.
static IO_BUSY: AtomicBool = AtomicBool::new(false);

fn with_io<R>(act: impl FnOnce() -> R) -> R {
    while IO_BUSY.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
        core::hint::spin_loop();
    }
    let result = act();
    IO_BUSY.store(false, Release);
    result
}

fn io_read(io: &IoApic, register: u32) -> u32 {
    let address = io.address.load(Relaxed);
    // SAFETY: 1. `address` maps this I/O APIC uncached; 2. index at 0, data at 0x10; 3. `with_io`: one CPU at a time.
    with_io(|| unsafe {
        (address as *mut u32).write_volatile(register);
        ((address + 0x10) as *const u32).read_volatile()
    })
}

fn io_write(io: &IoApic, register: u32, value: u32) {
    let address = io.address.load(Relaxed);
    // SAFETY: as `io_read`.
    with_io(|| unsafe {
        (address as *mut u32).write_volatile(register);
        ((address + 0x10) as *mut u32).write_volatile(value);
    })
}

fn input(gsi: u32) -> Option<(&'static IoApic, u32)> {
    IO[..IO_COUNT.load(Relaxed)].iter().find_map(|io| {
        let n = gsi.checked_sub(io.first_gsi.load(Relaxed))?;
        (n < io.inputs.load(Relaxed)).then_some((io, n))
    })
}

/// Trigger and polarity of an I/O APIC input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trigger {
    pub level: bool,
    pub active_low: bool,
}

/// Routes an I/O APIC input to a vector on the first CPU, masked. An override of the firmware's tables wins over
/// `trigger`. `false`: there is no such input.
pub fn route_gsi(gsi: u32, vector: u8, trigger: Trigger) -> bool {
    let Some((io, n)) = input(gsi) else { return false };
    let Trigger { mut level, mut active_low } = trigger;
    if let Some(flags) = OVERRIDE.get(gsi as usize).and_then(|o| o.load(Relaxed).checked_sub(1)) {
        // MPS INTI flags (ACPI 6.5, table 5.26): 0 = as the bus has it.
        active_low = [active_low, false, active_low, true][flags as usize & 3];
        level = [level, false, level, true][flags as usize >> 2 & 3];
    }
    LEVEL[vector as usize].store(if level { gsi + 1 } else { 0 }, Relaxed);
    let low = MASKED | vector as u32 | (active_low as u32) << 13 | (level as u32) << 15;
    io_write(io, 0x11 + 2 * n, super::per_cpu::first_apic_id() << 24);
    io_write(io, 0x10 + 2 * n, low);
    true
}

pub fn mask_gsi(gsi: u32, masked: bool) {
    if let Some((io, n)) = input(gsi) {
        let low = io_read(io, 0x10 + 2 * n) & !MASKED;
        io_write(io, 0x10 + 2 * n, low | if masked { MASKED } else { 0 });
    }
}

/// A device's interrupt arrived: masks it if it is level triggered, then acknowledges it.
pub fn acknowledge(vector: u8) {
    if let Some(gsi) = LEVEL[vector as usize].load(Relaxed).checked_sub(1) {
        mask_gsi(gsi, true);
    }
    end_of_interrupt();
}

/// Where a device writes, and what, to raise the vector on the first CPU (SDM volume 3, 11.11).
pub fn msi(vector: u8) -> (u64, u32) {
    LEVEL[vector as usize].store(0, Relaxed);
    (0xfee0_0000 | (super::per_cpu::first_apic_id() as u64 & 0xff) << 12, vector as u32)
}

/// Whether the page at this physical address is one of the controllers.
pub fn owns(physical: u64) -> bool {
    let page = physical & !0xfff;
    page == LOCAL_PHYSICAL.load(Relaxed) & !0xfff
        || page == 0xfee0_0000
        || IO[..IO_COUNT.load(Relaxed)].iter().any(|io| io.physical.load(Relaxed) & !0xfff == page)
}

/// This CPU's number, also before the APIC is mapped.
pub fn id_or_zero() -> u32 {
    if LOCAL.load(Relaxed) == 0 { 0 } else { id() }
}
