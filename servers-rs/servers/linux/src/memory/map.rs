// SPDX-License-Identifier: PMPL-1.0-or-later
//! What mmap(2) and its siblings do to an address space. Addresses are checked by the calls.

use super::area::{Area, Backing};
use super::space::{LOWEST, Space};
use super::table::Entry;
use crate::errno::{EFAULT, EINVAL, ENOMEM, Result};
use crate::platform::{Access, PAGE_BYTES};
use alloc::vec::Vec;
use core::ops::Range;

impl Space {
    /// Puts an area into a range; what was there goes. Errors: `ENOMEM`.
    pub fn map(&mut self, range: Range<u64>, area: Area) -> Result<()> {
        self.unmap(range.clone())?;
        self.areas.insert(range.start, area);
        Ok(())
    }

    /// The place for a mapping that may be anywhere: at the hint if that is free. Errors: `ENOMEM`.
    pub fn place_for(&self, hint: u64, length_bytes: u64) -> Result<u64> {
        let hint = hint & !(PAGE_BYTES - 1);
        let fits = hint >= LOWEST && hint.checked_add(length_bytes).is_some_and(|end| end <= super::space::END);
        if fits && self.areas.is_free(hint..hint + length_bytes) {
            return Ok(hint);
        }
        self.areas.find_free(length_bytes, LOWEST, self.layout.mmap_top).ok_or(ENOMEM)
    }

    /// Errors: `ENOMEM`, when a part of a large page cannot be cut out.
    pub fn unmap(&mut self, range: Range<u64>) -> Result<()> {
        if self.areas.is_free(range.clone()) {
            return Ok(());
        }
        self.drop_pages(range.clone())?;
        // Dropped when nothing is locked: the last mapping of an object gives its pages back.
        drop(self.areas.remove(range));
        Ok(())
    }

    /// Errors: `ENOMEM` where nothing is, `EACCES` by the caller.
    pub fn protect(&mut self, range: Range<u64>, access: Access) -> Result<()> {
        self.areas.change(range.clone(), |area| area.access = access);
        let mut runs: Vec<(u64, u64, Access)> = Vec::new();
        let pages = self.pages.lock();
        self.table.each(range, |at, entry| {
            let alone = entry.is(Entry::SHARED) || entry.frame().is_some_and(|frame| pages.count(frame) == 1);
            *entry =
                if access.holds(Access::WRITE) && alone { entry.with(Entry::WRITABLE) } else { entry.without(Entry::WRITABLE) };
            if !entry.is(Entry::MAPPED) {
                return;
            }
            let native = match access {
                Access::NONE => Access::NONE,
                _ => Access::READ.with(access).without(if entry.is(Entry::WRITABLE) { Access::EXECUTE } else { Access::WRITE }),
            };
            if native == Access::NONE {
                *entry = entry.without(Entry::MAPPED);
            }
            match runs.last_mut() {
                Some((_, end, last)) if *end == at && *last == native => *end = at + PAGE_BYTES,
                _ => runs.push((at, at + PAGE_BYTES, native)),
            }
        });
        drop(pages);
        for (start, end, native) in runs {
            match native {
                Access::NONE => self.native.unmap(start, end - start)?,
                _ => self.native.protect(start, end - start, native)?,
            }
        }
        Ok(())
    }

    /// Pages go, areas stay: anonymous memory is zeros again, files are read again (`MADV_DONTNEED`).
    pub fn discard(&mut self, range: Range<u64>) -> Result<()> {
        self.drop_pages(range)
    }

    /// Moves what is in a range to a free one that is as long or longer; the area grows with it. Errors: `ENOMEM`.
    pub fn relocate(&mut self, from: Range<u64>, to: Range<u64>) -> Result<()> {
        let (start, area) = self.areas.find(from.start).ok_or(EFAULT)?;
        let mut moved = area.clone();
        if let Backing::Object { offset_bytes, .. } = &mut moved.backing {
            *offset_bytes += from.start - start;
        }
        moved.end = to.end;
        self.native.unmap(from.start, from.end - from.start)?;
        let mut taken = Vec::new();
        self.table.each(from.clone(), |at, entry| {
            taken.push((at - from.start, entry.without(Entry::MAPPED)));
            *entry = Entry::NONE;
        });
        drop(self.areas.remove(from));
        self.areas.insert(to.start, moved);
        for (offset, entry) in taken {
            self.table.set(to.start + offset, entry);
        }
        Ok(())
    }

    /// brk(2): the end of the heap afterwards, the old one if it cannot be.
    pub fn set_brk(&mut self, wanted: u64, limit_bytes: u64) -> u64 {
        let Range { start, end } = self.layout.brk_start..self.layout.brk;
        if wanted < start || wanted - start > limit_bytes {
            return end;
        }
        let (old, new) = (end.next_multiple_of(PAGE_BYTES), wanted.next_multiple_of(PAGE_BYTES));
        let done = if new > old {
            let free = self.areas.is_free(old..new);
            free.then(|| self.areas.insert(old, Area { name: "[heap]", ..Area::private(new, Access(3)) })).ok_or(EINVAL)
        } else if new < old {
            self.unmap(new..old)
        } else {
            Ok(())
        };
        if done.is_ok() {
            self.layout.brk = wanted;
        }
        self.layout.brk
    }
}
