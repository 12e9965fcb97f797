// SPDX-License-Identifier: PMPL-1.0-or-later
//! The 16550 UART, sending only. Register names and numbers: National Semiconductor PC16550D data sheet, section 8.

/// Registers by number.
pub trait Ports {
    fn read(&mut self, register: u16) -> u8;
    fn write(&mut self, register: u16, value: u8);
}

const TRANSMIT: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;

/// 8 data bits, no parity, 1 stop bit.
const EIGHT_N_ONE: u8 = 0b11;
/// Registers 0 and 1 are the divisor.
const DIVISOR_ACCESS: u8 = 0x80;
/// 115200 baud from the 1.8432 MHz clock: data sheet, table III.
const DIVISOR: u8 = 1;
const FIFO_ON_AND_CLEAR: u8 = 0b111;
/// Data terminal ready, request to send.
const DTR_RTS: u8 = 0b11;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const NOBODY: u8 = 0xff;

/// The transmit FIFO is 16 bytes deep: once empty it takes that many.
const FIFO_BYTES: usize = 16;
/// Reads of the status before a byte counts as stuck: 16 bytes take 1.4 ms at 115200 baud, a read about a microsecond.
const STATUS_READS: usize = 100_000;

/// The port does not take bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stuck;

#[derive(Debug)]
pub struct Uart<P> {
    ports: P,
}

impl<P: Ports> Uart<P> {
    /// Sets speed and format; interrupts stay off.
    pub fn new(mut ports: P) -> Self {
        ports.write(INTERRUPT_ENABLE, 0);
        ports.write(LINE_CONTROL, DIVISOR_ACCESS);
        ports.write(TRANSMIT, DIVISOR);
        ports.write(INTERRUPT_ENABLE, 0);
        ports.write(LINE_CONTROL, EIGHT_N_ONE);
        ports.write(FIFO_CONTROL, FIFO_ON_AND_CLEAR);
        ports.write(MODEM_CONTROL, DTR_RTS);
        Uart { ports }
    }

    /// Sends all bytes. Errors: `Stuck`; what was sent before is sent.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Stuck> {
        for chunk in bytes.chunks(FIFO_BYTES) {
            self.wait()?;
            chunk.iter().for_each(|&b| self.ports.write(TRANSMIT, b));
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Stuck> {
        for _ in 0..STATUS_READS {
            match self.ports.read(LINE_STATUS) {
                NOBODY => return Err(Stuck),
                status if status & TRANSMITTER_EMPTY != 0 => return Ok(()),
                _ => {}
            }
        }
        Err(Stuck)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A port that is busy for some reads after each full FIFO.
    #[derive(Clone, Default)]
    pub struct Fake {
        pub sent: Rc<RefCell<Vec<u8>>>,
        pub room: usize,
        pub busy: usize,
        pub absent: bool,
        pub divisor: bool,
    }
    impl Ports for Fake {
        fn read(&mut self, register: u16) -> u8 {
            assert_eq!(register, LINE_STATUS);
            if self.absent {
                return NOBODY;
            }
            if self.busy > 0 {
                self.busy -= 1;
                return 0;
            }
            self.room = FIFO_BYTES;
            TRANSMITTER_EMPTY
        }
        fn write(&mut self, register: u16, value: u8) {
            match register {
                LINE_CONTROL => self.divisor = value & DIVISOR_ACCESS != 0,
                TRANSMIT if !self.divisor => {
                    self.room = self.room.checked_sub(1).expect("a byte written to a full FIFO is lost");
                    self.busy = 3;
                    self.sent.borrow_mut().push(value);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_byte_is_written_to_a_full_fifo() {
        let fake = Fake::default();
        let sent = fake.sent.clone();
        Uart::new(fake).send(&[b'x'; 100]).unwrap();
        assert_eq!(sent.borrow().len(), 100);
    }

    #[test]
    fn a_port_that_is_not_there_or_never_empties_is_stuck() {
        assert_eq!(Uart::new(Fake { absent: true, ..Fake::default() }).send(b"x"), Err(Stuck));
        assert_eq!(Uart::new(Fake { busy: usize::MAX, ..Fake::default() }).send(b"x"), Err(Stuck));
    }
}
