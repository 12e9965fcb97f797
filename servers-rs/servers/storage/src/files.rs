// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `file` over the mounted root. A block that fails its check is an error to the reader and a line in the
//! log, never data.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use api_file::{BUFFER_BYTES, Error, FileKind, MAX_OPEN, Serve, Stat, entry};
use blocks::{BlockRead, ReadError};
use erofs::{FileType, Inode, Reader};
use ipc::{Badge, Text};
use rt::manifest::layout;
use rt::manifest::startup::Client;
use rt::memory::Shared;
use sys::{Capability, Handle, Memory, Rights};

/// Entries of one `list`: 128 of the longest names fill a quarter of the buffer.
const LIST_ENTRIES: usize = 128;

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

struct Open {
    client: Badge,
    number: u32,
    inode: Inode,
}

pub struct Files<B, M> {
    root: Option<Reader<B>>,
    buffers: Vec<(u64, M)>,
    open: Vec<Open>,
    next_number: u32,
    /// One read of a client at most.
    scratch: Vec<u8>,
}

impl<B: BlockRead, M: Buffer> Files<B, M> {
    /// Without a root every call answers `NotMounted`.
    pub fn new(root: Option<Reader<B>>, buffers: Vec<(u64, M)>) -> Self {
        Files { root, buffers, open: Vec::new(), next_number: 1, scratch: vec![0; BUFFER_BYTES as usize] }
    }

    fn root(&mut self) -> Result<&mut Reader<B>, Error> {
        self.root.as_mut().ok_or(Error::NotMounted)
    }
    fn resolve(&mut self, path: &Text) -> Result<Inode, Error> {
        self.root()?.resolve(path.as_str()).map_err(|error| report(path.as_str(), error))
    }
    fn buffer(&self, client: Badge) -> Result<&M, Error> {
        self.buffers.iter().find(|b| b.0 == client.0).map(|b| &b.1).ok_or(Error::NoBuffer)
    }
    fn file(&self, client: Badge, number: u32) -> Result<usize, Error> {
        self.open.iter().position(|o| o.client == client && o.number == number).ok_or(Error::BadFile)
    }
}

impl<B: BlockRead, M: Buffer> Serve for Files<B, M> {
    fn open(&mut self, client: Badge, path: Text) -> Result<(u32, u64), Error> {
        let inode = self.resolve(&path)?;
        if inode.file_type() != FileType::File {
            return Err(Error::WrongKind);
        }
        if self.open.iter().filter(|o| o.client == client).count() >= MAX_OPEN {
            return Err(Error::TooManyOpen);
        }
        let (number, size) = (self.next_number, inode.size);
        // Numbers are not used again for four billion opens, so a number of a closed file does not name another.
        self.next_number = self.next_number.checked_add(1).unwrap_or(1);
        self.open.push(Open { client, number, inode });
        Ok((number, size))
    }

    fn read(
        &mut self,
        client: Badge,
        file: u32,
        offset_bytes: u64,
        length_bytes: u32,
        buffer_offset_bytes: u32,
    ) -> Result<u32, Error> {
        let at = self.file(client, file)?;
        let (place, length) = (buffer_offset_bytes as usize, length_bytes as usize);
        let room = self.buffer(client)?.length_bytes();
        if place.checked_add(length).is_none_or(|end| end > room) {
            return Err(Error::OutOfRange);
        }
        let (Some(root), Some(open)) = (self.root.as_mut(), self.open.get(at)) else { return Err(Error::NotMounted) };
        let room = self.scratch.get_mut(..length).ok_or(Error::OutOfRange)?;
        let done = root.read(&open.inode, offset_bytes, room).map_err(|error| report("a file", error))?;
        let bytes = self.scratch.get(..done).ok_or(Error::OutOfRange)?;
        self.buffer(client)?.put(place, bytes).ok_or(Error::OutOfRange)?;
        Ok(done as u32)
    }

    fn stat(&mut self, _: Badge, path: Text) -> Result<Stat, Error> {
        let inode = self.resolve(&path)?;
        Ok(Stat {
            kind: kind(inode.file_type()),
            size_bytes: inode.size,
            mode: inode.mode & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
            links: inode.links,
        })
    }

    fn list(&mut self, client: Badge, path: Text, first: u32) -> Result<(u32, u32), Error> {
        self.buffer(client)?;
        let directory = self.resolve(&path)?;
        let (entries, next) =
            self.root()?.list(&directory, u64::from(first), LIST_ENTRIES).map_err(|error| report(path.as_str(), error))?;
        let mut used = 0;
        for entry in &entries {
            let room = self.scratch.get_mut(used..).ok_or(Error::OutOfRange)?;
            used += entry::put(room, kind(entry.file_type), &entry.name).ok_or(Error::OutOfRange)?;
        }
        let bytes = self.scratch.get(..used).ok_or(Error::OutOfRange)?;
        self.buffer(client)?.put(0, bytes).ok_or(Error::OutOfRange)?;
        let next = next.map_or(Ok(0), u32::try_from).map_err(|_| Error::OutOfRange)?;
        Ok((used as u32, next))
    }

    fn close(&mut self, client: Badge, file: u32) -> Result<(), Error> {
        let at = self.file(client, file)?;
        self.open.swap_remove(at);
        Ok(())
    }
}

fn kind(of: FileType) -> FileKind {
    match of {
        FileType::File => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
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
