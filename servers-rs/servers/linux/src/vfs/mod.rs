// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names, mounts, open files and descriptor tables. File systems are in `fs/`, calls in `call/`.
//!
//! There is no cache of names: a directory knows its parent and its own name, a file system keeps its inodes as long as it wants.
//! Read `inode.rs` (what a file system makes), `file.rs` (what is open), then `walk.rs`.

mod context;
mod credentials;
mod file;
mod inode;
mod locks;
mod mount;
mod open;
mod open_file;
mod page;
mod path;
mod sink;
mod table;
mod walk;

pub use context::FsContext;
pub use credentials::{Caller, Want};
pub use file::{Events, File, Side, directory};
pub use inode::{Above, Change, Entry, Inode, Kind, Link, New, Owner, Stat, Statfs, Time, same};
pub use locks::{Held, LockKind, LockOwner, Locks};
pub use mount::{FileSystem, Mount, Namespace, Place, mount_flag, new_device};
pub use open::{OpenHow, new_in, open, open_place};
pub use open_file::{Named, OpenFile, SETTABLE};
pub use page::{HeapPages, PAGE_BYTES, Page, Pages};
pub use path::{full_path, path_of, path_of_named};
pub use sink::{BytesSink, BytesSource, Segment, Sink, SliceSink, Source, UserSink, UserSource};
pub use table::{FileTable, MAX_DESCRIPTORS, OnExec};
pub use walk::{Found, How, check_resolve, may_change, resolve, resolve_place};
