// SPDX-License-Identifier: PMPL-1.0-or-later
//! What /proc says of the whole: memory, time, settings of the kernel.

use super::format::ticks;
use super::{ProcSource, Whole};
use crate::errno::Result;
use crate::fs::text::{Make, Text};
use crate::vfs::Caller;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;

/// Settings that nobody changes: values of a Debian 12.
const FIXED: [(&str, &str); 41] = [
    ("sys/fs/file-max", "1048576\n"),
    ("sys/fs/file-nr", "0\t0\t1048576\n"),
    ("sys/fs/nr_open", "1048576\n"),
    ("sys/fs/pipe-max-size", "1048576\n"),
    ("sys/fs/protected_hardlinks", "1\n"),
    ("sys/fs/protected_symlinks", "1\n"),
    ("sys/fs/suid_dumpable", "0\n"),
    ("sys/fs/inotify/max_queued_events", "16384\n"),
    ("sys/fs/inotify/max_user_instances", "128\n"),
    ("sys/fs/inotify/max_user_watches", "65536\n"),
    ("sys/fs/epoll/max_user_watches", "65536\n"),
    ("sys/fs/mqueue/msg_max", "10\n"),
    ("sys/kernel/cap_last_cap", "40\n"),
    ("sys/kernel/core_pattern", "core\n"),
    ("sys/kernel/core_uses_pid", "0\n"),
    ("sys/kernel/dmesg_restrict", "1\n"),
    ("sys/kernel/kptr_restrict", "0\n"),
    ("sys/kernel/ngroups_max", "65536\n"),
    ("sys/kernel/overflowuid", "65534\n"),
    ("sys/kernel/overflowgid", "65534\n"),
    ("sys/kernel/pid_max", "32768\n"),
    ("sys/kernel/randomize_va_space", "2\n"),
    ("sys/kernel/sched_rt_runtime_us", "950000\n"),
    ("sys/kernel/threads-max", "16384\n"),
    ("sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno trace log allow\n"),
    ("sys/kernel/yama/ptrace_scope", "0\n"),
    ("sys/kernel/unprivileged_userns_clone", "0\n"),
    ("sys/kernel/perf_event_paranoid", "3\n"),
    ("sys/kernel/tainted", "0\n"),
    ("sys/kernel/shmmax", "18446744073692774399\n"),
    ("sys/net/core/somaxconn", "4096\n"),
    ("sys/net/ipv4/ip_forward", "0\n"),
    ("sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("sys/net/ipv4/tcp_keepalive_time", "7200\n"),
    ("sys/net/ipv6/conf/all/disable_ipv6", "0\n"),
    ("sys/user/max_user_namespaces", "0\n"),
    ("sys/vm/max_map_count", "65530\n"),
    ("sys/vm/mmap_min_addr", "65536\n"),
    ("sys/vm/overcommit_memory", "0\n"),
    ("sys/vm/overcommit_ratio", "50\n"),
    ("sys/vm/swappiness", "60\n"),
];

const FILESYSTEMS: &str = "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tpipefs\nnodev\tsockfs\nnodev\tdevpts\n\
    nodev\toverlay\n\text4\n\terofs\n";

fn whole(source: &Arc<dyn ProcSource>, make: fn(&Whole) -> Vec<u8>) -> Text {
    let source = source.clone();
    Text::Read(Box::new(move |_: &Caller<'_>| Ok(make(&source.whole()))))
}
fn fixed(text: &'static str) -> Text {
    Text::Read(Box::new(move |_: &Caller<'_>| Ok(text.as_bytes().to_vec())))
}

pub fn entries(source: &Arc<dyn ProcSource>) -> Vec<(&'static str, Text)> {
    let mut all: Vec<(&'static str, Text)> = alloc::vec![
        ("cmdline", fixed("\n")),
        ("cpuinfo", whole(source, |whole| whole.processors.clone())),
        (
            "devices",
            fixed(
                "Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n"
            )
        ),
        ("filesystems", fixed(FILESYSTEMS)),
        ("loadavg", whole(source, loadavg)),
        ("meminfo", whole(source, meminfo)),
        ("modules", fixed("")),
        ("net", Text::Directory),
        ("partitions", fixed("major minor  #blocks  name\n\n")),
        ("stat", whole(source, stat)),
        ("swaps", fixed("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")),
        ("uptime", whole(source, uptime)),
        ("version", whole(source, version)),
        ("vmstat", whole(source, vmstat)),
        ("sys/kernel/ostype", fixed("Linux\n")),
        ("sys/kernel/osrelease", whole(source, |whole| line(&whole.release))),
        ("sys/kernel/version", whole(source, |whole| line(&whole.version))),
        ("sys/kernel/domainname", whole(source, |whole| line(&whole.domain))),
    ];
    all.extend(FIXED.iter().map(|(path, text)| (*path, fixed(text))));
    let (host, setter) = (source.clone(), source.clone());
    let make: Make = Box::new(move |_: &Caller<'_>| Ok(line(&host.whole().host)));
    let take = Box::new(move |_: &Caller<'_>, bytes: &[u8]| setter.set_host(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
    all.push(("sys/kernel/hostname", Text::Write(make, take)));
    all.push(("sys/kernel/random/boot_id", random_id(None)));
    all.push(("sys/kernel/random/uuid", random_id(Some(()))));
    all.push(("sys/kernel/random/entropy_avail", fixed("256\n")));
    all
}

/// A UUID out of the clock: the boot's, or one for each who asks.
fn random_id(fresh: Option<()>) -> Text {
    let made = spin::Mutex::new(None::<u64>);
    Text::Read(Box::new(move |caller: &Caller<'_>| -> Result<Vec<u8>> {
        let now = caller.clock.now_ns(crate::call::Clock::Realtime);
        let mut made = made.lock();
        let seed = if fresh.is_some() { now } else { *made.get_or_insert(now) };
        *made = Some(seed);
        // SplitMix64: well spread, which is all that a name needs.
        let mix = |n: u64| {
            let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            n ^ n >> 31
        };
        let (high, low) = (mix(seed), mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)));
        Ok(format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}\n",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            0x8000 | low >> 48 & 0x3fff,
            low & 0xffff_ffff_ffff
        )
        .into_bytes())
    }))
}

fn line(text: &[u8]) -> Vec<u8> {
    let text = if text.is_empty() { b"(none)" } else { text };
    [text, b"\n"].concat()
}

fn meminfo(whole: &Whole) -> Vec<u8> {
    let mut text = String::new();
    let kib = |bytes: u64| bytes / 1024;
    let available = whole.free_bytes + whole.cached_bytes;
    let used = whole.memory_bytes.saturating_sub(available + whole.shared_bytes);
    let lines = [
        ("MemTotal", whole.memory_bytes),
        ("MemFree", whole.free_bytes),
        ("MemAvailable", available),
        ("Buffers", 0),
        ("Cached", whole.cached_bytes + whole.shared_bytes),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", whole.cached_bytes),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", whole.cached_bytes),
        ("Shmem", whole.shared_bytes),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("PageTables", 0),
        ("CommitLimit", whole.memory_bytes / 2),
        ("Committed_AS", used),
        ("VmallocTotal", 1 << 45),
    ];
    for (name, bytes) in lines {
        let _written = writeln!(text, "{:<16}{:>8} kB", format!("{name}:"), kib(bytes));
    }
    text.push_str("HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
    text.into_bytes()
}

fn stat(whole: &Whole) -> Vec<u8> {
    let cpus = u64::from(whole.cpus.max(1));
    let mut text = String::new();
    let mut cpu = |name: &str, share: u64| {
        let [user, system, idle] = [whole.user_ns, whole.system_ns, whole.idle_ns].map(|ns| ticks(ns / share));
        let _written = writeln!(text, "{name} {user} 0 {system} {idle} 0 0 0 0 0 0");
    };
    cpu("cpu ", 1);
    for n in 0..cpus {
        cpu(&format!("cpu{n}"), cpus);
    }
    let _written = write!(
        text,
        "intr 0\nctxt {}\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\nsoftirq 0\n",
        whole.switches, whole.booted_s, whole.forks, whole.running
    );
    text.into_bytes()
}

fn hundredths(ns: u64) -> String {
    format!("{}.{:02}", ns / 1_000_000_000, ns / 10_000_000 % 100)
}
fn uptime(whole: &Whole) -> Vec<u8> {
    format!("{} {}\n", hundredths(whole.up_ns), hundredths(whole.idle_ns)).into_bytes()
}
fn loadavg(whole: &Whole) -> Vec<u8> {
    format!("0.00 0.00 0.00 {}/{} {}\n", whole.running, whole.threads, whole.last_pid).into_bytes()
}
fn version(whole: &Whole) -> Vec<u8> {
    let (release, version) = (String::from_utf8_lossy(&whole.release), String::from_utf8_lossy(&whole.version));
    format!("Linux version {release} (flatracoon) {version}\n").into_bytes()
}
fn vmstat(whole: &Whole) -> Vec<u8> {
    format!("nr_free_pages {}\npgfault 0\npgmajfault 0\noom_kill 0\n", whole.free_bytes / crate::vfs::PAGE_BYTES).into_bytes()
}
