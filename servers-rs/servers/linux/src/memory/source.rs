// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is behind a mapped file. The pages themselves are the cell's: one cache for all mappings of an inode (`cache.rs`).

use crate::errno::Result;
use core::fmt::Debug;

/// An inode that can be mapped.
pub trait PageSource: Send + Sync + Debug {
    /// Device and inode number: the same for all openings of one inode, and for nothing else while one of them is there.
    fn identity(&self) -> (u64, u64);
    fn size_bytes(&self) -> u64;
    /// Bytes read: fewer than asked only at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize>;
    /// Puts back what a shared mapping changed; never makes the file longer.
    fn write_at(&self, offset: u64, from: &[u8]) -> Result<usize>;
}
