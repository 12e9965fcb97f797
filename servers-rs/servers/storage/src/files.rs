// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `file` over the mounted root. A block that fails its check is an error to the reader and a line in the
//! log, never data. Nothing is kept about a client: a node is its number in the image.

use crate::cache::{Cache, File, Source, Store};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use api_file::{BUFFER_BYTES, Error, Kind, Mapping, Serve, Space, Stat, entry};
use blocks::{BlockRead, ReadError};
use core::cell::RefCell;
use erofs::{FileType, Inode, Reader};
use ipc::{Badge, Cap, Name, Place, Text};
use rt::manifest::layout;
use rt::manifest::startup::Client;
use rt::memory::Shared;
use sys::{Capability, Handle, Memory, Rights};

/// Most entries of one `list`: what fits into the largest buffer with names of a few bytes.
const LIST_ENTRIES: usize = 2048;

/// Where a client's data go.
pub trait Buffer {
    fn length_bytes(&self) -> usize;
    /// `None`, with nothing copied, outside the buffer.
    fn put(&self, offset: usize, bytes: &[u8]) -> Option<()>;
    /// `None` outside the buffer.
    fn get(&self, offset: usize, out: &mut [u8]) -> Option<()>;
}

impl Buffer for Shared {
    fn length_bytes(&self) -> usize {
        self.length_bytes() as usize
    }
    fn put(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.write(offset, bytes)
    }
    fn get(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        self.read(offset, out)
    }
}

/// Buffers of the clients of an interface, by client number.
pub fn buffers(interface: &str, interfaces: &[String], clients: &[Client]) -> Vec<(u64, Shared)> {
    let of_it = |badge: u64| interfaces.get(layout::unbadge(badge).0 as usize).is_some_and(|name| name == interface);
    let mapped = clients.iter().filter(|c| of_it(c.badge)).filter_map(|client| {
        let buffer = client.buffer?;
        let memory = Memory::of(Handle(buffer.memory));
        let shared = Shared::map(memory, buffer.length_bytes, Rights::READ | Rights::WRITE)
            .inspect_err(|error| rt::error!("the buffer of {} cannot be mapped: {error:?}", client.name))
            .ok()?;
        Some((u64::from(layout::unbadge(client.badge).1), shared))
    });
    mapped.collect()
}

pub struct Files<B, M, S: Store> {
    root: Option<Reader<B>>,
    buffers: Vec<(u64, M)>,
    cache: Rc<RefCell<Cache<S>>>,
    /// One answer at most.
    scratch: Vec<u8>,
}

impl<B: BlockRead, M: Buffer, S: Store> Files<B, M, S> {
    /// Without a root every call answers `NotMounted`.
    pub fn new(root: Option<Reader<B>>, buffers: Vec<(u64, M)>, cache: Rc<RefCell<Cache<S>>>) -> Self {
        Files { root, buffers, cache, scratch: vec![0; BUFFER_BYTES as usize] }
    }

    fn root(&mut self) -> Result<&mut Reader<B>, Error> {
        self.root.as_mut().ok_or(Error::NotMounted)
    }
    /// A number from a client may be any.
    fn inode(&mut self, node: u64) -> Result<Inode, Error> {
        self.root()?.inode(node).map_err(|error| match error {
            erofs::Error::Corrupt { .. } | erofs::Error::Unsupported { .. } => Error::BadNode,
            error => report("an inode", error),
        })
    }
    /// The buffer of a client, if the place is in it.
    fn place(&self, client: Badge, place: Place) -> Result<&M, Error> {
        let buffer = self.buffers.iter().find(|b| b.0 == client.0).map(|b| &b.1).ok_or(Error::NoBuffer)?;
        let end = u64::from(place.offset_bytes) + u64::from(place.length_bytes);
        if end > buffer.length_bytes() as u64 { Err(Error::OutOfRange) } else { Ok(buffer) }
    }
    fn put(&self, client: Badge, place: Place, bytes: &[u8]) -> Result<u32, Error> {
        if bytes.len() > place.length_bytes as usize {
            return Err(Error::OutOfRange);
        }
        self.place(client, place)?.put(place.offset_bytes as usize, bytes).ok_or(Error::OutOfRange)?;
        Ok(bytes.len() as u32)
    }
}

impl<B: BlockRead, M: Buffer, S: Store> Serve for Files<B, M, S> {
    fn root(&mut self, _: Badge) -> Result<Stat, Error> {
        let inode = self.root()?.root().map_err(|error| report("the root", error))?;
        stat(&inode)
    }
    fn lookup(&mut self, _: Badge, directory: u64, name: Name) -> Result<Stat, Error> {
        let directory = self.inode(directory)?;
        let inode = self.root()?.lookup(&directory, name.as_bytes()).map_err(|error| report("a directory", error))?;
        stat(&inode)
    }
    fn resolve(&mut self, _: Badge, path: Text) -> Result<Stat, Error> {
        let inode = self.root()?.resolve(path.as_str()).map_err(|error| report(path.as_str(), error))?;
        stat(&inode)
    }
    fn stat(&mut self, _: Badge, node: u64) -> Result<Stat, Error> {
        stat(&self.inode(node)?)
    }

