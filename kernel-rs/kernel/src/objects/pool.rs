// SPDX-License-Identifier: PMPL-1.0-or-later
//! Pools: quotas over frames. Every object, page table and page is charged to one; pools nest, and a pool is the unit
//! of death. A frame that is charged is always there: limits never add up to more than the machine has.

use super::{Backing, Endpoint, Memory, Notification, Space, Table, Thread};
use crate::invoke::{Call, Done, Failure, Flow, at};
use crate::{Kernel, Object};
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::store::Cost;
use machine::memory::{Array, FRAME_BYTES, Ref, Slabs};

#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub parent: Option<Ref<Pool>>,
    /// Frames.
    pub limit: u32,
    pub used: u32,
    /// Being destroyed: makes nothing any more.
    pub dying: bool,
    pub slabs: PoolSlabs,
}

/// One list of slabs for each type.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolSlabs {
    pub pools: Slabs,
    pub tables: Slabs,
    pub spaces: Slabs,
    pub memories: Slabs,
    pub threads: Slabs,
    pub endpoints: Slabs,
    pub notifications: Slabs,
    pub interrupts: Slabs,
    pub mappings: Slabs,
}

impl Pool {
    pub fn new(parent: Option<Ref<Pool>>, limit: u32) -> Pool {
        Pool { parent, limit, used: 0, dying: false, slabs: PoolSlabs::default() }
    }
}

/// Pages cleared in one step.
const FILL_STEP: u32 = 64;

/// Longest memory object, in bytes: what an index of frames can name.
const MAX_MEMORY_BYTES: u64 = Array::<u32>::MAX_LENGTH as u64 * FRAME_BYTES as u64;

impl Kernel {
    /// Charges frames to a pool, or changes nothing.
    pub(crate) fn charge(&mut self, pool: Ref<Pool>, frames: u32) -> Result<(), Error> {
        let p = self.get_mut(pool)?;
        if p.dying {
            return Err(Error::BadState);
        }
        match p.used.checked_add(frames).filter(|used| *used <= p.limit) {
            Some(used) => p.used = used,
            None => return Err(Error::NoQuota),
        }
        Ok(())
    }

    pub(crate) fn refund(&mut self, pool: Ref<Pool>, frames: u32) {
        if let Ok(p) = self.get_mut(pool) {
            p.used -= frames;
        }
    }

    /// Whether a pool could pay for frames now.
    pub(crate) fn can_pay(&self, pool: Ref<Pool>, frames: u32) -> Result<(), Error> {
        let p = self.get(pool)?;
        match p.limit - p.used >= frames && !p.dying {
            true => Ok(()),
            false => Err(if p.dying { Error::BadState } else { Error::NoQuota }),
        }
    }

    /// Frames that one more object of this type would cost.
    pub(crate) fn object_cost<T: Object>(&self, pool: Ref<Pool>) -> Result<u32, Error> {
        let mut p = *self.get(pool)?;
        Ok(matches!(T::store(self).cost(T::slabs(&mut p)), Cost::OneFrame) as u32)
    }

    /// Makes an object that the pool pays for.
    pub(crate) fn create<T: Object>(&mut self, pool: Ref<Pool>, value: T) -> Result<Ref<T>, Error> {
        let cost = self.object_cost::<T>(pool)?;
        self.charge(pool, cost)?;
        let mut p = *self.get(pool)?;
        let (store, frames) = T::parts(self);
        let made = store.create(frames, T::slabs(&mut p), value);
        *self.get_mut(pool)? = p;
        // The charge promised the frame.
        made.ok_or(Error::NoQuota)
    }

    /// Takes an object out of the world and gives its frame back if it was the last in it.
    pub(crate) fn remove<T: Object>(&mut self, pool: Ref<Pool>, object: Ref<T>) -> Option<T> {
        let mut p = *self.get(pool).ok()?;
        let (store, frames) = T::parts(self);
        let (value, cost) = store.remove(frames, T::slabs(&mut p), object)?;
        *self.get_mut(pool).ok()? = p;
        self.refund(pool, matches!(cost, Cost::OneFrame) as u32);
        Some(value)
    }

