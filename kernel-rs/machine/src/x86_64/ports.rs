// SPDX-License-Identifier: PMPL-1.0-or-later
//! I/O ports, and power, which is a matter of ports.

use crate::acpi::{Acpi, PowerPorts};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// # Safety
/// Writing a port can do anything the machine can do: the caller knows the device.
pub unsafe fn outb(port: u16, value: u8) {
    // SAFETY: the caller's.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// # Safety
/// As [`outb`]: reading can have effects too.
pub unsafe fn inb(port: u16) -> u8 {
    let value;
    // SAFETY: the caller's.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// As [`outb`].
pub unsafe fn outw(port: u16, value: u16) {
    // SAFETY: the caller's.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) };
}

/// # Safety
/// As [`outb`].
pub unsafe fn inw(port: u16) -> u16 {
    let value;
    // SAFETY: the caller's.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Width of a port access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    Byte,
    Word,
    Long,
}

/// Reads a port for user code. The kernel's own ports read as all ones.
pub fn port_in(port: u16, width: Width) -> u32 {
    if port_is_kernels(port) {
        return u32::MAX;
    }
    // SAFETY: 1. not a port of the kernel's own devices; 2. what else a port does to memory is the authority of whoever
    // holds the port range (SAFETY.adoc, "ports").
    unsafe {
        match width {
            Width::Byte => inb(port) as u32,
            Width::Word => inw(port) as u32,
            Width::Long => {
                let value: u32;
                asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags));
                value
            }
        }
    }
}

/// Writes a port for user code. Writes to the kernel's own ports are dropped.
pub fn port_out(port: u16, width: Width, value: u32) {
    if port_is_kernels(port) {
        return;
    }
    // SAFETY: as `port_in`.
    unsafe {
        match width {
            Width::Byte => outb(port, value as u8),
            Width::Word => outw(port, value as u16),
            Width::Long => asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)),
        }
    }
}

/// Ports that only the kernel touches: the two 8259s, which it keeps silent.
pub fn port_is_kernels(port: u16) -> bool {
    matches!(port, 0x20 | 0x21 | 0xa0 | 0xa1)
}

/// Whether the page at this physical address is one of the kernel's own devices.
pub fn device_is_kernels(physical: u64) -> bool {
    super::apic::owns(physical)
}

/// Masks both 8259s: all interrupts come through the APICs.
pub fn silence_8259() {
    // SAFETY: 1. masking only stops interrupts. They are first moved away from the exception vectors, since a spurious
    // one cannot be masked (8259A data sheet: ICW1 to ICW4).
    unsafe {
        for (port, value) in [
            (0x20, 0x11),
            (0xa0, 0x11),
            (0x21, 0x20),
            (0xa1, 0x28),
            (0x21, 4),
            (0xa1, 2),
            (0x21, 1),
            (0xa1, 1),
            (0x21, 0xff),
            (0xa1, 0xff),
        ] {
            outb(port, value);
        }
    }
}

static READY: AtomicBool = AtomicBool::new(false);
static mut POWER: PowerPorts = PowerPorts::NONE;

/// Remembers how this machine is turned off.
pub fn init_power(acpi: &Acpi) {
    // SAFETY: 1. called once, on the first CPU, before anyone reads it.
    unsafe { (&raw mut POWER).write(acpi.power) };
    READY.store(true, Relaxed);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    Reset,
    Off,
}

/// Returns only if the machine cannot do it.
pub fn power(action: Power) {
    // SAFETY: 1. written once before READY, read-only since.
    let ports = if READY.load(Relaxed) { unsafe { (&raw const POWER).read() } } else { PowerPorts::NONE };
    match action {
        Power::Reset => reset(&ports),
        Power::Off => off(&ports),
    }
}

fn settle() {
    for _ in 0..1_000_000 {
        core::hint::spin_loop();
    }
}

/// ACPI's reset register, then the chipset's (0xcf9), then the keyboard controller.
fn reset(ports: &PowerPorts) {
    // SAFETY: 1. each of these resets the machine or does nothing.
    unsafe {
        if let Some((port, value)) = ports.reset {
            outb(port, value);
            settle();
        }
        outb(0xcf9, 0x02);
        outb(0xcf9, 0x06);
        settle();
        outb(0x64, 0xfe);
    }
    settle();
}

/// Sleep state S5 by the PM1 control registers (ACPI 6.5, 4.8.3.2).
fn off(ports: &PowerPorts) {
    const SLEEP_ENABLE: u16 = 1 << 13;
    const SCI_ENABLE: u16 = 1;
    let Some((type_a, type_b)) = ports.sleep_types else { return };
    // SAFETY: 1. the ports are those of the FADT; 2. S5 loses all state, which is what was asked for.
    unsafe {
        if ports.pm1a != 0 && inw(ports.pm1a) & SCI_ENABLE == 0 && ports.smi_command != 0 && ports.acpi_enable != 0 {
            outb(ports.smi_command, ports.acpi_enable);
            settle();
        }
        for (port, kind) in [(ports.pm1a, type_a), (ports.pm1b, type_b)] {
            if port != 0 {
                let kept = inw(port) & !(7 << 10);
                outw(port, kept | (kind as u16 & 7) << 10 | SLEEP_ENABLE);
            }
        }
    }
    settle();
}
