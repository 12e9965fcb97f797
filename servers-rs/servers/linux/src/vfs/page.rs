// SPDX-License-Identifier: PMPL-1.0-or-later
//! Pages of files: of the cell's memory, counted, so that they can be mapped into guests. `memory/` owns them; tests have some of their own.

use crate::errno::{ENOMEM, Result};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

pub const PAGE_BYTES: u64 = 4096;

/// Guests may write a page while it is read here: bytes are copied, never lent.
pub trait Pages: Send + Sync {
    /// A page full of zeros, counted once. Errors: `ENOMEM`.
    fn allocate(&self) -> Result<u64>;
    fn retain(&self, page: u64);
    /// The last one gives it back.
    fn release(&self, page: u64);
    /// The range lies in the page.
    fn read(&self, page: u64, offset: usize, into: &mut [u8]);
    fn write(&self, page: u64, offset: usize, from: &[u8]);
    /// How many hold it.
    fn holders(&self, page: u64) -> u32;
}

/// A counted page.
pub struct Page {
    pages: Arc<dyn Pages>,
    number: u64,
}

impl Page {
    pub fn allocate(pages: &Arc<dyn Pages>) -> Result<Page> {
        Ok(Page { number: pages.allocate()?, pages: pages.clone() })
    }
    /// What `memory/` knows it by.
    pub fn number(&self) -> u64 {
        self.number
    }
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        self.pages.read(self.number, offset, into);
    }
    pub fn write(&self, offset: usize, from: &[u8]) {
        self.pages.write(self.number, offset, from);
    }
    /// Whether nobody else has it.
    pub fn is_ours_alone(&self) -> bool {
        self.pages.holders(self.number) == 1
    }
}

impl Clone for Page {
    fn clone(&self) -> Page {
        self.pages.retain(self.number);
        Page { pages: self.pages.clone(), number: self.number }
    }
}
impl Drop for Page {
    fn drop(&mut self) {
        self.pages.release(self.number);
    }
}

/// Pages on the heap, at most `limit`: for what runs on a host.
pub struct HeapPages {
    limit: usize,
    state: Mutex<Vec<(u32, Box<[u8]>)>>,
}

impl HeapPages {
    pub fn new(limit: usize) -> HeapPages {
        HeapPages { limit, state: Mutex::new(Vec::new()) }
    }
    pub fn used(&self) -> usize {
        self.state.lock().iter().filter(|(count, _)| *count > 0).count()
    }
}

impl Pages for HeapPages {
    fn allocate(&self) -> Result<u64> {
        let mut state = self.state.lock();
        let zeros = || alloc::vec![0; PAGE_BYTES as usize].into_boxed_slice();
        if let Some(free) = state.iter().position(|(count, _)| *count == 0) {
            state[free] = (1, zeros());
            return Ok(free as u64);
        }
        if state.len() == self.limit {
            return Err(ENOMEM);
        }
        state.push((1, zeros()));
        Ok(state.len() as u64 - 1)
    }
    fn retain(&self, page: u64) {
        self.state.lock()[page as usize].0 += 1;
    }
    fn release(&self, page: u64) {
        self.state.lock()[page as usize].0 -= 1;
    }
    fn read(&self, page: u64, offset: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.state.lock()[page as usize].1[offset..offset + into.len()]);
    }
    fn write(&self, page: u64, offset: usize, from: &[u8]) {
        self.state.lock()[page as usize].1[offset..offset + from.len()].copy_from_slice(from);
    }
    fn holders(&self, page: u64) -> u32 {
        self.state.lock()[page as usize].0
    }
}
