// SPDX-License-Identifier: PMPL-1.0-or-later
//! PCI configuration space (PCI Local Bus 3.0 chapter 6, PCI Express Base 5.0 chapter 7): finds functions, sizes their
//! registers, switches them on, reads where MSI-X is. Only root uses it: whoever writes configuration space can
//! place a device's registers anywhere.
//!
//! It assigns no addresses: firmware did, and a function without one is reported as it is.
#![no_std]

mod function;

pub use function::{Bar, CONFIGURATION_BYTES, Function, MsiX};

/// Bus, device, function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl Address {
    /// Where its 4096 bytes begin in the memory that the MCFG table names.
    pub const fn ecam_offset(self) -> u64 {
        ((self.bus as u64) << 20) | ((self.device as u64) << 15) | ((self.function as u64) << 12)
    }
}

impl core::fmt::Display for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

/// Access to configuration space by 32-bit registers; all ones where nobody answers.
pub trait Configuration {
    fn read(&mut self, address: Address, offset: u16) -> u32;
    fn write(&mut self, address: Address, offset: u16, value: u32);
}

const VENDOR_DEVICE: u16 = 0x00;
const HEADER_TYPE: u16 = 0x0c;
const BUS_NUMBERS: u16 = 0x18;
const DEVICES: u8 = 32;
const FUNCTIONS: u8 = 8;

/// Calls `each` with every function below bus 0: address, vendor, device. Bridges are followed; `each` returns false to stop.
pub fn scan(configuration: &mut dyn Configuration, each: &mut dyn FnMut(&mut dyn Configuration, Address, u16, u16) -> bool) {
    scan_bus(configuration, 0, each);
}

fn scan_bus(
    configuration: &mut dyn Configuration,
    bus: u8,
    each: &mut dyn FnMut(&mut dyn Configuration, Address, u16, u16) -> bool,
) -> bool {
    for device in 0..DEVICES {
        for function in 0..FUNCTIONS {
            let address = Address { bus, device, function };
            let id = configuration.read(address, VENDOR_DEVICE);
            if id & 0xffff == 0xffff {
                if function == 0 {
                    break;
                }
                continue;
            }
            let header = configuration.read(address, HEADER_TYPE) >> 16;
            if !each(configuration, address, id as u16, (id >> 16) as u16) {
                return false;
            }
            if header & 0x7f == 1 {
                let secondary = (configuration.read(address, BUS_NUMBERS) >> 8) as u8;
                // Buses are numbered downwards, so this ends whatever a bridge says.
                if secondary > bus && !scan_bus(configuration, secondary, each) {
                    return false;
                }
            }
            // Bit 7: more functions than one.
            if function == 0 && header & 0x80 == 0 {
                break;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests;
