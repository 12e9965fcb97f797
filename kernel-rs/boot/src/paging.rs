// SPDX-License-Identifier: PMPL-1.0-or-later
//! The page tables that the kernel starts on (`abi::boot_info`): planned here as numbers, copied into frames by
//! `handover.rs`. Four levels, as Intel SDM volume 3, section 4.5 has them.
//!
//! Three parts: the kernel's image by its segments (W^X, 4 KiB pages), all RAM at `DIRECT_MAP` (large pages, never
//! executable), and the page of the jump one to one. The tables' own frames are contiguous: table `n` is at base + n pages.

use crate::kernel_image::{Access, Segment};
use abi::boot_info::{DIRECT_MAP, KERNEL_BASE};
use alloc::vec;
use alloc::vec::Vec;

pub const TABLE_BYTES: u64 = 4096;
const KIB4: u64 = 4 << 10;
const MIB2: u64 = 2 << 20;
const GIB1: u64 = 1 << 30;
/// Mapped whatever the memory map says: local and I/O APIC, ECAM and firmware tables lie below it.
pub const ALWAYS_DIRECT_BYTES: u64 = 4 * GIB1;
/// The lower half's size; a physical address is never larger in practice (46 bits), and the direct map has that much room.
const MAX_PHYSICAL: u64 = 1 << 46;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Whether the CPU knows 1 GiB pages (CPUID 8000_0001h, EDX bit 26).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LargestPage {
    Mib2,
    Gib1,
}

#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// Physical address of the kernel's image.
    pub kernel_base: u64,
    pub segments: &'a [Segment],
    /// (base, length) of RAM, in any order; what is above 4 GiB is mapped from here.
    pub ram: &'a [(u64, u64)],
    /// Physical page of the code that switches tables.
    pub jump_page: u64,
    pub largest_page: LargestPage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A physical address that four levels cannot reach.
    AddressTooHigh,
    /// Two mappings for one page: a fault of the plan itself.
    MappedTwice,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Refusal::AddressTooHigh => "memory map reaches above 64 TiB",
            Refusal::MappedTwice => "two mappings for one page (a fault of the loader)",
        })
    }
}

/// Tables to be copied to `base` as they stand; the first is the root (CR3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tables {
    base: u64,
    tables: Vec<[u64; 512]>,
}

impl Tables {
    /// The tables for `layout` if their first frame is at `base`. Their number does not depend on `base`, so a first
    /// call with 0 says how many frames to get.
    pub fn build(base: u64, layout: &Layout<'_>) -> Result<Self, Refusal> {
        let mut tables = Tables { base, tables: vec![[0; 512]] };
        tables.map_direct(layout)?;
        for segment in layout.segments {
            tables.map_segment(layout.kernel_base, segment)?;
        }
        tables.map(layout.jump_page, layout.jump_page, KIB4, 0)?;
        Ok(tables)
    }

    pub fn as_slice(&self) -> &[[u64; 512]] {
        &self.tables
    }

    pub fn root(&self) -> u64 {
        self.base
    }

    fn map_segment(&mut self, kernel_base: u64, segment: &Segment) -> Result<(), Refusal> {
        let flags = match segment.access {
            Access::ReadOnly => NO_EXECUTE,
            Access::ReadWrite => WRITABLE | NO_EXECUTE,
            Access::ReadExecute => 0,
        };
        let pages = segment.pages();
        let mut offset = pages.start;
        while offset < pages.end {
            self.map(KERNEL_BASE + offset, kernel_base + offset, KIB4, flags)?;
            offset += KIB4;
        }
        Ok(())
    }

    /// The first 4 GiB in 2 MiB pages: a 1 GiB page must not span memory of two MTRR types, and device registers are
    /// down there (SDM volume 3, section 12.11.9). Above, 1 GiB pages where RAM fills them.
    fn map_direct(&mut self, layout: &Layout<'_>) -> Result<(), Refusal> {
        self.map_direct_range(0, ALWAYS_DIRECT_BYTES, LargestPage::Mib2)?;
        for (start, end) in high_ram(layout.ram)? {
            self.map_direct_range(start, end, layout.largest_page)?;
        }
        Ok(())
    }

    fn map_direct_range(&mut self, start: u64, end: u64, largest: LargestPage) -> Result<(), Refusal> {
        let mut physical = start;
        while physical < end {
            let whole_gib = largest == LargestPage::Gib1 && physical.is_multiple_of(GIB1) && end - physical >= GIB1;
            let size = if whole_gib { GIB1 } else { MIB2 };
            self.map(DIRECT_MAP + physical, physical, size, WRITABLE | NO_EXECUTE)?;
            physical += size;
        }
        Ok(())
    }

    fn map(&mut self, address: u64, physical: u64, size: u64, flags: u64) -> Result<(), Refusal> {
        if physical >= MAX_PHYSICAL {
            return Err(Refusal::AddressTooHigh);
        }
        let mut table = 0_usize;
        let mut span = 1_u64 << 39;
        while span > size {
            table = self.below(table, index(address, span))?;
            span >>= 9;
        }
        let large = if size == KIB4 { 0 } else { LARGE };
        let entry = self.entry(table, index(address, span))?;
        if *entry != 0 {
            return Err(Refusal::MappedTwice);
        }
        *entry = physical | PRESENT | large | flags;
        Ok(())
    }

    /// The table under entry `slot` of `table`, made if it is not there. Upper levels allow all; the leaf decides.
    fn below(&mut self, table: usize, slot: usize) -> Result<usize, Refusal> {
        let found = *self.entry(table, slot)?;
        if found & LARGE != 0 {
            return Err(Refusal::MappedTwice);
        }
        if found != 0 {
            return usize::try_from(((found & ADDRESS) - self.base) / TABLE_BYTES).map_err(|_| Refusal::MappedTwice);
        }
        let new = self.tables.len();
        self.tables.push([0; 512]);
        let physical = self.base + new as u64 * TABLE_BYTES;
        *self.entry(table, slot)? = physical | PRESENT | WRITABLE;
        Ok(new)
    }

    fn entry(&mut self, table: usize, slot: usize) -> Result<&mut u64, Refusal> {
        self.tables.get_mut(table).and_then(|table| table.get_mut(slot)).ok_or(Refusal::MappedTwice)
    }
}

fn index(address: u64, span: u64) -> usize {
    (address / span % 512) as usize
}

/// RAM above 4 GiB rounded out to 2 MiB, sorted, merged.
fn high_ram(ram: &[(u64, u64)]) -> Result<Vec<(u64, u64)>, Refusal> {
    let mut rounded = Vec::new();
    for &(base, length) in ram {
        let end = base.checked_add(length).filter(|&end| end <= MAX_PHYSICAL).ok_or(Refusal::AddressTooHigh)?;
        if end > ALWAYS_DIRECT_BYTES && length > 0 {
            rounded.push((base.max(ALWAYS_DIRECT_BYTES) / MIB2 * MIB2, end.div_ceil(MIB2) * MIB2));
        }
    }
    rounded.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in rounded {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    Ok(merged)
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
