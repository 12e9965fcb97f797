// SPDX-License-Identifier: PMPL-1.0-or-later
//! Page frames from the firmware, below 4 GiB, zeroed: freed when dropped, or kept for the kernel.

use core::ptr::NonNull;
use core::slice;
use loader::memory::{PAGE_BYTES, Region};
use uefi::boot::{self, AllocateType, MemoryType};

/// Below 4 GiB: other CPUs load the page-table root while they are still in 32-bit mode.
const HIGHEST: u64 = 0xffff_ffff;

#[derive(Debug)]
pub struct Frames {
    start: NonNull<u8>,
    pages: usize,
}

impl Frames {
    /// Enough frames for `bytes` (at least one). The firmware's status when it has not so many in one piece.
    pub fn new(bytes: u64) -> uefi::Result<Self> {
        let pages = usize::try_from(bytes.max(1).div_ceil(PAGE_BYTES)).map_err(|_| uefi::Status::OUT_OF_RESOURCES)?;
        let start = boot::allocate_pages(AllocateType::MaxAddress(HIGHEST), MemoryType::LOADER_DATA, pages)?;
        // SAFETY: 1. The firmware just gave us `pages` pages from `start` on, ours alone, mapped one to one and writable.
        // 2. Bytes need no alignment.
        unsafe { start.write_bytes(0, pages * PAGE_BYTES as usize) };
        Ok(Frames { start, pages })
    }

    /// Physical address; under UEFI also the pointer.
    pub fn base(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    pub fn region(&self) -> Region {
        Region { base: self.base(), length_bytes: self.pages as u64 * PAGE_BYTES }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: 1. `new` got these pages and zeroed them, so every byte is initialised. 2. Only this value points to
        // them, and the result borrows it. 3. Fewer than isize::MAX bytes: they lie below 4 GiB.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.pages * PAGE_BYTES as usize) }
    }

    /// Leaves the frames to the kernel: they are never freed.
    pub fn keep(self) -> &'static mut [u8] {
        let (start, bytes) = (self.start, self.pages * PAGE_BYTES as usize);
        core::mem::forget(self);
        // SAFETY: 1. `new` got these pages and zeroed them. 2. The value that would have freed them is forgotten, so they
        // live for ever and nobody else points to them. 3. Fewer than isize::MAX bytes, as they lie below 4 GiB.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), bytes) }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // SAFETY: 1. `start` and `pages` are what `new` got from the firmware. 2. Boot services are still there: what
        // lives until they end is kept, not dropped. A failure leaves the pages allocated, which harms nobody.
        let _ = unsafe { boot::free_pages(self.start, self.pages) };
    }
}
