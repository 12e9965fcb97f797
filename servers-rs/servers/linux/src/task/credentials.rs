// SPDX-License-Identifier: PMPL-1.0-or-later
//! Whose a thread is and what it may do (credentials(7), capabilities(7)).

use alloc::vec::Vec;
use linux_raw_sys::general::CAP_LAST_CAP;

/// All capabilities that there are.
pub const ALL: u64 = (1 << (CAP_LAST_CAP + 1)) - 1;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    /// Supplementary ones.
    pub groups: Vec<u32>,
    /// Sets of capabilities: bit n is capability n.
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
    pub bounding: u64,
}

impl Credentials {
    pub const fn root() -> Credentials {
        Credentials {
            uid: 0,
            euid: 0,
            suid: 0,
            fsuid: 0,
            gid: 0,
            egid: 0,
            sgid: 0,
            fsgid: 0,
            groups: Vec::new(),
            effective: ALL,
            permitted: ALL,
            inheritable: 0,
            ambient: 0,
            bounding: ALL,
        }
    }
    /// `capability` is a `CAP_` of linux_raw_sys.
    pub fn can(&self, capability: u32) -> bool {
        capability < u64::BITS && self.effective & 1 << capability != 0
    }
    /// As access(2) asks: with the real instead of the effective numbers.
    pub fn real(&self) -> Credentials {
        let effective = if self.uid == 0 { self.permitted } else { 0 };
        Credentials { fsuid: self.uid, fsgid: self.gid, effective, ..self.clone() }
    }
    /// As file permissions count it.
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.contains(&gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general::{CAP_CHOWN, CAP_KILL};

    #[test]
    fn a_capability_is_one_bit_and_one_that_there_is_not_is_nobodys() {
        let mut it = Credentials::root();
        it.effective &= !(1 << CAP_KILL);
        assert_eq!([CAP_CHOWN, CAP_KILL, 63, 64].map(|c| it.can(c)), [true, false, false, false]);
    }
}
