// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls of clocks, sleeping and timers that are read.

use super::{Row, Serve};
use crate::call::time;
use linux_raw_sys::general::*;

const CLOCKS: &[&str] = &[
    "CLOCK_REALTIME",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_TAI",
    "CLOCK_MONOTONIC",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_BOOTTIME",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
];
const NO_CPU_SLEEP: &str = "waiting for processor time to be used is refused";

pub const ROWS: &[Row] = &[
    Row { number: __NR_clock_gettime, name: "clock_gettime", serve: Serve::File(time::clock_gettime), done: CLOCKS, notes: "" },
    Row { number: __NR_clock_getres, name: "clock_getres", serve: Serve::File(time::clock_getres), done: CLOCKS, notes: "" },
    Row {
        number: __NR_clock_settime,
        name: "clock_settime",
        serve: Serve::File(time::clock_settime),
        done: &[],
        notes: "EPERM: a cell has no clock of its own",
    },
    Row { number: __NR_gettimeofday, name: "gettimeofday", serve: Serve::File(time::gettimeofday), done: &[], notes: "" },
    Row { number: __NR_time, name: "time", serve: Serve::File(time::time), done: &[], notes: "" },
    Row { number: __NR_nanosleep, name: "nanosleep", serve: Serve::File(time::nanosleep), done: &[], notes: "" },
    Row {
        number: __NR_clock_nanosleep,
        name: "clock_nanosleep",
        serve: Serve::File(time::clock_nanosleep),
        done: &["CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME", "CLOCK_TAI", "TIMER_ABSTIME"],
        notes: NO_CPU_SLEEP,
    },
    Row {
        number: __NR_timerfd_create,
        name: "timerfd_create",
        serve: Serve::File(time::timerfd_create),
        done: &["CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME", "TFD_CLOEXEC", "TFD_NONBLOCK"],
        notes: "",
    },
    Row {
        number: __NR_timerfd_settime,
        name: "timerfd_settime",
        serve: Serve::File(time::timerfd_settime),
        done: &["TFD_TIMER_ABSTIME", "TFD_TIMER_CANCEL_ON_SET"],
        notes: "",
    },
    Row {
        number: __NR_timerfd_gettime,
        name: "timerfd_gettime",
        serve: Serve::File(time::timerfd_gettime),
        done: &[],
        notes: "",
    },
];
