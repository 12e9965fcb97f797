// SPDX-License-Identifier: PMPL-1.0-or-later
//! Two questions about a UEFI device path (UEFI 2.10, section 10.3), asked of its bytes: which path is the disk that
//! holds this partition, and is this console the first serial port? Does not look anything up in the firmware.

use alloc::vec::Vec;

const HARDWARE_ACPI: (u8, u8) = (2, 1);
const MESSAGING_UART: (u8, u8) = (3, 14);
const MEDIA_HARD_DRIVE: (u8, u8) = (4, 1);
const MEDIA_CD_ROM: (u8, u8) = (4, 2);
const END_TYPE: u8 = 0x7f;
const END_ENTIRE: [u8; 4] = [END_TYPE, 0xff, 4, 0];
/// PNP0501 (a 16550-compatible serial port) as a compressed EISA id.
const EISA_PNP0501: u32 = 0x0501_41d0;

/// The device path of the whole disk, end node included, when `path` leads to a partition of it: what is before the
/// last partition node. `None` when no partition is in the path (started from the network, or from a bare disk).
pub fn whole_disk(path: &[u8]) -> Option<Vec<u8>> {
    let partition = nodes(path).filter(|node| node.kind == MEDIA_HARD_DRIVE || node.kind == MEDIA_CD_ROM).last()?;
    let mut disk = path.get(..partition.offset)?.to_vec();
    disk.extend_from_slice(&END_ENTIRE);
    Some(disk)
}

/// Whether `path` ends at a UART whose ACPI node says "serial port, unit 0", that is COM1 at 0x3f8.
pub fn is_first_serial_port(path: &[u8]) -> bool {
    let mut port = None;
    let mut has_uart = false;
    for node in nodes(path) {
        if node.kind == HARDWARE_ACPI && read_u32(node.data, 0) == Some(EISA_PNP0501) {
            port = read_u32(node.data, 4);
        }
        has_uart |= node.kind == MESSAGING_UART;
    }
    has_uart && port == Some(0)
}

struct Node<'a> {
    offset: usize,
    kind: (u8, u8),
    data: &'a [u8],
}

/// Nodes up to the first end node, or up to the first one whose length is impossible.
fn nodes(path: &[u8]) -> impl Iterator<Item = Node<'_>> {
    let mut offset = 0_usize;
    core::iter::from_fn(move || {
        let rest = path.get(offset..)?;
        let &[major, minor, low, high, ..] = rest else { return None };
        let length = usize::from(u16::from_le_bytes([low, high]));
        if major == END_TYPE {
            return None;
        }
        let data = rest.get(4..length)?;
        let node = Node { offset, kind: (major, minor), data };
        offset = offset.checked_add(length)?;
        Some(node)
    })
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const PCI_ROOT: [u8; 12] = [2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0];
    const PCI: [u8; 6] = [1, 1, 6, 0, 0, 4];

    fn partition() -> Vec<u8> {
        let mut node = vec![4, 1, 42, 0];
        node.resize(42, 7);
        node
    }

    fn serial(unit: u8) -> Vec<u8> {
        let mut path = [&PCI_ROOT[..], &PCI, &[2, 1, 12, 0, 0xd0, 0x41, 0x01, 0x05, unit, 0, 0, 0]].concat();
        let mut uart = vec![3, 14, 19, 0];
        uart.resize(19, 0);
        path.extend(uart);
        path.extend(END_ENTIRE);
        path
    }

    #[test]
    fn the_disk_is_what_stands_before_the_partition() {
        let path = [&PCI_ROOT[..], &PCI, &partition(), &END_ENTIRE].concat();
        assert_eq!(whole_disk(&path), Some([&PCI_ROOT[..], &PCI, &END_ENTIRE].concat()));
    }

    #[test]
    fn no_partition_in_the_path_is_refused() {
        assert_eq!(whole_disk(&[&PCI_ROOT[..], &PCI, &END_ENTIRE].concat()), None);
        assert_eq!(whole_disk(&[]), None);
    }

    #[test]
    fn a_node_shorter_than_its_header_ends_the_walk() {
        let path = [&PCI_ROOT[..], &[4, 1, 3, 0], &partition()[..]].concat();
        assert_eq!(whole_disk(&path), None);
    }

    #[test]
    fn a_node_longer_than_the_path_ends_the_walk() {
        let mut path = PCI_ROOT.to_vec();
        path.extend(&partition()[..20]);
        assert_eq!(whole_disk(&path), None);
    }

    #[test]
    fn com1_is_told_from_com2_and_from_a_screen() {
        assert!(is_first_serial_port(&serial(0)));
        assert!(!is_first_serial_port(&serial(1)));
        assert!(!is_first_serial_port(&[&PCI_ROOT[..], &PCI, &END_ENTIRE].concat()));
    }
}
