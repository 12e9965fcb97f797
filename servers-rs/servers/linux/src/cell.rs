// SPDX-License-Identifier: PMPL-1.0-or-later
//! All tasks of the cell, and what they share.

#[derive(Debug)]
pub struct Cell;
