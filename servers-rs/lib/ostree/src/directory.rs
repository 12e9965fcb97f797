// SPDX-License-Identifier: PMPL-1.0-or-later
//! Makes the dirtree and dirmeta objects of a tree from paths and file ids.

use crate::{DirMeta, DirTree, ObjectId, ObjectKind};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::fmt;

/// Deeper trees are refused: objects are made by recursion.
const MAX_DEPTH: usize = 64;

/// A directory with everything below it.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    meta: DirMeta,
    files: BTreeMap<String, ObjectId>,
    directories: BTreeMap<String, Directory>,
}

/// An object that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    pub id: ObjectId,
    pub kind: ObjectKind,
    pub bytes: Vec<u8>,
}

/// Why a path cannot be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectoryError {
    NoParent,
    Exists,
    Depth,
    Name,
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParent => write!(f, "its parent is no directory of the tree"),
            Self::Exists => write!(f, "it is there already"),
            Self::Depth => write!(f, "it lies more than {MAX_DEPTH} directories deep"),
            Self::Name => write!(f, "it is no absolute path of plain names"),
        }
    }
}

impl core::error::Error for DirectoryError {}

impl Directory {
    /// The root.
    pub fn new(meta: DirMeta) -> Self {
        Self { meta, ..Self::default() }
    }

    /// Adds a directory at an absolute path whose parent is there.
    pub fn add_directory(&mut self, path: &str, meta: DirMeta) -> Result<(), DirectoryError> {
        let (parent, name) = self.parent(path)?;
        parent.directories.insert(name, Self::new(meta));
        Ok(())
    }

    /// Adds a file or symbolic link.
    pub fn add_file(&mut self, path: &str, id: ObjectId) -> Result<(), DirectoryError> {
        let (parent, name) = self.parent(path)?;
        parent.files.insert(name, id);
        Ok(())
    }

    /// Hands out every object, children first, and returns the ids of root dirtree and root dirmeta.
    pub fn objects(&self, out: &mut dyn FnMut(Object)) -> (ObjectId, ObjectId) {
        let directories = self.directories.iter().map(|(name, directory)| {
            let (tree, meta) = directory.objects(out);
            (name.clone(), tree, meta)
        });
        let directories = directories.collect();
        let files = self.files.iter().map(|(name, id)| (name.clone(), *id)).collect();
        let mut emit = |kind, bytes: Vec<u8>| {
            let id = ObjectId::of(&bytes);
            out(Object { id, kind, bytes });
            id
        };
        let tree = emit(ObjectKind::DirTree, DirTree { files, directories }.to_bytes());
        (tree, emit(ObjectKind::DirMeta, self.meta.to_bytes()))
    }

    fn parent(&mut self, path: &str) -> Result<(&mut Self, String), DirectoryError> {
        let (parents, name) =
            path.strip_prefix('/').ok_or(DirectoryError::Name)?.rsplit_once('/').unwrap_or(("", path.get(1..).unwrap_or("")));
        if name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains('\0') {
            return Err(DirectoryError::Name);
        }
        let mut directory = self;
        for (depth, component) in parents.split('/').filter(|component| !component.is_empty()).enumerate() {
            if depth + 1 >= MAX_DEPTH {
                return Err(DirectoryError::Depth);
            }
            directory = directory.directories.get_mut(component).ok_or(DirectoryError::NoParent)?;
        }
        if directory.files.contains_key(name) || directory.directories.contains_key(name) {
            return Err(DirectoryError::Exists);
        }
        Ok((directory, name.into()))
    }
}
