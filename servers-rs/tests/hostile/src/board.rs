// SPDX-License-Identifier: PMPL-1.0-or-later
//! A page that watcher and attacker share: how far it is, and what it saw that must never be.

use core::sync::atomic::{AtomicU32, Ordering};
use rt::memory::Shared;

pub const THREADS: usize = 3;
/// Words: calls of each thread, 64 bytes apart, then the violation.
const THREAD_BYTES: usize = 64;
const VIOLATION: usize = THREADS * THREAD_BYTES;

/// What a call must never do; the number is what the page holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Violation {
    None = 0,
    /// A status that is no error of the table.
    Status = 1,
    /// A register that the kernel keeps has changed.
    Register = 2,
    /// The memory that is lent to be read only was written.
    Unknown = 3,
}

pub struct Board(pub Shared);

impl Board {
    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        self.0.atomic(offset)
    }
    pub fn counted(&self, thread: usize, calls: u32) {
        if let Some(word) = self.word(thread * THREAD_BYTES) {
            word.store(calls, Ordering::Relaxed);
        }
    }
    pub fn calls(&self) -> u64 {
        (0..THREADS).filter_map(|n| self.word(n * THREAD_BYTES)).map(|w| u64::from(w.load(Ordering::Relaxed))).sum()
    }
    pub fn say(&self, violation: Violation) {
        if let Some(word) = self.word(VIOLATION) {
            word.store(violation as u32, Ordering::Relaxed);
        }
    }
    pub fn violation(&self) -> Violation {
        match self.word(VIOLATION).map_or(0, |w| w.load(Ordering::Relaxed)) {
            0 => Violation::None,
            1 => Violation::Status,
            2 => Violation::Register,
            _ => Violation::Unknown,
        }
    }
    /// For the next attacker. Nobody else writes now.
    pub fn clear(&self) {
        (0..THREADS).for_each(|n| self.counted(n, 0));
        self.say(Violation::None);
    }
}
