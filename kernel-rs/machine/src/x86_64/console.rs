// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel's console: a 16550 UART at COM1, polled. 115200 baud, 8 bits, no parity.

use super::ports::{inb, outb};
use core::fmt::{Arguments, Write};
use core::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};

const COM1: u16 = 0x3f8;
const LINE_STATUS: u16 = COM1 + 5;
const TRANSMIT_EMPTY: u8 = 1 << 5;
/// Bytes that an empty transmitter takes: its queue is on.
const FIFO: u32 = 16;
/// Polls before a byte is given up: a missing UART must not stop the kernel.
const PATIENCE: u32 = 100_000;

static ENABLED: AtomicBool = AtomicBool::new(true);
static BUSY: AtomicBool = AtomicBool::new(false);

/// Sets up the UART. Until the configuration is known the console is on, so that an early panic is seen.
pub fn init() {
    // SAFETY: 1. COM1's registers affect nothing but the UART.
    unsafe {
        outb(COM1 + 1, 0); // no interrupts
        outb(COM1 + 3, 0x80); // divisor latch
        outb(COM1, 1); // 115200 baud
        outb(COM1 + 1, 0);
        outb(COM1 + 3, 3); // 8 bits, no parity, 1 stop bit
        outb(COM1 + 2, 0xc7); // FIFOs on and cleared
        outb(COM1 + 4, 0x0b); // ready, request to send, interrupt line enabled
    }
}

/// Says whether the configuration wants a console.
pub fn enable(on: bool) {
    ENABLED.store(on, Relaxed);
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let mut room = 0;
        for byte in text.bytes() {
            if byte == b'\n' {
                send(b'\r', &mut room);
            }
            send(byte, &mut room);
        }
        Ok(())
    }
}

/// Sends a byte; `room` counts those that the UART takes before its state must be read again.
fn send(byte: u8, room: &mut u32) {
    // SAFETY: 1. COM1's registers affect nothing but the UART.
    unsafe {
        if *room == 0 {
            for _ in 0..PATIENCE {
                if inb(LINE_STATUS) & TRANSMIT_EMPTY != 0 {
                    break;
                }
            }
            *room = FIFO;
        }
        *room -= 1;
        outb(COM1, byte);
    }
}

/// Writes one line. Lines of two CPUs do not mix.
pub fn print(line: Arguments) {
    if !ENABLED.load(Relaxed) {
        return;
    }
    while BUSY.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
        core::hint::spin_loop();
    }
    let _ = Uart.write_fmt(line);
    let _ = Uart.write_str("\n");
    BUSY.store(false, Release);
}

/// Writes a line of a panic, whoever holds the console.
pub fn print_urgent(line: Arguments) {
    if ENABLED.load(Relaxed) {
        let _ = Uart.write_fmt(line);
        let _ = Uart.write_str("\n");
    }
}
