// SPDX-License-Identifier: PMPL-1.0-or-later
//! A file system of small texts that are made when they are read: what /proc says of the system, and /sys.

use crate::errno::{EACCES, EINVAL, EISDIR, ENOENT, ENOTDIR, EPERM, Result};
use crate::vfs::{
    Above, Caller, Change, Entry, File, FileSystem, Inode, Kind, Sink, Source, Stat, Statfs, directory, new_device,
};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use linux_raw_sys::general as raw;
use spin::Mutex;

pub type Make = Box<dyn Fn(&Caller<'_>) -> Result<Vec<u8>> + Send + Sync>;
pub type Take = Box<dyn Fn(&Caller<'_>, &[u8]) -> Result<()> + Send + Sync>;

/// Longest text that is taken.
const MAX_WRITE_BYTES: usize = 4096;

/// What a path is.
pub enum Text {
    Directory,
    Read(Make),
    Write(Make, Take),
    Link(Vec<u8>),
}

/// More names of the root than those that stand in the table: processes.
pub trait More: Send + Sync {
    fn lookup(&self, root: &Arc<TextNode>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<dyn Inode>>;
    /// From a cookie on, which is at least 1 << 20.
    fn list(&self, from: u64, each: &mut dyn FnMut(Entry<'_>) -> bool);
}
/// Cookies of names that are not in the table begin here.
pub const MORE_COOKIE: u64 = 1 << 20;

pub struct TextFs {
    root: Arc<TextNode>,
    device: u64,
    name: &'static str,
    magic: u32,
}

pub struct TextNode {
    me: Weak<TextNode>,
    device: u64,
    number: u64,
    text: Text,
    children: Mutex<Vec<(Vec<u8>, Arc<TextNode>)>>,
    parent: Option<(Weak<TextNode>, Vec<u8>)>,
    more: Option<Box<dyn More>>,
}

impl TextFs {
    pub fn new(name: &'static str, magic: u32, entries: Vec<(&str, Text)>, more: Option<Box<dyn More>>) -> Arc<TextFs> {
        let device = new_device();
        let root = TextNode::new(device, 1, Text::Directory, None, more);
        let mut number = 2;
        for (path, text) in entries {
            let mut here = root.clone();
            let mut names = path.split('/').peekable();
            let mut text = Some(text);
            while let Some(name) = names.next() {
                let found = here.child(name.as_bytes());
                here = match found {
                    Some(found) => found,
                    None => {
                        let text = if names.peek().is_none() { text.take().unwrap_or(Text::Directory) } else { Text::Directory };
                        let parent = Some((here.me.clone(), name.as_bytes().to_vec()));
                        let node = TextNode::new(device, number, text, parent, None);
                        number += 1;
                        here.children.lock().push((name.as_bytes().to_vec(), node.clone()));
                        node
                    }
                };
            }
        }
        Arc::new(TextFs { root, device, name, magic })
    }
}

impl FileSystem for TextFs {
    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }
    fn name(&self) -> &'static str {
        self.name
    }
    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { magic: self.magic, block_bytes: 4096, ..Statfs::default() })
    }
    fn device(&self) -> u64 {
        self.device
    }
}

impl TextNode {
    fn new(
        device: u64,
        number: u64,
        text: Text,
        parent: Option<(Weak<TextNode>, Vec<u8>)>,
        more: Option<Box<dyn More>>,
    ) -> Arc<TextNode> {
        Arc::new_cyclic(|me| TextNode { me: me.clone(), device, number, text, children: Mutex::default(), parent, more })
    }
    fn child(&self, name: &[u8]) -> Option<Arc<TextNode>> {
        self.children.lock().iter().find(|(one, _)| one == name).map(|(_, node)| node.clone())
    }
    pub fn device(&self) -> u64 {
        self.device
    }
    fn mode(&self) -> u32 {
        match self.text {
            Text::Directory => raw::S_IFDIR | 0o555,
            Text::Read(_) => raw::S_IFREG | 0o444,
            Text::Write(..) => raw::S_IFREG | 0o644,
            Text::Link(_) => raw::S_IFLNK | 0o777,
        }
    }
}

impl Inode for TextNode {
    fn stat(&self) -> Result<Stat> {
        let links = if let Text::Directory = self.text { 2 } else { 1 };
        Ok(Stat { device: self.device, inode: self.number, mode: self.mode(), links, block_bytes: 1024, ..Stat::default() })
    }
    fn set(&self, change: &Change) -> Result<()> {
        // Opening with O_TRUNC is no change of what is made anew each time.
        if change.size_bytes.is_some() { Ok(()) } else { Err(EPERM) }
    }
    fn open(self: Arc<Self>, _: u32, _: &Caller<'_>) -> Result<Arc<dyn File>> {
        match self.text {
            Text::Directory => Ok(directory()),
            Text::Link(_) => Err(EINVAL),
            _ => Ok(Arc::new(TextFile::new(self))),
        }
    }
    fn lookup(&self, name: &[u8], caller: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        let Text::Directory = self.text else { return Err(ENOTDIR) };
        match (self.child(name), &self.more) {
            (Some(child), _) => Ok(child),
            (None, Some(more)) => more.lookup(&self.me.upgrade().ok_or(ENOENT)?, name, caller),
            (None, None) => Err(ENOENT),
        }
    }
    fn above(&self) -> Above {
        match &self.parent {
            None => Above::Top,
            Some((parent, name)) => parent.upgrade().map_or(Above::Nowhere, |parent| Above::In(parent, name.clone())),
        }
    }
    fn list(&self, from: u64, _: &Caller<'_>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        let Text::Directory = self.text else { return Err(ENOTDIR) };
        for (n, (name, node)) in self.children.lock().iter().enumerate().skip(from.min(MORE_COOKIE) as usize) {
            if !each(Entry { inode: node.number, kind: Kind::of_mode(node.mode()), name, next: n as u64 + 1 }) {
                return Ok(());
            }
        }
        if let Some(more) = &self.more {
            more.list(from.max(MORE_COOKIE), each);
        }
        Ok(())
    }
    fn read_link(&self, _: &Caller<'_>) -> Result<Vec<u8>> {
        if let Text::Link(target) = &self.text { Ok(target.clone()) } else { Err(EINVAL) }
    }
}

/// Who makes and takes a text.
pub trait Made: Send + Sync + Any {
    fn make(&self, caller: &Caller<'_>) -> Result<Vec<u8>>;
    fn take(&self, caller: &Caller<'_>, bytes: &[u8]) -> Result<()>;
}

impl Made for TextNode {
    fn make(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        match &self.text {
            Text::Read(make) | Text::Write(make, _) => make(caller),
            _ => Err(EISDIR),
        }
    }
    fn take(&self, caller: &Caller<'_>, bytes: &[u8]) -> Result<()> {
        if let Text::Write(_, take) = &self.text { take(caller, bytes) } else { Err(EACCES) }
    }
}

/// An open text: made anew when it is read from its start, so that one who reads it in pieces sees one state.
pub struct TextFile<M: Made> {
    source: Arc<M>,
    made: Mutex<Option<Vec<u8>>>,
}

impl<M: Made> TextFile<M> {
    pub fn new(source: Arc<M>) -> TextFile<M> {
        TextFile { source, made: Mutex::new(None) }
    }
}

impl<M: Made> File for TextFile<M> {
    fn read(&self, caller: &Caller<'_>, offset_bytes: u64, into: &mut dyn Sink) -> Result<usize> {
        let kept = if offset_bytes == 0 { None } else { self.made.lock().take() };
        let text = match kept {
            Some(text) => text,
            None => self.source.make(caller)?,
        };
        let rest = text.get(offset_bytes.min(text.len() as u64) as usize..).unwrap_or(&[]);
        let result = into.put(rest);
        *self.made.lock() = Some(text);
        result
    }
    fn write(&self, caller: &Caller<'_>, _: u64, from: &mut dyn Source) -> Result<usize> {
        let mut bytes = alloc::vec![0; from.left().min(MAX_WRITE_BYTES)];
        let n = from.take(&mut bytes)?;
        self.source.take(caller, &bytes[..n])?;
        Ok(n)
    }
    fn has_position(&self) -> bool {
        true
    }
    fn size_bytes(&self) -> Result<u64> {
        Ok(0)
    }
}
