// SPDX-License-Identifier: PMPL-1.0-or-later
//! An address space as programs use it, on a platform without guests.

use super::area::{Area, Backing};
use super::object::{CellPages, Object};
use super::pages::Pages;
use super::space::{Fault, Space};
use crate::errno::{EFAULT, ENXIO, Result};
use crate::hosted::{Hosted, HostedSpace};
use crate::platform::{Access, PAGE_BYTES};
use crate::user::{UserMemory, UserMemoryExt};
use crate::vfs::{self, File, OpenFile, Page};
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

const RW: Access = Access(3);
const AT: u64 = 0x10_0000;

fn space() -> Space {
    Space::new(&Arc::new(Mutex::new(Pages::new(Hosted::with_chunks(4))))).unwrap()
}

fn area(pages: u64, access: Access) -> Area {
    Area::private(AT + pages * PAGE_BYTES, access)
}

/// Pages in use of the cell.
fn used(space: &Space) -> u64 {
    space.pages().lock().usage().0
}

#[test]
fn anonymous_memory_is_zeros_that_can_be_written_and_goes_when_unmapped() {
    let mut it = space();
    it.map(AT..AT + 4 * PAGE_BYTES, area(4, RW)).unwrap();
    assert_eq!((it.read_u64(AT + 8), used(&it)), (Ok(0), 1));
    it.write(AT + PAGE_BYTES - 2, b"over").unwrap();
    assert_eq!(it.read_bytes(AT + PAGE_BYTES - 2, 4).unwrap(), b"over");
    assert_eq!(HostedSpace::at(&it.native, AT).unwrap().1, RW);
    it.unmap(AT..AT + 4 * PAGE_BYTES).unwrap();
    assert_eq!((used(&it), it.read_u64(AT)), (0, Err(EFAULT)));
    assert_eq!(it.fault(AT, Access::READ), Err(Fault::NotMapped));
}

#[test]
fn who_goes_through_memory_gets_more_and_more_pages_at_once() {
    let mut it = space();
    it.map(AT..AT + 64 * PAGE_BYTES, area(64, RW)).unwrap();
    let faults = (0..64)
        .filter(|n| HostedSpace::at(&it.native, AT + n * PAGE_BYTES).is_none() && it.fault(AT + n * PAGE_BYTES, RW).is_ok());
    assert!(faults.count() < 12);
}

#[test]
fn a_child_has_its_own_copy_of_what_either_writes() {
    let mut parent = space();
    parent.map(AT..AT + 4 * PAGE_BYTES, area(4, RW)).unwrap();
    parent.write(AT, b"before").unwrap();
    parent.write(AT + PAGE_BYTES, b"same").unwrap();
    let mut child = parent.fork().unwrap();
    assert_eq!(used(&parent), 2);
    assert_eq!(HostedSpace::at(&parent.native, AT).unwrap().1, Access::READ);
    child.write(AT, b"child!").unwrap();
    assert_eq!((parent.read_bytes(AT, 6).unwrap(), child.read_bytes(AT, 6).unwrap()), (b"before".to_vec(), b"child!".to_vec()));
    assert_eq!(used(&parent), 3);
    // Now it is the parent's alone: no copy.
    parent.write(AT, b"parent").unwrap();
    assert_eq!((used(&parent), HostedSpace::at(&parent.native, AT).unwrap().1), (3, RW));
    drop(parent);
    assert_eq!((child.read_bytes(AT + PAGE_BYTES, 4).unwrap(), used(&child)), (b"same".to_vec(), 2));
}

#[test]
fn protection_counts_for_the_guest_and_for_calls() {
    let mut it = space();
    it.map(AT..AT + 4 * PAGE_BYTES, area(4, RW)).unwrap();
    it.write(AT, b"text").unwrap();
    it.protect(AT..AT + PAGE_BYTES, Access::READ).unwrap();
    assert_eq!((it.write(AT, b"x"), it.fault(AT, Access::WRITE)), (Err(EFAULT), Err(Fault::Forbidden)));
    assert_eq!(it.update_u32(AT, &mut |_| None), Err(EFAULT));
    it.protect(AT..AT + PAGE_BYTES, Access::NONE).unwrap();
    assert_eq!((it.read_bytes(AT, 4), HostedSpace::at(&it.native, AT)), (Err(EFAULT), None));
    it.protect(AT..AT + PAGE_BYTES, RW).unwrap();
    assert_eq!((it.read_bytes(AT, 4).unwrap(), it.write(AT, b"T")), (b"text".to_vec(), Ok(())));
    assert_eq!(it.areas.len(), 1);
}

#[test]
fn a_page_that_may_be_written_and_executed_is_one_at_a_time() {
    let mut it = space();
    it.map(AT..AT + PAGE_BYTES, area(1, Access(7))).unwrap();
    it.fault(AT, Access::WRITE).unwrap();
    assert_eq!(HostedSpace::at(&it.native, AT).unwrap().1, RW);
    it.fault(AT, Access::EXECUTE).unwrap();
    assert_eq!(HostedSpace::at(&it.native, AT).unwrap().1, Access(5));
    it.fault(AT, Access::WRITE).unwrap();
    assert_eq!(HostedSpace::at(&it.native, AT).unwrap().1, RW);
}

