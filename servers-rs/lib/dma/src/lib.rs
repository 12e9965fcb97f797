// SPDX-License-Identifier: PMPL-1.0-or-later
//! Memory that a device may touch: reached by copying only, since the device writes it at any time.
//!
//! A driver is generic over [`Area`], so it runs against [`Fake`] on the host. The memory comes from the manifest's
//! grant and outlives the driver: a device that still writes after its driver died writes nobody else's memory.
#![no_std]

extern crate alloc;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{Ordering, fence};
use rt::memory::Shared;
use sys::{Memory, Rights};

pub trait Area {
    fn length_bytes(&self) -> usize;
    /// Where the device finds byte `offset`.
    fn physical(&self, offset: usize) -> u64;
    /// Copies out; `None` outside the area.
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()>;
    /// Copies in; `None` outside the area.
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()>;

    fn read16(&self, offset: usize) -> Option<u16> {
        let mut bytes = [0; 2];
        self.read(offset, &mut bytes)?;
        Some(u16::from_le_bytes(bytes))
    }
    fn read32(&self, offset: usize) -> Option<u32> {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes)?;
        Some(u32::from_le_bytes(bytes))
    }
    fn write16(&self, offset: usize, value: u16) -> Option<()> {
        self.write(offset, &value.to_le_bytes())
    }
}

/// What was written before is seen by the device before what is written after.
pub fn barrier() {
    fence(Ordering::SeqCst);
}

/// Granted DMA memory, mapped.
#[derive(Debug)]
pub struct Mapped {
    memory: Shared,
    physical: u64,
}

impl Mapped {
    /// Errors: `NoRight` or `BadState` if it is no DMA memory, and those of `rt::memory::Window::map`.
    pub fn new(memory: Memory, length_bytes: u64) -> sys::Result<Mapped> {
        let physical = memory.physical(0)?;
        Ok(Mapped { memory: Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE)?, physical })
    }
}

impl Area for Mapped {
    fn length_bytes(&self) -> usize {
        self.memory.length_bytes() as usize
    }
    fn physical(&self, offset: usize) -> u64 {
        self.physical + offset as u64
    }
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        self.memory.read(offset, out)
    }
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.memory.write(offset, bytes)
    }
}

/// An area for tests; a clone is the same memory, for the fake device.
#[derive(Clone, Debug)]
pub struct Fake {
    bytes: Rc<RefCell<Vec<u8>>>,
    base: u64,
}

impl Fake {
    pub fn new(length_bytes: usize, base: u64) -> Fake {
        Fake { bytes: Rc::new(RefCell::new(alloc::vec![0; length_bytes])), base }
    }
    /// The offset of a physical address, if all `length` bytes lie in the area.
    pub fn offset_of(&self, physical: u64, length: usize) -> Option<usize> {
        let offset = usize::try_from(physical.checked_sub(self.base)?).ok()?;
        (offset.checked_add(length)? <= self.length_bytes()).then_some(offset)
    }
}

impl Area for Fake {
    fn length_bytes(&self) -> usize {
        self.bytes.borrow().len()
    }
    fn physical(&self, offset: usize) -> u64 {
        self.base + offset as u64
    }
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        out.copy_from_slice(self.bytes.borrow().get(offset..offset.checked_add(out.len())?)?);
        Some(())
    }
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.bytes.borrow_mut().get_mut(offset..offset.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_refuses_what_is_not_in_it() {
        let area = Fake::new(16, 0x1000);
        assert_eq!(area.write16(14, 0xbeef), Some(()));
        assert_eq!(area.clone().read16(14), Some(0xbeef));
        assert_eq!(area.write(15, &[0; 2]), None);
        assert_eq!(area.read(usize::MAX, &mut [0; 2]), None);
        assert_eq!((area.offset_of(0x100f, 1), area.offset_of(0x100f, 2), area.offset_of(0xfff, 1)), (Some(15), None, None));
    }
}
