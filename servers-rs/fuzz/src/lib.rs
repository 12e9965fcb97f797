// SPDX-License-Identifier: PMPL-1.0-or-later
//! The fuzz targets' bodies, which CI's replay of the corpus includes as well.
#![forbid(unsafe_code)]

pub mod cases;
