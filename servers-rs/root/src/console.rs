// SPDX-License-Identifier: PMPL-1.0-or-later
//! Root's own few lines. In dev they go through the kernel, which keeps lines whole; in production, where the kernel
//! has no such operation, to COM1, and only if the manifest has a serial console.

use core::sync::atomic::{AtomicU32, Ordering};
use sys::{Capability, Handle, PortRange, start};

const COM1: u16 = 0x3f8;
/// 16550 line status: bit 5, the transmitter takes a byte.
const LINE_STATUS: u16 = 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const STATUS_READS: usize = 100_000;

static PORTS: AtomicU32 = AtomicU32::new(0);

/// Keeps COM1's ports when the rest is given up.
pub fn begin(serial_console: bool) {
    if serial_console && let Ok(ports) = PortRange(start::PORTS).narrow(COM1, COM1 + 7) {
        PORTS.store(ports.handle().0, Ordering::Relaxed);
    }
    rt::log::set_sink(|_, text| {
        let mut line = rt::log::Line::default();
        let _ = core::fmt::Write::write_fmt(&mut line, format_args!("root: {text}"));
        if sys::debug_log(line.as_str().as_bytes()).is_err() {
            send(line.as_str());
        }
    });
}

fn send(text: &str) {
    let ports = PortRange(Handle(PORTS.load(Ordering::Relaxed)));
    for byte in text.bytes().chain(*b"\r\n") {
        for _ in 0..STATUS_READS {
            match ports.read8(COM1 + LINE_STATUS) {
                Ok(status) if status & TRANSMITTER_EMPTY != 0 => break,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        if ports.write8(COM1, byte).is_err() {
            return;
        }
    }
}
