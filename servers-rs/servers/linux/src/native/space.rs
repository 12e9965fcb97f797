// SPDX-License-Identifier: PMPL-1.0-or-later
//! A guest's page tables.

use alloc::sync::Arc;
use alloc::vec::Vec;
use linux::errno::{ENOMEM, Result};
use linux::platform::{Access, GuestSpace, PAGE_BYTES, Run};
use rt::grant::Grant;
use rt::guest::{Range, Space};
use sys::{Pool, Rights, start};

#[derive(Debug)]
pub struct NativeSpace {
    pub space: Space,
    grant: Arc<Grant>,
}

impl NativeSpace {
    pub fn new(grant: &Arc<Grant>) -> Option<NativeSpace> {
        Space::new(Pool(start::POOL)).ok().map(|space| NativeSpace { space, grant: grant.clone() })
    }
}

impl Drop for NativeSpace {
    fn drop(&mut self) {
        // It fails only for one that is gone already.
        let _ = self.space.destroy();
    }
}

/// The bits are the same.
fn rights(access: Access) -> Rights {
    let one = |bit: Access, right: Rights| if access.holds(bit) { right } else { Rights::NONE };
    one(Access::READ, Rights::READ) | one(Access::WRITE, Rights::WRITE) | one(Access::EXECUTE, Rights::EXECUTE)
}

impl GuestSpace for NativeSpace {
    fn map(&self, runs: &[Run]) -> Result<()> {
        let range = |run: &Run| {
            let (memory, offset_bytes) = self.grant.place(run.frame.at())?;
            let length_bytes = u64::from(run.pages) * PAGE_BYTES;
            Some(Range { memory, offset_bytes, address: run.address, length_bytes, access: rights(run.access) })
        };
        if let [run] = runs {
            return self.space.map_many(&[range(run).ok_or(ENOMEM)?]).map_err(|_| ENOMEM);
        }
        let ranges = runs.iter().map(range).collect::<Option<Vec<_>>>().ok_or(ENOMEM)?;
        self.space.map_many(&ranges).map_err(|_| ENOMEM)
    }
    fn unmap(&self, address: u64, length_bytes: u64) -> Result<()> {
        self.space.unmap(address, length_bytes).map(drop).map_err(|_| ENOMEM)
    }
    fn protect(&self, address: u64, length_bytes: u64, access: Access) -> Result<()> {
        self.space.protect(address, length_bytes, rights(access)).map_err(|_| ENOMEM)
    }
    fn as_any(&self) -> &dyn core::any::Any {
        self
    }
}
