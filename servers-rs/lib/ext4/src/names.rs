// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names: making, linking, unlinking and renaming. Each is one operation: another reader, and a disk after a power cut, see all of it
//! or nothing. What loses its last name and is not held open is freed afterwards (`orphan.rs`).

use crate::directory::{put_record, put_tail};
use crate::extent::{Extent, plant};
use crate::inode::{FLAG_EXTENTS, FLAG_PROJECT, I_BLOCK, I_BLOCK_BYTES, Inode, Kind};
use crate::store::zeroed;
use crate::{BLOCK, Error, Ext4, NAME_MAX, ROOT, Result};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use blocks::BlockWrite;

/// As many as Linux allows; a directory with more subdirectories counts 1 from then on.
const LINKS_MAX: u16 = 65_000;
/// Longest target of a symbolic link, in bytes.
const TARGET_MAX: usize = BLOCK - 1;

/// What `rename` does where the new name exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replace {
    Allow,
    /// `Error::Exists`, as RENAME_NOREPLACE.
    Refuse,
    /// Both names change what they name, as RENAME_EXCHANGE; `Error::NotFound` if one is not there.
    Exchange,
}

/// An inode to be made.
#[derive(Clone, Copy, Debug)]
struct New<'a> {
    kind: Kind,
    mode: u16,
    owner: (u32, u32),
    device: (u32, u32),
    target: &'a [u8],
}

impl<D: BlockWrite> Ext4<D> {
    /// The inode behind a name of a directory; `.` and `..` too.
    pub fn lookup(&mut self, directory: u32, name: &[u8]) -> Result<u32> {
        let directory = self.directory(directory)?;
        Ok(self.find(&directory, name)?.ok_or(Error::NotFound)?.inode)
    }

    /// A regular file, FIFO or socket, or a directory; `owner` is user and group. Returns its inode.
    pub fn create(&mut self, directory: u32, name: &[u8], kind: Kind, mode: u16, owner: (u32, u32)) -> Result<u32> {
        match kind {
            Kind::Symlink | Kind::CharacterDevice | Kind::BlockDevice => Err(Error::Invalid),
            _ => self.add(directory, name, New { kind, mode, owner, device: (0, 0), target: b"" }),
        }
    }
    /// A device node: major and minor number mean nothing here.
    pub fn device_node(
        &mut self,
        directory: u32,
        name: &[u8],
        kind: Kind,
        mode: u16,
        owner: (u32, u32),
        device: (u32, u32),
    ) -> Result<u32> {
        if !matches!(kind, Kind::CharacterDevice | Kind::BlockDevice) || device.0 > 0xfff || device.1 > 0xf_ffff {
            return Err(Error::Invalid);
        }
        self.add(directory, name, New { kind, mode, owner, device, target: b"" })
    }
    pub fn symlink(&mut self, directory: u32, name: &[u8], target: &[u8], owner: (u32, u32)) -> Result<u32> {
        if target.is_empty() {
            return Err(Error::NotFound);
        }
        if target.len() > TARGET_MAX {
            return Err(Error::NameTooLong);
        }
        self.add(directory, name, New { kind: Kind::Symlink, mode: 0o777, owner, device: (0, 0), target })
    }
    pub fn read_link(&mut self, number: u32) -> Result<Vec<u8>> {
        let inode = self.inode(number)?;
        if inode.kind()? != Kind::Symlink || inode.size() > TARGET_MAX as u64 {
            return Err(Error::Invalid);
        }
        let length = inode.size() as usize;
        if inode.flags() & FLAG_EXTENTS == 0 {
            return Ok(crate::bytes::part(&inode.raw, I_BLOCK, I_BLOCK_BYTES.min(length)).to_vec());
        }
        let (block, mut bytes) = (self.physical(&inode, 0)?, zeroed());
        self.store.read_data(block, &mut bytes)?;
        let mut target = bytes.into_vec();
        target.truncate(length);
        Ok(target)
    }

