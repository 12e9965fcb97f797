// SPDX-License-Identifier: PMPL-1.0-or-later
//! Leaving the firmware: page tables into frames, ExitBootServices, the last memory map into BootInfo, the jump.
//!
//! After [`enter`] has called ExitBootServices nothing allocates and only COM1 can speak. `abi::boot_info` says what the
//! kernel finds. What it does *not* find is a GDT or IDT it could use: the firmware's are no longer mapped.

use crate::firmware;
use crate::firmware::console::Console;
use crate::frames::Frames;
use abi::boot_info::{BootInfo, DIRECT_MAP, MAX_RANGES, Range};
use alloc::vec::Vec;
use core::arch::{asm, global_asm};
use core::fmt;
use core::ptr;
use loader::kernel_image::Segment;
use loader::memory::{self, PAGE_BYTES, Region};
use loader::paging::{self, LargestPage, Layout, TABLE_BYTES, Tables};
use loader::say;
use uefi::{Status, boot, table};

/// The contract asks for 16 KiB; the kernel's start may need more before it has stacks of its own.
const STACK_BYTES: u64 = 64 << 10;
/// The map grows by the descriptors that our own last allocations split.
const MAP_SLACK_BYTES: usize = 16 << 10;

/// Everything that the jump needs, in frames that stay.
pub struct Handover {
    info: &'static mut BootInfo,
    map: &'static mut [u8],
    root: u64,
    stack_top: u64,
    entry: u64,
    ours: [Region; 5],
}

#[derive(Debug)]
pub enum Failure {
    Memory(Status),
    Map(Status),
    TooManyRanges,
    Tables(paging::Refusal),
    FiveLevels,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Memory(status) => write!(f, "no memory for page tables and stack ({status})"),
            Failure::Map(status) => write!(f, "the firmware gives no memory map ({status})"),
            Failure::TooManyRanges => write!(f, "the firmware's memory map has more than {MAX_RANGES} usable ranges"),
            Failure::Tables(refusal) => write!(f, "page tables: {refusal}"),
            Failure::FiveLevels => write!(f, "the firmware uses five-level page tables; switch them off in its setup"),
        }
    }
}

/// What the kernel needs beside `info`.
pub struct Plan<'a> {
    pub segments: &'a [Segment],
    pub entry: u64,
    pub largest_page: LargestPage,
    pub kernel: Region,
    pub bundle: Region,
}

impl Handover {
    /// Builds everything that can fail. `info` is complete but for its ranges.
    pub fn prepare(info: &BootInfo, plan: &Plan<'_>) -> Result<Self, Failure> {
        if firmware::facts::has_five_levels() {
            return Err(Failure::FiveLevels);
        }
        let memory = |error: uefi::Error| Failure::Memory(error.status());
        let stack = Frames::new(STACK_BYTES).map_err(memory)?;
        let info_frames = Frames::new(size_of::<BootInfo>() as u64).map_err(memory)?;
        let mut map = Frames::new(map_bytes() as u64).map_err(memory)?;
        let tables = tables(plan, &ram(map.as_mut_slice())?)?;
        let ours = [plan.kernel, plan.bundle, stack.region(), info_frames.region(), tables.region()];
        let (root, stack_top) = (tables.base(), DIRECT_MAP + stack.base() + STACK_BYTES);
        tables.keep();
        stack.keep();
        let place = info_frames.keep().as_mut_ptr().cast::<BootInfo>();
        // SAFETY: 1. The frames are page-aligned, larger than BootInfo, kept for ever and ours alone. 2. The value is
        // written before the reference is made.
        let info = unsafe {
            ptr::write(place, *info);
            &mut *place
        };
        Ok(Handover { info, map: map.keep(), root, stack_top, entry: plan.entry, ours })
    }

    /// Ends the firmware's boot services and enters the kernel. Returns only by stopping the machine with a line on
    /// COM1. The caller must hold no protocol and no heap value that is still to be dropped.
    pub fn enter(self, console: &mut Console) -> ! {
        console.without_firmware();
        let (bytes, step) = match exit_boot_services(self.map) {
            Ok(found) => found,
            Err(status) => {
                say!(console, "stopped: the firmware does not end its boot services (status {:#x})", status.0);
                firmware::stop()
            }
        };
        let descriptors = memory::descriptors(self.map.get(..bytes).unwrap_or(&[]), step);
        match memory::convert(descriptors, &self.ours, &mut self.info.ranges) {
            Ok(count) => self.info.range_count = count as u64,
            Err(memory::TooManyRanges) => {
                say!(console, "stopped: {}", Failure::TooManyRanges);
                firmware::stop()
            }
        }
        let info = ptr::from_ref(self.info) as u64;
        // SAFETY: 1. `root` is a complete set of tables that maps this code's page one to one, the kernel's image by its
        // segments and all RAM at DIRECT_MAP (`Tables::build`, tested). 2. `stack_top` is the end of a kept stack in
        // that map. 3. `entry` lies in an executable segment (`kernel_image::plan`). 4. Boot services have ended and
        // interrupts are off, so no code of the firmware runs any more. 5. `loader_jump` is below, with this signature.
        unsafe { loader_jump(self.root, self.stack_top, info, self.entry) }
    }
}

