// SPDX-License-Identifier: PMPL-1.0-or-later
//! Texts of /proc/PID (proc_pid_stat(5), proc_pid_status(5), proc_pid_mountinfo(5)).

use super::Facts;
use crate::fs::device;
use crate::task::limits::Limits;
use crate::vfs::{FsContext, Mount, full_path, mount_flag};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use linux_raw_sys::general as raw;

/// USER_HZ: what times are counted in.
const TICK_NS: u64 = 10_000_000;
const PAGE: u64 = crate::vfs::PAGE_BYTES;

pub fn ticks(ns: u64) -> u64 {
    ns / TICK_NS
}

pub fn stat(f: &Facts) -> Vec<u8> {
    let terminal = if f.terminal == 0 { 0 } else { f.terminal as i64 };
    let foreground = if f.terminal == 0 { -1 } else { i64::from(f.foreground) };
    let mut line = format!("{} (", f.tid).into_bytes();
    line.extend_from_slice(&f.name);
    let rest = format!(
        ") {state} {parent} {group} {session} {terminal} {foreground} 0 {minor} 0 {major} 0 {user} {system} {cuser} {csystem} \
         {priority} {nice} {threads} 0 {start} {size} {resident} {limit} 0 0 {stack} 0 0 {pending} {blocked} {ignored} {caught} \
         0 0 0 {exit_signal} {cpu} 0 0 0 0 0 0 0 0 0 0 0 0 {status}\n",
        state = char::from(f.state),
        parent = f.parent,
        group = f.group,
        session = f.session,
        minor = f.minor_faults,
        major = f.major_faults,
        user = ticks(f.user_ns),
        system = ticks(f.system_ns),
        cuser = ticks(f.children_user_ns),
        csystem = ticks(f.children_system_ns),
        priority = 20 + f.nice,
        nice = f.nice,
        threads = f.threads,
        start = ticks(f.started_ns),
        size = f.virtual_bytes,
        resident = f.resident_bytes / PAGE,
        limit = u64::MAX,
        stack = f.stack_start,
        pending = f.pending & 0x7fff_ffff,
        blocked = f.blocked & 0x7fff_ffff,
        ignored = f.ignored & 0x7fff_ffff,
        caught = f.caught & 0x7fff_ffff,
        exit_signal = f.exit_signal,
        cpu = f.cpu,
        status = f.exit_status,
    );
    line.extend_from_slice(rest.as_bytes());
    line
}

pub fn statm(f: &Facts) -> Vec<u8> {
    let pages = [f.virtual_bytes, f.resident_bytes, f.shared_bytes, f.code_bytes, 0, f.data_bytes + f.stack_bytes]
        .map(|bytes| bytes / PAGE);
    format!("{} {} {} {} {} {} 0\n", pages[0], pages[1], pages[2], pages[3], pages[4], pages[5]).into_bytes()
}

fn state_name(state: u8) -> &'static str {
    match state {
        b'R' => "running",
        b'S' => "sleeping",
        b'D' => "disk sleep",
        b'T' => "stopped",
        b't' => "tracing stop",
        b'Z' => "zombie",
        _ => "dead",
    }
}

pub fn status(f: &Facts, umask: u32, descriptors: usize, cpus: u32) -> Vec<u8> {
    let c = &f.credentials;
    let mut text = format!("Name:\t{}\nUmask:\t{umask:04o}\n", String::from_utf8_lossy(&f.name));
    let mut line = |name: &str, value: String| text.extend([name, ":\t", &value, "\n"]);
    line("State", format!("{} ({})", char::from(f.state), state_name(f.state)));
    line("Tgid", format!("{}", f.pid));
    line("Ngid", "0".into());
    line("Pid", format!("{}", f.tid));
    line("PPid", format!("{}", f.parent));
    line("TracerPid", "0".into());
    line("Uid", format!("{}\t{}\t{}\t{}", c.uid, c.euid, c.suid, c.fsuid));
    line("Gid", format!("{}\t{}\t{}\t{}", c.gid, c.egid, c.sgid, c.fsgid));
    line("FDSize", format!("{}", descriptors.next_power_of_two().max(64)));
    line("Groups", c.groups.iter().map(|gid| format!("{gid} ")).collect());
    line("NStgid", format!("{}", f.pid));
    line("NSpid", format!("{}", f.tid));
    line("NSpgid", format!("{}", f.group));
    line("NSsid", format!("{}", f.session));
    if f.state != b'Z' {
        let kib = |bytes: u64| format!("{:>8} kB", bytes / 1024);
        line("VmPeak", kib(f.peak_bytes.max(f.virtual_bytes)));
        line("VmSize", kib(f.virtual_bytes));
        line("VmLck", kib(0));
        line("VmPin", kib(0));
        line("VmHWM", kib(f.resident_bytes));
        line("VmRSS", kib(f.resident_bytes));
        line("RssAnon", kib(f.resident_bytes.saturating_sub(f.shared_bytes)));
        line("RssFile", kib(f.shared_bytes));
        line("RssShmem", kib(0));
        line("VmData", kib(f.data_bytes));
        line("VmStk", kib(f.stack_bytes));
        line("VmExe", kib(f.code_bytes));
        line("VmLib", kib(0));
        line("VmPTE", kib(0));
        line("VmSwap", kib(0));
    }
    line("Threads", format!("{}", f.threads));
    line("SigQ", "0/4096".into());
    let sets = [
        ("SigPnd", f.pending),
        ("ShdPnd", f.process_pending),
        ("SigBlk", f.blocked),
        ("SigIgn", f.ignored),
        ("SigCgt", f.caught),
    ];
    let capabilities = [
        ("CapInh", c.inheritable),
        ("CapPrm", c.permitted),
        ("CapEff", c.effective),
        ("CapBnd", c.bounding),
        ("CapAmb", c.ambient),
    ];
    for (name, set) in sets.into_iter().chain(capabilities) {
        line(name, format!("{set:016x}"));
    }
    line("NoNewPrivs", format!("{}", u32::from(f.no_new_privileges)));
    line("Seccomp", format!("{}", f.seccomp));
    line("Seccomp_filters", "0".into());
    line("Cpus_allowed", format!("{:x}", (1u64 << cpus.clamp(1, 63)) - 1));
    line("Cpus_allowed_list", if cpus > 1 { format!("0-{}", cpus - 1) } else { "0".into() });
    line("Mems_allowed", "1".into());
    line("Mems_allowed_list", "0".into());
    line("voluntary_ctxt_switches", "0".into());
    line("nonvoluntary_ctxt_switches", "0".into());
    text.into_bytes()
}

