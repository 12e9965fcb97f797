// SPDX-License-Identifier: PMPL-1.0-or-later
//! Byte-wise reads over blocks. Blocks that are read in part (metadata, ends of files) are kept for a while.

use super::Error;
use crate::ondisk::BLOCK;
use alloc::{boxed::Box, vec::Vec};
use blocks::{BlockRead, ReadError};

/// 16 blocks: a path's inodes and directories.
const KEPT: usize = 16;

#[derive(Debug)]
pub struct Cache<B> {
    device: B,
    kept: Vec<Kept>,
    clock: u64,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    last_used: u64,
    bytes: Box<[u8; BLOCK]>,
}

impl<B: BlockRead> Cache<B> {
    pub fn new(device: B) -> Self {
        Self { device, kept: Vec::new(), clock: 0 }
    }

    pub fn into_inner(self) -> B {
        self.device
    }

    pub fn device_blocks(&self) -> u64 {
        self.device.block_count()
    }

    /// Fills `out` from byte `at` of the device. Whole blocks go straight to `out`.
    pub fn read(&mut self, mut at: u64, mut out: &mut [u8]) -> Result<(), Error> {
        while !out.is_empty() {
            let (number, within) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let whole = out.len() / BLOCK * BLOCK;
            let taken = if within == 0 && whole > 0 { whole } else { (BLOCK - within).min(out.len()) };
            let (front, rest) = out.split_at_mut(taken);
            if within == 0 && whole > 0 {
                self.device.read_blocks(number, front)?;
            } else {
                let block = self.block(number)?;
                // `taken` was made to end within the block.
                front.copy_from_slice(block.get(within..within + taken).unwrap_or_default());
            }
            out = rest;
            at = at.checked_add(taken as u64).ok_or(Error::Limit)?;
        }
        Ok(())
    }

    /// An array of bytes at `at`.
    pub fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    fn block(&mut self, number: u64) -> Result<&[u8; BLOCK], Error> {
        self.clock += 1;
        let clock = self.clock;
        let position = match self.kept.iter().position(|kept| kept.number == number) {
            Some(position) => position,
            None => self.fetch(number)?,
        };
        let kept = self.kept.get_mut(position).ok_or(ReadError::OutOfRange { first: number, count: 1, available: 0 })?;
        kept.last_used = clock;
        Ok(&kept.bytes)
    }

    fn fetch(&mut self, number: u64) -> Result<usize, Error> {
        let mut bytes = Box::new([0; BLOCK]);
        self.device.read_blocks(number, &mut bytes[..])?;
        let new = Kept { number, last_used: 0, bytes };
        if self.kept.len() < KEPT {
            self.kept.push(new);
            return Ok(self.kept.len() - 1);
        }
        let oldest = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.last_used).map_or(0, |(index, _)| index);
        if let Some(place) = self.kept.get_mut(oldest) {
            *place = new;
        }
        Ok(oldest)
    }
}

/// Little-endian numbers out of bytes that are long enough; 0 where they are not.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|part| part.try_into().ok()).map_or(0, u16::from_le_bytes)
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}
