// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `data`: a directory or a file of DATA, read and written.
//!
//! The capability *is* the node. A client is granted the directory of its own name; it makes further capabilities with `open`, for what is
//! below one that it has, and may lose the right to write on the way. There is no way up: a path that has `..` in it is refused, and
//! symbolic links are not followed. A capability goes on when the server was restarted; it is void when its node is gone.
//!
//! Paths and data travel through the client's buffer: paths at its start, one after the other, `a/b/c` without a slash at the
//! ends; an empty one is the node itself. What changes something is durable before the answer, except `write` inside a file, which is after `sync`.
//!
//! | for a file system layer | is |
//! | --- | --- |
//! | path walk | `lookup` for each name: the node as a capability, and its stat; neither needs the buffer |
//! | `unlink`, `rename` over what is open | the same with `keep`; `release` when it is closed last |
//! | `getdents64` | `list`, from the cookie of the last entry that was taken on |
//! | `mmap`, page fault | `map`: a memory object with the page in it |
//! | `fallocate` | `allocate`, or `punch` for a hole |
//! | `fsync`, `fdatasync`, `sync` | `sync` |
//!
//! What `map` gives is the server's page cache itself, for reading and executing; a write is in it before it is answered. As with interface
//! `file`, **mappings vanish** when the server needs the memory or dies: the next touch is a page fault, and `map` gives the page again.
#![no_std]

use ipc::{Cap, Message, Name, Place, Reader, Wire};

pub mod entry;

/// Length of the buffer between a client and the server.
pub const BUFFER_BYTES: u64 = 128 * 1024;
/// The part of it for paths and data. Behind it the server notes which files of this client stay without a name: a client leaves it alone.
pub const USABLE_BYTES: u64 = BUFFER_BYTES - 4096;
/// Most files that are kept without a name for one client.
pub const MAX_KEPT: usize = 1024;
/// Unit of `map`.
pub const PAGE_BYTES: u64 = 4096;
/// As nanoseconds of a time that is not to be set.
pub const OMIT: u32 = u32::MAX;
/// Longest path.
pub const PATH_MAX: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    File = 1,
    Directory = 2,
    CharacterDevice = 3,
    BlockDevice = 4,
    Fifo = 5,
    Socket = 6,
    Symlink = 7,
}

impl Kind {
    pub const fn from_u8(n: u8) -> Option<Kind> {
        Some(match n {
            1 => Kind::File,
            2 => Kind::Directory,
            3 => Kind::CharacterDevice,
            4 => Kind::BlockDevice,
            5 => Kind::Fifo,
            6 => Kind::Socket,
            7 => Kind::Symlink,
            _ => return None,
        })
    }
}

macro_rules! choice {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])* $variant:ident = $number:literal),* $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum $name { $( $(#[doc = $vdoc])* $variant = $number, )* }
        impl Wire for $name {
            fn put(&self, into: &mut Message) {
                (*self as u8).put(into);
            }
            fn take(from: &mut Reader<'_>) -> Option<Self> {
                match u8::take(from)? {
                    $( $number => Some($name::$variant), )*
                    _ => None,
                }
            }
        }
    };
}
choice! {
    /// What `open` asks for.
    Access {
        Read = 0,
        /// As much as the capability that it comes from.
        Same = 1,
    }
}
choice! {
    /// What `rename` does where the new name exists.
    Replace {
        /// `Exists`: RENAME_NOREPLACE.
        Refuse = 0,
        /// What had the name loses it in the same instant.
        Allow = 1,
        /// Both names change what they name: RENAME_EXCHANGE.
        Exchange = 2,
    }
}
choice! {
    /// What `set_attribute` wants.
    Set {
        Any = 0,
        /// `Exists` if it is there: XATTR_CREATE.
        Create = 1,
        /// `NoAttribute` if it is not: XATTR_REPLACE.
        Replace = 2,
    }
}

/// Seconds since 1970 as two's complement, and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Time {
    pub seconds: u64,
    pub nanoseconds: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub kind: Kind,
    pub inode: u32,
    /// Permission bits, as chmod(2) counts them. The server stores them and enforces none: rights are capabilities here.
    pub mode: u16,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    pub size_bytes: u64,
    /// Blocks of 512 bytes.
    pub blocks_512: u64,
    pub major: u32,
    pub minor: u32,
    pub accessed: Time,
    pub modified: Time,
    pub changed: Time,
}

