// SPDX-License-Identifier: PMPL-1.0-or-later
//! Mappings: a record for each stretch of an address space that one memory object stands behind, so that memory can go
//! away while mapped and a range is found without a look at its pages.
//!
//! Records of a space never overlap; what they say is mapped, but for the part of a record that is still being filled.
//! Each function here does a bounded amount of work; who calls them goes on until all is done (`address_space`, `destroy`).

use super::{Making, Memory, Pool, Space, Thread};
use crate::Kernel;
use crate::tree::{self, Node};
use abi::boot_info::USER_END;
use abi::error::Error;
use machine::memory::paging::{Access, LARGE_PAGE, STEP};
use machine::memory::{FRAME_BYTES, RUN_FRAMES, Ref};

const PAGE: u64 = FRAME_BYTES as u64;
/// Pieces of 2 MiB whose tables are counted in one step.
const COUNT_STEP: u64 = 32;
/// Work of a step, in pages; what a large page and a record count for.
const WORK: u32 = STEP as u32;
const LARGE_WORK: u32 = 16;
const RECORD_WORK: u32 = 12;
const TABLE_WORK: u32 = 8;
const BEGIN_WORK: u32 = WORK - 4;
/// What looking for room and at a mapping's numbers counts for.
const LOOK_WORK: u32 = 8;

/// A mapping that was asked for and whose numbers are right.
#[derive(Clone, Copy)]
pub struct Request {
    pub space: Ref<Space>,
    pub memory: Ref<Memory>,
    pub offset_pages: u32,
    pub address: u64,
    pub pages: u32,
    pub access: Access,
    /// The most that the access may become.
    pub most: Access,
}

impl Request {
    fn end(&self) -> u64 {
        self.address + self.pages as u64 * PAGE
    }

    /// All of it is in the reach of one table of the lowest level.
    fn has_one_table(&self) -> bool {
        self.address / LARGE_PAGE == (self.end() - 1) / LARGE_PAGE
    }
}

/// `pages` pages of a memory object from `offset_pages` on, at `address` of a space. Paid by the space's pool.
pub struct Mapping {
    pub is: Request,
    /// Pages that are mapped already: all, once its Map is through.
    filled: u32,
    /// Table frames that are paid and not used yet.
    tables: u32,
    links: tree::Links<Mapping>,
    /// Neighbours among the mappings of the memory object.
    memory_previous: Option<Ref<Mapping>>,
    memory_next: Option<Ref<Mapping>>,
}

impl Node for Mapping {
    fn links(&self) -> &tree::Links<Mapping> {
        &self.links
    }
    fn links_mut(&mut self) -> &mut tree::Links<Mapping> {
        &mut self.links
    }
    fn key(&self) -> u64 {
        self.is.address
    }
}

impl Mapping {
    fn end(&self) -> u64 {
        self.is.end()
    }

    /// Its first pages are not its any more.
    fn cut_start(&mut self, pages: u32) {
        self.is.address += pages as u64 * PAGE;
        (self.is.pages, self.is.offset_pages) = (self.is.pages - pages, self.is.offset_pages + pages);
        self.filled = self.filled.saturating_sub(pages);
    }

    /// A request asks for what comes right behind it, in the space and in the memory object.
    #[inline(always)]
    fn goes_on_with(&self, next: &Request) -> bool {
        let Request { memory, offset_pages, most, .. } = self.is;
        let behind = self.end() == next.address && offset_pages + self.is.pages == next.offset_pages;
        behind && memory == next.memory && most == next.most && self.filled == self.is.pages && self.tables == 0
    }

    fn keep_start(&mut self, pages: u32) {
        (self.is.pages, self.filled) = (pages, self.filled.min(pages));
    }
}

impl Kernel {
    /// The first record that has something of a range.
    fn mapping_in(&self, space: Ref<Space>, address: u64, end: u64) -> Option<Ref<Mapping>> {
        let (before, after) = self.spaces.get(space)?.mappings.around(&self.mappings, address);
        if before.is_some_and(|m| self.mappings.get(m).is_some_and(|m| m.end() > address)) {
            return before;
        }
        after.filter(|m| self.mappings.get(*m).is_some_and(|m| m.is.address < end))
    }

