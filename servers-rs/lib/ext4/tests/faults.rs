// SPDX-License-Identifier: PMPL-1.0-or-later
//! The device fails at every request once, or for good; the disk is full; the image is garbage. Errors reach the caller, nothing that
//! was acknowledged is lost, nothing panics.

mod common;
use common::model::{Model, Op, Random, Real, describe};
use common::{BLOCK, Disk, NOW, check};
use ext4::{Error, Ext4, Kind, ROOT};

const BLOCKS: u64 = 2048;

fn workload(seed: u64, count: usize) -> Vec<(Op, Result<Option<usize>, Error>)> {
    let (mut model, mut random) = (Model::new(), Random(seed));
    let mut one = || {
        let op = model.random(&mut random, 8);
        let answer = model.apply(&op);
        (op, answer)
    };
    (0..count).map(|_| one()).collect()
}

fn is_device<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Device(_)))
}

#[test]
fn an_error_at_any_request_reaches_the_caller_and_a_retry_succeeds() {
    let work = workload(31_337, 70);
    let base = Disk::made(BLOCKS);
    let run = |fails: Option<u64>| {
        let disk = base.copy();
        disk.0.borrow_mut().fails = fails.map(|n| n..n + 1);
        let (mut failed, mut model) = (0, Model::new());
        let fs = Ext4::mount(disk.clone(), NOW).or_else(|error| {
            assert!(matches!(error, Error::Device(_)), "{error}");
            failed += 1;
            Ext4::mount(disk.clone(), NOW)
        });
        let mut real = Real::over(fs.unwrap());
        for (op, want) in &work {
            let _ = model.apply(op);
            let mut got = real.apply(op);
            if is_device(&got) {
                failed += 1;
                got = real.apply(op);
            }
            assert_eq!(want.map(|id| id.is_some()), got.map(|inode| inode.is_some()), "request {fails:?} failed: {op:?}");
            if let (Ok(Some(id)), Ok(Some(inode))) = (want, got) {
                real.made(*id, inode);
            }
        }
        if let Err(error) = real.fs.sync() {
            assert!(matches!(error, Error::Device(_)));
            real.fs.sync().unwrap();
        }
        let requests = disk.0.borrow().requests;
        disk.0.borrow_mut().fails = None;
        assert_eq!(describe(&mut real.fs).0, model.describe(), "request {fails:?} failed");
        for (path, id) in model.files() {
            assert!(real.data(id) == *model.nodes[&id].data, "request {fails:?} failed: the data of {path}");
        }
        real.fs.unmount().unwrap();
        check(&disk, &format!("request {fails:?} failed"));
        (requests, failed)
    };
    let (requests, _) = run(None);
    let seen: usize = (0..requests).map(|n| run(Some(n)).1).sum();
    // Some are noticed by nobody: a read ahead of an update in place that is tried again.
    assert!(seen as u64 > requests / 2, "{seen} of {requests} failures reached a caller");
}

#[test]
fn a_device_that_dies_keeps_all_that_was_acknowledged() {
    let work = workload(99, 70);
    let base = Disk::made(BLOCKS);
    for n in (60..700).step_by(7) {
        let disk = base.copy();
        let mut real = Real::new(&disk);
        disk.0.borrow_mut().fails = Some(n..u64::MAX);
        let (mut model, mut models, mut least) = (Model::new(), vec![], 0);
        models.push(model.describe());
        for (op, want) in &work {
            let got = real.apply(op);
            if is_device(&got) {
                break;
            }
            let _ = model.apply(op);
            models.push(model.describe());
            if let (Ok(Some(id)), Ok(Some(inode))) = (want, got) {
                real.made(*id, inode);
            }
            if matches!(op, Op::Sync) {
                least = models.len() - 1;
            }
        }
        drop(real);
        disk.0.borrow_mut().fails = None;
        let mut fs = disk.mount();
        let found = describe(&mut fs).0;
        assert!(models[least..].contains(&found), "dead from request {n} on");
        fs.unmount().unwrap();
        check(&disk, &format!("dead from request {n} on"));
    }
}

