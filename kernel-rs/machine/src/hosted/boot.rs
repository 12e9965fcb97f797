// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a loader hands over, made up: for whoever starts a kernel on the host.

use abi::boot_info::{BootInfo, Framebuffer, MAGIC, MAX_RANGES, Range};

/// A bundle whose root is one page of code; `log_level` as in `abi::bundle::KernelConfig`.
pub fn test_bundle(log_level: u32) -> Vec<u8> {
    let mut b = Vec::new();
    b.extend(abi::bundle::MAGIC.to_le_bytes());
    b.extend(8192u64.to_le_bytes());
    for n in [4u32, 10_000, log_level, 16, 512, 1, 200, 0] {
        b.extend(n.to_le_bytes());
    }
    let segment = [0x40_0000u64, 8192, 4096, 100, 5];
    for n in [0x40_0000, 16_384, 1].into_iter().chain(segment).chain([0; 35]).chain([0; 4]) {
        b.extend(n.to_le_bytes());
    }
    b.resize(8192, 0x90);
    b
}

/// A machine of which nothing is known.
pub fn test_boot_info() -> BootInfo {
    BootInfo {
        magic: MAGIC,
        size: size_of::<BootInfo>() as u64,
        kernel_base: 0,
        kernel_length_bytes: 0,
        bundle_base: 0,
        bundle_length_bytes: 0,
        rsdp: 0,
        framebuffer: Framebuffer::default(),
        origin: crate::command_line::UNKNOWN,
        range_count: 0,
        ranges: [Range::default(); MAX_RANGES],
    }
}