/// The RAM of the present map, and a check that its ranges will fit into BootInfo.
fn ram(map: &mut [u8]) -> Result<Vec<(u64, u64)>, Failure> {
    let found = get_memory_map(map).map_err(Failure::Map)?;
    let descriptors = memory::descriptors(map.get(..found.bytes).unwrap_or(&[]), found.step);
    let mut ranges = alloc::vec![Range::default(); MAX_RANGES];
    let count = memory::convert(descriptors, &[], &mut ranges).map_err(|memory::TooManyRanges| Failure::TooManyRanges)?;
    Ok(ranges.iter().take(count).map(|range| (range.base, range.length_bytes)).collect())
}

fn tables(plan: &Plan<'_>, ram: &[(u64, u64)]) -> Result<Frames, Failure> {
    let layout = Layout {
        kernel_base: plan.kernel.base,
        segments: plan.segments,
        ram,
        jump_page: loader_jump as *const () as u64 / PAGE_BYTES * PAGE_BYTES,
        largest_page: plan.largest_page,
    };
    let count = Tables::build(0, &layout).map_err(Failure::Tables)?.as_slice().len() as u64;
    let mut frames = Frames::new(count * TABLE_BYTES).map_err(|error| Failure::Memory(error.status()))?;
    let tables = Tables::build(frames.base(), &layout).map_err(Failure::Tables)?;
    let entries = tables.as_slice().iter().flatten();
    for (place, entry) in frames.as_mut_slice().chunks_exact_mut(8).zip(entries) {
        place.copy_from_slice(&entry.to_le_bytes());
    }
    Ok(frames)
}

struct MapFound {
    bytes: usize,
    step: usize,
    key: usize,
}

/// Room for the map as it will be then.
fn map_bytes() -> usize {
    let mut found = MapFound { bytes: 0, step: 0, key: 0 };
    // Fails, for want of a buffer, and says how large one must be.
    let _ = call_get_memory_map(&mut [], &mut found);
    found.bytes + MAP_SLACK_BYTES
}

fn get_memory_map(buffer: &mut [u8]) -> Result<MapFound, Status> {
    let mut found = MapFound { bytes: buffer.len(), step: 0, key: 0 };
    match call_get_memory_map(buffer, &mut found) {
        Status::SUCCESS => Ok(found),
        status => Err(status),
    }
}

/// The raw call, since the `uefi` crate's own ExitBootServices resets the machine when it fails, and we must not.
fn call_get_memory_map(buffer: &mut [u8], found: &mut MapFound) -> Status {
    let Some(system) = table::system_table_raw() else { return Status::UNSUPPORTED };
    found.bytes = buffer.len();
    let mut version = 0;
    // SAFETY: 1. The system table is the one that the firmware passed to us. 2. Boot services are there: the one caller
    // after a failed ExitBootServices is allowed exactly this call (UEFI 2.10, section 7.4.6). 3. The buffer is as long
    // as we say and, if not empty, page-aligned.
    unsafe {
        let services = system.as_ref().boot_services;
        ((*services).get_memory_map)(&mut found.bytes, buffer.as_mut_ptr().cast(), &mut found.key, &mut found.step, &mut version)
    }
}

/// (bytes of the map, bytes from one descriptor to the next). The key goes stale when anything allocates in between,
/// firmware timers included, so it is tried again.
fn exit_boot_services(map: &mut [u8]) -> Result<(usize, usize), Status> {
    let mut status = Status::ABORTED;
    for _ in 0..8 {
        let found = get_memory_map(map)?;
        let system = table::system_table_raw().ok_or(Status::UNSUPPORTED)?;
        // SAFETY: 1. The system table is the firmware's, and boot services have not ended: a success returns. 2. The caller of `enter` holds no protocol any more. 3. The image
        // handle is our own.
        status = unsafe {
            let services = system.as_ref().boot_services;
            ((*services).exit_boot_services)(boot::image_handle().as_ptr(), found.key)
        };
        if status == Status::SUCCESS {
            // SAFETY: 1. Ring 0 may. 2. Interrupts stay off until the kernel has its own handlers: the firmware's are gone.
            unsafe { asm!("cli", options(nomem, nostack)) };
            return Ok((found.bytes, found.step));
        }
    }
    Err(status)
}

unsafe extern "sysv64" {
    /// Loads the page tables at `root` and enters `entry` with `rdi` = `info`, as if called on an empty stack.
    fn loader_jump(root: u64, stack_top: u64, info: u64, entry: u64) -> !;
}

// Aligned to its size, so that it lies in the one page that stays mapped while the tables change.
// NXE before CR3, because the new tables use bit 63; PGE and PCIDE off, so that no translation of the firmware survives;
// CET off, because its shadow stack stays behind.
global_asm!(
    ".balign 64",
    ".globl loader_jump",
    "loader_jump:",
    "cli",
    "cld",
    "mov r8, rdx",
    "mov r9, rcx",
    "mov ecx, 0xc0000080", // IA32_EFER
    "rdmsr",
    "or eax, 0x800", // NXE
    "wrmsr",
    "mov rax, cr4",
    "and rax, 0xffffffffff7dff7f", // not CET (23), not PCIDE (17), not PGE (7)
    "mov cr4, rax",
    "mov cr3, rdi",
    "mov rsp, rsi",
    "push 0",
    "xor ebp, ebp",
    "mov rdi, r8",
    "jmp r9",
);
