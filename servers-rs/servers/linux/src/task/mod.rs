// SPDX-License-Identifier: PMPL-1.0-or-later
//! Processes and threads, and what each carries: `process`, `thread` are what the cell knows of them, `current` is a thread that
//! runs, with the loop's decisions; `image`, `elf` and `exec` start programs, `clone` makes tasks, `exit` and `reap` end them.

pub mod change;
pub mod clone;
pub mod credentials;
pub mod current;
pub mod deliver;
pub mod elf;
pub mod exec;
pub mod exit;
pub mod first;
pub mod image;
pub mod limits;
pub mod process;
pub mod reap;
pub mod settings;

use crate::wait::Outcome;
pub use current::{Current, Start, Step};

/// A call that changes tasks: the calling thread, and the cell with all others.
pub type TaskHandler = fn(&mut Current, &mut crate::cell::Cell, [u64; 6]) -> Outcome;