    /// `Op::Create`.
    pub(crate) fn pool_create(&mut self, call: &Call) -> Done {
        let (pool, through) = self.object::<Pool>(call, Kind::Pool, Rights::EDIT)?;
        self.can_pay(pool, 0)?;
        let kind = u8::try_from(call.arguments[0]).ok().and_then(Kind::from_u8).ok_or(at(Error::BadArgument, 0))?;
        self.table_has_room(call.table, 1)?;
        let (argument, flags) = (call.arguments[1], call.arguments[2]);
        let object = match kind {
            Kind::Memory => {
                let pages = pages_of(argument)?;
                if flags > 1 {
                    return Err(at(Error::BadArgument, 2));
                }
                // Knowing physical addresses is an authority of its own: a pool pays for frames, it does not grant that.
                if flags == 1 && !through.rights().contains(Rights::DMA) {
                    return Err(Error::NoRight.into());
                }
                match self.continue_memory(call, pool, pages, flags == 1)? {
                    Some(memory) => memory.to_raw(),
                    None => return Ok(Flow::Again),
                }
            }
            Kind::Table => {
                let slots = u32::try_from(argument)
                    .ok()
                    .filter(|n| (2..=Table::MAX_SLOTS).contains(n))
                    .ok_or(at(Error::BadArgument, 1))?;
                self.new_table(pool, slots)?.to_raw()
            }
            Kind::AddressSpace => self.new_space(pool)?.to_raw(),
            Kind::Thread => self.create(pool, Thread::new(pool))?.to_raw(),
            Kind::Endpoint => self.create(pool, Endpoint::new(pool))?.to_raw(),
            Kind::Notification => self.create(pool, Notification::new(pool))?.to_raw(),
            _ => return Err(at(Error::BadArgument, 0)),
        };
        let rights = match kind {
            Kind::Memory if flags == 0 => Rights(Rights::ALL.0 & !Rights::DMA.0),
            _ => Rights::ALL,
        };
        let handle = self.insert_new(call.table, kind, object, rights, 0)?;
        Ok(Flow::value(handle.0 as u64))
    }

    pub(crate) fn new_space(&mut self, pool: Ref<Pool>) -> Result<Ref<Space>, Error> {
        self.can_pay(pool, 1 + self.object_cost::<Space>(pool)?)?;
        let table = machine::memory::PageTable::new(&mut self.frames).ok_or(Error::NoQuota)?;
        self.charge(pool, 1)?;
        self.create(pool, Space::new(pool, table))
    }

    pub(crate) fn new_table(&mut self, pool: Ref<Pool>, slots: u32) -> Result<Ref<Table>, Error> {
        let cost = Table::cost(slots);
        self.can_pay(pool, cost + self.object_cost::<Table>(pool)?)?;
        let table = Table::new(&mut self.frames, pool, slots).ok_or(Error::NoQuota)?;
        self.charge(pool, cost)?;
        self.create(pool, table)
    }

    /// Goes on making the memory object that the thread asks for: clearing pages takes long, so others come between.
    /// `None` while there is more to do. A thread that asks for something else meanwhile leaves the object to its pool.
    fn continue_memory(
        &mut self,
        call: &Call,
        pool: Ref<Pool>,
        pages: u32,
        contiguous: bool,
    ) -> Result<Option<Ref<Memory>>, Error> {
        if contiguous {
            return self.new_memory(pool, pages, true).map(Some);
        }
        let begun = self
            .get(call.thread)?
            .making
            .filter(|m| self.memories.get(*m).is_some_and(|m| m.pool == pool && m.paid == pages && !m.dying));
        let memory = match begun {
            Some(memory) => memory,
            None => self.begin_memory(pool, pages)?,
        };
        let done = self.fill_memory(memory, FILL_STEP);
        self.get_mut(call.thread)?.making = (!done).then_some(memory);
        Ok(done.then_some(memory))
    }