    fn add(&mut self, directory: u32, name: &[u8], new: New<'_>) -> Result<u32> {
        check_name(name)?;
        self.operation(|fs| {
            let mut parent = fs.living_directory(directory)?;
            if fs.find(&parent, name)?.is_some() {
                return Err(Error::Exists);
            }
            let mut inode = fs.new_inode(&parent, new)?;
            fs.add_entry(&mut parent, name, inode.number, new.kind)?;
            if new.kind == Kind::Directory {
                more_links(&mut parent);
            }
            let now = fs.now;
            parent.modified(now);
            parent.changed(now);
            fs.put_inode(&mut inode)?;
            fs.put_inode(&mut parent)?;
            Ok(inode.number)
        })
    }

    fn new_inode(&mut self, parent: &Inode, new: New<'_>) -> Result<Inode> {
        let is_directory = new.kind == Kind::Directory;
        let number = self.allocate_inode(parent.number, is_directory)?;
        let generation = self.raw_inode(number)?.generation().wrapping_add(1);
        let mut inode = Inode::new(number, generation, new.kind, new.mode);
        inode.set_owner(new.owner.0, new.owner.1);
        inode.set_links(if is_directory { 2 } else { 1 });
        let now = self.now;
        inode.accessed(now);
        inode.modified(now);
        inode.changed(now);
        inode.created(now);
        if parent.flags() & FLAG_PROJECT != 0 {
            inode.set_project(parent.project());
            inode.set_flags(if is_directory { FLAG_PROJECT } else { 0 });
        }
        self.charge_inode(&inode)?;
        match new.kind {
            Kind::Directory => {
                self.with_extents(&mut inode);
                let (_, block) = self.grow_directory(&mut inode)?;
                let mut bytes = zeroed();
                put_record(&mut bytes, 0, 12, number, Kind::Directory as u8, b".");
                put_record(&mut bytes, 12, crate::directory::USABLE - 12, parent.number, Kind::Directory as u8, b"..");
                put_tail(&mut bytes);
                self.put_entries(&inode, block, Rc::new(bytes));
            }
            Kind::File => self.with_extents(&mut inode),
            Kind::CharacterDevice | Kind::BlockDevice => inode.set_device(new.device.0, new.device.1),
            Kind::Symlink if new.target.len() < I_BLOCK_BYTES => crate::bytes::put(&mut inode.raw, I_BLOCK, new.target),
            Kind::Symlink => {
                self.with_extents(&mut inode);
                let goal = self.layout.group_start((number - 1) / self.layout.inodes_per_group);
                let (physical, _) = self.allocate_blocks(&mut inode, goal, 1)?;
                self.insert_extent(&mut inode, Extent { logical: 0, length: 1, physical, unwritten: false })?;
                let mut bytes = vec![0; BLOCK];
                crate::bytes::put(&mut bytes, 0, new.target);
                self.store.write_data(physical, &bytes)?;
            }
            Kind::Fifo | Kind::Socket => {}
        }
        if new.kind == Kind::Symlink {
            inode.set_size(new.target.len() as u64);
        }
        Ok(inode)
    }
    fn with_extents(&mut self, inode: &mut Inode) {
        inode.set_flags(inode.flags() | FLAG_EXTENTS);
        plant(inode);
    }

    /// Another name for what is no directory.
    pub fn link(&mut self, number: u32, directory: u32, name: &[u8]) -> Result<()> {
        check_name(name)?;
        self.operation(|fs| {
            let mut parent = fs.living_directory(directory)?;
            let mut inode = fs.inode(number)?;
            if inode.is_directory() || inode.links() == 0 {
                return Err(if inode.is_directory() { Error::Invalid } else { Error::NotFound });
            }
            if inode.links() >= LINKS_MAX {
                return Err(Error::TooManyLinks);
            }
            if fs.find(&parent, name)?.is_some() {
                return Err(Error::Exists);
            }
            same_quota(&inode, &parent)?;
            let kind = inode.kind()?;
            fs.add_entry(&mut parent, name, number, kind)?;
            inode.set_links(inode.links() + 1);
            let now = fs.now;
            inode.changed(now);
            parent.modified(now);
            parent.changed(now);
            fs.put_inode(&mut inode)?;
            fs.put_inode(&mut parent)
        })
    }

    /// Takes away a name of what is no directory.
    pub fn unlink(&mut self, directory: u32, name: &[u8]) -> Result<()> {
        self.remove(directory, name, false)
    }
    /// Takes away an empty directory.
    pub fn remove_directory(&mut self, directory: u32, name: &[u8]) -> Result<()> {
        self.remove(directory, name, true)
    }