/// A node that was looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub node: Cap,
    pub stat: Stat,
}

/// Pages of a file in the server's cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// May be mapped for reading and executing. Delete it when it is mapped: the mapping stays. After eviction it is `StaleHandle`.
    pub memory: Cap,
    /// Page of the file that lies at the memory's start.
    pub first_page: u64,
    /// Pages of the file that it holds, the asked one among them; behind the file's end it is zero.
    pub pages: u32,
}

/// What statfs(2) says; blocks of 4096 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    pub blocks: u64,
    pub free_blocks: u64,
    pub inodes: u32,
    pub free_inodes: u32,
}

macro_rules! plain {
    ($name:ident { $($field:ident),* }) => {
        impl Wire for $name {
            fn put(&self, into: &mut Message) {
                $( self.$field.put(into); )*
            }
            fn take(from: &mut Reader<'_>) -> Option<Self> {
                Some($name { $( $field: Wire::take(from)?, )* })
            }
        }
    };
}
plain!(Time { seconds, nanoseconds });
plain!(Stat { kind, inode, mode, links, uid, gid, size_bytes, blocks_512, major, minor, accessed, modified, changed });
plain!(Found { node, stat });
plain!(Mapping { memory, first_page, pages });
plain!(Space { blocks, free_blocks, inodes, free_inodes });

