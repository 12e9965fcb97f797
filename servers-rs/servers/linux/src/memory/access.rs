// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest memory for calls: through the table, page by page; what is not there is filled as if the guest had touched it.

use super::space::Space;
use super::table::Entry;
use crate::errno::{EFAULT, Result};
use crate::platform::{Access, Frame, PAGE_BYTES};
use crate::user::UserMemory;

impl Space {
    /// Where a byte is in the cell's memory.
    #[inline]
    fn place(&mut self, address: u64, access: Access) -> Result<u64> {
        let wanted = if access.holds(Access::WRITE) { Entry::MAPPED | Entry::WRITABLE } else { Entry::MAPPED };
        let entry = self.table.get(address);
        let frame = match entry.frame() {
            Some(frame) if entry.is(wanted) => frame,
            _ => self.make(address, access)?,
        };
        Ok(frame.at() + address % PAGE_BYTES)
    }

    #[cold]
    fn make(&mut self, address: u64, access: Access) -> Result<Frame> {
        self.fault(address, access).map_err(|_| EFAULT)?;
        self.table.get(address).frame().ok_or(EFAULT)
    }

    fn pieces(
        &mut self,
        address: u64,
        count: usize,
        access: Access,
        mut work: impl FnMut(&Space, u64, core::ops::Range<usize>),
    ) -> Result<()> {
        let mut done = 0;
        while done < count {
            let at = address.checked_add(done as u64).ok_or(EFAULT)?;
            let part = ((PAGE_BYTES - at % PAGE_BYTES) as usize).min(count - done);
            let place = self.place(at, access)?;
            work(self, place, done..done + part);
            done += part;
        }
        Ok(())
    }

    /// Whether a page is in memory.
    pub fn has(&self, address: u64) -> bool {
        self.table.get(address).frame().is_some()
    }

    /// What stands in a word shared with others is known by: the frame, and where in it.
    pub fn key(&mut self, address: u64, access: Access) -> Result<u64> {
        self.place(address, access)
    }
}

impl UserMemory for Space {
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<()> {
        self.pieces(address, into.len(), Access::READ, |space, place, part| space.platform.read(place, &mut into[part]))
    }
    fn write(&mut self, address: u64, from: &[u8]) -> Result<()> {
        self.pieces(address, from.len(), Access::WRITE, |space, place, part| space.platform.write(place, &from[part]))
    }
    fn update_u32(&mut self, address: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> Result<u32> {
        if !address.is_multiple_of(4) {
            return Err(EFAULT);
        }
        let place = self.place(address, Access::WRITE)?;
        Ok(self.platform.update_u32(place, change))
    }
}
