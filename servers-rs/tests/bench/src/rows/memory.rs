// SPDX-License-Identifier: PMPL-1.0-or-later
//! Mapping and unmapping in the running space, where unmapping must empty the translation cache as well.

use crate::meter::row;
use rt::memory::Window;
use stage::POOL;
use stage::{Trouble, must, same};
use sys::{Memory, PAGE_BYTES, Rights};

pub fn map_unmap() -> Result<(), Trouble> {
    let memory = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    map("memory.map_unmap.4k", memory, 0, 1)
}

/// From the second page of the object on, so that addresses and frames are never aligned alike: no large page helps.
pub fn map_many() -> Result<(), Trouble> {
    let memory = must("making memory", POOL.create_memory(513 * PAGE_BYTES))?;
    map("memory.map_many.512x4k", memory, PAGE_BYTES, 512)
}

fn map(name: &str, memory: Memory, offset_bytes: u64, pages: u64) -> Result<(), Trouble> {
    let access = Rights::READ | Rights::WRITE;
    let mut mapped = 0;
    let passes = row(name, 1, || {
        mapped += u64::from(Window::map_from(memory, offset_bytes, pages * PAGE_BYTES, access).is_ok());
    });
    same("mapped", mapped, passes)
}
