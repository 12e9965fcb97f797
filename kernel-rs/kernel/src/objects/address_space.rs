// SPDX-License-Identifier: PMPL-1.0-or-later
//! Address spaces: page tables paid by a pool, and the operations on them. What is mapped where is `mapping`'s.
//!
//! An operation on many pages does some at a time and is executed again; others may come between.

use super::{Backing, Mapping, Memory, Pool, mapping::Request};
use crate::Kernel;
use crate::invoke::{Call, Done, Failure, Flow, at};
use crate::tree::Tree;
use abi::boot_info::USER_END;
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::paging::{Access, Backing as Place};
use machine::memory::{FRAME_BYTES, Frame, PageTable, RUN_FRAMES, Ref};

const PAGE: u64 = FRAME_BYTES as u64;
/// Words of a record of MapMany, and records that fit in a page.
const RECORD_WORDS: u64 = 4;
const MOST_RECORDS: u64 = PAGE / 8 / RECORD_WORDS;

pub struct Space {
    pub pool: Ref<Pool>,
    /// `None` only while its last step of destruction runs.
    pub table: Option<PageTable>,
    /// By address.
    pub mappings: Tree<Mapping>,
    /// The record that was extended last, and an address up to which nothing is mapped behind it; `None` if a record was
    /// made since.
    pub last: Option<(Ref<Mapping>, u64)>,
    /// Being destroyed: nothing is mapped any more.
    pub dying: bool,
}

