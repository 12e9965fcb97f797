// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel's own page tables: its image as the linker laid it out, RAM at DIRECT_MAP, devices, stacks with guards.
//!
//! Built once, at boot, from memory that the frame database never sees. Nothing is writable and executable: also the
//! direct map's view of the kernel's text and constants is read-only. User spaces share the upper half by copying the root's entries.

use super::cpu;
use abi::boot_info::{BootInfo, DIRECT_MAP, KERNEL_BASE, range_kind};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = 2 << 20;

/// Where devices of the kernel are mapped, a page each.
const DEVICES: u64 = 0xffff_fd00_0000_0000;
/// Where the CPUs' stacks are, `STACK_STRIDE` apart, each below an unmapped guard.
const STACKS: u64 = 0xffff_fe00_0000_0000;
const STACK_STRIDE: u64 = 64 << 10;
const MAIN_STACK_BYTES: u64 = 32 << 10;
const EXCEPTION_STACK_BYTES: u64 = 16 << 10;

unsafe extern "C" {
    static kernel_start: u8;
    static kernel_text_end: u8;
    static kernel_rodata_end: u8;
    static kernel_end: u8;
}

/// Frames for the kernel's own start, taken one after the other from one usable range.
static EARLY_NEXT: AtomicU64 = AtomicU64::new(0);
static EARLY_END: AtomicU64 = AtomicU64::new(0);
static ROOT: AtomicU64 = AtomicU64::new(0);
static DEVICES_USED: AtomicU64 = AtomicU64::new(0);

pub fn root() -> u64 {
    ROOT.load(Relaxed)
}

/// Where RAM is seen.
pub fn direct(physical: u64) -> *mut u8 {
    (DIRECT_MAP + physical) as *mut u8
}

/// Length of the kernel's image in bytes, with its zeroed part.
pub fn image_bytes() -> u64 {
    &raw const kernel_end as u64 - KERNEL_BASE
}

/// First and last+1 physical byte that the boot took from `early`.
pub fn early_next() -> u64 {
    EARLY_NEXT.load(Relaxed)
}

pub fn set_early(first: u64, end: u64) {
    EARLY_NEXT.store(first, Relaxed);
    EARLY_END.store(end, Relaxed);
}

/// Zeroed memory that stays the kernel's for ever, page-aligned; its physical address.
pub fn early(bytes: u64) -> u64 {
    let bytes = bytes.next_multiple_of(PAGE);
    let at = EARLY_NEXT.fetch_add(bytes, Relaxed);
    assert!(at + bytes <= EARLY_END.load(Relaxed), "not enough RAM in one piece below 4 GiB to start");
    // SAFETY: 1. usable RAM that nobody else has; 2. mapped by the loader's tables (below 4 GiB) and by ours.
    unsafe { core::ptr::write_bytes(direct(at), 0, bytes as usize) };
    at
}

fn entry(table: u64, n: u64) -> *mut u64 {
    direct(table + n * 8) as *mut u64
}

/// The table below an entry, made if it is missing.
fn below(table: u64, n: u64) -> u64 {
    // SAFETY: 1. `table` is one of the kernel's own tables; 2. boot is one CPU.
    unsafe {
        let at = entry(table, n);
        if at.read() & PRESENT == 0 {
            at.write(early(PAGE) | PRESENT | WRITABLE);
        }
        at.read() & ADDRESS
    }
}

fn index(address: u64, level: u32) -> u64 {
    (address >> (12 + 9 * level)) & 511
}

/// Maps bytes in the largest pages that fit; `flags` beside PRESENT.
fn map(address: u64, physical: u64, bytes: u64, flags: u64) {
    let mut done = 0;
    while done < bytes {
        let (a, p) = (address + done, physical + done);
        let directory = below(below(root(), index(a, 3)), index(a, 2));
        let large = a.is_multiple_of(LARGE_PAGE) && p.is_multiple_of(LARGE_PAGE) && bytes - done >= LARGE_PAGE;
        // SAFETY: 1. entries of the kernel's own tables; 2. callers map RAM they own or devices they drive.
        unsafe {
            if large {
                entry(directory, index(a, 1)).write(p | flags | PRESENT | LARGE);
            } else {
                entry(below(directory, index(a, 1)), index(a, 0)).write(p | flags | PRESENT);
            }
        }
        done += if large { LARGE_PAGE } else { PAGE };
    }
}

