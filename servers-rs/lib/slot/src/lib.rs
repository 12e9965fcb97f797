// SPDX-License-Identifier: PMPL-1.0-or-later
//! A slot of the disk (ROOT-A, ROOT-B): where its parts lie, and whether it may be used.
//!
//! [`verify`] is the one judgement that the loader, the update server and `slot verify` share; a [`Refusal`] names the
//! [`Check`] that failed in the same word everywhere. [`Layout`] and [`Trailer`] are what a builder writes, [`KeySet`] is the
//! loader's `.frkeys` section, [`Release`] is what the signed commit says of a slot. Formats: docs/architecture/contracts.adoc.
//! It does not choose between slots (`gpt` does) and reads no file system (`erofs` does, over [`VerifiedSlot::open`]).
//! Read next: `verify.rs`, then `release.rs`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod keys;
mod layout;
mod refusal;
mod release;
mod trailer;
mod verify;

pub use keys::{KEYS_SECTION_BYTES, KEYS_SECTION_NAME, KeySet, KeysFault, TrustedKey};
pub use layout::{Layout, TRAILER_BLOCKS, TRAILER_BYTES, TooSmall};
pub use refusal::{Check, Refusal};
pub use release::{ARCHITECTURE, MAX_VERSION_BYTES, Node, Release};
pub use trailer::{Trailer, TrailerFault};
pub use verify::{Policy, VerifiedSlot, verify};
