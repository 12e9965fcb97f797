// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `file`: the files of a mounted image, read-only.
//!
//! The capability is the image: its holder reaches all of it and nothing else. Inside, a *node* is a number that never changes while the
//! image is mounted, so the server keeps nothing about its clients and its death is nobody's business: every method is repeated by itself.
//! There are no open files. A file system layer keeps node numbers, looks names up one at a time and follows symbolic links itself:
//!
//! | a system call | is |
//! | --- | --- |
//! | path walk | `root`, then `lookup` for each name; the answer is a whole [`Stat`] |
//! | `read` | `read` into a part of the buffer, or `map` and copy from there |
//! | `mmap`, page fault | `map`: a memory object with the page in it, to be mapped as far as one likes |
//! | `getdents64` | `list`, from the cookie of the last entry that was taken on |
//! | `getxattr`, `listxattr` | `attribute`, `attribute_names` |
//!
//! Data travel through a buffer that the process server made for this client and this server, so that neither loses its mapping when the
//! other dies. A client with several threads gives each a [`ipc::Place`] of its own in it.
//!
//! What `map` gives is the server's page cache itself, for reading and executing. All clients share it, and the server takes memory back
//! when it needs it and when it dies: **mappings of it then vanish**, the next touch is a page fault, and `map` gives the page again.
//! So it is mapped only where somebody handles faults, as a personality does for its guests; a program reads its own files with `read`.
#![no_std]

use ipc::{Cap, Message, Name, Place, Reader, Text, Wire};

pub mod entry;

/// Length of the buffer between a client and the server.
pub const BUFFER_BYTES: u64 = 128 * 1024;
/// Unit of `map`.
pub const PAGE_BYTES: u64 = 4096;

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

impl Wire for Kind {
    fn put(&self, into: &mut Message) {
        (*self as u8).put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Kind::from_u8(u8::take(from)?)
    }
}

macro_rules! plain {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $fdoc:literal])* $field:ident: $ty:ty),* $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name { $( $(#[doc = $fdoc])* pub $field: $ty, )* }
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

plain! {
    /// What stat(2) says; there is one time, of modification.
    Stat {
        kind: Kind,
        /// Its number: also what a file system layer tells as inode number.
        node: u64,
        size_bytes: u64,
        /// Permission bits, as chmod(2) counts them. The server enforces none: rights are capabilities here.
        mode: u16,
        uid: u32,
        gid: u32,
        links: u32,
        /// Seconds since 1970, and nanoseconds.
        modified_s: u64,
        modified_ns: u32,
        /// Of a device node.
        major: u32,
        minor: u32,
    }
}
plain! {
    /// Pages of a file in the server's cache.
    Mapping {
        /// May be mapped for reading and executing. Delete it when it is mapped: the mapping stays. After eviction it is `StaleHandle`.
        memory: Cap,
        /// Page of the file that lies at the memory's start.
        first_page: u64,
        /// Pages of the file that it holds, the asked one among them; behind the file's end it is zero.
        pages: u32,
    }
}
plain! {
    /// What statfs(2) says; blocks of 4096 bytes.
    Space { blocks: u64 }
}

ipc::interface! {
    /// An image.
    interface file;
    errors {
        /// ENOENT: nothing has this name.
        NotFound = 16,
        /// ENOTDIR: looking up or listing what is no directory; a part of the path that is followed by another part is none.
        NotADirectory = 17,
        /// EINVAL, EISDIR: reading what is no file, following what is no symbolic link.
        WrongKind = 18,
        /// EIO: the data differ from what the system's signature covers. They were not delivered.
        Damaged = 19,
        /// EBADF: no node has this number.
        BadNode = 20,
        /// ENODATA: it has no attribute of this name.
        NoAttribute = 21,
        /// EIO: the disk failed.
        DeviceFailed = 22,
        /// A place beyond the buffer, too small for the answer, or a page beyond the file.
        OutOfRange = 23,
        /// There is no file system: the disk has no slot that this system came from.
        NotMounted = 24,
        /// The client was granted no buffer.
        NoBuffer = 25,
        /// ELOOP: too many symbolic links on the way.
        Loop = 26,
        /// ENOMEM: the cache has no room for the page now; `read` works.
        NoRoom = 27,
    }
    methods {
        /// The root directory.
        1 root idempotent () -> Stat;
        /// What has this name in a directory; a symbolic link is described itself. `.` and `..` are names too.
        2 lookup idempotent (directory: u64, name: Name) -> Stat;
        /// What is at a path below the root, every symbolic link followed, inside the image.
        3 resolve idempotent (path: Text) -> Stat;
        /// Describes a node.
        4 stat idempotent (node: u64) -> Stat;
        /// Reads a file into the buffer; returns bytes read: fewer than the place has only at the end.
        5 read idempotent (node: u64, offset_bytes: u64, place: Place) -> u32;
        /// The page cache's memory that holds a page of a file. `Damaged` if any page of it is: `read` serves those that are sound.
        6 map idempotent (node: u64, page: u64) -> Mapping;
        /// Puts entries (`entry`) into the buffer, from `cookie` (0: the first) on; returns bytes used: 0 at the end.
        7 list idempotent (node: u64, cookie: u64, place: Place) -> u32;
        /// Puts the target of a symbolic link into the buffer; returns its length.
        8 read_link idempotent (node: u64, place: Place) -> u32;
        /// Puts the value of an extended attribute into the buffer; returns its length.
        9 attribute idempotent (node: u64, name: Name, place: Place) -> u32;
        /// Puts the names of all extended attributes into the buffer, each followed by a zero byte; returns bytes used.
        10 attribute_names idempotent (node: u64, place: Place) -> u32;
        /// The size of the image.
        11 space idempotent () -> Space;
    }
}

#[cfg(test)]
mod tests;
