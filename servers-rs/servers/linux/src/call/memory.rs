// SPDX-License-Identifier: PMPL-1.0-or-later
//! mmap(2) and its siblings.

use crate::cell::Cell;
use crate::errno::*;
use crate::memory::area::{Area, Backing};
use crate::memory::object::Object;
use crate::memory::space::{END, Fault, LOWEST, Space};
use crate::platform::{Access, PAGE_BYTES};
use crate::task::Current;
use crate::user::UserMemory;
use crate::wait::Outcome;
use alloc::sync::Arc;
use core::ops::Range;
use linux_raw_sys::general::*;

const PROTECTION: u64 = (PROT_READ | PROT_WRITE | PROT_EXEC) as u64;
/// Areas that a process may have (vm.max_map_count).
const MOST_AREAS: usize = 65_530;

/// Whole pages from an aligned address. Errors: `EINVAL`.
fn range(address: u64, length: u64) -> Result<Range<u64>> {
    let length = length.checked_next_multiple_of(PAGE_BYTES).ok_or(EINVAL)?;
    let end = address.checked_add(length).filter(|end| *end <= END && address.is_multiple_of(PAGE_BYTES)).ok_or(EINVAL)?;
    Ok(address..end)
}

fn answer(result: Result<u64>) -> Outcome {
    Outcome::Done(result)
}

/// `address, length, protection, flags, descriptor, offset`.
pub fn mmap(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    answer(map(current, cell, arguments))
}

fn map(current: &mut Current, cell: &mut Cell, [address, length, protection, flags, fd, offset]: [u64; 6]) -> Result<u64> {
    let flags = flags as u32;
    let length = length.checked_next_multiple_of(PAGE_BYTES).filter(|n| *n <= END).ok_or(ENOMEM)?;
    let (kind, fixed) = (flags & MAP_TYPE, flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0);
    let is_kind = matches!(kind, MAP_SHARED | MAP_PRIVATE | MAP_SHARED_VALIDATE);
    if length == 0 || !is_kind || !offset.is_multiple_of(PAGE_BYTES) || fixed && !address.is_multiple_of(PAGE_BYTES) {
        return Err(EINVAL);
    }
    let shared = kind != MAP_PRIVATE;
    let access = Access((protection & PROTECTION) as u8);
    let (backing, most) = match flags & MAP_ANONYMOUS {
        0 => of_file(current, fd as u32, offset, shared, access)?,
        _ if shared => (Backing::Object { object: Object::shared(&cell.pages, length), offset_bytes: 0 }, Access(7)),
        _ => (Backing::Anonymous, Access(7)),
    };
    if current.process.limits.lock().soft(RLIMIT_AS) < length {
        return Err(ENOMEM);
    }
    let mut space = current.memory.lock();
    if space.areas.len() >= MOST_AREAS {
        return Err(ENOMEM);
    }
    let start = match fixed {
        false => space.place_for(address, length)?,
        true if address.checked_add(length).is_none_or(|end| end > END) => return Err(ENOMEM),
        true if address < LOWEST => return Err(EPERM),
        true if flags & MAP_FIXED_NOREPLACE != 0 && !space.areas.is_free(address..address + length) => return Err(EEXIST),
        true => address,
    };
    let area = Area { shared, backing, most, grows_down: flags & MAP_GROWSDOWN != 0, ..Area::private(start + length, access) };
    space.map(start..start + length, area)?;
    if flags & (MAP_POPULATE | MAP_LOCKED) != 0 && access != Access::NONE {
        populate(&mut space, start..start + length, access);
    }
    Ok(start)
}

fn of_file(current: &Current, fd: u32, offset: u64, shared: bool, access: Access) -> Result<(Backing, Access)> {
    let open = current.files.lock().get(fd)?.clone();
    open.to_read().map_err(|error| if open.is_path_only() { error } else { EACCES })?;
    let writes = open.to_write().is_ok();
    if shared && access.holds(Access::WRITE) && !writes {
        return Err(EACCES);
    }
    if open.file.is_zero_device() {
        return Ok((Backing::Anonymous, Access(7)));
    }
    match open.file.page(offset / PAGE_BYTES, false) {
        Err(ENXIO) | Ok(_) => {}
        Err(error) => return Err(error),
    }
    let most = if shared && !writes { Access(5) } else { Access(7) };
    let object = Arc::new(Object::File(open));
    Ok((Backing::Object { object, offset_bytes: offset }, most))
}

