// SPDX-License-Identifier: PMPL-1.0-or-later
//! What several mappings share: a file, whose pages are its own, or shared memory without one. A page has one user more for each mapping
//! that has it.

use super::pages::Pages;
use crate::errno::{ENXIO, Result};
use crate::platform::{Frame, PAGE_BYTES};
use crate::vfs::OpenFile;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use spin::Mutex;

pub enum Object {
    File(Arc<OpenFile>),
    /// Zeros at first.
    Shared(Shared),
}

/// Memory that processes share since one of them was the other's parent, or by a System V number.
#[derive(Debug)]
pub struct Shared {
    length_bytes: u64,
    filled: Mutex<BTreeMap<u64, Frame>>,
    pages: Arc<Mutex<Pages>>,
}

impl Object {
    pub fn shared(pages: &Arc<Mutex<Pages>>, length_bytes: u64) -> Arc<Object> {
        Arc::new(Object::Shared(Shared { length_bytes, filled: Mutex::default(), pages: pages.clone() }))
    }

    /// Page `index`, with one user more. Errors: `ENXIO` beyond the end, `ENOMEM`, those of the file.
    pub fn page(&self, pages: &Mutex<Pages>, index: u64, will_write: bool) -> Result<Frame> {
        match self {
            Object::File(open) => {
                let page = open.file.page(index, will_write)?;
                let frame = Frame(page.number() as u32);
                pages.lock().share(frame);
                Ok(frame)
            }
            Object::Shared(memory) => memory.page(index),
        }
    }
}

impl Shared {
    fn page(&self, index: u64) -> Result<Frame> {
        let (mut filled, mut pages) = (self.filled.lock(), self.pages.lock());
        if index >= self.length_bytes.div_ceil(PAGE_BYTES) {
            return Err(ENXIO);
        }
        let frame = match filled.get(&index) {
            Some(frame) => *frame,
            None => {
                let (frame, _) = pages.take_zeroed(1)?;
                filled.insert(index, frame);
                frame
            }
        };
        pages.share(frame);
        Ok(frame)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut pages = self.pages.lock();
        self.filled.get_mut().values().for_each(|frame| pages.release(*frame));
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::File(open) => write!(f, "File({})", open.id),
            Object::Shared(memory) => write!(f, "Shared({})", memory.length_bytes),
        }
    }
}

/// Pages of files are pages of the cell.
#[derive(Clone, Debug)]
pub struct CellPages(pub Arc<Mutex<Pages>>);

impl crate::vfs::Pages for CellPages {
    fn allocate(&self) -> Result<u64> {
        self.0.lock().take_zeroed(1).map(|(frame, _)| u64::from(frame.0))
    }
    fn retain(&self, page: u64) {
        self.0.lock().share(Frame(page as u32));
    }
    fn release(&self, page: u64) {
        self.0.lock().release(Frame(page as u32));
    }
    fn read(&self, page: u64, offset: usize, into: &mut [u8]) {
        self.0.lock().platform().read(page * PAGE_BYTES + offset as u64, into);
    }
    fn write(&self, page: u64, offset: usize, from: &[u8]) {
        self.0.lock().platform().write(page * PAGE_BYTES + offset as u64, from);
    }
    fn holders(&self, page: u64) -> u32 {
        self.0.lock().count(Frame(page as u32))
    }
}
