// SPDX-License-Identifier: PMPL-1.0-or-later
//! A thread's message buffer: words 4 and up, and the handles that travel.

use crate::{Memory, PAGE_BYTES, Rights};
use abi::handle::Handle;
use abi::message::{Buffer, MAX_CAPS, MAX_WORDS};

/// The one buffer of the thread that holds this value. Not `Clone`, not `Send`: another thread has another buffer.
#[derive(Debug)]
pub struct MessageBuffer(*mut Buffer);

impl MessageBuffer {
    /// # Safety
    /// `address` is the start of the page that is the calling thread's message buffer, mapped readable and writable
    /// as long as this value lives, and nothing else reaches it but the kernel.
    pub unsafe fn new(address: u64) -> Self {
        MessageBuffer(address as *mut Buffer)
    }

    /// Word `n` of the last message received; 0 beyond the buffer.
    pub fn word(&self, n: usize) -> u64 {
        if n >= MAX_WORDS {
            return 0;
        }
        // SAFETY: 1. `new` promised a mapped buffer. 2. `n` is in bounds. 3. Volatile, since the kernel writes it.
        unsafe { (&raw const (*self.0).words[n]).read_volatile() }
    }

    /// Sets word `n` of the next message; nothing beyond the buffer.
    pub fn set_word(&mut self, n: usize, word: u64) {
        if n < MAX_WORDS {
            // SAFETY: as in `word`.
            unsafe { (&raw mut (*self.0).words[n]).write_volatile(word) }
        }
    }

    /// Sets record `n` for the next [`crate::AddressSpace::map_many`]; nothing beyond the page. Words of a message that
    /// stand there are overwritten.
    pub fn set_mapping(&mut self, n: usize, memory: Memory, offset_bytes: u64, address: u64, length_bytes: u64, access: Rights) {
        const WORDS: usize = 4;
        if n >= PAGE_BYTES as usize / 8 / WORDS {
            return;
        }
        let what = u64::from(memory.0.0) | u64::from(access.0) << 32;
        for (i, word) in [what, offset_bytes, address, length_bytes].into_iter().enumerate() {
            // SAFETY: 1. `new` promised a mapped page. 2. The record is within it. 3. Volatile, since the kernel reads it.
            unsafe { (self.0 as *mut u64).add(n * WORDS + i).write_volatile(word) }
        }
    }

    /// Handle `n` of the last message received.
    pub fn cap(&self, n: usize) -> Handle {
        if n >= MAX_CAPS {
            return Handle::NULL;
        }
        // SAFETY: as in `word`.
        Handle(unsafe { (&raw const (*self.0).caps[n]).read_volatile() })
    }

    /// Sets handle `n` of the next message.
    pub fn set_cap(&mut self, n: usize, handle: Handle) {
        if n < MAX_CAPS {
            // SAFETY: as in `word`.
            unsafe { (&raw mut (*self.0).caps[n]).write_volatile(handle.0) }
        }
    }
}
