// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `process`: what a component says to the process server that started it.
//!
//! Every component holds this endpoint; the badge says which one it is.
#![no_std]

ipc::interface! {
    /// The supervisor's ear.
    interface process;
    errors {
        /// The badge is of no component.
        Unknown = 16,
    }
    methods {
        /// The component serves now. Until all of the start order before it have said so, the next is not started.
        1 ready idempotent () -> ();
        /// Answered once every component of the manifest is up; false if one was given up.
        2 wait_all_up idempotent () -> bool;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct Supervisor(u64);
    impl Serve for Supervisor {
        fn ready(&mut self, client: Badge) -> Result<(), Error> {
            if client.0 > 3 {
                return Err(Error::Unknown);
            }
            self.0 |= 1 << client.0;
            Ok(())
        }
        fn wait_all_up(&mut self, _: Badge) -> Result<bool, Error> {
            Ok(self.0 == 0b1111)
        }
    }

    #[test]
    fn ready_counts_for_the_component_of_the_badge() {
        let mut client = Client(Pair::new(Supervisor(0), Badge(2), dispatch));
        client.ready().unwrap();
        assert_eq!(client.0.server.0, 0b100);
        assert_eq!(client.wait_all_up(), Ok(false));
    }
    #[test]
    fn a_badge_of_no_component_is_refused() {
        assert_eq!(Client(Pair::new(Supervisor(0), Badge(9), dispatch)).ready(), Err(Error::Unknown));
    }
}