    /// Pages that the last step of MapMany has room for, after `work`; 0: too few.
    pub(crate) fn pages_left(work: u32) -> u32 {
        WORK.saturating_sub(work + LOOK_WORK)
    }

    /// Maps few pages right behind a record, as part of it, if that is possible: the work it was.
    pub(crate) fn extend_map(&mut self, request: &Request) -> Result<Option<u32>, Error> {
        if let Some(work) = self.extend_last(request) {
            return Ok(Some(work));
        }
        match self.may_map(request)? {
            (Some(before), free_end) => self.extend_first(before, free_end, request),
            _ => Ok(None),
        }
    }

    /// The next one of the kind will be quicker.
    fn extend_first(&mut self, before: Ref<Mapping>, free_end: u64, request: &Request) -> Result<Option<u32>, Error> {
        let done = self.extend_record(before, request)?;
        if done.is_some() {
            self.get_mut(request.space)?.last = Some((before, free_end));
        }
        Ok(done)
    }

    /// Maps few pages behind the record that was extended last, as part of it: as a pager does, page by page. No look at the
    /// tree then. `None`, and nothing changed, if it is not that.
    #[inline]
    pub(crate) fn extend_last(&mut self, request: &Request) -> Option<u32> {
        let space = self.spaces.get(request.space)?;
        let (last, free_end) = space.last?;
        if space.dying || request.end() > free_end || self.memories.get(request.memory)?.dying {
            return None;
        }
        self.extend_record(last, request).ok()?
    }

    #[inline(always)]
    fn extend_record(&mut self, before: Ref<Mapping>, request: &Request) -> Result<Option<u32>, Error> {
        let Request { space, memory, offset_pages, address, pages, access, most } = *request;
        if pages > WORK || !request.has_one_table() || !self.get(before)?.goes_on_with(request) {
            return Ok(None);
        }
        let table = self.spaces.get_mut(space).and_then(|s| s.table.as_mut()).ok_or(Error::BadState)?;
        let backing = self.memories.get(memory).ok_or(Error::BadHandle)?;
        let backings = (offset_pages..offset_pages + pages).map_while(|n| backing.page(n));
        let done = table.map_there(&mut self.frames, address, access, most, backings);
        debug_assert!(done == pages || done == 0, "the range was free, and user memory stands behind it");
        if done == 0 {
            return Ok(None);
        }
        let m = self.get_mut(before)?;
        (m.is.pages, m.filled) = (m.is.pages + done, m.filled + done);
        if done == pages { Ok(Some(LOOK_WORK + pages)) } else { Err(Error::NoQuota) }
    }

    /// Goes on with a thread's Map: the work it was when all is mapped, `None` if there is more. After an error nothing is.
    pub(crate) fn continue_map(&mut self, thread: Ref<Thread>, request: &Request) -> Result<Option<u32>, Error> {
        let mut work = 0;
        let record = match self.get(thread)?.making {
            Some(Making::Mapping(record)) => record,
            Some(Making::FailedMapping(record)) => {
                let gone = self.unmap_record_step(record);
                self.get_mut(thread)?.making = (!gone).then_some(Making::FailedMapping(record));
                return if gone { Err(Error::NoQuota) } else { Ok(None) };
            }
            _ => {
                if let (Some(before), free_end) = self.may_map(request)?
                    && let Some(work) = self.extend_first(before, free_end, request)?
                {
                    return Ok(Some(work));
                }
                let Some(tables) = self.count_tables(thread, request)? else { return Ok(None) };
                work = BEGIN_WORK;
                let record = self.begin_map(request, tables)?;
                if tables > 0 {
                    // Clearing the tables is work enough for a step of its own.
                    self.get_mut(thread)?.making = Some(Making::Mapping(record));
                    return Ok(None);
                }
                record
            }
        };
        let outcome = self.fill_mapping(record, work);
        self.get_mut(thread)?.making = match outcome {
            Ok(true) => None,
            Ok(false) => Some(Making::Mapping(record)),
            Err(_) => Some(Making::FailedMapping(record)),
        };
        // A record that was begun before may have taken a whole step now.
        Ok(outcome.unwrap_or(false).then_some(if work > 0 { LOOK_WORK + RECORD_WORK } else { WORK }))
    }

