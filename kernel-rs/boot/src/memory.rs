// SPDX-License-Identifier: PMPL-1.0-or-later
//! The firmware's memory map as the kernel wants it: sorted, merged, no overlaps, our own regions marked.
//!
//! Runs after ExitBootServices, so it allocates nothing: it looks for the next boundary again and again, which is
//! quadratic in some hundred descriptors. A firmware map may have holes and (broken ones) overlaps; where two
//! descriptors disagree the one that keeps the kernel away wins.

use abi::boot_info::{Range, range_kind};

pub const PAGE_BYTES: u64 = 4096;

/// One EFI_MEMORY_DESCRIPTOR (UEFI 2.10, section 7.2.3), the fields that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    pub kind: u32,
    pub base: u64,
    pub pages: u64,
    pub attributes: u64,
}

/// The descriptors in a memory map as the firmware wrote it, `step` bytes from one to the next (at least 40).
/// A wrong `step` gives none.
pub fn descriptors(map: &[u8], step: usize) -> impl Iterator<Item = Descriptor> + Clone + '_ {
    let map = if step < DESCRIPTOR_BYTES { &[] } else { map };
    map.chunks_exact(step.max(DESCRIPTOR_BYTES)).map(|bytes| Descriptor {
        kind: word(bytes, 0) as u32,
        base: word(bytes, 8),
        pages: word(bytes, 24),
        attributes: word(bytes, 32),
    })
}

const DESCRIPTOR_BYTES: usize = 40;

fn word(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u64::from_le_bytes(field.copied().unwrap_or_default())
}

/// A region that the loader made for the kernel: its image, the bundle, tables, stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Region {
    pub base: u64,
    pub length_bytes: u64,
}

/// More ranges than BootInfo has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyRanges;

/// Fills `out` and returns how many ranges it holds. When they do not all fit, ranges that are not for the kernel are
/// left out (what is in no range is not RAM); if even that is too much, `TooManyRanges` and `out` is worthless.
pub fn convert<D>(descriptors: D, ours: &[Region], out: &mut [Range]) -> Result<usize, TooManyRanges>
where
    D: Iterator<Item = Descriptor> + Clone,
{
    fill(descriptors.clone(), ours, Detail::Everything, out)
        .or_else(|TooManyRanges| fill(descriptors, ours, Detail::WithoutReserved, out))
}

/// End of the last byte of RAM in the map (exclusive): how far the direct map must reach.
pub fn end_of_ram(descriptors: impl Iterator<Item = Descriptor>) -> u64 {
    descriptors.filter(|d| kind_of(d).is_some()).filter_map(|d| end(&d)).max().unwrap_or(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Everything,
    WithoutReserved,
}

fn fill<D>(descriptors: D, ours: &[Region], detail: Detail, out: &mut [Range]) -> Result<usize, TooManyRanges>
where
    D: Iterator<Item = Descriptor> + Clone,
{
    let mut count = 0_usize;
    let mut from = 0_u64;
    while let Some(to) = next_boundary(descriptors.clone(), ours, from) {
        if let Some(kind) = kind_at(descriptors.clone(), ours, from)
            && (detail == Detail::Everything || kind != range_kind::RESERVED)
        {
            let last = count.checked_sub(1).and_then(|index| out.get_mut(index));
            match last {
                Some(last) if last.kind == kind && last.base + last.length_bytes == from => last.length_bytes += to - from,
                _ => {
                    let next = out.get_mut(count).ok_or(TooManyRanges)?;
                    *next = Range { base: from, length_bytes: to - from, kind };
                    count += 1;
                }
            }
        }
        from = to;
    }
    Ok(count)
}

/// The lowest start or end above `from`.
fn next_boundary(descriptors: impl Iterator<Item = Descriptor>, ours: &[Region], from: u64) -> Option<u64> {
    let firmware = descriptors.filter_map(|d| Some((d.base, end(&d)?)));
    let own = ours.iter().map(|region| (region.base, region.base.saturating_add(region.length_bytes)));
    firmware.chain(own).flat_map(|(start, end)| [start, end]).filter(|&edge| edge > from).min()
}

/// What the byte at `address` is for; `None` = not RAM.
fn kind_at(descriptors: impl Iterator<Item = Descriptor>, ours: &[Region], address: u64) -> Option<u64> {
    let covers = |base: u64, end: u64| (base..end).contains(&address);
    let firmware = descriptors
        .filter(|d| end(d).is_some_and(|end| covers(d.base, end)))
        .filter_map(|d| kind_of(&d))
        .max_by_key(|&kind| severity(kind))?;
    let is_ours = ours.iter().any(|r| covers(r.base, r.base.saturating_add(r.length_bytes)));
    Some(if is_ours && firmware == range_kind::USABLE { range_kind::BOOT } else { firmware })
}

fn severity(kind: u64) -> u8 {
    match kind {
        range_kind::USABLE => 0,
        range_kind::ACPI => 1,
        _ => 2,
    }
}

/// By EFI_MEMORY_TYPE (UEFI 2.10, table 7.10): what may be used after ExitBootServices. The loader's own code and data
/// count as usable; what the kernel must keep is in `ours`.
fn kind_of(descriptor: &Descriptor) -> Option<u64> {
    const LOADER_CODE: u32 = 1;
    const CONVENTIONAL: u32 = 7;
    const ACPI_RECLAIM: u32 = 9;
    const MEMORY_MAPPED_IO: u32 = 11;
    const IO_PORT_SPACE: u32 = 12;
    /// RAM that its owner set aside for a purpose (EFI_MEMORY_SP): not for a general allocator.
    const SPECIFIC_PURPOSE: u64 = 0x4_0000;
    match descriptor.kind {
        MEMORY_MAPPED_IO | IO_PORT_SPACE => None,
        LOADER_CODE..=4 | CONVENTIONAL if descriptor.attributes & SPECIFIC_PURPOSE == 0 => Some(range_kind::USABLE),
        ACPI_RECLAIM => Some(range_kind::ACPI),
        // Reserved, runtime services, ACPI NVS, unusable, PAL, persistent, unaccepted, vendor's and unknown types.
        _ => Some(range_kind::RESERVED),
    }
}

/// Exclusive; `None` for an empty descriptor or one that wraps around (both from broken firmware).
fn end(descriptor: &Descriptor) -> Option<u64> {
    let length = descriptor.pages.checked_mul(PAGE_BYTES).filter(|&bytes| bytes > 0)?;
    descriptor.base.checked_add(length)
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
