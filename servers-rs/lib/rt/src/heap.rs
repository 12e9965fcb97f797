// SPDX-License-Identifier: PMPL-1.0-or-later
//! The heap: one piece of memory from the program's own pool, so that its size is the manifest's. It does not grow.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use linked_list_allocator::Heap;

struct Locked {
    busy: AtomicBool,
    heap: UnsafeCell<Heap>,
}

// SAFETY: the cell is reached only in `with`, which one thread at a time passes.
unsafe impl Sync for Locked {}

#[global_allocator]
static HEAP: Locked = Locked { busy: AtomicBool::new(false), heap: UnsafeCell::new(Heap::empty()) };

impl Locked {
    fn with<R>(&self, work: impl FnOnce(&mut Heap) -> R) -> R {
        while self.busy.swap(true, Ordering::Acquire) {
            sys::yield_now();
        }
        // SAFETY: `busy` was false and is true now, so no other reference to the heap exists until it is false again.
        let result = work(unsafe { &mut *self.heap.get() });
        self.busy.store(false, Ordering::Release);
        result
    }
}

// SAFETY: 1. `Heap` hands out blocks of at least the layout's size and alignment that do not overlap.
// 2. `with` serialises it. 3. Failure is a null pointer.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|heap| heap.allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr))
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller of `dealloc` promises that the block came from `alloc` with this layout.
            self.with(|heap| unsafe { heap.deallocate(block, layout) });
        }
    }
}

/// # Safety
/// The range is mapped readable and writable, for ever, and nothing else uses it. Called once, before any allocation.
pub unsafe fn init(address: u64, length_bytes: usize) {
    // SAFETY: the caller's promise.
    HEAP.with(|heap| unsafe { heap.init(address as *mut u8, length_bytes) });
}