    /// Table frames that a mapping takes; `None`: counting goes on in the next step.
    fn count_tables(&mut self, thread: Ref<Thread>, request: &Request) -> Result<Option<u32>, Error> {
        let large = self.is_large(request);
        let progress = self.get(thread)?.progress;
        let (done, before) = (progress >> 8 & 0xfff_ffff, progress >> 36);
        let first = (request.address / LARGE_PAGE + done) * LARGE_PAGE;
        let (at, end) = (first.max(request.address), request.end().min(first + COUNT_STEP * LARGE_PAGE));
        let table = self.get(request.space)?.table.as_ref().ok_or(Error::BadState)?;
        let count = before as u32 + table.missing(request.address, at, end, large);
        let more = end < request.end();
        let t = self.get_mut(thread)?;
        t.progress = progress & 0xff | if more { (count as u64) << 36 | (done + COUNT_STEP) << 8 } else { 0 };
        Ok((!more).then_some(count))
    }

    fn is_large(&self, request: &Request) -> bool {
        let alike = (request.address / PAGE) as u32 % RUN_FRAMES == request.offset_pages % RUN_FRAMES;
        alike && self.memories.get(request.memory).is_some_and(Memory::has_runs)
    }

    /// Whether the range is free; the record before it, and where the next one begins.
    fn may_map(&self, request: &Request) -> Result<(Option<Ref<Mapping>>, u64), Error> {
        let space = self.get(request.space)?;
        if space.dying || self.get(request.memory)?.dying {
            return Err(Error::BadState);
        }
        let (before, after) = space.mappings.around(&self.mappings, request.address);
        let reaches_in = before.and_then(|m| self.mappings.get(m)).is_some_and(|m| m.end() > request.address);
        let free_end = after.and_then(|m| self.mappings.get(m)).map_or(USER_END, |m| m.is.address);
        if reaches_in || free_end < request.end() {
            return Err(Error::Overlap);
        }
        Ok((before, free_end))
    }

    /// Maps at once, however long it takes: at the start, when nothing else runs.
    pub(crate) fn map_all(&mut self, request: &Request) -> Result<(), Error> {
        self.may_map(request)?;
        let table = self.get(request.space)?.table.as_ref().ok_or(Error::BadState)?;
        let tables = table.missing(request.address, request.address, request.end(), self.is_large(request));
        let record = self.begin_map(request, tables)?;
        while !self.fill_mapping(record, 0)? {}
        Ok(())
    }

    /// A record of which nothing is mapped yet, and the tables for it, are paid. The range was looked at (`may_map`).
    fn begin_map(&mut self, request: &Request, tables: u32) -> Result<Ref<Mapping>, Error> {
        let pool = self.get(request.space)?.pool;
        self.can_pay(pool, tables + self.object_cost::<Mapping>(pool)?)?;
        self.charge(pool, tables)?;
        self.add_mapping(pool, *request, 0, tables)
    }

    fn add_mapping(&mut self, pool: Ref<Pool>, is: Request, filled: u32, tables: u32) -> Result<Ref<Mapping>, Error> {
        let memory_next = self.get(is.memory)?.mappings;
        let links = tree::Links::default();
        let record = self.create(pool, Mapping { is, filled, tables, links, memory_previous: None, memory_next })?;
        self.get_mut(is.memory)?.mappings = Some(record);
        if let Some(m) = memory_next.and_then(|m| self.mappings.get_mut(m)) {
            m.memory_previous = Some(record);
        }
        if let Some(s) = self.spaces.get_mut(is.space) {
            s.mappings.insert(&mut self.mappings, record);
            s.last = None;
        }
        Ok(record)
    }

