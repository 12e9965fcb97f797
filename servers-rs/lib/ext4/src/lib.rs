// SPDX-License-Identifier: PMPL-1.0-or-later
//! ext4 with a jbd2 journal, read and write: what DATA is. Linux mounts it, e2fsck checks it.
//!
//! Every operation is all or nothing, in memory and on the disk: it changes copies of metadata blocks (`store`), which join
//! the running transaction only when it succeeded; a commit (`journal`) writes the transaction to the log, flushes, and
//! writes one sector that makes it count. Data blocks are written before the transaction that refers to them.
//! It keeps no more than a few MiB, whatever the size of the disk, and answers a corrupt disk with an error.
//!
//! Not here: paths, open files and rights (the storage server's), a page cache, encryption, inline data, bigalloc, file
//! systems without `metadata_csum`. Read next: `store.rs`, `journal.rs`, `names.rs`; `docs/decisions/0009-ext4-for-data.adoc` says why.
//! The layout is that of the kernel's `Documentation/filesystems/ext4`.
#![no_std]

extern crate alloc;

mod allocate;
mod bytes;
mod directory;
mod error;
mod extent;
mod file;
mod group;
mod grow;
mod hash;
#[cfg(test)]
mod hostile;
mod htree;
mod inode;
mod journal;
mod make;
mod mount;
mod names;
mod orphan;
mod quota;
mod recover;
mod store;
mod superblock;
mod xattr;

pub use directory::Entry;
pub use error::{Error, Result};
pub use inode::{Kind, Stat, Time};
pub use make::make;
pub use mount::{Ext4, Space};
pub use names::Replace;
pub use quota::Quota;
pub use xattr::XattrSet;

/// In the tests of `hostile.rs`, whether a wrong checksum is let through; else never.
fn let_through() -> bool {
    #[cfg(test)]
    return hostile::checksums_are_ignored();
    #[cfg(not(test))]
    false
}

/// The inode of the root directory.
pub const ROOT: u32 = 2;
/// Longest name of a directory entry, in bytes.
pub const NAME_MAX: usize = 255;
/// The only block size that is supported: the page size.
pub const BLOCK: usize = blocks::BLOCK_BYTES;
