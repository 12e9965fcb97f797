// SPDX-License-Identifier: PMPL-1.0-or-later
//! Where a virtio device keeps its registers: the vendor capabilities of its configuration space (virtio 1.2, 4.1.4).
//! The driver gets a copy of that space from root and has no access to the real one.

use crate::Fault;

const CAPABILITIES: usize = 0x34;
const VENDOR: u8 = 0x09;
const MAX_CAPABILITIES: usize = 48;

/// A range of registers in a BAR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub bar: u8,
    pub offset: usize,
    pub length: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    pub common: Place,
    pub notify: Place,
    /// Bytes from one queue's doorbell to the next one's.
    pub notify_multiplier: u32,
    pub interrupt_status: Place,
    pub device: Option<Place>,
}

/// Errors: `NotVirtio` if a structure that every device has is missing.
pub fn find(configuration: &[u8]) -> Result<Places, Fault> {
    let (mut common, mut notify, mut status, mut device) = (None, None, None, None);
    let mut at = usize::from(byte(configuration, CAPABILITIES)? & 0xfc);
    for _ in 0..MAX_CAPABILITIES {
        if at < 0x40 {
            break;
        }
        if byte(configuration, at)? == VENDOR {
            let place = Place {
                bar: byte(configuration, at + 4)?,
                offset: word(configuration, at + 8)? as usize,
                length: word(configuration, at + 12)? as usize,
            };
            // The first of a type counts; later ones are alternatives.
            match byte(configuration, at + 3)? {
                1 => common = common.or(Some(place)),
                2 => notify = notify.or(Some((place, word(configuration, at + 16)?))),
                3 => status = status.or(Some(place)),
                4 => device = device.or(Some(place)),
                _ => {}
            }
        }
        at = usize::from(byte(configuration, at + 1)? & 0xfc);
    }
    let (notify, notify_multiplier) = notify.ok_or(Fault::NotVirtio)?;
    Ok(Places {
        common: common.ok_or(Fault::NotVirtio)?,
        notify,
        notify_multiplier,
        interrupt_status: status.ok_or(Fault::NotVirtio)?,
        device,
    })
}

fn byte(from: &[u8], at: usize) -> Result<u8, Fault> {
    from.get(at).copied().ok_or(Fault::NotVirtio)
}
fn word(from: &[u8], at: usize) -> Result<u32, Fault> {
    let four = from.get(at..).and_then(|rest| rest.first_chunk::<4>());
    four.map(|b| u32::from_le_bytes(*b)).ok_or(Fault::NotVirtio)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU's virtio-blk-pci lays it out: common, interrupt status, device, notify.
    fn example() -> [u8; 256] {
        let mut c = [0; 256];
        c[CAPABILITIES] = 0x40;
        let caps = [
            (0x40, 0x50, 1, 0, 0x1000u32),
            (0x50, 0x60, 3, 0x1000, 0x1000),
            (0x60, 0x70, 4, 0x2000, 0x1000),
            (0x70, 0, 2, 0x3000, 0x1000),
        ];
        for (at, next, kind, offset, length) in caps {
            c[at..at + 5].copy_from_slice(&[VENDOR, next, 16, kind, 4]);
            c[at + 8..at + 12].copy_from_slice(&(offset as u32).to_le_bytes());
            c[at + 12..at + 16].copy_from_slice(&length.to_le_bytes());
        }
        c[0x80..0x84].copy_from_slice(&4u32.to_le_bytes());
        c
    }

    #[test]
    fn the_four_structures_are_found() {
        let places = find(&example()).unwrap();
        assert_eq!(places.common, Place { bar: 4, offset: 0, length: 0x1000 });
        assert_eq!((places.notify.offset, places.notify_multiplier), (0x3000, 4));
        assert_eq!(places.device.unwrap().offset, 0x2000);
    }

    #[test]
    fn a_space_without_one_a_circle_and_a_cut_off_space_are_refused() {
        let mut missing = example();
        missing[0x41] = 0;
        assert_eq!(find(&missing), Err(Fault::NotVirtio));
        let mut circle = example();
        circle[0x51] = 0x40;
        assert_eq!(find(&circle), Err(Fault::NotVirtio));
        assert_eq!(find(&example()[..0x60]), Err(Fault::NotVirtio));
        assert_eq!(find(&[]), Err(Fault::NotVirtio));
    }
}
