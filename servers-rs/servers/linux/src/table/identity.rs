// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls of credentials, limits, scheduling and names.

use super::{Row, Serve};
use crate::call::{control, identity, limits, schedule, system};
use crate::task::TaskHandler;
use linux_raw_sys::general::*;

const fn row(number: u32, name: &'static str, handler: TaskHandler) -> Row {
    noted(number, name, handler, "")
}
const fn noted(number: u32, name: &'static str, handler: TaskHandler, notes: &'static str) -> Row {
    Row { number, name, serve: Serve::Task(handler), done: &[], notes }
}
const REMEMBERED: &str = "remembered and told; threads of a cell have one priority";
const USED: &str = "processor time is told, all of it as the user's; the rest is 0";

pub const ROWS: &[Row] = &[
    row(__NR_setuid, "setuid", identity::setuid),
    row(__NR_setgid, "setgid", identity::setgid),
    row(__NR_setreuid, "setreuid", identity::setreuid),
    row(__NR_setregid, "setregid", identity::setregid),
    row(__NR_setresuid, "setresuid", identity::setresuid),
    row(__NR_setresgid, "setresgid", identity::setresgid),
    row(__NR_getresuid, "getresuid", identity::getresuid),
    row(__NR_getresgid, "getresgid", identity::getresgid),
    row(__NR_setfsuid, "setfsuid", identity::setfsuid),
    row(__NR_setfsgid, "setfsgid", identity::setfsgid),
    row(__NR_getgroups, "getgroups", identity::getgroups),
    row(__NR_setgroups, "setgroups", identity::setgroups),
    noted(__NR_capget, "capget", identity::capget, "no file capabilities, no user namespaces"),
    row(__NR_capset, "capset", identity::capset),
    row(__NR_getrlimit, "getrlimit", limits::getrlimit),
    row(__NR_setrlimit, "setrlimit", limits::setrlimit),
    row(__NR_prlimit64, "prlimit64", limits::prlimit64),
    noted(__NR_getrusage, "getrusage", limits::getrusage, USED),
    noted(__NR_times, "times", limits::times, USED),
    row(__NR_sched_getaffinity, "sched_getaffinity", schedule::sched_getaffinity),
    noted(__NR_sched_setaffinity, "sched_setaffinity", schedule::sched_setaffinity, "checked, and has no effect"),
    row(__NR_sched_getscheduler, "sched_getscheduler", schedule::sched_getscheduler),
    noted(__NR_sched_setscheduler, "sched_setscheduler", schedule::sched_setscheduler, REMEMBERED),
    row(__NR_sched_getparam, "sched_getparam", schedule::sched_getparam),
    noted(__NR_sched_setparam, "sched_setparam", schedule::sched_setparam, REMEMBERED),
    row(__NR_sched_get_priority_max, "sched_get_priority_max", schedule::sched_get_priority_max),
    row(__NR_sched_get_priority_min, "sched_get_priority_min", schedule::sched_get_priority_min),
    row(__NR_sched_rr_get_interval, "sched_rr_get_interval", schedule::sched_rr_get_interval),
    row(__NR_getpriority, "getpriority", schedule::getpriority),
    noted(__NR_setpriority, "setpriority", schedule::setpriority, REMEMBERED),
    row(__NR_uname, "uname", system::uname),
    row(__NR_sethostname, "sethostname", system::sethostname),
    row(__NR_setdomainname, "setdomainname", system::setdomainname),
    noted(__NR_sysinfo, "sysinfo", system::sysinfo, "memory is the cell's; no load average"),
    row(__NR_getrandom, "getrandom", system::getrandom),
    Row {
        number: __NR_prctl,
        name: "prctl",
        serve: Serve::Task(control::prctl),
        done: &[
            "PR_SET_NAME",
            "PR_GET_NAME",
            "PR_CAPBSET_READ",
            "PR_CAPBSET_DROP",
            "PR_CAP_AMBIENT",
            "PR_GET_SECUREBITS",
            "PR_GET_SECCOMP",
            "PR_SET_PDEATHSIG",
            "PR_GET_PDEATHSIG",
            "PR_SET_DUMPABLE",
            "PR_GET_DUMPABLE",
            "PR_SET_KEEPCAPS",
            "PR_GET_KEEPCAPS",
            "PR_SET_NO_NEW_PRIVS",
            "PR_GET_NO_NEW_PRIVS",
            "PR_SET_TIMERSLACK",
            "PR_GET_TIMERSLACK",
            "PR_SET_CHILD_SUBREAPER",
            "PR_GET_CHILD_SUBREAPER",
            "PR_SET_VMA",
            "PR_SET_THP_DISABLE",
            "PR_GET_THP_DISABLE",
        ],
        notes: "",
    },
    noted(__NR_seccomp, "seccomp", control::seccomp, "EINVAL: there are no filters"),
];
