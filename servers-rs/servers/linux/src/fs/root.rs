// SPDX-License-Identifier: PMPL-1.0-or-later
//! A file system that never changes, out of something that knows nodes by number: the verity root.
//!
//! Inodes stay once they were looked up; pages of files are kept and shared by all who read or map them, and given back by [`RootFs::reclaim`].

use crate::errno::{EINVAL, EIO, EISDIR, ENODEV, ENOMEM, ENOTDIR, ENXIO, EROFS, Result};
use crate::fs::device::Devices;
use crate::fs::pipe::Pipe;
use crate::vfs::{
    Above, Caller, Change, Entry, File, FileSystem, Inode, Kind, Locks, Owner, PAGE_BYTES, Page, Pages, Sink, Stat, Statfs,
    new_device,
};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use linux_raw_sys::general as raw;
use spin::Mutex;

/// Pages that are asked of the source at a time.
const CLUSTER: u64 = 16;

/// What the files come from. Numbers of nodes never change.
pub trait RootSource: Send + Sync {
    /// `device` of the answer is not looked at.
    fn root(&self) -> Result<Stat>;
    /// Errors: `ENOENT`.
    fn lookup(&self, directory: u64, name: &[u8]) -> Result<Stat>;
    /// Entries from a cookie on (0: the first) until `each` says false.
    fn list(&self, directory: u64, from: u64, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()>;
    fn read_link(&self, node: u64) -> Result<Vec<u8>>;
    /// Bytes read: fewer than asked only at the end.
    fn read(&self, node: u64, offset_bytes: u64, into: &mut [u8]) -> Result<usize>;
    /// Errors: `ENODATA`.
    fn attribute(&self, node: u64, name: &[u8]) -> Result<Vec<u8>>;
    /// Each followed by a zero byte.
    fn attribute_names(&self, node: u64) -> Result<Vec<u8>>;
    fn statfs(&self) -> Result<Statfs>;
}

struct Shared {
    source: Arc<dyn RootSource>,
    pages: Arc<dyn Pages>,
    devices: Arc<dyn Devices>,
    device: u64,
    name: &'static str,
    /// Those of which there are pages.
    cached: Mutex<Vec<Weak<Node>>>,
}

pub struct RootFs {
    shared: Arc<Shared>,
    root: Arc<Node>,
}

impl RootFs {
    pub fn new(
        source: Arc<dyn RootSource>,
        name: &'static str,
        pages: Arc<dyn Pages>,
        devices: Arc<dyn Devices>,
    ) -> Result<Arc<RootFs>> {
        let stat = source.root()?;
        let shared = Arc::new(Shared { source, pages, devices, device: new_device(), name, cached: Mutex::default() });
        let root = Node::new(&shared, stat, None);
        Ok(Arc::new(RootFs { shared, root }))
    }
    /// Gives back pages that nobody maps, at most `wanted`; returns how many.
    pub fn reclaim(&self, wanted: usize) -> usize {
        let mut freed = 0;
        self.shared.cached.lock().retain(|node| {
            let Some(node) = node.upgrade() else { return false };
            let mut cache = node.cache.lock();
            cache.retain(|_, page| {
                let goes = freed < wanted && page.is_ours_alone();
                freed += usize::from(goes);
                !goes
            });
            !cache.is_empty()
        });
        freed
    }
}

impl FileSystem for RootFs {
    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }
    fn name(&self) -> &'static str {
        self.shared.name
    }
    fn statfs(&self) -> Result<Statfs> {
        self.shared.source.statfs()
    }
    fn device(&self) -> u64 {
        self.shared.device
    }
}

struct Node {
    shared: Arc<Shared>,
    me: Weak<Node>,
    stat: Stat,
    parent: Option<(Weak<Node>, Vec<u8>)>,
    children: Mutex<BTreeMap<Vec<u8>, Arc<Node>>>,
    cache: Mutex<BTreeMap<u64, Page>>,
    fifo: Option<Arc<Pipe>>,
    locks: Locks,
}

