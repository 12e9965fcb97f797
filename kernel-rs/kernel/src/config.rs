// SPDX-License-Identifier: PMPL-1.0-or-later
//! Reads the head of the boot bundle, `abi::bundle::Head`, from bytes that nobody vouches for.

use abi::bundle::{Head, KernelConfig, MAGIC, MAX_ROOT_SEGMENTS, Segment};
use machine::MAX_CPUS;

/// Takes little-endian numbers off the front of bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*first))
    }
    fn u64(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }
}

/// The head, if it is one that this kernel can start from: numbers within their limits, every piece inside the bundle,
/// segments page-aligned, no segment writable and executable.
pub fn head(bytes: &[u8]) -> Option<Head> {
    let head = decode(bytes)?;
    let length = head.length_bytes;
    let inside = |offset: u64, bytes: u64| offset.checked_add(bytes).is_some_and(|end| end <= length);
    let c = &head.kernel;
    let config_ok = c.max_cpus >= 1
        && c.max_cpus as usize <= MAX_CPUS
        && (100..=1_000_000).contains(&c.timer_slice_us)
        && c.log_level <= 4
        && (32..=65_536).contains(&c.root_table_slots)
        && c.root_priority <= 255;
    let segments = &head.root_segments[..head.root_segment_count as usize];
    let segments_ok = !segments.is_empty() && segments.iter().all(|s| segment_ok(s) && inside(s.file_offset, s.file_bytes));
    let entry_ok =
        segments.iter().any(|s| s.access & 4 != 0 && (s.address..s.address + s.memory_bytes).contains(&head.root_entry));
    let rest_ok =
        inside(head.manifest_offset, head.manifest_length_bytes) && inside(head.symbols_offset, head.symbols_length_bytes);
    let stack_ok = (4096..=16 << 20).contains(&head.root_stack_bytes);
    (head.magic == MAGIC && length <= bytes.len() as u64 && config_ok && segments_ok && entry_ok && rest_ok && stack_ok)
        .then_some(head)
}

fn segment_ok(s: &Segment) -> bool {
    /// Root's image lies below the places where the kernel maps its stack and the bundle (`root`).
    const LOW: u64 = 1 << 40;
    let end = s.address.checked_add(s.memory_bytes);
    s.address.is_multiple_of(4096)
        && s.address >= 4096
        && s.memory_bytes > 0
        && end.is_some_and(|e| e <= LOW)
        && s.file_bytes <= s.memory_bytes
        && matches!(s.access, 1 | 3 | 5)
}

fn decode(bytes: &[u8]) -> Option<Head> {
    let mut r = Reader(bytes);
    let (magic, length_bytes) = (r.u64()?, r.u64()?);
    let kernel = KernelConfig {
        max_cpus: r.u32()?,
        timer_slice_us: r.u32()?,
        log_level: r.u32()?,
        reserve_frames: r.u32()?,
        root_table_slots: r.u32()?,
        serial_console: r.u32()?,
        root_priority: r.u32()?,
        reserved: r.u32()?,
    };
    let (root_entry, root_stack_bytes, root_segment_count) = (r.u64()?, r.u64()?, r.u64()?);
    let mut root_segments = [Segment::default(); MAX_ROOT_SEGMENTS];
    for s in &mut root_segments {
        *s = Segment { address: r.u64()?, memory_bytes: r.u64()?, file_offset: r.u64()?, file_bytes: r.u64()?, access: r.u64()? };
    }
    if root_segment_count > MAX_ROOT_SEGMENTS as u64 {
        return None;
    }
    Some(Head {
        magic,
        length_bytes,
        kernel,
        root_entry,
        root_stack_bytes,
        root_segment_count,
        root_segments,
        manifest_offset: r.u64()?,
        manifest_length_bytes: r.u64()?,
        symbols_offset: r.u64()?,
        symbols_length_bytes: r.u64()?,
    })
}
