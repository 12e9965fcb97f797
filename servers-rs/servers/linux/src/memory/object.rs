// SPDX-License-Identifier: PMPL-1.0-or-later
//! What several mappings share: the pages of a file, or of shared memory without one. The pages belong to the object and to
//! each mapping that has them.

use super::pages::Pages;
use super::source::PageSource;
use crate::errno::{ENOMEM, Result};
use crate::platform::{Frame, PAGE_BYTES};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec;
use alloc::vec::Vec;
use spin::Mutex;

/// Pages that are read at once.
const READ_AROUND: u64 = 16;

#[derive(Debug)]
pub struct Object {
    source: Option<Arc<dyn PageSource>>,
    /// As /proc/PID/maps has it.
    pub name: Vec<u8>,
    /// Of one without a source.
    length_bytes: u64,
    filled: Mutex<BTreeMap<u64, Frame>>,
    pages: Arc<Mutex<Pages>>,
}

impl Object {
    /// Shared memory of its own: zeros at first.
    pub fn anonymous(pages: &Arc<Mutex<Pages>>, length_bytes: u64) -> Arc<Object> {
        let name = b"/dev/zero (deleted)".to_vec();
        Arc::new(Object { source: None, name, length_bytes, filled: Mutex::default(), pages: pages.clone() })
    }

    pub fn source(&self) -> Option<&Arc<dyn PageSource>> {
        self.source.as_ref()
    }

    /// Page `index`, with one user more; `None` beyond the end. Errors: `ENOMEM`, those of the source.
    pub fn page(&self, index: u64) -> Result<Option<Frame>> {
        let mut filled = self.filled.lock();
        if let Some(frame) = filled.get(&index).copied() {
            self.pages.lock().share(frame);
            return Ok(Some(frame));
        }
        let length = self.source.as_ref().map_or(self.length_bytes, |source| source.size_bytes()).div_ceil(PAGE_BYTES);
        if index >= length {
            return Ok(None);
        }
        let Some(source) = &self.source else {
            let mut pages = self.pages.lock();
            let (frame, _) = pages.take_zeroed(1)?;
            filled.insert(index, frame);
            pages.share(frame);
            return Ok(Some(frame));
        };
        let first = index / READ_AROUND * READ_AROUND;
        // Those that follow the page and are not there yet; and before it, if all of them are not.
        let first = if filled.range(first..index).next().is_none() { first } else { index };
        let next = filled.range(index..).next().map_or(u64::MAX, |(n, _)| *n);
        let end = (first + READ_AROUND).min(length).min(next).max(index + 1);
        let mut bytes = vec![0; ((end - first) * PAGE_BYTES) as usize];
        let mut done = 0;
        while done < bytes.len() {
            match source.read_at(first * PAGE_BYTES + done as u64, &mut bytes[done..])? {
                0 => break,
                more => done += more,
            }
        }
        let mut pages = self.pages.lock();
        let mut at = first;
        while at < end {
            let (frame, count) = pages.take_zeroed((end - at) as u32)?;
            let from = ((at - first) * PAGE_BYTES) as usize;
            pages.platform().write(frame.at(), &bytes[from..from + count as usize * PAGE_BYTES as usize]);
            filled.extend((0..count).map(|n| (at + u64::from(n), Frame(frame.0 + n))));
            at += u64::from(count);
        }
        let frame = *filled.get(&index).ok_or(ENOMEM)?;
        pages.share(frame);
        Ok(Some(frame))
    }

    /// The same, if it is there already.
    pub fn filled_page(&self, index: u64) -> Option<Frame> {
        let frame = self.filled.lock().get(&index).copied()?;
        self.pages.lock().share(frame);
        Some(frame)
    }

    /// A file's bytes changed by a call: mappings see them.
    pub fn written(&self, offset: u64, bytes: &[u8]) {
        self.pieces(offset, bytes.len(), |platform_at, part| {
            self.pages.lock().platform().write(platform_at, &bytes[part]);
        });
    }

