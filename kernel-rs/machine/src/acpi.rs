// SPDX-License-Identifier: PMPL-1.0-or-later
//! The little of ACPI that the kernel needs: CPUs, I/O APICs, interrupt overrides, PCI configuration space, power.
//!
//! Firmware wrote these tables, so nothing here trusts a length or an address. It runs once, on the loader's page tables.
//! It does not interpret AML: the sleep type of S5 is found by its encoding.

use crate::MAX_CPUS;

pub const MAX_IO_APICS: usize = 8;
const MAX_OVERRIDES: usize = 24;

#[derive(Clone, Copy, Debug, Default)]
pub struct IoApicEntry {
    pub address: u32,
    pub first_gsi: u32,
}

/// Where machines are turned off.
#[derive(Clone, Copy, Debug)]
pub struct PowerPorts {
    pub pm1a: u16,
    pub pm1b: u16,
    pub smi_command: u16,
    pub acpi_enable: u8,
    /// SLP_TYPa and SLP_TYPb of S5.
    pub sleep_types: Option<(u8, u8)>,
    /// Port and value of the reset register.
    pub reset: Option<(u16, u8)>,
}

impl PowerPorts {
    pub const NONE: PowerPorts = PowerPorts { pm1a: 0, pm1b: 0, smi_command: 0, acpi_enable: 0, sleep_types: None, reset: None };
}

#[derive(Clone, Copy, Debug)]
pub struct Acpi {
    pub local_apic: u64,
    pub cpus: [u32; MAX_CPUS],
    pub cpu_count: usize,
    pub io_apics: [IoApicEntry; MAX_IO_APICS],
    pub io_apic_count: usize,
    /// ISA interrupt, its GSI, MPS INTI flags.
    pub overrides: [(u8, u32, u16); MAX_OVERRIDES],
    pub override_count: usize,
    pub ecam_base: u64,
    pub ecam_length_bytes: u64,
    pub power: PowerPorts,
}

/// Reads physical memory: `None` where nothing is mapped.
pub type Reader<'a> = &'a dyn Fn(u64, usize) -> Option<&'a [u8]>;

fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

const HEADER: usize = 36;
/// No table that we read is longer.
const MAX_TABLE: usize = 1 << 20;

/// A whole table with a right checksum.
fn table<'a>(read: Reader<'a>, address: u64) -> Option<&'a [u8]> {
    let length = u32_at(read(address, HEADER)?, 4)? as usize;
    if !(HEADER..=MAX_TABLE).contains(&length) {
        return None;
    }
    let bytes = read(address, length)?;
    (bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)) == 0).then_some(bytes)
}

/// Finds the root pointer in the BIOS area (ACPI 6.5, 5.2.5.1).
pub fn find_rsdp(read: Reader) -> u64 {
    (0xe_0000..0x10_0000).step_by(16).find(|&at| read(at, 8) == Some(b"RSD PTR ")).unwrap_or(0)
}

/// Reads what can be read. Without ACPI: one CPU, an I/O APIC at the usual place.
pub fn parse(read: Reader, rsdp: u64) -> Acpi {
    let mut acpi = Acpi {
        local_apic: 0xfee0_0000,
        cpus: [0; MAX_CPUS],
        cpu_count: 0,
        io_apics: [IoApicEntry::default(); MAX_IO_APICS],
        io_apic_count: 0,
        overrides: [(0, 0, 0); MAX_OVERRIDES],
        override_count: 0,
        ecam_base: 0,
        ecam_length_bytes: 0,
        power: PowerPorts::NONE,
    };
    let _ = walk(read, rsdp, &mut acpi);
    if acpi.io_apic_count == 0 {
        acpi.io_apics[0] = IoApicEntry { address: 0xfec0_0000, first_gsi: 0 };
        acpi.io_apic_count = 1;
    }
    acpi
}

fn walk(read: Reader, rsdp: u64, acpi: &mut Acpi) -> Option<()> {
    let root = read(rsdp, 20).filter(|r| r.starts_with(b"RSD PTR "))?;
    let extended = if u8_at(root, 15)? >= 2 { u64_at(read(rsdp, 36)?, 24)? } else { 0 };
    let (list, width) = match table(read, extended).filter(|_| extended != 0) {
        Some(xsdt) => (xsdt, 8),
        None => (table(read, u32_at(root, 16)? as u64)?, 4),
    };
    for entry in list.get(HEADER..)?.chunks_exact(width) {
        let address = if width == 8 { u64_at(entry, 0)? } else { u32_at(entry, 0)? as u64 };
        let Some(bytes) = table(read, address) else { continue };
        let _ = match bytes.get(..4)? {
            b"APIC" => madt(bytes, acpi),
            b"MCFG" => mcfg(bytes, acpi),
            b"FACP" => fadt(read, bytes, acpi),
            _ => None,
        };
    }
    Some(())
}