#[test]
fn a_full_disk_says_so_and_loses_nothing() {
    let disk = Disk::made(BLOCKS);
    let mut fs = disk.mount();
    let keep = fs.create(ROOT, b"keep", Kind::File, 0o644, (0, 0)).unwrap();
    fs.write(keep, 0, &[9; 50_000]).unwrap();
    for round in 0..3 {
        let big = fs.create(ROOT, b"big", Kind::File, 0o644, (0, 0)).unwrap();
        let (mut at, error) = (
            0,
            loop {
                let at = fs.stat(big).unwrap().size_bytes;
                match fs.write(big, at, &[round; 100_000]) {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            },
        );
        assert_eq!(error, Error::NoSpace);
        assert_eq!(fs.space().unwrap().free_blocks, 0);
        assert_eq!(fs.create(ROOT, b"directory", Kind::Directory, 0o755, (0, 0)), Err(Error::NoSpace));
        fs.sync().unwrap();
        let mut out = vec![0; BLOCK];
        while fs.read(big, at, &mut out).unwrap() > 0 {
            assert!(out.iter().all(|byte| *byte == round));
            at += BLOCK as u64;
        }
        fs.unlink(ROOT, b"big").unwrap();
    }
    let mut out = vec![0; 50_000];
    fs.read(keep, 0, &mut out).unwrap();
    assert_eq!(out, [9; 50_000]);
    fs.unmount().unwrap();
    check(&disk, "after it was full");
}

#[test]
fn a_file_without_a_name_lives_as_long_as_it_is_held() {
    let disk = Disk::made(BLOCKS);
    let mut fs = disk.mount();
    let free = fs.space().unwrap();
    let file = fs.create(ROOT, b"file", Kind::File, 0o644, (0, 0)).unwrap();
    fs.hold(file).unwrap();
    fs.unlink(ROOT, b"file").unwrap();
    fs.write(file, 0, &[3; 30_000]).unwrap();
    fs.truncate(file, 10_000).unwrap();
    fs.truncate(file, 20_000).unwrap();
    assert_eq!(fs.link(file, ROOT, b"again"), Err(Error::NotFound));
    let mut out = vec![1; 20_000];
    assert_eq!(fs.read(file, 0, &mut out).unwrap(), 20_000);
    assert!(out[..10_000].iter().all(|b| *b == 3) && out[10_000..].iter().all(|b| *b == 0));
    fs.sync().unwrap();
    let cut = disk.copy();
    fs.release(file);
    assert_eq!(fs.stat(file), Err(Error::NotFound));
    assert_eq!(fs.space().unwrap(), free);
    fs.unmount().unwrap();
    check(&disk, "released");
    // The same if the power went while it was held.
    let mut fs = cut.mount();
    assert_eq!(fs.space().unwrap(), free);
    fs.unmount().unwrap();
    check(&cut, "cut off while held");
}

/// Everything that a reader could ask, and some changes; answers do not matter.
fn use_it(disk: &Disk) {
    let Ok(mut fs) = Ext4::mount(disk.clone(), NOW) else { return };
    let mut rest = vec![ROOT];
    let mut out = vec![0; 10_000];
    let mut steps = 0;
    while let Some(inode) = rest.pop() {
        steps += 1;
        if steps > 200 {
            break;
        }
        let _ = (fs.stat(inode), fs.read_link(inode), fs.read(inode, 5000, &mut out));
        for name in fs.attribute_names(inode).unwrap_or_default() {
            let _ = fs.attribute(inode, &name);
        }
        let mut cookie = Some(0);
        while let Some(at) = cookie {
            let Ok((entries, next)) = fs.list(inode, at, 100) else { break };
            rest.extend(entries.iter().filter(|e| e.name != b"." && e.name != b"..").map(|e| e.inode));
            cookie = next;
        }
        let _ = fs.create(inode, b"new", Kind::Directory, 0o755, (0, 0));
        let _ =
            (fs.write(inode, 3000, &out), fs.truncate(inode, 100), fs.rename(inode, b"new", ROOT, b"here", ext4::Replace::Allow));
        let _ = (fs.unlink(inode, b"n1"), fs.remove_directory(inode, b"n2"), fs.sync(), fs.space());
    }
    let _ = fs.unmount();
}

#[test]
fn a_corrupt_image_is_an_error_and_never_a_panic() {
    let disk = Disk::made(BLOCKS);
    let (mut model, mut real, mut random) = (Model::new(), Real::new(&disk), Random(5));
    for _ in 0..300 {
        let op = model.random(&mut random, 20);
        if let (Ok(Some(id)), Ok(Some(inode))) = (model.apply(&op), real.apply(&op)) {
            real.made(id, inode);
        }
    }
    drop(real);
    let image = disk.0.borrow().bytes.clone();
    let used: Vec<usize> =
        (0..BLOCKS as usize).filter(|b| image[b * BLOCK..(b + 1) * BLOCK].iter().any(|byte| *byte != 0)).collect();
    for _ in 0..3000 {
        let bad = Disk::of(image.clone());
        for _ in 0..1 + random.below(4) {
            let block = used[random.below(used.len() as u64) as usize];
            let at = block * BLOCK + random.below(BLOCK as u64) as usize;
            let mut inner = bad.0.borrow_mut();
            match random.below(3) {
                0 => inner.bytes[at] ^= 1 << random.below(8),
                1 => inner.bytes[at] = random.next() as u8,
                _ => inner.bytes[block * BLOCK..(block + 1) * BLOCK].fill(random.next() as u8),
            }
        }
        use_it(&bad);
    }
}

#[test]
fn an_open_file_without_a_name_outlives_its_server_and_no_reboot() {
    let disk = Disk::made(BLOCKS);
    let mut fs = disk.mount();
    let open = fs.create(ROOT, b"open", Kind::File, 0o600, (0, 0)).unwrap();
    let other = fs.create(ROOT, b"other", Kind::File, 0o600, (0, 0)).unwrap();
    fs.write(open, 0, &[7; 9000]).unwrap();
    fs.hold(open).unwrap();
    fs.unlink(ROOT, b"open").unwrap();
    fs.sync().unwrap();
    drop(fs);
    // A server that takes over is told what is open; what has a name is none of it, whatever it is told.
    let mut fs = Ext4::mount_again(disk.clone(), NOW, &[other, open, 9999]).unwrap();
    let mut data = [0; 9000];
    assert_eq!((fs.read(open, 0, &mut data), data[8999]), (Ok(9000), 7));
    fs.unlink(ROOT, b"other").unwrap();
    assert_eq!(fs.stat(other).err(), Some(Error::NotFound));
    fs.sync().unwrap();
    drop(fs);
    let mut fs = disk.mount();
    assert_eq!(fs.stat(open).err(), Some(Error::NotFound));
    fs.sync().unwrap();
    check(&disk, "mounted after a reboot");
}