/// Builds the tables and loads them. The loader's tables are not used afterwards.
pub fn build(info: &BootInfo) {
    ROOT.store(early(PAGE), Relaxed);
    let (text_end, rodata_end) = (&raw const kernel_text_end as u64, &raw const kernel_rodata_end as u64);
    let end = &raw const kernel_end as u64;
    let physical = |address: u64| address - KERNEL_BASE + info.kernel_base;
    map(KERNEL_BASE, info.kernel_base, text_end - KERNEL_BASE, 0);
    map(text_end, physical(text_end), rodata_end - text_end, NO_EXECUTE);
    map(rodata_end, physical(rodata_end), end - rodata_end, WRITABLE | NO_EXECUTE);
    for range in &info.ranges[..info.range_count as usize] {
        if range.kind == range_kind::RESERVED {
            continue;
        }
        let (mut at, range_end) = (range.base & !(PAGE - 1), (range.base + range.length_bytes).next_multiple_of(PAGE));
        // Three pieces at most: before, in and after the kernel's read-only part.
        for (limit, flags) in
            [(info.kernel_base, WRITABLE | NO_EXECUTE), (physical(rodata_end), NO_EXECUTE), (u64::MAX, WRITABLE | NO_EXECUTE)]
        {
            let piece_end = range_end.min(limit);
            if at < piece_end {
                map(DIRECT_MAP + at, at, piece_end - at, flags);
                at = piece_end;
            }
        }
    }
    // Entries for devices and stacks exist from now on, so that every user space's copy of the root has them.
    below(root(), index(DEVICES, 3));
    below(root(), index(STACKS, 3));
    // SAFETY: 1. the image is mapped where it runs, with its own access; 2. the boot stack is in its data.
    unsafe { cpu::write_cr3(root()) };
}

/// An entry of the kernel's root, for the upper half of a user space.
pub(crate) fn kernel_root_entry(n: usize) -> u64 {
    // SAFETY: 1. the root is a page table of 512 entries; 2. nobody writes it after boot.
    unsafe { entry(root(), n as u64 & 511).read() }
}

/// Maps a device's page, uncached; returns the address that stands for `physical`.
pub fn map_device(physical: u64) -> u64 {
    let address = DEVICES + DEVICES_USED.fetch_add(PAGE, Relaxed);
    map(address, physical & !(PAGE - 1), PAGE, WRITABLE | NO_EXECUTE | UNCACHED);
    address + physical % PAGE
}

/// Tops of one CPU's stacks.
#[derive(Clone, Copy)]
pub struct Stacks {
    pub main: u64,
    pub double_fault: u64,
    pub nmi: u64,
    pub machine_check: u64,
}

/// Makes the stacks of CPU `cpu`.
pub fn make_stacks(cpu: usize) -> Stacks {
    let make = |n: u64, bytes: u64| {
        let top = STACKS + (cpu as u64 * 4 + n + 1) * STACK_STRIDE;
        map(top - bytes, early(bytes), bytes, WRITABLE | NO_EXECUTE);
        top
    };
    Stacks {
        main: make(0, MAIN_STACK_BYTES),
        double_fault: make(1, EXCEPTION_STACK_BYTES),
        nmi: make(2, EXCEPTION_STACK_BYTES),
        machine_check: make(3, EXCEPTION_STACK_BYTES),
    }
}

/// The CPU whose stack ends above an address that no stack has.
pub fn overflowed(address: u64) -> Option<u64> {
    let at = address.checked_sub(STACKS)?;
    let (stack, offset) = (at / STACK_STRIDE, at % STACK_STRIDE);
    let bytes = if stack % 4 == 0 { MAIN_STACK_BYTES } else { EXCEPTION_STACK_BYTES };
    (stack / 4 < crate::MAX_CPUS as u64 && offset < STACK_STRIDE - bytes).then_some(stack / 4)
}

/// Maps one low page to itself, for a CPU that turns paging on there; and takes it away again.
pub fn map_identity(physical: u64) {
    map(physical, physical, PAGE, 0);
}

pub fn unmap_identity() {
    // SAFETY: 1. the lower half of the kernel's root holds only that mapping; 2. the CPUs that used it are through.
    unsafe {
        entry(root(), 0).write(0);
        cpu::write_cr3(root());
    }
}

/// Whether the kernel can read 8 bytes there: for back-traces, which follow pointers that may be wrong.
pub fn is_readable(address: u64) -> bool {
    if root() == 0 || address < DIRECT_MAP || !address.is_multiple_of(8) {
        return false;
    }
    let mut table = root();
    for level in [3, 2, 1, 0] {
        // SAFETY: 1. `table` is a table of the kernel's own tree.
        let e = unsafe { entry(table, index(address, level)).read() };
        if e & PRESENT == 0 {
            return false;
        }
        if e & LARGE != 0 && level > 0 {
            return true;
        }
        table = e & ADDRESS;
    }
    true
}

/// Whether an address lies in the kernel's code.
pub fn is_text(address: u64) -> bool {
    (&raw const kernel_start as u64..&raw const kernel_text_end as u64).contains(&address)
}
