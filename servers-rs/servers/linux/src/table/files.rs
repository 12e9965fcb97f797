// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls of files and sockets.

use super::Row;

pub const ROWS: &[Row] = &[];
