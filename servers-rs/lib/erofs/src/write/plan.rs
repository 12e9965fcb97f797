// SPDX-License-Identifier: PMPL-1.0-or-later
//! Decides where everything lies: superblock, inodes in the order of their paths, then contents in the same order.
//!
//! Contents smaller than a block go behind their inode when both fit one block; all others start at a block of their own,
//! so that a program's bytes can be mapped. Metadata and data are each contiguous, so a loader reads few places.

use super::{PlanError, directory::Names, xattr};
use crate::{Entry, Kind, device_number, ondisk::*, read::FileType};
use alloc::{collections::BTreeMap, string::String, vec::Vec};

/// What an image has beside its tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// In the order of its text form.
    pub uuid: [u8; 16],
    /// Modification time of everything, seconds since 1970, and nanoseconds.
    pub epoch_s: u64,
    pub epoch_ns: u32,
    /// Zero-padded.
    pub volume_name: [u8; 16],
}

/// An image, laid out. [`Plan::write`] makes its bytes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) options: Options,
    pub(super) nodes: Vec<Node>,
    pub(super) meta_blocks: u64,
    pub(super) blocks: u64,
}

/// An inode, laid out.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Index of the entry that the caller gave.
    pub entry: usize,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub size: u64,
    pub xattrs: Vec<u8>,
    pub body: Body,
    pub extended: bool,
    pub inline: bool,
    /// Byte of the inode in the image.
    pub position: u64,
    /// First block of the contents, if they are not inline.
    pub start_block: u32,
}

/// What an inode holds.
#[derive(Clone, Debug)]
pub(super) enum Body {
    File,
    Directory(Names),
    Symlink(String),
    Device(u32),
    Fifo,
}

impl Node {
    pub fn inode_bytes(&self) -> usize {
        if self.extended { EXTENDED_BYTES } else { COMPACT_BYTES }
    }

    pub fn nid(&self) -> u64 {
        self.position / SLOT as u64
    }

    pub fn file_type(&self) -> FileType {
        FileType::from_mode(self.mode)
    }

    /// Blocks of contents outside the metadata.
    pub fn data_blocks(&self) -> u64 {
        let has_contents = !matches!(self.body, Body::Device(_) | Body::Fifo);
        if self.inline || !has_contents { 0 } else { self.size.div_ceil(BLOCK as u64) }
    }

    fn choose_forms(&mut self) {
        self.extended = self.size > u64::from(u32::MAX)
            || self.links > u32::from(u16::MAX)
            || self.uid > u32::from(u16::MAX)
            || self.gid > u32::from(u16::MAX);
        let fits = (self.inode_bytes() + self.xattrs.len()) as u64 + self.size <= BLOCK as u64;
        let has_contents = matches!(self.body, Body::File | Body::Directory(_) | Body::Symlink(_));
        self.inline = has_contents && fits && self.size > 0 && self.size < BLOCK as u64;
    }
}

impl Plan {
    /// Lays out the tree. The order of `entries` does not matter.
    pub fn new(entries: &[Entry], options: Options) -> Result<Self, PlanError> {
        let mut by_path: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            check(entry)?;
            if by_path.insert(&entry.path, index).is_some() {
                return Err(PlanError::Duplicate { path: entry.path.clone() });
            }
        }
        if by_path.get("/").and_then(|root| entries.get(*root)).is_none_or(|root| root.kind != Kind::Directory) {
            return Err(PlanError::NoRoot);
        }
        let mut nodes = Vec::new();
        let mut node_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (path, index) in &by_path {
            let Some(entry) = entries.get(*index) else {
                continue;
            };
            if !matches!(entry.kind, Kind::Hardlink { .. }) {
                node_of.insert(path, nodes.len());
                nodes.push(node(entry, *index)?);
            }
        }
        link(entries, &by_path, &mut node_of, &mut nodes)?;
        Self::lay_out(nodes, options)
    }

    /// Blocks of the image.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Inodes: paths without further names of the same file.
    pub fn inodes(&self) -> usize {
        self.nodes.len()
    }

    fn lay_out(mut nodes: Vec<Node>, options: Options) -> Result<Self, PlanError> {
        let block = BLOCK as u64;
        let mut at = (SUPER_OFFSET + SUPER_BYTES) as u64;
        for node in &mut nodes {
            if let Body::Directory(names) = &mut node.body {
                names.sort();
                node.size = names.length() as u64;
            }
            node.choose_forms();
            at = at.next_multiple_of(SLOT as u64);
            let whole = (node.inode_bytes() + node.xattrs.len()) as u64 + if node.inline { node.size } else { 0 };
            // What fits a block lies in one; attributes longer than a block begin at its start.
            if at % block + whole > block {
                at = at.next_multiple_of(block);
            }
            node.position = at;
            at = at.saturating_add(whole);
        }
        let meta_blocks = at.div_ceil(block);
        let mut next = meta_blocks;
        for node in &mut nodes {
            let count = node.data_blocks();
            if count > 0 {
                node.start_block = u32::try_from(next).map_err(|_| PlanError::TooLarge)?;
                next = next.saturating_add(count);
            }
        }
        let plan = Self { options, nodes, meta_blocks, blocks: next };
        if u32::try_from(next).is_err() { Err(PlanError::TooLarge) } else { Ok(plan) }
    }
}

