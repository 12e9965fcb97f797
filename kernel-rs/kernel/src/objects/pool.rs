// SPDX-License-Identifier: PMPL-1.0-or-later
//! Pools: quotas over frames. Every object, page table and page is charged to one; pools nest, and a pool is the unit
//! of death. A frame that is charged is always there: limits never add up to more than the machine has.

use super::memory::{CLEAR_FIRST, CLEAR_STEP};
use super::{Endpoint, Layout, Making, Memory, Notification, Space, Table, Thread};
use crate::invoke::{Call, Done, Failure, Flow, at};
use crate::{Kernel, Object};
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::paging::LARGE_PAGE;
use machine::memory::store::Cost;
use machine::memory::{Array, FRAME_BYTES, Ref, Slabs};

#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub parent: Option<Ref<Pool>>,
    /// Pools above it.
    depth: u8,
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
    /// Most pools above a pool: whoever goes from one up to the first, or down to the last, takes a bounded number of steps.
    const MOST_ABOVE: u8 = 31;

    pub fn new(parent: Option<Ref<Pool>>, depth: u8, limit: u32) -> Pool {
        Pool { parent, depth, limit, used: 0, dying: false, slabs: PoolSlabs::default() }
    }
}

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
        Ok(matches!(T::store(self).cost(T::slabs_of(self.get(pool)?)), Cost::OneFrame) as u32)
    }

    /// Makes an object that the pool pays for.
    pub(crate) fn create<T: Object>(&mut self, pool: Ref<Pool>, value: T) -> Result<Ref<T>, Error> {
        let cost = self.object_cost::<T>(pool)?;
        self.charge(pool, cost)?;
        let mut slabs = *T::slabs(self.get_mut(pool)?);
        let (store, frames) = T::parts(self);
        let made = store.create(frames, &mut slabs, value);
        *T::slabs(self.get_mut(pool)?) = slabs;
        // The charge promised the frame.
        made.ok_or(Error::NoQuota)
    }

    /// Takes an object out of the world and gives its frame back if it was the last in it.
    pub(crate) fn remove<T: Object>(&mut self, pool: Ref<Pool>, object: Ref<T>) -> Option<T> {
        let mut slabs = *T::slabs(self.get_mut(pool).ok()?);
        let (store, frames) = T::parts(self);
        let (value, cost) = store.remove(frames, &mut slabs, object)?;
        *T::slabs(self.get_mut(pool).ok()?) = slabs;
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
                let layout = layout_argument(flags)?;
                let pages = pages_of(argument, layout)?;
                // Knowing physical addresses is an authority of its own: a pool pays for frames, it does not grant that.
                if layout == Layout::Row && !through.rights().contains(Rights::DMA) {
                    return Err(Error::NoRight.into());
                }
                match self.continue_memory(call.thread, pool, pages, layout)? {
                    Some(memory) => memory.to_raw(),
                    None => return Ok(Flow::Again),
                }
            }
            Kind::Table => {
                let slots = u32::try_from(argument)
                    .ok()
                    .filter(|n| (2..=Table::MAX_SLOTS).contains(n))
                    .ok_or(at(Error::BadArgument, 1))?;
                match self.continue_table(call.thread, pool, slots)? {
                    Some(table) => table.to_raw(),
                    None => return Ok(Flow::Again),
                }
            }
            Kind::AddressSpace => self.new_space(pool)?.to_raw(),
            Kind::Thread => self.create(pool, Thread::new(pool))?.to_raw(),
            Kind::Endpoint => self.create(pool, Endpoint::new(pool))?.to_raw(),
            Kind::Notification => self.create(pool, Notification::new(pool))?.to_raw(),
            _ => return Err(at(Error::BadArgument, 0)),
        };
        let rights = match kind {
            Kind::Memory if flags != 1 => Rights(Rights::ALL.0 & !Rights::DMA.0),
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

    /// A capability table, at once.
    pub(crate) fn new_table(&mut self, pool: Ref<Pool>, slots: u32) -> Result<Ref<Table>, Error> {
        let table = self.begin_table(pool, slots)?;
        while !self.grow_table(table)? {}
        Ok(table)
    }

    /// A table that is paid for and has no slots yet.
    fn begin_table(&mut self, pool: Ref<Pool>, slots: u32) -> Result<Ref<Table>, Error> {
        let cost = Table::cost(slots);
        self.can_pay(pool, cost + self.object_cost::<Table>(pool)?)?;
        let table = Table::new(&mut self.frames, pool, slots).ok_or(Error::NoQuota)?;
        self.charge(pool, cost)?;
        self.create(pool, table)
    }

    fn grow_table(&mut self, table: Ref<Table>) -> Result<bool, Error> {
        Ok(self.tables.get_mut(table).ok_or(Error::BadState)?.grow(&mut self.frames))
    }

    /// Goes on making the table that the thread asks for. `None` while there is more to do.
    fn continue_table(&mut self, thread: Ref<Thread>, pool: Ref<Pool>, slots: u32) -> Result<Option<Ref<Table>>, Error> {
        let table = match self.get(thread)?.making {
            Some(Making::Table(table)) if self.tables.get(table).is_some_and(|t| t.pool == pool && t.is_for(slots)) => table,
            _ => {
                let table = self.begin_table(pool, slots)?;
                self.get_mut(thread)?.making = Some(Making::Table(table));
                return Ok(None);
            }
        };
        let done = self.grow_table(table)?;
        self.get_mut(thread)?.making = (!done).then_some(Making::Table(table));
        Ok(done.then_some(table))
    }

    /// Goes on making the memory object that the thread asks for: clearing pages takes long, so others come between.
    /// `None` while there is more to do. A thread that asks for something else meanwhile leaves the object to its pool.
    /// After an error nothing is left of it.
    fn continue_memory(
        &mut self,
        thread: Ref<Thread>,
        pool: Ref<Pool>,
        pages: u32,
        layout: Layout,
    ) -> Result<Option<Ref<Memory>>, Error> {
        let mut step = CLEAR_STEP;
        let memory = match self.get(thread)?.making {
            Some(Making::Memory(m)) if self.memories.get(m).is_some_and(|m| m.pool == pool && m.wanted == pages && !m.dying) => m,
            Some(Making::FailedMemory(memory)) => {
                let gone = self.destroy_memory(memory);
                self.get_mut(thread)?.making = (!gone).then_some(Making::FailedMemory(memory));
                return if gone { Err(Error::NoQuota) } else { Ok(None) };
            }
            _ => {
                step = CLEAR_FIRST;
                self.begin_memory(pool, pages, layout)?
            }
        };
        let outcome = self.fill_memory(memory, step);
        self.get_mut(thread)?.making = match outcome {
            Ok(true) => None,
            Ok(false) => Some(Making::Memory(memory)),
            Err(_) => Some(Making::FailedMemory(memory)),
        };
        Ok(outcome.unwrap_or(false).then_some(memory))
    }

    /// Memory of `pages` zeroed pages, at once.
    pub(crate) fn new_memory(&mut self, pool: Ref<Pool>, pages: u32) -> Result<Ref<Memory>, Error> {
        let memory = self.begin_memory(pool, pages, Layout::Anyhow)?;
        while !self.fill_memory(memory, CLEAR_STEP)? {}
        Ok(memory)
    }

    /// `Op::PoolSplit`.
    pub(crate) fn pool_split(&mut self, call: &Call) -> Done {
        let (pool, through) = self.object::<Pool>(call, Kind::Pool, Rights::EDIT)?;
        let frames = u32::try_from(call.arguments[0]).ok().filter(|n| *n > 0).ok_or(at(Error::BadArgument, 0))?;
        self.table_has_room(call.table, 1)?;
        let depth = self.get(pool)?.depth;
        if depth == Pool::MOST_ABOVE {
            return Err(Error::BadState.into());
        }
        let whole = frames.checked_add(self.object_cost::<Pool>(pool)?).ok_or(Error::NoQuota)?;
        self.can_pay(pool, whole)?;
        let child = self.create(pool, Pool::new(Some(pool), depth + 1, frames))?;
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

fn layout_argument(flags: u64) -> Result<Layout, Failure> {
    match flags {
        0 => Ok(Layout::Anyhow),
        1 => Ok(Layout::Row),
        2 => Ok(Layout::Runs),
        _ => Err(at(Error::BadArgument, 2)),
    }
}

/// A length in bytes as pages.
fn pages_of(length_bytes: u64, layout: Layout) -> Result<u32, Failure> {
    let unit = if layout == Layout::Runs { LARGE_PAGE } else { FRAME_BYTES as u64 };
    if !length_bytes.is_multiple_of(unit) {
        return Err(at(Error::Misaligned, 1));
    }
    if length_bytes == 0 || length_bytes > MAX_MEMORY_BYTES {
        return Err(at(Error::BadArgument, 1));
    }
    Ok((length_bytes / FRAME_BYTES as u64) as u32)
}
