// SPDX-License-Identifier: PMPL-1.0-or-later
//! /proc/PID and /proc/PID/task/TID.

use super::{Facts, ProcSource, format};
use crate::errno::{EACCES, EINVAL, ENOENT, ENOTDIR, EPERM, ESRCH, Result};
use crate::fs::text::{MORE_COOKIE, Made, More, TextFile, TextNode};
use crate::vfs::{
    Above, Caller, Change, Entry, File, FsContext, Inode, Kind, Link, OpenFile, Stat, Time, directory, full_path, path_of,
};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general::{self as raw, CAP_SYS_PTRACE};

pub struct Processes {
    pub source: Arc<dyn ProcSource>,
}

/// The folder of a thread, or of a process, which is that of its first thread and more.
#[derive(Clone)]
struct Who {
    source: Arc<dyn ProcSource>,
    root: Arc<TextNode>,
    pid: u32,
    tid: u32,
    /// Below `task`.
    is_thread: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Top,
    Tasks,
    Descriptors,
    Descriptor(u32),
    Infos,
    Info(u32),
    Namespaces,
    Namespace(&'static str),
    Executable,
    Working,
    Root,
    Text(&'static str),
}

pub struct Node {
    who: Who,
    what: What,
}

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
/// Names in a process's folder; the last ones are not in a thread's.
const NAMES: [(&str, What); 29] = [
    ("cmdline", What::Text("cmdline")),
    ("comm", What::Text("comm")),
    ("cgroup", What::Text("cgroup")),
    ("cwd", What::Working),
    ("environ", What::Text("environ")),
    ("exe", What::Executable),
    ("fd", What::Descriptors),
    ("fdinfo", What::Infos),
    ("gid_map", What::Text("gid_map")),
    ("limits", What::Text("limits")),
    ("loginuid", What::Text("loginuid")),
    ("maps", What::Text("maps")),
    ("mountinfo", What::Text("mountinfo")),
    ("mounts", What::Text("mounts")),
    ("ns", What::Namespaces),
    ("oom_adj", What::Text("oom_adj")),
    ("oom_score", What::Text("oom_score")),
    ("oom_score_adj", What::Text("oom_score_adj")),
    ("root", What::Root),
    ("sched", What::Text("sched")),
    ("schedstat", What::Text("schedstat")),
    ("sessionid", What::Text("sessionid")),
    ("setgroups", What::Text("setgroups")),
    ("stat", What::Text("stat")),
    ("statm", What::Text("statm")),
    ("status", What::Text("status")),
    ("uid_map", What::Text("uid_map")),
    ("wchan", What::Text("wchan")),
    ("task", What::Tasks),
];

fn number(name: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(name).ok()?;
    text.parse().ok().filter(|number: &u32| !text.starts_with(['0', '+']) || text == "0" && *number == 0)
}

impl More for Processes {
    fn lookup(&self, root: &Arc<TextNode>, name: &[u8], caller: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        let who = |pid: u32, tid: u32| Who { source: self.source.clone(), root: root.clone(), pid, tid, is_thread: false };
        match name {
            b"self" => return Ok(Arc::new(SelfLink { who: who(caller.ids.pid, caller.ids.tid), with_thread: false })),
            b"thread-self" => return Ok(Arc::new(SelfLink { who: who(caller.ids.pid, caller.ids.tid), with_thread: true })),
            _ => {}
        }
        let facts = self.source.facts(number(name).ok_or(ENOENT)?).ok_or(ENOENT)?;
        // A thread has a folder of its own too, which is not listed.
        Ok(Arc::new(Node { who: who(facts.pid, facts.tid), what: What::Top }))
    }
    fn list(&self, from: u64, each: &mut dyn FnMut(Entry<'_>) -> bool) {
        for (n, name) in ["self", "thread-self"].iter().enumerate() {
            let at = MORE_COOKIE + n as u64;
            if at >= from && !each(Entry { inode: 3 + n as u64, kind: Kind::Symlink, name: name.as_bytes(), next: at + 1 }) {
                return;
            }
        }
        for pid in self.source.processes() {
            let at = MORE_COOKIE + 2 + u64::from(pid);
            let name = format!("{pid}");
            if at >= from
                && !each(Entry { inode: process_inode(pid, 1), kind: Kind::Directory, name: name.as_bytes(), next: at + 1 })
            {
                return;
            }
        }
    }
}

fn process_inode(tid: u32, within: u64) -> u64 {
    (u64::from(tid) + 1) << 24 | within
}

/// /proc/self, which is another for each who looks.
struct SelfLink {
    who: Who,
    with_thread: bool,
}

impl Inode for SelfLink {
    fn stat(&self) -> Result<Stat> {
        let inode = if self.with_thread { 4 } else { 3 };
        Ok(Stat {
            device: self.who.root.device(),
            inode,
            mode: raw::S_IFLNK | 0o777,
            links: 1,
            block_bytes: 1024,
            ..Stat::default()
        })
    }
    fn open(self: Arc<Self>, _: u32, _: &Caller<'_>) -> Result<Arc<dyn File>> {
        Err(EINVAL)
    }
    fn read_link(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        let (pid, tid) = (caller.ids.pid, caller.ids.tid);
        Ok(if self.with_thread { format!("{pid}/task/{tid}") } else { format!("{pid}") }.into_bytes())
    }
}

impl Who {
    fn facts(&self) -> Result<Facts> {
        self.source.facts(self.tid).ok_or(ENOENT)
    }
    fn fs(&self) -> Result<FsContext> {
        Ok(self.source.fs(self.tid).ok_or(ENOENT)?.lock().clone())
    }
    fn file(&self, fd: u32) -> Result<Arc<OpenFile>> {
        self.source.files(self.tid).ok_or(ENOENT)?.lock().get(fd).cloned().map_err(|_| ENOENT)
    }
    /// Whether the caller may look at what is the process's own (ptrace(2), "access mode checking"). Errors: `EACCES`.
    fn may_look(&self, caller: &Caller<'_>) -> Result<()> {
        let (mine, its) = (caller.credentials, self.facts()?.credentials);
        let is_same = [its.uid, its.euid, its.suid] == [mine.fsuid; 3] && [its.gid, its.egid, its.sgid] == [mine.fsgid; 3];
        if is_same || self.pid == caller.ids.pid || mine.can(CAP_SYS_PTRACE) { Ok(()) } else { Err(EACCES) }
    }
}

impl Node {
    fn of(&self, what: What) -> Arc<dyn Inode> {
        Arc::new(Node { who: self.who.clone(), what })
    }
    fn mode(&self) -> u32 {
        match self.what {
            What::Top | What::Tasks => raw::S_IFDIR | 0o555,
            What::Descriptors | What::Infos => raw::S_IFDIR | 0o500,
            What::Namespaces => raw::S_IFDIR | 0o511,
            What::Descriptor(fd) => {
                let file = self.who.file(fd);
                let reads = file.as_ref().is_ok_and(|file| file.to_read().is_ok());
                let writes = file.is_ok_and(|file| file.to_write().is_ok());
                raw::S_IFLNK | if reads { 0o500 } else { 0 } | if writes { 0o300 } else { 0 }
            }
            What::Namespace(_) | What::Executable | What::Working | What::Root => raw::S_IFLNK | 0o777,
            What::Info(_) => raw::S_IFREG | 0o444,
            What::Text("environ") => raw::S_IFREG | 0o400,
            What::Text("comm" | "oom_score_adj" | "oom_adj" | "loginuid" | "uid_map" | "gid_map" | "setgroups") => {
                raw::S_IFREG | 0o644
            }
            What::Text(_) => raw::S_IFREG | 0o444,
        }
    }
    fn inode(&self) -> u64 {
        let within = match self.what {
            What::Top => 1,
            What::Descriptor(fd) => 1 << 20 | u64::from(fd),
            What::Info(fd) => 1 << 21 | u64::from(fd),
            What::Namespace(name) => 100 + NAMESPACES.iter().position(|one| *one == name).unwrap_or(0) as u64,
            other => 2 + NAMES.iter().position(|(_, what)| *what == other).unwrap_or(0) as u64,
        };
        process_inode(self.who.tid, within | if self.who.is_thread { 1 << 22 } else { 0 })
    }
    fn names(&self) -> &'static [(&'static str, What)] {
        if self.who.is_thread { &NAMES[..NAMES.len() - 1] } else { &NAMES }
    }
    fn descriptors(&self) -> Result<Vec<u32>> {
        Ok(self.who.source.files(self.who.tid).ok_or(ENOENT)?.lock().numbers().collect())
    }
}

impl Inode for Node {
    fn stat(&self) -> Result<Stat> {
        let facts = self.who.facts()?;
        let mode = self.mode();
        let links = match self.what {
            What::Top => 9,
            _ if Kind::of_mode(mode) == Kind::Directory => 2,
            _ => 1,
        };
        let started = Time::from_ns(self.who.source.whole().booted_s * 1_000_000_000 + facts.started_ns);
        Ok(Stat {
            device: self.who.root.device(),
            inode: self.inode(),
            mode,
            links,
            uid: facts.credentials.euid,
            gid: facts.credentials.egid,
            size_bytes: if Kind::of_mode(mode) == Kind::Symlink { 64 } else { 0 },
            block_bytes: 1024,
            accessed: started,
            modified: started,
            changed: started,
            ..Stat::default()
        })
    }
    fn set(&self, change: &Change) -> Result<()> {
        if change.size_bytes.is_some() { Ok(()) } else { Err(EPERM) }
    }
    fn open(self: Arc<Self>, _: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        match self.what {
            What::Text("environ" | "maps") => self.who.may_look(caller)?,
            What::Info(_) | What::Text(_) => {}
            _ => return Ok(directory()),
        }
        Ok(Arc::new(TextFile::new(self)))
    }
    fn lookup(&self, name: &[u8], caller: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        match self.what {
            What::Top => {
                let what = self.names().iter().find(|(one, _)| one.as_bytes() == name).map(|(_, what)| *what).ok_or(ENOENT)?;
                Ok(self.of(what))
            }
            What::Tasks => {
                let tid = number(name).ok_or(ENOENT)?;
                let facts = self.who.source.facts(tid).filter(|facts| facts.pid == self.who.pid).ok_or(ENOENT)?;
                Ok(Arc::new(Node { who: Who { tid: facts.tid, is_thread: true, ..self.who.clone() }, what: What::Top }))
            }
            What::Descriptors | What::Infos => {
                self.who.may_look(caller)?;
                let fd = number(name).ok_or(ENOENT)?;
                self.who.file(fd)?;
                Ok(self.of(if self.what == What::Infos { What::Info(fd) } else { What::Descriptor(fd) }))
            }
            What::Namespaces => {
                let name = NAMESPACES.iter().find(|one| one.as_bytes() == name).ok_or(ENOENT)?;
                Ok(self.of(What::Namespace(name)))
            }
            _ => Err(ENOTDIR),
        }
    }
    fn above(&self) -> Above {
        let (pid, tid) = (format!("{}", self.who.pid).into_bytes(), format!("{}", self.who.tid).into_bytes());
        let name = match self.what {
            What::Top if self.who.is_thread => {
                let who = Who { tid: self.who.pid, is_thread: false, ..self.who.clone() };
                return Above::In(Arc::new(Node { who, what: What::Tasks }), tid);
            }
            What::Top => return Above::In(self.who.root.clone(), if self.who.pid == self.who.tid { pid } else { tid }),
            What::Tasks => "task",
            What::Descriptors => "fd",
            What::Infos => "fdinfo",
            What::Namespaces => "ns",
            _ => return Above::Nowhere,
        };
        Above::In(self.of(What::Top), name.as_bytes().to_vec())
    }
    fn list(&self, from: u64, caller: &Caller<'_>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        let numbered = |all: Vec<u32>, what: &dyn Fn(u32) -> What, each: &mut dyn FnMut(Entry<'_>) -> bool| {
            for number in all.into_iter().filter(|number| u64::from(*number) >= from) {
                let node = Node { who: self.who.clone(), what: what(number) };
                let (name, kind) = (format!("{number}"), Kind::of_mode(node.mode()));
                if !each(Entry { inode: node.inode(), kind, name: name.as_bytes(), next: u64::from(number) + 1 }) {
                    return;
                }
            }
        };
        match self.what {
            What::Top => {
                self.who.facts()?;
                for (n, (name, what)) in self.names().iter().enumerate().skip(from.min(1 << 10) as usize) {
                    let node = Node { who: self.who.clone(), what: *what };
                    let kind = Kind::of_mode(node.mode());
                    if !each(Entry { inode: node.inode(), kind, name: name.as_bytes(), next: n as u64 + 1 }) {
                        break;
                    }
                }
            }
            What::Tasks => numbered(self.who.source.threads(self.who.pid), &|_| What::Top, each),
            What::Descriptors => {
                self.who.may_look(caller)?;
                numbered(self.descriptors()?, &What::Descriptor, each);
            }
            What::Infos => {
                self.who.may_look(caller)?;
                numbered(self.descriptors()?, &What::Info, each);
            }
            What::Namespaces => {
                for (n, name) in NAMESPACES.iter().enumerate().skip(from.min(1 << 10) as usize) {
                    let inode = self.inode() + n as u64;
                    if !each(Entry { inode, kind: Kind::Symlink, name: name.as_bytes(), next: n as u64 + 1 }) {
                        break;
                    }
                }
            }
            _ => return Err(ENOTDIR),
        }
        Ok(())
    }
    fn read_link(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        match self.what {
            What::Namespace(name) => return Ok(format!("{name}:[{}]", namespace_number(name)).into_bytes()),
            What::Descriptor(_) | What::Executable | What::Working | What::Root => self.who.may_look(caller)?,
            _ => return Err(EINVAL),
        }
        let fs = self.who.fs()?;
        let reachable = |place: &crate::vfs::Place| full_path(&fs.root, place).ok_or(ENOENT);
        match self.what {
            What::Descriptor(fd) => Ok(path_of(&fs, &*self.who.file(fd)?)),
            What::Executable => Ok(path_of(&fs, &*self.who.source.executable(self.who.pid).ok_or(ENOENT)?)),
            What::Working => reachable(&fs.working),
            _ => full_path(&fs.namespace.cross(fs.namespace.top()), &fs.root).ok_or(ENOENT),
        }
    }
    fn follow(&self, caller: &Caller<'_>) -> Result<Link> {
        match self.what {
            What::Descriptor(_) | What::Executable | What::Working | What::Root => self.who.may_look(caller)?,
            _ => return self.read_link(caller).map(Link::Path),
        }
        let of_file = |file: &OpenFile| match (&file.place, file.file.unnamed_inode()) {
            (Some(place), _) => Ok(Link::Place(place.clone())),
            (None, Some(inode)) => Ok(Link::Inode(inode)),
            // As Linux: a socket cannot be opened by this name.
            (None, None) => Err(crate::errno::ENXIO),
        };
        match self.what {
            What::Descriptor(fd) => of_file(&*self.who.file(fd)?),
            What::Executable => of_file(&*self.who.source.executable(self.who.pid).ok_or(ENOENT)?),
            What::Working => Ok(Link::Place(self.who.fs()?.working)),
            _ => Ok(Link::Place(self.who.fs()?.root)),
        }
    }
}

