// SPDX-License-Identifier: PMPL-1.0-or-later
//! From `BootInfo` to a machine that is ready: own page tables, frames, clock, interrupts, all CPUs.
//!
//! One CPU, interrupts off, on the boot stack in the kernel's image. The order matters: ACPI is read on the loader's
//! page tables, which map more; the frame database comes last, when it is known what the boot itself took.

use super::kernel_space::{self, direct, early};
use super::{apic, clock, console, cpu, per_cpu, ports, smp, tables};
use crate::acpi::{self, Acpi};
use crate::memory::Frames;
use abi::boot_info::{BootInfo, MAGIC, MAX_RANGES, Origin, Range, range_kind};
use core::sync::atomic::{AtomicBool, Ordering::*};

const FOUR_GIB: u64 = 4 << 30;
const FRAME: u64 = 4096;

/// What the boot found, for the kernel.
pub struct Boot {
    pub frames: Frames,
    pub info: &'static BootInfo,
    pub bundle: &'static [u8],
    pub acpi: Acpi,
    /// CPUs that run.
    pub cpus: usize,
    /// As in `RootInfo`.
    pub clock_offset_ns: u64,
}

/// What the kernel's configuration says about the machine.
pub struct Settings {
    pub max_cpus: usize,
    pub serial_console: bool,
}

static mut INFO: core::mem::MaybeUninit<BootInfo> = core::mem::MaybeUninit::uninit();
static INFO_READY: AtomicBool = AtomicBool::new(false);

/// Where this system came from, as soon as it is known.
#[allow(clippy::deref_addrof)]
pub fn origin() -> Option<&'static Origin> {
    // SAFETY: 1. written once before INFO_READY, only read since.
    INFO_READY.load(Acquire).then(|| unsafe { &(*(&raw const INFO)).assume_init_ref().origin })
}

/// Bytes of physical memory below 4 GiB, which every way in maps. Only for what firmware or loader wrote.
pub fn low_memory(physical: u64, bytes: usize) -> Option<&'static [u8]> {
    let end = physical.checked_add(bytes as u64)?;
    // SAFETY: 1. mapped until `kernel_space::build`; 2. nobody writes firmware's tables or the loader's data meanwhile.
    (physical != 0 && end <= FOUR_GIB).then(|| unsafe { core::slice::from_raw_parts(direct(physical), bytes) })
}

/// `BootInfo` of a direct boot.
pub use super::pvh::boot_info as pvh_boot_info;

/// Makes the machine ready. `settings` reads the bundle.
///
/// # Safety
/// Called once, in the state that `abi::boot_info` describes, with the physical address from `rdi`.
pub unsafe fn boot(info: u64, settings: fn(&[u8]) -> Option<Settings>) -> Boot {
    console::init();
    cpu::probe();
    // SAFETY: the caller's.
    let info = unsafe { take_info(info) };
    // SAFETY: 1. the loader's word for it; checked to be in one BOOT range by `check`; 2. published as user memory only
    // after the kernel is through with it, read-only.
    let bundle = unsafe { core::slice::from_raw_parts(direct(info.bundle_base), info.bundle_length_bytes as usize) };
    let settings = settings(bundle).expect("the boot bundle has no valid head");
    console::enable(settings.serial_console);
    let rsdp = if info.rsdp == 0 { acpi::find_rsdp(&low_memory) } else { info.rsdp };
    let acpi = acpi::parse(&low_memory, rsdp);

    cpu::protect();
    let ranges = &info.ranges[..info.range_count as usize];
    let best = ranges.iter().filter_map(early_part).max_by_key(|(first, end)| end - first).expect("usable RAM below 4 GiB");
    kernel_space::set_early(best.0, best.1);
    kernel_space::build(info);
    tables::init_vectors();
    let stacks = kernel_space::make_stacks(0);
    tables::load(0, &stacks);
    per_cpu::install(0, 0, stacks.main);
    ports::silence_8259();
    apic::init(&acpi);
    per_cpu::install(0, apic::id(), stacks.main);
    per_cpu::cpu_block(0).online.store(true, Release);
    clock::init();
    apic::finish_measure();
    ports::init_power(&acpi);
    let low_page = ranges.iter().find_map(trampoline_page);
    let cpus = smp::start(&acpi, settings.max_cpus, low_page);
    let frames = make_frames(ranges, best, low_page);
    Boot { frames, info, bundle, acpi, cpus, clock_offset_ns: clock::ns_before_start(info.origin.loader_tsc) }
}