impl Space {
    pub fn new(pool: Ref<Pool>, table: PageTable) -> Space {
        Space { pool, table: Some(table), mappings: Tree::new(), last: None, dying: false }
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

/// A record of MapMany.
#[derive(Clone, Copy)]
struct Record {
    /// Memory handle, and access in the high half.
    what: u64,
    offset: u64,
    address: u64,
    length: u64,
}

impl Record {
    fn arguments(&self) -> [u64; 5] {
        [self.what & u32::MAX as u64, self.offset, self.address, self.length, self.what >> 32]
    }

    fn goes_on_with(&self, next: &Record) -> bool {
        let ends = |from: u64| from.checked_add(self.length);
        self.what == next.what && ends(self.offset) == Some(next.offset) && ends(self.address) == Some(next.address)
    }
}

impl Kernel {
    /// `Op::Map`.
    pub(crate) fn space_map(&mut self, call: &Call) -> Done {
        let request = self.map_request(call, call.arguments)?;
        if self.extend_last(&request).is_some() {
            return Ok(Flow::NOTHING);
        }
        Ok(if self.continue_map(call.thread, &request)?.is_some() { Flow::NOTHING } else { Flow::Again })
    }

    /// What a Map with these arguments asks for.
    #[inline]
    fn map_request(&self, call: &Call, arguments: [u64; 5]) -> Result<Request, Failure> {
        let (space, _) = self.object::<super::Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let (memory, slot) = self.object_argument::<Memory>(&Call { arguments, ..*call }, 0, Kind::Memory, Rights::READ)?;
        let [_, offset, address, length, access] = arguments;
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
        Ok(Request { space, memory, offset_pages: (offset / PAGE) as u32, address, pages, access: wanted, most })
    }

    /// `Op::MapMany`: the number of records that are done is kept in the thread meanwhile.
    pub(crate) fn space_map_many(&mut self, call: &Call) -> Done {
        let count = call.arguments[0];
        if count == 0 || count > MOST_RECORDS {
            return Err(at(Error::BadArgument, 0));
        }
        self.object::<super::Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let buffer = self.buffer(call.thread).ok_or(Error::BadState)?;
        let thread = self.get(call.thread)?;
        // While a record is half mapped it is taken for itself, as when it was begun.
        let (mut done, mut alone, mut work) = (thread.progress & 0xff, thread.making.is_some(), 0);
        while Kernel::pages_left(work) > 0 {
            let first = self.read_record(buffer, done);
            if !alone && let Some((more, pages_work)) = self.map_records(call, buffer, (done, count), first, work) {
                (done, work) = (done + more, work + pages_work);
            } else {
                // Which record it was stands above the argument's number.
                let named = |f: Failure| at(f.error, f.argument | done << 8);
                let request = self.map_request(call, first.arguments()).map_err(named)?;
                let Some(more) = self.continue_map(call.thread, &request).map_err(|e| named(e.into()))? else { break };
                (done, work) = (done + 1, work + more);
            }
            alone = false;
            self.get_mut(call.thread)?.progress = done;
            if done == count {
                return Ok(Flow::value(count));
            }
        }
        Ok(Flow::Again)
    }

    fn read_record(&self, buffer: Frame, number: u64) -> Record {
        let [what, offset, address, length] =
            self.frames.read_user_words::<{ RECORD_WORDS as usize }>(buffer, (number * RECORD_WORDS * 8) as usize);
        Record { what, offset, address, length }
    }

    /// Maps records that go on with each other, and with what is mapped, as one: how many, and the work it was. `None` if
    /// that is not possible, for whatever reason: nothing changed then.
    fn map_records(
        &mut self,
        call: &Call,
        buffer: Frame,
        (done, count): (u64, u64),
        first: Record,
        work: u32,
    ) -> Option<(u64, u32)> {
        let most = Kernel::pages_left(work) as u64 * PAGE;
        let small = |record: &Record| record.length > 0 && record.length.is_multiple_of(PAGE) && record.length <= most;
        if !small(&first) {
            return None;
        }
        let (mut all, mut records) = (first, 1);
        while done + records < count {
            let next = self.read_record(buffer, done + records);
            if !small(&next) || all.length + next.length > most || !all.goes_on_with(&next) {
                break;
            }
            (all.length, records) = (all.length + next.length, records + 1);
        }
        if records == 1 {
            return None;
        }
        let request = self.map_request(call, all.arguments()).ok()?;
        let pages_work = self.extend_map(&request).ok()??;
        Some((records, pages_work))
    }

    /// `Op::Unmap`: the number unmapped is kept in the thread meanwhile.
    pub(crate) fn space_unmap(&mut self, call: &Call) -> Done {
        let (space, _) = self.object::<super::Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let (address, end) = user_range(call.arguments[0], call.arguments[1], (0, 1))?;
        let first = self.cut_range(space, address, end)?;
        let (pages, done) = first.map_or((0, true), |record| self.unmap_step(space, record, address, end));
        let thread = self.get_mut(call.thread)?;
        thread.progress += pages;
        Ok(if done { Flow::value(thread.progress) } else { Flow::Again })
    }

    /// `Op::Protect`: all of the range is looked at first, then changed. Where it is, and which of the two it does (a bit of
    /// the address that is always zero), is kept in the thread meanwhile.
    pub(crate) fn space_protect(&mut self, call: &Call) -> Done {
        const CHANGES: u64 = 1;
        let (space, _) = self.object::<super::Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let (address, end) = user_range(call.arguments[0], call.arguments[1], (0, 1))?;
        let access = access_argument(call.arguments[2], 2)?;
        let progress = self.get(call.thread)?.progress;
        let mut from = if progress == 0 { address } else { progress & !(PAGE - 1) };
        if progress & CHANGES == 0 {
            from = self.check_access(space, from, end, access)?;
            if from < end {
                self.get_mut(call.thread)?.progress = from;
                return Ok(Flow::Again);
            }
            self.cut_large(space, address, end, 0)?;
            from = address;
        }
        let table = self.get_mut(space)?.table.as_mut().ok_or(Error::BadState)?;
        let next = table.protect(from, end, access);
        self.get_mut(call.thread)?.progress = next | CHANGES;
        Ok(if next == end { Flow::NOTHING } else { Flow::Again })
    }

    /// Copies bytes out of a space, wherever its pages are: what a person is to read, never an operation's arguments. `false` if a page is missing or a device's.
    #[cfg(any(feature = "debug", test))]
    pub(crate) fn read_space(&self, space: Ref<Space>, address: u64, bytes: &mut [u8]) -> bool {
        let Some(table) = self.spaces.get(space).and_then(|s| s.table.as_ref()) else { return false };
        let mut done = 0;
        while done < bytes.len() {
            let Some(at) = address.checked_add(done as u64) else { return false };
            let Some(Place::Ram(frame)) = table.lookup(at).map(|page| page.backing) else { return false };
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
            Backing::Runs(runs) => runs.get(n / RUN_FRAMES).map(|f| Place::Ram(Frame(*f + n % RUN_FRAMES))),
            Backing::Row(first) | Backing::Kept(first) => Some(Place::Ram(Frame(first.0 + n))),
            Backing::Device(physical) => Some(Place::Device(physical + n as u64 * PAGE)),
        }
    }

    pub fn has_runs(&self) -> bool {
        matches!(self.backing, Backing::Runs(_))
    }

    /// The run whose first page is page `n`.
    pub fn run(&self, n: u32) -> Option<Frame> {
        match &self.backing {
            Backing::Runs(runs) if n.is_multiple_of(RUN_FRAMES) => runs.get(n / RUN_FRAMES).map(|f| Frame(*f)),
            _ => None,
        }
    }
}
