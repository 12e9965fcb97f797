// SPDX-License-Identifier: PMPL-1.0-or-later
//! /dev: a tmpfs with the nodes and links that programs expect (Linux, Documentation/admin-guide/devices.txt), and who opens them.

use super::device::{self, Devices, Random};
use super::tmpfs::{Means, Tmpfs};
use super::tty::Terminals;
use crate::errno::{ENXIO, Result};
use crate::vfs::{Caller, File, Kind, Mount, Namespace, New, Place};
use alloc::sync::Arc;
use linux_raw_sys::general as raw;

/// Opens every device of a cell.
pub struct CellDevices {
    pub terminals: Terminals,
    pub random: Arc<dyn Random>,
}

impl CellDevices {
    pub fn new(terminals: Terminals, random: Arc<dyn Random>) -> Arc<CellDevices> {
        let all = Arc::new(CellDevices { terminals, random });
        let devices: Arc<dyn Devices> = all.clone();
        all.terminals.pts().set_opener(&devices);
        all
    }
}

impl Devices for CellDevices {
    fn open(&self, kind: Kind, number: u64, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        if kind != Kind::Character {
            return Err(ENXIO);
        }
        match device::split(number) {
            (device::MEMORY_MAJOR, minor) => device::open_memory(minor, &self.random),
            _ => self.terminals.open(number, flags, caller),
        }
    }
}

/// Name, major, minor, mode.
const NODES: [(&[u8], u32, u32, u32); 9] = [
    (b"null", device::MEMORY_MAJOR, device::NULL, 0o666),
    (b"zero", device::MEMORY_MAJOR, device::ZERO, 0o666),
    (b"full", device::MEMORY_MAJOR, device::FULL, 0o666),
    (b"random", device::MEMORY_MAJOR, device::RANDOM, 0o666),
    (b"urandom", device::MEMORY_MAJOR, device::URANDOM, 0o666),
    (b"tty", 5, 0, 0o666),
    (b"console", 5, 1, 0o600),
    (b"ptmx", 5, 2, 0o666),
    (b"ttyS0", 4, 64, 0o660),
];
const LINKS: [(&[u8], &[u8]); 4] =
    [(b"fd", b"/proc/self/fd"), (b"stdin", b"/proc/self/fd/0"), (b"stdout", b"/proc/self/fd/1"), (b"stderr", b"/proc/self/fd/2")];

/// The file system, not mounted.
pub fn tree(means: &Means) -> Result<Arc<Tmpfs>> {
    let dev = Tmpfs::new(means, "devtmpfs", 4 << 20, 0o755);
    let new = |mode: u32| New { mode, uid: 0, gid: 0, represents: 0, target: &[] };
    for (name, major, minor, mode) in NODES {
        dev.put(&[name], &New { represents: device::number(major, minor), ..new(raw::S_IFCHR | mode) })?;
    }
    for (name, target) in LINKS {
        dev.put(&[name], &New { target, ..new(raw::S_IFLNK | 0o777) })?;
    }
    for name in [&b"pts"[..], b"shm", b"mqueue"] {
        dev.put(&[name], &new(raw::S_IFDIR | 0o755))?;
    }
    Ok(dev)
}

/// Mounts /dev with what belongs in it at `at`, a directory of `namespace`; shared memory holds at most `shm_bytes`.
pub fn mount(namespace: &Namespace, at: Place, means: &Means, terminals: &Terminals, shm_bytes: u64) -> Result<()> {
    let dev = tree(means)?;
    let mount = Mount::new(dev.clone(), crate::vfs::FileSystem::root(&*dev), b"devtmpfs", raw::MS_NOSUID);
    namespace.mount(at, mount.clone())?;
    let below = |name: &[u8]| dev.get(name).map(|inode| Place { mount: mount.clone(), inode });
    let pts = terminals.pts();
    let flags = raw::MS_NOSUID | raw::MS_NOEXEC;
    namespace.mount(below(b"pts")?, Mount::new(pts.clone(), crate::vfs::FileSystem::root(&**pts), b"devpts", flags))?;
    let shm = Tmpfs::new(means, "tmpfs", shm_bytes, 0o1777);
    namespace.mount(
        below(b"shm")?,
        Mount::new(shm.clone(), crate::vfs::FileSystem::root(&*shm), b"tmpfs", raw::MS_NOSUID | raw::MS_NODEV),
    )
}
