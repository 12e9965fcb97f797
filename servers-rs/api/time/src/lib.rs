// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `time`: the time of day. Durations are the kernel's clock's business, which never goes back.
#![no_std]

ipc::interface! {
    /// The time of day, as the machine's clock has it.
    interface time;
    errors {
        /// The clock lost its power or tells a time that is none.
        Unset = 16,
    }
    methods {
        /// Seconds since 1970-01-01 00:00 UTC when the kernel's clock stood at 0: the kernel's clock added to it is now.
        1 of_boot idempotent () -> u64;
        /// Seconds since 1970-01-01 00:00 UTC.
        2 now idempotent () -> u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct Clock(Option<u64>);
    impl Serve for Clock {
        fn of_boot(&mut self, _: Badge) -> Result<u64, Error> {
            self.0.ok_or(Error::Unset)
        }
        fn now(&mut self, client: Badge) -> Result<u64, Error> {
            Ok(self.of_boot(client)? + 5)
        }
    }

    #[test]
    fn a_clock_that_is_not_set_says_so() {
        assert_eq!(Client(Pair::new(Clock(Some(1_700_000_000)), Badge(1), dispatch)).now(), Ok(1_700_000_005));
        assert_eq!(Client(Pair::new(Clock(None), Badge(1), dispatch)).now(), Err(Error::Unset));
    }
}
