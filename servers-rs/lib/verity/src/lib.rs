// SPDX-License-Identifier: PMPL-1.0-or-later
//! dm-verity, type 1, sha256, data and hash blocks of 4096 bytes: what `veritysetup format` writes, bit for bit.
//!
//! [`Superblock`] describes a tree, [`TreeBuilder`] makes one from a stream of data blocks, [`Verified`] reads data and
//! believes nothing that the root digest does not vouch for. There is no forward error correction and no other digest.
//! Format: Linux, Documentation/admin-guide/device-mapper/verity.rst; cryptsetup, lib/verity/verity.c.
//! Read next: [`geometry`], then `tree.rs` and `reader.rs`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod geometry;
mod reader;
mod superblock;
mod tree;

pub use geometry::Geometry;
pub use reader::Verified;
pub use superblock::{Superblock, SuperblockFault};
pub use tree::TreeBuilder;

use sha2::{Digest as _, Sha256};

/// A sha256 digest.
pub type Digest = [u8; 32];
/// A data or hash block.
pub type Block = [u8; blocks::BLOCK_BYTES];

/// Digests in one hash block: 4096 / 32.
pub const DIGESTS_PER_BLOCK: u64 = 128;
/// Longest salt that the superblock can hold, in bytes.
pub const MAX_SALT_BYTES: usize = 256;

/// sha256 of salt, then block: type 1 of the format.
pub fn block_digest(salt: &[u8], block: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(block);
    hash.finalize().into()
}
