// SPDX-License-Identifier: PMPL-1.0-or-later
//! An inode of tmpfs.

use super::data::Data;
use super::directory::Directory;
use super::{Shared, Tmpfs};
use crate::call::Clock;
use crate::errno::{EEXIST, EINVAL, EISDIR, ENODATA, ENOENT, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM, EXDEV, Result};
use crate::fs::pipe::Pipe;
use crate::vfs::{Above, Caller, Change, Entry, File, Inode, Kind, Locks, New, Owner, PAGE_BYTES, Stat, Time};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::Ordering;
use linux_raw_sys::general as raw;
use spin::Mutex;

pub(super) struct Meta {
    /// With the kind.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub accessed: Time,
    pub modified: Time,
    pub changed: Time,
    pub born: Time,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(super) enum Body {
    Directory(Directory),
    File(Mutex<Data>),
    Symlink(Vec<u8>),
    Fifo(Arc<Pipe>),
    Device(u64),
    Socket(Mutex<Option<Arc<dyn Any + Send + Sync>>>),
}

pub struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) me: Weak<Node>,
    number: u64,
    pub(super) meta: Mutex<Meta>,
    pub(super) body: Body,
    locks: Locks,
}

impl Node {
    pub(super) fn new(shared: &Arc<Shared>, new: &New<'_>) -> Arc<Node> {
        let now = Time::from_ns(shared.means.clock.now_ns(Clock::Realtime));
        let body = match Kind::of_mode(new.mode) {
            Kind::Directory => Body::Directory(Directory::default()),
            Kind::File => Body::File(Mutex::new(Data::default())),
            Kind::Symlink => Body::Symlink(new.target.to_vec()),
            Kind::Fifo => Body::Fifo(Pipe::of_fifo()),
            Kind::Character | Kind::Block => Body::Device(new.represents),
            Kind::Socket => Body::Socket(Mutex::new(None)),
        };
        let links = if let Body::Directory(_) = body { 2 } else { 0 };
        let meta = Meta {
            mode: new.mode,
            uid: new.uid,
            gid: new.gid,
            links,
            accessed: now,
            modified: now,
            changed: now,
            born: now,
            attributes: Vec::new(),
        };
        shared.inodes.fetch_add(1, Ordering::Relaxed);
        Arc::new_cyclic(|me| Node {
            shared: shared.clone(),
            me: me.clone(),
            number: shared.next_inode.fetch_add(1, Ordering::Relaxed),
            meta: Mutex::new(meta),
            body,
            locks: Locks::new(),
        })
    }
    pub(super) fn now(&self) -> Time {
        Time::from_ns(self.shared.means.clock.now_ns(Clock::Realtime))
    }
    pub(super) fn kind(&self) -> Kind {
        Kind::of_mode(self.meta.lock().mode)
    }
    pub(super) fn number(&self) -> u64 {
        self.number
    }
    pub(super) fn directory(&self) -> Result<&Directory> {
        if let Body::Directory(directory) = &self.body { Ok(directory) } else { Err(ENOTDIR) }
    }
    pub(super) fn data(&self) -> Result<&Mutex<Data>> {
        match &self.body {
            Body::File(data) => Ok(data),
            Body::Directory(_) => Err(EISDIR),
            _ => Err(EINVAL),
        }
    }
    /// Content changed.
    pub(super) fn touch(&self) {
        let now = self.now();
        let mut meta = self.meta.lock();
        (meta.modified, meta.changed) = (now, now);
    }
    /// What is known of it changed.
    pub(super) fn touch_meta(&self) {
        self.meta.lock().changed = self.now();
    }
    /// Another node of this file system. Errors: `EXDEV`.
    pub(super) fn of_mine(&self, other: &Arc<dyn Inode>) -> Result<Arc<Node>> {
        let other: &dyn Any = &**other;
        let node = other.downcast_ref::<Node>().filter(|node| Arc::ptr_eq(&node.shared, &self.shared)).ok_or(EXDEV)?;
        node.me.upgrade().ok_or(ENOENT)
    }
    pub(super) fn make_sealable(&self, seals: u32) {
        if let Ok(data) = self.data() {
            data.lock().seals = Some(seals);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.inodes.fetch_sub(1, Ordering::Relaxed);
        if let Body::File(data) = &self.body {
            self.shared.used_pages.fetch_sub(data.lock().pages.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Inode for Node {
    fn stat(&self) -> Result<Stat> {
        let (size_bytes, pages) = match &self.body {
            Body::File(data) => {
                let data = data.lock();
                (data.size_bytes, data.pages.len() as u64)
            }
            Body::Symlink(target) => (target.len() as u64, 0),
            Body::Directory(directory) => (directory.size_bytes(), 0),
            _ => (0, 0),
        };
        let meta = self.meta.lock();
        Ok(Stat {
            device: self.shared.device,
            inode: self.number,
            mode: meta.mode,
            links: meta.links,
            uid: meta.uid,
            gid: meta.gid,
            represents: if let Body::Device(number) = self.body { number } else { 0 },
            size_bytes,
            blocks_512: pages * (PAGE_BYTES / 512),
            block_bytes: PAGE_BYTES as u32,
            accessed: meta.accessed,
            modified: meta.modified,
            changed: meta.changed,
            born: meta.born,
        })
    }
    fn owner(&self) -> Result<Owner> {
        let meta = self.meta.lock();
        Ok(Owner { mode: meta.mode, uid: meta.uid, gid: meta.gid })
    }
    fn set(&self, change: &Change) -> Result<()> {
        if let Some(size_bytes) = change.size_bytes {
            self.resize(size_bytes)?;
        }
        let now = self.now();
        let mut meta = self.meta.lock();
        meta.mode = change.mode.map_or(meta.mode, |mode| meta.mode & raw::S_IFMT | mode & 0o7777);
        meta.uid = change.uid.unwrap_or(meta.uid);
        meta.gid = change.gid.unwrap_or(meta.gid);
        meta.accessed = change.accessed.unwrap_or(meta.accessed);
        meta.modified = change.modified.unwrap_or(meta.modified);
        meta.changed = now;
        Ok(())
    }
    fn open(self: Arc<Self>, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        match &self.body {
            Body::File(_) => Ok(self),
            Body::Fifo(pipe) => pipe.open_end(flags, true),
            Body::Device(number) => self.shared.means.devices.open(self.kind(), *number, flags, caller),
            _ => Err(ENXIO),
        }
    }

    fn lookup(&self, name: &[u8], _: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        Ok(self.directory()?.get(name).ok_or(ENOENT)?)
    }
    fn above(&self) -> Above {
        self.directory().map_or(Above::Nowhere, Directory::above)
    }
    fn list(&self, from: u64, _: &Caller<'_>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        self.directory()?.list(from, each);
        Ok(())
    }
    fn create(&self, name: &[u8], new: &New<'_>) -> Result<Arc<dyn Inode>> {
        if self.directory()?.get(name).is_some() {
            return Err(EEXIST);
        }
        let node = Node::new(&self.shared, new);
        self.insert(name, &node)?;
        Ok(node)
    }
    fn create_unnamed(&self, new: &New<'_>) -> Result<Arc<dyn Inode>> {
        Ok(Node::new(&self.shared, new))
    }
    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = self.of_mine(target)?;
        if target.kind() == Kind::Directory {
            return Err(EPERM);
        }
        if self.directory()?.get(name).is_some() {
            return Err(EEXIST);
        }
        self.insert(name, &target)
    }
    fn unlink(&self, name: &[u8]) -> Result<()> {
        let victim = self.directory()?.get(name).ok_or(ENOENT)?;
        if victim.kind() == Kind::Directory { Err(EISDIR) } else { self.take(name) }
    }
    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.directory()?.get(name).ok_or(ENOENT)?.directory()?.must_be_empty()?;
        self.take(name)
    }
    fn rename(&self, name: &[u8], to: &Arc<dyn Inode>, new_name: &[u8], flags: u32) -> Result<()> {
        self.move_to(name, &*self.of_mine(to)?, new_name, flags)
    }

    fn read_link(&self, _: &Caller<'_>) -> Result<Vec<u8>> {
        if let Body::Symlink(target) = &self.body { Ok(target.clone()) } else { Err(EINVAL) }
    }

    fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        let meta = self.meta.lock();
        meta.attributes.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone()).ok_or(ENODATA)
    }
    fn attribute_names(&self) -> Result<Vec<u8>> {
        let meta = self.meta.lock();
        Ok(meta.attributes.iter().flat_map(|(name, _)| name.iter().chain(&[0])).copied().collect())
    }
    fn set_attribute(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        // As Linux's tmpfs: user attributes stand on files and directories only, and ACLs are not kept.
        if name.starts_with(b"system.") {
            return Err(EOPNOTSUPP);
        }
        let mut meta = self.meta.lock();
        let at = meta.attributes.iter().position(|(one, _)| one == name);
        match at {
            Some(_) if flags & raw::XATTR_CREATE != 0 => return Err(EEXIST),
            None if flags & raw::XATTR_REPLACE != 0 => return Err(ENODATA),
            Some(at) => meta.attributes[at].1 = value.to_vec(),
            None => meta.attributes.push((name.to_vec(), value.to_vec())),
        }
        drop(meta);
        self.touch_meta();
        Ok(())
    }
    fn remove_attribute(&self, name: &[u8]) -> Result<()> {
        let mut meta = self.meta.lock();
        let at = meta.attributes.iter().position(|(one, _)| one == name).ok_or(ENODATA)?;
        meta.attributes.remove(at);
        Ok(())
    }

    fn allocate(&self, mode: u32, offset_bytes: u64, length_bytes: u64) -> Result<()> {
        self.reserve(mode, offset_bytes, length_bytes)
    }
    fn locks(&self) -> Option<&Locks> {
        Some(&self.locks)
    }
    fn socket_slot(&self) -> Option<&Mutex<Option<Arc<dyn Any + Send + Sync>>>> {
        if let Body::Socket(slot) = &self.body { Some(slot) } else { None }
    }
    fn seals(&self) -> Result<u32> {
        self.data().map_err(|_| EINVAL)?.lock().seals.ok_or(EINVAL)
    }
    fn add_seals(&self, seals: u32) -> Result<()> {
        let mut data = self.data().map_err(|_| EINVAL)?.lock();
        let now = data.seals.ok_or(EINVAL)?;
        if now & raw::F_SEAL_SEAL != 0 {
            return Err(EPERM);
        }
        data.seals = Some(now | seals);
        Ok(())
    }
}

impl Tmpfs {
    /// What has that name in the root. Errors: `ENOENT`.
    pub fn get(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.root.directory()?.get(name).ok_or(ENOENT)?)
    }
    /// For what is built before anybody runs: `new` under `name` in the root, or below a path of directories.
    pub fn put(&self, path: &[&[u8]], new: &New<'_>) -> Result<Arc<dyn Inode>> {
        let (name, above) = path.split_last().ok_or(EINVAL)?;
        let mut here = self.root.clone();
        for step in above {
            here = here.directory()?.get(step).ok_or(ENOENT)?;
        }
        here.create(name, new)
    }
}
