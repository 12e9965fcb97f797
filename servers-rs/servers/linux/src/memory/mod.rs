// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest memory: areas, pages, what fills them.

pub mod source;
