// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `power`: turning the machine off or starting it again. Served by the process server, which ends the components in
//! order first; held by who is allowed to do that, such as the driver of the power button.
#![no_std]

ipc::interface! {
    /// The machine's power.
    interface power;
    errors {
        /// The machine has no way to do that, or the process server has no right to it.
        Unsupported = 16,
    }
    methods {
        /// Ends all components, those that others call last, and turns the machine off. Its answer is the end.
        1 off once () -> ();
        /// The same, and the machine starts again.
        2 restart once () -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct Machine;
    impl Serve for Machine {
        fn off(&mut self, _: Badge) -> Result<(), Error> {
            Err(Error::Unsupported)
        }
        fn restart(&mut self, _: Badge) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn an_end_is_asked_for_once_even_if_nobody_answers() {
        let mut client = Client(Pair::new(Machine, Badge(1), dispatch));
        assert_eq!(client.off(), Err(Error::Unsupported));
        client.0.dies(1);
        assert_eq!(client.restart(), Err(Error::Restarted));
        assert_eq!(client.0.delivered, 2);
    }
}
