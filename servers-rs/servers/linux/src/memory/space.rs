// SPDX-License-Identifier: PMPL-1.0-or-later
//! The address space of a process: areas say what shall be where, the table what is there, and the guest's page tables are
//! filled from both as it touches pages. Threads of one process share it.

use super::area::{Area, Areas, Backing};
use super::pages::Pages;
use super::table::{Entry, Table};
use crate::errno::{ENOMEM, Errno};
use crate::platform::{Access, CHUNK_FRAMES, Frame, GuestSpace, PAGE_BYTES, Platform, Run};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use spin::Mutex;

/// Pages that are mapped at once around one that was touched.
const AROUND: u64 = 16;
/// Guests have addresses below this one, as on Linux with 47 bits.
pub const END: u64 = 0x7fff_ffff_f000;
/// Nothing is mapped below (vm.mmap_min_addr).
pub const LOWEST: u64 = 0x1_0000;

/// Where a process has what; of no meaning to the memory itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    pub brk_start: u64,
    pub brk: u64,
    pub arguments: (u64, u64),
    pub environment: (u64, u64),
    pub stack_start: u64,
    pub code: (u64, u64),
    pub data: (u64, u64),
    /// mmap takes the highest free range below it.
    pub mmap_top: u64,
}

/// Why an access of a guest fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// SIGSEGV, SEGV_MAPERR.
    NotMapped,
    /// SIGSEGV, SEGV_ACCERR.
    Forbidden,
    /// SIGBUS, BUS_ADRERR: beyond the end of a file, or it cannot be read.
    Beyond,
    /// The cell's memory is used up.
    NoMemory,
}

#[derive(Debug)]
pub struct Space {
    pub native: Arc<dyn GuestSpace>,
    pub(super) platform: Arc<dyn Platform>,
    pub(super) pages: Arc<Mutex<Pages>>,
    pub areas: Areas,
    pub(super) table: Table,
    pub layout: Layout,
    /// How far a stack may grow, in bytes (RLIMIT_STACK).
    pub stack_limit: u64,
}

impl Space {
    /// Empty. Errors: `ENOMEM`.
    pub fn new(pages: &Arc<Mutex<Pages>>) -> Result<Space, Errno> {
        let platform = pages.lock().platform().clone();
        Ok(Space {
            native: platform.new_space()?,
            platform,
            pages: pages.clone(),
            areas: Areas::default(),
            table: Table::default(),
            layout: Layout { mmap_top: END, ..Layout::default() },
            stack_limit: 8 << 20,
        })
    }

    pub fn pages(&self) -> &Arc<Mutex<Pages>> {
        &self.pages
    }

    /// Makes an address accessible, if the process may. The guest goes on, or gets the signal.
    pub fn fault(&mut self, address: u64, wanted: Access) -> Result<(), Fault> {
        let page = address & !(PAGE_BYTES - 1);
        let (start, area) = match self.areas.find(address) {
            Some((start, area)) => (start, area.clone()),
            None => self.grow_stack(page).ok_or(Fault::NotMapped)?,
        };
        // The CPU cannot forbid reading what may be written or executed.
        let readable = wanted == Access::READ && area.access != Access::NONE;
        if !area.access.holds(wanted) && !readable {
            return Err(Fault::Forbidden);
        }
        let entry = self.table.get(page);
        let write = wanted.holds(Access::WRITE);
        let result = match entry.frame() {
            Some(frame) => self.touch(page, entry, frame, start, &area, wanted),
            None => match &area.backing {
                Backing::Anonymous => self.fill_zeros(page, start, &area),
                Backing::Object { object, offset_bytes } => {
                    let index = (offset_bytes + page - start) / PAGE_BYTES;
                    match object.page(&self.pages, index, write && area.shared) {
                        Ok(frame) => {
                            let entry = Entry::new(frame, Space::shared_flags(&area));
                            self.table.set(page, entry);
                            match write && !area.shared {
                                true => self.touch(page, entry, frame, start, &area, wanted),
                                false => self.map_around(page, start, &area),
                            }
                        }
                        Err(ENOMEM) => Err(ENOMEM),
                        Err(_) => return Err(Fault::Beyond),
                    }
                }
            },
        };
        result.map_err(|_| Fault::NoMemory)
    }

    /// Flags of a page of an object.
    fn shared_flags(area: &Area) -> u32 {
        match (area.shared, area.access.holds(Access::WRITE)) {
            (true, true) => Entry::SHARED | Entry::WRITABLE,
            (true, false) => Entry::SHARED,
            (false, _) => 0,
        }
    }

