// SPDX-License-Identifier: PMPL-1.0-or-later
//! Lines on COM1: production kernels have no console of their own for programs.

use core::fmt::{Arguments, Write};
use sys::{PortRange, start};

const COM1: u16 = 0x3f8;
/// 16550 line status: bit 5, the transmitter takes a byte.
const LINE_STATUS: u16 = 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const STATUS_READS: usize = 100_000;

/// A panic of this program is told here too.
pub fn begin() {
    rt::log::set_sink(|_, text| say(format_args!("{text}")));
}

pub fn say(arguments: Arguments<'_>) {
    let _ = Com1.write_fmt(arguments);
    let _ = Com1.write_str("\r\n");
}

struct Com1;

impl Write for Com1 {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let ports = PortRange(start::PORTS);
        for byte in text.bytes() {
            for _ in 0..STATUS_READS {
                if ports.read8(COM1 + LINE_STATUS).map_err(|_| core::fmt::Error)? & TRANSMITTER_EMPTY != 0 {
                    break;
                }
            }
            ports.write8(COM1, byte).map_err(|_| core::fmt::Error)?;
        }
        Ok(())
    }
}
