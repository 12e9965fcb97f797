// SPDX-License-Identifier: PMPL-1.0-or-later
//! The writer: `plan.rs` decides where everything lies, `emit.rs` makes the bytes, `directory.rs` and `xattr.rs` a part each.

mod directory;
mod emit;
mod error;
mod plan;
mod xattr;

pub use emit::Contents;
pub use error::PlanError;
pub use plan::{Options, Plan};
