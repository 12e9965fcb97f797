// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the loader hands to the kernel, and what the kernel hands on to the root task.
//!
//! The loader (or the kernel's own PVH entry) enters the kernel in 64-bit mode, interrupts off, at its ELF entry point
//! with `rdi` = physical address of [`BootInfo`], on page tables that map: the kernel at [`KERNEL_BASE`] as its program
//! headers say (W^X), all RAM and the BootInfo at [`DIRECT_MAP`] + physical (read-write, not executable, at least the
//! first 4 GiB), and the page of the jump itself one to one. `rsp` is a usable stack of at least 16 KiB.

/// The kernel is linked here; byte `n` of its image lies at physical `BootInfo::kernel_base + n`.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// Physical address `p` is at `DIRECT_MAP + p`.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// User addresses are below this one.
pub const USER_END: u64 = 0x0000_7fff_ffff_f000;

pub const MAGIC: u64 = u64::from_le_bytes(*b"FRboot01");
pub const MAX_RANGES: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Range {
    pub base: u64,
    pub length_bytes: u64,
    /// One of [`range_kind`].
    pub kind: u64,
}

pub mod range_kind {
    pub const USABLE: u64 = 1;
    /// Firmware, ACPI, anything that is RAM but not ours.
    pub const RESERVED: u64 = 2;
    /// ACPI tables: readable, may be reclaimed when nobody needs them any more (we keep them).
    pub const ACPI: u64 = 3;
    /// The kernel's image, the bundle, this structure, the loader's page tables and stack.
    pub const BOOT: u64 = 4;
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Framebuffer {
    /// Physical address, 0 = none.
    pub base: u64,
    pub width: u32,
    pub height: u32,
    /// Pixels from one line to the next.
    pub stride: u32,
    /// 0 = RGBX, 1 = BGRX (UEFI PixelRedGreenBlue.. and PixelBlueGreenRed.., section 12.9).
    pub format: u32,
}

/// Which slot the loader chose.
pub mod slot {
    /// Not booted from a disk slot (kernel and bundle were given directly).
    pub const NONE: u32 = 0;
    pub const A: u32 = 1;
    pub const B: u32 = 2;
}

pub mod flag {
    /// Secure Boot was enforced by the firmware.
    pub const SECURE_BOOT: u32 = 1;
    /// The loader extended a TPM.
    pub const MEASURED: u32 = 2;
    /// The image is signed with development keys.
    pub const UNRELEASED: u32 = 4;
}

/// What both the kernel's panic line and the root task need to know of where this system came from.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Origin {
    /// [`slot`].
    pub slot: u32,
    /// [`flag`] bits.
    pub flags: u32,
    /// Root digest of the slot's dm-verity tree; zero if there is none.
    pub verity_root: [u8; 32],
    /// sha256 of the commit object, for logs.
    pub commit: [u8; 32],
    /// Zero-padded UTF-8.
    pub version: [u8; 64],
    /// Unique GUID of the slot's partition as in the GPT entry (mixed endian), zero if none.
    pub partition_guid: [u8; 16],
    /// Time stamp counter when the loader (or PVH entry) took over.
    pub loader_tsc: u64,
    /// Seconds since 1970 by the firmware's clock, 0 = unknown.
    pub wall_clock_s: u64,
    /// From the firmware's random source, zero if it has none.
    pub seed: [u8; 32],
    /// Signed verity salt length and bytes, data blocks of 4096 bytes: what a reader needs beside the root digest.
    pub verity_salt_len: u32,
    pub reserved: u32,
    pub verity_salt: [u8; 32],
    pub verity_data_blocks: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct BootInfo {
    /// [`MAGIC`].
    pub magic: u64,
    /// `size_of::<BootInfo>()` of whoever wrote it; the kernel refuses any other.
    pub size: u64,
    /// Physical address of the first byte of the kernel's image.
    pub kernel_base: u64,
    pub kernel_length_bytes: u64,
    /// Physical, page-aligned.
    pub bundle_base: u64,
    pub bundle_length_bytes: u64,
    /// Physical address of the ACPI root pointer (RSDP), 0 = none.
    pub rsdp: u64,
    pub framebuffer: Framebuffer,
    pub origin: Origin,
    pub range_count: u64,
    /// Sorted by base, not overlapping.
    pub ranges: [Range; MAX_RANGES],
}

/// The page that root finds mapped read-only: its address is the argument of its first thread.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RootInfo {
    /// [`MAGIC`].
    pub magic: u64,
    pub origin: Origin,
    /// Where the bundle is mapped in root, read-only, and its length.
    pub bundle_address: u64,
    pub bundle_length_bytes: u64,
    /// CPUs that run.
    pub cpu_count: u64,
    pub rsdp: u64,
    /// Where ACPI tables live: root may map them through its device range, read-only.
    pub ecam_base: u64,
    pub ecam_length_bytes: u64,
    /// Nanoseconds of the kernel's clock at the loader's first instruction are `-clock_offset_ns`:
    /// time since the loader = `ClockNow + clock_offset_ns`.
    pub clock_offset_ns: u64,
    /// Message buffer of root's first thread.
    pub message_buffer: u64,
    pub framebuffer: Framebuffer,
}
