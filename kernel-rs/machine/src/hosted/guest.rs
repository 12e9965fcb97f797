// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest execution as `x86_64/guest.rs` does it, for tests: what the short way does is asked for by name.

use crate::context::{Block, UserState};
use crate::guest::{Exit, Guest, Home, KICK, general};
use crate::registers::{FORCED_FLAGS, Registers, SYSCALL, USER_FLAGS};
use abi::boot_info::USER_END;
use abi::guest::{State, resume, word};
use std::mem::offset_of;

impl Guest {
    /// From home into the guest; gets the bases of FS and GS and gives those to load. A word of the page that is
    /// refused is named, and nothing is changed.
    pub(crate) fn enter(&mut self, r: &mut Registers, bases: [u64; 2]) -> Result<[u64; 2], u64> {
        let address = |offset, number| Some(self.read(offset)).filter(|a| *a < USER_END).ok_or(number);
        let rip = address(offset_of!(State, rip), word::RIP)?;
        let fs_base = address(offset_of!(State, fs_base), word::FS_BASE)?;
        let gs_base = address(offset_of!(State, gs_base), word::GS_BASE)?;
        let [home_fs, home_gs] = bases;
        self.home = Home {
            rbx: r.rbx,
            rbp: r.rbp,
            r12: r.r12,
            r13: r.r13,
            r14: r.r14,
            r15: r.r15,
            rip: r.rip,
            rflags: r.rflags,
            rsp: r.rsp,
            fs_base: home_fs,
            gs_base: home_gs,
        };
        self.inside = 1;
        for (offset, register) in general(r) {
            *register = self.read(offset);
        }
        (r.rip, r.rflags) = (rip, self.read(offset_of!(State, rflags)) & USER_FLAGS | FORCED_FLAGS);
        r.vector = if self.read(offset_of!(State, resume)) == resume::FROM_SYSCALL { SYSCALL } else { 0 };
        r.confine();
        Ok([fs_base, gs_base])
    }
}

pub fn has_guests() -> bool {
    true
}

/// `GuestRun` by the short way: `None` if the thread must take the long one, else the word that is refused, or
/// nothing and the registers are the guest's.
pub fn guest_runs(user: &mut UserState, registers: &mut Registers) -> Option<Result<(), u64>> {
    let context = user.context.as_mut().filter(|c| c.is_attached())?;
    // Whoever retires a root tells each CPU.
    context.block().guest.check_roots(context.latch());
    let wanted = context.latch().has(u32::MAX);
    let guest = &mut context.block_mut().guest;
    (!wanted).then(|| guest.enter(registers, [0; 2]).map(drop))
}

/// The guest's `syscall`.
pub fn guest_syscall(user: &mut UserState, registers: &mut Registers) {
    user.leave_guest(registers, Exit::SYSCALL);
}

/// An exception in the guest, or with `None` nothing but a kick that waits; true if it comes out.
pub fn guest_faults(user: &mut UserState, registers: &mut Registers, exit: Option<Exit>) -> bool {
    let kicked = || user.context.as_ref().is_some_and(|c| c.latch().has(KICK));
    match exit {
        Some(exit) => user.leave_guest(registers, exit),
        None if kicked() => {
            user.take_kick();
            user.leave_guest(registers, Exit::KICKED);
        }
        None => return false,
    }
    true
}

pub(crate) fn bases() -> [u64; 2] {
    [0; 2]
}

pub(crate) fn set_bases(_: [u64; 2]) {}

pub(crate) fn pin_roots(_: &UserState) {}

pub(crate) fn save_vector(block: &mut Block) -> usize {
    block.uses_vector = true;
    832
}

pub(crate) fn load_vector(block: &mut Block) {
    block.uses_vector = true;
}

pub(crate) fn vector_limits() -> (u64, u32) {
    (7, 0xffff)
}
