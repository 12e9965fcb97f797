// SPDX-License-Identifier: PMPL-1.0-or-later
//! Page tables of user address spaces: four levels of 4096-byte tables (SDM volume 3, 4.5).
//!
//! Whatever the caller does, no entry is writable and executable, every entry that points to RAM holds a reference to a
//! user frame, and a frame loses that reference only after no CPU can use the entry any more. It does not know who
//! pays for tables: [`PageTable::missing`] says how many a mapping needs.

use super::FRAME_BYTES;
use super::frames::{Frame, Frames, PAGE_TABLE, View};
use abi::boot_info::USER_END;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Write-through and cache-disable: with the default PAT, uncacheable (SDM volume 3, table 12-11).
const UNCACHED: u64 = 1 << 3 | 1 << 4;
/// Software bits: the entry points to a device, which has no reference count; the most access it may get.
const DEVICE: u64 = 1 << 9;
const MAY_WRITE: u64 = 1 << 10;
const MAY_EXECUTE: u64 = 1 << 11;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Pages that are unmapped between two flushes.
const BATCH: usize = 32;

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
        let table = PageTable { view: frames.view(), root };
        for n in 256..512 {
            table.write(root, n, crate::kernel_root_entry(n));
        }
        Some(table)
    }

    /// Physical address of the root, for the CPU.
    pub fn root(&self) -> u64 {
        Frame(self.root).physical()
    }

    fn read(&self, table: u32, n: usize) -> u64 {
        // SAFETY: 1. `table` is the root or stood in an entry of a table above, so it is a page table frame of this
        // space; 2. `n` < 512; 3. the CPU sets accessed and dirty bits meanwhile: volatile.
        unsafe { (self.view.pointer(table) as *const u64).add(n).read_volatile() }
    }

    fn write(&self, table: u32, n: usize, entry: u64) {
        // SAFETY: as `read`; 4. only this space's methods write its tables, under a mutable borrow.
        unsafe { (self.view.pointer(table) as *mut u64).add(n).write_volatile(entry) }
    }

    /// The lowest table for an address, if it is there.
    fn leaf(&self, address: u64) -> Option<u32> {
        let mut table = self.root;
        for level in [3, 2, 1] {
            let entry = self.read(table, index(address, level));
            if entry & PRESENT == 0 {
                return None;
            }
            table = ((entry & ADDRESS) >> 12) as u32;
        }
        Some(table)
    }

    /// The lowest table for an address, made if it is missing. `None` without a frame.
    fn leaf_or_new(&mut self, frames: &mut Frames, address: u64) -> Option<u32> {
        let mut table = self.root;
        for level in [3, 2, 1] {
            let n = index(address, level);
            let entry = self.read(table, n);
            table = if entry & PRESENT != 0 {
                ((entry & ADDRESS) >> 12) as u32
            } else {
                let new = frames.take(PAGE_TABLE)?;
                self.write(table, n, Frame(new).physical() | PRESENT | WRITABLE | USER);
                new
            };
        }
        Some(table)
    }

    /// Table frames that mapping `pages` pages from `address` on would take.
    pub fn missing(&self, address: u64, pages: u64) -> u32 {
        let end = address + pages * FRAME_BYTES as u64;
        let mut missing = 0;
        let mut table_at = [u64::MAX; 3];
        let mut at = address;
        while at < end {
            let mut table = Some(self.root);
            for (n, level) in [3, 2, 1].into_iter().enumerate() {
                let entry = table.map_or(0, |t| self.read(t, index(at, level)));
                table = (entry & PRESENT != 0).then_some(((entry & ADDRESS) >> 12) as u32);
                let span = at >> (12 + 9 * level);
                if table.is_none() && table_at[n] != span {
                    table_at[n] = span;
                    missing += 1;
                }
            }
            at = ((at >> 21) + 1) << 21;
        }
        missing
    }

    /// What user code finds at an address.
    pub fn lookup(&self, address: u64) -> Option<Page> {
        if address >= USER_END {
            return None;
        }
        decode(self.read(self.leaf(address)?, index(address, 0)))
    }

    /// Maps one page at a free place. `false`, and nothing is mapped, if something is there, if the backing is not a
    /// user frame, if a table frame is missing, or if the address is no page of user space.
    pub fn map(&mut self, frames: &mut Frames, address: u64, page: Page) -> bool {
        if !address.is_multiple_of(FRAME_BYTES as u64) || address >= USER_END {
            return false;
        }
        match page.backing {
            Backing::Device(physical) if frames.is_ram(physical / FRAME_BYTES as u64) => return false,
            _ => {}
        }
        let Some(table) = self.leaf_or_new(frames, address) else { return false };
        let n = index(address, 0);
        if self.read(table, n) & PRESENT != 0 {
            return false;
        }
        if let Backing::Ram(frame) = page.backing
            && !frames.reference(frame)
        {
            return false;
        }
        self.write(table, n, encode(page));
        true
    }

    /// First mapped address at or after `address` and below `end`.
    pub fn next_mapped(&self, address: u64, end: u64) -> Option<u64> {
        let mut at = address;
        while at < end {
            match self.leaf(at) {
                None => at = ((at >> 21) + 1) << 21,
                Some(table) => {
                    if self.read(table, index(at, 0)) & PRESENT != 0 {
                        return Some(at);
                    }
                    at += FRAME_BYTES as u64;
                }
            }
        }
        None
    }

    /// Unmaps up to `limit` pages of a range, those that `which` says yes to. Returns where to go on (the end if done),
    /// pages unmapped, and frames freed because nobody else holds them. No CPU uses the old entries afterwards.
    pub fn unmap(
        &mut self,
        frames: &mut Frames,
        address: u64,
        end: u64,
        limit: usize,
        mut which: impl FnMut(u64, Page) -> bool,
    ) -> Unmapped {
        let mut done = Unmapped { next: address, pages: 0, freed: 0 };
        let mut batch = [Frame(0); BATCH];
        while done.next < end && done.pages < limit {
            let from = done.next;
            let (mut held, mut removed) = (0, 0);
            while held < BATCH && done.pages + removed < limit {
                let Some(at) = self.next_mapped(done.next, end) else {
                    done.next = end;
                    break;
                };
                done.next = at + FRAME_BYTES as u64;
                let (Some(table), Some(page)) = (self.leaf(at), self.lookup(at)) else { continue };
                if !which(at, page) {
                    continue;
                }
                self.write(table, index(at, 0), 0);
                removed += 1;
                if let Backing::Ram(frame) = page.backing {
                    batch[held] = frame;
                    held += 1;
                }
            }
            if removed > 0 {
                crate::flush(self.root(), from, done.next);
            }
            for &frame in &batch[..held] {
                done.freed += frames.unreference(frame) as u32;
            }
            done.pages += removed;
        }
        done
    }

    /// Gives every page of a range the new access. All of them must be mapped and allow it: `false`, and nothing
    /// changes, otherwise.
    pub fn protect(&mut self, address: u64, end: u64, access: Access) -> Result<(), Refused> {
        for at in (address..end).step_by(FRAME_BYTES) {
            let page = self.lookup(at).ok_or(Refused::NotMapped)?;
            if !access.within(page.most) {
                return Err(Refused::BeyondMost);
            }
        }
        for at in (address..end).step_by(FRAME_BYTES) {
            if let (Some(table), Some(page)) = (self.leaf(at), self.lookup(at)) {
                self.write(table, index(at, 0), encode(Page { access, ..page }));
            }
        }
        crate::flush(self.root(), address, end);
        Ok(())
    }

    /// Gives back up to `limit` table frames; returns how many, and the table itself while there is more to give.
    /// Pages that are still mapped keep their frames for ever: unmap first.
    pub fn destroy(self, frames: &mut Frames, limit: u32) -> (u32, Option<PageTable>) {
        // No CPU may walk these tables from here on.
        crate::retire(self.root());
        let mut given = 0;
        for n in 0..256 {
            let top = self.read(self.root, n);
            if top & PRESENT == 0 {
                continue;
            }
            let below = ((top & ADDRESS) >> 12) as u32;
            if !self.destroy_below(frames, below, 2, limit, &mut given) {
                return (given, Some(self));
            }
            self.write(self.root, n, 0);
            frames.give(below, PAGE_TABLE);
            given += 1;
        }
        frames.give(self.root, PAGE_TABLE);
        (given + 1, None)
    }

    /// Gives back the tables under `table`, whose entries are of that level. `false`: the limit was reached first.
    fn destroy_below(&self, frames: &mut Frames, table: u32, level: u32, limit: u32, given: &mut u32) -> bool {
        for n in 0..512 {
            let entry = self.read(table, n);
            if entry & PRESENT == 0 {
                continue;
            }
            if *given >= limit {
                return false;
            }
            let below = ((entry & ADDRESS) >> 12) as u32;
            if level > 1 && !self.destroy_below(frames, below, level - 1, limit, given) {
                return false;
            }
            self.write(table, n, 0);
            frames.give(below, PAGE_TABLE);
            *given += 1;
        }
        true
    }
}

