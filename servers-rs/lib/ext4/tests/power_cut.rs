// SPDX-License-Identifier: PMPL-1.0-or-later
//! The power goes at every write. A random workload is recorded; every prefix of its writes, and between two flushes writes that
//! were dropped, came in another order or were torn at 512 bytes, make a disk each. Every such disk must mount, hold all that
//! was acknowledged by a sync and the rest up to some operation, and e2fsck must find nothing.
//!
//! `FLATRACOON_TEST_LONG=1` runs more workloads and has e2fsck look at every state.

mod common;
use common::model::{Model, Op, Random, Real, describe, read_all};
use common::{BLOCK, Disk, Event, Image, NOW, check};
use std::collections::{BTreeMap, BTreeSet};

const SECTOR: usize = 512;
const BLOCKS: u64 = 2048;

/// A workload, what the model had after each operation, and where in the log each began and ended.
struct Recording {
    base: Vec<u8>,
    log: Vec<Event>,
    models: Vec<Model>,
    descriptions: Vec<String>,
    began: Vec<usize>,
    synced: Vec<(usize, usize)>,
}

fn record(seed: u64, operations: usize) -> Recording {
    let disk = Disk::made(BLOCKS);
    let base = disk.0.borrow().bytes.clone();
    disk.0.borrow_mut().log = Some(vec![]);
    let at = || disk.0.borrow().log.as_ref().unwrap().len();
    let (mut model, mut real, mut random) = (Model::new(), Real::new(&disk), Random(seed));
    let (mut models, mut began, mut synced) = (vec![model.clone()], vec![], vec![]);
    for _ in 0..operations {
        let op = model.random(&mut random, 9);
        began.push(at());
        let (want, got) = (model.apply(&op), real.apply(&op));
        assert_eq!(want.is_ok(), got.is_ok(), "{op:?}");
        if let (Ok(Some(id)), Ok(Some(inode))) = (want, got) {
            real.made(id, inode);
        }
        models.push(model.clone());
        if matches!(op, Op::Sync) {
            synced.push((at(), models.len() - 1));
        }
    }
    real.fs.unmount().unwrap();
    let log = disk.0.borrow_mut().log.take().unwrap();
    Recording { base, log, descriptions: models.iter().map(Model::describe).collect(), models, began, synced }
}

/// A disk that a power cut may leave: its name, how far the log went, and how many sectors of which event count.
struct State {
    name: String,
    reached: usize,
    /// For the events since the last flush: which of their sectors are there.
    window: BTreeMap<usize, BTreeSet<usize>>,
}

/// All states of one flush window, `from..to` of the log.
fn states(recording: &Recording, from: usize, to: usize, random: &mut Random, out: &mut Vec<State>) {
    let sectors = |event: usize| match &recording.log[event] {
        Event::Write(_, bytes) => (0..bytes.len() / SECTOR).collect::<BTreeSet<usize>>(),
        Event::Flush => BTreeSet::new(),
    };
    let all = |range: std::ops::Range<usize>| range.map(|n| (n, sectors(n))).collect::<BTreeMap<_, _>>();
    for reached in from..=to {
        out.push(State { name: format!("prefix {reached}"), reached, window: all(from..reached) });
    }
    for event in from..to {
        let mut window = all(from..to);
        window.remove(&event);
        out.push(State { name: format!("{to} without {event}"), reached: to, window });
        // Torn: a part from its start, and any sectors.
        let count = sectors(event).len() as u64;
        let keep = random.below(count) as usize;
        let mut window = all(from..event);
        window.insert(event, (0..keep).collect());
        out.push(State { name: format!("{event} torn at sector {keep}"), reached: event + 1, window });
        let mut window = all(from..to);
        window.get_mut(&event).unwrap().retain(|_| random.below(2) == 0);
        out.push(State { name: format!("{to} with half of {event}"), reached: to, window });
    }
    if to - from > 1 {
        let mut window = all(from..to);
        window.retain(|_, _| random.below(2) == 0);
        out.push(State { name: format!("{to} with some"), reached: to, window: window.clone() });
        let mut window = all(from..to);
        window.values_mut().for_each(|sectors| sectors.retain(|_| random.below(2) == 0));
        out.push(State { name: format!("{to} with some sectors of each"), reached: to, window });
    }
}

fn apply(bytes: &mut [u8], event: &Event, sectors: impl Iterator<Item = usize>) {
    let Event::Write(first, data) = event else { return };
    for sector in sectors {
        let (to, from) = (*first as usize * BLOCK + sector * SECTOR, sector * SECTOR);
        bytes[to..to + SECTOR].copy_from_slice(&data[from..from + SECTOR]);
    }
}

