// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directories: look a name up by halving, list from a cookie on.

use super::{
    Error, FileType, Inode, Reader,
    cache::{u16_at, u64_at},
};
use crate::ondisk::*;
use alloc::{vec, vec::Vec};
use blocks::BlockRead;
use core::cmp::Ordering;

/// A name in a directory. `.` and `..` are listed like others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    pub name: Vec<u8>,
    pub nid: u64,
    pub file_type: FileType,
    /// Where a list goes on behind it.
    pub cookie: u64,
}

impl<B: BlockRead> Reader<B> {
    /// The inode of a name in a directory; `.` and `..` work too. [`Error::NotFound`], [`Error::NotADirectory`].
    pub fn lookup(&mut self, directory: &Inode, name: &[u8]) -> Result<Inode, Error> {
        if !directory.is_directory() {
            return Err(Error::NotADirectory);
        }
        let (mut low, mut high) = (0, directory.size.div_ceil(BLOCK as u64));
        // Names are sorted over all blocks, so the first and last name of a block tell on which side to go on.
        while low < high {
            let middle = low + (high - low) / 2;
            let block = self.directory_block(directory, middle)?;
            match block.find(name)? {
                Ok(nid) => return self.inode(nid),
                Err(Ordering::Less) => high = middle,
                Err(Ordering::Greater) => low = middle + 1,
                Err(Ordering::Equal) => return Err(Error::NotFound),
            }
        }
        Err(Error::NotFound)
    }

    /// Up to `limit` entries from `cookie` (0 = the first), and the cookie to go on from; `None` after the last.
    pub fn list(&mut self, directory: &Inode, cookie: u64, limit: usize) -> Result<(Vec<DirEntry>, Option<u64>), Error> {
        if !directory.is_directory() {
            return Err(Error::NotADirectory);
        }
        let blocks = directory.size.div_ceil(BLOCK as u64);
        // A block holds fewer than 2^12 entries.
        let (mut number, mut index) = (cookie >> 12, (cookie & 0xfff) as usize);
        let mut entries = Vec::new();
        while number < blocks {
            let block = self.directory_block(directory, number)?;
            while index < block.count {
                if entries.len() == limit {
                    return Ok((entries, Some(number << 12 | index as u64)));
                }
                entries.push(block.entry(index, number << 12 | (index as u64 + 1))?);
                index += 1;
            }
            (number, index) = (number + 1, 0);
        }
        Ok((entries, None))
    }

    fn directory_block(&mut self, directory: &Inode, number: u64) -> Result<Block, Error> {
        let start = number.saturating_mul(BLOCK as u64);
        let length = directory.size.saturating_sub(start).min(BLOCK as u64);
        let mut bytes = vec![0u8; length as usize];
        self.read_exact(directory, start, &mut bytes)?;
        Block::parse(bytes, directory.nid)
    }
}

/// One block of a directory.
struct Block {
    bytes: Vec<u8>,
    count: usize,
    nid: u64,
}

impl Block {
    fn parse(bytes: Vec<u8>, nid: u64) -> Result<Self, Error> {
        // The first name lies right behind the last entry.
        let first_name = usize::from(u16_at(&bytes, 8));
        let count = first_name / DIRENT_BYTES;
        if bytes.len() < DIRENT_BYTES || count == 0 || !first_name.is_multiple_of(DIRENT_BYTES) || first_name > bytes.len() {
            return Err(Error::Corrupt { what: "directory", nid });
        }
        Ok(Self { bytes, count, nid })
    }

    fn name(&self, index: usize) -> Result<&[u8], Error> {
        let corrupt = Error::Corrupt { what: "directory", nid: self.nid };
        let offset = |index: usize| usize::from(u16_at(&self.bytes, index * DIRENT_BYTES + 8));
        let last = index + 1 >= self.count;
        let end = if last { self.bytes.len() } else { offset(index + 1) };
        let start = offset(index);
        let name = if start < end { self.bytes.get(start..end) } else { None }.ok_or(corrupt)?;
        // The block's last name may be followed by zeros.
        let name = if last { name.split(|byte| *byte == 0).next().unwrap_or_default() } else { name };
        if name.is_empty() || name.len() > MAX_NAME || name.contains(&b'/') || name.contains(&0) {
            Err(corrupt)
        } else {
            Ok(name)
        }
    }

    fn nid_at(&self, index: usize) -> u64 {
        u64_at(&self.bytes, index * DIRENT_BYTES)
    }

    fn entry(&self, index: usize, cookie: u64) -> Result<DirEntry, Error> {
        let number = self.bytes.get(index * DIRENT_BYTES + 10).copied().unwrap_or_default();
        Ok(DirEntry {
            name: self.name(index)?.to_vec(),
            nid: self.nid_at(index),
            file_type: FileType::from_number(number),
            cookie,
        })
    }

    /// The nid of `name`; or where it would be: in an earlier block, a later one, or in this one but is not.
    fn find(&self, name: &[u8]) -> Result<Result<u64, Ordering>, Error> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match name.cmp(self.name(middle)?) {
                Ordering::Equal => return Ok(Ok(self.nid_at(middle))),
                Ordering::Less => high = middle,
                Ordering::Greater => low = middle + 1,
            }
        }
        Ok(Err(match low {
            0 => Ordering::Less,
            end if end == self.count => Ordering::Greater,
            _ => Ordering::Equal,
        }))
    }
}
