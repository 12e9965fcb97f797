// SPDX-License-Identifier: PMPL-1.0-or-later
//! The wire of the cell's console where there is none of its own: whole lines go to the system's log, and nothing is typed.

use alloc::string::String;
use alloc::vec::Vec;
use linux::fs::tty::ConsolePort;
use spin::Mutex;

/// A line that does not end goes out in pieces of this length.
const LINE_BYTES: usize = 200;

#[derive(Default)]
pub struct Console(Mutex<Vec<u8>>);

impl ConsolePort for Console {
    fn write(&self, bytes: &[u8]) {
        let mut line = self.0.lock();
        for byte in bytes {
            if !matches!(byte, b'\n' | b'\r') {
                line.push(*byte);
            }
            if *byte == b'\n' || line.len() == LINE_BYTES {
                rt::info!("{}", String::from_utf8_lossy(&line));
                line.clear();
            }
        }
    }
}
