// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `slot`: the boot attributes of the slots, and nothing else of the disk. Granted to `update` only.
#![no_std]

use ipc::{Message, Reader, Wire};

/// Which slot this system runs from, and what its partition entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// `b'A'` or `b'B'`.
    pub name: u8,
    pub priority: u8,
    pub tries: u8,
    pub successful: bool,
}

impl Wire for State {
    fn put(&self, into: &mut Message) {
        self.name.put(into);
        self.priority.put(into);
        self.tries.put(into);
        self.successful.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(State { name: u8::take(from)?, priority: u8::take(from)?, tries: u8::take(from)?, successful: bool::take(from)? })
    }
}

ipc::interface! {
    /// Boot attributes of the slot that runs.
    interface slot;
    errors {
        /// The system was not started from a slot of a disk.
        NoSlot = 16,
        /// The disk failed; the attributes are the old ones or the new ones, each copy whole.
        DeviceFailed = 17,
        /// Neither copy of the partition table is sound.
        Damaged = 18,
        /// No other slot could be booted instead.
        OnlyOne = 19,
    }
    methods {
        /// What the partition entry of the running slot says now.
        1 state idempotent () -> State;
        /// Marks the running slot good: successful 1, tries 0, in both copies of the table, flushed. Returns the new state.
        2 confirm idempotent () -> State;
        /// Gives the running slot up, confirmed or not, if another one can be booted: successful 0, tries 0, as `confirm`
        /// writes. For who resets the machine because this system does not hold. Returns the new state.
        3 give_up idempotent () -> State;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct Slots(Option<State>);
    impl Serve for Slots {
        fn state(&mut self, _: Badge) -> Result<State, Error> {
            self.0.ok_or(Error::NoSlot)
        }
        fn confirm(&mut self, _: Badge) -> Result<State, Error> {
            let state = self.0.as_mut().ok_or(Error::NoSlot)?;
            (state.successful, state.tries) = (true, 0);
            Ok(*state)
        }
        fn give_up(&mut self, _: Badge) -> Result<State, Error> {
            Err(Error::OnlyOne)
        }
    }

    #[test]
    fn confirm_returns_the_new_state_also_when_the_server_dies_after_doing_it() {
        let old = State { name: b'B', priority: 2, tries: 3, successful: false };
        let mut client = Client(Pair::new(Slots(Some(old)), Badge(1), dispatch));
        assert_eq!(client.state(), Ok(old));
        client.0.dies(1);
        assert_eq!(client.confirm(), Ok(State { tries: 0, successful: true, ..old }));
    }
    #[test]
    fn a_slot_that_is_the_only_one_stays() {
        let only = State { name: b'A', priority: 1, tries: 0, successful: true };
        assert_eq!(Client(Pair::new(Slots(Some(only)), Badge(1), dispatch)).give_up(), Err(Error::OnlyOne));
    }
    #[test]
    fn without_a_slot_there_is_nothing_to_confirm() {
        assert_eq!(Client(Pair::new(Slots(None), Badge(1), dispatch)).confirm(), Err(Error::NoSlot));
    }
}
