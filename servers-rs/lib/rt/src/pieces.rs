// SPDX-License-Identifier: PMPL-1.0-or-later
//! Many small memory objects that this program fills and others may map for reading: what a page cache is made of.
//!
//! All lie in one window, each in a room of its own, so that their number is not the number of windows. A piece that is discarded is gone
//! for everyone at once: the kernel takes it out of every address space that maps it.

use crate::memory::Room;
use alloc::vec::Vec;
use sys::{AddressSpace, Capability, Error, Memory, PAGE_BYTES, Pool, Rights, start};

/// What others may do with a piece: map it for reading or executing.
const SHARED: Rights = Rights(Rights::READ.0 | Rights::EXECUTE.0 | Rights::COPY.0);

/// The rooms. They stay this program's for ever.
#[derive(Debug)]
pub struct Pieces {
    pool: Pool,
    room: Room,
    piece_bytes: u64,
    free: Vec<u32>,
}

/// Zeroed memory that only this program writes. Give it back with [`Pieces::discard`]: one that is dropped keeps its room for ever.
#[derive(Debug)]
pub struct Piece {
    memory: Memory,
    shared: Memory,
    number: u32,
    address: u64,
    length_bytes: usize,
}

impl Pieces {
    /// Rooms of `piece_bytes`, a multiple of the page; the pieces are paid by `pool`. Errors: `NoQuota` when all windows are in use.
    pub fn new(pool: Pool, piece_bytes: u64) -> sys::Result<Pieces> {
        if piece_bytes == 0 || !piece_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(Error::BadArgument);
        }
        let room = Room::claim()?;
        let count = u32::try_from(crate::memory::WINDOW_BYTES / piece_bytes).unwrap_or(u32::MAX);
        Ok(Pieces { pool, room, piece_bytes, free: (0..count).rev().collect() })
    }

    /// Errors: `NoQuota` when the pool or the rooms are used up, `BadArgument` for a length beyond a room, and those of `Op::Map`.
    pub fn make(&mut self, length_bytes: usize) -> sys::Result<Piece> {
        let length = (length_bytes as u64).next_multiple_of(PAGE_BYTES);
        if length_bytes == 0 || length > self.piece_bytes {
            return Err(Error::BadArgument);
        }
        let number = self.free.pop().ok_or(Error::NoQuota)?;
        let address = self.room.address() + u64::from(number) * self.piece_bytes;
        let made = self.pool.create_memory(length).and_then(|memory| {
            let mapped = AddressSpace(start::ADDRESS_SPACE).map(memory, 0, address, length, Rights::READ | Rights::WRITE);
            mapped.and_then(|()| memory.copy(SHARED, 0)).map(|shared| (memory, shared)).inspect_err(|_| {
                let _ = crate::memory::discard(memory);
            })
        });
        match made {
            Ok((memory, shared)) => Ok(Piece { memory, shared, number, address, length_bytes: length as usize }),
            Err(error) => {
                self.free.push(number);
                Err(error)
            }
        }
    }

    /// Destroys the memory, wherever it is mapped.
    pub fn discard(&mut self, piece: Piece) {
        // The capability that was shared, and what was copied from it, go with the memory.
        if crate::memory::discard(piece.memory).is_ok() {
            self.free.push(piece.number);
        }
    }
}

impl Piece {
    /// The capability to give away.
    pub fn shared(&self) -> Memory {
        self.shared
    }
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: 1. mapped from `make` until `discard`, which takes the piece. 2. Every capability that was given away lacks the right
        // to write, so nobody else writes. 3. Rust's own borrows keep `as_mut_slice` away.
        unsafe { core::slice::from_raw_parts(self.address as *const u8, self.length_bytes) }
    }
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above; `&mut self` is the only access of this program. Others that read meanwhile see old or new bytes.
        unsafe { core::slice::from_raw_parts_mut(self.address as *mut u8, self.length_bytes) }
    }
}
