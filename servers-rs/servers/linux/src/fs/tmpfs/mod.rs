// SPDX-License-Identifier: PMPL-1.0-or-later
//! tmpfs: everything in memory of the cell. Also /dev, shared memory and memfd.
//!
//! `node.rs` is an inode, `directory.rs` its names, `data.rs` its pages.

mod data;
mod directory;
mod node;
#[cfg(test)]
mod tests;

use crate::call::Clocks;
use crate::errno::Result;
use crate::fs::device::Devices;
use crate::vfs::{FileSystem, Inode, New, PAGE_BYTES, Pages, Statfs, new_device};
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use linux_raw_sys::general as raw;
pub use node::Node;

/// What every file system in memory needs of the cell.
#[derive(Clone)]
pub struct Means {
    pub pages: Arc<dyn Pages>,
    pub clock: Arc<dyn Clocks>,
    pub devices: Arc<dyn Devices>,
    /// What a file system may hold when nothing else is said.
    pub limit_bytes: u64,
}

/// What all nodes of one file system share.
struct Shared {
    means: Means,
    device: u64,
    next_inode: AtomicU64,
    inodes: AtomicU64,
    used_pages: AtomicU64,
    limit_pages: u64,
}

pub struct Tmpfs {
    shared: Arc<Shared>,
    root: Arc<Node>,
    name: &'static str,
}

impl Tmpfs {
    /// Holds at most `limit_bytes` of data; `mode` is the root's.
    pub fn new(means: &Means, name: &'static str, limit_bytes: u64, mode: u32) -> Arc<Tmpfs> {
        let shared = Arc::new(Shared {
            means: means.clone(),
            device: new_device(),
            next_inode: AtomicU64::new(1),
            inodes: AtomicU64::new(0),
            used_pages: AtomicU64::new(0),
            limit_pages: limit_bytes / PAGE_BYTES,
        });
        let root = Node::new(&shared, &New { mode: raw::S_IFDIR | mode, uid: 0, gid: 0, represents: 0, target: &[] });
        Arc::new(Tmpfs { shared, root, name })
    }
    pub fn means(&self) -> Means {
        self.shared.means.clone()
    }
    /// A file without a name that can have seals: memfd_create(2).
    pub fn unnamed(&self, mode: u32, uid: u32, gid: u32, seals: u32) -> Arc<Node> {
        let node = Node::new(&self.shared, &New { mode: raw::S_IFREG | mode, uid, gid, represents: 0, target: &[] });
        node.make_sealable(seals);
        node
    }
}

impl FileSystem for Tmpfs {
    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }
    fn name(&self) -> &'static str {
        self.name
    }
    fn statfs(&self) -> Result<Statfs> {
        let used = self.shared.used_pages.load(Ordering::Relaxed);
        Ok(Statfs {
            magic: raw::TMPFS_MAGIC,
            block_bytes: PAGE_BYTES,
            blocks: self.shared.limit_pages,
            free_blocks: self.shared.limit_pages.saturating_sub(used),
            inodes: 1 << 20,
            free_inodes: (1u64 << 20).saturating_sub(self.shared.inodes.load(Ordering::Relaxed)),
        })
    }
    fn device(&self) -> u64 {
        self.shared.device
    }
    fn options(&self) -> String {
        alloc::format!(",size={}k", self.shared.limit_pages * PAGE_BYTES / 1024)
    }
}