    fn read(&mut self, client: Badge, node: u64, offset_bytes: u64, place: Place) -> Result<u32, Error> {
        let inode = self.file(node)?;
        self.place(client, place)?;
        let buffer = self.buffers.iter().find(|b| b.0 == client.0).map(|b| &b.1).ok_or(Error::NoBuffer)?;
        let (Some(root), mut cache) = (self.root.as_mut(), self.cache.borrow_mut()) else { return Err(Error::NotMounted) };
        let start = place.offset_bytes as usize;
        let from_disk = |from, out: &mut [u8]| fill(root, &inode, from, out);
        let out = |at, bytes: &[u8]| buffer.put(start + at, bytes).ok_or(Error::OutOfRange);
        let length = place.length_bytes as usize;
        cache.read((file(node), inode.size), offset_bytes, length, from_disk, out).map(|done| done as u32)
    }
    fn map(&mut self, _: Badge, node: u64, page: u64) -> Result<Mapping, Error> {
        let inode = self.file(node)?;
        if page >= inode.size.div_ceil(api_file::PAGE_BYTES) {
            return Err(Error::OutOfRange);
        }
        let (Some(root), mut cache) = (self.root.as_mut(), self.cache.borrow_mut()) else { return Err(Error::NotMounted) };
        let shared = cache.share((file(node), inode.size), page, |from, into| fill(root, &inode, from, into))?;
        let shared = shared.ok_or(Error::NoRoom)?;
        Ok(Mapping { memory: Cap(shared.memory), first_page: shared.first_page, pages: shared.pages })
    }

    fn list(&mut self, client: Badge, node: u64, cookie: u64, place: Place) -> Result<u32, Error> {
        self.place(client, place)?;
        let directory = self.inode(node)?;
        let most = (place.length_bytes as usize / (entry::HEADER_BYTES + 1) + 1).min(LIST_ENTRIES);
        let (entries, _) = self.root()?.list(&directory, cookie, most).map_err(|error| report("a directory", error))?;
        let mut used = 0;
        for e in &entries {
            let room = self.scratch.get_mut(used..place.length_bytes as usize).ok_or(Error::OutOfRange)?;
            let kind = kind(e.file_type).ok_or(Error::Damaged)?;
            match entry::put(room, &entry::Entry { node: e.nid, cookie: e.cookie, kind, name: &e.name }) {
                Some(length) => used += length,
                None if used == 0 => return Err(Error::OutOfRange),
                None => break,
            }
        }
        self.put(client, place, self.scratch.get(..used).unwrap_or_default())
    }
    fn read_link(&mut self, client: Badge, node: u64, place: Place) -> Result<u32, Error> {
        let inode = self.inode(node)?;
        let target = self.root()?.symlink(&inode).map_err(|error| report("a symbolic link", error))?;
        self.put(client, place, target.as_bytes())
    }
    fn attribute(&mut self, client: Badge, node: u64, name: Name, place: Place) -> Result<u32, Error> {
        let all = self.attributes(node)?;
        let (_, value) = all.iter().find(|(n, _)| n.as_bytes() == name.as_bytes()).ok_or(Error::NoAttribute)?;
        self.put(client, place, value)
    }
    fn attribute_names(&mut self, client: Badge, node: u64, place: Place) -> Result<u32, Error> {
        let all = self.attributes(node)?;
        let names: Vec<u8> = all.iter().flat_map(|(name, _)| name.bytes().chain([0])).collect();
        self.put(client, place, &names)
    }
    fn space(&mut self, _: Badge) -> Result<Space, Error> {
        Ok(Space { blocks: self.root()?.block_count() })
    }
}

impl<B: BlockRead, M: Buffer, S: Store> Files<B, M, S> {
    fn file(&mut self, node: u64) -> Result<Inode, Error> {
        let inode = self.inode(node)?;
        if inode.file_type() == FileType::File { Ok(inode) } else { Err(Error::WrongKind) }
    }
    fn attributes(&mut self, node: u64) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let inode = self.inode(node)?;
        self.root()?.xattrs(&inode).map_err(|error| report("attributes", error))
    }
}

fn file(node: u64) -> File {
    (Source::Root, node)
}
fn fill<B: BlockRead>(root: &mut Reader<B>, inode: &Inode, from: u64, into: &mut [u8]) -> Result<(), Error> {
    root.read(inode, from, into).map(drop).map_err(|error| report("a file", error))
}

fn stat(inode: &Inode) -> Result<Stat, Error> {
    let (major, minor) = inode.device().unwrap_or((0, 0));
    Ok(Stat {
        kind: kind(inode.file_type()).ok_or(Error::BadNode)?,
        node: inode.nid,
        size_bytes: inode.size,
        mode: inode.mode & 0o7777,
        uid: inode.uid,
        gid: inode.gid,
        links: inode.links,
        modified_s: inode.mtime_s,
        modified_ns: inode.mtime_ns,
        major,
        minor,
    })
}
fn kind(of: FileType) -> Option<Kind> {
    Some(match of {
        FileType::File => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Char => Kind::CharacterDevice,
        FileType::Block => Kind::BlockDevice,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::Symlink => Kind::Symlink,
        FileType::Unknown => return None,
    })
}

/// An error as the interface has it; what nobody expects is said.
fn report(what: &str, error: erofs::Error) -> Error {
    let answer = match error {
        erofs::Error::NotFound => return Error::NotFound,
        erofs::Error::NotADirectory => return Error::NotADirectory,
        erofs::Error::IsADirectory | erofs::Error::NotAFile | erofs::Error::NotASymlink => return Error::WrongKind,
        erofs::Error::Loop | erofs::Error::Limit => return Error::Loop,
        erofs::Error::Read(ReadError::Device { .. } | ReadError::Restarted) => Error::DeviceFailed,
        erofs::Error::Read(ReadError::Unverified { block }) => {
            rt::error!("verity mismatch at block {block}, reading {what}");
            return Error::Damaged;
        }
        // The signature covers the image, so an image that contradicts itself is no better than a damaged one.
        _ => Error::Damaged,
    };
    rt::error!("{what}: {error}");
    answer
}

#[cfg(test)]
mod tests;
