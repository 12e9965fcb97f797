// SPDX-License-Identifier: PMPL-1.0-or-later
//! Address spaces: page tables paid by a pool, and a record of each mapping, so that memory can go away while mapped.
//!
//! A record may say more than is mapped (after unmapping out of its middle), never less.

use super::{Backing, Memory, Pool};
use crate::Kernel;
use crate::invoke::{Call, Done, Failure, Flow, at};
use abi::boot_info::USER_END;
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::paging::{Access, Backing as Place, Page, Refused};
use machine::memory::{FRAME_BYTES, Frame, PageTable, Ref};

const PAGE: u64 = FRAME_BYTES as u64;
/// Pages unmapped in one step of a long operation.
pub const UNMAP_STEP: usize = 512;

pub struct Space {
    pub pool: Ref<Pool>,
    /// `None` only while its last step of destruction runs.
    pub table: Option<PageTable>,
    /// Mappings, the newest first.
    pub mappings: Option<Ref<Mapping>>,
    /// Being destroyed: nothing is mapped any more.
    pub dying: bool,
}

impl Space {
    pub fn new(pool: Ref<Pool>, table: PageTable) -> Space {
        Space { pool, table: Some(table), mappings: None, dying: false }
    }
}

/// `pages` pages of `memory` from `offset_pages` on, at `address` of `space`. Paid by the space's pool.
#[derive(Clone, Copy)]
pub struct Mapping {
    pub space: Ref<Space>,
    pub memory: Ref<Memory>,
    pub address: u64,
    pub pages: u32,
    pub offset_pages: u32,
    /// Neighbours in the space's list and in the memory object's.
    space_previous: Option<Ref<Mapping>>,
    pub space_next: Option<Ref<Mapping>>,
    memory_previous: Option<Ref<Mapping>>,
    memory_next: Option<Ref<Mapping>>,
}

impl Mapping {
    pub fn end(&self) -> u64 {
        self.address + self.pages as u64 * PAGE
    }
}

/// A page-aligned, not empty range of user space.
fn user_range(address: u64, length_bytes: u64, numbers: (u64, u64)) -> Result<(u64, u64), Failure> {
    for (value, number) in [(address, numbers.0), (length_bytes, numbers.1)] {
        if !value.is_multiple_of(PAGE) {
            return Err(at(Error::Misaligned, number));
        }
    }
    if length_bytes == 0 {
        return Err(at(Error::BadArgument, numbers.1));
    }
    let end = address.checked_add(length_bytes).filter(|end| *end <= USER_END).ok_or(at(Error::OutOfRange, numbers.0))?;
    // Page 0 stays empty: a null pointer faults.
    if address == 0 {
        return Err(at(Error::OutOfRange, numbers.0));
    }
    Ok((address, end))
}

/// Access as an argument: reading is always part of it.
fn access_argument(value: u64, number: u64) -> Result<Access, Failure> {
    let known = (Rights::READ | Rights::WRITE | Rights::EXECUTE).0 as u64;
    if value & !known != 0 || value & Rights::READ.0 as u64 == 0 {
        return Err(at(Error::BadArgument, number));
    }
    let rights = Rights(value as u16);
    let access = access_of(rights);
    if access.write && access.execute {
        return Err(Error::WriteAndExecute.into());
    }
    Ok(access)
}

fn access_of(rights: Rights) -> Access {
    Access { write: rights.contains(Rights::WRITE), execute: rights.contains(Rights::EXECUTE) }
}

impl Kernel {
    /// `Op::Map`.
    pub(crate) fn space_map(&mut self, call: &Call) -> Done {
        let (space, _) = self.object::<super::Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let (memory, slot) = self.object_argument::<Memory>(call, 0, Kind::Memory, Rights::READ)?;
        let [_, offset, address, length, access] = call.arguments;
        if !offset.is_multiple_of(PAGE) {
            return Err(at(Error::Misaligned, 1));
        }
        let (address, end) = user_range(address, length, (2, 3))?;
        let wanted = access_argument(access, 4)?;
        let most = access_of(slot.rights());
        if !wanted.within(most) {
            return Err(at(Error::NoRight, 0));
        }
        let whole = self.get(memory)?.pages as u64 * PAGE;
        if offset.checked_add(end - address).is_none_or(|e| e > whole) {
            return Err(at(Error::OutOfRange, 1));
        }
        let pages = ((end - address) / PAGE) as u32;
        self.map(space, memory, (offset / PAGE) as u32, address, pages, wanted, most)?;
        Ok(Flow::NOTHING)
    }