/// How far [`PageTable::unmap`] came.
#[derive(Clone, Copy, Debug)]
pub struct Unmapped {
    pub next: u64,
    pub pages: usize,
    pub freed: u32,
}

/// Why [`PageTable::protect`] changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    NotMapped,
    BeyondMost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::test_frames;

    const RW: Access = Access { write: true, execute: false };

    fn page(frame: Frame) -> Page {
        Page { backing: Backing::Ram(frame), access: RW, most: RW }
    }

    #[test]
    fn no_entry_is_writable_and_executable() {
        for bits in 0..4 {
            let access = Access { write: bits & 1 != 0, execute: bits & 2 != 0 };
            let entry = encode(Page { backing: Backing::Ram(Frame(1)), access, most: access });
            assert!(entry & WRITABLE == 0 || entry & NO_EXECUTE != 0);
        }
    }

    #[test]
    fn missing_counts_exactly_what_mapping_takes() {
        for (address, pages) in [(0x1000, 1), (0x1f_f000, 2), (0x3fff_f000, 2), (0x7f_ffff_f000, 2), (0x1000, 1500)] {
            let mut frames = test_frames(64);
            let mut table = PageTable::new(&mut frames).unwrap();
            let frame = frames.take_user().unwrap();
            let (missing, before) = (table.missing(address, pages), frames.free());
            for n in 0..pages {
                assert!(table.map(&mut frames, address + n * 4096, page(frame)));
            }
            assert_eq!(before - frames.free(), missing, "{address:#x} {pages}");
            assert_eq!(table.missing(address, pages), 0);
        }
    }

    #[test]
    fn a_mapped_frame_is_not_free_until_it_is_unmapped() {
        let mut frames = test_frames(16);
        let mut table = PageTable::new(&mut frames).unwrap();
        let frame = frames.take_user().unwrap();
        assert!(table.map(&mut frames, 0x1000, page(frame)));
        assert!(!frames.give_user(frame), "still mapped");
        let done = table.unmap(&mut frames, 0, 0x10_0000, 10, |_, _| true);
        assert_eq!((done.pages, done.freed), (1, 1));
    }

    #[test]
    fn mapping_over_a_page_or_a_kernel_frame_is_refused() {
        let mut frames = test_frames(16);
        let mut table = PageTable::new(&mut frames).unwrap();
        let frame = frames.take_user().unwrap();
        assert!(table.map(&mut frames, 0x1000, page(frame)));
        assert!(!table.map(&mut frames, 0x1000, page(frame)), "overlap");
        let kernel_frame = Frame(table.root);
        assert!(!table.map(&mut frames, 0x2000, page(kernel_frame)), "a page table as user memory");
        assert!(!table.map(&mut frames, USER_END, page(frame)), "kernel half");
        let ram_as_device = Page { backing: Backing::Device(frame.physical()), access: RW, most: RW };
        assert!(!table.map(&mut frames, 0x3000, ram_as_device));
    }

    #[test]
    fn all_table_frames_go_back_in_steps() {
        let mut frames = test_frames(64);
        let before = frames.free();
        let mut table = PageTable::new(&mut frames).unwrap();
        let frame = frames.take_user().unwrap();
        for n in 0..10u64 {
            assert!(table.map(&mut frames, 0x1000 + (n << 30), page(frame)));
        }
        table.unmap(&mut frames, 0, USER_END, 100, |_, _| true);
        frames.give_user(frame);
        let mut rest = Some(table);
        let mut steps = 0;
        while let Some(t) = rest {
            rest = t.destroy(&mut frames, 3).1;
            steps += 1;
        }
        assert!(steps > 3);
        assert_eq!(frames.free(), before);
    }
}
