// SPDX-License-Identifier: PMPL-1.0-or-later
//! What prctl(2), setpriority(2) and sched_setscheduler(2) set of a process and programs read back.

use linux_raw_sys::general::SCHED_NORMAL;

/// A child has its parent's, unless a line says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// PR_SET_PDEATHSIG: sent when the parent ends; 0 for none. Not a child's.
    pub death_signal: u32,
    pub no_new_privileges: bool,
    pub keeps_capabilities: bool,
    pub timer_slack_ns: u64,
    /// -20 to 19. Remembered; threads of a cell have one priority.
    pub nice: i32,
    /// As `nice`.
    pub policy: u32,
    pub real_time_priority: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            death_signal: 0,
            no_new_privileges: false,
            keeps_capabilities: false,
            // As Linux has it.
            timer_slack_ns: 50_000,
            nice: 0,
            policy: SCHED_NORMAL,
            real_time_priority: 0,
        }
    }
}

impl Settings {
    pub fn for_child(&self) -> Settings {
        Settings { death_signal: 0, ..*self }
    }
    pub fn after_exec(&self) -> Settings {
        Settings { keeps_capabilities: false, ..*self }
    }
}
