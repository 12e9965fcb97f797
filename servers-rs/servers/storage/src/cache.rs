// SPDX-License-Identifier: PMPL-1.0-or-later
//! The page cache: pieces of files in memory objects that clients map for reading without a copy.
//!
//! A file is cut into chunks of [`CHUNK_BYTES`]; a chunk is one memory object, the same for all who map it. It is filled when first
//! wanted (the filler checks what it puts there) and destroyed when memory is short, the one longest not asked for first: the kernel takes
//! it out of every address space, and who touches it again asks again. So clients cannot hold memory of this server, whatever they map.
//! Read `docs/decisions/0012-mapped-pages-may-vanish.adoc` for why.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use rt::pieces::Pieces;
use sys::{Capability, Handle, Pool};

/// 16 pages: what one request to the disk and one fault bring. A multiple of the page and of the block.
pub const CHUNK_BYTES: u64 = 64 * 1024;
const PAGE_BYTES: u64 = api_file::PAGE_BYTES;

/// Where a chunk is from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    Root,
    /// With the generation of the inode, so that a later one of the same number is another.
    Data(u32),
}

/// A file.
pub type File = (Source, u64);

/// Memory of a chunk.
pub trait Piece {
    fn bytes(&self) -> &[u8];
    fn bytes_mut(&mut self) -> &mut [u8];
    /// What a client is given.
    fn shared(&self) -> Handle;
}

/// Where chunks live: in a guest [`Frames`], in tests anything.
pub trait Store {
    type Piece: Piece;
    /// Zeroed memory; `None` when there is no more.
    fn make(&mut self, length_bytes: usize) -> Option<Self::Piece>;
    fn discard(&mut self, piece: Self::Piece);
}

/// Memory objects of this server's pool.
#[derive(Debug)]
pub struct Frames(Option<Pieces>);

impl Frames {
    /// Without a window there is no cache: every read goes to the disk.
    pub fn new(pool: Pool) -> Frames {
        let made = Pieces::new(pool, CHUNK_BYTES);
        Frames(made.inspect_err(|error| rt::warning!("no page cache: {error:?}")).ok())
    }
}

impl Store for Frames {
    type Piece = rt::pieces::Piece;
    fn make(&mut self, length_bytes: usize) -> Option<Self::Piece> {
        self.0.as_mut()?.make(length_bytes).ok()
    }
    fn discard(&mut self, piece: Self::Piece) {
        if let Some(pieces) = &mut self.0 {
            pieces.discard(piece);
        }
    }
}
impl Piece for rt::pieces::Piece {
    fn bytes(&self) -> &[u8] {
        self.as_slice()
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
    fn shared(&self) -> Handle {
        self.shared().handle()
    }
}

#[derive(Debug)]
struct Chunk<P> {
    piece: P,
    last_used: u64,
}

pub struct Cache<S: Store> {
    store: S,
    chunks: BTreeMap<(File, u64), Chunk<S::Piece>>,
    clock: u64,
    scratch: Vec<u8>,
}

/// A chunk as a client gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shared {
    pub memory: Handle,
    pub first_page: u64,
    pub pages: u32,
}

impl<S: Store> Cache<S> {
    pub fn new(store: S) -> Self {
        Cache { store, chunks: BTreeMap::new(), clock: 0, scratch: vec![0; CHUNK_BYTES as usize] }
    }

