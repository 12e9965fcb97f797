// SPDX-License-Identifier: PMPL-1.0-or-later
//! Bytes of a tmpfs file: pages where something was written, holes elsewhere.

use super::node::Node;
use crate::errno::{EFBIG, EINVAL, ENOSPC, ENXIO, EOPNOTSUPP, EPERM, Result};
use crate::vfs::{Caller, File, Inode, PAGE_BYTES, Page, Sink, Source, Stat};
use alloc::collections::BTreeMap;
use core::sync::atomic::Ordering;
use linux_raw_sys::general as raw;

const PAGE: usize = PAGE_BYTES as usize;
/// Longest file (MAX_LFS_FILESIZE of Linux).
const MAX_FILE_BYTES: u64 = i64::MAX as u64;

#[derive(Default)]
pub struct Data {
    pub pages: BTreeMap<u64, Page>,
    pub size_bytes: u64,
    /// None: it can have no seals.
    pub seals: Option<u32>,
}

impl Data {
    fn is_sealed(&self, seals: u32) -> bool {
        self.seals.unwrap_or(0) & seals != 0
    }
}

/// The page and the range in it that come next.
fn step(offset_bytes: u64, left: usize) -> (u64, usize, usize) {
    let within = (offset_bytes % PAGE_BYTES) as usize;
    (offset_bytes / PAGE_BYTES, within, left.min(PAGE - within))
}

impl Node {
    /// The page of that number, made where there is none. Errors: `ENOSPC`.
    fn page_of(&self, data: &mut Data, index: u64) -> Result<Page> {
        if let Some(page) = data.pages.get(&index) {
            return Ok(page.clone());
        }
        if self.shared.used_pages.load(Ordering::Relaxed) >= self.shared.limit_pages {
            return Err(ENOSPC);
        }
        let page = Page::allocate(&self.shared.means.pages).map_err(|_| ENOSPC)?;
        self.shared.used_pages.fetch_add(1, Ordering::Relaxed);
        data.pages.insert(index, page.clone());
        Ok(page)
    }
    fn drop_pages(&self, data: &mut Data, first: u64, end: u64) {
        let gone: alloc::vec::Vec<u64> = data.pages.range(first..end.max(first)).map(|(index, _)| *index).collect();
        self.shared.used_pages.fetch_sub(gone.len() as u64, Ordering::Relaxed);
        gone.iter().for_each(|index| drop(data.pages.remove(index)));
    }
    fn clear(data: &Data, offset_bytes: u64, length: usize) {
        let (index, within, part) = step(offset_bytes, length);
        if let Some(page) = data.pages.get(&index) {
            page.write(within, &[0; PAGE][..part]);
        }
    }
    pub(super) fn resize(&self, size_bytes: u64) -> Result<()> {
        let mut data = self.data()?.lock();
        if size_bytes > MAX_FILE_BYTES {
            return Err(EFBIG);
        }
        let is_refused = size_bytes < data.size_bytes && data.is_sealed(raw::F_SEAL_SHRINK)
            || size_bytes > data.size_bytes && data.is_sealed(raw::F_SEAL_GROW);
        if is_refused {
            return Err(EPERM);
        }
        if size_bytes < data.size_bytes {
            self.drop_pages(&mut data, size_bytes.div_ceil(PAGE_BYTES), u64::MAX);
            Self::clear(&data, size_bytes, PAGE);
        }
        data.size_bytes = size_bytes;
        drop(data);
        self.touch();
        Ok(())
    }
    pub(super) fn reserve(&self, mode: u32, offset_bytes: u64, length_bytes: u64) -> Result<()> {
        let mut data = self.data()?.lock();
        let end = offset_bytes.checked_add(length_bytes).filter(|end| *end <= MAX_FILE_BYTES).ok_or(EFBIG)?;
        const PUNCH: u32 = raw::FALLOC_FL_PUNCH_HOLE | raw::FALLOC_FL_KEEP_SIZE;
        match mode {
            PUNCH => {
                if data.is_sealed(raw::F_SEAL_WRITE | raw::F_SEAL_FUTURE_WRITE) {
                    return Err(EPERM);
                }
                let (first, last) = (offset_bytes.div_ceil(PAGE_BYTES), end / PAGE_BYTES);
                let head_end = end.min(first * PAGE_BYTES);
                Self::clear(&data, offset_bytes, (head_end - offset_bytes) as usize);
                if last >= first {
                    self.drop_pages(&mut data, first, last);
                    Self::clear(&data, last * PAGE_BYTES, (end - last * PAGE_BYTES) as usize);
                }
            }
            0 | raw::FALLOC_FL_KEEP_SIZE => {
                if end > data.size_bytes && data.is_sealed(raw::F_SEAL_GROW) {
                    return Err(EPERM);
                }
                let wanted = end.div_ceil(PAGE_BYTES) - offset_bytes / PAGE_BYTES;
                if wanted > self.shared.limit_pages.saturating_sub(self.shared.used_pages.load(Ordering::Relaxed)) {
                    return Err(ENOSPC);
                }
                for index in offset_bytes / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
                    self.page_of(&mut data, index)?;
                }
                if mode == 0 {
                    data.size_bytes = data.size_bytes.max(end);
                }
            }
            _ => return Err(EOPNOTSUPP),
        }
        drop(data);
        self.touch();
        Ok(())
    }
}

