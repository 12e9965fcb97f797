// SPDX-License-Identifier: PMPL-1.0-or-later
//! PCI functions as grants: found by id, switched on, their registers as memory objects, their interrupt as a
//! capability whose message root wrote into the function's table itself.

use alloc::vec::Vec;
use manifest::component::PciMatch;
use mmio::{Mapped, Registers};
use pci::{Address, Configuration, Function, MsiX};
use sys::{DeviceRange, Interrupt, InterruptControl, Memory, PAGE_BYTES, Pool, start};

/// Configuration space of one bus: 32 devices of 8 functions of 4096 bytes.
const BUS_BYTES: u64 = 1 << 20;

/// A function that a driver will get.
pub struct Device {
    pub address: Address,
    pub configuration: [u8; pci::CONFIGURATION_BYTES],
    pub bars: Vec<(pci::Bar, Memory)>,
    pub interrupt: Option<Interrupt>,
}

/// Configuration space through the memory that ACPI's MCFG table names; a bus is mapped when it is first looked at.
pub struct Ecam {
    base: u64,
    length_bytes: u64,
    buses: Vec<(u8, Option<Mapped>)>,
    taken: Vec<Address>,
}

impl Ecam {
    pub fn new(base: u64, length_bytes: u64) -> Ecam {
        Ecam { base, length_bytes, buses: Vec::new(), taken: Vec::new() }
    }

    fn bus(&mut self, bus: u8) -> Option<&Mapped> {
        if !self.buses.iter().any(|b| b.0 == bus) {
            let offset = u64::from(bus) * BUS_BYTES;
            let inside = self.base != 0 && offset + BUS_BYTES <= self.length_bytes;
            let mapped =
                if inside { registers(self.base + offset, BUS_BYTES).and_then(|m| Mapped::new(m, BUS_BYTES)).ok() } else { None };
            self.buses.push((bus, mapped));
        }
        self.buses.iter().find(|b| b.0 == bus)?.1.as_ref()
    }

    /// The first function present that matches and was not taken before, made ready for a driver.
    pub fn take(&mut self, wanted: &PciMatch) -> Option<Device> {
        let taken = self.taken.clone();
        let mut found = None;
        pci::scan(self, &mut |_, address, vendor, device| {
            if vendor == wanted.vendor && wanted.devices.contains(&device) && !taken.contains(&address) {
                found = Some(address);
            }
            found.is_none()
        });
        let address = found?;
        self.taken.push(address);
        Some(self.prepare(address))
    }

    fn prepare(&mut self, address: Address) -> Device {
        let function = Function(address);
        let bars = function.bars(self);
        function.enable(self);
        let msi_x = function.msi_x(self);
        let interrupt = msi_x.and_then(|at| {
            let table = bars.iter().flatten().find(|b| b.index == at.table_bar)?;
            let interrupt = message(&at, table)?;
            function.enable_msi_x(self, &at);
            Some(interrupt)
        });
        let mut granted = Vec::new();
        for bar in bars.iter().flatten().filter(|b| !msi_x.is_some_and(|at| at.fills(b))) {
            // A page that holds less than the whole of it may hold another function's registers.
            let whole = bar.address != 0 && bar.address.is_multiple_of(PAGE_BYTES) && bar.length_bytes >= PAGE_BYTES;
            match registers(bar.address, bar.length_bytes) {
                Ok(memory) if whole => granted.push((*bar, memory)),
                _ => rt::warning!("{address}: BAR {} at {:#x} cannot be granted", bar.index, bar.address),
            }
        }
        Device { address, configuration: function.snapshot(self), bars: granted, interrupt }
    }
}

impl Configuration for Ecam {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        let at = place(address, offset);
        self.bus(address.bus).map_or(u32::MAX, |bus| bus.read32(at))
    }
    fn write(&mut self, address: Address, offset: u16, value: u32) {
        let at = place(address, offset);
        if let Some(bus) = self.bus(address.bus) {
            bus.write32(at, value)
        }
    }
}

fn place(address: Address, offset: u16) -> usize {
    (Address { bus: 0, ..address }.ecam_offset() + u64::from(offset)) as usize
}

fn registers(physical: u64, length_bytes: u64) -> sys::Result<Memory> {
    DeviceRange(start::DEVICE_RANGE).memory(Pool(start::POOL), physical, length_bytes.next_multiple_of(PAGE_BYTES))
}

/// Writes entry 0 of the interrupt table and masks the others (PCI 3.0, 6.8.2.6 to 6.8.2.9).
fn message(at: &MsiX, bar: &pci::Bar) -> Option<Interrupt> {
    let first = u64::from(at.table_offset_bytes);
    let length = u64::from(at.entries) * MsiX::ENTRY_BYTES as u64;
    if bar.address == 0 || first + length > bar.length_bytes {
        return None;
    }
    let page = first / PAGE_BYTES * PAGE_BYTES;
    let table = registers(bar.address + page, (first - page) + length).ok()?;
    let table = Mapped::new(table, (first - page) + length).ok()?;
    let (interrupt, message) = InterruptControl(start::INTERRUPT_CONTROL).message(Pool(start::POOL)).ok()?;
    for entry in 0..usize::from(at.entries) {
        let place = (first - page) as usize + entry * MsiX::ENTRY_BYTES;
        table.write32(place, message.address as u32);
        table.write32(place + 4, (message.address >> 32) as u32);
        table.write32(place + 8, message.data);
        table.write32(place + 12, u32::from(entry != 0));
    }
    Some(interrupt)
}
