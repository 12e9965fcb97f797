// SPDX-License-Identifier: PMPL-1.0-or-later
//! Page tables of user address spaces: four levels of 4096-byte tables (SDM volume 3, 4.5), pages of 4 KiB and of 2 MiB.
//!
//! Whatever the caller does, no entry is writable and executable, every entry that points to RAM holds a reference to a
//! user frame, and a frame loses that reference only after no CPU can use the entry any more. It does not know who
//! pays for tables: [`PageTable::missing`] says how many a mapping needs. Each method does a bounded amount of work and
//! says how far it came; the lowest tables stay until the space goes, or until a 2 MiB page takes their place.

use super::FRAME_BYTES;
use super::frames::{Frame, Frames, PAGE_TABLE, RUN_FRAMES, View};
use abi::boot_info::USER_END;
use core::sync::atomic::Ordering::Relaxed;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Write-through and cache-disable: with the default PAT, uncacheable (SDM volume 3, table 12-11).
const UNCACHED: u64 = 1 << 3 | 1 << 4;
/// Software bits: the entry points to a device, which has no reference count; the most access it may get.
const DEVICE: u64 = 1 << 9;
const MAY_WRITE: u64 = 1 << 10;
const MAY_EXECUTE: u64 = 1 << 11;
/// In a table of the second level: a page of 2 MiB.
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const PAGE: u64 = FRAME_BYTES as u64;
/// Bytes of a large page, which is also what one table of the lowest level covers.
pub const LARGE_PAGE: u64 = PAGE * RUN_FRAMES as u64;

/// Entries looked at in one call, and so pages that are unmapped between two flushes.
pub const STEP: usize = 28;
/// Entries looked at in one step of giving back tables.
const DESTROY_STEP: usize = 192;

/// What user code may do with a page. Reading is always part of it. Writing and executing exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access {
    pub write: bool,
    pub execute: bool,
}

impl Access {
    pub const fn within(self, most: Access) -> bool {
        (!self.write || most.write) && (!self.execute || most.execute)
    }
}

/// What a page is backed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backing {
    Ram(Frame),
    /// Physical address of a device's page; never cached.
    Device(u64),
}

/// What stands at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    pub backing: Backing,
    pub access: Access,
    /// The most that `access` may become.
    pub most: Access,
}

/// The tables of one address space.
#[derive(Debug)]
pub struct PageTable {
    view: View,
    root: u32,
    /// Below this address all lowest tables are given back.
    destroyed: u64,
    /// A lowest table, and which piece of 2 MiB it covers: the one looked for last.
    recent: (u64, u32),
}

/// No piece of 2 MiB.
const NO_PIECE: u64 = u64::MAX;

/// The entries of one table. Only `PageTable` makes it, of tables that are its own, and keeps it for a loop at most.
#[derive(Clone, Copy)]
struct Entries(*mut u64);

impl Entries {
    #[inline(always)]
    fn read(self, n: usize) -> u64 {
        // SAFETY: 1. the table is the root or stood in an entry of a table above, and does still if it is the recent one, so it
        // is a page table frame of that space; 2. the number is below 512; 3. the CPU sets accessed and dirty bits meanwhile: volatile.
        unsafe { self.0.add(n & 511).read_volatile() }
    }

    #[inline(always)]
    fn write(self, n: usize, entry: u64) {
        // SAFETY: as `read`; 4. only the space's methods write its tables, under its borrow.
        unsafe { self.0.add(n & 511).write_volatile(entry) }
    }
}

/// What covers the 2 MiB around an address.
enum Cover {
    /// No table of that level.
    Missing(u32),
    /// The lowest table.
    Table(u32),
    /// The table of the second level whose entry is a large page.
    Large(u32),
}

/// The end of the 2 MiB around an address.
fn cover_end(address: u64) -> u64 {
    (address | (LARGE_PAGE - 1)).saturating_add(1)
}

fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize & 511
}