fn populate(space: &mut Space, range: Range<u64>, access: Access) {
    let wanted = if access.holds(Access::WRITE) { Access::WRITE } else { Access::READ };
    for page in range.step_by(PAGE_BYTES as usize) {
        if space.fault(page, wanted).is_err() {
            return;
        }
    }
}

pub fn munmap(current: &mut Current, _: &mut Cell, [address, length, ..]: [u64; 6]) -> Outcome {
    if length == 0 {
        return EINVAL.into();
    }
    answer(range(address, length).and_then(|range| current.memory.lock().unmap(range)).map(|()| 0))
}

/// `address, length, protection`.
pub fn mprotect(current: &mut Current, _: &mut Cell, [address, length, protection, ..]: [u64; 6]) -> Outcome {
    let change = || -> Result<u64> {
        let grows = u64::from(PROT_GROWSDOWN | PROT_GROWSUP);
        if protection & !(PROTECTION | grows) != 0 {
            return Err(EINVAL);
        }
        let range = range(address, length).map_err(|error| if address.is_multiple_of(PAGE_BYTES) { ENOMEM } else { error })?;
        let access = Access((protection & PROTECTION) as u8);
        let mut space = current.memory.lock();
        if range.is_empty() {
            return Ok(0);
        }
        if !space.areas.covers(range.clone()) {
            return Err(ENOMEM);
        }
        if space.areas.within(range.clone()).any(|(_, area)| !area.most.holds(access)) {
            return Err(EACCES);
        }
        space.protect(range, access).map(|()| 0)
    };
    answer(change())
}

/// `old address, old length, new length, flags, new address`.
pub fn mremap(current: &mut Current, _: &mut Cell, arguments: [u64; 6]) -> Outcome {
    answer(remap(&mut current.memory.lock(), arguments))
}

fn remap(space: &mut Space, [old, old_length, length, flags, new, _]: [u64; 6]) -> Result<u64> {
    let flags = flags as u32;
    let fixed = flags & MREMAP_FIXED != 0;
    if flags & !(MREMAP_MAYMOVE | MREMAP_FIXED) != 0 || fixed && flags & MREMAP_MAYMOVE == 0 || length == 0 {
        return Err(EINVAL);
    }
    let (from, length) = (range(old, old_length)?, length.checked_next_multiple_of(PAGE_BYTES).ok_or(EINVAL)?);
    let (_, area) = space.areas.find(old).ok_or(EFAULT)?;
    // Length 0 makes a second mapping of shared memory, else the range is in one area.
    if from.is_empty() || area.end < from.end {
        return Err(if from.is_empty() { EINVAL } else { EFAULT });
    }
    let old_length = from.end - from.start;
    if fixed {
        let to = range(new, length)?;
        if to.start < from.end && from.start < to.end {
            return Err(EINVAL);
        }
        space.unmap(to.clone())?;
        return shrink_and_move(space, from, to);
    }
    if length <= old_length {
        space.unmap(old + length..from.end)?;
        return Ok(old);
    }
    let grown = old.checked_add(length).filter(|end| *end <= END);
    if let Some(end) = grown.filter(|end| area.end == from.end && space.areas.is_free(from.end..*end)) {
        let (start, area) = space.areas.find(old).ok_or(EFAULT)?;
        let mut more = area.clone();
        if let Backing::Object { offset_bytes, .. } = &mut more.backing {
            *offset_bytes += from.end - start;
        }
        more.end = end;
        space.areas.insert(from.end, more);
        return Ok(old);
    }
    if flags & MREMAP_MAYMOVE == 0 {
        return Err(ENOMEM);
    }
    let at = space.place_for(0, length)?;
    shrink_and_move(space, from, at..at + length)
}

fn shrink_and_move(space: &mut Space, from: Range<u64>, to: Range<u64>) -> Result<u64> {
    let kept = (to.end - to.start).min(from.end - from.start);
    space.unmap(from.start + kept..from.end)?;
    space.relocate(from.start..from.start + kept, to.clone())?;
    Ok(to.start)
}

/// `end`; its answer is never an error.
pub fn brk(current: &mut Current, _: &mut Cell, [end, ..]: [u64; 6]) -> Outcome {
    let limit = current.process.limits.lock().soft(RLIMIT_DATA);
    answer(Ok(current.memory.lock().set_brk(end.min(END), limit)))
}

