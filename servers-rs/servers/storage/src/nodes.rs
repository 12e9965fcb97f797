// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `data` over the mounted data file system.
//!
//! A capability says all in its badge: inode, generation, client, and whether it writes. So the server keeps no table of them, and they go on
//! after its death. `Node::badge` and `Node::parse` are the one place that knows how.

use crate::files::Buffer;
use alloc::vec;
use alloc::vec::Vec;
use api_data::{Access, BUFFER_BYTES, Error, Kind, PATH_MAX, Serve, Space, Stat, Time, entry};
use blocks::BlockWrite;
use ext4::{Ext4, Quota, Replace, XattrSet};
use ipc::{Badge, Cap};
use rt::manifest::layout;
use sys::{Capability, Endpoint, Handle, Rights};

/// Entries of one `list`: the longest names fill half of the buffer.
const LIST_ENTRIES: usize = 250;
const CLIENT_BITS: u32 = 10;
const WRITES: u32 = 1 << CLIENT_BITS;
const GENERATION_SHIFT: u32 = CLIENT_BITS + 1;
/// What a client may do with a capability that it is given: call, and give it on.
const GIVEN: Rights = Rights(Rights::WRITE.0 | Rights::TRANSFER.0 | Rights::COPY.0);

/// A node, as a capability names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    inode: u32,
    /// Low bits of the inode's generation, so that a later inode of the same number is not taken for it.
    generation: u32,
    client: u32,
    writes: bool,
}

impl Node {
    fn badge(self) -> (u32, u32) {
        let writes = if self.writes { WRITES } else { 0 };
        (layout::FIRST_OWN | self.inode, self.generation << GENERATION_SHIFT | writes | self.client & (WRITES - 1))
    }
    /// `None`: the badge is of no capability that was made here.
    pub fn parse(interface: u32, client: u32) -> Option<Node> {
        let inode = interface.checked_sub(layout::FIRST_OWN)?;
        let generation = client >> GENERATION_SHIFT;
        Some(Node { inode, generation, client: client & (WRITES - 1), writes: client & WRITES != 0 })
    }
}

fn low(generation: u32) -> u32 {
    generation << GENERATION_SHIFT >> GENERATION_SHIFT
}

/// A client of the manifest, its buffer and its own directory.
pub struct Client<M> {
    pub number: u32,
    pub buffer: M,
    pub home: u32,
}

pub struct Nodes<B, M> {
    fs: Option<Ext4<B>>,
    clients: Vec<Client<M>>,
    endpoint: Endpoint,
    /// The node of the call in hand.
    node: Node,
    /// A capability that goes out with the answer; ours is given up afterwards.
    going: Option<Handle>,
}

impl<B: BlockWrite, M: Buffer> Nodes<B, M> {
    /// Without a file system every call answers `NotMounted`.
    pub fn new(fs: Option<Ext4<B>>, clients: Vec<Client<M>>, endpoint: Endpoint) -> Self {
        let node = Node { inode: 0, generation: 0, client: 0, writes: false };
        Nodes { fs, clients, endpoint, node, going: None }
    }

    /// Answers a call through the grant (`None`) or through a capability that was made here.
    pub fn answer(&mut self, node: Option<Node>, client: Badge, request: &ipc::Message) -> ipc::Message {
        if let Some(handle) = self.going.take() {
            let _ = Endpoint(handle).delete();
        }
        let number = node.map_or(client.0 as u32, |node| node.client);
        let home = self.clients.iter().find(|c| c.number == number).map_or(0, |c| c.home);
        self.node = node.unwrap_or(Node { inode: home, generation: 0, client: number, writes: true });
        let may = match (&mut self.fs, node) {
            (Some(fs), Some(node)) => fs
                .stat(node.inode)
                .map_err(error)
                .and_then(|stat| if low(stat.generation) == node.generation { Ok(()) } else { Err(Error::NotFound) }),
            _ => Ok(()),
        };
        match may {
            Ok(()) => api_data::dispatch(self, client, request),
            Err(error) => ipc::Message::new(error as u32),
        }
    }

