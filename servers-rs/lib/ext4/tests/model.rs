// SPDX-License-Identifier: PMPL-1.0-or-later
//! Thousands of random operations answer what the model of POSIX answers, and leave what it has; e2fsck finds nothing.

mod common;
use common::model::{Model, Random, Real, describe};
use common::{Disk, check};

/// Operations of one run; a mount in between now and then.
fn run(seed: u64, operations: usize) {
    let disk = Disk::made(4096);
    let (mut model, mut real) = (Model::new(), Real::new(&disk));
    let mut random = Random(seed);
    let mut done = 0;
    for n in 0..operations {
        let op = model.random(&mut random, 30);
        let (want, got) = (model.apply(&op), real.apply(&op));
        assert_eq!(want.map(|id| id.is_some()), got.map(|inode| inode.is_some()), "seed {seed}, operation {n}: {op:?}");
        if let (Ok(Some(id)), Ok(Some(inode))) = (want, got) {
            real.made(id, inode);
        }
        done += usize::from(want.is_ok());
        if n % 97 == 0 {
            compare(&model, &mut real, &format!("seed {seed}, after operation {n}: {op:?}"));
        }
        if n % 401 == 400 {
            real.remount(&disk, || check(&disk, &format!("seed {seed}, after operation {n}")));
        }
    }
    compare(&model, &mut real, "at the end");
    assert!(done > operations / 3, "{done} of {operations} did something");
    real.remount(&disk, || check(&disk, &format!("seed {seed}, at the end")));
}

fn compare(model: &Model, real: &mut Real, when: &str) {
    assert_eq!(describe(&mut real.fs).0, model.describe(), "{when}");
    for (path, id) in model.files() {
        assert!(real.data(id) == *model.nodes[&id].data, "{when}: the data of {path}");
    }
}

#[test]
fn random_operations_answer_what_posix_says() {
    (1..=12).for_each(|seed| run(seed * 7919, 1500));
}