    /// Maps some pages of a record, as if some `work` of the step were done, counting its tables among it; true when it has all. A record that is gone has all: it was unmapped meanwhile.
    /// `NoQuota` is only for tables that went away since they were counted.
    fn fill_mapping(&mut self, record: Ref<Mapping>, mut work: u32) -> Result<bool, Error> {
        let counted = work > 0;
        while work < WORK {
            let Some(m) = self.mappings.get_mut(record) else { return Ok(true) };
            let Request { space, memory, address, access, most, .. } = m.is;
            if m.filled == m.is.pages {
                let rest = core::mem::take(&mut m.tables);
                let pool = self.get(space)?.pool;
                self.refund(pool, rest);
                return Ok(true);
            }
            let (at, n, left) = (address + m.filled as u64 * PAGE, m.is.offset_pages + m.filled, m.is.pages - m.filled);
            let room = m.tables;
            let (Some(backing), Some(s)) = (self.memories.get(memory), self.spaces.get_mut(space)) else { return Ok(true) };
            let (pool, Some(table)) = (s.pool, s.table.as_mut()) else { return Ok(true) };
            let run = backing.run(n).filter(|_| left >= RUN_FRAMES && at.is_multiple_of(LARGE_PAGE));
            if room < 3 && !counted {
                let missing = table.missing(at, at, (at | (LARGE_PAGE - 1)).saturating_add(1), run.is_some());
                if missing > room {
                    self.charge(pool, missing - room)?;
                    self.get_mut(record)?.tables = missing;
                    continue;
                }
            }
            let (pages, tables) = match run {
                Some(first) => match table.map_large(&mut self.frames, at, access, most, first) {
                    (true, tables) => (RUN_FRAMES, tables),
                    (false, _) => return Err(Error::NoQuota),
                },
                None => {
                    let backings = (n..n + left.min(WORK - work)).map_while(|n| backing.page(n));
                    let done = table.map(&mut self.frames, at, access, most, backings);
                    (done.pages, done.tables as i32)
                }
            };
            debug_assert!(pages > 0, "the range was free, its tables are paid, and user memory stands behind it");
            if pages == 0 {
                return Err(Error::NoQuota);
            }
            let m = self.get_mut(record)?;
            (m.filled, m.tables) = (m.filled + pages, m.tables.saturating_add_signed(-tables));
            if m.filled == m.is.pages && m.tables == 0 {
                return Ok(true);
            }
            work += if run.is_some() { LARGE_WORK } else { pages } + TABLE_WORK * tables.max(0) as u32;
        }
        Ok(self.mappings.get(record).is_none_or(|m| m.filled == m.is.pages && m.tables == 0))
    }

    /// Makes sure that a range can be unmapped without a thing that costs: cuts the record that reaches over both its ends
    /// in two, and the large pages that its ends cut into small ones. Returns the first record that has something of it.
    /// After an error nothing changed.
    pub(crate) fn cut_range(&mut self, space: Ref<Space>, address: u64, end: u64) -> Result<Option<Ref<Mapping>>, Error> {
        let Some(record) = self.mapping_in(space, address, end) else { return Ok(None) };
        let m = self.get(record)?;
        let (is, whole) = (m.is, m.filled == m.is.pages);
        let pool = self.get(space)?.pool;
        let two = is.address < address && end < is.end();
        if two && !whole {
            return Err(Error::BadState);
        }
        // A record of memory without large pages has none that could be cut.
        let plain = end <= is.end() && self.memories.get(is.memory).is_some_and(|m| !m.has_runs());
        if plain && !two {
            return Ok(Some(record));
        }
        self.cut_large(space, address, end, if two { self.object_cost::<Mapping>(pool)? } else { 0 })?;
        if two {
            let pages = ((end - is.address) / PAGE) as u32;
            let rest = is.pages - pages;
            let second = Request { address: end, pages: rest, offset_pages: is.offset_pages + pages, ..is };
            if let Some(m) = self.mappings.get_mut(record) {
                m.keep_start(pages);
            }
            self.add_mapping(pool, second, rest, 0)?;
        }
        Ok(Some(record))
    }