    fn fs(&mut self) -> Result<&mut Ext4<B>, Error> {
        let fs = self.fs.as_mut().ok_or(Error::NotMounted)?;
        fs.set_time(crate::data::now());
        Ok(fs)
    }
    fn buffer(&self) -> Result<&M, Error> {
        self.clients.iter().find(|c| c.number == self.node.client).map(|c| &c.buffer).ok_or(Error::NoBuffer)
    }
    /// Bytes of the client's buffer, copied: it may change them at any time.
    fn bytes(&self, offset: usize, length: usize) -> Result<Vec<u8>, Error> {
        if length > BUFFER_BYTES as usize {
            return Err(Error::OutOfRange);
        }
        let mut bytes = vec![0; length];
        self.buffer()?.get(offset, &mut bytes).ok_or(Error::OutOfRange)?;
        Ok(bytes)
    }
    fn put(&self, offset: usize, bytes: &[u8]) -> Result<u32, Error> {
        self.buffer()?.put(offset, bytes).ok_or(Error::OutOfRange)?;
        Ok(bytes.len() as u32)
    }
    fn path(&self, offset: u32, length: u32) -> Result<Vec<u8>, Error> {
        if length as usize > PATH_MAX {
            return Err(Error::NameTooLong);
        }
        self.bytes(offset as usize, length as usize)
    }

    /// The inode at a path below the node.
    fn resolve(&mut self, path: &[u8]) -> Result<u32, Error> {
        let mut at = self.node.inode;
        if path.is_empty() {
            return Ok(at);
        }
        for name in path.split(|byte| *byte == b'/') {
            check(name)?;
            at = self.fs()?.lookup(at, name).map_err(error)?;
        }
        Ok(at)
    }
    /// The directory that holds what the path names, and its name there.
    fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(u32, &'p [u8]), Error> {
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => (&[][..], path),
        };
        check(name)?;
        if path.first() == Some(&b'/') {
            return Err(Error::Invalid);
        }
        Ok((self.resolve(above)?, name))
    }
    fn at(&mut self, path_bytes: u32) -> Result<u32, Error> {
        let path = self.path(0, path_bytes)?;
        self.resolve(&path)
    }

    /// Runs a change and makes it durable: what was answered is not lost, even if this server dies.
    fn change<T>(&mut self, change: impl FnOnce(&mut Ext4<B>) -> ext4::Result<T>) -> Result<T, Error> {
        if !self.node.writes {
            return Err(Error::ReadOnly);
        }
        let fs = self.fs()?;
        let done = change(fs).map_err(error)?;
        fs.sync().map_err(error)?;
        Ok(done)
    }
}

/// There is no way up, and no name that stays.
fn check(name: &[u8]) -> Result<(), Error> {
    if matches!(name, b"" | b"." | b"..") { Err(Error::Invalid) } else { Ok(()) }
}

