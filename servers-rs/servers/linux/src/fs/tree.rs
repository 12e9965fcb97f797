// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a cell's root has mounted on it before its first process: /dev, /proc, /sys, /run and /tmp, each where the root has that directory.

use super::text::TextFs;
use super::tmpfs::{Means, Tmpfs};
use super::tty::Terminals;
use crate::errno::{ENOENT, ENOTDIR, Result};
use crate::vfs::{Caller, FileSystem, FsContext, How, Mount, Place, resolve_place};
use alloc::sync::Arc;
use linux_raw_sys::general as raw;

/// What the mounts are made of.
pub struct Parts<'a> {
    pub means: &'a Means,
    pub terminals: &'a Terminals,
    /// /proc, where somebody knows the processes.
    pub proc: Option<Arc<TextFs>>,
    pub cpus: u32,
    /// Each of /dev/shm, /run and /tmp holds at most this.
    pub limit_bytes: u64,
}

/// The directory of that path; nothing where the root has none.
fn directory(caller: &Caller<'_>, fs: &FsContext, path: &[u8]) -> Result<Option<Place>> {
    match resolve_place(caller, fs, &fs.root, path, How::FOLLOW) {
        Ok(place) => Ok(Some(place)),
        Err(ENOENT | ENOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Mounts everything. Errors: those of resolution.
pub fn mount(caller: &Caller<'_>, fs: &FsContext, parts: &Parts<'_>) -> Result<()> {
    let namespace = &fs.namespace;
    let safe = raw::MS_NOSUID | raw::MS_NODEV;
    if let Some(at) = directory(caller, fs, b"/dev")? {
        super::dev::mount(namespace, at, parts.means, parts.terminals, parts.limit_bytes)?;
    }
    if let (Some(at), Some(proc)) = (directory(caller, fs, b"/proc")?, &parts.proc) {
        namespace.mount(at, Mount::new(proc.clone(), proc.root(), b"proc", safe | raw::MS_NOEXEC))?;
    }
    if let Some(at) = directory(caller, fs, b"/sys")? {
        super::sys::mount(namespace, at, parts.cpus, caller)?;
    }
    for (path, mode) in [(&b"/run"[..], 0o755), (b"/tmp", 0o1777)] {
        if let Some(at) = directory(caller, fs, path)? {
            let system = Tmpfs::new(parts.means, "tmpfs", parts.limit_bytes, mode);
            namespace.mount(at, Mount::new(system.clone(), system.root(), b"tmpfs", safe))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{directory as calls, open, transfer};
    use crate::fs::tty::{ConsolePort, Jobs};
    use crate::signal::request::To;
    use crate::world::{World, world};

    struct Nobody;
    impl Jobs for Nobody {
        fn send(&self, _: To, _: u32, _: i32) {}
        fn session_of(&self, _: u32) -> Option<u32> {
            None
        }
    }
    impl ConsolePort for Nobody {
        fn write(&self, _: &[u8]) {}
    }
    fn mounted(directories: &[&str]) -> World {
        let mut w = world();
        for path in directories {
            let path = w.put(path.as_bytes());
            w.call(calls::mkdir, &[path, 0o755]).unwrap();
        }
        let terminals = Terminals::new(Arc::new(Nobody), Arc::new(Nobody));
        let fs = w.fs.lock().clone();
        let parts = Parts { means: &w.means, terminals: &terminals, proc: None, cpus: 2, limit_bytes: 1 << 20 };
        mount(&w.caller(), &fs, &parts).unwrap();
        w
    }

    #[test]
    fn what_the_root_has_a_place_for_is_there() {
        let mut w = mounted(&["/dev", "/sys", "/tmp"]);
        let full = w.open("/dev/full", raw::O_RDWR).unwrap();
        let byte = w.room(8);
        assert_eq!(w.call(transfer::write, &[full, byte, 1]), Err(crate::errno::ENOSPC));
        let cpus = w.open("/sys/devices/system/cpu/online", raw::O_RDONLY).unwrap();
        assert_eq!(w.call(transfer::read, &[cpus, byte, 8]), Ok(4));
        assert_eq!(w.bytes(byte, 4), b"0-1\n");
        assert!(w.open("/dev/shm/lock", raw::O_CREAT | raw::O_RDWR).is_ok());
        assert!(w.open("/tmp/f", raw::O_CREAT | raw::O_RDWR).is_ok());
        assert_eq!(w.open("/sys/f", raw::O_CREAT | raw::O_RDWR), Err(crate::errno::EROFS));
        w.call(open::close, &[cpus]).unwrap();
    }
    #[test]
    fn a_root_without_places_is_left_as_it_is() {
        let mut w = mounted(&[]);
        assert_eq!(w.open("/dev/null", raw::O_RDONLY), Err(ENOENT));
    }
}