fn decode(entry: u64) -> Option<Page> {
    let backing = match entry & (PRESENT | DEVICE) {
        0 | DEVICE => return None,
        PRESENT => Backing::Ram(Frame(((entry & ADDRESS) >> 12) as u32)),
        _ => Backing::Device(entry & ADDRESS),
    };
    Some(Page {
        backing,
        access: Access { write: entry & WRITABLE != 0, execute: entry & NO_EXECUTE == 0 },
        most: Access { write: entry & MAY_WRITE != 0, execute: entry & MAY_EXECUTE != 0 },
    })
}

fn encode(page: Page) -> u64 {
    let (address, kind) = match page.backing {
        Backing::Ram(frame) => (frame.physical(), 0),
        Backing::Device(physical) => (physical & ADDRESS, DEVICE | UNCACHED),
    };
    let mut entry = address | kind | PRESENT | USER;
    if page.access.write {
        entry |= WRITABLE;
    }
    if page.access.write || !page.access.execute {
        entry |= NO_EXECUTE;
    }
    if page.most.write {
        entry |= MAY_WRITE;
    }
    if page.most.execute {
        entry |= MAY_EXECUTE;
    }
    entry
}

impl PageTable {
    /// Empty tables for user code, the kernel's own part in the upper half. `None` without a frame.
    pub fn new(frames: &mut Frames) -> Option<PageTable> {
        let root = frames.take(PAGE_TABLE)?;
        let table = PageTable { view: frames.view(), root, destroyed: 0, recent: (NO_PIECE, 0) };
        for n in 256..512 {
            table.write(root, n, crate::kernel_root_entry(n));
        }
        Some(table)
    }

    /// Physical address of the root, for the CPU.
    pub fn root(&self) -> u64 {
        Frame(self.root).physical()
    }

    /// A table of this space, found once for many entries.
    #[inline(always)]
    fn entries(&self, table: u32) -> Entries {
        Entries(self.view.pointer(table) as *mut u64)
    }

    #[inline]
    fn read(&self, table: u32, n: usize) -> u64 {
        self.entries(table).read(n)
    }

    #[inline]
    fn write(&self, table: u32, n: usize, entry: u64) {
        self.entries(table).write(n, entry);
    }

    /// What is there for an address.
    #[inline]
    fn cover(&self, address: u64) -> Cover {
        if self.recent.0 == address / LARGE_PAGE {
            return Cover::Table(self.recent.1);
        }
        self.walk_to(address)
    }

    fn walk_to(&self, address: u64) -> Cover {
        let mut table = self.root;
        for level in [3, 2, 1] {
            let entry = self.read(table, index(address, level));
            if entry & PRESENT == 0 {
                return Cover::Missing(level);
            }
            if level == 1 && entry & LARGE != 0 {
                return Cover::Large(table);
            }
            table = ((entry & ADDRESS) >> 12) as u32;
        }
        Cover::Table(table)
    }

    /// The table of a level above the lowest, made if it is missing: level 1 holds large pages and lowest tables.
    /// `taken` counts frames. `None` without a frame.
    fn table_or_new(&mut self, frames: &mut Frames, address: u64, lowest: u32, taken: &mut u32) -> Option<u32> {
        let mut table = self.root;
        for level in (lowest + 1..=3).rev() {
            let n = index(address, level);
            let entry = self.read(table, n);
            table = if entry & (PRESENT | LARGE) == PRESENT {
                ((entry & ADDRESS) >> 12) as u32
            } else if entry & PRESENT != 0 {
                return None;
            } else {
                let new = frames.take(PAGE_TABLE)?;
                *taken += 1;
                self.write(table, n, Frame(new).physical() | PRESENT | WRITABLE | USER);
                new
            };
        }
        Some(table)
    }

    /// Entries of a lowest table that are in use.
    fn used(&self, table: u32) -> u32 {
        self.view.record(table).map_or(0, |r| r.references.load(Relaxed))
    }

    fn add_used(&self, table: u32, more: u32) {
        if let Some(r) = self.view.record(table) {
            r.references.store(r.references.load(Relaxed).wrapping_add(more), Relaxed);
        }
    }