impl<B: BlockWrite, M: Buffer> Serve for Nodes<B, M> {
    fn stat(&mut self, _: Badge, path_bytes: u32) -> Result<Stat, Error> {
        let inode = self.at(path_bytes)?;
        let s = self.fs()?.stat(inode).map_err(error)?;
        let time = |t: ext4::Time| Time { seconds: t.seconds as u64, nanoseconds: t.nanoseconds };
        Ok(Stat {
            kind: Kind::from_u8(s.kind as u8).ok_or(Error::Damaged)?,
            inode: s.inode,
            mode: s.mode,
            links: s.links,
            uid: s.uid,
            gid: s.gid,
            size_bytes: s.size_bytes,
            blocks_512: s.blocks_512,
            major: s.device.0,
            minor: s.device.1,
            accessed: time(s.accessed),
            modified: time(s.modified),
            changed: time(s.changed),
        })
    }
    fn open(&mut self, _: Badge, path_bytes: u32, access: Access) -> Result<Cap, Error> {
        let inode = self.at(path_bytes)?;
        let generation = low(self.fs()?.stat(inode).map_err(error)?.generation);
        let writes = self.node.writes && access == Access::Same;
        let (interface, client) = Node { inode, generation, writes, client: self.node.client }.badge();
        let made = self.endpoint.copy(GIVEN, layout::badge(interface, client)).map_err(|_| Error::NoRoom)?;
        self.going = Some(made.handle());
        Ok(Cap(made.handle()))
    }
    fn create(
        &mut self,
        _: Badge,
        path_bytes: u32,
        kind: Kind,
        mode: u16,
        owner: (u32, u32),
        device: (u32, u32),
    ) -> Result<(), Error> {
        let path = self.path(0, path_bytes)?;
        let (directory, name) = self.parent(&path)?;
        let kind = ext4::Kind::of_entry(kind as u8).ok_or(Error::Invalid)?;
        self.change(|fs| match kind {
            ext4::Kind::CharacterDevice | ext4::Kind::BlockDevice => {
                fs.device_node(directory, name, kind, mode, owner, device).map(drop)
            }
            _ => fs.create(directory, name, kind, mode, owner).map(drop),
        })
    }
    fn symlink(&mut self, _: Badge, path_bytes: u32, target_bytes: u32, owner: (u32, u32)) -> Result<(), Error> {
        let (path, target) = (self.path(0, path_bytes)?, self.path(path_bytes, target_bytes)?);
        let (directory, name) = self.parent(&path)?;
        self.change(|fs| fs.symlink(directory, name, &target, owner).map(drop))
    }
    fn link(&mut self, _: Badge, path_bytes: u32, new_path_bytes: u32) -> Result<(), Error> {
        let (path, new) = (self.path(0, path_bytes)?, self.path(path_bytes, new_path_bytes)?);
        let inode = self.resolve(&path)?;
        let (directory, name) = self.parent(&new)?;
        self.change(|fs| fs.link(inode, directory, name))
    }
    fn unlink(&mut self, _: Badge, path_bytes: u32) -> Result<(), Error> {
        let path = self.path(0, path_bytes)?;
        let (directory, name) = self.parent(&path)?;
        self.change(|fs| fs.unlink(directory, name))
    }
    fn remove_directory(&mut self, _: Badge, path_bytes: u32) -> Result<(), Error> {
        let path = self.path(0, path_bytes)?;
        let (directory, name) = self.parent(&path)?;
        self.change(|fs| fs.remove_directory(directory, name))
    }
    fn rename(&mut self, _: Badge, path_bytes: u32, new_path_bytes: u32, replace: bool) -> Result<(), Error> {
        let (path, new) = (self.path(0, path_bytes)?, self.path(path_bytes, new_path_bytes)?);
        let (from, name) = self.parent(&path)?;
        let (to, new_name) = self.parent(&new)?;
        let replace = if replace { Replace::Allow } else { Replace::Refuse };
        self.change(|fs| fs.rename(from, name, to, new_name, replace))
    }
    fn read(&mut self, _: Badge, offset_bytes: u64, length_bytes: u32, buffer_offset_bytes: u32) -> Result<u32, Error> {
        if u64::from(length_bytes) > BUFFER_BYTES {
            return Err(Error::OutOfRange);
        }
        let mut out = vec![0; length_bytes as usize];
        let inode = self.node.inode;
        let done = self.fs()?.read(inode, offset_bytes, &mut out).map_err(error)?;
        self.put(buffer_offset_bytes as usize, out.get(..done).unwrap_or_default())
    }
    fn write(&mut self, _: Badge, offset_bytes: u64, length_bytes: u32, buffer_offset_bytes: u32) -> Result<u32, Error> {
        if !self.node.writes {
            return Err(Error::ReadOnly);
        }
        let bytes = self.bytes(buffer_offset_bytes as usize, length_bytes as usize)?;
        let (inode, fs) = (self.node.inode, self.fs()?);
        let before = fs.stat(inode).map_err(error)?;
        let done = fs.write(inode, offset_bytes, &bytes).map_err(error)?;
        let after = fs.stat(inode).map_err(error)?;
        // Data inside the file are with the disk already; what makes new data part of the file would die with this server.
        if (before.size_bytes, before.blocks_512) != (after.size_bytes, after.blocks_512) {
            fs.sync().map_err(error)?;
        }
        Ok(done as u32)
    }
    fn truncate(&mut self, _: Badge, size_bytes: u64) -> Result<(), Error> {
        let inode = self.node.inode;
        self.change(|fs| fs.truncate(inode, size_bytes))
    }
    fn allocate(&mut self, _: Badge, offset_bytes: u64, length_bytes: u64, keep_size: bool) -> Result<(), Error> {
        let inode = self.node.inode;
        self.change(|fs| fs.allocate(inode, offset_bytes, length_bytes, keep_size))
    }
    fn sync(&mut self, _: Badge) -> Result<(), Error> {
        self.fs()?.sync().map_err(error)
    }
    fn list(&mut self, _: Badge, cookie: u64) -> Result<(u32, u64), Error> {
        let inode = self.node.inode;
        let (entries, next) = self.fs()?.list(inode, cookie, LIST_ENTRIES).map_err(error)?;
        let mut out = vec![0; BUFFER_BYTES as usize];
        let mut used = 0;
        for e in entries.iter().filter(|e| !matches!(&e.name[..], b"." | b"..")) {
            let kind = Kind::from_u8(e.kind as u8).ok_or(Error::Damaged)?;
            used += entry::put(out.get_mut(used..).unwrap_or_default(), e.inode, kind, &e.name).ok_or(Error::OutOfRange)?;
        }
        self.put(0, out.get(..used).unwrap_or_default())?;
        Ok((used as u32, next.unwrap_or(0)))
    }
    fn read_link(&mut self, _: Badge, path_bytes: u32) -> Result<u32, Error> {
        let inode = self.at(path_bytes)?;
        let target = self.fs()?.read_link(inode).map_err(error)?;
        self.put(0, &target)
    }
    fn set_mode(&mut self, _: Badge, path_bytes: u32, mode: u16) -> Result<(), Error> {
        let inode = self.at(path_bytes)?;
        self.change(|fs| fs.set_mode(inode, mode))
    }
    fn set_owner(&mut self, _: Badge, path_bytes: u32, (uid, gid): (u32, u32)) -> Result<(), Error> {
        let inode = self.at(path_bytes)?;
        self.change(|fs| fs.set_owner(inode, uid, gid))
    }
    fn set_times(&mut self, _: Badge, path_bytes: u32, accessed: Time, modified: Time) -> Result<(), Error> {
        let inode = self.at(path_bytes)?;
        let time = |t: Time| Some(ext4::Time { seconds: t.seconds as i64, nanoseconds: t.nanoseconds });
        self.change(|fs| fs.set_times(inode, time(accessed), time(modified)))
    }
    fn attribute(&mut self, _: Badge, name_bytes: u32) -> Result<u32, Error> {
        let (name, inode) = (self.path(0, name_bytes)?, self.node.inode);
        let value = self.fs()?.attribute(inode, &name).map_err(error)?;
        self.put(0, &value)
    }
    fn set_attribute(&mut self, _: Badge, name_bytes: u32, value_bytes: u32) -> Result<(), Error> {
        let (name, inode) = (self.path(0, name_bytes)?, self.node.inode);
        let value = self.bytes(name_bytes as usize, value_bytes as usize)?;
        self.change(|fs| fs.set_attribute(inode, &name, &value, XattrSet::Any))
    }
    fn remove_attribute(&mut self, _: Badge, name_bytes: u32) -> Result<(), Error> {
        let (name, inode) = (self.path(0, name_bytes)?, self.node.inode);
        self.change(|fs| fs.remove_attribute(inode, &name))
    }
    fn attribute_names(&mut self, _: Badge) -> Result<u32, Error> {
        let inode = self.node.inode;
        let names = self.fs()?.attribute_names(inode).map_err(error)?;
        let all: Vec<u8> = names.iter().flat_map(|name| name.iter().copied().chain([0])).collect();
        self.put(0, &all)
    }
    fn space(&mut self, _: Badge) -> Result<Space, Error> {
        let s = self.fs()?.space().map_err(error)?;
        Ok(Space { blocks: s.blocks, free_blocks: s.free_blocks, inodes: s.inodes, free_inodes: s.free_inodes })
    }
    fn set_quota(&mut self, _: Badge, bytes: u64, inodes: u64) -> Result<(), Error> {
        let inode = self.node.inode;
        self.change(|fs| fs.set_quota(inode, Quota { bytes, inodes }))
    }
}

/// An error as the interface has it; what nobody expects is said.
fn error(error: ext4::Error) -> Error {
    use ext4::Error as E;
    match error {
        E::NotFound => Error::NotFound,
        E::Exists => Error::Exists,
        E::NotADirectory => Error::NotADirectory,
        E::IsADirectory => Error::IsADirectory,
        E::NotEmpty => Error::NotEmpty,
        E::Invalid => Error::Invalid,
        E::NameTooLong => Error::NameTooLong,
        E::TooManyLinks => Error::TooManyLinks,
        E::FileTooBig => Error::FileTooBig,
        E::NoSpace => Error::NoSpace,
        E::Quota => Error::Quota,
        E::OtherQuota => Error::OtherQuota,
        E::NoAttribute => Error::NoAttribute,
        E::AttributesTooBig => Error::AttributesTooBig,
        E::Device(_) => said(error, Error::DeviceFailed),
        E::Corrupt(_) | E::Unsupported(_) => said(error, Error::Damaged),
    }
}
fn said(what: ext4::Error, answer: Error) -> Error {
    rt::error!("data: {what}");
    answer
}

#[cfg(test)]
mod tests;
