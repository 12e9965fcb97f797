// SPDX-License-Identifier: PMPL-1.0-or-later
//! Processes and threads, and what each carries.

pub mod credentials;
pub mod limits;

use crate::wait::Outcome;

/// A call that changes tasks: the calling thread, and the cell with all others.
pub type TaskHandler = fn(&mut Current, &mut crate::cell::Cell, [u64; 6]) -> Outcome;

/// What a worker is told to run.
#[derive(Debug)]
pub struct Start;
/// The thread that makes a call.
#[derive(Debug)]
pub struct Current;
