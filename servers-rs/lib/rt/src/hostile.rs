// SPDX-License-Identifier: PMPL-1.0-or-later
//! The one thing that a program may do which has no promises to keep any more: call the kernel with anything.

pub use sys::raw::Outcome;

/// A program that gave up on itself. Who makes one says that from now on nothing in this address space matters:
/// whatever a call takes away, changes or starts harms this program alone.
#[derive(Debug)]
pub struct Doomed(());

impl Doomed {
    /// For programs with a pool, a table and an address space of their own whose end somebody awaits.
    pub const fn new() -> Doomed {
        Doomed(())
    }
    /// Calls `number` with `registers` in `rdi rsi rdx r10 r8 r9`.
    pub fn call(&self, number: u64, registers: [u64; 6]) -> Outcome {
        // SAFETY: the call may break what Rust relies on in this program. No value of the program is used for more
        // than further calls and a count of them afterwards (that is what `Doomed` says, and why only
        // `tests/hostile` uses it), and what a broken program does is bounded by its capabilities, as that of any.
        unsafe { sys::raw::call(number, registers) }
    }
}

impl Default for Doomed {
    fn default() -> Doomed {
        Doomed::new()
    }
}
