// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `log` over the port: `name: text`, the name from the badge, so nobody writes in another's name.

extern crate alloc;

use crate::device::{Ports, Stuck, Uart};
use alloc::vec::Vec;
use api_log::{Error, Level, Serve, ring};
use ipc::{Badge, Text};
use rt::manifest::layout;
use rt::manifest::startup::Client;
use sys::PortRange;

/// A terminal wants both.
const LINE_END: &[u8] = b"\r\n";

/// Granted ports, from the first one on.
#[derive(Debug)]
pub struct Port {
    pub ports: PortRange,
    pub first: u16,
}

impl Ports for Port {
    fn read(&mut self, register: u16) -> u8 {
        self.ports.read8(self.first.wrapping_add(register)).unwrap_or(u8::MAX)
    }
    fn write(&mut self, register: u16, value: u8) {
        // A grant smaller than the device shows as a port that never empties.
        let _ = self.ports.write8(self.first.wrapping_add(register), value);
    }
}

#[derive(Debug)]
pub struct Log<'a, P> {
    uart: Uart<P>,
    clients: &'a [Client],
    level: u8,
}

impl<'a, P: Ports> Log<'a, P> {
    /// Lines above `level` are dropped.
    pub fn new(uart: Uart<P>, clients: &'a [Client], level: u8) -> Self {
        Log { uart, clients, level }
    }

    /// Sends what the process server left in its ring; it writes whole lines, with the name.
    pub fn drain(&mut self, memory: Option<&impl ring::Memory>) {
        let Some(memory) = memory else { return };
        let mut line = Vec::new();
        while let Some(byte) = ring::pop(memory) {
            if byte != b'\n' {
                line.push(printable(byte));
                continue;
            }
            line.extend(LINE_END);
            if self.uart.send(&line).is_err() {
                return;
            }
            line.clear();
        }
    }

    fn name(&self, client: Badge) -> &str {
        let found = self.clients.iter().find(|c| u64::from(layout::unbadge(c.badge).1) == client.0);
        found.map_or("unknown", |c| &c.name)
    }
}

impl<P: Ports> Serve for Log<'_, P> {
    fn write(&mut self, client: Badge, level: Level, text: Text) -> Result<(), Error> {
        if level as u8 > self.level {
            return Ok(());
        }
        let mut line = Vec::new();
        line.extend(self.name(client).as_bytes());
        line.extend(b": ");
        line.extend(text.as_str().bytes().map(printable));
        line.extend(LINE_END);
        self.uart.send(&line).map_err(|Stuck| Error::DeviceFailed)
    }
}

/// Control characters could move the cursor over another's line.
fn printable(byte: u8) -> u8 {
    if byte < b' ' || byte == 0x7f { b'.' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::tests::Fake;

    #[test]
    fn a_line_carries_the_name_of_its_badge_and_no_control_characters() {
        let fake = Fake::default();
        let sent = fake.sent.clone();
        let clients = [Client { badge: layout::badge(0, 3), name: "storage".into(), buffer: None, inbound: vec![] }];
        let mut log = Log::new(Uart::new(fake), &clients, Level::Info as u8);
        log.write(Badge(3), Level::Info, Text::clipped("mounted\nflatracoon: ready")).unwrap();
        log.write(Badge(9), Level::Error, Text::clipped("who")).unwrap();
        log.write(Badge(3), Level::Debug, Text::clipped("not shown")).unwrap();
        let text = String::from_utf8(sent.borrow().clone()).unwrap();
        assert_eq!(text, "storage: mounted.flatracoon: ready\r\nunknown: who\r\n");
    }

    #[test]
    fn a_port_that_is_stuck_is_an_error_to_the_client() {
        let mut log = Log::new(Uart::new(Fake { absent: true, ..Fake::default() }), &[], 4);
        assert_eq!(log.write(Badge(1), Level::Error, Text::clipped("x")), Err(Error::DeviceFailed));
    }
}
