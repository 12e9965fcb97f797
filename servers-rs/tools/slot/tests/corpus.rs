// SPDX-License-Identifier: PMPL-1.0-or-later
//! Replays the fuzz corpus of the formats (`fuzz/`), seeds and what a fuzzer has found since: none of it may break a promise.

#[path = "../../../fuzz/src/cases.rs"]
mod cases;

use std::{fs, path::Path};

fn replay(target: &str, case: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for file in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // The name is what a person needs when the next line panics.
        println!("{}", path.display());
        case(&bytes);
        // Cut short and with a bit flipped here and there, each input is some more.
        for step in 1..8 {
            let at = bytes.len() * step / 8;
            case(&bytes[..at]);
            let mut flipped = bytes.clone();
            if let Some(byte) = flipped.get_mut(at) {
                *byte ^= 1 << step;
            }
            case(&flipped);
        }
        count += 1;
    }
    assert!(count > 0, "no corpus for {target}");
}

#[test]
fn partition_tables() {
    replay("gpt", cases::gpt);
}

#[test]
fn file_systems() {
    replay("erofs", cases::erofs);
}

#[test]
fn hash_trees() {
    replay("verity", cases::verity);
}

#[test]
fn objects() {
    replay("ostree", cases::ostree);
}

#[test]
fn slots() {
    replay("slot", cases::slot);
}
