// SPDX-License-Identifier: PMPL-1.0-or-later
//! The methods of interface `data`.

use super::{Nodes, check, error, usable};
use crate::cache::{File, Store};
use crate::files::Buffer;
use alloc::vec;
use alloc::vec::Vec;
use api_data::{Access, Error, Found, Kind, Mapping, OMIT, Serve, Set, Space, Stat, Time, entry};
use blocks::BlockWrite;
use ext4::{Quota, Replace, XattrSet};
use ipc::{Badge, Cap, Name, Place};

/// Most entries of one `list`.
const LIST_ENTRIES: usize = 2048;

impl<B: BlockWrite, M: Buffer, S: Store> Serve for Nodes<B, M, S> {
    fn stat(&mut self, _: Badge, path_bytes: u32) -> Result<Stat, Error> {
        let inode = self.at(path_bytes)?;
        describe(&self.fs()?.stat(inode).map_err(error)?)
    }
    fn open(&mut self, _: Badge, path_bytes: u32, access: Access) -> Result<Cap, Error> {
        let inode = self.at(path_bytes)?;
        let generation = self.fs()?.stat(inode).map_err(error)?.generation;
        self.give(inode, generation, access)
    }
    fn lookup(&mut self, _: Badge, name: Name, access: Access) -> Result<Found, Error> {
        check(name.as_bytes())?;
        let directory = self.node.inode;
        let inode = self.fs()?.lookup(directory, name.as_bytes()).map_err(error)?;
        let stat = self.fs()?.stat(inode).map_err(error)?;
        Ok(Found { stat: describe(&stat)?, node: self.give(inode, stat.generation, access)? })
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
    fn unlink(&mut self, _: Badge, path_bytes: u32, keep: bool) -> Result<(), Error> {
        let path = self.path(0, path_bytes)?;
        let (directory, name) = self.parent(&path)?;
        self.keeping(keep, (directory, name), |nodes| nodes.change(|fs| fs.unlink(directory, name)))
    }
    fn remove_directory(&mut self, _: Badge, path_bytes: u32) -> Result<(), Error> {
        let path = self.path(0, path_bytes)?;
        let (directory, name) = self.parent(&path)?;
        self.change(|fs| fs.remove_directory(directory, name))
    }
    fn rename(
        &mut self,
        _: Badge,
        path_bytes: u32,
        new_path_bytes: u32,
        replace: api_data::Replace,
        keep: bool,
    ) -> Result<(), Error> {
        let (path, new) = (self.path(0, path_bytes)?, self.path(path_bytes, new_path_bytes)?);
        let (from, name) = self.parent(&path)?;
        let (to, new_name) = self.parent(&new)?;
        let replace = match replace {
            api_data::Replace::Refuse => Replace::Refuse,
            api_data::Replace::Allow => Replace::Allow,
            api_data::Replace::Exchange => Replace::Exchange,
        };
        self.keeping(keep, (to, new_name), |nodes| nodes.change(|fs| fs.rename(from, name, to, new_name, replace)))
    }
    fn release(&mut self, _: Badge) -> Result<(), Error> {
        self.fs()?;
        self.let_go(self.node.inode)
    }
    fn release_all(&mut self, _: Badge) -> Result<(), Error> {
        self.fs()?;
        let mine: Vec<u32> = self.kept.iter().filter(|k| k.0 == self.node.client).map(|k| k.1).collect();
        mine.into_iter().try_for_each(|inode| self.let_go(inode))
    }
    fn read(&mut self, _: Badge, offset_bytes: u64, length_bytes: u32, buffer_offset_bytes: u32) -> Result<u32, Error> {
        let (start, length) = (buffer_offset_bytes as usize, length_bytes as usize);
        usable(start, length)?;
        let (file, inode) = (self.file()?, self.node.inode);
        let buffer = self.clients.iter().find(|c| c.number == self.node.client).map(|c| &c.buffer).ok_or(Error::NoBuffer)?;
        let fs = self.fs.as_mut().ok_or(Error::NotMounted)?;
        let from_disk = |from, out: &mut [u8]| fs.read(inode, from, out).map(drop).map_err(error);
        let out = |at, bytes: &[u8]| buffer.put(start + at, bytes).ok_or(Error::OutOfRange);
        self.cache.borrow_mut().read(file, offset_bytes, length, from_disk, out).map(|done| done as u32)
    }
    fn map(&mut self, _: Badge, page: u64) -> Result<Mapping, Error> {
        let (file, inode) = (self.file()?, self.node.inode);
        if page >= file.1.div_ceil(api_data::PAGE_BYTES) {
            return Err(Error::OutOfRange);
        }
        let fs = self.fs.as_mut().ok_or(Error::NotMounted)?;
        let from_disk = |from, out: &mut [u8]| fs.read(inode, from, out).map(drop).map_err(error);
        let shared = self.cache.borrow_mut().share(file, page, from_disk)?.ok_or(Error::NoRoom)?;
        Ok(Mapping { memory: Cap(shared.memory), first_page: shared.first_page, pages: shared.pages })
    }
    fn write(&mut self, _: Badge, offset_bytes: u64, length_bytes: u32, buffer_offset_bytes: u32) -> Result<u32, Error> {
        if !self.node.writes {
            return Err(Error::ReadOnly);
        }
        let bytes = self.bytes(buffer_offset_bytes as usize, length_bytes as usize)?;
        let ((file, _), inode) = (self.file()?, self.node.inode);
        let fs = self.fs()?;
        let before = fs.stat(inode).map_err(error)?;
        let written = fs.write(inode, offset_bytes, &bytes);
        let done = *written.as_ref().unwrap_or(&0);
        let mut cache = self.cache.borrow_mut();
        cache.write(file, offset_bytes, bytes.get(..done).unwrap_or_default());
        if done < bytes.len() {
            cache.forget(file, offset_bytes + done as u64, (bytes.len() - done) as u64);
        }
        drop(cache);
        written.map_err(error)?;
        let fs = self.fs()?;
        let after = fs.stat(inode).map_err(error)?;
        // Data inside the file are with the disk already; what makes new data part of the file would die with this server.
        if (before.size_bytes, before.blocks_512) != (after.size_bytes, after.blocks_512) {
            fs.sync().map_err(error)?;
        }
        Ok(done as u32)
    }
    fn punch(&mut self, _: Badge, offset_bytes: u64, length_bytes: u64) -> Result<(), Error> {
        let ((file, _), inode) = (self.file()?, self.node.inode);
        let done = self.change(|fs| fs.punch(inode, offset_bytes, length_bytes));
        self.cleared(file, offset_bytes, length_bytes, done)
    }
    fn truncate(&mut self, _: Badge, size_bytes: u64) -> Result<(), Error> {
        let ((file, _), inode) = (self.file()?, self.node.inode);
        let done = self.change(|fs| fs.truncate(inode, size_bytes));
        self.cleared(file, size_bytes, u64::MAX - size_bytes, done)
    }
    fn allocate(&mut self, _: Badge, offset_bytes: u64, length_bytes: u64, keep_size: bool) -> Result<(), Error> {
        let inode = self.node.inode;
        self.change(|fs| fs.allocate(inode, offset_bytes, length_bytes, keep_size))
    }
    fn sync(&mut self, _: Badge) -> Result<(), Error> {
        self.fs()?.sync().map_err(error)
    }
    fn list(&mut self, _: Badge, cookie: u64, place: Place) -> Result<u32, Error> {
        let (start, length) = (place.offset_bytes as usize, place.length_bytes as usize);
        usable(start, length)?;
        let inode = self.node.inode;
        let most = (length / (entry::HEADER_BYTES + 1) + 3).min(LIST_ENTRIES);
        let (entries, _) = self.fs()?.list(inode, cookie, most).map_err(error)?;
        let mut out = vec![0; length];
        let mut used = 0;
        for e in entries.iter().filter(|e| !matches!(&e.name[..], b"." | b"..")) {
            let kind = Kind::from_u8(e.kind as u8).ok_or(Error::Damaged)?;
            let one = entry::Entry { inode: e.inode, cookie: e.cookie, kind, name: &e.name };
            match entry::put(out.get_mut(used..).unwrap_or_default(), &one) {
                Some(length) => used += length,
                None if used == 0 => return Err(Error::OutOfRange),
                None => break,
            }
        }
        self.put(start, out.get(..used).unwrap_or_default())
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
        let time = |t: Time| {
            let wanted = t.nanoseconds != OMIT;
            wanted.then_some(ext4::Time { seconds: t.seconds as i64, nanoseconds: t.nanoseconds })
        };
        if [accessed, modified].iter().any(|t| t.nanoseconds >= 1_000_000_000 && t.nanoseconds != OMIT) {
            return Err(Error::Invalid);
        }
        self.change(|fs| fs.set_times(inode, time(accessed), time(modified)))
    }
    fn attribute(&mut self, _: Badge, name_bytes: u32) -> Result<u32, Error> {
        let (name, inode) = (self.path(0, name_bytes)?, self.node.inode);
        let value = self.fs()?.attribute(inode, &name).map_err(error)?;
        self.put(0, &value)
    }
    fn set_attribute(&mut self, _: Badge, name_bytes: u32, value_bytes: u32, how: Set) -> Result<(), Error> {
        let (name, inode) = (self.path(0, name_bytes)?, self.node.inode);
        let value = self.bytes(name_bytes as usize, value_bytes as usize)?;
        let how = match how {
            Set::Any => XattrSet::Any,
            Set::Create => XattrSet::Create,
            Set::Replace => XattrSet::Replace,
        };
        self.change(|fs| fs.set_attribute(inode, &name, &value, how))
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

impl<B: BlockWrite, M: Buffer, S: Store> Nodes<B, M, S> {
    /// After bytes of a file were to be zeros: whether they are or not, the cache does not hold the old ones.
    fn cleared(&mut self, file: File, offset: u64, length: u64, done: Result<(), Error>) -> Result<(), Error> {
        let mut cache = self.cache.borrow_mut();
        match done {
            Ok(()) => cache.clear(file, offset, offset.saturating_add(length)),
            Err(_) => cache.forget(file, offset, length),
        }
        done
    }
}

fn describe(s: &ext4::Stat) -> Result<Stat, Error> {
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
