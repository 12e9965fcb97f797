// SPDX-License-Identifier: PMPL-1.0-or-later
//! The alternate stack of a thread (sigaltstack(2)): `stack_t` is pointer, flags, size.

use crate::errno::{EINVAL, ENOMEM, EPERM, Result};
use linux_raw_sys::general::{MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK};

/// Length of `stack_t`.
pub const STACK_BYTES: usize = 24;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AltStack {
    pub base: u64,
    pub flags: u32,
    pub size_bytes: u64,
}

impl Default for AltStack {
    fn default() -> AltStack {
        AltStack { base: 0, flags: SS_DISABLE, size_bytes: 0 }
    }
}

impl AltStack {
    pub fn from_bytes(bytes: &[u8; STACK_BYTES]) -> AltStack {
        let words = bytes.as_chunks::<8>().0;
        let [base, flags, size_bytes] = [0, 1, 2].map(|n| u64::from_le_bytes(words[n]));
        AltStack { base, flags: flags as u32, size_bytes }
    }
    pub fn to_bytes(self) -> [u8; STACK_BYTES] {
        let mut bytes = [0; STACK_BYTES];
        let words = [self.base, self.flags.into(), self.size_bytes];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes
    }

    pub const fn is_there(&self) -> bool {
        self.flags & SS_DISABLE == 0 && self.size_bytes > 0
    }
    /// Whether a stack pointer is on it. Never so with SS_AUTODISARM: the stack is given up when a handler enters it.
    pub const fn holds(&self, sp: u64) -> bool {
        self.flags & SS_AUTODISARM == 0 && self.covers(sp)
    }
    /// Whether an address lies in it.
    pub const fn covers(&self, sp: u64) -> bool {
        self.is_there() && sp > self.base && sp - self.base <= self.size_bytes
    }
    /// Its upper end.
    pub const fn top(&self) -> u64 {
        self.base.wrapping_add(self.size_bytes)
    }

    /// As the call shows it to a thread whose stack pointer is `sp`.
    pub const fn shown(self, sp: u64) -> AltStack {
        let on = if self.holds(sp) { SS_ONSTACK } else { 0 };
        AltStack { flags: self.flags & (SS_DISABLE | SS_AUTODISARM) | on, ..self }
    }

    /// The thread wants another one. Errors: `EPERM` while it runs on the present one, `EINVAL` for flags that there are not,
    /// `ENOMEM` for less than the least size.
    pub fn replace(&mut self, wanted: AltStack, sp: u64) -> Result<()> {
        if self.holds(sp) {
            return Err(EPERM);
        }
        let mode = wanted.flags & !SS_AUTODISARM;
        if mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE {
            return Err(EINVAL);
        }
        *self = if mode == SS_DISABLE {
            AltStack { base: 0, flags: wanted.flags, size_bytes: 0 }
        } else if wanted.size_bytes < u64::from(MINSIGSTKSZ) {
            return Err(ENOMEM);
        } else {
            AltStack { flags: wanted.flags & SS_AUTODISARM, ..wanted }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: AltStack = AltStack { base: 0x10000, flags: 0, size_bytes: 0x4000 };

    #[test]
    fn it_is_replaced_only_from_outside() {
        let mut stack = STACK;
        assert_eq!(stack.replace(AltStack::default(), 0x12000), Err(EPERM));
        assert_eq!(stack.shown(0x12000).flags, SS_ONSTACK);
        assert_eq!(stack.replace(AltStack::default(), 0x20000), Ok(()));
        assert_eq!(stack.shown(0x12000).flags, SS_DISABLE);
    }

    #[test]
    fn one_that_is_too_small_or_has_an_unknown_flag_is_refused_and_the_present_one_stays() {
        let mut stack = STACK;
        assert_eq!(stack.replace(AltStack { size_bytes: 2047, ..STACK }, 0), Err(ENOMEM));
        assert_eq!(stack.replace(AltStack { flags: 4, ..STACK }, 0), Err(EINVAL));
        assert_eq!(stack, STACK);
    }

    #[test]
    fn its_edges_are_those_of_linux() {
        assert_eq!([0x10000, 0x10001, 0x14000, 0x14001].map(|sp| STACK.holds(sp)), [false, true, true, false]);
    }
}
