// SPDX-License-Identifier: PMPL-1.0-or-later
//! overlayfs: a directory that is written over directories that are not (Linux, Documentation/filesystems/overlayfs.rst).
//!
//! The format above is Linux's: whiteouts are character devices 0:0, a directory that hides what is below it has the attribute
//! `trusted.overlay.opaque`. Done like `redirect_dir=off`: a directory from below is not renamed (`EXDEV`), and mv(1) copies it.
//! A file that was opened for reading before it was first written goes on showing what it was, as on Linux.

mod change;
mod node;
#[cfg(test)]
mod tests;

use crate::call::{Clocks, Ids};
use crate::errno::{EINVAL, Result};
use crate::signal::request::Requests;
use crate::task::credentials::Credentials;
use crate::vfs::{Caller, FileSystem, Inode, Kind, Place, Statfs, new_device};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_raw_sys::general::OVERLAYFS_SUPER_MAGIC;
use node::Node;

struct Shared {
    clock: Arc<dyn Clocks>,
    device: u64,
    next_inode: AtomicU64,
}

impl Shared {
    fn number(&self) -> u64 {
        self.next_inode.fetch_add(1, Ordering::Relaxed)
    }
    /// Does something below as the file system itself: the caller's rights were looked at above.
    fn as_itself<T>(&self, work: impl FnOnce(&Caller<'_>) -> T) -> T {
        static ROOT: Credentials = Credentials::root();
        let signals = Requests::default();
        work(&Caller { ids: Ids::default(), credentials: &ROOT, clock: &*self.clock, signals: &signals })
    }
}

pub struct Overlay {
    shared: Arc<Shared>,
    root: Arc<Node>,
    top: Place,
}

impl Overlay {
    /// `upper` is written, `lowers` are seen through it, the first one first; without `upper` nothing is. Errors: `EINVAL`.
    pub fn new(upper: Option<Place>, lowers: &[Place], clock: Arc<dyn Clocks>) -> Result<Arc<Overlay>> {
        let top = upper.as_ref().or(lowers.first()).cloned().ok_or(EINVAL)?;
        for place in upper.iter().chain(lowers) {
            if place.inode.owner()?.kind() != Kind::Directory {
                return Err(EINVAL);
            }
        }
        let shared = Arc::new(Shared { clock, device: new_device(), next_inode: AtomicU64::new(1) });
        let lowers: Vec<Arc<dyn Inode>> = lowers.iter().map(|place| place.inode.clone()).collect();
        let root = Node::new(&shared, upper.map(|place| place.inode), lowers, None);
        Ok(Arc::new(Overlay { shared, root, top }))
    }
}

impl FileSystem for Overlay {
    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }
    fn name(&self) -> &'static str {
        "overlay"
    }
    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { magic: OVERLAYFS_SUPER_MAGIC, ..self.top.mount.system.statfs()? })
    }
    fn device(&self) -> u64 {
        self.shared.device
    }
    fn sync(&self) -> Result<()> {
        self.top.mount.system.sync()
    }
}
