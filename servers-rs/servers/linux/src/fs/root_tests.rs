// SPDX-License-Identifier: PMPL-1.0-or-later
//! The read-only root over a small made-up source.

use super::*;
use crate::errno::{ENODATA, ENOENT};
use crate::vfs::{BytesSink, HeapPages};
use crate::world::{World, world};
use core::sync::atomic::{AtomicUsize, Ordering};

const FILE: u64 = 7;
const SIZE: usize = 20 * PAGE_BYTES as usize + 5;

/// `/file` and `/link` to it.
#[derive(Default)]
struct Source {
    reads: AtomicUsize,
    is_damaged: bool,
}
fn byte(at: usize) -> u8 {
    (at / PAGE_BYTES as usize + at % 251) as u8
}

impl RootSource for Source {
    fn root(&self) -> Result<Stat> {
        Ok(Stat { inode: 1, mode: mode(Kind::Directory, 0o755), links: 2, ..Stat::default() })
    }
    fn lookup(&self, _: u64, name: &[u8]) -> Result<Stat> {
        match name {
            b"file" => {
                Ok(Stat { inode: FILE, mode: mode(Kind::File, 0o644), links: 1, size_bytes: SIZE as u64, ..Stat::default() })
            }
            b"link" => Ok(Stat { inode: 8, mode: mode(Kind::Symlink, 0o777), links: 1, ..Stat::default() }),
            _ => Err(ENOENT),
        }
    }
    fn list(&self, _: u64, _: u64, _: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        Ok(())
    }
    fn read_link(&self, _: u64) -> Result<Vec<u8>> {
        Ok(b"file".to_vec())
    }
    fn read(&self, _: u64, offset_bytes: u64, into: &mut [u8]) -> Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let n = if self.is_damaged { 0 } else { into.len().min(SIZE - offset_bytes as usize) };
        into[..n].iter_mut().enumerate().for_each(|(at, one)| *one = byte(offset_bytes as usize + at));
        Ok(n)
    }
    fn attribute(&self, _: u64, _: &[u8]) -> Result<Vec<u8>> {
        Err(ENODATA)
    }
    fn attribute_names(&self, _: u64) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs::default())
    }
}

fn opened(world: &World, source: Arc<Source>, pages: &Arc<HeapPages>) -> (Arc<RootFs>, Arc<dyn File>) {
    let shared: Arc<dyn Pages> = pages.clone();
    let system = RootFs::new(source, "erofs", shared, world.means.devices.clone()).unwrap();
    let file = system.root().lookup(b"file", &world.caller()).unwrap().open(raw::O_RDONLY, &world.caller()).unwrap();
    (system, file)
}

#[test]
fn a_file_is_read_whole_with_few_questions_and_kept_until_memory_is_wanted() {
    let (world, source, pages) = (world(), Arc::new(Source::default()), Arc::new(HeapPages::new(100)));
    let (system, file) = opened(&world, source.clone(), &pages);
    let mut sink = BytesSink::new(SIZE + 10);
    assert_eq!(file.read(&world.caller(), 0, &mut sink), Ok(SIZE));
    assert!(sink.bytes.iter().enumerate().all(|(at, one)| *one == byte(at)));
    assert_eq!(source.reads.load(Ordering::Relaxed), 2);
    let mapped = file.page(20, false).unwrap();
    assert!(file.page(21, false).is_err_and(|error| error == ENXIO));
    assert!(file.page(0, true).is_err());
    assert_eq!((pages.used(), system.reclaim(99), pages.used()), (21, 20, 1));
    let mut last = [9; 8];
    mapped.read(0, &mut last);
    assert_eq!(last[5..], [0; 3]);
}

#[test]
fn a_file_goes_on_being_read_when_there_is_room_for_single_pages_only() {
    let (world, pages) = (world(), Arc::new(HeapPages::new(3)));
    let (system, file) = opened(&world, Arc::default(), &pages);
    for at in [0, 9 * PAGE_BYTES] {
        let mut sink = BytesSink::new(10);
        assert_eq!(file.read(&world.caller(), at, &mut sink), Ok(10));
        assert_eq!(sink.bytes[0], byte(at as usize));
        system.reclaim(99);
    }
}

#[test]
fn damaged_data_are_an_error_and_not_kept() {
    let (world, pages) = (world(), Arc::new(HeapPages::new(100)));
    let (_system, file) = opened(&world, Arc::new(Source { is_damaged: true, ..Source::default() }), &pages);
    assert_eq!(file.read(&world.caller(), 0, &mut BytesSink::new(10)), Err(EIO));
    assert_eq!(pages.used(), 0);
}
