// SPDX-License-Identifier: PMPL-1.0-or-later
//! An inode of an overlay: what is above, and what is seen through it.

use super::Shared;
use crate::errno::{EEXIST, EISDIR, ENODATA, ENOENT, ENOTDIR, EROFS, EXDEV, Result};
use crate::vfs::{Above, Caller, Change, Entry, File, Inode, Kind, Locks, New, Owner, Stat, directory};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use linux_raw_sys::general as raw;
use spin::Mutex;

pub const OPAQUE: &[u8] = b"trusted.overlay.opaque";
const PRIVATE: &[u8] = b"trusted.overlay.";

pub struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) me: Weak<Node>,
    number: u64,
    pub(super) upper: Mutex<Option<Arc<dyn Inode>>>,
    /// Directories that are seen together, or one of anything else.
    pub(super) lowers: Vec<Arc<dyn Inode>>,
    pub(super) parent: Mutex<Option<(Weak<Node>, Vec<u8>)>>,
    pub(super) children: Mutex<BTreeMap<Vec<u8>, Arc<Node>>>,
    is_removed: Mutex<bool>,
    locks: Locks,
}

/// A name that hides what is below it.
pub fn is_whiteout(inode: &Arc<dyn Inode>) -> Result<bool> {
    Ok(inode.owner()?.kind() == Kind::Character && inode.stat()?.represents == 0)
}

