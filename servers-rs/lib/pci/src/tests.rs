// SPDX-License-Identifier: PMPL-1.0-or-later
//! A bus with a host bridge, a bridge, and behind it a disk like the emulator's virtio-blk.

extern crate std;
use super::*;
use std::collections::BTreeMap;
use std::vec::Vec;

#[derive(Default)]
struct Bus {
    registers: BTreeMap<(Address, u16), u32>,
    /// Bits of a register that stay zero when ones are written.
    sizes: BTreeMap<(Address, u16), u32>,
}

impl Configuration for Bus {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        let there = self.registers.contains_key(&(address, 0));
        self.registers.get(&(address, offset)).copied().unwrap_or(if there { 0 } else { u32::MAX })
    }
    fn write(&mut self, address: Address, offset: u16, value: u32) {
        let low = if (0x10..0x28).contains(&offset) { self.read(address, offset) & 0xf } else { 0 };
        let size = self.sizes.get(&(address, offset)).copied().unwrap_or(if low == 0 && (0x10..0x28).contains(&offset) {
            u32::MAX
        } else {
            0
        });
        self.registers.insert(
            (address, offset),
            (value & !size & !if offset == 4 { 0xffff_0000 } else { 0 }) | low | if offset == 4 { 1 << 20 } else { 0 },
        );
    }
}

const HOST: Address = Address { bus: 0, device: 0, function: 0 };
const BRIDGE: Address = Address { bus: 0, device: 2, function: 1 };
const DISK: Address = Address { bus: 3, device: 0, function: 0 };

fn bus() -> Bus {
    let mut bus = Bus::default();
    let mut set = |a: Address, values: &[(u16, u32)]| bus.registers.extend(values.iter().map(|(at, v)| ((a, *at), *v)));
    set(HOST, &[(0, 0x29c0_8086)]);
    set(Address { function: 0, ..BRIDGE }, &[(0, 0x0001_1b36), (0x0c, 0x80 << 16)]);
    set(BRIDGE, &[(0, 0x000c_1b36), (0x0c, 1 << 16), (0x18, 0x0003_0300)]);
    set(
        DISK,
        &[
            (0, 0x1042_1af4),
            (4, 1 << 20),
            (0x34, 0x98),
            (0x98, 0x0001_8411),
            (0x9c, 1),
            (0x84, 0x0000_0009),
            (0x14, 0xfebd_0000),
            (0x20, 0x0000_400c),
            (0x24, 0x7),
        ],
    );
    bus.sizes.insert((DISK, 0x14), 0xfff);
    bus.sizes.insert((DISK, 0x20), 0x3fff);
    bus.sizes.insert((DISK, 0x24), 0);
    bus
}

#[test]
fn a_function_behind_a_bridge_is_found() {
    let mut found = Vec::new();
    scan(&mut bus(), &mut |_, address, vendor, device| {
        found.push((address, vendor, device));
        true
    });
    assert_eq!(found.len(), 4);
    assert_eq!(found[3], (DISK, 0x1af4, 0x1042));
}

#[test]
fn registers_are_sized_and_left_as_they_were() {
    let mut bus = bus();
    let bars = Function(DISK).bars(&mut bus);
    assert_eq!(bars[1], Some(Bar { index: 1, address: 0xfebd_0000, length_bytes: 4096 }));
    assert_eq!(bars[4], Some(Bar { index: 4, address: 0x7_0000_4000, length_bytes: 0x4000 }));
    assert_eq!((bars[0], bars[2], bars[3], bars[5]), (None, None, None, None));
    assert_eq!(bus.read(DISK, 0x14), 0xfebd_0000);
    assert_eq!(bus.read(DISK, 0x20), 0x400c);
}

#[test]
fn the_interrupt_table_is_found_and_its_own_bar_is_known() {
    let mut bus = bus();
    let msi_x = Function(DISK).msi_x(&mut bus).unwrap();
    assert_eq!((msi_x.entries, msi_x.table_bar, msi_x.table_offset_bytes), (2, 1, 0));
    let bars = Function(DISK).bars(&mut bus);
    assert!(msi_x.fills(&bars[1].unwrap()));
    assert!(!msi_x.fills(&bars[4].unwrap()));
    Function(DISK).enable_msi_x(&mut bus, &msi_x);
    assert_eq!(bus.read(DISK, 0x98) >> 30, 0b10);
    Function(DISK).enable(&mut bus);
    assert_eq!(bus.read(DISK, 4) & 0x406, 0x406);
}

#[test]
fn a_capability_list_that_is_a_circle_ends() {
    let mut bus = bus();
    bus.registers.insert((DISK, 0x98), 0x0001_8409);
    bus.registers.insert((DISK, 0x84), 0x0001_9809);
    assert_eq!(Function(DISK).msi_x(&mut bus), None);
    assert_eq!(Function(HOST).msi_x(&mut bus), None);
}

#[test]
fn a_bridge_that_names_its_own_bus_is_not_followed() {
    let mut bus = bus();
    bus.registers.insert((BRIDGE, 0x18), 0);
    let mut count = 0;
    scan(&mut bus, &mut |_, _, _, _| {
        count += 1;
        true
    });
    assert_eq!(count, 3);
}
