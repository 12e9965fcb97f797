// SPDX-License-Identifier: PMPL-1.0-or-later
//! The fixed power button: ACPI 6.5, 4.8.3.1 (PM1 event registers) and 4.8.3.2 (PM1 control). The ports are those of Intel's
//! ICH9, as q35 has it: PMBASE 0x600, SMI command port 0xb2.

const STATUS: u16 = 0x600;
const ENABLE: u16 = 0x602;
const CONTROL: u16 = 0x604;
const SMI_COMMAND: u16 = 0xb2;
/// The value that firmware of this chipset takes for "the operating system has the power hardware now".
const ACPI_ENABLE: u8 = 2;
const BUTTON: u16 = 1 << 8;
const SCI_ENABLE: u16 = 1;
/// Looks until firmware has handed over.
const LOOKS: usize = 1000;

pub trait Registers {
    fn read16(&mut self, port: u16) -> u16;
    fn write16(&mut self, port: u16, value: u16);
    fn write8(&mut self, port: u16, value: u8);
}

pub struct Button<R>(R);

impl<R: Registers> Button<R> {
    /// Takes the button over from firmware and lets it raise its interrupt. `None`: the firmware does not hand it over.
    pub fn new(mut registers: R) -> Option<Self> {
        if registers.read16(CONTROL) & SCI_ENABLE == 0 {
            registers.write8(SMI_COMMAND, ACPI_ENABLE);
            (0..LOOKS).any(|_| registers.read16(CONTROL) & SCI_ENABLE != 0).then_some(())?;
        }
        // A press from before is not meant for us; a status bit is cleared by writing it.
        registers.write16(STATUS, BUTTON);
        let enabled = registers.read16(ENABLE);
        registers.write16(ENABLE, enabled | BUTTON);
        Some(Button(registers))
    }

    /// Whether it was pressed since this was asked last.
    pub fn take_press(&mut self) -> bool {
        let pressed = self.0.read16(STATUS) & BUTTON != 0;
        if pressed {
            self.0.write16(STATUS, BUTTON);
        }
        pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Fake {
        status: Rc<Cell<u16>>,
        enable: Rc<Cell<u16>>,
        control: Rc<Cell<u16>>,
        deaf: bool,
    }
    impl Registers for Fake {
        fn read16(&mut self, port: u16) -> u16 {
            match port {
                STATUS => self.status.get(),
                ENABLE => self.enable.get(),
                CONTROL => self.control.get(),
                _ => panic!("port {port:#x} is not the button's"),
            }
        }
        fn write16(&mut self, port: u16, value: u16) {
            match port {
                STATUS => self.status.set(self.status.get() & !value),
                ENABLE => self.enable.set(value),
                _ => panic!("port {port:#x} is not to be written"),
            }
        }
        fn write8(&mut self, port: u16, value: u8) {
            assert_eq!((port, value), (SMI_COMMAND, ACPI_ENABLE));
            if !self.deaf {
                self.control.set(self.control.get() | SCI_ENABLE);
            }
        }
    }

    #[test]
    fn a_press_is_told_once_and_an_old_one_not_at_all() {
        let fake = Fake::default();
        fake.status.set(BUTTON | 1);
        let mut button = Button::new(fake.clone()).unwrap();
        assert_eq!((fake.status.get(), fake.enable.get()), (1, BUTTON), "other bits are left alone");
        assert!(!button.take_press());
        fake.status.set(BUTTON);
        assert!(button.take_press());
        assert!(!button.take_press());
    }
    #[test]
    fn firmware_that_does_not_hand_over_is_told() {
        assert!(Button::new(Fake { deaf: true, ..Fake::default() }).is_none());
    }
}
