// SPDX-License-Identifier: PMPL-1.0-or-later
//! EROFS: a deterministic writer and a bounded reader of uncompressed images with 4096-byte blocks, which Linux can mount.
//!
//! [`Plan`] lays out a described tree ([`Entry`]) and streams the image; equal descriptions and contents give equal bytes.
//! [`Reader`] looks up, lists and reads over a [`blocks::BlockRead`]. Both know regular files, directories, symbolic links,
//! devices, FIFOs, hard links and extended attributes. There is no compression, no chunk index and no second device.
//! Format: Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h. Read next: `ondisk.rs`, `write/plan.rs`, `read/mod.rs`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod crc;
mod entry;
mod ondisk;
mod read;
mod write;

pub use entry::{Entry, Kind, device_number, split_device_number};
pub use read::{DirEntry, Error, FileType, Inode, Reader};
pub use write::{Contents, Options, Plan, PlanError};
