// SPDX-License-Identifier: PMPL-1.0-or-later
//! The hardware behind safe types: the one crate of the kernel that may say `unsafe`.
//!
//! What it promises and why it holds: `SAFETY.adoc`. It knows no policy: who may do what is `kernel`'s matter.
//! `memory` is the same code on hardware and on the host; `x86_64` and `hosted` offer the same functions, one on a
//! CPU, one on an ordinary thread for tests. Read `memory` first, then `x86_64/entry.rs`.
#![cfg_attr(target_os = "none", no_std, feature(rust_cold_cc, rust_preserve_none_cc))]

pub mod acpi;
pub mod command_line;
pub mod context;
pub mod guest;
mod local;
pub mod lock;
pub mod memory;
pub mod registers;
pub mod shootdown;

#[cfg(not(target_os = "none"))]
mod hosted;
#[cfg(target_os = "none")]
mod x86_64;

pub use local::{Core, Left, Local, Maker, Outcome, Run};

#[cfg(not(target_os = "none"))]
pub use hosted::*;
#[cfg(target_os = "none")]
pub use x86_64::*;

/// Most CPUs that the kernel can run on.
pub const MAX_CPUS: usize = 64;

/// Vector of the fault on the first use of vector registers (SDM volume 3, table 6-1).
pub const DEVICE_NOT_AVAILABLE: u8 = 7;

/// Why the kernel was entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The thread executed `syscall`; its registers hold the operation.
    Syscall,
    /// The thread did something the CPU refuses. `address` is what a page fault touched.
    Fault { vector: u8, error: u64, address: u64 },
    /// The timer of this CPU fired.
    Timer,
    /// Another CPU asks this one to look again at what it should run.
    Kick,
    /// A device interrupt arrived on this vector; it has been acknowledged at the local APIC.
    Interrupt(u8),
    /// Nothing to do but leave again (spurious interrupt, first entry of a CPU).
    Nothing,
}

/// What the CPU does after the kernel is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Run user code with the registers that the handler filled in.
    User,
    /// Wait for an interrupt.
    Idle,
}

/// A way to end on purpose, for tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failing {
    StackOverflow,
    PageFault,
    DoubleFault,
    Undefined,
    Panic,
}
