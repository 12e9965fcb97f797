// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest memory as calls see it: addresses are numbers, looked up in the process's own map, copied once, never followed.
//!
//! `memory/` implements it for a process; tests implement it with a vector. Structures are taken apart and put together by
//! hand from bytes (`u64::from_le_bytes`), so that no guest byte is ever seen as anything but a byte.

use crate::errno::{EFAULT, ENAMETOOLONG, Result};
use alloc::vec;
use alloc::vec::Vec;

/// The memory of one process. Errors of all: `EFAULT` where nothing is mapped or the access is not allowed.
pub trait UserMemory {
    /// Fills `into` from `address` on; nothing is promised of `into` after an error.
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<()>;
    /// As Linux's copy_to_user: pages before the one that fails may have been written.
    fn write(&mut self, address: u64, from: &[u8]) -> Result<()>;
    /// An atomic read-modify-write of an aligned word, as a futex needs it (robust lists, `FUTEX_WAKE_OP`): `change` says the new
    /// value or nothing; returns the old one. Guest threads may write at the same time.
    fn update_u32(&mut self, address: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> Result<u32>;
}

/// What callers want of a memory, in terms of those three.
pub trait UserMemoryExt: UserMemory {
    fn read_u32(&mut self, address: u64) -> Result<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes).map(|()| u32::from_le_bytes(bytes))
    }
    fn read_u64(&mut self, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).map(|()| u64::from_le_bytes(bytes))
    }
    fn write_u32(&mut self, address: u64, value: u32) -> Result<()> {
        self.write(address, &value.to_le_bytes())
    }
    fn write_u64(&mut self, address: u64, value: u64) -> Result<()> {
        self.write(address, &value.to_le_bytes())
    }
    /// `count` bytes; the caller has bounded `count`.
    fn read_bytes(&mut self, address: u64, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.read(address, &mut bytes).map(|()| bytes)
    }
    /// Up to the first zero byte, without it. Errors: `ENAMETOOLONG` when there is none in `limit` bytes, `EFAULT`.
    fn read_string(&mut self, address: u64, limit: usize) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        let mut chunk = [0; 64];
        while found.len() < limit {
            let at = address.checked_add(found.len() as u64).ok_or(EFAULT)?;
            // Never over the end of a page that the string may not reach.
            let to_boundary = chunk.len() - (at % chunk.len() as u64) as usize;
            let part = &mut chunk[..to_boundary.min(limit - found.len())];
            self.read(at, part)?;
            match part.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    found.extend_from_slice(&part[..end]);
                    return Ok(found);
                }
                None => found.extend_from_slice(part),
            }
        }
        Err(ENAMETOOLONG)
    }
}

impl<M: UserMemory + ?Sized> UserMemoryExt for M {}

/// Guest memory for tests.
#[cfg(test)]
pub mod testing {
    use super::*;

    /// One range of bytes; nothing else is mapped.
    #[derive(Debug)]
    pub struct Flat {
        base: u64,
        bytes: Vec<u8>,
    }

    impl Flat {
        pub fn new(base: u64, length: usize) -> Flat {
            Flat { base, bytes: vec![0; length] }
        }
        fn part(&mut self, address: u64, length: usize) -> Result<&mut [u8]> {
            let at = address.checked_sub(self.base).and_then(|at| usize::try_from(at).ok()).ok_or(EFAULT)?;
            self.bytes.get_mut(at..).and_then(|rest| rest.get_mut(..length)).ok_or(EFAULT)
        }
    }

    impl UserMemory for Flat {
        fn read(&mut self, address: u64, into: &mut [u8]) -> Result<()> {
            self.part(address, into.len()).map(|part| into.copy_from_slice(part))
        }
        fn write(&mut self, address: u64, from: &[u8]) -> Result<()> {
            self.part(address, from.len()).map(|part| part.copy_from_slice(from))
        }
        fn update_u32(&mut self, address: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> Result<u32> {
            let old = self.read_u32(address)?;
            change(old).map_or(Ok(()), |new| self.write_u32(address, new))?;
            Ok(old)
        }
    }
}