/// Mounts the disk and looks for an operation up to which it holds everything.
fn judge(recording: &Recording, bytes: &[u8], state: &State, with_e2fsck: bool, when: &str) {
    let disk = Disk::of(bytes.to_vec());
    let mut fs = ext4::Ext4::mount(disk.clone(), NOW).unwrap_or_else(|error| panic!("{when}: {error}"));
    // Model n is there after n operations. An operation may have had effect once it began.
    let least = recording.synced.iter().filter(|(end, _)| *end <= state.reached).map(|(_, n)| *n).max().unwrap_or(0);
    let most = recording.began.iter().filter(|at| **at < state.reached).count().max(least);
    let (found, files) = describe(&mut fs);
    let candidates: Vec<usize> = (least..=most).filter(|n| recording.descriptions[*n] == found).collect();
    if candidates.is_empty() {
        panic!(
            "{when}: neither what operation {least} nor any up to {most} left:\n{found}\nbut\n{}",
            recording.descriptions[least]
        );
    }
    let files: BTreeMap<String, u32> = files.into_iter().collect();
    let contents: BTreeMap<&String, Vec<u8>> = files.iter().map(|(path, inode)| (path, read_all(&mut fs, *inode))).collect();
    let fits = |n: usize| {
        recording.models[n].files().iter().all(|(path, id)| {
            // Data that are written over without a sync may be there early, sector by sector.
            let later: Vec<&Vec<u8>> =
                recording.models[n..=most].iter().filter_map(|m| m.nodes.get(id)).map(|node| &*node.data).collect();
            contents[path].iter().enumerate().all(|(at, byte)| later.iter().any(|data| data.get(at).unwrap_or(&0) == byte))
        })
    };
    assert!(candidates.iter().any(|n| fits(*n)), "{when}: data that no operation from {least} to {most} wrote");
    fs.unmount().unwrap();
    if with_e2fsck {
        check(&disk, when);
    }
}

fn judge_all(seed: u64, operations: usize, every: usize) -> usize {
    let recording = record(seed, operations);
    let mut random = Random(seed ^ 0x5555);
    let mut bytes = recording.base.clone();
    let (mut from, mut count) = (0, 0);
    for to in 0..=recording.log.len() {
        let end = to == recording.log.len();
        if !end && !matches!(recording.log[to], Event::Flush) {
            continue;
        }
        let mut all = vec![];
        states(&recording, from, to, &mut random, &mut all);
        for state in all {
            let mut cut = bytes.clone();
            for (event, sectors) in &state.window {
                apply(&mut cut, &recording.log[*event], sectors.iter().copied());
            }
            count += 1;
            judge(&recording, &cut, &state, count % every == 0, &format!("seed {seed}, {}", state.name));
        }
        for event in &recording.log[from..to] {
            apply(&mut bytes, event, 0..if let Event::Write(_, data) = event { data.len() / SECTOR } else { 0 });
        }
        from = to + 1;
    }
    count
}

#[test]
fn every_power_cut_leaves_what_was_acknowledged_and_a_whole_file_system() {
    let long = std::env::var_os("FLATRACOON_TEST_LONG").is_some();
    let (seeds, every) = if long { (1..=40, 1) } else { (1..=6, 16) };
    let states: usize = seeds.map(|seed| judge_all(seed * 104_729, 80, every)).sum();
    println!("{states} states");
    assert!(states >= 2000, "{states} states are too few");
}

/// Linux's own replay, before ours has touched the disk.
#[test]
fn e2fsck_replays_what_a_power_cut_leaves() {
    let recording = record(4711, 120);
    let mut bytes = recording.base.clone();
    for (n, event) in recording.log.iter().enumerate() {
        apply(&mut bytes, event, 0..if let Event::Write(_, data) = event { data.len() / SECTOR } else { 0 });
        if n % 7 != 0 {
            continue;
        }
        let image = Image::of(&Disk::of(bytes.clone()));
        let (code, text) = image.tool("e2fsck", &["-fp"]);
        assert!(code <= 1 && !text.contains("UNEXPECTED"), "after write {n}: {code}\n{text}");
        let (code, text) = image.tool("e2fsck", &["-fn"]);
        assert_eq!(code, 0, "after write {n}: {text}");
    }
}

/// A new file system that was cut off has no superblock, or is whole.
#[test]
fn a_cut_while_it_is_made_leaves_none_or_a_whole_one() {
    let mut disk = Disk::new(BLOCKS);
    disk.0.borrow_mut().log = Some(vec![]);
    ext4::make(&mut disk, common::UUID, "DATA", NOW).unwrap();
    let log = disk.0.borrow_mut().log.take().unwrap();
    let mut bytes = vec![0; BLOCKS as usize * BLOCK];
    for event in &log {
        assert_eq!(ext4::Ext4::mount(Disk::of(bytes.clone()), NOW).err(), Some(ext4::Error::Corrupt("no superblock")));
        apply(&mut bytes, event, 0..if let Event::Write(_, data) = event { data.len() / SECTOR } else { 0 });
        if matches!(event, Event::Write(0, _)) {
            break;
        }
    }
    check(&Disk::of(bytes), "made");
}
