// SPDX-License-Identifier: PMPL-1.0-or-later
//! /sys, as far as programs look there: processors, huge pages, and a place for control groups.

use super::text::{Text, TextFs};
use crate::errno::Result;
use crate::vfs::{Caller, FileSystem, Mount, Namespace, Place};
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general::{self as raw, CGROUP2_SUPER_MAGIC, SYSFS_MAGIC};

fn text(text: Vec<u8>) -> Text {
    Text::Read(Box::new(move |_: &Caller<'_>| Ok(text.clone())))
}

/// With so many processors.
pub fn new(cpus: u32) -> Arc<TextFs> {
    let range = if cpus > 1 { format!("0-{}\n", cpus - 1) } else { "0\n".into() }.into_bytes();
    let entries = alloc::vec![
        ("devices/system/cpu/online", text(range.clone())),
        ("devices/system/cpu/possible", text(range.clone())),
        ("devices/system/cpu/present", text(range)),
        ("devices/system/cpu/kernel_max", text(b"63\n".to_vec())),
        ("devices/system/node/online", text(b"0\n".to_vec())),
        ("devices/system/node/possible", text(b"0\n".to_vec())),
        ("kernel/mm/transparent_hugepage/enabled", text(b"always madvise [never]\n".to_vec())),
        ("kernel/mm/transparent_hugepage/hpage_pmd_size", text(b"2097152\n".to_vec())),
        ("kernel/mm/hugepages", Text::Directory),
        ("class/net", Text::Directory),
        ("block", Text::Directory),
        ("fs/cgroup", Text::Directory),
        ("module", Text::Directory),
    ];
    TextFs::new("sysfs", SYSFS_MAGIC, entries, None)
}

/// Mounts /sys, and on it what statfs(2) knows as the unified hierarchy of control groups: its one group, without controllers.
pub fn mount(namespace: &Namespace, at: Place, cpus: u32, caller: &Caller<'_>) -> Result<()> {
    let (sys, flags) = (new(cpus), raw::MS_NOSUID | raw::MS_NODEV | raw::MS_NOEXEC);
    let mount = Mount::new(sys.clone(), sys.root(), b"sysfs", flags | raw::MS_RDONLY);
    namespace.mount(at, mount.clone())?;
    let inode = sys.root().lookup(b"fs", caller)?.lookup(b"cgroup", caller)?;
    let entries = alloc::vec![
        ("cgroup.controllers", text(b"\n".to_vec())),
        ("cgroup.subtree_control", text(b"\n".to_vec())),
        ("cgroup.procs", text(Vec::new())),
    ];
    let groups = TextFs::new("cgroup2", CGROUP2_SUPER_MAGIC, entries, None);
    namespace.mount(Place { mount, inode }, Mount::new(groups.clone(), groups.root(), b"cgroup2", flags | raw::MS_RDONLY))
}
