// SPDX-License-Identifier: PMPL-1.0-or-later
//! The heap: one piece of memory from the program's own pool, so that its size is the manifest's. It does not grow.

use crate::sync::Mutex;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};
use linked_list_allocator::Heap;

struct Locked(Mutex<Heap>);

#[global_allocator]
static HEAP: Locked = Locked(Mutex::new(Heap::empty()));

// SAFETY: 1. `Heap` hands out blocks of at least the layout's size and alignment that do not overlap.
// 2. The mutex serialises it. 3. Failure is a null pointer.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.with(|heap| heap.allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr))
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller of `dealloc` promises that the block came from `alloc` with this layout.
            self.0.with(|heap| unsafe { heap.deallocate(block, layout) });
        }
    }
}

/// # Safety
/// The range is mapped readable and writable, for ever, and nothing else uses it. Called once, before any allocation.
pub unsafe fn init(address: u64, length_bytes: usize) {
    // SAFETY: the caller's promise.
    HEAP.0.with(|heap| unsafe { heap.init(address as *mut u8, length_bytes) });
}
