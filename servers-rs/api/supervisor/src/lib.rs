// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `supervisor`: who runs, who died how often, and ending one so that it is started afresh. Served by the
//! process server; an operator's tool or a test holds it, no ordinary component.
#![no_std]

use ipc::{Message, Reader, Text, Wire};

/// What a component is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Condition {
    /// Its turn has not come.
    Waiting = 1,
    /// It is being started, now or after a delay.
    Starting = 2,
    Up = 3,
    /// A oneshot that ended with 0.
    Done = 4,
    /// It died too often.
    GivenUp = 5,
    /// Its device or the verity root is not in this machine.
    Absent = 6,
    /// Someone who may asked for it; its clients' calls wait until it is started again.
    Stopped = 7,
}

impl Condition {
    pub const fn from_u8(n: u8) -> Option<Condition> {
        Some(match n {
            1 => Condition::Waiting,
            2 => Condition::Starting,
            3 => Condition::Up,
            4 => Condition::Done,
            5 => Condition::GivenUp,
            6 => Condition::Absent,
            7 => Condition::Stopped,
            _ => return None,
        })
    }
}

/// Why a component ended last. The number beside it in `Status::code` is named in brackets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Cause {
    /// It never did.
    None = 0,
    /// By itself [exit code].
    Exit = 1,
    /// [The exception's vector, `abi::fault::Cause`.]
    Fault = 2,
    /// It did not say in time that it is ready [ms].
    NotReady = 3,
    /// It ran without coming back to its loop [ms].
    Hangs = 4,
    /// Someone who may asked for it [0].
    Ended = 5,
    /// It could not be started [0].
    NotStarted = 6,
}

impl Cause {
    pub const fn from_u8(n: u8) -> Option<Cause> {
        Some(match n {
            0 => Cause::None,
            1 => Cause::Exit,
            2 => Cause::Fault,
            3 => Cause::NotReady,
            4 => Cause::Hangs,
            5 => Cause::Ended,
            6 => Cause::NotStarted,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug)]
pub struct Status {
    pub name: Text,
    pub condition: Condition,
    /// Since the machine started, also under process servers before this one.
    pub deaths: u32,
    pub cause: Cause,
    pub code: u64,
    /// Frames of 4096 bytes that it uses, out of its pool.
    pub used_frames: u64,
}

impl Wire for Status {
    fn put(&self, into: &mut Message) {
        self.name.put(into);
        (self.condition as u8).put(into);
        self.deaths.put(into);
        (self.cause as u8).put(into);
        self.code.put(into);
        self.used_frames.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(Status {
            name: Text::take(from)?,
            condition: Condition::from_u8(u8::take(from)?)?,
            deaths: u32::take(from)?,
            cause: Cause::from_u8(u8::take(from)?)?,
            code: u64::take(from)?,
            used_frames: u64::take(from)?,
        })
    }
}

ipc::interface! {
    /// The process server, for those who look after the others.
    interface supervisor;
    errors {
        /// No component has this number or name.
        Unknown = 16,
        /// It does not run, so it cannot be ended.
        NotRunning = 17,
        /// It runs, or was given up: it cannot be started.
        NotStopped = 18,
    }
    methods {
        /// How many components the manifest has.
        1 count idempotent () -> u32;
        /// One of them, by its place in the start order.
        2 status idempotent (number: u32) -> Status;
        /// Ends a component as if it had died; its restart policy decides what follows.
        3 end once (name: Text) -> ();
        /// Ends a component until it is started again; its clients' calls wait.
        4 stop once (name: Text) -> ();
        /// Starts a component that was stopped, or a oneshot again that is done.
        5 start once (name: Text) -> ();
        /// What was said of a component's last death: the line of JSON that the console has; empty if it never died.
        6 last_words idempotent (number: u32) -> Text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct One;
    impl Serve for One {
        fn count(&mut self, _: Badge) -> Result<u32, Error> {
            Ok(1)
        }
        fn status(&mut self, _: Badge, number: u32) -> Result<Status, Error> {
            let name = Text::clipped("uart");
            let status = Status { name, condition: Condition::Up, deaths: 3, cause: Cause::Fault, code: 14, used_frames: 99 };
            if number == 0 { Ok(status) } else { Err(Error::Unknown) }
        }
        fn end(&mut self, _: Badge, name: Text) -> Result<(), Error> {
            if name.as_str() == "uart" { Ok(()) } else { Err(Error::Unknown) }
        }
        fn stop(&mut self, _: Badge, _: Text) -> Result<(), Error> {
            Ok(())
        }
        fn start(&mut self, _: Badge, _: Text) -> Result<(), Error> {
            Err(Error::NotStopped)
        }
        fn last_words(&mut self, _: Badge, _: u32) -> Result<Text, Error> {
            Ok(Text::clipped("SERVER-FAULT {}"))
        }
    }

    #[test]
    fn a_status_crosses_whole_and_unknown_ones_are_refused() {
        let mut it = Client(Pair::new(One, Badge(1), dispatch));
        let status = it.status(0).unwrap();
        assert_eq!((status.name.as_str(), status.condition, status.deaths), ("uart", Condition::Up, 3));
        assert_eq!((status.cause, status.code, status.used_frames), (Cause::Fault, 14, 99));
        assert_eq!(it.status(1).err(), Some(Error::Unknown));
        assert_eq!(it.end(Text::clipped("nobody")), Err(Error::Unknown));
    }
}