/// As Linux numbers the first ones (PROC_*_INIT_INO).
fn namespace_number(name: &str) -> u32 {
    match name {
        "cgroup" => 0xEFFF_FFFB,
        "ipc" => 0xEFFF_FFFF,
        "pid" => 0xEFFF_FFFC,
        "time" => 0xEFFF_FFFA,
        "user" => 0xEFFF_FFFD,
        "uts" => 0xEFFF_FFFE,
        "mnt" => 0xF000_0000,
        _ => 0xF000_0008,
    }
}

impl Made for Node {
    fn make(&self, _: &Caller<'_>) -> Result<Vec<u8>> {
        let (who, source) = (&self.who, &self.who.source);
        let What::Text(name) = self.what else {
            let What::Info(fd) = self.what else { return Err(EINVAL) };
            let file = who.file(fd)?;
            let mount = file.place.as_ref().map_or(0, |place| place.mount.id);
            let inode = file.stat().map_or(0, |stat| stat.inode);
            let position = *file.position();
            let closes = source.files(who.tid).is_some_and(|files| files.lock().closes_on_exec(fd) == Ok(true));
            let flags = file.flags() | if closes { raw::O_CLOEXEC } else { 0 };
            let mut text = format!("pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{inode}\n").into_bytes();
            text.extend(file.file.info());
            return Ok(text);
        };
        match name {
            "cmdline" => source.command_line(who.pid).ok_or(ESRCH),
            "environ" => source.environment(who.pid).ok_or(ESRCH),
            "maps" => source.maps(who.pid).ok_or(ESRCH),
            "stat" => Ok(format::stat(&who.facts()?)),
            "statm" => Ok(format::statm(&who.facts()?)),
            "status" => {
                let umask = source.fs(who.tid).map_or(0, |fs| fs.lock().umask);
                let descriptors = source.files(who.tid).map_or(0, |files| files.lock().numbers().count());
                Ok(format::status(&who.facts()?, umask, descriptors, source.whole().cpus))
            }
            "comm" => {
                let mut name = who.facts()?.name;
                name.push(b'\n');
                Ok(name)
            }
            "limits" => source.limits(who.pid).map(|limits| format::limits(&limits)).ok_or(ESRCH),
            "mounts" => Ok(format::mounts(&who.fs()?)),
            "mountinfo" => Ok(format::mountinfo(&who.fs()?)),
            "cgroup" => Ok(b"0::/\n".to_vec()),
            "uid_map" | "gid_map" => Ok(b"         0          0 4294967295\n".to_vec()),
            "setgroups" => Ok(b"allow\n".to_vec()),
            "oom_score_adj" => Ok(format!("{}\n", who.facts()?.oom_score_adjust).into_bytes()),
            "oom_adj" => Ok(format!("{}\n", who.facts()?.oom_score_adjust * 17 / 1000).into_bytes()),
            "oom_score" => Ok(b"0\n".to_vec()),
            "loginuid" | "sessionid" => Ok(b"4294967295".to_vec()),
            "wchan" => Ok(b"0".to_vec()),
            "schedstat" => {
                let facts = who.facts()?;
                Ok(format!("{} 0 1\n", facts.user_ns + facts.system_ns).into_bytes())
            }
            _ => {
                let facts = who.facts()?;
                let mut text = facts.name;
                text.extend(format!(" ({}, #threads: {})\n", facts.tid, facts.threads).bytes());
                Ok(text)
            }
        }
    }
    fn take(&self, caller: &Caller<'_>, bytes: &[u8]) -> Result<()> {
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        match self.what {
            What::Text("comm") if self.who.pid == caller.ids.pid => self.who.source.set_name(self.who.tid, text),
            What::Text("comm") => Err(EINVAL),
            What::Text("oom_score_adj") => {
                let value = core::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()).ok_or(EINVAL)?;
                if !(-1000..=1000).contains(&value) {
                    return Err(EINVAL);
                }
                self.who.source.set_oom_score_adjust(self.who.pid, value)
            }
            _ => Err(EPERM),
        }
    }
}
