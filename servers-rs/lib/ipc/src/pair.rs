// SPDX-License-Identifier: PMPL-1.0-or-later
//! A client and a server in one test: the same messages, no kernel. The server can be told to die.

use crate::{Badge, Lost, Message, Transport};

/// A transport to a server in the same program.
#[derive(Debug)]
pub struct Pair<S> {
    pub server: S,
    dispatch: fn(&mut S, Badge, &Message) -> Message,
    badge: Badge,
    deaths: usize,
    /// Messages that reached the server.
    pub delivered: usize,
}

impl<S> Pair<S> {
    /// `dispatch` is the function of that name in the interface's crate.
    pub fn new(server: S, badge: Badge, dispatch: fn(&mut S, Badge, &Message) -> Message) -> Self {
        Pair { server, dispatch, badge, deaths: 0, delivered: 0 }
    }
    /// The next `n` calls reach the server, which then dies before it answers.
    pub fn dies(&mut self, n: usize) {
        self.deaths = n;
    }
}

impl<S> Transport for Pair<S> {
    fn call(&mut self, request: &Message) -> Result<Message, Lost> {
        self.delivered += 1;
        let reply = (self.dispatch)(&mut self.server, self.badge, request);
        if self.deaths > 0 {
            self.deaths -= 1;
            return Err(Lost::Gone);
        }
        Ok(reply)
    }
}

#[cfg(test)]
#[allow(dead_code)]
mod tests {
    use crate::pair::Pair;
    use crate::{Badge, Message, Transport};

    crate::interface! {
        /// Adds, and counts.
        interface adder;
        errors {
            /// The sum does not fit.
            TooLarge = 16,
        }
        methods {
            /// The sum.
            1 add idempotent (a: u64, b: u64) -> u64;
            /// Adds one to the count of this client and returns it.
            2 count once () -> u64;
        }
    }

    struct Adder(u64);
    impl Serve for Adder {
        fn add(&mut self, _: Badge, a: u64, b: u64) -> Result<u64, Error> {
            a.checked_add(b).ok_or(Error::TooLarge)
        }
        fn count(&mut self, client: Badge) -> Result<u64, Error> {
            self.0 += client.0;
            Ok(self.0)
        }
    }
    fn client() -> Client<Pair<Adder>> {
        Client(Pair::new(Adder(0), Badge(7), dispatch))
    }

    #[test]
    fn a_call_returns_what_the_server_computed() {
        assert_eq!(client().add(2, 3), Ok(5));
        assert_eq!(client().count(), Ok(7));
        assert_eq!(METHODS[1].repeat, crate::Repeat::Once);
    }
    #[test]
    fn an_error_arrives_as_the_error_it_was() {
        assert_eq!(client().add(u64::MAX, 1), Err(Error::TooLarge));
    }
    #[test]
    fn an_idempotent_call_survives_a_death_and_is_not_given_to_a_third_server() {
        let mut it = client();
        it.0.dies(1);
        assert_eq!(it.add(1, 1), Ok(2));
        assert_eq!(it.0.delivered, 2);
        it.0.dies(2);
        assert_eq!(it.add(1, 1), Err(Error::Restarted));
        assert_eq!(it.0.delivered, 4);
    }
    #[test]
    fn a_call_that_is_not_idempotent_is_made_once() {
        let mut it = client();
        it.0.dies(1);
        assert_eq!(it.count(), Err(Error::Restarted));
        assert_eq!(it.0.delivered, 1);
    }
    #[test]
    fn an_unknown_method_missing_words_and_left_over_words_are_malformed() {
        for (label, words) in [(9, 0), (1, 1), (1, 3), (2, 1)] {
            let mut request = Message::new(label);
            (0..words).for_each(|n| request.put_word(n));
            let reply = client().0.call(&request).unwrap();
            assert_eq!(reply.label, crate::interface::code::MALFORMED, "label {label} with {words} words");
        }
    }
}