    /// Maps pages whose numbers were checked. Nothing is mapped after an error.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn map(
        &mut self,
        space: Ref<Space>,
        memory: Ref<Memory>,
        offset_pages: u32,
        address: u64,
        pages: u32,
        access: Access,
        most: Access,
    ) -> Result<(), Error> {
        let s = self.get(space)?;
        if s.dying || self.get(memory)?.dying {
            return Err(Error::BadState);
        }
        let table = s.table.as_ref().ok_or(Error::BadState)?;
        if table.next_mapped(address, address + pages as u64 * PAGE).is_some() {
            return Err(Error::Overlap);
        }
        let (pool, missing) = (s.pool, table.missing(address, pages as u64));
        self.can_pay(pool, missing + self.object_cost::<Mapping>(pool)?)?;
        self.charge(pool, missing)?;
        let (space_next, memory_next) = (self.get(space)?.mappings, self.get(memory)?.mappings);
        let mapping = Mapping {
            space,
            memory,
            address,
            pages,
            offset_pages,
            space_previous: None,
            space_next,
            memory_previous: None,
            memory_next,
        };
        let record = self.create(pool, mapping)?;
        self.get_mut(space)?.mappings = Some(record);
        self.get_mut(memory)?.mappings = Some(record);
        if let Some(m) = space_next.and_then(|m| self.mappings.get_mut(m)) {
            m.space_previous = Some(record);
        }
        if let Some(m) = memory_next.and_then(|m| self.mappings.get_mut(m)) {
            m.memory_previous = Some(record);
        }
        for n in 0..pages {
            let Some(backing) = self.memories.get(memory).and_then(|m| m.page(offset_pages + n)) else { continue };
            let page = Page { backing, access, most };
            if let Some(table) = self.spaces.get_mut(space).and_then(|s| s.table.as_mut()) {
                let mapped = table.map(&mut self.frames, address + n as u64 * PAGE, page);
                debug_assert!(mapped, "checked free, paid, and backed by user memory");
            }
        }
        Ok(())
    }

    /// `Op::Unmap`: some pages at a time; the number unmapped is kept in the thread meanwhile.
    pub(crate) fn space_unmap(&mut self, call: &Call) -> Done {
        let (space, _) = self.object::<super::Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let (address, end) = user_range(call.arguments[0], call.arguments[1], (0, 1))?;
        let (next, pages) = self.unmap_step(space, address, end, |_, _| true);
        let thread = self.get_mut(call.thread)?;
        thread.progress += pages as u64;
        let total = thread.progress;
        if next < end {
            return Ok(Flow::Again);
        }
        self.trim_records(space, address, end);
        Ok(Flow::value(total))
    }

    /// Unmaps up to a step's worth of pages; says where it stopped.
    fn unmap_step(&mut self, space: Ref<Space>, address: u64, end: u64, which: impl FnMut(u64, Page) -> bool) -> (u64, usize) {
        match self.spaces.get_mut(space).and_then(|s| s.table.as_mut()) {
            Some(table) => {
                let done = table.unmap(&mut self.frames, address, end, UNMAP_STEP, which);
                (done.next, done.pages)
            }
            None => (end, 0),
        }
    }

    /// Makes the records of a space forget a range that holds nothing any more.
    fn trim_records(&mut self, space: Ref<Space>, address: u64, end: u64) {
        let mut at = self.spaces.get(space).and_then(|s| s.mappings);
        while let Some(record) = at
            && let Some(m) = self.mappings.get_mut(record)
        {
            at = m.space_next;
            if m.end() <= address || m.address >= end {
                continue;
            }
            match (m.address >= address, m.end() <= end) {
                (true, true) => self.forget(record),
                (true, false) => {
                    let gone = ((end - m.address) / PAGE) as u32;
                    (m.address, m.pages, m.offset_pages) = (end, m.pages - gone, m.offset_pages + gone);
                }
                (false, true) => m.pages = ((address - m.address) / PAGE) as u32,
                (false, false) => {}
            }
        }
    }

    /// Takes a record out of both lists and out of the world.
    pub(crate) fn forget(&mut self, record: Ref<Mapping>) {
        let Some(&m) = self.mappings.get(record) else { return };
        match m.space_previous.and_then(|p| self.mappings.get_mut(p)) {
            Some(p) => p.space_next = m.space_next,
            None => {
                if let Some(s) = self.spaces.get_mut(m.space) {
                    s.mappings = m.space_next;
                }
            }
        }
        if let Some(n) = m.space_next.and_then(|n| self.mappings.get_mut(n)) {
            n.space_previous = m.space_previous;
        }
        match m.memory_previous.and_then(|p| self.mappings.get_mut(p)) {
            Some(p) => p.memory_next = m.memory_next,
            None => {
                if let Some(o) = self.memories.get_mut(m.memory) {
                    o.mappings = m.memory_next;
                }
            }
        }
        if let Some(n) = m.memory_next.and_then(|n| self.mappings.get_mut(n)) {
            n.memory_previous = m.memory_previous;
        }
        if let Some(pool) = self.spaces.get(m.space).map(|s| s.pool) {
            self.remove(pool, record);
        }
    }

    /// Unmaps some of what a record says; true when it is done and the record is gone.
    pub(crate) fn unmap_record_step(&mut self, record: Ref<Mapping>) -> bool {
        let Some(&m) = self.mappings.get(record) else { return true };
        let Some(memory) = self.memories.get(m.memory) else { return true };
        // Something else may be mapped in a hole of the record: only this memory's own pages go.
        let own =
            |address: u64, page: Page| memory.page(m.offset_pages + ((address - m.address) / PAGE) as u32) == Some(page.backing);
        let next = match self.spaces.get_mut(m.space).and_then(|s| s.table.as_mut()) {
            Some(table) => table.unmap(&mut self.frames, m.address, m.end(), UNMAP_STEP, own).next,
            None => m.end(),
        };
        if next < m.end() {
            return false;
        }
        self.forget(record);
        true
    }

    /// `Op::Protect`.
    pub(crate) fn space_protect(&mut self, call: &Call) -> Done {
        let (space, _) = self.object::<super::Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let (address, end) = user_range(call.arguments[0], call.arguments[1], (0, 1))?;
        let access = access_argument(call.arguments[2], 2)?;
        let table = self.get_mut(space)?.table.as_mut().ok_or(Error::BadState)?;
        table.protect(address, end, access).map_err(|refused| match refused {
            Refused::NotMapped => Error::NotMapped,
            Refused::BeyondMost => Error::NoRight,
        })?;
        Ok(Flow::NOTHING)
    }

    /// Copies bytes out of a space, wherever its pages are: what a person is to read, never an operation's arguments. `false` if a page is missing or a device's.
    #[cfg(any(feature = "debug", test))]
    pub(crate) fn read_space(&self, space: Ref<Space>, address: u64, bytes: &mut [u8]) -> bool {
        let Some(table) = self.spaces.get(space).and_then(|s| s.table.as_ref()) else { return false };
        let mut done = 0;
        while done < bytes.len() {
            let Some(at) = address.checked_add(done as u64) else { return false };
            let Some(Page { backing: Place::Ram(frame), .. }) = table.lookup(at) else { return false };
            let offset = (at % PAGE) as usize;
            let length = (bytes.len() - done).min(FRAME_BYTES - offset);
            self.frames.read_user(frame, offset, &mut bytes[done..done + length]);
            done += length;
        }
        true
    }

    /// `Op::DebugLog`.
    #[cfg(feature = "debug")]
    pub(crate) fn debug_log(&mut self, call: &Call) -> Done {
        let mut bytes = [0; 256];
        let length = usize::try_from(call.arguments[1]).ok().filter(|n| *n <= bytes.len()).ok_or(at(Error::OutOfRange, 1))?;
        let space = self.get(call.thread)?.space.ok_or(Error::BadState)?;
        if !self.read_space(space, call.arguments[0], &mut bytes[..length]) {
            return Err(at(Error::OutOfRange, 0));
        }
        for line in bytes[..length].utf8_chunks() {
            // One line, whatever it is: what is not text shows as dots.
            let text = line.valid().trim_end_matches('\n');
            if !text.is_empty() || line.invalid().is_empty() {
                machine::print(format_args!("{text}"));
            }
        }
        Ok(Flow::NOTHING)
    }
}

impl Memory {
    /// What stands behind page `n`.
    pub fn page(&self, n: u32) -> Option<Place> {
        if n >= self.pages {
            return None;
        }
        match &self.backing {
            Backing::Frames(frames) => frames.get(n).map(|f| Place::Ram(Frame(*f))),
            Backing::Row(first) | Backing::Kept(first) => Some(Place::Ram(Frame(first.0 + n))),
            Backing::Device(physical) => Some(Place::Device(physical + n as u64 * PAGE)),
        }
    }
}
