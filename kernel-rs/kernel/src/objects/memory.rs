// SPDX-License-Identifier: PMPL-1.0-or-later
//! Memory objects: frames that can be mapped, or a device's registers.
//!
//! Making one means clearing its pages, and for a row of frames finding it: some at a time, kept in the object itself.
//! Nobody has a capability to it before it is whole.

use super::{Mapping, Pool};
use crate::Kernel;
use crate::invoke::{Call, Done, Failure, Flow, at};
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::paging::Backing as Place;
use machine::memory::{Array, FRAME_BYTES, Frame, RUN_FRAMES, Ref};

const PAGE: u64 = FRAME_BYTES as u64;

/// Pages cleared in one step, and in the one that begins a memory object.
pub const CLEAR_STEP: u32 = 5;
pub const CLEAR_FIRST: u32 = 3;
/// Frames taken or given in one step.
const FRAMES_STEP: u32 = 40;
/// Pages of a device's range looked at in one step.
const DEVICE_STEP: u64 = 96;

pub enum Backing {
    /// Numbers of the frames.
    Frames(Array<u32>),
    /// Numbers of the first frames of runs: each stands for 512 pages, which can be mapped as one of 2 MiB.
    Runs(Array<u32>),
    /// Frames in a row from this one on.
    Row(Frame),
    /// As `Row`, but they are not this object's to give back: the boot bundle.
    Kept(Frame),
    /// Physical address of the first register.
    Device(u64),
}

/// How the frames of a memory object are to lie, by the flags of Create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Anyhow,
    Row,
    Runs,
}

pub struct Memory {
    pub pool: Ref<Pool>,
    /// Pages that can be mapped: grows while the object is made, shrinks while it is destroyed.
    pub pages: u32,
    /// Pages that it is to have, frames that it holds for them, and frames that are paid, also for its index.
    pub wanted: u32,
    held: u32,
    paid: u32,
    /// Where the look for a row goes on; below the row's end, frames of a row that was too short are given back.
    next: u32,
    pub backing: Backing,
    pub mappings: Option<Ref<Mapping>>,
    /// Being destroyed: is not mapped any more.
    pub dying: bool,
}

