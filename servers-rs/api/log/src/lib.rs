// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `log`: one line of text for whoever watches the machine.
//!
//! The server puts the client's name before each line, from the badge: a client cannot write in another's name.
#![no_std]

use ipc::{Message, Reader, Text, Wire};

pub mod ring;

/// How bad it is. The server drops what is above its own level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    Error = 1,
    Warning = 2,
    Info = 3,
    Debug = 4,
}

impl Level {
    pub const fn from_u8(n: u8) -> Option<Level> {
        Some(match n {
            1 => Level::Error,
            2 => Level::Warning,
            3 => Level::Info,
            4 => Level::Debug,
            _ => return None,
        })
    }
}

impl Wire for Level {
    fn put(&self, into: &mut Message) {
        (*self as u8).put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Level::from_u8(u8::take(from)?)
    }
}

ipc::interface! {
    /// A place for lines.
    interface log;
    errors {
        /// The device does not take bytes.
        DeviceFailed = 16,
    }
    methods {
        /// Writes one line; control characters in it are replaced. Repeated when the server dies: a line twice is
        /// better than a line lost.
        1 write idempotent (level: Level, text: Text) -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, Transport, pair::Pair};

    struct Lines(usize);
    impl Serve for Lines {
        fn write(&mut self, client: Badge, level: Level, text: Text) -> Result<(), Error> {
            assert_eq!((client, level, text.as_str()), (Badge(4), Level::Warning, "disk is warm"));
            self.0 += 1;
            Ok(())
        }
    }

    #[test]
    fn a_line_arrives_with_its_level_and_its_clients_badge() {
        let mut client = Client(Pair::new(Lines(0), Badge(4), dispatch));
        client.write(Level::Warning, Text::clipped("disk is warm")).unwrap();
        assert_eq!(client.0.server.0, 1);
    }

    #[test]
    fn a_level_that_is_none_is_malformed() {
        let mut request = Message::new(label::write);
        9u8.put(&mut request);
        Text::clipped("x").put(&mut request);
        let reply = Pair::new(Lines(0), Badge(4), dispatch).call(&request).unwrap();
        assert_eq!(reply.label, ipc::interface::code::MALFORMED);
    }
}
