// SPDX-License-Identifier: PMPL-1.0-or-later
//! The head of the boot bundle: the little that the kernel itself reads. The rest (manifest, programs) is
//! `servers-rs/lib/manifest`, which also writes this head. All fields little endian; offsets from the bundle's start.

pub const MAGIC: u64 = u64::from_le_bytes(*b"FRbundl1");
pub const MAX_ROOT_SEGMENTS: usize = 8;

/// How the kernel behaves: `configs/kernel.ncl`, as fixed numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct KernelConfig {
    /// Most CPUs to start.
    pub max_cpus: u32,
    pub timer_slice_us: u32,
    /// 0 silent, 1 error, 2 warning, 3 info, 4 debug.
    pub log_level: u32,
    /// Frames kept back for the kernel's own start (stacks, frame table are counted apart); not given to root's pool.
    pub reserve_frames: u32,
    /// Slots of root's capability table.
    pub root_table_slots: u32,
    /// 1 on COM1 (0x3f8), 0 no serial console.
    pub serial_console: u32,
    /// Priority of root's first thread.
    pub root_priority: u32,
    pub reserved: u32,
}

/// A page-aligned piece of root's image: `file_offset` into the bundle, the rest up to `memory_bytes` is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Segment {
    pub address: u64,
    pub memory_bytes: u64,
    pub file_offset: u64,
    pub file_bytes: u64,
    /// `Rights` READ, WRITE, EXECUTE bits; never WRITE with EXECUTE.
    pub access: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Head {
    /// [`MAGIC`].
    pub magic: u64,
    /// Length of the whole bundle in bytes.
    pub length_bytes: u64,
    pub kernel: KernelConfig,
    pub root_entry: u64,
    pub root_stack_bytes: u64,
    pub root_segment_count: u64,
    pub root_segments: [Segment; MAX_ROOT_SEGMENTS],
    /// The manifest of `lib/manifest`.
    pub manifest_offset: u64,
    pub manifest_length_bytes: u64,
    /// Kernel symbols (dev only, else 0): u32 count, then count times (u64 address, u32 name offset, u32 name length),
    /// sorted by address, then the names; offsets from the table's start.
    pub symbols_offset: u64,
    pub symbols_length_bytes: u64,
}
