// SPDX-License-Identifier: PMPL-1.0-or-later
//! All terminals of a cell, and /dev/pts.

use super::{ConsolePort, End, Jobs, Master, Terminal, Wire};
use crate::errno::{EIO, ENOENT, ENOSPC, ENOTDIR, ENXIO, Result};
use crate::fs::device;
use crate::vfs::{Above, Caller, Change, Entry, File, FileSystem, Inode, Kind, Owner, Stat, Statfs, Time, new_device};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use linux_raw_sys::general as raw;
use spin::Mutex;

/// Numbers of Documentation/admin-guide/devices.txt of Linux.
pub const TTY_MAJOR: u32 = 4;
pub const TTY_S0: u32 = 64;
pub const AUX_MAJOR: u32 = 5;
pub const AUX_TTY: u32 = 0;
pub const AUX_CONSOLE: u32 = 1;
pub const AUX_PTMX: u32 = 2;
pub const PTS_MAJOR: u32 = 136;
/// Group `tty` of Debian, and what devpts is mounted with there.
const TTY_GROUP: u32 = 5;
/// kernel.pty.max of Linux.
const MAX_PTYS: u32 = 4096;

pub struct Terminals {
    console: Arc<Terminal>,
    pts: Arc<PtsFs>,
    jobs: Arc<dyn Jobs>,
}

impl Terminals {
    pub fn new(port: Arc<dyn ConsolePort>, jobs: Arc<dyn Jobs>) -> Terminals {
        let console = Terminal::new(device::number(TTY_MAJOR, TTY_S0), Wire::Port(port), jobs.clone());
        Terminals { console, pts: PtsFs::new(), jobs }
    }
    /// For what arrives on the wire.
    pub fn console(&self) -> &Arc<Terminal> {
        &self.console
    }
    pub fn pts(&self) -> &Arc<PtsFs> {
        &self.pts
    }
    /// The controlling terminal of a session.
    pub fn of_session(&self, session: u32) -> Option<Arc<Terminal>> {
        let all = self.pts.nodes.lock();
        let mut all = all.values().map(|node| &node.terminal).chain([&self.console]);
        all.find(|terminal| session != 0 && terminal.state.lock().session == session).cloned()
    }
    /// Number of a session's terminal and its foreground group, for /proc/PID/stat.
    pub fn told_of(&self, session: u32) -> Option<(u64, u32)> {
        let terminal = self.of_session(session)?;
        let foreground = terminal.state.lock().foreground;
        Some((terminal.number, foreground))
    }
    /// To be called when the leader of a session ends.
    pub fn session_ended(&self, session: u32) {
        if let Some(terminal) = self.of_session(session) {
            terminal.end_session(session);
        }
    }
    fn open_end(&self, terminal: &Arc<Terminal>, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        let has_terminal = self.of_session(caller.ids.session).is_some();
        End::open(terminal, flags, caller, has_terminal)
    }
    /// Errors: `ENXIO` for a device that is no terminal, or /dev/tty without one.
    pub fn open(&self, number: u64, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        match device::split(number) {
            (AUX_MAJOR, AUX_TTY) => {
                let terminal = self.of_session(caller.ids.session).ok_or(ENXIO)?;
                self.open_end(&terminal, flags, caller)
            }
            (AUX_MAJOR, AUX_CONSOLE) => self.open_end(&self.console, flags | raw::O_NOCTTY, caller),
            (TTY_MAJOR, TTY_S0) => self.open_end(&self.console, flags, caller),
            (AUX_MAJOR, AUX_PTMX) => self.pts.open_master(caller, &self.jobs),
            (PTS_MAJOR, minor) => {
                let terminal = self.pts.nodes.lock().get(&minor).map(|node| node.terminal.clone()).ok_or(EIO)?;
                self.open_end(&terminal, flags, caller)
            }
            _ => Err(ENXIO),
        }
    }
}

/// devpts.
pub struct PtsFs {
    device: u64,
    root: Arc<Root>,
    nodes: Mutex<BTreeMap<u32, Arc<Node>>>,
    opener: Mutex<Option<Weak<dyn device::Devices>>>,
}

impl PtsFs {
    fn new() -> Arc<PtsFs> {
        Arc::new_cyclic(|system| PtsFs {
            device: new_device(),
            root: Arc::new(Root { system: system.clone() }),
            nodes: Mutex::default(),
            opener: Mutex::new(None),
        })
    }
    /// Who opens its nodes: set once, when the devices are there.
    pub fn set_opener(&self, devices: &Arc<dyn device::Devices>) {
        *self.opener.lock() = Some(Arc::downgrade(devices));
    }
    fn open_master(self: &Arc<Self>, caller: &Caller<'_>, jobs: &Arc<dyn Jobs>) -> Result<Arc<dyn File>> {
        let mut nodes = self.nodes.lock();
        let number = (0..MAX_PTYS).find(|number| !nodes.contains_key(number)).ok_or(ENOSPC)?;
        let terminal = Terminal::new(device::number(PTS_MAJOR, number), Wire::Master, jobs.clone());
        let owner = Owner { mode: raw::S_IFCHR | 0o620, uid: caller.credentials.fsuid, gid: TTY_GROUP };
        let node = Node {
            number,
            terminal: terminal.clone(),
            system: Arc::downgrade(self),
            owner: Mutex::new(owner),
            made: caller.now(),
        };
        nodes.insert(number, Arc::new(node));
        Ok(Arc::new(Master { terminal, number, system: self.clone() }))
    }
    pub(super) fn forget(&self, number: u32) {
        let gone = self.nodes.lock().remove(&number);
        drop(gone);
    }
    fn open(&self, number: u64, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        let devices = self.opener.lock().as_ref().and_then(Weak::upgrade).ok_or(ENXIO)?;
        devices.open(Kind::Character, number, flags, caller)
    }
}

