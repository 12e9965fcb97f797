// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a process does about each signal (sigaction(2)). Shared by CLONE_SIGHAND; a fork copies it, exec keeps what is ignored.

use crate::errno::{EINVAL, Result};
use crate::signal::set::{Fate, LAST, Set, fate};
use linux_raw_sys::general::SA_RESETHAND;

/// Handler "default" and handler "ignore" of the ABI.
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;
/// Length of the kernel's `struct sigaction`.
pub const ACTION_BYTES: usize = 32;

/// `struct sigaction` of the system call (not the C library's).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Action {
    /// An address, or 0 for the default, 1 for ignoring it.
    pub handler: u64,
    pub flags: u64,
    pub restorer: u64,
    /// Blocked as well while the handler runs.
    pub mask: Set,
}

impl Action {
    pub fn from_bytes(bytes: &[u8; ACTION_BYTES]) -> Action {
        let (words, _) = bytes.as_chunks::<8>();
        let [handler, flags, restorer, mask] = [0, 1, 2, 3].map(|n| u64::from_le_bytes(words[n]));
        Action { handler, flags, restorer, mask: Set(mask).without(Set::ABSOLUTE) }
    }
    pub fn to_bytes(&self) -> [u8; ACTION_BYTES] {
        let mut bytes = [0; ACTION_BYTES];
        let words = [self.handler, self.flags, self.restorer, self.mask.0];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes
    }
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }
    pub const fn is_caught(&self) -> bool {
        self.handler > IGNORE
    }
    pub const fn is_ignored(&self) -> bool {
        self.handler == IGNORE
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actions([Action; LAST as usize]);

impl Default for Actions {
    fn default() -> Actions {
        Actions([Action::default(); LAST as usize])
    }
}

impl Actions {
    /// Errors: `EINVAL` for a number that is no signal.
    pub fn get(&self, signal: u32) -> Result<Action> {
        self.0.get((signal as usize).wrapping_sub(1)).copied().ok_or(EINVAL)
    }

    /// Returns what was there. Errors: `EINVAL` for no signal, and for those that cannot be caught or ignored.
    pub fn set(&mut self, signal: u32, action: Action) -> Result<Action> {
        if Set::ABSOLUTE.has(signal) {
            return Err(EINVAL);
        }
        let place = self.0.get_mut((signal as usize).wrapping_sub(1)).ok_or(EINVAL)?;
        Ok(core::mem::replace(place, action))
    }

    /// Whether it is thrown away when it comes: ignored, or of no effect by default.
    pub fn ignores(&self, signal: u32) -> bool {
        self.get(signal).is_ok_and(|action| action.is_ignored() || action.handler == DEFAULT && fate(signal) == Fate::Ignore)
    }

    /// All that would be thrown away.
    pub fn ignored(&self) -> Set {
        Set((1..=LAST).filter(|signal| self.ignores(*signal)).fold(0, |bits, signal| bits | 1 << (signal - 1)))
    }

    /// The handler is about to run: SA_RESETHAND.
    pub(super) fn taken(&mut self, signal: u32) {
        if let Some(place) = self.0.get_mut((signal as usize).wrapping_sub(1))
            && place.has(SA_RESETHAND)
        {
            place.handler = DEFAULT;
        }
    }

    /// A fault that is blocked or ignored kills, whatever the program wanted (force_sig of Linux).
    pub fn forget(&mut self, signal: u32) {
        if let Some(place) = self.0.get_mut((signal as usize).wrapping_sub(1)) {
            *place = Action::default();
        }
    }

    /// As execve(2) leaves it: what was caught is default, what was ignored stays ignored.
    pub fn after_exec(&self) -> Actions {
        let kept = |action: &Action| {
            if action.is_ignored() { Action { handler: IGNORE, ..Action::default() } } else { Action::default() }
        };
        Actions(core::array::from_fn(|n| kept(&self.0[n])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general::{SIGCHLD, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1};

    fn handler(handler: u64) -> Action {
        Action { handler, flags: u64::from(SA_RESETHAND), restorer: 9, mask: Set::of(&[SIGINT]) }
    }

    #[test]
    fn an_action_is_read_and_written_as_the_call_has_it() {
        let action = handler(0x4000);
        assert_eq!(Action::from_bytes(&action.to_bytes()), action);
        let mut bytes = action.to_bytes();
        bytes[24..].fill(0xff);
        assert_eq!(Action::from_bytes(&bytes).mask, Set(!Set::ABSOLUTE.0));
    }

    #[test]
    fn kill_and_stop_keep_their_action_and_numbers_that_are_no_signals_are_refused() {
        let mut actions = Actions::default();
        for signal in [SIGKILL, SIGSTOP, 0, 65, u32::MAX] {
            assert_eq!(actions.set(signal, handler(1)), Err(EINVAL), "{signal}");
        }
        assert_eq!(actions.set(SIGTERM, handler(1)), Ok(Action::default()));
    }

    #[test]
    fn exec_keeps_what_is_ignored_and_nothing_else() {
        let mut actions = Actions::default();
        let _ = actions.set(SIGUSR1, handler(0x4000));
        let _ = actions.set(SIGTERM, handler(IGNORE));
        let after = actions.after_exec();
        assert!(after.ignores(SIGTERM) && after.ignores(SIGCHLD));
        assert_eq!(after.get(SIGUSR1), Ok(Action::default()));
    }
}
