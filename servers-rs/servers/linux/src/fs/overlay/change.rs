// SPDX-License-Identifier: PMPL-1.0-or-later
//! Changes of an overlay: copying up, hiding, making, moving.

use super::node::{Node, OPAQUE, is_whiteout};
use crate::errno::{EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV, Result};
use crate::vfs::{BytesSink, BytesSource, Caller, Change, Inode, Kind, New};
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;

/// Bytes in our hands at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Makes `name` above, as `lower` is.
pub fn copy(lower: &Arc<dyn Inode>, above: &Arc<dyn Inode>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<dyn Inode>> {
    let stat = lower.stat()?;
    let target = if stat.kind() == Kind::Symlink { lower.read_link(caller)? } else { Vec::new() };
    let new = New { mode: stat.mode, uid: stat.uid, gid: stat.gid, represents: stat.represents, target: &target };
    let made = above.create(name, &new)?;
    let filled = fill(lower, &made, caller).and_then(|()| {
        for name in lower.attribute_names()?.split(|byte| *byte == 0).filter(|name| !name.is_empty() && *name != OPAQUE) {
            made.set_attribute(name, &lower.attribute(name)?, 0)?;
        }
        made.set(&Change { accessed: Some(stat.accessed), modified: Some(stat.modified), ..Change::default() })
    });
    // Half a file is none.
    if let Err(error) = filled {
        above.unlink(name)?;
        return Err(error);
    }
    Ok(made)
}

fn fill(lower: &Arc<dyn Inode>, made: &Arc<dyn Inode>, caller: &Caller<'_>) -> Result<()> {
    if made.owner()?.kind() != Kind::File {
        return Ok(());
    }
    let (from, to) = (lower.clone().open(raw::O_RDONLY, caller)?, made.clone().open(raw::O_WRONLY, caller)?);
    let mut at = 0;
    loop {
        let mut sink = BytesSink::new(CHUNK_BYTES);
        let n = from.read(caller, at, &mut sink)?;
        if n == 0 {
            return Ok(());
        }
        let mut rest = &sink.bytes[..];
        while !rest.is_empty() {
            let written = to.write(caller, at, &mut BytesSource(rest))?;
            if written == 0 {
                return Err(crate::errno::EIO);
            }
            at += written as u64;
            rest = &rest[written..];
        }
    }
}

impl Node {
    fn has_below(&self, name: &[u8], caller: &Caller<'_>) -> Result<bool> {
        Ok(!self.lower_of(name, caller)?.is_empty())
    }
    /// Takes away what hides a name, so that the name can be given anew.
    fn unhide(&self, above: &Arc<dyn Inode>, name: &[u8], caller: &Caller<'_>) -> Result<()> {
        match above.lookup(name, caller) {
            Ok(inode) if is_whiteout(&inode)? => above.unlink(name),
            Ok(_) => Err(EEXIST),
            Err(ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }
    fn put_whiteout(&self, above: &Arc<dyn Inode>, name: &[u8]) -> Result<()> {
        above.create(name, &New { mode: raw::S_IFCHR, uid: 0, gid: 0, represents: 0, target: &[] }).map(drop)
    }
    pub(super) fn make(&self, name: &[u8], new: &New<'_>, caller: &Caller<'_>) -> Result<Arc<Node>> {
        if self.find(name, caller).is_ok() {
            return Err(EEXIST);
        }
        let above = self.lift()?;
        self.unhide(&above, name, caller)?;
        let made = above.create(name, new)?;
        if Kind::of_mode(new.mode) == Kind::Directory && self.has_below(name, caller)? {
            made.set_attribute(OPAQUE, b"y", 0)?;
        }
        let node = Node::new(&self.shared, Some(made), Vec::new(), Some((self.me.clone(), name.to_vec())));
        self.children.lock().insert(name.to_vec(), node.clone());
        Ok(node)
    }
    pub(super) fn tie(&self, name: &[u8], target: &Arc<Node>, caller: &Caller<'_>) -> Result<()> {
        if target.kind()? == Kind::Directory {
            return Err(EPERM);
        }
        if self.find(name, caller).is_ok() {
            return Err(EEXIST);
        }
        let (above, real) = (self.lift()?, target.lift()?);
        self.unhide(&above, name, caller)?;
        above.link(name, &real)?;
        self.children.lock().insert(name.to_vec(), target.clone());
        Ok(())
    }
    /// Takes a name away, of a directory only if it is seen empty.
    pub(super) fn hide(&self, name: &[u8], victim: &Arc<Node>, caller: &Caller<'_>) -> Result<()> {
        let is_directory = victim.kind()? == Kind::Directory;
        if is_directory && !victim.names(caller)?.is_empty() {
            return Err(ENOTEMPTY);
        }
        let above = self.lift()?;
        let has_upper = above.lookup(name, caller).is_ok();
        if has_upper && is_directory {
            // Only what hides names can be left in it.
            let inner = victim.lift()?;
            let mut left = Vec::new();
            inner.list(0, caller, &mut |entry| {
                left.push(entry.name.to_vec());
                true
            })?;
            left.iter().try_for_each(|name| inner.unlink(name))?;
            above.remove_directory(name)?;
        } else if has_upper {
            above.unlink(name)?;
        }
        if self.has_below(name, caller)? {
            self.put_whiteout(&above, name)?;
        }
        self.children.lock().remove(name);
        victim.removed();
        Ok(())
    }
    pub(super) fn move_to(&self, name: &[u8], to: &Arc<Node>, new_name: &[u8], flags: u32, caller: &Caller<'_>) -> Result<()> {
        let moved = self.find(name, caller)?;
        let there = to.find(new_name, caller).ok();
        let is_directory = moved.kind()? == Kind::Directory;
        if is_directory && !moved.lowers.is_empty() {
            return Err(EXDEV);
        }
        match &there {
            Some(_) if flags & raw::RENAME_NOREPLACE != 0 => return Err(EEXIST),
            _ if flags & raw::RENAME_EXCHANGE != 0 => return Err(EINVAL),
            Some(there) if Arc::ptr_eq(there, &moved) => return Ok(()),
            Some(there) => match (is_directory, there.kind()? == Kind::Directory) {
                (true, true) if !there.names(caller)?.is_empty() => return Err(ENOTEMPTY),
                (true, false) => return Err(ENOTDIR),
                (false, true) => return Err(EISDIR),
                _ => {}
            },
            None => {}
        }
        moved.lift()?;
        let (above, target) = (self.lift()?, to.lift()?);
        if let Some(there) = &there {
            to.hide(new_name, there, caller)?;
        }
        to.unhide(&target, new_name, caller)?;
        above.rename(name, &target, new_name, 0)?;
        if is_directory && to.has_below(new_name, caller)? {
            moved.lift()?.set_attribute(OPAQUE, b"y", 0)?;
        }
        if self.has_below(name, caller)? {
            self.put_whiteout(&above, name)?;
        }
        self.children.lock().remove(name);
        *moved.parent.lock() = Some((to.me.clone(), new_name.to_vec()));
        to.children.lock().insert(new_name.to_vec(), moved);
        Ok(())
    }
}
