// SPDX-License-Identifier: PMPL-1.0-or-later
//! One function: its base address registers, its MSI-X capability, and switching it on.

use crate::{Address, Configuration};

/// What every function has; the extended space behind it holds nothing that our drivers read.
pub const CONFIGURATION_BYTES: usize = 256;
const COMMAND: u16 = 0x04;
const BASE_ADDRESSES: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
const COMMAND_MEMORY: u32 = 1 << 1;
const COMMAND_BUS_MASTER: u32 = 1 << 2;
const COMMAND_NO_INTX: u32 = 1 << 10;
const STATUS_HAS_CAPABILITIES: u32 = 1 << 20;
const MSI_X: u32 = 0x11;
const MSI_X_ENABLE: u32 = 1 << 31;
const MSI_X_MASK_ALL: u32 = 1 << 30;
/// A list longer than the space holds is a circle.
const MAX_CAPABILITIES: usize = 48;

/// A range of registers in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    pub index: u8,
    /// 0: firmware gave it none.
    pub address: u64,
    pub length_bytes: u64,
}

/// Where the function's interrupt table is: PCI 3.0, 6.8.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiX {
    /// Offset of the capability in configuration space.
    pub capability: u16,
    pub entries: u16,
    pub table_bar: u8,
    pub table_offset_bytes: u32,
}

impl MsiX {
    /// Bytes of an entry: address low, address high, data, control (bit 0 masks).
    pub const ENTRY_BYTES: usize = 16;
    /// Whether a BAR holds the interrupt table and at most as many pages as table and pending bits fill: nothing for the driver.
    pub fn fills(&self, bar: &Bar) -> bool {
        let table = u64::from(self.entries) * Self::ENTRY_BYTES as u64;
        bar.index == self.table_bar && bar.length_bytes <= (table + 4096).next_multiple_of(4096)
    }
}

/// A function that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function(pub Address);

impl Function {
    /// A copy of the configuration space.
    pub fn snapshot(self, configuration: &mut dyn Configuration) -> [u8; CONFIGURATION_BYTES] {
        let mut bytes = [0; CONFIGURATION_BYTES];
        for (n, four) in bytes.chunks_exact_mut(4).enumerate() {
            four.copy_from_slice(&configuration.read(self.0, (n * 4) as u16).to_le_bytes());
        }
        bytes
    }

    /// Its memory BARs in order. Their addresses are unchanged afterwards; the function answers nothing meanwhile.
    pub fn bars(self, configuration: &mut dyn Configuration) -> [Option<Bar>; 6] {
        let command = configuration.read(self.0, COMMAND);
        configuration.write(self.0, COMMAND, command & 0xffff & !(COMMAND_MEMORY | 1));
        let mut bars = [None; 6];
        let mut index = 0;
        while index < 6 {
            let (bar, registers) = self.bar(configuration, index);
            if let Some(place) = bars.get_mut(usize::from(index)) {
                *place = bar;
            }
            index += registers;
        }
        configuration.write(self.0, COMMAND, command & 0xffff);
        bars
    }

    /// PCI 3.0, 6.2.5.1: write ones, read the size back, restore. Also returns how many registers it takes.
    fn bar(self, configuration: &mut dyn Configuration, index: u8) -> (Option<Bar>, u8) {
        let at = BASE_ADDRESSES + u16::from(index) * 4;
        let low = configuration.read(self.0, at);
        let is_port = low & 1 == 1;
        let is_long = !is_port && low & 6 == 4 && index < 5;
        let mask = size_mask(self, configuration, at, low);
        if is_port {
            return (None, 1);
        }
        let (high, high_mask) = if is_long {
            let high = configuration.read(self.0, at + 4);
            (high, size_mask(self, configuration, at + 4, high))
        } else {
            (0, u32::MAX)
        };
        let mask = (u64::from(high_mask) << 32) | u64::from(mask & !0xf);
        let registers = if is_long { 2 } else { 1 };
        if mask as u32 == 0 && (!is_long || high_mask == 0) {
            return (None, registers);
        }
        let address = (u64::from(high) << 32) | u64::from(low & !0xf);
        (Some(Bar { index, address, length_bytes: (!mask).wrapping_add(1) }), registers)
    }

    /// Lets it answer and use memory; its wired interrupt is off.
    pub fn enable(self, configuration: &mut dyn Configuration) {
        let command = configuration.read(self.0, COMMAND) & 0xffff;
        configuration.write(self.0, COMMAND, command | COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_NO_INTX);
    }

    pub fn msi_x(self, configuration: &mut dyn Configuration) -> Option<MsiX> {
        let capability = self.capability(configuration, MSI_X)?;
        let control = configuration.read(self.0, capability) >> 16;
        let table = configuration.read(self.0, capability + 4);
        Some(MsiX {
            capability,
            entries: (control & 0x7ff) as u16 + 1,
            table_bar: (table & 7) as u8,
            table_offset_bytes: table & !7,
        })
    }

    /// From now on its interrupts are messages, as the table says.
    pub fn enable_msi_x(self, configuration: &mut dyn Configuration, at: &MsiX) {
        let head = configuration.read(self.0, at.capability);
        configuration.write(self.0, at.capability, (head | MSI_X_ENABLE) & !MSI_X_MASK_ALL);
    }

    fn capability(self, configuration: &mut dyn Configuration, id: u32) -> Option<u16> {
        if configuration.read(self.0, COMMAND) & STATUS_HAS_CAPABILITIES == 0 {
            return None;
        }
        let mut at = (configuration.read(self.0, CAPABILITIES) & 0xfc) as u16;
        for _ in 0..MAX_CAPABILITIES {
            if at < 0x40 {
                return None;
            }
            let head = configuration.read(self.0, at);
            if head & 0xff == id {
                return Some(at);
            }
            at = ((head >> 8) & 0xfc) as u16;
        }
        None
    }
}

fn size_mask(function: Function, configuration: &mut dyn Configuration, at: u16, was: u32) -> u32 {
    configuration.write(function.0, at, u32::MAX);
    let mask = configuration.read(function.0, at);
    configuration.write(function.0, at, was);
    mask
}
