// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest memory: `pages` says who uses which page, `area` what shall be where in a process, `table` what is there; `space` joins
//! them and serves faults, `map` changes them, `access` is how calls read and write; `object` is what mappings share.

pub mod access;
pub mod area;
pub mod map;
pub mod object;
pub mod pages;
pub mod space;
pub mod table;
#[cfg(test)]
mod tests;
