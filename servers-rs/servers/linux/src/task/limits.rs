// SPDX-License-Identifier: PMPL-1.0-or-later
//! Resource limits (getrlimit(2)): of a process, handed to its children.

use linux_raw_sys::general::{RLIM_NLIMITS, RLIM64_INFINITY, RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_STACK};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits([Limit; RLIM_NLIMITS as usize]);

impl Default for Limits {
    /// As a Linux that has just started gives them to its first process.
    fn default() -> Limits {
        let mut limits = Limits([Limit { soft: RLIM64_INFINITY as u64, hard: RLIM64_INFINITY as u64 }; RLIM_NLIMITS as usize]);
        limits.set(RLIMIT_STACK, Limit { soft: 8 << 20, hard: RLIM64_INFINITY as u64 });
        limits.set(RLIMIT_CORE, Limit { soft: 0, hard: RLIM64_INFINITY as u64 });
        limits.set(RLIMIT_NOFILE, Limit { soft: 1024, hard: 1 << 20 });
        limits
    }
}

impl Limits {
    /// `resource` is an `RLIMIT_` of linux_raw_sys; `None` for a number that is none.
    pub fn get(&self, resource: u32) -> Option<Limit> {
        self.0.get(resource as usize).copied()
    }
    /// What counts now: unlimited for a number that is none.
    pub fn soft(&self, resource: u32) -> u64 {
        self.get(resource).map_or(u64::MAX, |limit| limit.soft)
    }
    pub fn set(&mut self, resource: u32, limit: Limit) {
        if let Some(place) = self.0.get_mut(resource as usize) {
            *place = limit;
        }
    }
}
