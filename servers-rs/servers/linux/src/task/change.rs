// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who may become whom: the rules of setuid(2) and its siblings, the same for users and groups.

use super::credentials::Credentials;
use crate::errno::{EINVAL, EPERM, Result};

/// An argument that leaves a number as it is.
const KEEP: u32 = u32::MAX;

/// The numbers of users or those of groups.
#[derive(Clone, Copy, Debug)]
pub struct Which {
    /// With it any number may be taken.
    pub capability: u32,
    /// Real, effective, saved, of files.
    pub of: fn(&mut Credentials) -> [&mut u32; 4],
}

impl Which {
    fn now(&self, it: &mut Credentials) -> [u32; 4] {
        (self.of)(it).map(|id| *id)
    }

    /// The number that files see follows the effective one.
    fn store(&self, it: &mut Credentials, [real, effective, saved]: [u32; 3]) {
        let before = [it.uid, it.euid, it.suid];
        let [r, e, s, f] = (self.of)(it);
        (*r, *e, *s, *f) = (real, effective, saved, effective);
        follow(it, before);
    }

    /// setuid(2). Errors: `EINVAL`, `EPERM`.
    pub fn set(&self, it: &mut Credentials, id: u32) -> Result<u64> {
        let [real, _, saved, _] = self.now(it);
        if id == KEEP {
            return Err(EINVAL);
        }
        if it.can(self.capability) {
            self.store(it, [id; 3]);
        } else if id == real || id == saved {
            self.store(it, [real, id, saved]);
        } else {
            return Err(EPERM);
        }
        Ok(0)
    }

    /// setreuid(2): the saved number follows when the real one is set, or the effective one becomes another than the real one.
    pub fn set_two(&self, it: &mut Credentials, real: u32, effective: u32) -> Result<u64> {
        let [r, e, s, _] = self.now(it);
        let may_real = real == KEEP || [r, e].contains(&real);
        let may_effective = effective == KEEP || [r, e, s].contains(&effective);
        let may = may_real && may_effective;
        if !may && !it.can(self.capability) {
            return Err(EPERM);
        }
        let follows = real != KEEP || effective != KEEP && effective != r;
        let effective = or(effective, e);
        self.store(it, [or(real, r), effective, if follows { effective } else { s }]);
        Ok(0)
    }

    /// setresuid(2).
    pub fn set_three(&self, it: &mut Credentials, ids: [u32; 3]) -> Result<u64> {
        let [r, e, s, _] = self.now(it);
        let allowed = |id: &u32| *id == KEEP || [r, e, s].contains(id);
        if !it.can(self.capability) && !ids.iter().all(allowed) {
            return Err(EPERM);
        }
        self.store(it, [or(ids[0], r), or(ids[1], e), or(ids[2], s)]);
        Ok(0)
    }

    /// setfsuid(2): answers the number of before; what is not allowed is not done, and nobody is told.
    pub fn set_of_files(&self, it: &mut Credentials, id: u32) -> Result<u64> {
        let now @ [.., before] = self.now(it);
        if id != KEEP && (now.contains(&id) || it.can(self.capability)) {
            *(self.of)(it)[3] = id;
        }
        Ok(before.into())
    }
}

fn or(id: u32, now: u32) -> u32 {
    if id == KEEP { now } else { id }
}

/// Who stops being root gives up what root may (capabilities(7), "Effect of user ID changes on capabilities").
fn follow(it: &mut Credentials, before: [u32; 3]) {
    let after = [it.uid, it.euid, it.suid];
    if before.contains(&0) && !after.contains(&0) {
        (it.permitted, it.effective, it.ambient) = (0, 0, 0);
    }
    match (before[1], it.euid) {
        (0, euid) if euid != 0 => it.effective = 0,
        (euid, 0) if euid != 0 => it.effective = it.permitted,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::credentials::ALL;
    use linux_raw_sys::general::CAP_SETUID;

    const UID: Which = Which { capability: CAP_SETUID, of: |c| [&mut c.uid, &mut c.euid, &mut c.suid, &mut c.fsuid] };

    fn users(it: &Credentials) -> [u32; 4] {
        [it.uid, it.euid, it.suid, it.fsuid]
    }

    #[test]
    fn root_becomes_another_for_good_and_may_nothing_more() {
        let mut it = Credentials::root();
        assert_eq!(UID.set(&mut it, 1000), Ok(0));
        assert_eq!((users(&it), it.effective, it.permitted), ([1000; 4], 0, 0));
        assert_eq!(UID.set(&mut it, 0), Err(EPERM));
        assert_eq!(UID.set(&mut it, KEEP), Err(EINVAL));
    }

    #[test]
    fn root_for_a_while_another_comes_back_by_the_saved_number() {
        let mut it = Credentials::root();
        assert_eq!(UID.set_three(&mut it, [KEEP, 1000, KEEP]), Ok(0));
        assert_eq!((users(&it), it.effective, it.permitted), ([0, 1000, 0, 1000], 0, ALL));
        assert_eq!(UID.set_three(&mut it, [KEEP, 5, KEEP]), Err(EPERM));
        assert_eq!(UID.set_two(&mut it, KEEP, 0), Ok(0));
        assert_eq!((users(&it), it.effective), ([0; 4], ALL));
    }

    #[test]
    fn the_saved_number_follows_a_real_one_that_is_set() {
        let mut it = Credentials::root();
        assert_eq!(UID.set_two(&mut it, 7, 8), Ok(0));
        assert_eq!(users(&it), [7, 8, 8, 8]);
        assert_eq!(UID.set_two(&mut it, 8, 7), Ok(0));
        assert_eq!(UID.set_two(&mut it, 9, KEEP), Err(EPERM));
        assert_eq!(users(&it), [8, 7, 7, 7]);
    }

    #[test]
    fn the_number_of_files_is_told_and_changed_only_where_allowed() {
        let mut it = Credentials::root();
        assert_eq!((UID.set_of_files(&mut it, 5), it.fsuid), (Ok(0), 5));
        let _ = UID.set(&mut it, 1000);
        assert_eq!((UID.set_of_files(&mut it, 5), it.fsuid), (Ok(1000), 1000));
        assert_eq!((UID.set_of_files(&mut it, KEEP), it.fsuid), (Ok(1000), 1000));
    }
}