    /// How the guest gets a page of an area. A page that may be written is not executable at the same time: who wants the
    /// other faults, and it changes (`touch`).
    fn access_of(area: &Area, entry: Entry) -> Access {
        let none = if entry.is(Entry::WRITABLE) { Access::EXECUTE } else { Access::WRITE };
        Access::READ.with(area.access).without(none)
    }

    /// A page that is there is accessed in a way that the guest's mapping does not allow, or is not mapped.
    fn touch(&mut self, page: u64, entry: Entry, frame: Frame, start: u64, area: &Area, wanted: Access) -> Result<(), Errno> {
        let was_mapped = entry.is(Entry::MAPPED);
        let mut now = entry;
        let mut moved = false;
        if wanted.holds(Access::WRITE) && !entry.is(Entry::WRITABLE) {
            let alone = entry.is(Entry::SHARED) || self.pages.lock().count(frame) == 1;
            if alone {
                now = entry.with(Entry::WRITABLE);
            } else {
                let copy = self.pages.lock().take()?;
                self.platform.copy(frame.at(), copy.at(), PAGE_BYTES as usize);
                self.pages.lock().release(frame);
                now = Entry::new(copy, Entry::WRITABLE);
                moved = true;
            }
        } else if wanted.holds(Access::EXECUTE) && area.access.holds(Access::WRITE) {
            now = entry.without(Entry::WRITABLE);
        }
        if !was_mapped && !wanted.holds(Access::WRITE) {
            self.table.set(page, now);
            return self.map_around(page, start, area);
        }
        let access = Space::access_of(area, now);
        if was_mapped && !moved {
            self.table.set(page, now);
            return self.native.protect(page, PAGE_BYTES, access);
        }
        // Whatever fails: the entry says what the guest has.
        self.table.set(page, now.without(Entry::MAPPED));
        if was_mapped {
            self.native.unmap(page, PAGE_BYTES)?;
        }
        let frame = now.frame().ok_or(ENOMEM)?;
        self.native.map(&[Run { address: page, frame, pages: 1, access }])?;
        self.table.set(page, now.with(Entry::MAPPED));
        Ok(())
    }

    /// Zeros for a page of an area, and for some behind it if the process goes through it page by page.
    fn fill_zeros(&mut self, page: u64, start: u64, area: &Area) -> Result<(), Errno> {
        let mut before = 0;
        while before < AROUND
            && page >= start + (before + 1) * PAGE_BYTES
            && self.table.get(page - (before + 1) * PAGE_BYTES) != Entry::NONE
        {
            before += 1;
        }
        let mut wanted = 1;
        while wanted < before
            && page + wanted * PAGE_BYTES < area.end
            && self.table.get(page + wanted * PAGE_BYTES) == Entry::NONE
        {
            wanted += 1;
        }
        let (first, count) = self.pages.lock().take_zeroed(wanted as u32)?;
        let flags = if area.access.holds(Access::WRITE) { Entry::WRITABLE } else { 0 };
        let access = Space::access_of(area, Entry::new(first, flags));
        let run = Run { address: page, frame: first, pages: count, access };
        if let Err(error) = self.native.map(&[run]) {
            let mut pages = self.pages.lock();
            (0..count).for_each(|n| pages.release(Frame(first.0 + n)));
            return Err(error);
        }
        for n in 0..count {
            self.table.set(page + u64::from(n) * PAGE_BYTES, Entry::new(Frame(first.0 + n), flags | Entry::MAPPED));
        }
        Ok(())
    }

    /// Maps a page that is in the table, and its neighbours that are there or in the same file.
    fn map_around(&mut self, page: u64, start: u64, area: &Area) -> Result<(), Errno> {
        let first = (page & !(AROUND * PAGE_BYTES - 1)).max(start);
        let end = (page | (AROUND * PAGE_BYTES - 1)).saturating_add(1).min(area.end);
        let mut runs = Vec::with_capacity(AROUND as usize);
        for at in (first..end).step_by(PAGE_BYTES as usize) {
            let mut entry = self.table.get(at);
            // What a shared mapping may write is asked for page by page: a file makes room for it.
            if entry == Entry::NONE
                && let Backing::Object { object, offset_bytes } = &area.backing
                && !(area.shared && area.most.holds(Access::WRITE))
                && let Ok(frame) = object.page(&self.pages, (offset_bytes + at - start) / PAGE_BYTES, false)
            {
                entry = Entry::new(frame, Space::shared_flags(area));
            }
            let Some(frame) = entry.frame().filter(|_| !entry.is(Entry::MAPPED)) else { continue };
            self.table.set(at, entry.with(Entry::MAPPED));
            push(&mut runs, at, frame, Space::access_of(area, entry));
        }
        if let Err(error) = self.native.map(&runs) {
            // Some of them may be mapped: none is, then.
            self.native.unmap(first, end - first)?;
            self.table.each(first..end, |_, entry| *entry = entry.without(Entry::MAPPED));
            return Err(error);
        }
        Ok(())
    }

