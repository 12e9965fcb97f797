// SPDX-License-Identifier: PMPL-1.0-or-later
//! Processes and threads, and what each carries.

pub mod credentials;
pub mod limits;

/// What a worker is told to run.
#[derive(Debug)]
pub struct Start;
