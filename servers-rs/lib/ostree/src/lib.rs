// SPDX-License-Identifier: PMPL-1.0-or-later
//! OSTree's objects, exactly as the stock tools write and read them.
//!
//! [`Commit`], [`DirTree`], [`DirMeta`] and [`FileHeader`] turn into bytes and back, [`ObjectId`] names them;
//! [`Directory`] makes the objects of a whole tree; `commitmeta.rs` signs and finds signatures; `archive.rs` (feature `archive`)
//! makes the files of a static repository. There is no network, no delta and no summary here.
//! Integers inside objects are big endian, their container is GVariant. Read next: `gvariant/mod.rs`, then `commit.rs`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "archive")]
pub mod archive;
mod commit;
mod commitmeta;
mod directory;
mod file;
pub mod gvariant;
mod id;
mod tree;

pub use commit::{Commit, MAX_COMMIT_BYTES};
pub use commitmeta::{MAX_SIGNATURES, SIGNATURE_KEY, Signature, signatures, signed_metadata};
pub use directory::{Directory, DirectoryError, Object};
pub use file::{FileHasher, FileHeader};
pub use gvariant::{Fault, Value, View};
pub use id::{ObjectId, ObjectKind};
pub use tree::{DirMeta, DirTree, Xattrs};
