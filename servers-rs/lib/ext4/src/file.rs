// SPDX-License-Identifier: PMPL-1.0-or-later
//! Reading, writing, cutting, punching and reserving the data of a file. Data are written in place and before the commit that
//! makes them part of the file; a hole and a reserved block read as zeros.

use crate::extent::Extent;
use crate::inode::{Inode, Kind};
use crate::store::zeroed;
use crate::{BLOCK, Error, Ext4, Result};
use alloc::vec;
use blocks::BlockWrite;

/// Blocks that one operation writes: what it changes must fit a transaction.
const STEP_BLOCKS: u32 = 32;
/// Extents that one operation frees.
pub const STEP_EXTENTS: usize = 16;
/// Bytes of the largest file: 2^32 blocks, less one because Linux counts so.
pub const SIZE_MAX: u64 = (u32::MAX as u64) * BLOCK as u64;

impl<D: BlockWrite> Ext4<D> {
    /// Reads from `offset` on; returns the bytes read: fewer than asked only at the end of the file.
    pub fn read(&mut self, number: u32, offset: u64, out: &mut [u8]) -> Result<usize> {
        let inode = self.file(number)?;
        let length = inode.size().saturating_sub(offset).min(out.len() as u64) as usize;
        let out = out.get_mut(..length).unwrap_or_default();
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let (logical, skip) = ((at / BLOCK as u64) as u32, (at % BLOCK as u64) as usize);
            let (extent, next) = self.extent_at(&inode, logical)?;
            let run = match extent {
                Some(e) => u64::from(e.logical) + u64::from(e.length) - u64::from(logical),
                None => next - u64::from(logical),
            };
            let here = ((run * BLOCK as u64 - skip as u64).min((out.len() - done) as u64)) as usize;
            let into = out.get_mut(done..done + here).unwrap_or_default();
            match extent.filter(|e| !e.unwritten) {
                Some(e) => self.read_run(e.physical + u64::from(logical - e.logical), skip, into)?,
                None => into.fill(0),
            }
            done += here;
        }
        Ok(length)
    }

    /// Bytes from `skip` in block `block` on; whole blocks without a copy.
    fn read_run(&mut self, block: u64, skip: usize, out: &mut [u8]) -> Result<()> {
        let (mut block, mut skip, mut done) = (block, skip, 0);
        while done < out.len() {
            let whole = (out.len() - done) / BLOCK * BLOCK;
            if skip == 0 && whole > 0 {
                self.store.read_data(block, out.get_mut(done..done + whole).unwrap_or_default())?;
                block += (whole / BLOCK) as u64;
                done += whole;
                continue;
            }
            let mut bytes = zeroed();
            self.store.read_data(block, &mut bytes)?;
            let here = (BLOCK - skip).min(out.len() - done);
            crate::bytes::put(out, done, crate::bytes::part(&bytes, skip, here));
            (block, skip, done) = (block + 1, 0, done + here);
        }
        Ok(())
    }

    /// Writes at `offset`, growing the file; returns the bytes written, fewer than asked if an error met the rest.
    pub fn write(&mut self, number: u32, offset: u64, bytes: &[u8]) -> Result<usize> {
        self.file(number)?;
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > SIZE_MAX) {
            return Err(Error::FileTooBig);
        }
        self.finish_cut(number)?;
        let (mut done, mut step) = (0, STEP_BLOCKS as usize);
        while done < bytes.len() {
            let at = offset + done as u64;
            let room = step * BLOCK - (at % BLOCK as u64) as usize;
            let piece = bytes.get(done..bytes.len().min(done + room)).unwrap_or_default();
            match self.operation(|fs| fs.write_step(number, at, piece)) {
                Ok(()) => done += piece.len(),
                // To the last block that there is.
                Err(Error::NoSpace | Error::Quota) if step > 1 && piece.len() > 1 => step = 1,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write_step(&mut self, number: u32, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut inode = self.file(number)?;
        let (old_size, end) = (inode.size(), offset + bytes.len() as u64);
        if offset > old_size {
            self.zero_tail(&inode)?;
        }
        let last = ((end - 1) / BLOCK as u64) as u32;
        let mut logical = (offset / BLOCK as u64) as u32;
        while logical <= last {
            let (extent, next) = self.extent_at(&inode, logical)?;
            let left = last - logical + 1;
            let (physical, count, fresh) = match extent {
                Some(e) => {
                    let skip = logical - e.logical;
                    (e.physical + u64::from(skip), left.min(e.length - skip), e.unwritten)
                }
                None => {
                    let want = u64::from(left).min(next - u64::from(logical)) as u32;
                    let goal = self.goal(&inode, logical)?;
                    let (start, count) = self.allocate_blocks(&mut inode, goal, want)?;
                    (start, count, true)
                }
            };
            self.write_run(old_size, fresh, logical, physical, count, offset, bytes)?;
            match extent {
                Some(e) if e.unwritten => self.mark_written(&mut inode, logical, count, physical)?,
                Some(_) => {}
                None => {
                    let extent = Extent { logical, length: count, physical, unwritten: false };
                    self.insert_extent(&mut inode, extent)?;
                }
            }
            logical = match logical.checked_add(count) {
                Some(next) => next,
                None => break,
            };
        }
        inode.set_size(old_size.max(end));
        let now = self.now;
        inode.modified(now);
        inode.changed(now);
        self.put_inode(&mut inode)
    }

    /// Writes the part of `bytes` (which begin at `offset`) that lies in `count` blocks from `logical` on. What the ends of the first
    /// and last block hold besides is kept, or zero where the file has nothing.
    #[expect(clippy::too_many_arguments, reason = "they are the places of one copy, named once")]
    fn write_run(
        &mut self,
        old_size: u64,
        fresh: bool,
        logical: u32,
        physical: u64,
        count: u32,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let start = u64::from(logical) * BLOCK as u64;
        let from = offset.max(start);
        let to = (offset + bytes.len() as u64).min(start + u64::from(count) * BLOCK as u64);
        let source = crate::bytes::part(bytes, (from - offset) as usize, (to - from) as usize);
        if from == start && (to - from).is_multiple_of(BLOCK as u64) {
            return self.store.write_data(physical, source);
        }
        let mut whole = vec![0; count as usize * BLOCK];
        if !fresh {
            for end in [0, whole.len() - BLOCK] {
                let place = whole.get_mut(end..end + BLOCK).unwrap_or_default();
                self.store.read_data(physical + (end / BLOCK) as u64, place)?;
            }
            // Behind its end a file has nothing, whatever the block holds.
            let known = old_size.saturating_sub(start).min(whole.len() as u64) as usize;
            whole.get_mut(known..).unwrap_or_default().fill(0);
        }
        crate::bytes::put(&mut whole, (from - start) as usize, source);
        self.store.write_data(physical, &whole)
    }

    /// Where the next block of a file should be: behind the one before it, else in the inode's own group.
    fn goal(&mut self, inode: &Inode, logical: u32) -> Result<u64> {
        if let Some(before) = logical.checked_sub(1)
            && let Some(e) = self.extent_at(inode, before)?.0
        {
            return Ok(e.physical + u64::from(e.length));
        }
        Ok(self.layout.group_start((inode.number - 1) / self.layout.inodes_per_group))
    }

    /// Clears what the last block holds behind the end, before the file grows over it.
    fn zero_tail(&mut self, inode: &Inode) -> Result<()> {
        let tail = (inode.size() % BLOCK as u64) as usize;
        let logical = (inode.size() / BLOCK as u64) as u32;
        if tail == 0 {
            return Ok(());
        }
        let Some(e) = self.extent_at(inode, logical)?.0.filter(|e| !e.unwritten) else { return Ok(()) };
        let (block, mut bytes) = (e.physical + u64::from(logical - e.logical), zeroed());
        self.store.read_data(block, &mut bytes)?;
        let rest = bytes.get_mut(tail..).unwrap_or_default();
        if rest.iter().any(|byte| *byte != 0) {
            rest.fill(0);
            self.store.write_data(block, &bytes)?;
        }
        Ok(())
    }

    /// Sets the size; what is behind it is gone, what it gains is a hole.
    pub fn truncate(&mut self, number: u32, size: u64) -> Result<()> {
        if size > SIZE_MAX {
            return Err(Error::FileTooBig);
        }
        self.finish_cut(number)?;
        let shrinks = self.operation(|fs| {
            let mut inode = fs.file(number)?;
            let old = inode.size();
            if size > old {
                fs.zero_tail(&inode)?;
            }
            // A file without names is on the list already.
            if size < old && inode.links() > 0 {
                fs.add_orphan(&mut inode)?;
            }
            inode.set_size(size);
            let now = fs.now;
            inode.modified(now);
            inode.changed(now);
            fs.put_inode(&mut inode)?;
            Ok(size < old)
        })?;
        if shrinks {
            // The file has its size; if freeing the rest fails now, it is done before the file grows, or at the next mount.
            let _ = self.finish_truncate(number);
        }
        Ok(())
    }

    /// Frees what an earlier cut has left, before the file may grow over it.
    fn finish_cut(&mut self, number: u32) -> Result<()> {
        if self.first_orphan()? != 0 && self.on_orphan_list(number)? { self.finish_truncate(number) } else { Ok(()) }
    }

    /// Frees what is behind the end of an inode of the orphan list, and takes it off the list if it has a name.
    pub(crate) fn finish_truncate(&mut self, number: u32) -> Result<()> {
        loop {
            let done = self.operation(|fs| {
                let mut inode = fs.inode(number)?;
                let from = inode.size().div_ceil(BLOCK as u64);
                let done = fs.remove_extents(&mut inode, from, 1 << 32, STEP_EXTENTS)?;
                if done && inode.links() > 0 {
                    fs.remove_orphan(&mut inode)?;
                }
                fs.put_inode(&mut inode)?;
                Ok(done)
            })?;
            if done {
                return Ok(());
            }
        }
    }

    /// Makes sure that a later write of these bytes finds space; they read as zeros. `keep_size`: the file does not grow.
    pub fn allocate(&mut self, number: u32, offset: u64, length: u64, keep_size: bool) -> Result<()> {
        let end = offset.checked_add(length).filter(|end| *end <= SIZE_MAX && length > 0).ok_or(Error::FileTooBig)?;
        self.file(number)?;
        self.finish_cut(number)?;
        let (mut logical, last) = (offset / BLOCK as u64, (end - 1) / BLOCK as u64);
        while logical <= last {
            logical = self.operation(|fs| {
                let mut inode = fs.file(number)?;
                let (extent, next) = fs.extent_at(&inode, logical as u32)?;
                if let Some(e) = extent {
                    return Ok(u64::from(e.logical) + u64::from(e.length));
                }
                let want = (next.min(last + 1) - logical).min(4096) as u32;
                let goal = fs.goal(&inode, logical as u32)?;
                let (physical, count) = fs.allocate_blocks(&mut inode, goal, want)?;
                let extent = Extent { logical: logical as u32, length: count, physical, unwritten: true };
                fs.insert_extent(&mut inode, extent)?;
                fs.put_inode(&mut inode)?;
                Ok(logical + u64::from(count))
            })?;
        }
        self.operation(|fs| {
            let mut inode = fs.file(number)?;
            if !keep_size && end > inode.size() {
                fs.zero_tail(&inode)?;
                inode.set_size(end);
            }
            let now = fs.now;
            inode.changed(now);
            fs.put_inode(&mut inode)
        })
    }

    /// Cuts a hole: the bytes read as zeros, and whole blocks of them are free. The size stays.
    pub fn punch(&mut self, number: u32, offset: u64, length: u64) -> Result<()> {
        let inode = self.file(number)?;
        self.finish_cut(number)?;
        let size = inode.size();
        let end = offset.checked_add(length).filter(|_| length > 0).ok_or(Error::Invalid)?.min(size);
        if offset >= end {
            return Ok(());
        }
        let block = BLOCK as u64;
        // Behind its end the last block has nothing that must stay.
        let (first, last) = (offset.div_ceil(block), if end == size { end.div_ceil(block) } else { end / block });
        if offset < first * block {
            self.zero_part(&inode, offset, end.min(first * block))?;
        }
        if end > last * block && last >= first {
            self.zero_part(&inode, last * block, end)?;
        }
        loop {
            let done = self.operation(|fs| {
                let mut inode = fs.file(number)?;
                let done = first >= last || fs.remove_extents(&mut inode, first, last, STEP_EXTENTS)?;
                let now = fs.now;
                inode.modified(now);
                inode.changed(now);
                fs.put_inode(&mut inode)?;
                Ok(done)
            })?;
            if done {
                return Ok(());
            }
        }
    }
    /// Clears bytes of one block.
    fn zero_part(&mut self, inode: &Inode, from: u64, to: u64) -> Result<()> {
        let (logical, at) = ((from / BLOCK as u64) as u32, (from % BLOCK as u64) as usize);
        let Some(e) = self.extent_at(inode, logical)?.0.filter(|e| !e.unwritten) else { return Ok(()) };
        let (block, mut bytes) = (e.physical + u64::from(logical - e.logical), zeroed());
        self.store.read_data(block, &mut bytes)?;
        bytes.get_mut(at..at + (to - from) as usize).unwrap_or_default().fill(0);
        self.store.write_data(block, &bytes)
    }

    /// A regular file.
    fn file(&mut self, number: u32) -> Result<Inode> {
        let inode = self.inode(number)?;
        match inode.kind()? {
            Kind::File => Ok(inode),
            Kind::Directory => Err(Error::IsADirectory),
            _ => Err(Error::Invalid),
        }
    }
}