impl Node {
    pub(super) fn new(
        shared: &Arc<Shared>,
        upper: Option<Arc<dyn Inode>>,
        lowers: Vec<Arc<dyn Inode>>,
        parent: Option<(Weak<Node>, Vec<u8>)>,
    ) -> Arc<Node> {
        Arc::new_cyclic(|me| Node {
            shared: shared.clone(),
            me: me.clone(),
            number: shared.number(),
            upper: Mutex::new(upper),
            lowers,
            parent: Mutex::new(parent),
            children: Mutex::default(),
            is_removed: Mutex::new(false),
            locks: Locks::new(),
        })
    }
    /// What is seen.
    pub(super) fn real(&self) -> Result<Arc<dyn Inode>> {
        let upper = self.upper.lock().clone();
        upper.or_else(|| self.lowers.first().cloned()).ok_or(ENOENT)
    }
    pub(super) fn kind(&self) -> Result<Kind> {
        Ok(self.real()?.owner()?.kind())
    }
    /// A name below, of those directories that are seen here.
    pub(super) fn lower_of(&self, name: &[u8], caller: &Caller<'_>) -> Result<Vec<Arc<dyn Inode>>> {
        let mut found: Vec<Arc<dyn Inode>> = Vec::new();
        for lower in &self.lowers {
            match lower.lookup(name, caller) {
                Ok(inode) if is_whiteout(&inode)? => break,
                Ok(inode) => {
                    let is_directory = inode.owner()?.kind() == Kind::Directory;
                    if !is_directory && !found.is_empty() {
                        break;
                    }
                    let hides = is_directory && inode.attribute(OPAQUE).is_ok();
                    found.push(inode);
                    if !is_directory || hides {
                        break;
                    }
                }
                Err(ENOENT | ENOTDIR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
    pub(super) fn find(&self, name: &[u8], caller: &Caller<'_>) -> Result<Arc<Node>> {
        if self.kind()? != Kind::Directory {
            return Err(ENOTDIR);
        }
        if let Some(child) = self.children.lock().get(name) {
            return Ok(child.clone());
        }
        let upper = self.upper.lock().clone();
        let above = match upper.map(|upper| upper.lookup(name, caller)) {
            None | Some(Err(ENOENT)) => None,
            Some(Ok(inode)) if is_whiteout(&inode)? => return Err(ENOENT),
            Some(found) => Some(found?),
        };
        let lowers = match &above {
            Some(inode) if inode.owner()?.kind() != Kind::Directory || inode.attribute(OPAQUE).is_ok() => Vec::new(),
            _ => self.lower_of(name, caller)?,
        };
        let lowers = match &above {
            Some(_) if lowers.first().is_some_and(|lower| lower.owner().is_ok_and(|owner| owner.kind() != Kind::Directory)) => {
                Vec::new()
            }
            _ => lowers,
        };
        if above.is_none() && lowers.is_empty() {
            return Err(ENOENT);
        }
        let child = Node::new(&self.shared, above, lowers, Some((self.me.clone(), name.to_vec())));
        self.children.lock().insert(name.to_vec(), child.clone());
        Ok(child)
    }
    /// All names, each with its inode where it is seen.
    pub(super) fn names(&self, caller: &Caller<'_>) -> Result<Vec<(Vec<u8>, u64, Kind)>> {
        let (mut seen, mut names) = (BTreeSet::new(), Vec::new());
        let layers: Vec<Arc<dyn Inode>> = self.upper.lock().iter().chain(&self.lowers).cloned().collect();
        for layer in layers {
            let mut here = Vec::new();
            layer.list(0, caller, &mut |entry| {
                here.push((entry.name.to_vec(), entry.inode, entry.kind));
                true
            })?;
            for (name, inode, kind) in here {
                if !seen.insert(name.clone()) {
                    continue;
                }
                let hides = kind == Kind::Character && is_whiteout(&layer.lookup(&name, caller)?)?;
                if !hides {
                    names.push((name, inode, kind));
                }
            }
        }
        Ok(names)
    }
    pub(super) fn of_mine(&self, other: &Arc<dyn Inode>) -> Result<Arc<Node>> {
        let other: &dyn Any = &**other;
        let node = other.downcast_ref::<Node>().filter(|node| Arc::ptr_eq(&node.shared, &self.shared)).ok_or(EXDEV)?;
        node.me.upgrade().ok_or(ENOENT)
    }
    pub(super) fn removed(&self) {
        *self.is_removed.lock() = true;
    }
}

impl Inode for Node {
    fn stat(&self) -> Result<Stat> {
        let mut stat = Stat { device: self.shared.device, inode: self.number, ..self.real()?.stat()? };
        match stat.kind() {
            _ if *self.is_removed.lock() && stat.links <= 1 => stat.links = 0,
            Kind::Directory if *self.is_removed.lock() => stat.links = 0,
            // A directory of several layers does not know how many are in it (overlayfs.rst).
            Kind::Directory => stat.links = 1,
            _ => {}
        }
        Ok(stat)
    }
    fn owner(&self) -> Result<Owner> {
        self.real()?.owner()
    }
    fn set(&self, change: &Change) -> Result<()> {
        self.lift()?.set(change)
    }
    fn open(self: Arc<Self>, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        let kind = self.kind()?;
        if kind == Kind::Directory {
            return Ok(directory());
        }
        let writes = flags & raw::O_ACCMODE != raw::O_RDONLY || flags & raw::O_TRUNC != 0;
        let inode = if writes && kind == Kind::File { self.lift()? } else { self.real()? };
        inode.open(flags, caller)
    }
    fn lookup(&self, name: &[u8], _: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        Ok(self.shared.as_itself(|caller| self.find(name, caller))?)
    }
    fn above(&self) -> Above {
        match &*self.parent.lock() {
            _ if *self.is_removed.lock() => Above::Nowhere,
            None => Above::Top,
            Some((parent, name)) => parent.upgrade().map_or(Above::Nowhere, |parent| Above::In(parent, name.clone())),
        }
    }
    fn list(&self, from: u64, _: &Caller<'_>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        if self.kind()? != Kind::Directory {
            return Err(ENOTDIR);
        }
        let names = self.shared.as_itself(|caller| self.names(caller))?;
        for (n, (name, inode, kind)) in names.iter().enumerate().skip(from as usize) {
            let known = self.children.lock().get(name).map(|child| child.number);
            if !each(Entry { inode: known.unwrap_or(*inode), kind: *kind, name, next: n as u64 + 1 }) {
                break;
            }
        }
        Ok(())
    }
    fn create(&self, name: &[u8], new: &New<'_>) -> Result<Arc<dyn Inode>> {
        Ok(self.shared.as_itself(|caller| self.make(name, new, caller))?)
    }
    fn create_unnamed(&self, new: &New<'_>) -> Result<Arc<dyn Inode>> {
        let upper = self.lift()?.create_unnamed(new)?;
        Ok(Node::new(&self.shared, Some(upper), Vec::new(), Some((self.me.clone(), Vec::new()))))
    }
    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = self.of_mine(target)?;
        self.shared.as_itself(|caller| self.tie(name, &target, caller))
    }
    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.shared.as_itself(|caller| {
            let victim = self.find(name, caller)?;
            if victim.kind()? == Kind::Directory { Err(EISDIR) } else { self.hide(name, &victim, caller) }
        })
    }
    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        self.shared.as_itself(|caller| {
            let victim = self.find(name, caller)?;
            if victim.kind()? != Kind::Directory { Err(ENOTDIR) } else { self.hide(name, &victim, caller) }
        })
    }
    fn rename(&self, name: &[u8], to: &Arc<dyn Inode>, new_name: &[u8], flags: u32) -> Result<()> {
        let to = self.of_mine(to)?;
        self.shared.as_itself(|caller| self.move_to(name, &to, new_name, flags, caller))
    }
    fn read_link(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        self.real()?.read_link(caller)
    }
    fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        if name.starts_with(PRIVATE) { Err(ENODATA) } else { self.real()?.attribute(name) }
    }
    fn attribute_names(&self) -> Result<Vec<u8>> {
        let names = self.real()?.attribute_names()?;
        Ok(names.split_inclusive(|byte| *byte == 0).filter(|name| !name.starts_with(PRIVATE)).flatten().copied().collect())
    }
    fn set_attribute(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        if name.starts_with(PRIVATE) { Err(EEXIST) } else { self.lift()?.set_attribute(name, value, flags) }
    }
    fn remove_attribute(&self, name: &[u8]) -> Result<()> {
        if name.starts_with(PRIVATE) { Err(ENODATA) } else { self.lift()?.remove_attribute(name) }
    }
    fn allocate(&self, mode: u32, offset_bytes: u64, length_bytes: u64) -> Result<()> {
        self.lift()?.allocate(mode, offset_bytes, length_bytes)
    }
    fn sync(&self) -> Result<()> {
        match &*self.upper.lock() {
            Some(upper) => upper.sync(),
            None => Ok(()),
        }
    }
    fn locks(&self) -> Option<&Locks> {
        Some(&self.locks)
    }
    fn socket_slot(&self) -> Option<&Mutex<Option<Arc<dyn Any + Send + Sync>>>> {
        None
    }
}

impl Node {
    /// What is above, made where it is not yet. Errors: `EROFS` without an upper layer, those of copying.
    pub(super) fn lift(&self) -> Result<Arc<dyn Inode>> {
        if let Some(upper) = &*self.upper.lock() {
            return Ok(upper.clone());
        }
        let (parent, name) = self.parent.lock().clone().ok_or(EROFS)?;
        let above = parent.upgrade().ok_or(ENOENT)?.lift()?;
        let lower = self.lowers.first().ok_or(ENOENT)?;
        let made = self.shared.as_itself(|caller| super::change::copy(lower, &above, &name, caller))?;
        *self.upper.lock() = Some(made.clone());
        Ok(made)
    }
}
