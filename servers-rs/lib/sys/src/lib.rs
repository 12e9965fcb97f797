// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel's operations as methods of typed capabilities.
//!
//! A capability here is a number: copying the Rust value copies no authority, and the kernel checks every use. What
//! this crate does not do: allocate, keep track of what is mapped where (`rt::memory` does), or speak any protocol.
//!
//! Units, errors and what is left after a failure stand in `abi::op`, at the operation of the same name.
//! Read `call.rs` for the instruction, `objects.rs` for the methods, `buffer.rs` for the rest of a message, `guest.rs` for guests; `raw.rs` is for
//! programs that mean harm.
#![cfg_attr(not(test), no_std)]

pub mod buffer;
mod call;
pub mod guest;
pub mod objects;
pub mod raw;

pub use abi::error::Error;
pub use abi::handle::{Handle, start};
pub use abi::message::Tag;
pub use abi::right::{Kind, Rights};
pub use buffer::MessageBuffer;
pub use objects::*;

/// Wait for ever.
pub const FOREVER: u64 = u64::MAX;
/// Do not wait.
pub const POLL: u64 = 0;
/// Bytes of a frame, the unit of pools, mappings and memory objects.
pub const PAGE_BYTES: u64 = 4096;

pub type Result<T> = core::result::Result<T, Error>;