    fn remove(&mut self, directory: u32, name: &[u8], is_directory: bool) -> Result<()> {
        check_name(name)?;
        let gone = self.operation(|fs| {
            let mut parent = fs.directory(directory)?;
            let found = fs.find(&parent, name)?.ok_or(Error::NotFound)?;
            let mut inode = fs.inode(found.inode)?;
            match (is_directory, inode.is_directory()) {
                (true, false) => return Err(Error::NotADirectory),
                (false, true) => return Err(Error::IsADirectory),
                (true, true) if !fs.is_empty(&inode)? => return Err(Error::NotEmpty),
                _ => {}
            }
            fs.remove_entry(&parent, found)?;
            fs.drop_link(&mut inode)?;
            if is_directory {
                fewer_links(&mut parent);
            }
            let now = fs.now;
            parent.modified(now);
            parent.changed(now);
            fs.put_inode(&mut parent)?;
            Ok((inode.links() == 0).then_some(inode.number))
        })?;
        self.forget_inode(gone);
        Ok(())
    }

    /// One name less; the last one puts the inode on the orphan list.
    fn drop_link(&mut self, inode: &mut Inode) -> Result<()> {
        inode.set_links(if inode.is_directory() { 0 } else { inode.links().saturating_sub(1) });
        let now = self.now;
        inode.changed(now);
        if inode.links() == 0 {
            if self.on_orphan_list(inode.number)? {
                return Err(Error::Corrupt("an inode with names on the orphan list"));
            }
            self.add_orphan(inode)?;
        }
        self.put_inode(inode)
    }

