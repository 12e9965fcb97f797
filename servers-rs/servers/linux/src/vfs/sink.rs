// SPDX-License-Identifier: PMPL-1.0-or-later
//! Where bytes of a read go and where bytes of a write come from: guest memory in pieces, or bytes of ours.

use crate::errno::{EFAULT, Result};
use crate::user::UserMemory;
use alloc::vec::Vec;

/// Errors of both: `EFAULT`, and then nothing is said of how much was moved by that call alone.
pub trait Sink {
    fn room(&self) -> usize;
    /// As much of it as there is room for; returns how much.
    fn put(&mut self, bytes: &[u8]) -> Result<usize>;
}

pub trait Source {
    fn left(&self) -> usize;
    /// As much as there is, up to the whole of `into`; returns how much.
    fn take(&mut self, into: &mut [u8]) -> Result<usize>;
}

/// A piece of guest memory: an iovec.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    pub address: u64,
    pub length_bytes: u64,
}

/// Pieces of guest memory, one after the other.
struct Pieces<'a> {
    memory: &'a mut dyn UserMemory,
    segments: &'a [Segment],
    /// In the first of them.
    used_bytes: u64,
    total: usize,
}

impl<'a> Pieces<'a> {
    fn new(memory: &'a mut dyn UserMemory, segments: &'a [Segment]) -> Self {
        let total = segments.iter().map(|one| one.length_bytes).sum::<u64>() as usize;
        Pieces { memory, segments, used_bytes: 0, total }
    }
    /// The next piece, at most `limit` long: address and length. It counts as moved.
    fn next(&mut self, limit: usize) -> Option<(u64, usize)> {
        while let [first, rest @ ..] = self.segments {
            let left = first.length_bytes - self.used_bytes;
            if left == 0 {
                (self.segments, self.used_bytes) = (rest, 0);
                continue;
            }
            let length = left.min(limit as u64);
            let address = first.address.checked_add(self.used_bytes)?;
            self.used_bytes += length;
            self.total -= length as usize;
            return Some((address, length as usize));
        }
        None
    }
    fn move_all(
        &mut self,
        length: usize,
        mut each: impl FnMut(&mut dyn UserMemory, u64, usize, usize) -> Result<()>,
    ) -> Result<usize> {
        let mut done = 0;
        while done < length && self.total > 0 {
            let (address, part) = self.next(length - done).ok_or(EFAULT)?;
            match each(self.memory, address, done, part) {
                Ok(()) => done += part,
                Err(error) if done == 0 => return Err(error),
                // What came before counts; the next one meets the error first.
                Err(_) => {
                    self.used_bytes -= part as u64;
                    self.total += part;
                    break;
                }
            }
        }
        Ok(done)
    }
}

pub struct UserSink<'a>(Pieces<'a>);
pub struct UserSource<'a>(Pieces<'a>);

impl<'a> UserSink<'a> {
    /// The sum of the lengths was checked.
    pub fn new(memory: &'a mut dyn UserMemory, segments: &'a [Segment]) -> Self {
        UserSink(Pieces::new(memory, segments))
    }
}
impl<'a> UserSource<'a> {
    pub fn new(memory: &'a mut dyn UserMemory, segments: &'a [Segment]) -> Self {
        UserSource(Pieces::new(memory, segments))
    }
    /// No more than this from here on.
    pub fn limit(&mut self, bytes: usize) {
        self.0.total = self.0.total.min(bytes);
    }
    /// Leaves out what an earlier try of the same call has moved.
    pub fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            match self.0.next(bytes) {
                Some((_, part)) => bytes -= part,
                None => return,
            }
        }
    }
}

impl Sink for UserSink<'_> {
    fn room(&self) -> usize {
        self.0.total
    }
    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.move_all(bytes.len(), |memory, address, at, length| memory.write(address, &bytes[at..at + length]))
    }
}
impl Source for UserSource<'_> {
    fn left(&self) -> usize {
        self.0.total
    }
    fn take(&mut self, into: &mut [u8]) -> Result<usize> {
        self.0.move_all(into.len(), |memory, address, at, length| memory.read(address, &mut into[at..at + length]))
    }
}

/// Bytes of ours, at most `limit`.
#[derive(Debug)]
pub struct BytesSink {
    pub bytes: Vec<u8>,
    limit: usize,
}

impl BytesSink {
    pub fn new(limit: usize) -> BytesSink {
        BytesSink { bytes: Vec::new(), limit }
    }
}
impl Sink for BytesSink {
    fn room(&self) -> usize {
        self.limit - self.bytes.len()
    }
    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let part = bytes.len().min(self.room());
        self.bytes.extend_from_slice(&bytes[..part]);
        Ok(part)
    }
}

#[derive(Debug)]
pub struct BytesSource<'a>(pub &'a [u8]);
impl Source for BytesSource<'_> {
    fn left(&self) -> usize {
        self.0.len()
    }
    fn take(&mut self, into: &mut [u8]) -> Result<usize> {
        let part = into.len().min(self.0.len());
        let (now, later) = self.0.split_at(part);
        into[..part].copy_from_slice(now);
        self.0 = later;
        Ok(part)
    }
}

/// A slice of ours to be filled.
#[derive(Debug)]
pub struct SliceSink<'a> {
    into: &'a mut [u8],
    used: usize,
}

impl<'a> SliceSink<'a> {
    pub fn new(into: &'a mut [u8]) -> Self {
        SliceSink { into, used: 0 }
    }
}
impl Sink for SliceSink<'_> {
    fn room(&self) -> usize {
        self.into.len() - self.used
    }
    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let part = bytes.len().min(self.room());
        self.into[self.used..self.used + part].copy_from_slice(&bytes[..part]);
        self.used += part;
        Ok(part)
    }
}
