// SPDX-License-Identifier: PMPL-1.0-or-later
//! As much of the GVariant serialisation as OSTree needs: bytes, booleans, u32, u64, strings, arrays, tuples, dictionary
//! entries, variants. [`Value`] is written, [`View`] is read; a view is strict and never panics on foreign bytes.
//! Format: "GVariant Specification" 0.0.20240224, chapter 2. **Numbers here are big endian**, as OSTree stores them.

mod types;
mod value;
mod view;

pub use value::Value;
pub use view::{Fault, View};
