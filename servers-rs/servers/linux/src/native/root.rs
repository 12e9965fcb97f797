// SPDX-License-Identifier: PMPL-1.0-or-later
//! The verity root, as the storage server serves it.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use api_file::{Client, Error, Kind as Node, entry};
use ipc::{Name, Place};
use linux::errno::*;
use linux::fs::device;
use linux::fs::root::RootSource;
use linux::vfs::{Entry, Kind, PAGE_BYTES, Stat, Statfs, Time};
use rt::channel::Channel;
use rt::memory::Shared;
use spin::Mutex;
use sys::{Handle, Memory, Rights};

/// A server that dies is started again; the same question is asked that often.
const ATTEMPTS: usize = 8;
/// Of EROFS (statfs(2)).
const EROFS_MAGIC: u32 = 0xe0f5_e1e2;

pub struct Root {
    client: Mutex<Client<Channel>>,
    buffer: Shared,
}

impl Root {
    /// Errors: `ENODEV` without the grant, `ENOMEM`.
    pub fn new() -> Result<Arc<Root>> {
        let (endpoint, buffer) = rt::start::grant::call(api_file::NAME).ok_or(ENODEV)?;
        let memory = Memory(Handle(buffer.ok_or(ENODEV)?.memory));
        let buffer = Shared::map(memory, api_file::BUFFER_BYTES, Rights::READ).map_err(|_| ENOMEM)?;
        Ok(Arc::new(Root { client: Mutex::new(Client(Channel(endpoint))), buffer }))
    }

    fn ask<R>(&self, mut question: impl FnMut(&mut Client<Channel>) -> core::result::Result<R, Error>) -> Result<R> {
        let mut client = self.client.lock();
        for _ in 0..ATTEMPTS {
            match question(&mut client) {
                Err(Error::Restarted) => {}
                other => return other.map_err(errno),
            }
        }
        Err(EIO)
    }

    fn place(&self, length: usize) -> Place {
        Place { offset_bytes: 0, length_bytes: (length as u64).min(self.buffer.length_bytes()) as u32 }
    }

    /// What an answer put into the buffer.
    fn taken(&self, length: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.buffer.read(0, &mut bytes).ok_or(EIO)?;
        Ok(bytes)
    }
}

fn errno(error: Error) -> Errno {
    match error {
        Error::NotFound => ENOENT,
        Error::NotADirectory => ENOTDIR,
        Error::WrongKind => EINVAL,
        Error::BadNode => ESTALE,
        Error::NoAttribute => ENODATA,
        Error::NotMounted => ENODEV,
        Error::Loop => ELOOP,
        Error::NoRoom => ENOMEM,
        _ => EIO,
    }
}

fn kind(node: Node) -> Kind {
    match node {
        Node::File => Kind::File,
        Node::Directory => Kind::Directory,
        Node::CharacterDevice => Kind::Character,
        Node::BlockDevice => Kind::Block,
        Node::Fifo => Kind::Fifo,
        Node::Socket => Kind::Socket,
        Node::Symlink => Kind::Symlink,
    }
}

fn stat(of: api_file::Stat) -> Stat {
    let time = Time { seconds: of.modified_s as i64, nanoseconds: of.modified_ns };
    Stat {
        device: 0,
        inode: of.node,
        mode: kind(of.kind) as u32 | u32::from(of.mode),
        links: of.links,
        uid: of.uid,
        gid: of.gid,
        represents: device::number(of.major, of.minor),
        size_bytes: of.size_bytes,
        blocks_512: of.size_bytes.div_ceil(512),
        block_bytes: PAGE_BYTES as u32,
        accessed: time,
        modified: time,
        changed: time,
        born: time,
    }
}

impl RootSource for Root {
    fn root(&self) -> Result<Stat> {
        self.ask(|client| client.root()).map(stat)
    }
    fn lookup(&self, directory: u64, name: &[u8]) -> Result<Stat> {
        let name = Name::new(name).ok_or(ENAMETOOLONG)?;
        self.ask(|client| client.lookup(directory, name)).map(stat)
    }
    fn list(&self, directory: u64, from: u64, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        let mut cookie = from;
        loop {
            let place = self.place(usize::MAX);
            let used = self.ask(|client| client.list(directory, cookie, place))?;
            if used == 0 {
                return Ok(());
            }
            let bytes = self.taken(used)?;
            let mut rest = &bytes[..];
            let before = cookie;
            while let Some((one, behind)) = entry::take(rest) {
                let entry = Entry { inode: one.node, kind: kind(one.kind), name: one.name, next: one.cookie };
                if !each(entry) {
                    return Ok(());
                }
                (cookie, rest) = (one.cookie, behind);
            }
            if cookie == before {
                return Err(EIO);
            }
        }
    }
    fn read_link(&self, node: u64) -> Result<Vec<u8>> {
        let place = self.place(usize::MAX);
        let length = self.ask(|client| client.read_link(node, place))?;
        self.taken(length)
    }
    fn read(&self, node: u64, offset_bytes: u64, into: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let place = self.place(into.len() - done);
            let count = self.ask(|client| client.read(node, offset_bytes + done as u64, place))? as usize;
            let part = into.get_mut(done..done + count).ok_or(EIO)?;
            self.buffer.read(0, part).ok_or(EIO)?;
            done += count;
            if count < place.length_bytes as usize {
                break;
            }
        }
        Ok(done)
    }
    fn attribute(&self, node: u64, name: &[u8]) -> Result<Vec<u8>> {
        let (name, place) = (Name::new(name).ok_or(ERANGE)?, self.place(usize::MAX));
        let length = self.ask(|client| client.attribute(node, name, place))?;
        self.taken(length)
    }
    fn attribute_names(&self, node: u64) -> Result<Vec<u8>> {
        let place = self.place(usize::MAX);
        let length = self.ask(|client| client.attribute_names(node, place))?;
        self.taken(length)
    }
    fn statfs(&self) -> Result<Statfs> {
        let space = self.ask(|client| client.space())?;
        let blocks = space.blocks;
        Ok(Statfs { magic: EROFS_MAGIC, block_bytes: PAGE_BYTES, blocks, free_blocks: 0, inodes: 0, free_inodes: 0 })
    }
}