    /// What mappings may have changed, over what a call read from the source.
    pub fn overlay(&self, offset: u64, bytes: &mut [u8]) {
        self.pieces(offset, bytes.len(), |platform_at, part| {
            self.pages.lock().platform().read(platform_at, &mut bytes[part]);
        });
    }

    fn pieces(&self, offset: u64, count: usize, mut work: impl FnMut(u64, core::ops::Range<usize>)) {
        let filled = self.filled.lock();
        let end = offset.saturating_add(count as u64);
        for (index, frame) in filled.range(offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES)) {
            let page = index * PAGE_BYTES;
            let (from, to) = (page.max(offset), (page + PAGE_BYTES).min(end));
            work(frame.at() + (from - page), (from - offset) as usize..(to - offset) as usize);
        }
    }

    /// Writes pages back to the file: all that shared mappings may have changed in a range of bytes.
    pub fn write_back(&self, offset: u64, end: u64) -> Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        let frames: Vec<(u64, Frame)> = {
            let filled = self.filled.lock();
            filled.range(offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES)).map(|(n, frame)| (*n, *frame)).collect()
        };
        let (mut bytes, platform) = (vec![0; PAGE_BYTES as usize], self.pages.lock().platform().clone());
        for (index, frame) in frames {
            let at = index * PAGE_BYTES;
            let length = source.size_bytes().saturating_sub(at).min(PAGE_BYTES) as usize;
            platform.read(frame.at(), &mut bytes[..length]);
            source.write_at(at, &bytes[..length])?;
        }
        Ok(())
    }

    /// Pages behind the new end are no longer the file's.
    pub fn truncated(&self, length_bytes: u64) {
        let mut filled = self.filled.lock();
        let gone = filled.split_off(&length_bytes.div_ceil(PAGE_BYTES));
        let mut pages = self.pages.lock();
        gone.values().for_each(|frame| pages.release(*frame));
        let rest = length_bytes % PAGE_BYTES;
        if let Some(frame) = filled.get(&(length_bytes / PAGE_BYTES)).filter(|_| rest > 0) {
            pages.platform().zero(frame.at() + rest, (PAGE_BYTES - rest) as usize);
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let mut pages = self.pages.lock();
        self.filled.get_mut().values().for_each(|frame| pages.release(*frame));
    }
}

/// The objects of files: one for each inode, as long as a mapping has it, and a while longer for programs that run again.
#[derive(Debug)]
pub struct Objects {
    pages: Arc<Mutex<Pages>>,
    by_file: BTreeMap<(u64, u64), Weak<Object>>,
    /// Kept though nobody may have them mapped; the last is the youngest.
    kept: Vec<Arc<Object>>,
}

/// Objects that are kept without a user.
const MOST_KEPT: usize = 64;

impl Objects {
    pub fn new(pages: Arc<Mutex<Pages>>) -> Objects {
        Objects { pages, by_file: BTreeMap::new(), kept: Vec::new() }
    }

    pub fn of(&mut self, source: Arc<dyn PageSource>, name: &[u8]) -> Arc<Object> {
        let identity = source.identity();
        if let Some(object) = self.by_file.get(&identity).and_then(Weak::upgrade) {
            return object;
        }
        let (pages, name) = (self.pages.clone(), name.to_vec());
        let object = Arc::new(Object { source: Some(source), name, length_bytes: 0, filled: Mutex::default(), pages });
        self.by_file.retain(|_, weak| weak.strong_count() > 0);
        self.by_file.insert(identity, Arc::downgrade(&object));
        if self.kept.len() == MOST_KEPT {
            self.kept.remove(0);
        }
        self.kept.push(object.clone());
        object
    }

    /// The object of a file that is mapped or kept.
    pub fn find(&self, identity: (u64, u64)) -> Option<Arc<Object>> {
        self.by_file.get(&identity)?.upgrade()
    }

    /// Lets go what nobody has mapped: memory is short, or a file system changed below.
    pub fn shrink(&mut self) {
        self.kept.clear();
    }
}
