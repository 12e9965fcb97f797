// SPDX-License-Identifier: PMPL-1.0-or-later
//! From a place back to a path: getcwd(2), links of /proc, /proc/mounts.

use super::context::FsContext;
use super::inode::Above;
use super::mount::Place;
use super::open_file::{Named, OpenFile};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The path of a directory (or of the root of a mount) below `root`. `None` for what cannot be reached from there, or was removed.
pub fn full_path(root: &Place, place: &Place) -> Option<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut here = place.clone();
    while !here.is_same(root) {
        if here.is_mount_root() {
            here = here.mount.at()?;
            continue;
        }
        match here.inode.above() {
            Above::In(inode, name) => {
                names.push(name);
                here.inode = inode;
            }
            // Of a bind mount's file system, above what was bound.
            Above::Top | Above::Nowhere => return None,
        }
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Some(path)
}

/// What readlink(2) of /proc/PID/fd/N says.
pub fn path_of(fs: &FsContext, file: &OpenFile) -> Vec<u8> {
    let Some(place) = &file.place else { return file.file.describe() };
    match &file.named {
        None => full_path(&fs.root, place).unwrap_or_else(|| b"(unreachable)".to_vec()),
        Some(named) => path_of_named(fs, place, named),
    }
}

/// The path of what is not a directory.
pub fn path_of_named(fs: &FsContext, place: &Place, named: &Named) -> Vec<u8> {
    let is_nowhere = Arc::ptr_eq(&named.directory.mount, &fs.namespace.memory().mount);
    let mut path = match full_path(&fs.root, &named.directory) {
        Some(path) => path,
        None if is_nowhere => Vec::new(),
        None => b"(unreachable)".to_vec(),
    };
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(&named.name);
    if place.inode.stat().is_ok_and(|stat| stat.links == 0) {
        path.extend_from_slice(b" (deleted)");
    }
    path
}