    /// Table frames that mapping the 2 MiB pieces from `at` to `end`, of a mapping that begins at `start`, would take.
    /// With `large` a piece that lies in the mapping as a whole takes no lowest table.
    pub fn missing(&self, start: u64, at: u64, end: u64, large: bool) -> u32 {
        let (mut missing, mut at) = (0, at);
        while at < end {
            let next = cover_end(at);
            if let Cover::Missing(top) = self.cover(at) {
                let lowest = 1 + (large && at.is_multiple_of(LARGE_PAGE) && next <= end) as u32;
                for level in lowest..=top {
                    // Counted at the first piece that needs it.
                    let first = at & !((PAGE << (9 * level)) - 1);
                    missing += (at == start || at == first) as u32;
                }
            }
            at = next;
        }
        missing
    }

    /// What user code finds at an address.
    pub fn lookup(&self, address: u64) -> Option<Page> {
        if address >= USER_END {
            return None;
        }
        match self.cover(address) {
            Cover::Missing(_) => None,
            Cover::Table(table) => decode(self.read(table, index(address, 0))),
            Cover::Large(table) => {
                let mut page = decode(self.read(table, index(address, 1)) & !LARGE)?;
                if let Backing::Ram(first) = page.backing {
                    page.backing = Backing::Ram(Frame(first.0 + index(address, 0) as u32));
                }
                Some(page)
            }
        }
    }

    /// Maps pages at free places from `address` on, as many as come out of `backings`, within one lowest table. Says how
    /// many came in, and how many frames went into tables. It stops where something is mapped already, where the backing
    /// is neither a user frame nor a device, where a table frame is missing, or at an address that is no page of user
    /// space.
    pub fn map(
        &mut self,
        frames: &mut Frames,
        address: u64,
        access: Access,
        most: Access,
        backings: impl Iterator<Item = Backing>,
    ) -> Mapped {
        let mut done = Mapped::default();
        if !address.is_multiple_of(PAGE) || address >= USER_END {
            return done;
        }
        let table = match self.recent {
            (piece, table) if piece == address / LARGE_PAGE => Some(table),
            _ => self.table_or_new(frames, address, 0, &mut done.tables),
        };
        let Some(table) = table else { return done };
        self.recent = (address / LARGE_PAGE, table);
        done.pages = self.fill(frames, table, address, access, most, backings);
        done
    }

    /// As [`PageTable::map`], if the lowest table is there; how many pages came in.
    pub fn map_there(
        &mut self,
        frames: &mut Frames,
        address: u64,
        access: Access,
        most: Access,
        backings: impl Iterator<Item = Backing>,
    ) -> u32 {
        if !address.is_multiple_of(PAGE) || address >= USER_END {
            return 0;
        }
        match self.cover(address) {
            Cover::Table(table) => {
                self.recent = (address / LARGE_PAGE, table);
                self.fill(frames, table, address, access, most, backings)
            }
            _ => 0,
        }
    }

    /// Fills entries of a lowest table that are free, from an address's on; how many.
    #[inline]
    fn fill(
        &mut self,
        frames: &mut Frames,
        table: u32,
        address: u64,
        access: Access,
        most: Access,
        backings: impl Iterator<Item = Backing>,
    ) -> u32 {
        let (entries, mut pages) = (self.entries(table), 0);
        for (n, backing) in (index(address, 0)..512).zip(backings) {
            let allowed = match backing {
                Backing::Device(physical) => !frames.is_ram(physical / PAGE),
                Backing::Ram(_) => true,
            };
            if !allowed || entries.read(n) & PRESENT != 0 {
                break;
            }
            if let Backing::Ram(frame) = backing
                && !frames.reference(frame, 1)
            {
                break;
            }
            entries.write(n, encode(Page { backing, access, most }));
            pages += 1;
        }
        self.add_used(table, pages);
        pages
    }

