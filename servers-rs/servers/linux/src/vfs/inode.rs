// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a file system makes: inodes. Everything that has a name is one.
//!
//! Permissions, mounts and the rules of names are looked after by who calls (`walk.rs`, `call/`); an inode does what it is told.
//! The same inode is always the same `Arc`: mounts and locks hang on it.

use super::credentials::Caller;
use super::file::File;
use super::locks::Locks;
use super::mount::Place;
use crate::errno::{EINVAL, ENOTDIR, EOPNOTSUPP, EPERM, EROFS, Result};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use linux_raw_sys::general as raw;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    Fifo = raw::S_IFIFO,
    Character = raw::S_IFCHR,
    Directory = raw::S_IFDIR,
    Block = raw::S_IFBLK,
    File = raw::S_IFREG,
    Symlink = raw::S_IFLNK,
    Socket = raw::S_IFSOCK,
}

impl Kind {
    pub const fn of_mode(mode: u32) -> Kind {
        match mode & raw::S_IFMT {
            raw::S_IFIFO => Kind::Fifo,
            raw::S_IFCHR => Kind::Character,
            raw::S_IFDIR => Kind::Directory,
            raw::S_IFBLK => Kind::Block,
            raw::S_IFLNK => Kind::Symlink,
            raw::S_IFSOCK => Kind::Socket,
            _ => Kind::File,
        }
    }
    /// `d_type` of getdents64(2).
    pub const fn entry_type(self) -> u8 {
        (self as u32 >> 12) as u8
    }
}

/// Seconds since 1970 may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Time {
    pub const fn from_ns(ns: u64) -> Time {
        Time { seconds: (ns / 1_000_000_000) as i64, nanoseconds: (ns % 1_000_000_000) as u32 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    /// With the kind.
    pub mode: u32,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    pub represents: u64,
    pub size_bytes: u64,
    pub blocks_512: u64,
    pub block_bytes: u32,
    pub accessed: Time,
    pub modified: Time,
    pub changed: Time,
    pub born: Time,
}

impl Stat {
    pub fn kind(&self) -> Kind {
        Kind::of_mode(self.mode)
    }
    pub fn owner(&self) -> Owner {
        Owner { mode: self.mode, uid: self.uid, gid: self.gid }
    }
}

/// What permission depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// With the kind.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    pub fn kind(&self) -> Kind {
        Kind::of_mode(self.mode)
    }
}

/// What statfs(2) says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statfs {
    pub magic: u32,
    pub block_bytes: u64,
    pub blocks: u64,
    pub free_blocks: u64,
    pub inodes: u64,
    pub free_inodes: u64,
}

/// What is to be changed; the rest stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Permission bits.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size_bytes: Option<u64>,
    pub accessed: Option<Time>,
    pub modified: Option<Time>,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// With the kind; the umask is taken off already.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of a device node.
    pub represents: u64,
    /// Of a symbolic link.
    pub target: &'a [u8],
}

/// An entry of a directory.
pub struct Entry<'a> {
    pub inode: u64,
    pub kind: Kind,
    pub name: &'a [u8],
    /// Where to go on behind it.
    pub next: u64,
}

/// Where a directory hangs.
pub enum Above {
    /// It is the top of its file system.
    Top,
    In(Arc<dyn Inode>, Vec<u8>),
    /// It was removed.
    Nowhere,
}

/// What a symbolic link leads to.
pub enum Link {
    Path(Vec<u8>),
    /// Of /proc: to the thing itself, whatever its name.
    Place(Place),
    /// The same, for what has no name: a pipe.
    Inode(Arc<dyn Inode>),
}

pub fn same(one: &Arc<dyn Inode>, other: &Arc<dyn Inode>) -> bool {
    core::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

/// Methods of directories answer `ENOTDIR` for anything else, those that change something `EROFS` or `EPERM` where it cannot be.
#[allow(unused_variables)]
pub trait Inode: Any + Send + Sync {
    fn stat(&self) -> Result<Stat>;
    /// The part of it that every step of a path needs.
    fn owner(&self) -> Result<Owner> {
        self.stat().map(|stat| stat.owner())
    }
    fn set(&self, change: &Change) -> Result<()> {
        Err(EROFS)
    }
    /// `flags` are open(2)'s. Permissions were looked at.
    fn open(self: Arc<Self>, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>>;

    /// Errors: `ENOENT`. Never asked for `.` and `..`.
    fn lookup(&self, name: &[u8], caller: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        Err(ENOTDIR)
    }
    fn above(&self) -> Above {
        Above::Nowhere
    }
    /// Calls `each` for entries from `from` on (0: the first) until it says false. `.` and `..` are no entries.
    fn list(&self, from: u64, caller: &Caller<'_>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        Err(ENOTDIR)
    }
    /// Errors: `EEXIST`.
    fn create(&self, name: &[u8], new: &New<'_>) -> Result<Arc<dyn Inode>> {
        Err(EROFS)
    }
    /// A file without a name (O_TMPFILE).
    fn create_unnamed(&self, new: &New<'_>) -> Result<Arc<dyn Inode>> {
        Err(EOPNOTSUPP)
    }
    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        Err(EROFS)
    }
    /// Errors: `EISDIR`.
    fn unlink(&self, name: &[u8]) -> Result<()> {
        Err(EROFS)
    }
    /// Errors: `ENOTDIR`, `ENOTEMPTY`.
    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        Err(EROFS)
    }
    /// `flags` are renameat2(2)'s. `to` is of the same file system.
    fn rename(&self, name: &[u8], to: &Arc<dyn Inode>, new_name: &[u8], flags: u32) -> Result<()> {
        Err(EROFS)
    }

    /// What readlink(2) says.
    fn read_link(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        Err(EINVAL)
    }
    /// Where a path goes on.
    fn follow(&self, caller: &Caller<'_>) -> Result<Link> {
        self.read_link(caller).map(Link::Path)
    }

    /// Errors: `ENODATA`.
    fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        Err(EOPNOTSUPP)
    }
    /// Each followed by a zero byte.
    fn attribute_names(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
    /// `flags` are setxattr(2)'s. Errors: `EEXIST`, `ENODATA`.
    fn set_attribute(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        Err(EOPNOTSUPP)
    }
    fn remove_attribute(&self, name: &[u8]) -> Result<()> {
        Err(EOPNOTSUPP)
    }

    /// fallocate(2) without its checks.
    fn allocate(&self, mode: u32, offset_bytes: u64, length_bytes: u64) -> Result<()> {
        Err(EOPNOTSUPP)
    }
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    fn locks(&self) -> Option<&Locks> {
        None
    }
    /// A place for the listener that bind(2) of a Unix socket leaves here, where sockets can be made.
    fn socket_slot(&self) -> Option<&spin::Mutex<Option<Arc<dyn Any + Send + Sync>>>> {
        None
    }
    /// Seals of fcntl(2), where it has some.
    fn seals(&self) -> Result<u32> {
        Err(EINVAL)
    }
    fn add_seals(&self, seals: u32) -> Result<()> {
        Err(EPERM)
    }
}