    /// Gives what is called `from` the name `to`; what had that name loses it in the same instant.
    pub fn rename(&mut self, from_directory: u32, from: &[u8], to_directory: u32, to: &[u8], replace: Replace) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let gone = self.operation(|fs| match replace {
            Replace::Exchange => fs.exchange((from_directory, from), (to_directory, to)).map(|()| None),
            _ => fs.rename_in_one(from_directory, from, to_directory, to, replace),
        })?;
        self.forget_inode(gone);
        Ok(())
    }

    fn rename_in_one(
        &mut self,
        from_directory: u32,
        from: &[u8],
        to_directory: u32,
        to: &[u8],
        replace: Replace,
    ) -> Result<Option<u32>> {
        let source = self.directory(from_directory)?;
        let mut target = self.living_directory(to_directory)?;
        let found = self.find(&source, from)?.ok_or(Error::NotFound)?;
        let mut inode = self.inode(found.inode)?;
        let kind = inode.kind()?;
        let moves_directory = kind == Kind::Directory && from_directory != to_directory;
        if moves_directory && self.is_below(to_directory, inode.number)? {
            return Err(Error::Invalid);
        }
        if from_directory != to_directory {
            same_quota(&inode, &target)?;
        }
        let mut gone = None;
        match self.find(&target, to)? {
            Some(_) if replace == Replace::Refuse => return Err(Error::Exists),
            // Two names of one inode: POSIX wants nothing to happen.
            Some(old) if old.inode == inode.number => return Ok(None),
            Some(old) => {
                let mut old_inode = self.inode(old.inode)?;
                match (kind == Kind::Directory, old_inode.is_directory()) {
                    (true, false) => return Err(Error::NotADirectory),
                    (false, true) => return Err(Error::IsADirectory),
                    (true, true) if !self.is_empty(&old_inode)? => return Err(Error::NotEmpty),
                    _ => {}
                }
                self.replace_entry(&target, old, inode.number, kind)?;
                if old_inode.is_directory() {
                    fewer_links(&mut target);
                }
                self.drop_link(&mut old_inode)?;
                gone = (old_inode.links() == 0).then_some(old_inode.number);
            }
            None => self.add_entry(&mut target, to, inode.number, kind)?,
        }
        let now = self.now;
        if moves_directory {
            more_links(&mut target);
        }
        target.modified(now);
        target.changed(now);
        self.put_inode(&mut target)?;
        // Read again: it may be the same directory, and its index may have grown.
        let mut source = self.directory(from_directory)?;
        let found = self.find(&source, from)?.ok_or(Error::Corrupt("a name that vanished"))?;
        self.remove_entry(&source, found)?;
        if moves_directory {
            fewer_links(&mut source);
            let dots = self.find(&inode, b"..")?.ok_or(Error::Corrupt("a directory without dots"))?;
            self.replace_entry(&inode, dots, to_directory, Kind::Directory)?;
        }
        source.modified(now);
        source.changed(now);
        self.put_inode(&mut source)?;
        inode.changed(now);
        self.put_inode(&mut inode)?;
        Ok(gone)
    }

    fn exchange(&mut self, (here, one): (u32, &[u8]), (there, other): (u32, &[u8])) -> Result<()> {
        let (mut source, target) = (self.directory(here)?, self.directory(there)?);
        let (first, second) = (self.find(&source, one)?, self.find(&target, other)?);
        let (first, second) = (first.ok_or(Error::NotFound)?, second.ok_or(Error::NotFound)?);
        if first.inode == second.inode {
            return Ok(());
        }
        let (mut mine, mut other) = (self.inode(first.inode)?, self.inode(second.inode)?);
        let apart = here != there;
        if apart {
            for (inode, to) in [(&mine, &target), (&other, &source)] {
                if inode.is_directory() && self.is_below(to.number, inode.number)? {
                    return Err(Error::Invalid);
                }
                same_quota(inode, to)?;
            }
        }
        // Entries keep their places, so what was found first is still where it was.
        self.replace_entry(&source, first, other.number, other.kind()?)?;
        self.replace_entry(&target, second, mine.number, mine.kind()?)?;
        let now = self.now;
        for inode in [&mut mine, &mut other] {
            inode.changed(now);
            self.put_inode(inode)?;
        }
        let gains = i32::from(other.is_directory()) - i32::from(mine.is_directory());
        if apart {
            for (inode, to) in [(&mine, there), (&other, here)] {
                if inode.is_directory() {
                    let dots = self.find(inode, b"..")?.ok_or(Error::Corrupt("a directory without dots"))?;
                    self.replace_entry(inode, dots, to, Kind::Directory)?;
                }
            }
        }
        self.touch(&mut source, if apart { gains } else { 0 })?;
        if apart {
            let mut target = self.directory(there)?;
            self.touch(&mut target, -gains)?;
        }
        Ok(())
    }
    /// A directory in which names changed, and the links that it gained or lost by it.
    fn touch(&mut self, directory: &mut Inode, gains: i32) -> Result<()> {
        match gains {
            1 => more_links(directory),
            -1 => fewer_links(directory),
            _ => {}
        }
        let now = self.now;
        directory.modified(now);
        directory.changed(now);
        self.put_inode(directory)
    }

    /// Whether `directory` is `above` or somewhere below it.
    fn is_below(&mut self, directory: u32, above: u32) -> Result<bool> {
        let mut at = directory;
        // A path has no more parts than there are inodes; more are a circle.
        for _ in 0..self.layout.inodes() {
            if at == above {
                return Ok(true);
            }
            if at == ROOT {
                return Ok(false);
            }
            at = self.lookup(at, b"..")?;
        }
        Err(Error::Corrupt("a circle of directories"))
    }

    /// A directory that still has a name: nothing can be made in one that was removed.
    fn living_directory(&mut self, number: u32) -> Result<Inode> {
        let directory = self.directory(number)?;
        if directory.links() == 0 { Err(Error::NotFound) } else { Ok(directory) }
    }
}

fn check_name(name: &[u8]) -> Result<()> {
    match name {
        [] | b"." | b".." => Err(Error::Invalid),
        _ if name.len() > NAME_MAX => Err(Error::NameTooLong),
        _ if name.iter().any(|byte| matches!(byte, 0 | b'/')) => Err(Error::Invalid),
        _ => Ok(()),
    }
}

fn same_quota(inode: &Inode, directory: &Inode) -> Result<()> {
    let of_directory = if directory.flags() & FLAG_PROJECT != 0 { directory.project() } else { 0 };
    if inode.project() == of_directory { Ok(()) } else { Err(Error::OtherQuota) }
}

fn more_links(directory: &mut Inode) {
    let links = directory.links();
    directory.set_links(if links == 1 || links >= LINKS_MAX { 1 } else { links + 1 });
}
fn fewer_links(directory: &mut Inode) {
    if directory.links() > 2 {
        directory.set_links(directory.links() - 1);
    }
}
