// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who asks, and whether the mode bits of a file allow it (credentials(7), path_resolution(7), capabilities(7)).

use super::inode::{Kind, Owner, Time};
use crate::call::{Clock, Clocks, Ids};
use crate::errno::{EACCES, EPERM, Result};
use crate::signal::request::Requests;
use crate::task::credentials::Credentials;
use linux_raw_sys::general::{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, S_ISVTX};

/// Bits of one triple of a mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want(pub u32);

impl Want {
    pub const EXECUTE: Want = Want(1);
    pub const WRITE: Want = Want(2);
    pub const READ: Want = Want(4);
    pub const fn and(self, other: Want) -> Want {
        Want(self.0 | other.0)
    }
    const fn is_within(self, bits: u32) -> bool {
        self.0 & !bits == 0
    }
}

/// The thread that makes a call, as files see it.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub ids: Ids,
    pub credentials: &'a Credentials,
    pub clock: &'a dyn Clocks,
    pub signals: &'a Requests,
}

impl Caller<'_> {
    pub fn now(&self) -> Time {
        Time::from_ns(self.clock.now_ns(Clock::Realtime))
    }
    /// Errors: `EACCES`.
    pub fn may(&self, owner: &Owner, want: Want) -> Result<()> {
        let who = self.credentials;
        let shift = match () {
            () if who.fsuid == owner.uid => 6,
            () if who.in_group(owner.gid) => 3,
            () => 0,
        };
        if want.is_within(owner.mode >> shift & 7) {
            return Ok(());
        }
        let is_directory = owner.kind() == Kind::Directory;
        let anybody_executes = is_directory || owner.mode & 0o111 != 0;
        if who.can(CAP_DAC_OVERRIDE) && (anybody_executes || want.0 & Want::EXECUTE.0 == 0) {
            return Ok(());
        }
        let reads = if is_directory { Want::READ.and(Want::EXECUTE) } else { Want::READ };
        if who.can(CAP_DAC_READ_SEARCH) && want.is_within(reads.0) {
            return Ok(());
        }
        Err(EACCES)
    }
    pub fn owns(&self, owner: &Owner) -> bool {
        self.credentials.fsuid == owner.uid || self.credentials.can(CAP_FOWNER)
    }
    /// Whether a name may be taken out of a directory. Errors: `EACCES`; `EPERM` for another's file where the sticky bit is set.
    pub fn may_remove(&self, directory: &Owner, victim: &Owner) -> Result<()> {
        self.may(directory, Want::WRITE.and(Want::EXECUTE))?;
        let is_sticky = directory.mode & S_ISVTX != 0;
        if is_sticky && self.credentials.fsuid != directory.uid && !self.owns(victim) { Err(EPERM) } else { Ok(()) }
    }
    /// Errors: `EPERM`.
    pub fn needs(&self, capability: u32) -> Result<()> {
        if self.credentials.can(capability) { Ok(()) } else { Err(EPERM) }
    }
}