    /// Maps a run as one large page. An empty lowest table that stands there goes: its frame is counted off, so `tables`
    /// may be negative. Nothing is done if the place is not free or the frame is not a run's first.
    pub fn map_large(&mut self, frames: &mut Frames, address: u64, access: Access, most: Access, first: Frame) -> (bool, i32) {
        if !address.is_multiple_of(LARGE_PAGE) || address >= USER_END || !frames.is_run(first) {
            return (false, 0);
        }
        let mut taken = 0;
        let Some(table) = self.table_or_new(frames, address, 1, &mut taken) else { return (false, taken as i32) };
        let (n, mut tables) = (index(address, 1), taken as i32);
        let entry = self.read(table, n);
        let below = ((entry & ADDRESS) >> 12) as u32;
        if entry & PRESENT != 0 {
            if entry & LARGE != 0 || self.used(below) > 0 {
                return (false, tables);
            }
            self.write(table, n, 0);
            self.recent = (NO_PIECE, 0);
            crate::flush(self.root(), address, address + PAGE);
            frames.give(below, PAGE_TABLE);
            tables -= 1;
        }
        if !frames.reference(first, 1) {
            return (false, tables);
        }
        self.write(table, n, encode(Page { backing: Backing::Ram(first), access, most }) | LARGE);
        (true, tables)
    }

    /// Whether an address lies inside a large page, not at its start: cutting there takes a table.
    pub fn cuts_large(&self, address: u64) -> bool {
        !address.is_multiple_of(LARGE_PAGE) && address < USER_END && matches!(self.cover(address), Cover::Large(_))
    }

    /// Makes 512 pages of the large page around an address, with one table frame. `false` without a frame, or if there is
    /// no large page.
    pub fn split(&mut self, frames: &mut Frames, address: u64) -> bool {
        let Cover::Large(table) = self.cover(address) else { return false };
        let entry = self.read(table, index(address, 1));
        let Some(page @ Page { backing: Backing::Ram(first), .. }) = decode(entry & !LARGE) else { return false };
        let Some(new) = frames.take(PAGE_TABLE) else { return false };
        // One reference was the large page's.
        frames.reference(first, RUN_FRAMES - 1);
        let small = encode(page);
        for n in 0..512 {
            self.write(new, n, small + n as u64 * PAGE);
        }
        self.add_used(new, RUN_FRAMES);
        self.write(table, index(address, 1), Frame(new).physical() | PRESENT | WRITABLE | USER);
        crate::flush(self.root(), address & !(LARGE_PAGE - 1), cover_end(address));
        true
    }

    /// Calls `act` with the table and the number of each entry in use of a range, large ones only if the range has all of
    /// them; looks at [`STEP`] entries. Returns where it stopped.
    fn walk(&self, address: u64, end: u64, mut act: impl FnMut(u32, usize, u64)) -> u64 {
        let (mut at, mut looked) = (address, 0);
        while at < end && looked < STEP {
            match self.cover(at) {
                Cover::Missing(_) => {
                    (at, looked) = (cover_end(at), looked + 4);
                }
                Cover::Large(table) => {
                    if at.is_multiple_of(LARGE_PAGE) && cover_end(at) <= end {
                        act(table, index(at, 1), self.read(table, index(at, 1)));
                    }
                    (at, looked) = (cover_end(at), looked + 4);
                }
                Cover::Table(table) => {
                    let entries = self.entries(table);
                    let (first, left) = (index(at, 0), ((end - at) / PAGE) as usize);
                    let count = left.min(512 - first).min(STEP - looked);
                    for n in first..first + count {
                        let entry = entries.read(n);
                        if entry & PRESENT != 0 {
                            act(table, n, entry);
                        }
                    }
                    (at, looked) = (at + count as u64 * PAGE, looked + count);
                }
            }
        }
        at.min(end)
    }

