// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names of a tmpfs directory, listed in the order in which they came, so that a listing goes on where it was whatever is made or removed meanwhile.

use super::node::Node;
use crate::errno::{EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, Result};
use crate::vfs::{Above, Entry, Kind};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use linux_raw_sys::general as raw;
use spin::Mutex;

#[derive(Default)]
pub struct Directory(Mutex<State>);

#[derive(Default)]
struct State {
    entries: BTreeMap<Vec<u8>, (u64, Arc<Node>)>,
    order: BTreeMap<u64, Vec<u8>>,
    next: u64,
    /// Nothing for the root.
    parent: Option<(Weak<Node>, Vec<u8>)>,
    is_removed: bool,
}

impl Directory {
    pub fn get(&self, name: &[u8]) -> Option<Arc<Node>> {
        self.0.lock().entries.get(name).map(|(_, node)| node.clone())
    }
    pub fn must_be_empty(&self) -> Result<()> {
        if self.0.lock().entries.is_empty() { Ok(()) } else { Err(ENOTEMPTY) }
    }
    /// As Linux's tmpfs reckons: 20 bytes for each name.
    pub fn size_bytes(&self) -> u64 {
        20 * (self.0.lock().entries.len() as u64 + 2)
    }
    pub fn above(&self) -> Above {
        let state = self.0.lock();
        match &state.parent {
            _ if state.is_removed => Above::Nowhere,
            None => Above::Top,
            Some((parent, name)) => match parent.upgrade() {
                Some(parent) => Above::In(parent, name.clone()),
                None => Above::Nowhere,
            },
        }
    }
    pub fn list(&self, from: u64, each: &mut dyn FnMut(Entry<'_>) -> bool) {
        let state = self.0.lock();
        for (at, name) in state.order.range(from..) {
            let Some((_, node)) = state.entries.get(name) else { continue };
            if !each(Entry { inode: node.number(), kind: node.kind(), name, next: at + 1 }) {
                return;
            }
        }
    }
    fn put(&self, name: &[u8], node: Arc<Node>) {
        let mut state = self.0.lock();
        let at = state.next;
        state.next += 1;
        state.order.insert(at, name.to_vec());
        state.entries.insert(name.to_vec(), (at, node));
    }
    fn cut(&self, name: &[u8]) -> Option<Arc<Node>> {
        let mut state = self.0.lock();
        let (at, node) = state.entries.remove(name)?;
        state.order.remove(&at);
        Some(node)
    }
    fn hang(&self, parent: &Node, name: &[u8]) {
        self.0.lock().parent = Some((parent.me.clone(), name.to_vec()));
    }
}

impl Node {
    /// Gives `node` a name here, which is free.
    pub(super) fn insert(&self, name: &[u8], node: &Arc<Node>) -> Result<()> {
        let directory = self.directory()?;
        if directory.0.lock().is_removed {
            return Err(ENOENT);
        }
        directory.put(name, node.clone());
        match node.directory() {
            Ok(below) => {
                below.hang(self, name);
                self.meta.lock().links += 1;
            }
            Err(_) => node.meta.lock().links += 1,
        }
        node.touch_meta();
        self.touch();
        Ok(())
    }
    /// Takes a name away; a directory of that name is empty.
    pub(super) fn take(&self, name: &[u8]) -> Result<()> {
        let node = self.directory()?.cut(name).ok_or(ENOENT)?;
        if let Ok(below) = node.directory() {
            below.0.lock().is_removed = true;
            node.meta.lock().links = 0;
            self.meta.lock().links -= 1;
        } else {
            node.meta.lock().links -= 1;
        }
        node.touch_meta();
        self.touch();
        Ok(())
    }
    /// Whether `self` is `other` or above it.
    fn holds(&self, other: &Node) -> bool {
        let mut here = other.me.upgrade();
        while let Some(node) = here {
            if core::ptr::eq(&*node, self) {
                return true;
            }
            here = node.directory().ok().and_then(|directory| directory.0.lock().parent.as_ref()?.0.upgrade());
        }
        false
    }
    /// renameat2(2) within the file system; its plain refusals were made.
    pub(super) fn move_to(&self, name: &[u8], to: &Node, new_name: &[u8], flags: u32) -> Result<()> {
        let moved = self.directory()?.get(name).ok_or(ENOENT)?;
        let there = to.directory()?.get(new_name);
        let exchanges = flags & raw::RENAME_EXCHANGE != 0;
        if moved.directory().is_ok() && moved.holds(to) {
            return Err(EINVAL);
        }
        match &there {
            Some(_) if flags & raw::RENAME_NOREPLACE != 0 => return Err(EEXIST),
            None if exchanges => return Err(ENOENT),
            // Two names of one file: nothing is to be done (rename(2)).
            Some(there) if Arc::ptr_eq(there, &moved) => return Ok(()),
            Some(there) if exchanges && there.directory().is_ok() && there.holds(self) => return Err(EINVAL),
            Some(there) if !exchanges => match (moved.kind(), there.kind()) {
                (Kind::Directory, Kind::Directory) if there.holds(self) => return Err(ENOTEMPTY),
                (Kind::Directory, Kind::Directory) => there.directory()?.must_be_empty()?,
                (Kind::Directory, _) => return Err(ENOTDIR),
                (_, Kind::Directory) => return Err(EISDIR),
                _ => {}
            },
            _ => {}
        }
        if to.directory()?.0.lock().is_removed {
            return Err(ENOENT);
        }
        let there = match there {
            Some(there) if exchanges => Some(there),
            Some(_) => {
                to.take(new_name)?;
                None
            }
            None => None,
        };
        self.directory()?.cut(name).ok_or(EBUSY)?;
        if there.is_some() {
            to.directory()?.cut(new_name);
        }
        to.rehang(new_name, &moved, self)?;
        if let Some(there) = there {
            self.rehang(name, &there, to)?;
        }
        self.touch();
        to.touch();
        Ok(())
    }
    /// Puts a node here that hung on `before`.
    fn rehang(&self, name: &[u8], node: &Arc<Node>, before: &Node) -> Result<()> {
        self.directory()?.put(name, node.clone());
        if let Ok(below) = node.directory() {
            below.hang(self, name);
            before.meta.lock().links -= 1;
            self.meta.lock().links += 1;
        }
        node.touch_meta();
        Ok(())
    }
}

impl Drop for Directory {
    /// Deep trees are taken apart one by one: the stack is small.
    fn drop(&mut self) {
        let mut waiting: Vec<Arc<Node>> =
            core::mem::take(&mut self.0.lock().entries).into_values().map(|(_, node)| node).collect();
        while let Some(node) = waiting.pop() {
            if Arc::strong_count(&node) == 1
                && let Ok(directory) = node.directory()
            {
                waiting.extend(core::mem::take(&mut directory.0.lock().entries).into_values().map(|(_, node)| node));
            }
        }
    }
}
