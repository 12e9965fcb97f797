// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `slot`: the boot attributes of the slot that runs.
//!
//! Order of the writes of `confirm`: a damaged copy of the table is mended first, then the primary (entries, header),
//! then the backup; each is flushed before the next is sent. At every instant one copy is whole and says all of the old or
//! all of the new (`gpt::disk` has the argument); backup first would do as well, but then a cut between the two
//! would leave a primary that is whole, counts, and says the old: the confirmation would be lost, and a try with it.

use crate::disk::Medium;
use api_slot::{Error, Serve, State};
use gpt::{Change, Entry, Guid, SlotAttributes};
use ipc::Badge;

pub struct Slots<M> {
    disk: Option<M>,
    slot: Option<(Guid, u8)>,
}

impl<M: Medium> Slots<M> {
    /// `slot`: GUID and name of the partition that runs.
    pub fn new(disk: Option<M>, slot: Option<(Guid, u8)>) -> Self {
        Slots { disk, slot }
    }

    /// The table as it is on the disk now, and the running slot's entry in it.
    fn look(&mut self) -> Result<(gpt::Disk, Entry, u8), Error> {
        let (Some(disk), Some((guid, name))) = (self.disk.as_mut(), self.slot) else { return Err(Error::NoSlot) };
        let read = gpt::Disk::read(disk);
        let entry = {
            let (table, _) = read.table().map_err(|error| report(&error, Error::Damaged))?;
            table.by_guid(guid).cloned().ok_or(Error::NoSlot)?
        };
        Ok((read, entry, name))
    }
}

impl<M: Medium> Serve for Slots<M> {
    fn state(&mut self, _: Badge) -> Result<State, Error> {
        let (_, entry, name) = self.look()?;
        Ok(state(&entry, name))
    }

    fn confirm(&mut self, client: Badge) -> Result<State, Error> {
        let (read, entry, _) = self.look()?;
        self.set(&read, &entry, entry.slot_attributes().confirmed())?;
        self.state(client)
    }

    fn give_up(&mut self, client: Badge) -> Result<State, Error> {
        let (read, entry, _) = self.look()?;
        let (table, _) = read.table().map_err(|error| report(&error, Error::Damaged))?;
        if !table.slots().iter().any(|other| other.index != entry.index && other.slot_attributes().is_bootable()) {
            return Err(Error::OnlyOne);
        }
        self.set(&read, &entry, entry.slot_attributes().given_up())?;
        self.state(client)
    }
}

impl<M: Medium> Slots<M> {
    fn set(&mut self, read: &gpt::Disk, entry: &Entry, attributes: SlotAttributes) -> Result<(), Error> {
        let change = Change { index: entry.index, attributes };
        let writes = read.set_attributes(&[change]).map_err(|error| report(&error, Error::Damaged))?;
        let disk = self.disk.as_mut().ok_or(Error::NoSlot)?;
        for write in &writes {
            disk.write(write.lba, &write.bytes)
                .and_then(|()| disk.flush())
                .map_err(|error| report(&error, Error::DeviceFailed))?;
        }
        Ok(())
    }
}

fn state(entry: &Entry, name: u8) -> State {
    let attributes = entry.slot_attributes();
    State { name, priority: attributes.priority(), tries: attributes.tries(), successful: attributes.successful() }
}

