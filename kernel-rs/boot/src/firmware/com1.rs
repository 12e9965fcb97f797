// SPDX-License-Identifier: PMPL-1.0-or-later
//! The first serial port (16550 at 0x3f8) by its registers: it works also when the firmware's console is a screen, and
//! after ExitBootServices. Sends only.

use core::arch::asm;

const DATA: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = DATA + 1;
const LINE_CONTROL: u16 = DATA + 3;
const MODEM_CONTROL: u16 = DATA + 4;
const LINE_STATUS: u16 = DATA + 5;
const SCRATCH: u16 = DATA + 7;

/// A port that answered.
#[derive(Clone, Copy, Debug)]
pub struct Com1(());

impl Com1 {
    /// The port, if its scratch register keeps what is written (no port reads as 0xff). Speed and format are left as
    /// the firmware set them, or set to 115200 8N1 if the divisor is still zero or the word length is not 8 bits.
    pub fn find() -> Option<Self> {
        let is_there = [0x5a, 0xa5].into_iter().all(|probe| {
            output(SCRATCH, probe);
            input(SCRATCH) == probe
        });
        if !is_there {
            return None;
        }
        if input(LINE_CONTROL) & 3 != 3 {
            output(INTERRUPT_ENABLE, 0);
            output(LINE_CONTROL, 0x80);
            output(DATA, 1);
            output(DATA + 1, 0);
            output(LINE_CONTROL, 3);
            output(MODEM_CONTROL, 3);
        }
        Some(Com1(()))
    }

    /// Sends one byte; drops it when the port does not take it in time (about a tenth of a second).
    pub fn send(self, byte: u8) {
        const EMPTY: u8 = 0x20;
        // An access to an ISA port takes about 1 µs.
        if (0..100_000).any(|_| input(LINE_STATUS) & EMPTY != 0) {
            output(DATA, byte);
        }
    }
}

fn output(port: u16, value: u8) {
    // SAFETY: 1. Every caller is in this file and passes a register of COM1, which no memory depends on.
    // 2. The loader runs in ring 0. 3. The firmware's own driver sets the port up anew whenever it uses it.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

fn input(port: u16) -> u8 {
    let value: u8;
    // SAFETY: 1. Every caller is in this file and passes a register of COM1; reading it changes nothing but error flags.
    // 2. The loader runs in ring 0.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) }
    value
}