#[test]
fn a_stack_grows_down_to_its_limit() {
    let mut it = space();
    let top = AT + 4096 * PAGE_BYTES;
    it.map(top - PAGE_BYTES..top, Area { grows_down: true, ..Area::private(top, RW) }).unwrap();
    it.stack_limit = 64 * PAGE_BYTES;
    assert_eq!(it.fault(top - 60 * PAGE_BYTES, Access::WRITE), Ok(()));
    assert_eq!(it.fault(top - 65 * PAGE_BYTES, Access::WRITE), Err(Fault::NotMapped));
    assert_eq!(it.areas.len(), 1);
}

/// Pages that are there already, as a file of a tmpfs has them.
struct InMemory(Vec<Page>);
impl File for InMemory {
    fn page(&self, index: u64, _: bool) -> Result<Page> {
        self.0.get(index as usize).cloned().ok_or(ENXIO)
    }
}

fn mapped_file(it: &mut Space, shared: bool) -> Vec<Page> {
    let pages: Arc<dyn vfs::Pages> = Arc::new(CellPages(it.pages().clone()));
    let mine: Vec<Page> = (0..4).map(|_| Page::allocate(&pages).unwrap()).collect();
    mine.iter().for_each(|page| page.write(0, &[7; 100]));
    let object = Arc::new(Object::File(OpenFile::unnamed(Arc::new(InMemory(mine.clone())), 0)));
    let backing = Backing::Object { object, offset_bytes: PAGE_BYTES };
    it.map(AT..AT + 8 * PAGE_BYTES, Area { shared, backing, ..area(8, RW) }).unwrap();
    mine
}

#[test]
fn a_private_mapping_of_a_file_keeps_its_changes_to_itself() {
    let mut it = space();
    let file = mapped_file(&mut it, false);
    assert_eq!(it.read_bytes(AT + 2 * PAGE_BYTES + 98, 4).unwrap(), [7, 7, 0, 0]);
    it.write(AT, b"mine").unwrap();
    let mut first = [0];
    file[1].read(0, &mut first);
    assert_eq!((it.read_bytes(AT, 5).unwrap(), first), (b"mine\x07".to_vec(), [7]));
    file[1].write(4, b"new");
    file[2].write(4, b"new");
    assert_eq!(it.read_bytes(AT, 6).unwrap(), b"mine\x07\x07");
    assert_eq!(it.read_bytes(AT + PAGE_BYTES + 3, 4).unwrap(), b"\x07new");
    assert_eq!(it.fault(AT + 3 * PAGE_BYTES, Access::READ), Err(Fault::Beyond));
}

#[test]
fn a_shared_mapping_of_a_file_is_the_file() {
    let mut it = space();
    let file = mapped_file(&mut it, true);
    it.write(AT, b"ours").unwrap();
    let mut other = it.fork().unwrap();
    other.write(AT + 1, b"UR").unwrap();
    assert_eq!(it.read_bytes(AT, 4).unwrap(), b"oURs");
    let mut read = [0; 4];
    file[1].read(0, &mut read);
    assert_eq!(&read, b"oURs");
    it.unmap(AT..AT + 8 * PAGE_BYTES).unwrap();
    drop((it, file));
    let pages = other.pages().clone();
    drop(other);
    assert_eq!(pages.lock().usage().0, 0);
}

#[test]
fn shared_memory_is_the_same_for_a_child() {
    let mut it = space();
    let backing = Backing::Object { object: Object::shared(it.pages(), 2 * PAGE_BYTES), offset_bytes: 0 };
    it.map(AT..AT + 2 * PAGE_BYTES, Area { shared: true, backing, ..area(2, RW) }).unwrap();
    let mut other = it.fork().unwrap();
    other.write(AT, b"both").unwrap();
    assert_eq!(it.read_bytes(AT, 4).unwrap(), b"both");
    assert_eq!(it.key(AT, Access::READ), other.key(AT, Access::READ));
}

#[test]
fn the_heap_grows_and_shrinks() {
    let mut it = space();
    (it.layout.brk_start, it.layout.brk) = (AT, AT);
    assert_eq!(it.set_brk(0, u64::MAX), AT);
    assert_eq!(it.set_brk(AT + 5000, u64::MAX), AT + 5000);
    it.write(AT + 4999, b"x").unwrap();
    assert_eq!(it.set_brk(AT + 10, u64::MAX), AT + 10);
    assert_eq!((it.write(AT + 4999, b"x"), it.set_brk(AT + 5000, 4096)), (Err(EFAULT), AT + 10));
}

#[test]
fn what_is_moved_keeps_its_bytes() {
    let mut it = space();
    it.map(AT..AT + 2 * PAGE_BYTES, area(2, RW)).unwrap();
    it.write(AT + PAGE_BYTES, b"here").unwrap();
    let to = 2 * AT;
    it.relocate(AT..AT + 2 * PAGE_BYTES, to..to + 4 * PAGE_BYTES).unwrap();
    assert_eq!((it.read_bytes(to + PAGE_BYTES, 4).unwrap(), it.read_u64(AT)), (b"here".to_vec(), Err(EFAULT)));
    assert_eq!((it.write(to + 3 * PAGE_BYTES, b"x"), used(&it)), (Ok(()), 2));
}