/// # Safety
/// As [`boot`].
unsafe fn take_info(physical: u64) -> &'static BootInfo {
    // SAFETY: 1. the loader maps it at DIRECT_MAP; 2. every bit pattern is a BootInfo; 3. INFO is written once.
    let info = unsafe {
        (&raw mut INFO).write(core::mem::MaybeUninit::new((direct(physical) as *const BootInfo).read_unaligned()));
        &*(&raw const INFO as *const BootInfo)
    };
    assert!(info.magic == MAGIC && info.size == size_of::<BootInfo>() as u64, "the loader's BootInfo is of another version");
    INFO_READY.store(true, Release);
    check(info).unwrap_or_else(|problem| panic!("the loader's BootInfo: {problem}"));
    info
}

fn check(info: &BootInfo) -> Result<(), &'static str> {
    let ranges = info.ranges.get(..info.range_count as usize).filter(|r| r.len() <= MAX_RANGES).ok_or("too many ranges")?;
    let mut end = 0;
    for range in ranges {
        if range.base < end {
            return Err("ranges overlap or are not sorted");
        }
        end = range.base.checked_add(range.length_bytes).filter(|e| *e < 1 << 52).ok_or("a range has no end")?;
    }
    let kept = |base: u64, length: u64| {
        let inside = |r: &&Range| r.base <= base && base.checked_add(length).is_some_and(|e| e <= r.base + r.length_bytes);
        length > 0 && ranges.iter().find(inside).is_some_and(|r| r.kind == range_kind::BOOT)
    };
    if !info.bundle_base.is_multiple_of(FRAME) {
        return Err("the bundle is not page-aligned");
    }
    if !kept(info.bundle_base, info.bundle_length_bytes) {
        return Err("no bundle, or it is not in a range of kind BOOT");
    }
    if !kept(info.kernel_base, kernel_space::image_bytes()) {
        return Err("the kernel's image is not in a range of kind BOOT");
    }
    Ok(())
}

/// The part of a usable range that the early allocator may take: above the first MiB, below 4 GiB, whole frames.
fn early_part(range: &Range) -> Option<(u64, u64)> {
    let first = range.base.max(1 << 20).next_multiple_of(FRAME);
    let end = (range.base + range.length_bytes).min(FOUR_GIB) & !(FRAME - 1);
    (range.kind == range_kind::USABLE && first < end).then_some((first, end))
}

/// A usable page where a CPU can start in real mode.
fn trampoline_page(range: &Range) -> Option<u64> {
    let page = range.base.max(0x1000).next_multiple_of(FRAME);
    (range.kind == range_kind::USABLE && page + FRAME <= (range.base + range.length_bytes).min(0x9_f000)).then_some(page)
}

/// The frame database over all RAM; everything usable that the boot did not take is free.
fn make_frames(ranges: &[Range], taken: (u64, u64), low_page: Option<u64>) -> Frames {
    let is_ram = |r: &&Range| matches!(r.kind, range_kind::USABLE | range_kind::BOOT);
    let top = ranges.iter().filter(is_ram).map(|r| r.base + r.length_bytes).max().unwrap_or(0) / FRAME;
    let count = top as usize;
    let (records, bitmap) = (early(top * 8), early(Frames::bitmap_words(count) as u64 * 8));
    // SAFETY: 1. early memory is zeroed, ours for ever, and page-aligned; 2. zero is a valid record; 3. DIRECT_MAP maps
    // all RAM; 4. free is only what the loader called usable and `early` did not hand out.
    unsafe {
        let records = core::slice::from_raw_parts_mut(direct(records) as *mut _, count);
        let bitmap = core::slice::from_raw_parts_mut(direct(bitmap) as *mut u64, Frames::bitmap_words(count));
        let mut frames = Frames::new(direct(0), records, bitmap);
        frames.keep((taken.0 / FRAME) as u32, ((kernel_space::early_next() - taken.0) / FRAME) as u32);
        if let Some(page) = low_page {
            frames.keep((page / FRAME) as u32, 1);
        }
        for range in ranges.iter().filter(is_ram) {
            let (first, end) = (range.base.div_ceil(FRAME), (range.base + range.length_bytes) / FRAME);
            match range.kind {
                range_kind::USABLE => frames.add_free(first as u32, end.saturating_sub(first) as u32),
                _ => frames.keep(
                    (range.base / FRAME) as u32,
                    ((range.base + range.length_bytes).div_ceil(FRAME) - range.base / FRAME) as u32,
                ),
            }
        }
        frames
    }
}