impl FileSystem for PtsFs {
    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }
    fn name(&self) -> &'static str {
        "devpts"
    }
    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { magic: raw::DEVPTS_SUPER_MAGIC, block_bytes: 4096, ..Statfs::default() })
    }
    fn device(&self) -> u64 {
        self.device
    }
    fn options(&self) -> alloc::string::String {
        alloc::format!(",gid={TTY_GROUP},mode=620,ptmxmode=666")
    }
}

struct Root {
    system: Weak<PtsFs>,
}

impl Inode for Root {
    fn stat(&self) -> Result<Stat> {
        let system = self.system.upgrade().ok_or(ENOENT)?;
        Ok(Stat { device: system.device, inode: 1, mode: raw::S_IFDIR | 0o755, links: 2, block_bytes: 1024, ..Stat::default() })
    }
    fn open(self: Arc<Self>, _: u32, _: &Caller<'_>) -> Result<Arc<dyn File>> {
        Ok(crate::vfs::directory())
    }
    fn lookup(&self, name: &[u8], _: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        let system = self.system.upgrade().ok_or(ENOENT)?;
        if name == b"ptmx" {
            return Ok(Arc::new(Ptmx { system }));
        }
        let number: u32 = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).ok_or(ENOENT)?;
        let node = system.nodes.lock().get(&number).cloned().ok_or(ENOENT)?;
        Ok(node)
    }
    fn above(&self) -> Above {
        Above::Top
    }
    fn list(&self, from: u64, _: &Caller<'_>, each: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        let system = self.system.upgrade().ok_or(ENOENT)?;
        if from == 0 && !each(Entry { inode: 2, kind: Kind::Character, name: b"ptmx", next: 1 }) {
            return Ok(());
        }
        let numbers: Vec<u32> = system.nodes.lock().keys().copied().filter(|number| u64::from(*number) + 1 >= from).collect();
        for number in numbers {
            let name = alloc::format!("{number}");
            let entry =
                Entry { inode: u64::from(number) + 3, kind: Kind::Character, name: name.as_bytes(), next: u64::from(number) + 2 };
            if !each(entry) {
                break;
            }
        }
        Ok(())
    }
}

struct Ptmx {
    system: Arc<PtsFs>,
}

impl Inode for Ptmx {
    fn stat(&self) -> Result<Stat> {
        let represents = device::number(AUX_MAJOR, AUX_PTMX);
        Ok(Stat { device: self.system.device, inode: 2, mode: raw::S_IFCHR | 0o666, links: 1, represents, ..Stat::default() })
    }
    fn open(self: Arc<Self>, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        self.system.open(device::number(AUX_MAJOR, AUX_PTMX), flags, caller)
    }
    fn lookup(&self, _: &[u8], _: &Caller<'_>) -> Result<Arc<dyn Inode>> {
        Err(ENOTDIR)
    }
}

struct Node {
    number: u32,
    terminal: Arc<Terminal>,
    system: Weak<PtsFs>,
    owner: Mutex<Owner>,
    made: Time,
}

impl Inode for Node {
    fn stat(&self) -> Result<Stat> {
        let owner = *self.owner.lock();
        Ok(Stat {
            device: self.system.upgrade().map_or(0, |system| system.device),
            inode: u64::from(self.number) + 3,
            mode: owner.mode,
            links: 1,
            uid: owner.uid,
            gid: owner.gid,
            represents: device::number(PTS_MAJOR, self.number),
            block_bytes: 1024,
            accessed: self.made,
            modified: self.made,
            changed: self.made,
            ..Stat::default()
        })
    }
    fn set(&self, change: &Change) -> Result<()> {
        let mut owner = self.owner.lock();
        owner.mode = change.mode.map_or(owner.mode, |mode| raw::S_IFCHR | mode);
        owner.uid = change.uid.unwrap_or(owner.uid);
        owner.gid = change.gid.unwrap_or(owner.gid);
        Ok(())
    }
    fn open(self: Arc<Self>, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>> {
        let system = self.system.upgrade().ok_or(ENXIO)?;
        system.open(device::number(PTS_MAJOR, self.number), flags, caller)
    }
}
