// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the kernel wants to know and only the firmware or the CPU can tell: time, seed, screen, ACPI, CPU features.

use super::protocol;
use abi::boot_info::Framebuffer;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, _rdtsc};
use loader::clock::{Calendar, seconds_since_1970};
use loader::paging::LargestPage;
use uefi::proto::console::gop::{GraphicsOutput, PixelFormat};
use uefi::proto::rng::Rng;
use uefi::table::cfg::ConfigTableEntry;
use uefi::{runtime, system};

pub fn time_stamp() -> u64 {
    // SAFETY: 1. Every x86_64 CPU has a time stamp counter. 2. CR4.TSD forbids reading it only outside ring 0.
    unsafe { _rdtsc() }
}

/// Seconds since 1970 by the firmware's clock, 0 when it has none or it makes no sense.
pub fn wall_clock_s() -> u64 {
    runtime::get_time().map_or(0, |time| {
        seconds_since_1970(&Calendar {
            year: time.year(),
            month: time.month(),
            day: time.day(),
            hour: time.hour(),
            minute: time.minute(),
            second: time.second(),
            offset_minutes: time.time_zone(),
        })
    })
}

/// 32 random bytes by EFI_RNG_PROTOCOL, zero when the firmware has none.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    match protocol::first::<Rng>().and_then(|mut rng| rng.get_rng(None, &mut seed)) {
        Ok(()) => seed,
        Err(_) => [0; 32],
    }
}

/// The first screen's linear framebuffer, all zero when there is none that a kernel can draw into.
pub fn framebuffer() -> Framebuffer {
    let Ok(mut gop) = protocol::first::<GraphicsOutput>() else { return Framebuffer::default() };
    let mode = gop.current_mode_info();
    let format = match mode.pixel_format() {
        PixelFormat::Rgb => 0,
        PixelFormat::Bgr => 1,
        PixelFormat::Bitmask | PixelFormat::BltOnly => return Framebuffer::default(),
    };
    let (width, height) = mode.resolution();
    Framebuffer {
        base: gop.frame_buffer().as_mut_ptr() as u64,
        width: width as u32,
        height: height as u32,
        stride: mode.stride() as u32,
        format,
    }
}

/// Physical address of the ACPI root pointer, 0 = none; version 2 before version 1.
pub fn rsdp() -> u64 {
    let find =
        |guid| system::with_config_table(|table| table.iter().find(|entry| entry.guid == guid).map(|entry| entry.address as u64));
    find(ConfigTableEntry::ACPI2_GUID).or_else(|| find(ConfigTableEntry::ACPI_GUID)).unwrap_or(0)
}

pub fn largest_page() -> LargestPage {
    const PAGE_1GIB: u32 = 1 << 26;
    let has_leaf = __cpuid(0x8000_0000).eax >= 0x8000_0001;
    if has_leaf && __cpuid(0x8000_0001).edx & PAGE_1GIB != 0 { LargestPage::Gib1 } else { LargestPage::Mib2 }
}

/// Whether the firmware runs on five-level page tables, which cannot be left without leaving 64-bit mode.
pub fn has_five_levels() -> bool {
    const LA57: u64 = 1 << 12;
    let cr4: u64;
    // SAFETY: 1. Reading CR4 changes nothing. 2. It is allowed in ring 0, where UEFI runs its programs.
    unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack, preserves_flags)) }
    cr4 & LA57 != 0
}