impl Memory {
    /// Memory that is there already.
    pub fn new(pool: Ref<Pool>, pages: u32, backing: Backing) -> Memory {
        Memory { pool, pages, wanted: pages, held: 0, paid: 0, next: 0, backing, mappings: None, dying: false }
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
    /// A memory object that is paid for and has no pages yet.
    pub(crate) fn begin_memory(&mut self, pool: Ref<Pool>, pages: u32, layout: Layout) -> Result<Ref<Memory>, Error> {
        let index = match layout {
            Layout::Anyhow => pages,
            Layout::Runs => pages / RUN_FRAMES,
            Layout::Row => 0,
        };
        let cost = pages + Array::<u32>::cost(index);
        self.can_pay(pool, cost + self.object_cost::<Memory>(pool)?)?;
        let array = Array::reserve(&mut self.frames, index).ok_or(Error::NoQuota)?;
        self.charge(pool, cost)?;
        let backing = match layout {
            Layout::Anyhow => Backing::Frames(array),
            Layout::Runs => Backing::Runs(array),
            Layout::Row => Backing::Row(Frame(0)),
        };
        self.create(pool, Memory { pages: 0, paid: cost, ..Memory::new(pool, pages, backing) })
    }

    /// Gives a memory object some of the zeroed pages that it paid for; true when it has all. `NoQuota`: frames are there,
    /// but they do not lie as they should.
    pub(crate) fn fill_memory(&mut self, memory: Ref<Memory>, most: u32) -> Result<bool, Error> {
        let Some(m) = self.memories.get_mut(memory) else { return Err(Error::BadState) };
        let frames = &mut self.frames;
        match &mut m.backing {
            Backing::Frames(index) => {
                let grows = m.pages == index.len() && m.pages < m.wanted;
                if grows {
                    index.grow(frames, 0);
                }
                // The index's frame was cleared as well.
                let end = index.len().min(m.pages + most - grows as u32);
                for n in m.pages..end {
                    // The charge promised the frame.
                    if let (Some(slot), Some(frame)) = (index.get_mut(n), frames.take_user()) {
                        *slot = frame.0;
                    }
                }
                (m.pages, m.held) = (end, end);
            }
            Backing::Runs(index) => {
                if m.pages < m.held {
                    let run = Frame(*index.get(m.pages / RUN_FRAMES).ok_or(Error::NoQuota)?);
                    let end = m.held.min(m.pages + most);
                    (m.pages..end).for_each(|n| frames.clear_user(Frame(run.0 + n % RUN_FRAMES)));
                    m.pages = end;
                } else if m.held / RUN_FRAMES == index.len() {
                    index.grow(frames, 0);
                } else if let Some(slot) = index.get_mut(m.held / RUN_FRAMES) {
                    *slot = frames.take_user_run().ok_or(Error::NoQuota)?.0;
                    m.held += RUN_FRAMES;
                }
            }
            Backing::Row(first) if m.held == m.wanted => {
                let end = m.wanted.min(m.pages + most);
                (m.pages..end).for_each(|n| frames.clear_user(Frame(first.0 + n)));
                m.pages = end;
            }
            Backing::Row(first) => {
                for _ in 0..FRAMES_STEP {
                    if m.held == 0 {
                        *first = frames.next_free(Frame(m.next)).ok_or(Error::NoQuota)?;
                        m.next = 0;
                    }
                    if m.next > first.0 + m.held {
                        m.held -= 1;
                        frames.give_user(Frame(first.0 + m.held));
                    } else if frames.take_user_at(Frame(first.0 + m.held)) {
                        m.held += 1;
                        if m.held == m.wanted {
                            break;
                        }
                    } else {
                        // Too short: the frames go back, and the look goes on behind the one that is taken.
                        m.next = first.0 + m.held + 1;
                    }
                }
            }
            Backing::Kept(_) | Backing::Device(_) => {}
        }
        Ok(m.pages == m.wanted)
    }

    /// Destroys a little of a memory object; true when it is gone.
    pub(crate) fn destroy_memory(&mut self, memory: Ref<Memory>) -> bool {
        let Some(m) = self.memories.get_mut(memory) else { return true };
        m.dying = true;
        let pool = m.pool;
        if let Some(record) = m.mappings {
            self.unmap_record_step(record);
            return false;
        }
        if m.held > 0 {
            let end = match m.backing {
                Backing::Runs(_) => m.held - RUN_FRAMES,
                _ => m.held.saturating_sub(FRAMES_STEP / 2),
            };
            let step = if m.has_runs() { RUN_FRAMES as usize } else { 1 };
            for n in (end..m.held).step_by(step) {
                let frame = match &m.backing {
                    Backing::Frames(index) => index.get(n).copied(),
                    Backing::Runs(index) => index.get(n / RUN_FRAMES).copied(),
                    Backing::Row(first) => Some(first.0 + n),
                    Backing::Kept(_) | Backing::Device(_) => None,
                };
                if let Some(frame) = frame {
                    self.frames.give_user(Frame(frame));
                }
            }
            let given = m.held - end;
            (m.held, m.pages, m.paid) = (end, m.pages.min(end), m.paid - given);
            self.refund(pool, given);
            return false;
        }
        m.pages = 0;
        if let Backing::Frames(index) | Backing::Runs(index) = &mut m.backing {
            let (given, done) = index.shrink(&mut self.frames);
            m.paid -= given;
            self.refund(pool, given);
            if !done {
                return false;
            }
        }
        // What was paid for and never came, if it was still being made.
        let unfilled = self.remove(pool, memory).map_or(0, |m| m.paid);
        self.refund(pool, unfilled);
        true
    }

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
        self.table_has_room(call.table, 1)?;
        if !self.check_device(call, physical, end)? {
            return Ok(Flow::Again);
        }
        let memory = self.create(pool, Memory::new(pool, pages, Backing::Device(physical)))?;
        let rights = Rights(Rights::ALL.0 & !(Rights::EXECUTE | Rights::DMA).0);
        let handle = self.insert_new(call.table, Kind::Memory, memory.to_raw(), rights, 0)?;
        Ok(Flow::value(handle.0 as u64))
    }

    /// Looks at some pages of a device's range, from where the thread's progress says on; true when it has no RAM and no
    /// device of the kernel.
    fn check_device(&mut self, call: &Call, physical: u64, end: u64) -> Result<bool, Failure> {
        /// Steps are counted above what a look for room in the table counts.
        const SHIFT: u32 = 24;
        let step = self.get(call.thread)?.progress >> SHIFT;
        let first = physical + step * DEVICE_STEP * PAGE;
        let last = end.min(first + DEVICE_STEP * PAGE);
        if (first..last).step_by(FRAME_BYTES).any(|p| self.frames.is_ram(p / PAGE) || machine::device_is_kernels(p)) {
            return Err(at(Error::OutOfRange, 1));
        }
        self.get_mut(call.thread)?.progress = (step + 1) << SHIFT;
        Ok(last == end)
    }
}