    /// A memory object that is paid for and has no pages yet.
    fn begin_memory(&mut self, pool: Ref<Pool>, pages: u32) -> Result<Ref<Memory>, Error> {
        let index = Array::<u32>::cost(pages);
        self.can_pay(pool, pages + index + self.object_cost::<Memory>(pool)?)?;
        let frames = Array::new(&mut self.frames, pages, 0u32).ok_or(Error::NoQuota)?;
        self.charge(pool, pages + index)?;
        let mut memory = Memory::new(pool, pages, Backing::Frames(frames));
        memory.pages = 0;
        self.create(pool, memory)
    }

    /// Gives a memory object some of the zeroed pages that it paid for; true when it has all.
    fn fill_memory(&mut self, memory: Ref<Memory>, most: u32) -> bool {
        let Some(m) = self.memories.get_mut(memory) else { return true };
        let end = m.paid.min(m.pages.saturating_add(most));
        let Backing::Frames(frames) = &mut m.backing else { return true };
        for n in m.pages..end {
            // The charge promised the frame.
            if let (Some(slot), Some(frame)) = (frames.get_mut(n), self.frames.take_user()) {
                *slot = frame.0;
            }
        }
        m.pages = end;
        m.pages == m.paid
    }

    /// Memory of `pages` zeroed pages, at once.
    pub(crate) fn new_memory(&mut self, pool: Ref<Pool>, pages: u32, contiguous: bool) -> Result<Ref<Memory>, Error> {
        if !contiguous {
            let memory = self.begin_memory(pool, pages)?;
            self.fill_memory(memory, u32::MAX);
            return Ok(memory);
        }
        self.can_pay(pool, pages + self.object_cost::<Memory>(pool)?)?;
        // Frames are there, but perhaps not in a row.
        let first = self.frames.take_user_row(pages).ok_or(Error::NoQuota)?;
        self.charge(pool, pages)?;
        self.create(pool, Memory::new(pool, pages, Backing::Row(first)))
    }

    /// `Op::PoolSplit`.
    pub(crate) fn pool_split(&mut self, call: &Call) -> Done {
        let (pool, through) = self.object::<Pool>(call, Kind::Pool, Rights::EDIT)?;
        let frames = u32::try_from(call.arguments[0]).ok().filter(|n| *n > 0).ok_or(at(Error::BadArgument, 0))?;
        self.table_has_room(call.table, 1)?;
        let whole = frames.checked_add(self.object_cost::<Pool>(pool)?).ok_or(Error::NoQuota)?;
        self.can_pay(pool, whole)?;
        let child = self.create(pool, Pool::new(Some(pool), frames))?;
        self.charge(pool, frames)?;
        // No right grows on the way down: whoever may not make DMA memory from a pool may not from a part of it.
        let lacks = Rights::DMA.0 & !through.rights().0;
        let handle = self.insert_new(call.table, Kind::Pool, child.to_raw(), Rights(Rights::ALL.0 & !lacks), 0)?;
        Ok(Flow::value(handle.0 as u64))
    }

    /// `Op::PoolUsage`.
    pub(crate) fn pool_usage(&mut self, call: &Call) -> Done {
        let (pool, _) = self.object::<Pool>(call, Kind::Pool, Rights::READ)?;
        let p = self.get(pool)?;
        Ok(Flow::Done([p.limit as u64, p.used as u64, 0, 0]))
    }
}

/// A length in bytes as pages.
fn pages_of(length_bytes: u64) -> Result<u32, Failure> {
    if !length_bytes.is_multiple_of(FRAME_BYTES as u64) {
        return Err(at(Error::Misaligned, 1));
    }
    if length_bytes == 0 || length_bytes > MAX_MEMORY_BYTES {
        return Err(at(Error::BadArgument, 1));
    }
    Ok((length_bytes / FRAME_BYTES as u64) as u32)
}
