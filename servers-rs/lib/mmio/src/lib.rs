// SPDX-License-Identifier: PMPL-1.0-or-later
//! Device registers. A driver's hardware file is generic over [`Registers`], so it runs against a fake on the host.
//!
//! A read outside the range gives all ones and a write there does nothing, as a bus does where no device answers.
#![no_std]

use rt::memory::Window;
use sys::{Memory, Rights};

/// Registers by their offset in bytes. Each width is one access of that width.
pub trait Registers {
    fn read8(&self, offset: usize) -> u8;
    fn read16(&self, offset: usize) -> u16;
    fn read32(&self, offset: usize) -> u32;
    fn write8(&self, offset: usize, value: u8);
    fn write16(&self, offset: usize, value: u16);
    fn write32(&self, offset: usize, value: u32);
}

impl<R: Registers + ?Sized> Registers for &R {
    fn read8(&self, offset: usize) -> u8 {
        (**self).read8(offset)
    }
    fn read16(&self, offset: usize) -> u16 {
        (**self).read16(offset)
    }
    fn read32(&self, offset: usize) -> u32 {
        (**self).read32(offset)
    }
    fn write8(&self, offset: usize, value: u8) {
        (**self).write8(offset, value)
    }
    fn write16(&self, offset: usize, value: u16) {
        (**self).write16(offset, value)
    }
    fn write32(&self, offset: usize, value: u32) {
        (**self).write32(offset, value)
    }
}

/// Device memory, mapped.
#[derive(Debug)]
pub struct Mapped(Window);

impl Mapped {
    /// Errors: those of [`Window::map`].
    pub fn new(memory: Memory, length_bytes: u64) -> sys::Result<Mapped> {
        Window::map(memory, length_bytes, Rights::READ | Rights::WRITE).map(Mapped)
    }
    pub fn length_bytes(&self) -> u64 {
        self.0.length_bytes()
    }
    fn place<T>(&self, offset: usize) -> Option<*mut T> {
        let fits = self.0.holds(offset, size_of::<T>()) && offset.is_multiple_of(size_of::<T>());
        fits.then(|| (self.0.address() as usize + offset) as *mut T)
    }
    fn read<T>(&self, offset: usize) -> Option<T> {
        // SAFETY: 1. `place` gave an aligned address in the window, which is mapped while `self` lives. 2. The window holds
        // device registers that no Rust reference points to. 3. Any bits are a value of the integers that T is.
        self.place::<T>(offset).map(|place| unsafe { place.read_volatile() })
    }
    fn write<T>(&self, offset: usize, value: T) {
        if let Some(place) = self.place::<T>(offset) {
            // SAFETY: as in `read`.
            unsafe { place.write_volatile(value) }
        }
    }
}

impl Registers for Mapped {
    fn read8(&self, offset: usize) -> u8 {
        self.read(offset).unwrap_or(u8::MAX)
    }
    fn read16(&self, offset: usize) -> u16 {
        self.read(offset).unwrap_or(u16::MAX)
    }
    fn read32(&self, offset: usize) -> u32 {
        self.read(offset).unwrap_or(u32::MAX)
    }
    fn write8(&self, offset: usize, value: u8) {
        self.write(offset, value)
    }
    fn write16(&self, offset: usize, value: u16) {
        self.write(offset, value)
    }
    fn write32(&self, offset: usize, value: u32) {
        self.write(offset, value)
    }
}

/// A part of a range of registers, with offsets of its own.
#[derive(Clone, Copy, Debug)]
pub struct Part<R> {
    all: R,
    offset: usize,
    length: usize,
}

impl<R: Registers> Part<R> {
    pub fn new(all: R, offset: usize, length: usize) -> Part<R> {
        Part { all, offset, length }
    }
    pub fn length(&self) -> usize {
        self.length
    }
    fn at(&self, offset: usize, width: usize) -> Option<usize> {
        let inside = offset.checked_add(width).is_some_and(|end| end <= self.length);
        if inside { self.offset.checked_add(offset) } else { None }
    }
}

impl<R: Registers> Registers for Part<R> {
    fn read8(&self, offset: usize) -> u8 {
        self.at(offset, 1).map_or(u8::MAX, |at| self.all.read8(at))
    }
    fn read16(&self, offset: usize) -> u16 {
        self.at(offset, 2).map_or(u16::MAX, |at| self.all.read16(at))
    }
    fn read32(&self, offset: usize) -> u32 {
        self.at(offset, 4).map_or(u32::MAX, |at| self.all.read32(at))
    }
    fn write8(&self, offset: usize, value: u8) {
        if let Some(at) = self.at(offset, 1) {
            self.all.write8(at, value)
        }
    }
    fn write16(&self, offset: usize, value: u16) {
        if let Some(at) = self.at(offset, 2) {
            self.all.write16(at, value)
        }
    }
    fn write32(&self, offset: usize, value: u32) {
        if let Some(at) = self.at(offset, 4) {
            self.all.write32(at, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct One(Cell<(usize, u32)>);
    impl Registers for One {
        fn read8(&self, _: usize) -> u8 {
            8
        }
        fn read16(&self, _: usize) -> u16 {
            16
        }
        fn read32(&self, _: usize) -> u32 {
            32
        }
        fn write8(&self, at: usize, value: u8) {
            self.0.set((at, value.into()))
        }
        fn write16(&self, at: usize, value: u16) {
            self.0.set((at, value.into()))
        }
        fn write32(&self, at: usize, value: u32) {
            self.0.set((at, value))
        }
    }

    #[test]
    fn a_part_shifts_what_is_inside_and_answers_as_nothing_outside() {
        let all = One(Cell::new((0, 0)));
        let part = Part::new(&all, 0x100, 6);
        part.write32(0, 7);
        assert_eq!(all.0.get(), (0x100, 7));
        part.write32(4, 9);
        part.write8(usize::MAX, 9);
        assert_eq!(all.0.get(), (0x100, 7));
        assert_eq!((part.read16(4), part.read32(4), part.read8(6)), (16, u32::MAX, u8::MAX));
    }
}
