// SPDX-License-Identifier: PMPL-1.0-or-later
//! A disk that fails at any request, that vanishes and comes back, that is full; a subtree that is full. The caller hears of it, what was
//! acknowledged is there, and the cache never holds what the disk does not.

use super::*;

const PIECE: usize = 6000;

fn bytes(number: u8) -> Vec<u8> {
    (0..PIECE).map(|n| number.wrapping_add((n / 100) as u8)).collect()
}
fn write(it: &It, file: &mut It, at: u64, number: u8) -> Result<u32, Error> {
    it.0.buffer.put(5000, &bytes(number)).unwrap();
    file.write(at, PIECE as u32, 5000)
}
fn holds(it: &It, file: &mut It, at: u64, number: u8) -> bool {
    file.read(at, PIECE as u32, 20_000) == Ok(PIECE as u32) && it.0.buffer.0.borrow()[20_000..20_000 + PIECE] == bytes(number)
}

#[test]
fn an_error_at_any_request_is_told_and_takes_nothing_that_was_acknowledged() {
    for failing in 0..60 {
        let (mut it, other) = start();
        create(&mut it, "file", Kind::File).unwrap();
        let mut file = node(&mut it, "file", true);
        write(&it, &mut file, 0, 1).unwrap();
        assert!(holds(&it, &mut file, 0, 1));
        it.0.disk.fail(failing..failing + 1);
        let (mut acknowledged, mut failed) = (vec![], 0);
        for n in 0..6u8 {
            let at = u64::from(n) * 4000;
            match write(&it, &mut file, at, n + 10) {
                Ok(done) if done as usize == PIECE => acknowledged.push((at, n + 10)),
                Ok(_) | Err(Error::DeviceFailed) => failed += 1,
                Err(error) => panic!("request {failing}: {error:?}"),
            }
            if let Some((at, number)) = acknowledged.last().copied().filter(|last| last.0 == at) {
                assert!(holds(&it, &mut file, at, number), "request {failing}, write {n}");
            }
        }
        assert!(failed <= 1, "request {failing}");
        it.0.disk.fail(0..0);
        restart(&it, &other);
        // The last one is whole; of those before it, what no later one wrote over.
        if let Some((at, number)) = acknowledged.last().copied() {
            assert!(holds(&it, &mut file, at, number), "request {failing}, after a restart");
        }
    }
}

#[test]
fn a_disk_that_vanishes_is_an_error_until_it_is_back_and_what_is_cached_is_still_served() {
    let (mut it, _) = start();
    create(&mut it, "file", Kind::File).unwrap();
    let mut file = node(&mut it, "file", true);
    write(&it, &mut file, 0, 1).unwrap();
    assert!(holds(&it, &mut file, 0, 1));
    it.0.disk.fail(0..u64::MAX);
    assert!(holds(&it, &mut file, 0, 1), "the cache has it");
    assert_eq!(write(&it, &mut file, 0, 2), Err(Error::DeviceFailed));
    assert_eq!(create(&mut it, "new", Kind::File), Err(Error::DeviceFailed));
    assert_eq!(file.sync(), Err(Error::DeviceFailed));
    assert_eq!(file.read(0, PIECE as u32, 0), Err(Error::DeviceFailed), "nobody knows what the disk has now");
    it.0.disk.fail(0..0);
    assert_eq!(write(&it, &mut file, 0, 3), Ok(PIECE as u32));
    assert!(holds(&it, &mut file, 0, 3));
    assert_eq!(file.sync(), Ok(()));
}

#[test]
fn a_full_disk_and_a_full_subtree_are_told_and_what_was_written_before_is_read() {
    for (quota, full) in [(0, Error::NoSpace), (40 * 4096, Error::Quota)] {
        let (mut it, _) = start();
        create(&mut it, "d", Kind::Directory).unwrap();
        node(&mut it, "d", true).set_quota(quota, 0).unwrap();
        create(&mut it, "d/file", Kind::File).unwrap();
        let mut file = node(&mut it, "d/file", true);
        let mut end = 0;
        let error = loop {
            match write(&it, &mut file, end, (end / 1000) as u8) {
                Ok(done) if done as usize == PIECE => end += PIECE as u64,
                // A part of it found room; behind that there is none.
                Ok(done) => break write(&it, &mut file, end + u64::from(done), 0).unwrap_err(),
                Err(error) => break error,
            }
        };
        assert_eq!(error, full);
        assert!(end > 20 * 4096);
        (0..end / PIECE as u64).for_each(|n| assert!(holds(&it, &mut file, n * 6000, (n * 6) as u8), "{n}"));
        let n = path(&it, "d/file");
        it.unlink(n, false).unwrap();
        assert_eq!(create(&mut it, "d/again", Kind::File), Ok(()));
        let mut again = node(&mut it, "d/again", true);
        assert_eq!(write(&it, &mut again, 0, 5), Ok(PIECE as u32));
    }
}

/// What is no file system of ours, and a disk with fewer blocks than its partition says.
#[test]
fn a_superblock_that_is_damaged_or_promises_too_much_is_refused_and_left_as_it_is() {
    let good = {
        let mut disk = Disk::new(2048);
        ext4::make(&mut disk, [7; 16], "DATA", ext4::Time::default()).unwrap();
        disk
    };
    let now = ext4::Time::default();
    for at in [1024, 1024 + 4, 1024 + 24, 1024 + 56, 1024 + 88, 1024 + 96, 1024 + 1020] {
        let disk = Disk::new(2048);
        disk.0.borrow_mut().copy_from_slice(&good.0.borrow());
        disk.0.borrow_mut()[at] ^= 0x41;
        let before = disk.0.borrow().clone();
        assert!(Ext4::mount(disk.clone(), now).is_err(), "{at}");
        assert!(*disk.0.borrow() == before, "{at}: it was written to");
    }
    good.0.borrow_mut().truncate(1000 * 4096);
    assert!(matches!(Ext4::mount(good.clone(), now), Err(ext4::Error::Corrupt(_))));
    // Without a file system every call says so, and none fails otherwise.
    let cache = Rc::new(RefCell::new(Cache::new(Counted::new(0))));
    let none: Nodes<Disk, Fake, Counted> = Nodes::new(None, vec![], Endpoint(Handle::NULL), cache);
    let (it, _) = start();
    *it.0.server.borrow_mut() = none;
    for label in 1..=label::release_all {
        let reply = it.0.server.borrow_mut().answer(None, Badge(u64::from(ALICE)), &Message::new(label));
        let known = [Error::NotMounted as u32, Error::NoBuffer as u32, ipc::interface::code::MALFORMED];
        assert!(known.contains(&reply.label), "{label}: {}", reply.label);
    }
}