fn check(entry: &Entry) -> Result<(), PlanError> {
    let path = || entry.path.clone();
    let plain = |name: &str| !name.is_empty() && name != "." && name != ".." && name.len() <= MAX_NAME && !name.contains('\0');
    let is_path = entry.path == "/" || entry.path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain));
    if !is_path {
        return Err(PlanError::Path { path: path() });
    }
    if entry.mode > 0o7777 {
        return Err(PlanError::Mode { path: path(), mode: entry.mode });
    }
    match &entry.kind {
        Kind::Symlink { target } if target.is_empty() || target.len() > 4095 || target.contains('\0') => {
            Err(PlanError::Symlink { path: path() })
        }
        _ => Ok(()),
    }
}

fn node(entry: &Entry, index: usize) -> Result<Node, PlanError> {
    let device = |major: u32, minor: u32| {
        device_number(major, minor).map(Body::Device).ok_or(PlanError::Device { path: entry.path.clone(), major, minor })
    };
    let (body, size) = match &entry.kind {
        Kind::Directory => (Body::Directory(Names::default()), 0),
        Kind::File { length_bytes } => (Body::File, *length_bytes),
        Kind::Symlink { target } => (Body::Symlink(target.clone()), target.len() as u64),
        Kind::Char { major, minor } | Kind::Block { major, minor } => (device(*major, *minor)?, 0),
        Kind::Fifo | Kind::Hardlink { .. } => (Body::Fifo, 0),
    };
    Ok(Node {
        entry: index,
        mode: entry.kind.mode_bits() | entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        links: 0,
        size,
        xattrs: xattr::encode(entry)?,
        body,
        extended: false,
        inline: false,
        position: 0,
        start_block: 0,
    })
}

/// Enters every path in its parent, and counts links.
fn link<'a>(
    entries: &'a [Entry],
    by_path: &BTreeMap<&'a str, usize>,
    node_of: &mut BTreeMap<&'a str, usize>,
    nodes: &mut [Node],
) -> Result<(), PlanError> {
    for (path, index) in by_path {
        let Some(entry) = entries.get(*index) else {
            continue;
        };
        let own = match &entry.kind {
            Kind::Hardlink { target } => {
                let found = node_of.get(target.as_str()).copied();
                // The first path of an inode is the file, so that a tree has one description and an image one tree.
                found
                    .filter(|node| {
                        target.as_str() < *path && nodes.get(*node).is_some_and(|node| !matches!(node.body, Body::Directory(_)))
                    })
                    .ok_or_else(|| PlanError::Hardlink { path: entry.path.clone(), target: target.clone() })?
            }
            _ => node_of.get(path).copied().unwrap_or_default(),
        };
        let (parent_path, name) = match path.rsplit_once('/') {
            Some(("", "")) => ("/", ""),
            Some(("", name)) => ("/", name),
            Some((parent, name)) => (parent, name),
            None => continue,
        };
        let parent = node_of.get(parent_path).copied().ok_or_else(|| PlanError::NoParent { path: entry.path.clone() })?;
        let is_directory = entry.kind == Kind::Directory;
        if let Some(node) = nodes.get_mut(own) {
            // A directory is linked from its parent and from itself.
            node.links = node.links.saturating_add(if is_directory { 2 } else { 1 });
            if is_directory {
                node.body = Body::Directory(Names::new(own, parent));
            }
        }
        if name.is_empty() {
            continue;
        }
        match nodes.get_mut(parent) {
            Some(Node { body: Body::Directory(names), links, .. }) => {
                names.add(name, own);
                // Each subdirectory's `..` links its parent.
                *links = links.saturating_add(u32::from(is_directory));
            }
            _ => {
                return Err(PlanError::NoParent { path: entry.path.clone() });
            }
        }
    }
    Ok(())
}