    /// The area of a stack that the address belongs to now, if one may grow that far.
    fn grow_stack(&mut self, page: u64) -> Option<(u64, Area)> {
        let (start, area) = self.areas.next(page)?;
        let below = self.areas.find(page.checked_sub(PAGE_BYTES)?).is_some();
        if !area.grows_down || area.end - page > self.stack_limit || below {
            return None;
        }
        self.areas.grow_down(start, page);
        self.areas.find(page).map(|(start, area)| (start, area.clone()))
    }

    /// Takes pages out of a range; the areas stay. Errors: `ENOMEM`, with nothing taken.
    pub(super) fn drop_pages(&mut self, range: Range<u64>) -> Result<(), Errno> {
        let mut mapped: Option<(u64, u64)> = None;
        self.table.each(range.clone(), |at, entry| {
            if entry.is(Entry::MAPPED) {
                mapped = Some((mapped.map_or(at, |(first, _)| first), at + PAGE_BYTES));
            }
        });
        if let Some((first, end)) = mapped {
            self.native.unmap(first, end - first)?;
        }
        let mut pages = self.pages.lock();
        self.table.each(range, |_, entry| {
            if let Some(frame) = entry.frame() {
                pages.release(frame);
            }
            *entry = Entry::NONE;
        });
        Ok(())
    }

    /// Resident pages: private, of shared objects.
    pub fn resident(&mut self) -> (u64, u64) {
        let (mut private, mut shared) = (0, 0);
        self.table.each(0..END, |_, entry| match entry.is(Entry::SHARED) {
            true => shared += 1,
            false => private += 1,
        });
        (private, shared)
    }

    /// Bytes of all areas.
    pub fn size_bytes(&self) -> u64 {
        self.areas.iter().map(|(start, area)| area.end - start).sum()
    }

    /// A copy for a child: pages are shared until one of both writes. Errors: `ENOMEM`.
    pub fn fork(&mut self) -> Result<Space, Errno> {
        let mut child = Space::new(&self.pages)?;
        (child.layout, child.stack_limit) = (self.layout, self.stack_limit);
        for (start, area) in self.areas.iter().filter(|(_, area)| !area.dont_fork) {
            child.areas.insert(start, area.clone());
            if area.wipe_on_fork {
                continue;
            }
            let mut pages = self.pages.lock();
            let (native, mut run) = (&self.native, None::<(u64, u64)>);
            let access = area.access.without(Access::WRITE).with(Access::READ);
            let protect = |run: &mut Option<(u64, u64)>| match run.take() {
                Some((first, end)) => native.protect(first, end - first, access),
                None => Ok(()),
            };
            let mut result = Ok(());
            self.table.each(start..area.end, |at, entry| {
                let Some(frame) = entry.frame() else { return };
                pages.share(frame);
                if !entry.is(Entry::SHARED) && entry.is(Entry::WRITABLE) {
                    if entry.is(Entry::MAPPED) {
                        if run.is_some_and(|(_, end)| end != at) {
                            result = result.and(protect(&mut run));
                        }
                        run = Some((run.map_or(at, |(first, _)| first), at + PAGE_BYTES));
                    }
                    *entry = entry.without(Entry::WRITABLE);
                }
                child.table.set(at, entry.without(Entry::MAPPED));
            });
            result.and(protect(&mut run))?;
        }
        Ok(child)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let mut pages = self.pages.lock();
        self.table.each(0..END, |_, entry| {
            if let Some(frame) = entry.frame() {
                pages.release(frame);
            }
        });
    }
}

/// Adds a page to runs; it becomes part of the last if it goes on with it.
pub(super) fn push(runs: &mut Vec<Run>, address: u64, frame: Frame, access: Access) {
    if let Some(last) = runs.last_mut()
        && last.address + u64::from(last.pages) * PAGE_BYTES == address
        && last.frame.0 + last.pages == frame.0
        && last.access == access
        && !frame.0.is_multiple_of(CHUNK_FRAMES)
    {
        last.pages += 1;
    } else {
        runs.push(Run { address, frame, pages: 1, access });
    }
}