    /// Unmaps some of a range that was cut, from its first record on; how many pages, and whether nothing is left in it.
    pub(crate) fn unmap_step(&mut self, space: Ref<Space>, mut record: Ref<Mapping>, address: u64, end: u64) -> (u64, bool) {
        let (mut unmapped, mut work) = (0, 0);
        loop {
            let Some(m) = self.mappings.get_mut(record) else { return (unmapped, true) };
            let Some(table) = self.spaces.get_mut(space).and_then(|s| s.table.as_mut()) else { return (unmapped, true) };
            let (first, last) = (m.is.address.max(address), m.end().min(end));
            if first > m.is.address {
                // The end of the record: from behind, so that it never says that a hole is mapped.
                let large = table.cuts_large(last - PAGE);
                let step = if large { LARGE_PAGE } else { STEP as u64 * PAGE };
                let from = first.max((last - 1) & !(step - 1));
                unmapped += table.unmap(&mut self.frames, from, last).pages as u64;
                m.keep_start(((from - m.is.address) / PAGE) as u32);
                work += WORK;
            } else {
                let done = table.unmap(&mut self.frames, first, last);
                unmapped += done.pages as u64;
                work += RECORD_WORK + done.pages as u32;
                let last = m.end();
                if done.next == last {
                    self.forget(record);
                    if last >= end {
                        return (unmapped, true);
                    }
                } else {
                    m.cut_start(((done.next - first) / PAGE) as u32);
                }
            }
            if work >= WORK {
                return (unmapped, false);
            }
            let Some(next) = self.mapping_in(space, address, end) else { return (unmapped, true) };
            record = next;
        }
    }

    /// Unmaps some of what a record says; true when it is done and the record is gone.
    pub(crate) fn unmap_record_step(&mut self, record: Ref<Mapping>) -> bool {
        let Some(m) = self.mappings.get_mut(record) else { return true };
        if let Some(table) = self.spaces.get_mut(m.is.space).and_then(|s| s.table.as_mut()) {
            let next = table.unmap(&mut self.frames, m.is.address, m.end()).next;
            if next < m.end() {
                m.cut_start(((next - m.is.address) / PAGE) as u32);
                return false;
            }
        }
        self.forget(record);
        true
    }

    /// Takes a record out of the tree and the list that it stands in, and out of the world.
    fn forget(&mut self, record: Ref<Mapping>) {
        let Some(m) = self.mappings.get(record) else { return };
        let (is, tables, previous, next) = (m.is, m.tables, m.memory_previous, m.memory_next);
        match previous.and_then(|p| self.mappings.get_mut(p)) {
            Some(p) => p.memory_next = next,
            None => {
                if let Some(o) = self.memories.get_mut(is.memory) {
                    o.mappings = next;
                }
            }
        }
        if let Some(n) = next.and_then(|n| self.mappings.get_mut(n)) {
            n.memory_previous = previous;
        }
        let Some(s) = self.spaces.get_mut(is.space) else { return };
        let pool = s.pool;
        s.mappings.remove(&mut self.mappings, record);
        self.refund(pool, tables);
        self.remove(pool, record);
    }

    /// Whether records cover a range from `at` on with that access; looks at some of them. Where the look ended.
    pub(crate) fn check_access(&self, space: Ref<Space>, at: u64, end: u64, access: Access) -> Result<u64, Error> {
        let mut at = at;
        for _ in 0..16 {
            if at >= end {
                break;
            }
            let record = self.get(space)?.mappings.around(&self.mappings, at).0.ok_or(Error::NotMapped)?;
            let m = self.get(record)?;
            if m.end() <= at {
                return Err(Error::NotMapped);
            }
            if !access.within(m.is.most) {
                return Err(Error::NoRight);
            }
            if m.filled < m.is.pages {
                return Err(Error::BadState);
            }
            at = m.end();
        }
        Ok(at.min(end))
    }

    /// Cuts the large pages at the ends of a range if the pool can pay for that and for `more` frames; or changes nothing.
    pub(crate) fn cut_large(&mut self, space: Ref<Space>, address: u64, end: u64, more: u32) -> Result<(), Error> {
        let s = self.get(space)?;
        let (pool, table) = (s.pool, s.table.as_ref().ok_or(Error::BadState)?);
        let cuts = [address, end].map(|at| table.cuts_large(at));
        if cuts == [false; 2] {
            return if more > 0 { self.can_pay(pool, more) } else { Ok(()) };
        }
        let same = cuts[0] && cuts[1] && address / LARGE_PAGE == end / LARGE_PAGE;
        let cost = more + cuts[0] as u32 + cuts[1] as u32 - same as u32;
        self.can_pay(pool, cost)?;
        for at in [address, end] {
            if let Some(table) = self.spaces.get_mut(space).and_then(|s| s.table.as_mut())
                && table.cuts_large(at)
                && table.split(&mut self.frames, at)
            {
                self.charge(pool, 1)?;
            }
        }
        Ok(())
    }
}
