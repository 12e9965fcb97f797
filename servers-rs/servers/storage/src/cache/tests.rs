// SPDX-License-Identifier: PMPL-1.0-or-later
//! The cache over memory that a test can count.

use super::*;

/// Room for as many bytes.
pub struct Counted {
    pub left: usize,
    made: u32,
}
impl Counted {
    pub fn new(bytes: usize) -> Counted {
        Counted { left: bytes, made: 0 }
    }
}
pub struct Bytes(Vec<u8>, Handle);
impl Piece for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
    fn shared(&self) -> Handle {
        self.1
    }
}
impl Store for Counted {
    type Piece = Bytes;
    fn make(&mut self, length_bytes: usize) -> Option<Bytes> {
        let length = length_bytes.next_multiple_of(PAGE_BYTES as usize);
        self.left = self.left.checked_sub(length)?;
        self.made += 1;
        Some(Bytes(alloc::vec![0; length], Handle::new(self.made, 1)))
    }
    fn discard(&mut self, piece: Bytes) {
        self.left += piece.0.len();
    }
}

const SIZE: u64 = 5 * CHUNK_BYTES + 100;
const FILE: File = (Source::Root, 7);

fn byte(at: u64) -> u8 {
    (at / 1000) as u8
}
fn fill(from: u64, into: &mut [u8]) -> Result<(), ()> {
    (from..).zip(into).for_each(|(at, place)| *place = byte(at));
    Ok(())
}
/// Reads one byte; says whether the file had to be asked.
fn look(cache: &mut Cache<Counted>, file: File, size: u64, at: u64) -> (Option<u8>, bool) {
    let (mut found, mut asked) = (None, false);
    let ask = |from, into: &mut [u8]| {
        asked = true;
        fill(from, into)
    };
    let out = |_, bytes: &[u8]| {
        found = bytes.first().copied();
        Ok(())
    };
    cache.read((file, size), at, 1, ask, out).unwrap();
    (found, asked)
}

#[test]
fn a_chunk_is_filled_once_and_is_the_same_memory_for_all() {
    let mut cache = Cache::new(Counted::new(1 << 20));
    assert_eq!(look(&mut cache, FILE, SIZE, 70_000), (Some(byte(70_000)), true));
    assert_eq!(look(&mut cache, FILE, SIZE, 131_000), (Some(byte(131_000)), false));
    let one = cache.share((FILE, SIZE), 17, fill).unwrap().unwrap();
    let two = cache.share((FILE, SIZE), 31, fill).unwrap().unwrap();
    assert_eq!((one, one.first_page, one.pages), (two, 16, 16));
    let last = cache.share((FILE, SIZE), SIZE / PAGE_BYTES, fill).unwrap().unwrap();
    assert_eq!((last.first_page, last.pages), (80, 1));
    assert_eq!(cache.share((FILE, SIZE), SIZE / PAGE_BYTES + 1, fill), Ok(None));
    assert_eq!(cache.share((FILE, SIZE), u64::MAX, fill), Ok(None));
}

#[test]
fn when_memory_is_short_what_was_not_asked_for_longest_goes() {
    let mut cache = Cache::new(Counted::new(2 * CHUNK_BYTES as usize));
    for (at, asked) in [(0, true), (CHUNK_BYTES, true), (0, false), (2 * CHUNK_BYTES, true), (0, false), (CHUNK_BYTES, true)] {
        assert_eq!(look(&mut cache, FILE, SIZE, at), (Some(byte(at)), asked), "{at}");
    }
    assert_eq!(cache.store.left, 0);
}

#[test]
fn without_memory_nothing_is_cached_and_nothing_fails() {
    let mut cache = Cache::new(Counted::new(0));
    assert_eq!(look(&mut cache, FILE, SIZE, 1234), (Some(1), true));
    assert_eq!(look(&mut cache, FILE, SIZE, 1234), (Some(1), true));
    assert_eq!(cache.share((FILE, SIZE), 0, fill), Ok(None));
}

#[test]
fn a_read_over_many_chunks_gives_each_byte_once_and_ends_with_the_file() {
    let mut cache = Cache::new(Counted::new(2 * CHUNK_BYTES as usize));
    let (from, mut found) = (CHUNK_BYTES - 10, alloc::vec![]);
    let out = |at, bytes: &[u8]| {
        assert_eq!(at, found.len());
        found.extend_from_slice(bytes);
        Ok(())
    };
    assert_eq!(cache.read((FILE, SIZE), from, usize::MAX, fill, out), Ok((SIZE - from) as usize));
    assert!((from..).zip(&found).all(|(at, b)| *b == byte(at)));
    assert_eq!(cache.read((FILE, SIZE), SIZE, 5, fill, |_, _| Err(())), Ok(0));
}

#[test]
fn what_could_not_be_filled_leaves_nothing_behind() {
    let mut cache = Cache::new(Counted::new(1 << 20));
    let before = cache.store.left;
    assert_eq!(cache.share((FILE, SIZE), 0, |_, _| Err(5)), Err(5));
    assert_eq!((cache.store.left, cache.chunks.len()), (before, 0));
}

#[test]
fn what_is_written_cut_and_grown_is_seen_through_the_same_memory() {
    let file: File = (Source::Data(3), 12);
    let mut cache = Cache::new(Counted::new(1 << 20));
    let size = CHUNK_BYTES + 8192;
    let shared = [0, 16].map(|page| cache.share((file, size), page, fill).unwrap().unwrap());
    cache.write(file, CHUNK_BYTES - 2, &[0xaa, 0xbb, 0xcc, 0xdd]);
    let read = |cache: &mut Cache<Counted>, at| look(cache, file, size, at);
    assert_eq!(read(&mut cache, CHUNK_BYTES - 1), (Some(0xbb), false));
    assert_eq!(read(&mut cache, CHUNK_BYTES + 1), (Some(0xdd), false));
    assert_eq!(read(&mut cache, CHUNK_BYTES + 2), (Some(byte(CHUNK_BYTES + 2)), false));
    cache.clear(file, CHUNK_BYTES - 1, u64::MAX);
    assert_eq!([CHUNK_BYTES - 2, CHUNK_BYTES - 1, size - 1].map(|at| read(&mut cache, at).0), [Some(0xaa), Some(0), Some(0)]);
    assert_eq!(cache.share((file, size), 0, fill), Ok(Some(shared[0])));
    // Another page of the last chunk is another memory object.
    let grown = cache.share((file, size + 1), 18, fill).unwrap().unwrap();
    assert_eq!((grown.memory == shared[1].memory, grown.pages), (false, 3));
    // The next inode of this number is another file.
    assert_eq!(look(&mut cache, (Source::Data(4), 12), size, 0), (Some(0), true));
}
