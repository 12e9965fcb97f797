// SPDX-License-Identifier: PMPL-1.0-or-later
//! Memory objects: frames that can be mapped, or a device's registers.

use super::{Mapping, Pool};
use crate::Kernel;
use crate::invoke::{Call, Done, Flow, at};
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::paging::Backing as Place;
use machine::memory::{Array, FRAME_BYTES, Frame, Ref};

const PAGE: u64 = FRAME_BYTES as u64;

pub enum Backing {
    /// Numbers of the frames.
    Frames(Array<u32>),
    /// Frames in a row from this one on.
    Row(Frame),
    /// As `Row`, but they are not this object's to give back: the boot bundle.
    Kept(Frame),
    /// Physical address of the first register.
    Device(u64),
}

pub struct Memory {
    pub pool: Ref<Pool>,
    /// Pages that it has: grows while the object is made, shrinks while it is destroyed.
    pub pages: u32,
    /// Pages that are paid for.
    pub paid: u32,
    pub backing: Backing,
    pub mappings: Option<Ref<Mapping>>,
    /// Being destroyed: is not mapped any more.
    pub dying: bool,
}

impl Memory {
    pub fn new(pool: Ref<Pool>, pages: u32, backing: Backing) -> Memory {
        Memory { pool, pages, paid: pages, backing, mappings: None, dying: false }
    }

    /// The frame behind page `n`, if it is RAM.
    pub fn frame(&self, n: u32) -> Option<Frame> {
        match self.page(n)? {
            Place::Ram(frame) => Some(frame),
            Place::Device(_) => None,
        }
    }
}

impl Kernel {
    /// `Op::MemorySize`.
    pub(crate) fn memory_size(&mut self, call: &Call) -> Done {
        let (memory, _) = self.object::<Memory>(call, Kind::Memory, Rights::NONE)?;
        Ok(Flow::value(self.get(memory)?.pages as u64 * PAGE))
    }

    /// `Op::MemoryPhysical`.
    pub(crate) fn memory_physical(&mut self, call: &Call) -> Done {
        let (memory, _) = self.object::<Memory>(call, Kind::Memory, Rights::DMA)?;
        let m = self.get(memory)?;
        let offset = call.arguments[0];
        if offset >= m.pages as u64 * PAGE {
            return Err(at(Error::OutOfRange, 0));
        }
        match m.backing {
            Backing::Row(first) => Ok(Flow::value(first.physical() + offset)),
            _ => Err(Error::BadState.into()),
        }
    }

    /// `Op::DeviceMemory`.
    pub(crate) fn device_memory(&mut self, call: &Call) -> Done {
        /// Physical addresses have 52 bits at most.
        const PHYSICAL_END: u64 = 1 << 52;
        self.capability(call.table, call.handle, Kind::DeviceRange, Rights::EDIT)?;
        let (pool, _) = self.object_argument::<Pool>(call, 0, Kind::Pool, Rights::EDIT)?;
        let [_, physical, length, ..] = call.arguments;
        for (value, number) in [(physical, 1), (length, 2)] {
            if !value.is_multiple_of(PAGE) {
                return Err(at(Error::Misaligned, number));
            }
        }
        let end = physical.checked_add(length).filter(|end| *end <= PHYSICAL_END).ok_or(at(Error::OutOfRange, 1))?;
        let pages = u32::try_from(length / PAGE).ok().filter(|n| *n > 0).ok_or(at(Error::BadArgument, 2))?;
        if (physical..end).step_by(FRAME_BYTES).any(|p| self.frames.is_ram(p / PAGE) || machine::device_is_kernels(p)) {
            return Err(at(Error::OutOfRange, 1));
        }
        self.table_has_room(call.table, 1)?;
        let memory = self.create(pool, Memory::new(pool, pages, Backing::Device(physical)))?;
        let rights = Rights(Rights::ALL.0 & !(Rights::EXECUTE | Rights::DMA).0);
        let handle = self.insert_new(call.table, Kind::Memory, memory.to_raw(), rights, 0)?;
        Ok(Flow::value(handle.0 as u64))
    }
}