    /// The chunk that holds byte `offset` of a file of `size_bytes`, filled by `fill` (from which byte of the file, into what) if it is not
    /// there. `Ok(None)`: there is no memory for it, or the offset is behind the end. An error of `fill` leaves nothing behind.
    fn chunk<E>(
        &mut self,
        file: File,
        offset: u64,
        size_bytes: u64,
        fill: impl FnOnce(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<&Chunk<S::Piece>>, E> {
        let number = offset / CHUNK_BYTES;
        let start = number * CHUNK_BYTES;
        if offset >= size_bytes {
            return Ok(None);
        }
        let length = (size_bytes - start).min(CHUNK_BYTES) as usize;
        self.clock += 1;
        // One that was made when the file was shorter does not hold its new pages.
        let short = self.chunks.get(&(file, number)).is_some_and(|c| c.piece.bytes().len() < length);
        if short {
            self.drop_chunk((file, number));
        }
        if !self.chunks.contains_key(&(file, number)) {
            let Some(mut piece) = self.make(length) else { return Ok(None) };
            if let Err(error) = fill(start, piece.bytes_mut().get_mut(..length).unwrap_or_default()) {
                self.store.discard(piece);
                return Err(error);
            }
            self.chunks.insert((file, number), Chunk { piece, last_used: 0 });
        }
        let clock = self.clock;
        Ok(self.chunks.get_mut(&(file, number)).map(|chunk| {
            chunk.last_used = clock;
            &*chunk
        }))
    }

    /// Reads `length` bytes from `offset` on, fewer at the end of the file, and gives them to `out` with their place among them; returns how
    /// many. What is not cached is filled; where there is no memory for that, or a part of a chunk cannot be had, only what was asked for.
    pub fn read<E>(
        &mut self,
        (file, size_bytes): (File, u64),
        offset: u64,
        length: usize,
        mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
        mut out: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let length = size_bytes.saturating_sub(offset).min(length as u64) as usize;
        let mut done = 0;
        while done < length {
            let from = offset + done as u64;
            let within = (from % CHUNK_BYTES) as usize;
            let here = (length - done).min(CHUNK_BYTES as usize - within);
            if let Ok(Some(chunk)) = self.chunk(file, from, size_bytes, &mut fill) {
                out(done, chunk.piece.bytes().get(within..within + here).unwrap_or_default())?;
            } else {
                let room = self.scratch.get_mut(..here).unwrap_or_default();
                fill(from, room)?;
                out(done, room)?;
            }
            done += here;
        }
        Ok(done)
    }

    /// The memory that holds a page. As [`Cache::chunk`].
    pub fn share<E>(
        &mut self,
        (file, size_bytes): (File, u64),
        page: u64,
        fill: impl FnOnce(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<Shared>, E> {
        let Some(offset) = page.checked_mul(PAGE_BYTES) else { return Ok(None) };
        let Some(chunk) = self.chunk(file, offset, size_bytes, fill)? else { return Ok(None) };
        let pages = (chunk.piece.bytes().len() as u64 / PAGE_BYTES) as u32;
        let memory = chunk.piece.shared();
        Ok(Some(Shared { memory, first_page: offset / CHUNK_BYTES * (CHUNK_BYTES / PAGE_BYTES), pages }))
    }

    /// What was written to a file is in the cache too, in the same instant for all who map it.
    pub fn write(&mut self, file: File, offset: u64, bytes: &[u8]) {
        self.change(file, offset, bytes.len() as u64, |place, at| {
            let from = at as usize;
            place.copy_from_slice(bytes.get(from..from + place.len()).unwrap_or_default());
        });
    }
    /// What was cut out of a file, or lies behind its new end, reads as zeros.
    pub fn clear(&mut self, file: File, from: u64, to: u64) {
        self.change(file, from, to.saturating_sub(from), |place, _| place.fill(0));
    }
    /// Each cached part of a range, and where in the range it begins.
    fn change(&mut self, file: File, offset: u64, length: u64, mut how: impl FnMut(&mut [u8], u64)) {
        let end = offset.saturating_add(length);
        if length == 0 {
            return;
        }
        for ((_, number), chunk) in self.chunks.range_mut((file, offset / CHUNK_BYTES)..=(file, (end - 1) / CHUNK_BYTES)) {
            let start = number * CHUNK_BYTES;
            let bytes = chunk.piece.bytes_mut();
            let from = offset.max(start);
            let to = end.min(start + bytes.len() as u64);
            if let Some(place) = bytes.get_mut((from - start) as usize..to.saturating_sub(start) as usize) {
                how(place, from - offset);
            }
        }
    }

    /// After a change that failed half way nobody knows what is in a file there.
    pub fn forget(&mut self, file: File, offset: u64, length: u64) {
        let last = offset.saturating_add(length.max(1) - 1) / CHUNK_BYTES;
        let gone: Vec<(File, u64)> =
            self.chunks.range((file, offset / CHUNK_BYTES)..=(file, last)).map(|(key, _)| *key).collect();
        gone.into_iter().for_each(|key| self.drop_chunk(key));
    }
    /// Gives memory and capabilities of one chunk back; whether there was one.
    pub fn shrink(&mut self) -> bool {
        let oldest = self.chunks.iter().min_by_key(|(_, chunk)| chunk.last_used).map(|(key, _)| *key);
        oldest.is_some_and(|key| {
            self.drop_chunk(key);
            true
        })
    }

    fn make(&mut self, length: usize) -> Option<S::Piece> {
        loop {
            if let Some(piece) = self.store.make(length) {
                return Some(piece);
            }
            if !self.shrink() {
                return None;
            }
        }
    }
    fn drop_chunk(&mut self, key: (File, u64)) {
        if let Some(chunk) = self.chunks.remove(&key) {
            self.store.discard(chunk.piece);
        }
    }
}

#[cfg(test)]
pub mod tests;