/// `address, length, advice`.
pub fn madvise(current: &mut Current, _: &mut Cell, [address, length, advice, ..]: [u64; 6]) -> Outcome {
    let advise = || -> Result<u64> {
        let range = range(address, length)?;
        let mut space = current.memory.lock();
        let covered = space.areas.covers(range.clone()) || range.is_empty();
        match advice as u32 {
            MADV_DONTNEED | MADV_DONTNEED_LOCKED => space.discard(range)?,
            MADV_FREE => {
                let anonymous = |area: &Area| !area.shared && matches!(area.backing, Backing::Anonymous);
                if !space.areas.within(range.clone()).all(|(_, area)| anonymous(area)) {
                    return Err(EINVAL);
                }
                space.discard(range)?;
            }
            MADV_DONTFORK => space.areas.change(range, |area| area.dont_fork = true),
            MADV_DOFORK => space.areas.change(range, |area| area.dont_fork = false),
            MADV_WIPEONFORK => space.areas.change(range, |area| area.wipe_on_fork = true),
            MADV_KEEPONFORK => space.areas.change(range, |area| area.wipe_on_fork = false),
            MADV_POPULATE_READ | MADV_POPULATE_WRITE => {
                let wanted = if advice as u32 == MADV_POPULATE_WRITE { Access::WRITE } else { Access::READ };
                for page in range.step_by(PAGE_BYTES as usize) {
                    space.fault(page, wanted).map_err(|fault| match fault {
                        Fault::NotMapped | Fault::NoMemory => ENOMEM,
                        Fault::Forbidden => EINVAL,
                        Fault::Beyond => EFAULT,
                    })?;
                }
            }
            MADV_NORMAL | MADV_RANDOM | MADV_SEQUENTIAL | MADV_WILLNEED | MADV_MERGEABLE | MADV_UNMERGEABLE | MADV_HUGEPAGE
            | MADV_NOHUGEPAGE | MADV_DONTDUMP | MADV_DODUMP | MADV_COLD | MADV_PAGEOUT => {}
            _ => return Err(EINVAL),
        }
        if covered { Ok(0) } else { Err(ENOMEM) }
    };
    answer(advise())
}

/// `address, length, flags`: what is shared is the file at once.
pub fn msync(current: &mut Current, _: &mut Cell, [address, length, flags, ..]: [u64; 6]) -> Outcome {
    let flags = flags as u32;
    let both = MS_ASYNC | MS_SYNC;
    if flags & !(both | MS_INVALIDATE) != 0 || flags & both == both {
        return EINVAL.into();
    }
    let found = range(address, length).map(|range| range.is_empty() || current.memory.lock().areas.covers(range));
    answer(found.and_then(|covered| if covered { Ok(0) } else { Err(ENOMEM) }))
}

/// `address, length, vector`: a byte for each page.
pub fn mincore(current: &mut Current, _: &mut Cell, [address, length, vector, ..]: [u64; 6]) -> Outcome {
    let look = || -> Result<u64> {
        let range = range(address, length).map_err(|_| if address.is_multiple_of(PAGE_BYTES) { ENOMEM } else { EINVAL })?;
        let mut space = current.memory.lock();
        if !range.is_empty() && !space.areas.covers(range.clone()) {
            return Err(ENOMEM);
        }
        for (n, page) in range.step_by(PAGE_BYTES as usize).enumerate() {
            let there = u8::from(space.has(page));
            space.write(vector.wrapping_add(n as u64), &[there])?;
        }
        Ok(0)
    };
    answer(look())
}

/// Nothing is ever taken out to a disk: memory stays without being locked.
pub fn mlock(current: &mut Current, _: &mut Cell, [address, length, ..]: [u64; 6]) -> Outcome {
    let start = address & !(PAGE_BYTES - 1);
    let length = length.saturating_add(address - start);
    let lock = || -> Result<u64> {
        let range = range(start, length)?;
        let mut space = current.memory.lock();
        if !range.is_empty() && !space.areas.covers(range.clone()) {
            return Err(ENOMEM);
        }
        populate(&mut space, range, Access::READ);
        Ok(0)
    };
    answer(lock())
}

pub fn munlock(_: &mut Current, _: &mut Cell, _: [u64; 6]) -> Outcome {
    answer(Ok(0))
}