impl File for Node {
    fn read(&self, _: &Caller<'_>, offset_bytes: u64, into: &mut dyn Sink) -> Result<usize> {
        let data = self.data()?.lock();
        let end = data.size_bytes.min(offset_bytes.saturating_add(into.room() as u64));
        let mut chunk = [0; PAGE];
        let mut at = offset_bytes;
        while at < end {
            let (index, within, part) = step(at, (end - at) as usize);
            match data.pages.get(&index) {
                Some(page) => page.read(within, &mut chunk[..part]),
                None => chunk[..part].fill(0),
            }
            match into.put(&chunk[..part]) {
                Ok(n) => {
                    at += n as u64;
                    if n < part {
                        break;
                    }
                }
                Err(error) if at == offset_bytes => return Err(error),
                Err(_) => break,
            }
        }
        drop(data);
        let mut meta = self.meta.lock();
        // As relatime: only the first read after a change is noted.
        if meta.accessed <= meta.modified || meta.accessed <= meta.changed {
            meta.accessed = self.now();
        }
        Ok(at.saturating_sub(offset_bytes) as usize)
    }
    fn write(&self, _: &Caller<'_>, offset_bytes: u64, from: &mut dyn Source) -> Result<usize> {
        let mut data = self.data()?.lock();
        let wanted = from.left() as u64;
        let end = offset_bytes.checked_add(wanted).filter(|end| *end <= MAX_FILE_BYTES).ok_or(EFBIG)?;
        if data.is_sealed(raw::F_SEAL_WRITE | raw::F_SEAL_FUTURE_WRITE)
            || end > data.size_bytes && data.is_sealed(raw::F_SEAL_GROW)
        {
            return Err(EPERM);
        }
        let mut chunk = [0; PAGE];
        let mut at = offset_bytes;
        while at < end {
            let (index, within, part) = step(at, (end - at) as usize);
            let moved = from.take(&mut chunk[..part]).and_then(|n| {
                if n > 0 {
                    self.page_of(&mut data, index)?.write(within, &chunk[..n]);
                }
                Ok(n)
            });
            match moved {
                Ok(n) => {
                    at += n as u64;
                    if n < part {
                        break;
                    }
                }
                Err(error) if at == offset_bytes => return Err(error),
                Err(_) => break,
            }
        }
        data.size_bytes = data.size_bytes.max(at);
        drop(data);
        self.touch();
        Ok((at - offset_bytes) as usize)
    }
    fn has_position(&self) -> bool {
        true
    }
    fn size_bytes(&self) -> Result<u64> {
        Ok(self.data()?.lock().size_bytes)
    }
    fn seek_data(&self, offset_bytes: u64) -> Result<u64> {
        let data = self.data()?.lock();
        if offset_bytes >= data.size_bytes {
            return Err(ENXIO);
        }
        let found = data.pages.range(offset_bytes / PAGE_BYTES..).next().map(|(index, _)| (index * PAGE_BYTES).max(offset_bytes));
        found.filter(|at| *at < data.size_bytes).ok_or(ENXIO)
    }
    fn seek_hole(&self, offset_bytes: u64) -> Result<u64> {
        let data = self.data()?.lock();
        if offset_bytes >= data.size_bytes {
            return Err(ENXIO);
        }
        let mut index = offset_bytes / PAGE_BYTES;
        while data.pages.contains_key(&index) {
            index += 1;
        }
        Ok((index * PAGE_BYTES).max(offset_bytes).min(data.size_bytes))
    }
    fn page(&self, index: u64, will_write: bool) -> Result<Page> {
        let mut data = self.data().map_err(|_| EINVAL)?.lock();
        if index >= data.size_bytes.div_ceil(PAGE_BYTES) {
            return Err(ENXIO);
        }
        let page = self.page_of(&mut data, index)?;
        drop(data);
        if will_write {
            self.touch();
        }
        Ok(page)
    }
    fn stat(&self) -> Result<Stat> {
        Inode::stat(self)
    }
}
