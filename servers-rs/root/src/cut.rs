// SPDX-License-Identifier: PMPL-1.0-or-later
//! Cuts grants: for each component of the manifest what its entry names, and nothing else.

use crate::devices::Ecam;
use abi::boot_info::{Origin, RootInfo};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use manifest::component::{Component, DMA_PRIVATE_BYTES, dma_shared_bytes};
use manifest::startup::Bar;
use manifest::{Facts, Grant, Manifest, What};
use sys::{Capability, DeviceRange, Error, InterruptControl, Pool, PortRange, Trigger, start};

/// The first interrupts are those of the ISA bus: edge-triggered (ACPI 6.5, 5.2.12.5).
const ISA_LINES: u32 = 16;

/// What root holds for the components, as `Startup::held` has it; handles are of root's own table.
pub fn all(manifest: &Manifest, info: &RootInfo) -> Result<Vec<(u32, Grant)>, String> {
    let mut ecam = Ecam::new(info.ecam_base, info.ecam_length_bytes);
    let mut held = Vec::new();
    for (number, component) in manifest.components.iter().enumerate() {
        let grants =
            of_component(component, &mut ecam).map_err(|e| format!("{}: its grants cannot be cut: {e:?}", component.name))?;
        held.extend(grants.into_iter().map(|grant| (number as u32, grant)));
    }
    Ok(held)
}

fn of_component(component: &Component, ecam: &mut Ecam) -> sys::Result<Vec<Grant>> {
    let mut grants = Vec::new();
    let mut add = |name: String, what| grants.push(Grant { name, what });
    for (n, wanted) in component.devices.iter().enumerate() {
        let Some(device) = ecam.take(wanted) else {
            rt::info!("{}: no device {:04x}:{:04x?} in this machine", component.name, wanted.vendor, wanted.devices);
            continue;
        };
        rt::debug!("{}: device {}", component.name, device.address);
        let bar = |(bar, memory): &(pci::Bar, sys::Memory)| Bar {
            index: bar.index,
            memory: memory.handle().0,
            length_bytes: bar.length_bytes,
        };
        add(
            format!("device{n}"),
            What::Device {
                configuration: device.configuration.to_vec(),
                bars: device.bars.iter().map(bar).collect(),
                interrupt: device.interrupt.map(|i| i.handle().0),
            },
        );
    }
    for (n, span) in component.io_ports.iter().enumerate() {
        let ports = PortRange(start::PORTS).narrow(span.first, span.last)?;
        add(format!("ports{n}"), What::Ports { ports: ports.handle().0, first: span.first, last: span.last });
    }
    for &gsi in &component.interrupts {
        let trigger = if gsi < ISA_LINES { Trigger::Edge } else { Trigger::LevelLow };
        let interrupt = InterruptControl(start::INTERRUPT_CONTROL).line(gsi, trigger, Pool(start::POOL))?;
        add(format!("interrupt{gsi}"), What::Interrupt { interrupt: interrupt.handle().0, gsi });
    }
    if component.dma_bytes > 0 {
        // Two objects, since who can map one can map all of it: queues stay the driver's, data are shared.
        let own = component.dma_bytes.min(DMA_PRIVATE_BYTES);
        for (name, length_bytes) in [("dma", own), ("dma-shared", dma_shared_bytes(component.dma_bytes))] {
            if length_bytes > 0 {
                let memory = Pool(start::POOL).create_dma_memory(length_bytes)?;
                add(name.into(), What::Memory { memory: memory.handle().0, length_bytes });
            }
        }
    }
    Ok(grants)
}

/// After this root can make no further grant: no interrupt, no port but its console's, no device register.
pub fn give_up_the_rest() {
    let all: [Result<(), Error>; 3] = [
        InterruptControl(start::INTERRUPT_CONTROL).delete(),
        PortRange(start::PORTS).delete(),
        DeviceRange(start::DEVICE_RANGE).delete(),
    ];
    if all.iter().any(Result::is_err) {
        rt::error!("an authority over devices could not be given up: {all:?}");
    }
}

/// What everyone may know of where this system came from; the random seed is not among it.
pub fn facts(origin: &Origin, info: &RootInfo, manifest: &Manifest) -> Facts {
    let given = origin.version.split(|&b| b == 0).next().and_then(|v| core::str::from_utf8(v).ok()).unwrap_or("");
    Facts {
        // Kernel and bundle that were given directly have no signed version; the bundle has its own.
        version: if given.is_empty() { manifest.version.clone() } else { given.into() },
        slot: origin.slot,
        flags: origin.flags,
        partition_guid: origin.partition_guid,
        verity_root: origin.verity_root,
        verity_salt: origin.verity_salt.get(..origin.verity_salt_len as usize).unwrap_or(&[]).to_vec(),
        verity_data_blocks: origin.verity_data_blocks,
        clock_offset_ns: info.clock_offset_ns,
        wall_clock_s: origin.wall_clock_s,
        cpus: info.cpu_count as u32,
    }
}
