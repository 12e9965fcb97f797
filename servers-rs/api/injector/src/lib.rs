// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `injector`: faults on purpose, in any component, at any instant. Served by the process server in the dev profile
//! only; a bundle of production that grants it is refused, and a process server of production does not answer.
#![no_std]

use ipc::{Message, Reader, Text, Wire};

/// What is done to a component. Which bit, word or instruction it hits comes from the seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// It is ended as if it had died.
    Kill = 1,
    /// The instruction that it executes next becomes one that jumps to itself.
    Stall = 2,
    /// A bit of its code.
    Code = 3,
    /// A bit of a register.
    Registers = 4,
    /// A bit of the beginning of its heap.
    Heap = 5,
    /// A bit of the used end of its stack.
    Stack = 6,
    /// A bit of the next answer that it gives: of the label or of a word.
    Reply = 7,
}

impl Wire for Kind {
    fn put(&self, into: &mut Message) {
        (*self as u8).put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(match u8::take(from)? {
            1 => Kind::Kill,
            2 => Kind::Stall,
            3 => Kind::Code,
            4 => Kind::Registers,
            5 => Kind::Heap,
            6 => Kind::Stack,
            7 => Kind::Reply,
            _ => return None,
        })
    }
}

ipc::interface! {
    /// The process server, for who tests it and the others.
    interface injector;
    errors {
        /// No component has this name, or the process server has no such access to it (itself can only be killed).
        Unknown = 16,
        /// Another fault is still to come.
        Busy = 17,
    }
    methods {
        /// Does it to the component `name` when the kernel's clock stands at `at_ns`, whatever that one executes then.
        1 inject once (name: Text, kind: Kind, at_ns: u64, seed: u64) -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct Seen(Option<(Kind, u64, u64)>);
    impl Serve for Seen {
        fn inject(&mut self, _: Badge, name: Text, kind: Kind, at_ns: u64, seed: u64) -> Result<(), Error> {
            self.0 = Some((kind, at_ns, seed));
            if name.as_str() == "storage" { Ok(()) } else { Err(Error::Unknown) }
        }
    }

    #[test]
    fn a_fault_arrives_as_it_was_asked_for() {
        let mut it = Client(Pair::new(Seen(None), Badge(1), dispatch));
        for n in 1..8 {
            let mut message = Message::new(0);
            n.put(&mut message);
            let kind = Kind::take(&mut message.reader()).unwrap();
            it.inject(Text::clipped("storage"), kind, 5, 6).unwrap();
            assert_eq!(it.0.server.0, Some((kind, 5, 6)));
            assert_eq!(kind as u64, n);
        }
        assert_eq!(it.inject(Text::clipped("x"), Kind::Kill, 5, 6), Err(Error::Unknown));
    }
}