    /// Unmaps what a range holds, in part: says where to go on (the end if done) and how many pages it were. No CPU uses
    /// the old entries afterwards. A large page that the range cuts stays: [`PageTable::split`] it first.
    pub fn unmap(&mut self, frames: &mut Frames, address: u64, end: u64) -> Unmapped {
        let mut batch = [Frame(0); STEP];
        let (mut held, mut pages, mut removed) = (0, 0, 0);
        let next = self.walk(address, end, |table, n, entry| {
            self.write(table, n, 0);
            if entry & DEVICE == 0 {
                batch[held] = Frame(((entry & ADDRESS) >> 12) as u32);
                held += 1;
            }
            removed += 1;
            if entry & LARGE != 0 {
                pages += RUN_FRAMES as usize;
            } else {
                pages += 1;
                self.add_used(table, u32::MAX);
            }
        });
        if removed > 0 {
            crate::flush(self.root(), address, next);
        }
        for &frame in &batch[..held] {
            frames.unreference(frame);
        }
        Unmapped { next, pages }
    }

    /// Gives the pages of a range the new access, in part: says where to go on. Pages that do not allow it, and what is not
    /// mapped, stay as they are; so does a large page that the range cuts.
    pub fn protect(&mut self, address: u64, end: u64, access: Access) -> u64 {
        let next = self.walk(address, end, |table, n, entry| {
            if let Some(page) = decode(entry & !LARGE).filter(|p| access.within(p.most)) {
                self.write(table, n, encode(Page { access, ..page }) | entry & LARGE);
            }
        });
        crate::flush(self.root(), address, next);
        next
    }

    /// Gives back some table frames; returns how many, and the table itself while there is more to give. Pages that are
    /// still mapped keep their frames for ever: unmap first.
    pub fn destroy(mut self, frames: &mut Frames) -> (u32, Option<PageTable>) {
        // No CPU may walk these tables from here on.
        crate::retire(self.root());
        self.recent = (NO_PIECE, 0);
        let (mut given, mut looked) = (0, 0);
        let mut give = |frames: &mut Frames, table: u32, n: usize, below: u32| {
            self.write(table, n, 0);
            frames.give(below, PAGE_TABLE);
            given += 1;
        };
        let mut at = self.destroyed;
        while looked < DESTROY_STEP {
            // At each level: on to the next table below this one; or, with nothing more in it, this one goes, and the next
            // look passes over its empty entry.
            let mut table = self.root;
            let mut above = None;
            for level in [3, 2, 1] {
                let (from, span) = (index(at, level), PAGE << (9 * level));
                let all = if level == 3 { 256 } else { 512 };
                let stop = all.min(from + DESTROY_STEP.saturating_sub(looked).max(1));
                let found = self.next_table(table, from, stop);
                // Each level costs about as much as some entries, however soon its look ends.
                looked += found.map_or(stop, |(n, _)| n) + 8 - from;
                let n = found.map_or(stop, |(n, _)| n);
                if n > from && n < all {
                    at = (at & !(span * 512 - 1)) + n as u64 * span;
                }
                let Some((n, below)) = found else {
                    if stop == all {
                        let Some((parent, n)) = above else {
                            frames.give(self.root, PAGE_TABLE);
                            return (given + 1, None);
                        };
                        give(frames, parent, n, table);
                    }
                    break;
                };
                if level == 1 {
                    give(frames, table, n, below);
                }
                (above, table) = (Some((table, n)), below);
            }
        }
        self.destroyed = at;
        (given, Some(self))
    }

    /// The first table below entries `from..end` of a table.
    fn next_table(&self, table: u32, from: usize, end: usize) -> Option<(usize, u32)> {
        let entries = self.entries(table);
        (from..end).find_map(|n| {
            let entry = entries.read(n);
            (entry & (PRESENT | LARGE) == PRESENT).then_some((n, ((entry & ADDRESS) >> 12) as u32))
        })
    }
}

/// What [`PageTable::map`] did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mapped {
    pub pages: u32,
    pub tables: u32,
}

/// How far [`PageTable::unmap`] came.
#[derive(Clone, Copy, Debug)]
pub struct Unmapped {
    pub next: u64,
    pub pages: usize,
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