impl Node {
    fn new(shared: &Arc<Shared>, stat: Stat, parent: Option<(Weak<Node>, Vec<u8>)>) -> Arc<Node> {
        let stat = Stat { device: shared.device, ..stat };
        let fifo = (stat.kind() == Kind::Fifo).then(Pipe::of_fifo);
        Arc::new_cyclic(|me| Node {
            shared: shared.clone(),
            me: me.clone(),
            stat,
            parent,
            children: Mutex::default(),
            cache: Mutex::default(),
            fifo,
            locks: Locks::new(),
        })
    }
    fn directory(&self) -> Result<()> {
        if self.stat.kind() == Kind::Directory { Ok(()) } else { Err(ENOTDIR) }
    }
    /// A page of the file, filled. Errors: `ENXIO` behind the end, `EIO`, `ENOMEM`.
    fn cached(&self, index: u64) -> Result<Page> {
        if let Some(page) = self.cache.lock().get(&index) {
            return Ok(page.clone());
        }
        let begins = |index: u64| index.checked_mul(PAGE_BYTES).filter(|at| *at < self.stat.size_bytes);
        let offset = begins(index).ok_or(ENXIO)?;
        // Who reads a page mostly reads the next ones: one question for as many as are not here yet.
        let mut bytes = {
            let cache = self.cache.lock();
            let missing = (0..CLUSTER).take_while(|n| begins(index + n).is_some() && !cache.contains_key(&(index + n))).count();
            alloc::vec![0; missing.max(1) * PAGE_BYTES as usize]
        };
        let wanted = (self.stat.size_bytes - offset).min(bytes.len() as u64) as usize;
        if self.shared.source.read(self.stat.inode, offset, &mut bytes[..wanted])? < wanted {
            return Err(EIO);
        }
        let mut first = None;
        for (n, part) in bytes.chunks_exact(PAGE_BYTES as usize).enumerate() {
            let page = match Page::allocate(&self.shared.pages) {
                Ok(page) => page,
                // The one that was asked for is enough.
                Err(_) if first.is_some() => break,
                Err(error) => return Err(error),
            };
            page.write(0, part);
            first.get_or_insert(page.clone());
            let mut cache = self.cache.lock();
            if cache.is_empty() {
                self.shared.cached.lock().push(self.me.clone());
            }
            cache.insert(index + n as u64, page);
        }
        first.ok_or(ENOMEM)
    }
}

impl Inode for Node {
    fn stat(&self) -> Result<Stat> {
        Ok(self.stat)
    }
    fn owner(&self) -> Result<Owner> {
        Ok(self.stat.owner())
    }
    fn set(&self, _: &Change) -> Result<()> {
        Err(EROFS)
    }
    fn open(self: Arc<Self>, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        match (self.stat.kind(), &self.fifo) {
            (Kind::File, _) => Ok(self),
            (_, Some(fifo)) => fifo.open_end(flags, true),
            (kind @ (Kind::Character | Kind::Block), _) => self.shared.devices.open(kind, self.stat.represents, flags, caller),
            _ => Err(ENXIO),
        }
    }
    fn lookup(&self, name: &[u8], _: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        self.directory()?;
        if let Some(child) = self.children.lock().get(name) {
            return Ok(child.clone());
        }
        let stat = self.shared.source.lookup(self.stat.inode, name)?;
        let child = Node::new(&self.shared, stat, Some((self.me.clone(), name.to_vec())));
        self.children.lock().insert(name.to_vec(), child.clone());
        Ok(child)
    }
    fn above(&self) -> Above {
        match &self.parent {
            None => Above::Top,
            Some((parent, name)) => parent.upgrade().map_or(Above::Nowhere, |parent| Above::In(parent, name.clone())),
        }
    }
    fn list(&self, from: u64, _: &Caller<'_>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        self.directory()?;
        self.shared.source.list(self.stat.inode, from, each)
    }
    fn read_link(&self, _: &Caller<'_>) -> Result<Vec<u8>> {
        if self.stat.kind() == Kind::Symlink { self.shared.source.read_link(self.stat.inode) } else { Err(EINVAL) }
    }
    fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.shared.source.attribute(self.stat.inode, name)
    }
    fn attribute_names(&self) -> Result<Vec<u8>> {
        self.shared.source.attribute_names(self.stat.inode)
    }
    fn set_attribute(&self, _: &[u8], _: &[u8], _: u32) -> Result<()> {
        Err(EROFS)
    }
    fn remove_attribute(&self, _: &[u8]) -> Result<()> {
        Err(EROFS)
    }
    fn locks(&self) -> Option<&Locks> {
        Some(&self.locks)
    }
}

impl File for Node {
    fn read(&self, _: &Caller<'_>, offset_bytes: u64, into: &mut dyn Sink) -> Result<usize> {
        let end = self.stat.size_bytes.min(offset_bytes.saturating_add(into.room() as u64));
        let mut chunk = [0; PAGE_BYTES as usize];
        let mut at = offset_bytes;
        while at < end {
            let within = (at % PAGE_BYTES) as usize;
            let part = ((end - at) as usize).min(chunk.len() - within);
            let moved = self.cached(at / PAGE_BYTES).and_then(|page| {
                page.read(within, &mut chunk[..part]);
                into.put(&chunk[..part])
            });
            match moved {
                Ok(n) if n == part => at += n as u64,
                Ok(n) => return Ok((at - offset_bytes) as usize + n),
                Err(error) if at == offset_bytes => return Err(error),
                Err(_) => break,
            }
        }
        Ok(at.saturating_sub(offset_bytes) as usize)
    }
    fn has_position(&self) -> bool {
        true
    }
    fn size_bytes(&self) -> Result<u64> {
        if self.stat.kind() == Kind::File { Ok(self.stat.size_bytes) } else { Err(EISDIR) }
    }
    fn page(&self, index: u64, will_write: bool) -> Result<Page> {
        if will_write { Err(ENODEV) } else { self.cached(index) }
    }
    fn stat(&self) -> Result<Stat> {
        Ok(self.stat)
    }
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;

/// The permission bits and kind that a source's own kind number makes: for those that keep the two apart.
pub const fn mode(kind: Kind, permissions: u32) -> u32 {
    kind as u32 & raw::S_IFMT | permissions & 0o7777
}