/// Multiple APIC description (ACPI 6.5, 5.2.12).
fn madt(bytes: &[u8], acpi: &mut Acpi) -> Option<()> {
    acpi.local_apic = u32_at(bytes, 36)? as u64;
    let mut at = 44;
    loop {
        let (kind, length) = (u8_at(bytes, at)?, u8_at(bytes, at + 1)? as usize);
        if length < 2 {
            return None;
        }
        let entry = bytes.get(at..at + length)?;
        match kind {
            // Local APIC: enabled bit.
            0 if u32_at(entry, 4)? & 1 != 0 => add_cpu(acpi, u8_at(entry, 3)? as u32),
            9 if u32_at(entry, 8)? & 1 != 0 => add_cpu(acpi, u32_at(entry, 4)?),
            1 if acpi.io_apic_count < MAX_IO_APICS => {
                acpi.io_apics[acpi.io_apic_count] = IoApicEntry { address: u32_at(entry, 4)?, first_gsi: u32_at(entry, 8)? };
                acpi.io_apic_count += 1;
            }
            2 if acpi.override_count < MAX_OVERRIDES => {
                acpi.overrides[acpi.override_count] = (u8_at(entry, 3)?, u32_at(entry, 4)?, u16_at(entry, 8)?);
                acpi.override_count += 1;
            }
            5 => acpi.local_apic = u64_at(entry, 4)?,
            _ => {}
        }
        at += length;
    }
}

fn add_cpu(acpi: &mut Acpi, id: u32) {
    if acpi.cpu_count < MAX_CPUS && !acpi.cpus[..acpi.cpu_count].contains(&id) {
        acpi.cpus[acpi.cpu_count] = id;
        acpi.cpu_count += 1;
    }
}

/// PCI memory-mapped configuration: the first segment's (PCI firmware specification 3.0, 4.1.2).
fn mcfg(bytes: &[u8], acpi: &mut Acpi) -> Option<()> {
    for entry in bytes.get(44..)?.chunks_exact(16) {
        let (base, segment, first, last) = (u64_at(entry, 0)?, u16_at(entry, 8)?, u8_at(entry, 10)?, u8_at(entry, 11)?);
        if segment == 0 && first == 0 {
            acpi.ecam_base = base;
            acpi.ecam_length_bytes = (last as u64 + 1) << 20;
            return Some(());
        }
    }
    None
}

/// Fixed description: power management ports and the DSDT (ACPI 6.5, 5.2.9).
fn fadt(read: Reader, bytes: &[u8], acpi: &mut Acpi) -> Option<()> {
    let port = |at| u32_at(bytes, at).and_then(|p| u16::try_from(p).ok()).unwrap_or(0);
    acpi.power.smi_command = port(48);
    acpi.power.acpi_enable = u8_at(bytes, 52)?;
    acpi.power.pm1a = port(64);
    acpi.power.pm1b = port(68);
    const RESET_SUPPORTED: u32 = 1 << 10;
    // The reset register counts if it is a port of 8 bits.
    if u32_at(bytes, 112).unwrap_or(0) & RESET_SUPPORTED != 0 && u8_at(bytes, 116) == Some(1) {
        acpi.power.reset = u64_at(bytes, 120).and_then(|p| u16::try_from(p).ok()).zip(u8_at(bytes, 128));
    }
    let dsdt = match u64_at(bytes, 140).unwrap_or(0) {
        0 => u32_at(bytes, 40)? as u64,
        x => x,
    };
    acpi.power.sleep_types = table(read, dsdt).and_then(sleep_types);
    Some(())
}

