// SPDX-License-Identifier: PMPL-1.0-or-later
//! The memory of guests: chunks taken from the pool one by one, mapped here one behind the other, so that a place in it is a number
//! that is checked against one length. Parts of it are mapped into guests' spaces ([`crate::guest::Space`]).
//!
//! No reference ever points into it: guests write it at any moment. Chunks are never given back.

use crate::sync::Mutex;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use manifest::layout;
use sys::{AddressSpace, Error, Handle, Memory, Pool, Rights, start};

/// Length of a chunk: memory of one large page, if the machine has one.
pub const CHUNK_BYTES: u64 = 2 << 20;
/// 8 GiB.
const MOST_CHUNKS: usize = 4096;
/// There is one area for it.
static MADE: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
pub struct Grant {
    pool: Pool,
    /// Handles of the chunks' memory objects.
    chunks: Box<[AtomicU32]>,
    length_bytes: AtomicU64,
    grows: Mutex<()>,
}

impl Grant {
    /// Empty. `None` the second time.
    pub fn new(pool: Pool) -> Option<Grant> {
        let chunks = (0..MOST_CHUNKS).map(|_| AtomicU32::new(0)).collect();
        let first = !MADE.swap(true, Ordering::Relaxed);
        first.then(|| Grant { pool, chunks, length_bytes: AtomicU64::new(0), grows: Mutex::new(()) })
    }

    /// Another chunk of zeros at the end. Errors: `NoQuota`, and those of `Op::Map`.
    pub fn grow(&self) -> sys::Result<()> {
        self.grows.with(|()| {
            let length_bytes = self.length_bytes.load(Ordering::Acquire);
            let chunk = self.chunks.get((length_bytes / CHUNK_BYTES) as usize).ok_or(Error::NoQuota)?;
            let memory = self.pool.create_memory(CHUNK_BYTES)?;
            let (at, access) = (layout::GRANT + length_bytes, Rights::READ | Rights::WRITE);
            if let Err(error) = AddressSpace(start::ADDRESS_SPACE).map(memory, 0, at, CHUNK_BYTES, access) {
                let _ = crate::memory::discard(memory);
                return Err(error);
            }
            chunk.store(memory.0.0, Ordering::Release);
            self.length_bytes.store(length_bytes + CHUNK_BYTES, Ordering::Release);
            Ok(())
        })
    }

    pub fn length_bytes(&self) -> u64 {
        self.length_bytes.load(Ordering::Acquire)
    }

    /// The memory object that holds byte `at`, and where in it.
    pub fn place(&self, at: u64) -> Option<(Memory, u64)> {
        let chunk = self.chunks.get((at / CHUNK_BYTES) as usize)?.load(Ordering::Acquire);
        (at < self.length_bytes()).then_some((Memory(Handle(chunk)), at % CHUNK_BYTES))
    }

    /// The address of a range, if it is in the grant.
    #[inline]
    fn address(&self, at: u64, count: usize) -> Option<u64> {
        let end = at.checked_add(count as u64)?;
        (end <= self.length_bytes()).then_some(layout::GRANT + at)
    }

    /// Copies out; `None`, with nothing copied, if the range is not in it. So for all others.
    #[inline]
    pub fn read(&self, at: u64, into: &mut [u8]) -> Option<()> {
        let from = self.address(at, into.len())?;
        // SAFETY: 1. chunks stay mapped for ever, one behind the other, up to the length that was checked. 2. `into` is ours.
        unsafe { copy(from as *const u8, into.as_mut_ptr(), into.len()) };
        Some(())
    }

    #[inline]
    pub fn write(&self, at: u64, from: &[u8]) -> Option<()> {
        let to = self.address(at, from.len())?;
        // SAFETY: as `read`; no reference points there.
        unsafe { copy(from.as_ptr(), to as *mut u8, from.len()) };
        Some(())
    }

    /// Within the grant; the ranges do not overlap, else it is undetermined what is there afterwards.
    pub fn copy(&self, from: u64, to: u64, count: usize) -> Option<()> {
        let (from, to) = (self.address(from, count)?, self.address(to, count)?);
        // SAFETY: as `read` and `write`.
        unsafe { copy(from as *const u8, to as *mut u8, count) };
        Some(())
    }

    pub fn zero(&self, at: u64, count: usize) -> Option<()> {
        let to = self.address(at, count)?;
        // SAFETY: as `write`.
        unsafe { zero(to as *mut u8, count) };
        Some(())
    }

    /// `None` also if `at` is no multiple of 4.
    pub fn atomic(&self, at: u64) -> Option<&AtomicU32> {
        let address = self.address(at, 4).filter(|_| at.is_multiple_of(4))?;
        // SAFETY: 1. mapped for ever, aligned. 2. An atomic may be shared with anyone.
        Some(unsafe { &*(address as *const AtomicU32) })
    }
}

/// The string instructions: others may write meanwhile, so the compiler must know of no access.
///
/// # Safety
/// `count` bytes at `from` are readable and at `to` writable.
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, count: usize) {
    // SAFETY: 1. the caller's promise. 2. The direction flag is clear, as the System V ABI (3.2.1) wants it everywhere.
    unsafe {
        core::arch::asm!(
            "rep movsq", "mov ecx, {rest:e}", "rep movsb",
            rest = in(reg) count & 7, inout("rcx") count / 8 => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// # Safety
/// `count` bytes at `to` are writable.
unsafe fn zero(to: *mut u8, count: usize) {
    // SAFETY: as `copy`.
    unsafe {
        core::arch::asm!(
            "rep stosq", "mov ecx, {rest:e}", "rep stosb",
            rest = in(reg) count & 7, in("rax") 0, inout("rcx") count / 8 => _, inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_copied_and_cleared() {
        for length in [0usize, 1, 7, 8, 9, 4096, 4099] {
            let from: alloc::vec::Vec<u8> = (0..length).map(|n| n as u8 | 1).collect();
            let mut to = alloc::vec![0; length + 1];
            // SAFETY: both have that many bytes.
            unsafe { copy(from.as_ptr(), to.as_mut_ptr(), length) };
            assert!(to[..length] == from && to[length] == 0);
            // SAFETY: as above.
            unsafe { zero(to.as_mut_ptr(), length) };
            assert!(to.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn an_empty_grant_holds_nothing_and_there_is_one() {
        let grant = Grant::new(Pool(start::POOL)).unwrap();
        assert!(Grant::new(Pool(start::POOL)).is_none());
        assert_eq!((grant.read(0, &mut [0]), grant.write(u64::MAX, &[1, 2]), grant.zero(4096, 1)), (None, None, None));
        assert!(grant.atomic(0).is_none() && grant.place(0).is_none() && grant.grow().is_err());
    }
}
