// SPDX-License-Identifier: PMPL-1.0-or-later
//! File systems and where they are mounted. A mount hangs on an inode of another mount; a namespace knows which.

use super::inode::{Inode, Statfs, same};
use crate::errno::{EBUSY, EINVAL, Result};
use crate::fs::tmpfs::Tmpfs;
use crate::socket::Names;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use spin::Mutex;

/// Those of mount(2) that a mount of ours remembers.
pub mod mount_flag {
    pub use linux_raw_sys::general::{MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY};
    pub const ALL: u32 = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
}

pub trait FileSystem: Send + Sync {
    fn root(&self) -> Arc<dyn Inode>;
    /// As /proc/filesystems has it.
    fn name(&self) -> &'static str;
    fn statfs(&self) -> Result<Statfs>;
    /// `st_dev` of what is in it.
    fn device(&self) -> u64;
    /// As /proc/mounts shows them behind `rw` or `ro`, each after a comma.
    fn options(&self) -> String {
        String::new()
    }
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// A number for `st_dev` of a file system without a disk: major 0.
pub fn new_device() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub struct Mount {
    pub id: u64,
    pub system: Arc<dyn FileSystem>,
    /// Where it begins: the file system's root, or what was bound.
    pub root: Arc<dyn Inode>,
    /// As /proc/mounts names it.
    pub source: Vec<u8>,
    flags: AtomicU32,
    at: Mutex<Option<Place>>,
}

impl Mount {
    pub fn new(system: Arc<dyn FileSystem>, root: Arc<dyn Inode>, source: &[u8], flags: u32) -> Arc<Mount> {
        static NEXT: AtomicU64 = AtomicU64::new(20);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Mount { id, system, root, source: source.to_vec(), flags: AtomicU32::new(flags), at: Mutex::new(None) })
    }
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }
    pub fn set_flags(&self, flags: u32) {
        self.flags.store(flags, Ordering::Relaxed);
    }
    pub fn is_read_only(&self) -> bool {
        self.flags() & mount_flag::MS_RDONLY != 0
    }
    /// What it hangs on; nothing for the first one and for what was unmounted.
    pub fn at(&self) -> Option<Place> {
        self.at.lock().clone()
    }
}

/// An inode as it is reached.
#[derive(Clone)]
pub struct Place {
    pub mount: Arc<Mount>,
    pub inode: Arc<dyn Inode>,
}

impl Place {
    pub fn top(mount: &Arc<Mount>) -> Place {
        Place { mount: mount.clone(), inode: mount.root.clone() }
    }
    pub fn is_same(&self, other: &Place) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && same(&self.inode, &other.inode)
    }
    pub fn is_mount_root(&self) -> bool {
        same(&self.inode, &self.mount.root)
    }
    fn key(&self) -> (u64, usize) {
        (self.mount.id, Arc::as_ptr(&self.inode).cast::<()>() as usize)
    }
}

/// What processes with the same mounts share.
pub struct Namespace {
    top: Place,
    points: Mutex<BTreeMap<(u64, usize), Arc<Mount>>>,
    memory: Memory,
    names: Arc<Names>,
}

/// A tmpfs that is mounted nowhere: memfd_create(2), shared anonymous memory.
#[derive(Clone)]
pub struct Memory {
    pub system: Arc<Tmpfs>,
    pub mount: Arc<Mount>,
}

impl Namespace {
    pub fn new(root: Arc<dyn FileSystem>, source: &[u8], flags: u32, memory: Arc<Tmpfs>) -> Arc<Namespace> {
        let top = Mount::new(root.clone(), root.root(), source, flags);
        let memory = Memory { mount: Mount::new(memory.clone(), memory.root(), b"tmpfs", 0), system: memory };
        Arc::new(Namespace { top: Place::top(&top), points: Mutex::default(), memory, names: Arc::default() })
    }
    /// Of sockets.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
    pub fn top(&self) -> Place {
        self.top.clone()
    }
    /// What is seen at a place: the top of what is mounted there, and there again.
    pub fn cross(&self, mut place: Place) -> Place {
        let points = self.points.lock();
        while let Some(mount) = points.get(&place.key()) {
            place = Place::top(mount);
        }
        place
    }
    /// Mounts at a place, which is the key for as long as the mount is there: the mount keeps its inode.
    pub fn mount(&self, at: Place, mount: Arc<Mount>) -> Result<()> {
        let mut points = self.points.lock();
        if points.contains_key(&at.key()) {
            return Err(EBUSY);
        }
        points.insert(at.key(), mount.clone());
        *mount.at.lock() = Some(at);
        Ok(())
    }
    /// Takes a mount away; `detach` also with others on it, which go with it (MNT_DETACH). Errors: `EINVAL`, `EBUSY`.
    pub fn unmount(&self, mount: &Arc<Mount>, detach: bool) -> Result<()> {
        let mut points = self.points.lock();
        let at = mount.at.lock().clone().ok_or(EINVAL)?;
        if !points.get(&at.key()).is_some_and(|here| Arc::ptr_eq(here, mount)) {
            return Err(EINVAL);
        }
        let mut gone = alloc::vec![mount.id];
        // Mounts on it have higher numbers than it.
        loop {
            let child = points.iter().find(|((parent, _), child)| gone.contains(parent) && !gone.contains(&child.id));
            match child {
                Some(_) if !detach => return Err(EBUSY),
                Some((_, child)) => gone.push(child.id),
                None => break,
            }
        }
        points.retain(|_, one| {
            let stays = !gone.contains(&one.id);
            if !stays {
                *one.at.lock() = None;
            }
            stays
        });
        Ok(())
    }
    /// All, in the order in which they were mounted.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        let mut all: Vec<_> = self.points.lock().values().cloned().collect();
        all.push(self.top.mount.clone());
        all.sort_by_key(|mount| mount.id);
        all
    }
}
