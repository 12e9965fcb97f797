// SPDX-License-Identifier: PMPL-1.0-or-later
//! The disk behind the driver, as sectors. What arrives in the buffer is copied out before anyone looks at it: the
//! driver and its device may change the buffer at any time.

use alloc::rc::Rc;
use api_block::{BLOCK_BYTES, Client, Error};
use blocks::{ReadError, SectorRead, check_range};
use core::cell::RefCell;
use rt::channel::Channel;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Capability, Memory, Rights};

/// Sectors that can also be written.
pub trait Medium: SectorRead {
    /// Writes whole sectors; durable after `flush`.
    fn write(&mut self, lba: u64, bytes: &[u8]) -> Result<(), ReadError>;
    /// Returns when all that was written is on the medium.
    fn flush(&mut self) -> Result<(), ReadError>;
}

/// A disk that several parts of the server use; a clone is the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Rc<RefCell<Link>>);

#[derive(Debug)]
struct Link {
    client: Client<Channel>,
    buffer: Shared,
    block_count: u64,
}

impl Disk {
    /// `None`: the manifest grants no disk, its driver is not there, or has no buffer. Says why.
    pub fn connect() -> Option<Disk> {
        let (endpoint, _) = grant::call(api_block::NAME)?;
        let mut client = Client(Channel(endpoint));
        let info = client.info().inspect_err(|error| rt::warning!("the disk does not answer: {error:?}")).ok()?;
        let memory = client.connect().inspect_err(|error| rt::warning!("the disk has no buffer: {error:?}")).ok()?;
        let access = Rights::READ | Rights::WRITE;
        let buffer = Shared::map(Memory::of(memory.0), info.buffer_bytes, access)
            .inspect_err(|error| rt::error!("the disk's buffer of {} bytes cannot be mapped: {error:?}", info.buffer_bytes))
            .ok()?;
        Some(Disk(Rc::new(RefCell::new(Link { client, buffer, block_count: info.block_count }))))
    }
}

impl SectorRead for Disk {
    fn sector_bytes(&self) -> u32 {
        BLOCK_BYTES as u32
    }
    fn sector_count(&self) -> u64 {
        self.0.borrow().block_count
    }
    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let mut link = self.0.borrow_mut();
        check_range(lba, out.len(), BLOCK_BYTES as usize, link.block_count)?;
        let mut at = lba;
        for piece in out.chunks_mut(link.piece_bytes()) {
            let count = (piece.len() as u64 / BLOCK_BYTES) as u32;
            link.client.read(at, count, 0).map_err(read_error)?;
            link.buffer.read(0, piece).ok_or(ReadError::Device { code: 0 })?;
            at += u64::from(count);
        }
        Ok(())
    }
}

impl Medium for Disk {
    fn write(&mut self, lba: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let mut link = self.0.borrow_mut();
        check_range(lba, bytes.len(), BLOCK_BYTES as usize, link.block_count)?;
        let mut at = lba;
        for piece in bytes.chunks(link.piece_bytes()) {
            let count = (piece.len() as u64 / BLOCK_BYTES) as u32;
            link.buffer.write(0, piece).ok_or(ReadError::Device { code: 0 })?;
            link.client.write(at, count, 0).map_err(read_error)?;
            at += u64::from(count);
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<(), ReadError> {
        self.0.borrow_mut().client.flush().map_err(read_error)
    }
}

impl Link {
    /// Whole blocks that the buffer holds.
    fn piece_bytes(&self) -> usize {
        (self.buffer.length_bytes() / BLOCK_BYTES * BLOCK_BYTES).max(BLOCK_BYTES) as usize
    }
}

fn read_error(error: Error) -> ReadError {
    match error {
        Error::Restarted => ReadError::Restarted,
        other => ReadError::Device { code: u64::from(other as u32) },
    }
}