/// Names, units, and numbers of the resources, in Linux's order.
const LIMITS: [(&str, &str, u32); 16] = [
    ("Max cpu time", "seconds", raw::RLIMIT_CPU),
    ("Max file size", "bytes", raw::RLIMIT_FSIZE),
    ("Max data size", "bytes", raw::RLIMIT_DATA),
    ("Max stack size", "bytes", raw::RLIMIT_STACK),
    ("Max core file size", "bytes", raw::RLIMIT_CORE),
    ("Max resident set", "bytes", raw::RLIMIT_RSS),
    ("Max processes", "processes", raw::RLIMIT_NPROC),
    ("Max open files", "files", raw::RLIMIT_NOFILE),
    ("Max locked memory", "bytes", raw::RLIMIT_MEMLOCK),
    ("Max address space", "bytes", raw::RLIMIT_AS),
    ("Max file locks", "locks", raw::RLIMIT_LOCKS),
    ("Max pending signals", "signals", raw::RLIMIT_SIGPENDING),
    ("Max msgqueue size", "bytes", raw::RLIMIT_MSGQUEUE),
    ("Max nice priority", "", raw::RLIMIT_NICE),
    ("Max realtime priority", "", raw::RLIMIT_RTPRIO),
    ("Max realtime timeout", "us", raw::RLIMIT_RTTIME),
];

pub fn limits(limits: &Limits) -> Vec<u8> {
    let mut text = format!("{:<26}{:<21}{:<21}{:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    let value = |value: u64| if value == u64::MAX { "unlimited".into() } else { format!("{value}") };
    for (name, unit, resource) in LIMITS {
        if let Some(limit) = limits.get(resource) {
            let _written = writeln!(text, "{name:<26}{:<21}{:<21}{unit:<10}", value(limit.soft), value(limit.hard));
        }
    }
    text.into_bytes()
}

/// As mount(8) names them.
fn flag_names(mount: &Mount) -> String {
    let flags = mount.flags();
    let mut names = String::from(if mount.is_read_only() { "ro" } else { "rw" });
    for (bit, name) in [(mount_flag::MS_NOSUID, ",nosuid"), (mount_flag::MS_NODEV, ",nodev"), (mount_flag::MS_NOEXEC, ",noexec")]
    {
        if flags & bit != 0 {
            names.push_str(name);
        }
    }
    names.push_str(",relatime");
    names
}

/// Spaces and the like in octal.
fn escaped(path: &[u8]) -> String {
    let mut text = String::new();
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => text.push_str(&format!("\\{byte:03o}")),
            _ => text.push(char::from(*byte)),
        }
    }
    text
}

/// Mounts that can be reached from the root, and their paths.
fn reachable(fs: &FsContext) -> Vec<(alloc::sync::Arc<Mount>, Vec<u8>)> {
    let all = fs.namespace.mounts();
    all.into_iter().filter_map(|mount| full_path(&fs.root, &crate::vfs::Place::top(&mount)).map(|path| (mount, path))).collect()
}

pub fn mounts(fs: &FsContext) -> Vec<u8> {
    let mut text = String::new();
    for (mount, path) in reachable(fs) {
        let (source, name, options) = (escaped(&mount.source), mount.system.name(), mount.system.options());
        let _written = writeln!(text, "{source} {} {name} {}{options} 0 0", escaped(&path), flag_names(&mount));
    }
    text.into_bytes()
}

pub fn mountinfo(fs: &FsContext) -> Vec<u8> {
    let mut text = String::new();
    for (mount, path) in reachable(fs) {
        let parent = mount.at().map_or(1, |at| at.mount.id);
        let (major, minor) = device::split(mount.system.device());
        let top = crate::vfs::Place { mount: mount.clone(), inode: mount.system.root() };
        let inside = if top.is_mount_root() { b"/".to_vec() } else { below(&mount) };
        let access = if mount.is_read_only() { "ro" } else { "rw" };
        let _written = writeln!(
            text,
            "{} {parent} {major}:{minor} {} {} {} - {} {} {access}{}",
            mount.id,
            escaped(&inside),
            escaped(&path),
            flag_names(&mount),
            mount.system.name(),
            escaped(&mount.source),
            mount.system.options(),
        );
    }
    text.into_bytes()
}

/// The path, in its file system, of what was bound.
fn below(mount: &Mount) -> Vec<u8> {
    let mut names = Vec::new();
    let mut here = mount.root.clone();
    while let crate::vfs::Above::In(parent, name) = here.above() {
        names.push(name);
        here = parent;
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}
