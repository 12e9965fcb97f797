// SPDX-License-Identifier: PMPL-1.0-or-later
//! Mapping and unmapping.

use crate::meter::row;
use rt::memory::Window;
use stage::POOL;
use stage::{Trouble, must, same};
use sys::{PAGE_BYTES, Rights};

/// 512 mappings of one page each, then one operation that takes them away. Addresses and frames are
/// never aligned alike, so that no large page helps.
pub fn map_many() -> Result<(), Trouble> {
    const PAGES: usize = 512;
    let memory = must("making memory", POOL.create_memory((PAGES as u64 + 1) * PAGE_BYTES))?;
    let access = Rights::READ | Rights::WRITE;
    let mut mapped = 0;
    let passes = row("memory.map_many.512x4k", 1, || {
        mapped += u64::from(Window::map_pages(memory, PAGE_BYTES, PAGES, access).is_ok());
    });
    same("mapped", mapped, passes)
}

/// In the running space, where unmapping must empty the translation cache as well.
pub fn map_unmap() -> Result<(), Trouble> {
    let memory = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let access = Rights::READ | Rights::WRITE;
    let mut mapped = 0;
    let passes = row("memory.map_unmap.4k", 1, || {
        mapped += u64::from(Window::map(memory, PAGE_BYTES, access).is_ok());
    });
    same("mapped", mapped, passes)
}
