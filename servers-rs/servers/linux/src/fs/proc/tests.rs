// SPDX-License-Identifier: PMPL-1.0-or-later
//! /proc through calls: what ps, bash and conmon read there.

use super::*;
use crate::call::{directory, mount, name, open, transfer};
use crate::errno::*;
use crate::task::credentials::Credentials;
use crate::vfs::{FileSystem, Mount};
use crate::world::{World, world};
use linux_raw_sys::general as raw;
use std::string::String;

struct Two {
    files: Arc<Mutex<FileTable>>,
    fs: Arc<Mutex<FsContext>>,
}

impl ProcSource for Two {
    fn processes(&self) -> Vec<u32> {
        alloc::vec![1, 10]
    }
    fn threads(&self, pid: u32) -> Vec<u32> {
        alloc::vec![pid]
    }
    fn facts(&self, tid: u32) -> Option<Facts> {
        [1, 10].contains(&tid).then(|| Facts {
            pid: tid,
            tid,
            parent: 1,
            group: tid,
            session: 1,
            terminal: 0,
            foreground: 0,
            name: b"a (b)".to_vec(),
            state: b'R',
            credentials: Credentials::root(),
            threads: 1,
            nice: 0,
            user_ns: 20_000_000,
            system_ns: 0,
            children_user_ns: 0,
            children_system_ns: 0,
            started_ns: 3_000_000_000,
            minor_faults: 0,
            major_faults: 0,
            virtual_bytes: 8192,
            resident_bytes: 4096,
            shared_bytes: 0,
            peak_bytes: 8192,
            data_bytes: 0,
            stack_bytes: 0,
            code_bytes: 0,
            stack_start: 0,
            exit_signal: raw::SIGCHLD,
            exit_status: 0,
            cpu: 0,
            pending: 0,
            process_pending: 0,
            blocked: 0,
            ignored: 0,
            caught: 1 << 16,
            no_new_privileges: false,
            seccomp: 0,
            oom_score_adjust: 0,
        })
    }
    fn command_line(&self, _: u32) -> Option<Vec<u8>> {
        Some(b"sh\0-c\0".to_vec())
    }
    fn environment(&self, _: u32) -> Option<Vec<u8>> {
        Some(Vec::new())
    }
    fn maps(&self, _: u32) -> Option<Vec<u8>> {
        Some(Vec::new())
    }
    fn executable(&self, _: u32) -> Option<Arc<OpenFile>> {
        self.files.lock().get(0).ok().cloned()
    }
    fn files(&self, _: u32) -> Option<Arc<Mutex<FileTable>>> {
        Some(self.files.clone())
    }
    fn fs(&self, _: u32) -> Option<Arc<Mutex<FsContext>>> {
        Some(self.fs.clone())
    }
    fn limits(&self, _: u32) -> Option<Limits> {
        Some(Limits::default())
    }
    fn set_name(&self, _: u32, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn set_oom_score_adjust(&self, _: u32, _: i32) -> Result<()> {
        Ok(())
    }
    fn whole(&self) -> Whole {
        Whole { cpus: 2, memory_bytes: 64 << 20, free_bytes: 1 << 20, ..Whole::default() }
    }
    fn set_host(&self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// A world with /proc, one open file, and its descriptor.
fn with_proc() -> World {
    let mut w = world();
    let path = w.put(b"/proc");
    w.call(directory::mkdir, &[path, 0o555]).unwrap();
    w.open("/file", raw::O_CREAT | raw::O_RDWR).unwrap();
    let system = new(Arc::new(Two { files: w.files.clone(), fs: w.fs.clone() }));
    let fs = w.fs.lock().clone();
    let place = mount::place_of(&w.caller(), &fs, b"/proc").unwrap();
    fs.namespace.mount(place, Mount::new(system.clone(), system.root(), b"proc", 0)).unwrap();
    w
}
fn text(w: &mut World, path: &str) -> Result<String> {
    let fd = w.open(path, raw::O_RDONLY)?;
    let (mut all, buffer) = (Vec::new(), w.room(100));
    loop {
        let n = w.call(transfer::read, &[fd, buffer, 100])? as usize;
        if n == 0 {
            w.call(open::close, &[fd])?;
            return Ok(String::from_utf8(all).unwrap());
        }
        all.extend_from_slice(w.bytes(buffer, n));
    }
}
fn link(w: &mut World, path: &str) -> Result<String> {
    let (path, buffer) = (w.put(path.as_bytes()), w.room(100));
    let n = w.call(name::readlink, &[path, buffer, 100])? as usize;
    Ok(String::from_utf8(w.bytes(buffer, n).to_vec()).unwrap())
}

#[test]
fn a_process_is_told_as_ps_reads_it() {
    let mut w = with_proc();
    let stat = text(&mut w, "/proc/self/stat").unwrap();
    assert!(stat.starts_with("10 (a (b)) R 1 10 1 0 -1 "));
    assert_eq!(stat.rsplit(") ").next().unwrap().split(' ').count(), 50);
    assert_eq!(text(&mut w, "/proc/1/cmdline").unwrap(), "sh\0-c\0");
    let status = text(&mut w, "/proc/10/task/10/status").unwrap();
    assert!(status.contains("\nTgid:\t10\n") && status.contains("\nSigCgt:\t0000000000010000\n"), "{status}");
    assert_eq!(text(&mut w, "/proc/2/stat"), Err(ENOENT));
    assert!(text(&mut w, "/proc/self/limits").unwrap().contains("Max open files            1024                 1048576"));
    assert!(text(&mut w, "/proc/meminfo").unwrap().starts_with("MemTotal:          65536 kB\nMemFree:            1024 kB\n"));
    assert_eq!(text(&mut w, "/proc/sys/kernel/pid_max").unwrap(), "32768\n");
}

#[test]
fn links_lead_to_the_thing_itself() {
    let mut w = with_proc();
    assert_eq!(link(&mut w, "/proc/self").unwrap(), "10");
    assert_eq!(link(&mut w, "/proc/self/fd/0").unwrap(), "/file");
    assert_eq!(link(&mut w, "/proc/self/cwd").unwrap(), "/");
    assert_eq!(link(&mut w, "/proc/self/ns/uts").unwrap(), "uts:[4026531838]");
    let path = w.put(b"/file");
    w.call(name::unlink, &[path]).unwrap();
    assert_eq!(link(&mut w, "/proc/self/fd/0").unwrap(), "/file (deleted)");
    assert!(w.open("/proc/self/fd/0", raw::O_RDWR).is_ok());
    assert_eq!(w.open("/proc/self/fd/77", 0), Err(ENOENT));
    let directory = w.open("/proc/self/cwd", raw::O_PATH | raw::O_DIRECTORY).unwrap();
    let path = std::format!("/proc/self/fd/{directory}/made");
    assert!(w.open(&path, raw::O_CREAT | raw::O_RDWR).is_ok());
    assert!(w.open("/made", 0).is_ok());
}

#[test]
fn mounts_are_listed_and_bound() {
    let mut w = with_proc();
    assert_eq!(text(&mut w, "/proc/mounts").unwrap().lines().count(), 2);
    for directory in ["/a", "/a/in", "/b"] {
        let path = w.put(directory.as_bytes());
        w.call(directory::mkdir, &[path, 0o755]).unwrap();
    }
    let (a, b, tmpfs, small) = (w.put(b"/a"), w.put(b"/b"), w.put(b"tmpfs"), w.put(b"size=64k"));
    assert_eq!(w.call(mount::mount, &[a, b, 0, raw::MS_BIND.into(), 0]), Ok(0));
    assert!(w.open("/b/in", raw::O_DIRECTORY).is_ok());
    let inner = w.put(b"/b/in");
    assert_eq!(w.call(mount::mount, &[tmpfs, inner, tmpfs, raw::MS_RDONLY.into(), small]), Ok(0));
    assert_eq!(w.open("/b/in/x", raw::O_CREAT | raw::O_RDWR), Err(EROFS));
    let info = text(&mut w, "/proc/self/mountinfo").unwrap();
    assert!(info.contains(" /a /b rw,relatime - tmpfs "), "{info}");
    assert!(info.contains(" / /b/in ro,relatime - tmpfs tmpfs ro,size=64k\n"), "{info}");
    assert_eq!(w.call(mount::umount2, &[b, 0]), Err(EBUSY));
    assert_eq!(w.call(mount::umount2, &[inner, 0]), Ok(0));
    assert_eq!(w.call(mount::umount2, &[b, 0]), Ok(0));
    assert_eq!(w.call(mount::umount2, &[b, 0]), Err(EINVAL));
    let unknown = w.put(b"ext9");
    assert_eq!(w.call(mount::mount, &[a, b, unknown, 0, 0]), Err(ENODEV));
}