impl Wire for Kind {
    fn put(&self, into: &mut Message) {
        (*self as u8).put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Kind::from_u8(u8::take(from)?)
    }
}
ipc::interface! {
    /// A node of DATA.
    interface data;
    errors {
        /// ENOENT; for a capability: its node is gone.
        NotFound = 16,
        /// EEXIST
        Exists = 17,
        /// ENOTDIR
        NotADirectory = 18,
        /// EISDIR
        IsADirectory = 19,
        /// ENOTEMPTY
        NotEmpty = 20,
        /// EINVAL: a name that cannot be, `..`, the wrong kind of node.
        Invalid = 21,
        /// ENAMETOOLONG
        NameTooLong = 22,
        /// EMLINK
        TooManyLinks = 23,
        /// EFBIG
        FileTooBig = 24,
        /// ENOSPC
        NoSpace = 25,
        /// EDQUOT
        Quota = 26,
        /// EXDEV: between subtrees with different quotas.
        OtherQuota = 27,
        /// ENODATA
        NoAttribute = 28,
        /// ERANGE
        AttributesTooBig = 29,
        /// EIO: the disk failed.
        DeviceFailed = 30,
        /// EUCLEAN: the file system is damaged there.
        Damaged = 31,
        /// There is no data file system: no disk, no partition, or one that cannot be used.
        NotMounted = 32,
        /// The client was granted no buffer.
        NoBuffer = 33,
        /// A place beyond the buffer.
        OutOfRange = 34,
        /// EROFS: the capability does not write.
        ReadOnly = 35,
        /// ENOMEM: no more capabilities fit into the server's table, no memory for the cache, or `MAX_KEPT` files are kept.
        NoRoom = 36,
    }
    methods {
        /// What is at the path; a symbolic link is described itself.
        1 stat idempotent (path_bytes: u32) -> Stat;
        /// A capability for what is at the path.
        2 open idempotent (path_bytes: u32, access: Access) -> Cap;
        /// Makes a file, directory, FIFO, socket or device node; `owner` is user and group, `device` major and minor number.
        3 create once (path_bytes: u32, kind: Kind, mode: u16, owner: (u32, u32), device: (u32, u32)) -> ();
        /// Makes a symbolic link; its target stands in the buffer behind the path.
        4 symlink once (path_bytes: u32, target_bytes: u32, owner: (u32, u32)) -> ();
        /// Gives what is at the first path the second one too.
        5 link once (path_bytes: u32, new_path_bytes: u32) -> ();
        /// Takes a name away, of anything but a directory. `keep`: if it was the last one, the node stays for this client, through any death of
        /// the server, until `release`; a reboot frees it.
        6 unlink once (path_bytes: u32, keep: bool) -> ();
        /// Takes an empty directory away.
        7 remove_directory once (path_bytes: u32) -> ();
        /// Moves. `keep`: as for `unlink`, for what is replaced.
        8 rename once (path_bytes: u32, new_path_bytes: u32, replace: Replace, keep: bool) -> ();
        /// Reads a file into the buffer; returns bytes read: fewer than asked only at the end.
        9 read idempotent (offset_bytes: u64, length_bytes: u32, buffer_offset_bytes: u32) -> u32;
        /// Writes a file from the buffer; returns bytes written: fewer than asked if an error met the rest.
        10 write idempotent (offset_bytes: u64, length_bytes: u32, buffer_offset_bytes: u32) -> u32;
        /// Sets the size of a file.
        11 truncate idempotent (size_bytes: u64) -> ();
        /// Reserves blocks of a file.
        12 allocate idempotent (offset_bytes: u64, length_bytes: u64, keep_size: bool) -> ();
        /// Returns when everything answered before is on the medium.
        13 sync idempotent () -> ();
        /// Puts entries (`entry`) into the buffer, from `cookie` (0: the first) on; returns bytes used: 0 at the end. `.` and `..` are not listed.
        14 list idempotent (cookie: u64, place: Place) -> u32;
        /// Puts the target of a symbolic link into the buffer; returns its length.
        15 read_link idempotent (path_bytes: u32) -> u32;
        /// Permission bits.
        16 set_mode idempotent (path_bytes: u32, mode: u16) -> ();
        /// Owner and group.
        17 set_owner idempotent (path_bytes: u32, owner: (u32, u32)) -> ();
        /// Times of access and modification; one with the nanoseconds `OMIT` stays as it is. A read changes neither.
        18 set_times idempotent (path_bytes: u32, accessed: Time, modified: Time) -> ();
        /// Puts the value of an attribute of this node into the buffer; its name stands at the buffer's start. Returns the length.
        19 attribute idempotent (name_bytes: u32) -> u32;
        /// Sets an attribute: its name stands at the buffer's start, its value behind it.
        20 set_attribute once (name_bytes: u32, value_bytes: u32, how: Set) -> ();
        /// Takes an attribute away.
        21 remove_attribute once (name_bytes: u32) -> ();
        /// Puts the names of all attributes into the buffer, each followed by a zero byte; returns bytes used.
        22 attribute_names idempotent () -> u32;
        /// Blocks and inodes of the whole file system.
        23 space idempotent () -> Space;
        /// Makes this directory, which must be empty, a subtree with limits of its own; 0 is no limit.
        24 set_quota idempotent (bytes: u64, inodes: u64) -> ();
        /// A capability for what has this name in this directory, and what it is; a symbolic link is described itself.
        25 lookup idempotent (name: Name, access: Access) -> Found;
        /// The page cache's memory that holds a page of this file.
        26 map idempotent (page: u64) -> Mapping;
        /// Cuts a hole: the bytes read as zeros, and the blocks among them are free. The size stays.
        27 punch idempotent (offset_bytes: u64, length_bytes: u64) -> ();
        /// This node was kept without a name, and nobody has it open any more.
        28 release once () -> ();
        /// Releases everything that is kept for this client: the first call of one that has just started.
        29 release_all idempotent () -> ();
    }
}
