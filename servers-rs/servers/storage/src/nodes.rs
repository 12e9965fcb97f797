// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `data` over the mounted data file system.
//!
//! A capability says all in its badge: inode, generation, client, and whether it writes. So the server keeps no table of them, and they go on
//! after its death. `Node::badge` and `Node::parse` are the one place that knows how. Files that a client keeps without a name are noted in its
//! buffer (`kept.rs`). The methods are in `serve.rs`.

use crate::cache::{Cache, File, Source, Store};
use crate::files::Buffer;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use api_data::{Access, Error, PATH_MAX, USABLE_BYTES};
use blocks::BlockWrite;
use core::cell::RefCell;
use ext4::Ext4;
use ipc::{Badge, Cap};
use rt::manifest::layout;
use sys::{Capability, Endpoint, Handle, Rights};

mod kept;
mod serve;

pub use kept::noted;

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

pub struct Nodes<B, M, S: Store> {
    fs: Option<Ext4<B>>,
    clients: Vec<Client<M>>,
    cache: Rc<RefCell<Cache<S>>>,
    /// Client and inode of files that stay without a name.
    kept: Vec<(u32, u32)>,
    endpoint: Endpoint,
    /// The node of the call in hand.
    node: Node,
    /// A capability that goes out with the answer; ours is given up afterwards.
    going: Option<Handle>,
}

impl<B: BlockWrite, M: Buffer, S: Store> Nodes<B, M, S> {
    /// Without a file system every call answers `NotMounted`.
    pub fn new(fs: Option<Ext4<B>>, clients: Vec<Client<M>>, endpoint: Endpoint, cache: Rc<RefCell<Cache<S>>>) -> Self {
        let node = Node { inode: 0, generation: 0, client: 0, writes: false };
        let mut nodes = Nodes { fs, clients, cache, kept: Vec::new(), endpoint, node, going: None };
        nodes.adopt();
        nodes
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
        usable(offset, length)?;
        let mut bytes = vec![0; length];
        self.buffer()?.get(offset, &mut bytes).ok_or(Error::OutOfRange)?;
        Ok(bytes)
    }
    fn put(&self, offset: usize, bytes: &[u8]) -> Result<u32, Error> {
        usable(offset, bytes.len())?;
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

    /// The file of this node as the cache knows it, and its size.
    fn file(&mut self) -> Result<(File, u64), Error> {
        let inode = self.node.inode;
        let stat = self.fs()?.stat(inode).map_err(error)?;
        match stat.kind {
            ext4::Kind::File => Ok(((Source::Data(stat.generation), u64::from(inode)), stat.size_bytes)),
            ext4::Kind::Directory => Err(Error::IsADirectory),
            _ => Err(Error::Invalid),
        }
    }
    /// A capability for an inode.
    fn give(&mut self, inode: u32, generation: u32, access: Access) -> Result<Cap, Error> {
        let writes = self.node.writes && access == Access::Same;
        let (interface, client) = Node { inode, generation: low(generation), writes, client: self.node.client }.badge();
        let badge = layout::badge(interface, client);
        // The page cache has capabilities too, and needs none of them.
        let made = self.endpoint.copy(GIVEN, badge).or_else(|error| match self.cache.borrow_mut().shrink() {
            true => self.endpoint.copy(GIVEN, badge),
            false => Err(error),
        });
        let handle = made.map_err(|_| Error::NoRoom)?.handle();
        self.going = Some(handle);
        Ok(Cap(handle))
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

/// The server's own notes are behind it.
fn usable(offset: usize, length: usize) -> Result<(), Error> {
    let end = offset.checked_add(length).filter(|end| *end as u64 <= USABLE_BYTES);
    end.map(drop).ok_or(Error::OutOfRange)
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
