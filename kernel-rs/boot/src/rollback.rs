// SPDX-License-Identifier: PMPL-1.0-or-later
//! The lowest rollback index that may boot: the higher of the one embedded in the loader and the one that the firmware
//! keeps of the slots that were seen successful.

use crate::say;
use crate::voice::Voice;
use core::fmt;

/// The firmware's variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoredFloor {
    /// There is no such variable: a machine that has not confirmed a slot yet.
    None,
    Index(u64),
    /// A variable of that name which no loader of ours wrote: other attributes or another length.
    NotOurs,
    /// The firmware has it and cannot give it.
    Unreadable,
}

/// Where the floor is kept.
pub trait RollbackStore {
    type Error: fmt::Display;

    fn read(&mut self) -> StoredFloor;

    /// Replaces the stored index, durably.
    fn write(&mut self, index: u64) -> Result<(), Self::Error>;
}

/// The floor for this boot. A variable that says nothing useful is mentioned, and the embedded minimum holds alone: a
/// machine with a worn-out variable store must still start.
pub fn floor(store: &mut impl RollbackStore, embedded: u64, voice: &mut impl Voice) -> u64 {
    let stored = match store.read() {
        StoredFloor::None => 0,
        StoredFloor::Index(index) => index,
        StoredFloor::NotOurs => {
            say!(voice, "rollback variable ignored: not made by a loader");
            0
        }
        StoredFloor::Unreadable => {
            say!(voice, "rollback variable unreadable, the embedded minimum holds alone");
            0
        }
    };
    embedded.max(stored)
}

/// Raises the stored index to `index`, that of a slot which verified and is marked successful; never lowers it.
pub fn raise(store: &mut impl RollbackStore, index: u64, voice: &mut impl Voice) {
    let is_higher = match store.read() {
        StoredFloor::Index(stored) => index > stored,
        StoredFloor::None | StoredFloor::NotOurs => index > 0,
        StoredFloor::Unreadable => false,
    };
    if is_higher {
        match store.write(index) {
            Ok(()) => say!(voice, "rollback floor raised to {index}"),
            Err(error) => say!(voice, "rollback floor not raised to {index}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lines;

    struct Store(StoredFloor);

    impl RollbackStore for Store {
        type Error = &'static str;

        fn read(&mut self) -> StoredFloor {
            self.0
        }

        fn write(&mut self, index: u64) -> Result<(), Self::Error> {
            self.0 = StoredFloor::Index(index);
            Ok(())
        }
    }

    fn floor_of(stored: StoredFloor, embedded: u64) -> u64 {
        floor(&mut Store(stored), embedded, &mut Lines::default())
    }

    fn after_raise(stored: StoredFloor, index: u64) -> StoredFloor {
        let mut store = Store(stored);
        raise(&mut store, index, &mut Lines::default());
        store.0
    }

    #[test]
    fn the_floor_is_the_higher_of_both() {
        assert_eq!(floor_of(StoredFloor::None, 3), 3);
        assert_eq!(floor_of(StoredFloor::Index(5), 3), 5);
        assert_eq!(floor_of(StoredFloor::Index(2), 3), 3);
    }

    #[test]
    fn a_variable_that_is_not_ours_neither_raises_nor_lowers_it() {
        assert_eq!(floor_of(StoredFloor::NotOurs, 3), 3);
        assert_eq!(floor_of(StoredFloor::Unreadable, 3), 3);
    }

    #[test]
    fn it_is_raised_and_never_lowered() {
        assert_eq!(after_raise(StoredFloor::None, 4), StoredFloor::Index(4));
        assert_eq!(after_raise(StoredFloor::Index(4), 6), StoredFloor::Index(6));
        assert_eq!(after_raise(StoredFloor::Index(6), 4), StoredFloor::Index(6));
        assert_eq!(after_raise(StoredFloor::NotOurs, 4), StoredFloor::Index(4));
        assert_eq!(after_raise(StoredFloor::Unreadable, 4), StoredFloor::Unreadable);
    }
}
