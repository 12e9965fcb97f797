// SPDX-License-Identifier: PMPL-1.0-or-later
//! Lines for whoever watches the machine: through a kernel that has a console for programs, so that they do not mix with
//! its own, else on COM1.

use alloc::format;
use core::fmt::Arguments;
use sys::{PortRange, Result, start};

const COM1: u16 = 0x3f8;
/// 16550 line status: bit 5, the transmitter takes a byte.
const LINE_STATUS: u16 = 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const STATUS_READS: usize = 100_000;

/// From now on a panic of this program is told here too.
pub fn begin() {
    rt::log::set_sink(|_, text| say(format_args!("{text}")));
}

pub fn say(arguments: Arguments<'_>) {
    let line = format!("{arguments}");
    if sys::debug_log(line.as_bytes()).is_err() {
        // Nobody is left to tell of a failure.
        let _ = send(&line);
    }
}

fn send(line: &str) -> Result<()> {
    let ports = PortRange(start::PORTS);
    for byte in line.bytes().chain(*b"\r\n") {
        for _ in 0..STATUS_READS {
            if ports.read8(COM1 + LINE_STATUS)? & TRANSMITTER_EMPTY != 0 {
                break;
            }
        }
        ports.write8(COM1, byte)?;
    }
    Ok(())
}
