// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls of processes, memory, signals, time and futexes.

use super::Row;

pub const ROWS: &[Row] = &[];