fn report(problem: &dyn core::fmt::Display, answer: Error) -> Error {
    rt::error!("slot attributes: {problem}");
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::find_slot;
    use blocks::{Memory, ReadError, SectorRead};
    use ipc::pair::Pair;
    use rt::manifest::Facts;
    use std::cell::RefCell;
    use std::process::Command;
    use std::rc::Rc;

    const SECTORS: u64 = 1024;

    /// A disk whose power goes at a chosen write; what was not flushed by then is lost too.
    #[derive(Clone)]
    struct Fake(Rc<RefCell<Inner>>);
    struct Inner {
        durable: Vec<u8>,
        written: Vec<(u64, Vec<u8>)>,
        writes_left: usize,
    }
    impl SectorRead for Fake {
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn sector_count(&self) -> u64 {
            SECTORS
        }
        fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
            Memory(&self.0.borrow().durable).read_sectors(lba, out)
        }
    }
    impl Medium for Fake {
        fn write(&mut self, lba: u64, bytes: &[u8]) -> Result<(), ReadError> {
            let mut inner = self.0.borrow_mut();
            inner.writes_left = inner.writes_left.checked_sub(1).ok_or(ReadError::Device { code: 5 })?;
            inner.written.push((lba, bytes.to_vec()));
            Ok(())
        }
        fn flush(&mut self) -> Result<(), ReadError> {
            let mut inner = self.0.borrow_mut();
            for (lba, bytes) in core::mem::take(&mut inner.written) {
                let at = lba as usize * 512;
                inner.durable[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            Ok(())
        }
    }

    /// ROOT-A tried for the last time, ROOT-B older and good; made by sgdisk (package gdisk).
    fn disk(writes_left: usize) -> Fake {
        static MADE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let made = MADE.get_or_init(|| {
            let path = std::env::temp_dir().join(format!("flatracoon-storage-slots-{}", std::process::id()));
            std::fs::File::create(&path).unwrap().set_len(SECTORS * 512).unwrap();
            let slot = "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6";
            let attributes = ["-A1:set:49", "-A1:set:52", "-A2:set:48", "-A2:set:56"];
            let status = Command::new("sgdisk")
                .args([
                    "-a8",
                    "-n1:40:239",
                    &format!("-t1:{slot}"),
                    "-c1:ROOT-A",
                    "-n2:240:439",
                    &format!("-t2:{slot}"),
                    "-c2:ROOT-B",
                ])
                .args(attributes)
                .arg(&path)
                .env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin")
                .output()
                .expect("sgdisk (package gdisk)");
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            bytes
        });
        Fake(Rc::new(RefCell::new(Inner { durable: made.clone(), written: vec![], writes_left })))
    }
    fn slots(disk: &Fake) -> api_slot::Client<Pair<Slots<Fake>>> {
        let facts = Facts { slot: 1, ..Facts::default() };
        let slot = find_slot(disk, &facts).unwrap();
        api_slot::Client(Pair::new(Slots::new(Some(disk.clone()), Some((slot.guid, slot.name))), Badge(1), api_slot::dispatch))
    }
    const OLD: State = State { name: b'A', priority: 2, tries: 1, successful: false };
    const NEW: State = State { tries: 0, successful: true, ..OLD };

    #[test]
    fn a_slot_is_found_by_label_and_by_guid() {
        let disk = disk(0);
        let a = find_slot(&disk, &Facts { slot: 1, ..Facts::default() }).unwrap();
        let b = find_slot(&disk, &Facts { slot: 2, ..Facts::default() }).unwrap();
        assert_eq!((a.first_lba, a.name, b.first_lba, b.name), (40, b'A', 240, b'B'));
        let by_guid = find_slot(&disk, &Facts { slot: 2, partition_guid: b.guid.0, ..Facts::default() }).unwrap();
        assert_eq!(by_guid, b);
        assert_eq!(find_slot(&disk, &Facts { slot: 1, partition_guid: [9; 16], ..Facts::default() }), None);
        assert_eq!(find_slot(&disk, &Facts::default()), None);
    }

    #[test]
    fn confirming_makes_both_copies_say_successful_and_leaves_the_other_slot_alone() {
        let disk = disk(usize::MAX);
        let mut it = slots(&disk);
        assert_eq!(it.state(), Ok(OLD));
        assert_eq!(it.confirm(), Ok(NEW));
        assert_eq!(it.confirm(), Ok(NEW), "a second time changes nothing");
        let read = gpt::Disk::read(&mut disk.clone());
        assert!(!read.needs_repair());
        for table in [read.primary.unwrap(), read.backup.unwrap()] {
            let all: Vec<String> = table.slots().iter().map(|e| e.slot_attributes().to_string()).collect();
            assert_eq!(all, ["priority=2 tries=0 successful=1", "priority=1 tries=0 successful=1"]);
        }
    }

    #[test]
    fn a_slot_that_is_given_up_is_booted_no_more_if_there_is_another() {
        let disk = disk(usize::MAX);
        let mut it = slots(&disk);
        assert_eq!(it.confirm(), Ok(NEW));
        let given_up = State { tries: 0, successful: false, ..NEW };
        assert_eq!(it.give_up(), Ok(given_up));
        assert_eq!(it.give_up(), Ok(given_up), "a second time changes nothing");
        let facts = Facts { slot: 2, ..Facts::default() };
        let b = find_slot(&disk, &facts).unwrap();
        let other = Slots::new(Some(disk.clone()), Some((b.guid, b.name)));
        let mut other = api_slot::Client(Pair::new(other, Badge(1), api_slot::dispatch));
        assert_eq!(other.give_up(), Err(Error::OnlyOne), "the last one stays");
        assert_eq!(api_slot::label::give_up, rt::manifest::startup::kept::GIVE_UP_SLOT, "as root calls it");
    }

    #[test]
    fn a_power_cut_at_any_write_leaves_all_of_the_old_or_all_of_the_new() {
        let mut seen_new = false;
        for writes in 0..8 {
            let disk = disk(writes);
            let confirmed = slots(&disk).confirm();
            disk.0.borrow_mut().written.clear();
            let found = slots(&disk).state().unwrap();
            assert!(found == OLD || found == NEW, "after {writes} writes: {found:?}");
            assert!(found == NEW || !seen_new, "after {writes} writes it went back to the old");
            assert!(confirmed.is_err() || found == NEW);
            seen_new = found == NEW;
        }
        assert!(seen_new);
    }

    #[test]
    fn a_damaged_primary_is_mended_on_the_way_and_two_damaged_ones_are_refused() {
        let disk = disk(usize::MAX);
        disk.0.borrow_mut().durable[512 + 24] ^= 1;
        assert_eq!(slots(&disk).confirm(), Ok(NEW));
        assert!(gpt::Disk::read(&mut disk.clone()).primary.is_ok());
        let mut it = slots(&disk);
        disk.0.borrow_mut().durable[512 + 24] ^= 1;
        let end = SECTORS as usize * 512 - 512;
        disk.0.borrow_mut().durable[end + 24] ^= 1;
        assert_eq!(it.confirm(), Err(Error::Damaged));
    }

    #[test]
    fn without_a_slot_or_with_a_disk_that_fails_nothing_is_claimed() {
        let none: Slots<Fake> = Slots::new(None, None);
        assert_eq!(api_slot::Client(Pair::new(none, Badge(1), api_slot::dispatch)).confirm(), Err(Error::NoSlot));
        assert_eq!(slots(&disk(0)).confirm(), Err(Error::DeviceFailed));
    }
}
