// SPDX-License-Identifier: PMPL-1.0-or-later
//! Direct boot: turns the hypervisor's start info (Xen `hvm/start_info.h`) into `BootInfo`.
//!
//! Runs on the entry's own page tables, which map the first 4 GiB at DIRECT_MAP. The hypervisor is trusted here as a
//! loader would be; lengths are checked all the same.

use super::boot::low_memory;
use super::{cpu, kernel_space, ports};
use crate::command_line;
use abi::boot_info::{BootInfo, Framebuffer, MAGIC, MAX_RANGES, Range, range_kind};
use core::arch::asm;

const START_MAGIC: u32 = 0x336e_c578;
const LONGEST_LINE: usize = 4096;
/// Where kernel.ld puts the image.
const KERNEL_PHYSICAL: u64 = 0x20_0000;

static mut INFO: BootInfo = BootInfo {
    magic: MAGIC,
    size: size_of::<BootInfo>() as u64,
    kernel_base: KERNEL_PHYSICAL,
    kernel_length_bytes: 0,
    bundle_base: 0,
    bundle_length_bytes: 0,
    rsdp: 0,
    framebuffer: Framebuffer { base: 0, width: 0, height: 0, stride: 0, format: 0 },
    origin: command_line::UNKNOWN,
    range_count: 0,
    ranges: [Range { base: 0, length_bytes: 0, kind: 0 }; MAX_RANGES],
};

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Physical address of the `BootInfo` made from the start info at that physical address.
#[allow(clippy::deref_addrof)]
pub fn boot_info(start_info: u64) -> u64 {
    // SAFETY: 1. called once, before any other CPU runs: the only reference to INFO.
    let info = unsafe { &mut *(&raw mut INFO) };
    info.origin.loader_tsc = cpu::timestamp();
    info.kernel_length_bytes = kernel_space::image_bytes();
    let start = low_memory(start_info, 56).filter(|s| u32_at(s, 0) == START_MAGIC).expect("PVH start info");
    assert!(u32_at(start, 4) >= 1, "PVH start info has no memory map (version 0)");
    if u32_at(start, 12) > 0 {
        let module = low_memory(u64_at(start, 16), 32).expect("PVH module list");
        (info.bundle_base, info.bundle_length_bytes) = (u64_at(module, 0), u64_at(module, 8));
    }
    if let Some(line) = low_memory(u64_at(start, 24), LONGEST_LINE).filter(|_| u64_at(start, 24) != 0) {
        command_line::apply(line.split(|b| *b == 0).next().unwrap_or(&[]), &mut info.origin);
    }
    info.rsdp = u64_at(start, 32);
    let map = low_memory(u64_at(start, 40), u32_at(start, 48) as usize * 24).expect("PVH memory map");
    let kept = {
        let mut kept = [(KERNEL_PHYSICAL, info.kernel_length_bytes), (info.bundle_base, info.bundle_length_bytes)];
        kept.sort_unstable();
        kept
    };
    for entry in map.chunks_exact(24) {
        let (base, length) = (u64_at(entry, 0), u64_at(entry, 8));
        match u32_at(entry, 16) {
            1 => split(info, base, base.saturating_add(length), &kept),
            3 => push(info, base, length, range_kind::ACPI),
            _ => push(info, base, length, range_kind::RESERVED),
        }
    }
    info.ranges[..info.range_count as usize].sort_unstable_by_key(|r| r.base);
    info.origin.wall_clock_s = wall_clock_s();
    fill_seed(&mut info.origin.seed);
    info as *const BootInfo as u64 - abi::boot_info::KERNEL_BASE + KERNEL_PHYSICAL
}

fn push(info: &mut BootInfo, base: u64, length_bytes: u64, kind: u64) {
    let n = info.range_count as usize;
    if length_bytes > 0 && n < MAX_RANGES {
        info.ranges[n] = Range { base, length_bytes, kind };
        info.range_count += 1;
    }
}

/// Usable memory without what is in use, which becomes ranges of its own.
fn split(info: &mut BootInfo, mut base: u64, end: u64, kept: &[(u64, u64)]) {
    for &(first, length) in kept {
        let (first, last) = (first & !4095, (first + length).next_multiple_of(4096));
        if length > 0 && base <= first && last <= end {
            push(info, base, first - base, range_kind::USABLE);
            push(info, first, last - first, range_kind::BOOT);
            base = last;
        }
    }
    push(info, base, end.saturating_sub(base), range_kind::USABLE);
}

/// The CMOS clock (MC146818 data sheet), taken as UTC, as seconds since 1970; 0 if it makes no sense.
fn wall_clock_s() -> u64 {
    // SAFETY: 1. CMOS registers, read before anyone else uses them; bit 7 keeps NMI enabled.
    let register = |n: u8| unsafe {
        ports::outb(0x70, n);
        ports::inb(0x71)
    };
    for _ in 0..100_000 {
        if register(10) & 0x80 == 0 {
            break;
        }
    }
    let binary = register(11) & 4 != 0;
    let number = |n| if binary { register(n) as u64 } else { (register(n) >> 4) as u64 * 10 + (register(n) & 15) as u64 };
    let (second, minute, hour, day, month, year) = (number(0), number(2), number(4), number(7), number(8), 2000 + number(9));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return 0;
    }
    // Days from 1970 by the civil calendar, March as first month.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    ((days * 24 + hour) * 60 + minute) * 60 + second
}

/// Random bytes of the CPU, if it has an instruction for them; zero otherwise.
fn fill_seed(seed: &mut [u8; 32]) {
    const RDRAND: u32 = 1 << 30;
    if core::arch::x86_64::__cpuid(1).ecx & RDRAND == 0 {
        return;
    }
    for chunk in seed.chunks_exact_mut(8) {
        let (value, good): (u64, u8);
        // SAFETY: 1. the instruction was probed; it changes only its register and the flags.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) good, options(nomem, nostack)) };
        if good == 0 {
            *seed = [0; 32];
            return;
        }
        chunk.copy_from_slice(&value.to_le_bytes());
    }
}