/// `Name (_S5_, Package () { a, b, ... })` by its encoding (ACPI 6.5, 20.2): name, package, length, count, integers.
fn sleep_types(dsdt: &[u8]) -> Option<(u8, u8)> {
    let at = dsdt.windows(5).position(|w| w == b"_S5_\x12")? + 5;
    // The package length's first byte says how many bytes follow it; then comes the number of elements.
    let mut at = at + 2 + (u8_at(dsdt, at)? >> 6) as usize;
    let mut next = || {
        let value = match u8_at(dsdt, at)? {
            // BytePrefix, then the byte; ZeroOp and OneOp stand for themselves.
            0x0a => {
                at += 1;
                u8_at(dsdt, at)?
            }
            n @ 0..=1 => n,
            _ => return None,
        };
        at += 1;
        Some(value)
    };
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSDP: u64 = 0x1000;
    const XSDT: u64 = 0x1100;
    const MADT: u64 = 0x1200;
    const MCFG: u64 = 0x1400;
    const FADT: u64 = 0x1500;
    const DSDT: u64 = 0x1700;

    fn sealed(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut t = signature.to_vec();
        t.extend(((HEADER + body.len()) as u32).to_le_bytes());
        t.resize(HEADER, 0);
        t.extend(body);
        let sum = t.iter().fold(0u8, |s, b| s.wrapping_add(*b));
        t[9] = 0u8.wrapping_sub(sum);
        t
    }

    /// A machine with two CPUs of three, an I/O APIC, an override, configuration space and S5.
    fn memory() -> Vec<u8> {
        let mut memory = vec![0; 0x2000];
        let mut put = |at: u64, bytes: &[u8]| memory[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        let mut rsdp = b"RSD PTR ".to_vec();
        rsdp.resize(15, 0);
        rsdp.push(2);
        rsdp.resize(24, 0);
        rsdp.extend(XSDT.to_le_bytes());
        put(RSDP, &rsdp);
        put(XSDT, &sealed(b"XSDT", &[MADT, MCFG, FADT, 0xdead_0000].map(u64::to_le_bytes).concat()));
        let mut madt = vec![0, 0, 0xe0, 0xfe, 1, 0, 0, 0];
        for (id, enabled) in [(0u8, 1u8), (1, 0), (2, 1)] {
            madt.extend([0, 8, id, id, enabled, 0, 0, 0]);
        }
        madt.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        madt.extend([2, 10, 0, 0, 2, 0, 0, 0, 0x0d, 0]);
        put(MADT, &sealed(b"APIC", &madt));
        let mut mcfg = vec![0; 8];
        mcfg.extend(0xb000_0000u64.to_le_bytes());
        mcfg.extend([0, 0, 0, 255, 0, 0, 0, 0]);
        put(MCFG, &sealed(b"MCFG", &mcfg));
        let mut fadt = vec![0; 208];
        fadt[64 - HEADER..66 - HEADER].copy_from_slice(&0x604u16.to_le_bytes());
        fadt[140 - HEADER..148 - HEADER].copy_from_slice(&DSDT.to_le_bytes());
        put(FADT, &sealed(b"FACP", &fadt));
        put(DSDT, &sealed(b"DSDT", b"\x08_S5_\x12\x06\x04\x0a\x05\x00\x00\x00"));
        memory
    }

    fn parse_in(memory: &[u8]) -> Acpi {
        let read = |at: u64, bytes: usize| memory.get(at as usize..(at as usize).checked_add(bytes)?);
        parse(&read, RSDP)
    }

    #[test]
    fn what_the_kernel_needs_is_found() {
        let acpi = parse_in(&memory());
        assert_eq!(acpi.cpus[..acpi.cpu_count], [0, 2], "enabled CPUs");
        assert_eq!((acpi.io_apic_count, acpi.io_apics[0].address), (1, 0xfec0_0000));
        assert_eq!(acpi.overrides[..acpi.override_count], [(0, 2, 0x0d)]);
        assert_eq!((acpi.ecam_base, acpi.ecam_length_bytes), (0xb000_0000, 256 << 20));
        assert_eq!((acpi.power.pm1a, acpi.power.sleep_types), (0x604, Some((5, 0))));
    }

    #[test]
    fn without_tables_there_is_one_machine_of_the_usual_kind() {
        let acpi = parse_in(&[0; 0x2000]);
        assert_eq!((acpi.cpu_count, acpi.io_apics[0].address, acpi.ecam_base), (0, 0xfec0_0000, 0));
    }

    #[test]
    fn a_table_with_a_wrong_checksum_is_passed_over() {
        let mut memory = memory();
        memory[MADT as usize + 40] ^= 1;
        let acpi = parse_in(&memory);
        assert_eq!((acpi.cpu_count, acpi.ecam_base), (0, 0xb000_0000));
    }

    /// Bytes changed at random, with checksums made right again, so that the damage is looked at.
    #[test]
    fn damaged_tables_never_panic() {
        let mut random = 88_172_645_463_325_252u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize
        };
        for _ in 0..20_000 {
            let mut m = memory();
            for _ in 0..1 + next() % 6 {
                let at = 0x1000 + next() % 0x800;
                m[at] = next() as u8;
            }
            for t in [XSDT, MADT, MCFG, FADT, DSDT] {
                let t = t as usize;
                let length = u32::from_le_bytes(m[t + 4..t + 8].try_into().unwrap()) as usize;
                if let Some(bytes) = m.get_mut(t..t.saturating_add(length)).filter(|b| b.len() > 9) {
                    bytes[9] = 0;
                    bytes[9] = 0u8.wrapping_sub(bytes.iter().fold(0, |s: u8, b| s.wrapping_add(*b)));
                }
            }
            parse_in(&m);
        }
    }
}
