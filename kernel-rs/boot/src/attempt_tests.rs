// SPDX-License-Identifier: PMPL-1.0-or-later
//! A good slot passes; then one fault at a time, in every region of the slot, and the word that names it.

use super::*;
use crate::choice::Letter;
use crate::testing::Lines;
use crate::testing::kernel;
use crate::testing_slot::{Spec, build, bundle, keys};
use blocks::Memory;
use gpt::{Entry, Guid};

const SLOT_BLOCKS: u64 = 512;
/// Large enough that the image has two levels of hash blocks.
const BUNDLE_BYTES: usize = 900 << 10;

struct Case {
    bytes: Vec<u8>,
    trust: Trust,
}

fn spec<'a>(files: &'a [(&'a str, &'a [u8])]) -> Spec<'a> {
    Spec { files, version: "1.2.3", rollback_index: 5, unreleased: true, key: 1, slot_blocks: SLOT_BLOCKS }
}

fn case_of(files: &[(&str, &[u8])]) -> Case {
    let trust = Trust { keys: Ok(keys(&[1], 5)), rollback_floor: 5, now_s: 1_800_000_000 };
    Case { bytes: build(&spec(files)), trust }
}

fn good() -> Case {
    case_of(&[(KERNEL_PATH, &kernel()), (BUNDLE_PATH, &bundle(BUNDLE_BYTES))])
}

fn try_it(case: &Case) -> Result<Good, Refused> {
    let entry = Entry {
        index: 1,
        type_guid: gpt::types::SLOT,
        unique_guid: Guid([7; 16]),
        first_lba: 0,
        last_lba: SLOT_BLOCKS * 8 - 1,
        attributes: 0,
        name: "ROOT-A".into(),
    };
    let slot = Slot { letter: Letter::A, entry };
    attempt(&mut Memory(&case.bytes), &mut Lines::default(), &slot, &case.trust)
}

/// The word of the refusal after `change`.
fn refused(change: impl FnOnce(&mut Case)) -> &'static str {
    let mut case = good();
    change(&mut case);
    try_it(&case).expect_err("the change must be refused").check
}

/// Byte offset of `needle` in the slot.
fn find(case: &Case, needle: &[u8]) -> usize {
    case.bytes.windows(needle.len()).position(|window| window == needle).expect("it is in the slot")
}

fn flip(case: &mut Case, at: usize) {
    case.bytes[at] ^= 0x10;
}

fn image_bytes() -> usize {
    try_it(&good()).expect("good").verified.layout.image_bytes() as usize
}

#[test]
fn a_good_slot_gives_kernel_and_bundle_bit_for_bit() {
    let good = try_it(&good()).expect("good");
    assert_eq!(good.kernel, kernel());
    assert_eq!(good.bundle, bundle(BUNDLE_BYTES));
    assert_eq!(good.plan, kernel_image::plan(&kernel()).expect("plan"));
    assert_eq!((good.verified.release.version.as_str(), good.verified.release.unreleased), ("1.2.3", true));
}

#[test]
fn refused_no_keys_embedded() {
    assert_eq!(refused(|case| case.trust.keys = Err(KeysFault::Empty)), "keys");
}

#[test]
fn refused_signed_by_another_key() {
    assert_eq!(refused(|case| case.trust.keys = Ok(keys(&[2, 3], 5))), "signature");
}

#[test]
fn refused_key_revoked() {
    let revoke = |case: &mut Case| case.trust.keys.as_mut().expect("keys").keys[0].revoked = true;
    assert_eq!(refused(revoke), "key-revoked");
}

#[test]
fn refused_key_expired() {
    let expire = |case: &mut Case| case.trust.keys.as_mut().expect("keys").keys[0].not_after_s = 1_750_000_000;
    assert_eq!(refused(expire), "key-expired");
}

#[test]
fn refused_older_than_the_firmwares_floor() {
    assert_eq!(refused(|case| case.trust.rollback_floor = 6), "rollback");
}

#[test]
fn refused_older_than_the_embedded_minimum() {
    assert_eq!(refused(|case| case.trust.keys = Ok(keys(&[1], 6))), "rollback");
}

#[test]
fn refused_flipped_bit_in_the_trailers_header() {
    let trailer = (SLOT_BLOCKS * 4096) as usize - (64 << 10);
    assert_eq!(refused(|case| flip(case, trailer + 20)), "trailer");
}

#[test]
fn refused_flipped_bit_in_the_commit() {
    assert_eq!(refused(|case| flip(case, find(case, b"1.2.3"))), "signature");
}

#[test]
fn refused_flipped_bit_in_the_signature() {
    assert_eq!(refused(|case| flip(case, find(case, b"ostree.sign.ed25519") + 40)), "signature");
}

#[test]
fn refused_flipped_bit_in_the_verity_superblock() {
    assert_eq!(refused(|case| flip(case, image_bytes() + 20)), "verity-superblock");
}

#[test]
fn refused_flipped_bit_in_the_top_of_the_tree() {
    assert_eq!(refused(|case| flip(case, image_bytes() + 4096 + 5)), "verity-root");
}

#[test]
fn refused_flipped_bit_in_a_lower_level_of_the_tree() {
    assert_eq!(refused(|case| flip(case, image_bytes() + 3 * 4096 + 5)), "verity-data");
}

#[test]
fn refused_flipped_bit_in_the_file_systems_superblock() {
    assert_eq!(refused(|case| flip(case, 1024 + 40)), "verity-data");
}

#[test]
fn refused_flipped_bit_in_the_kernel() {
    assert_eq!(refused(|case| flip(case, find(case, b"\x7fELF") + 0x1800)), "verity-data");
}

#[test]
fn refused_flipped_bit_in_the_bundle() {
    assert_eq!(refused(|case| flip(case, find(case, b"FRbundl1") + BUNDLE_BYTES)), "verity-data");
}

#[test]
fn refused_empty_partition() {
    assert_eq!(refused(|case| case.bytes.fill(0)), "trailer");
}

#[test]
fn refused_slot_cut_off_by_the_end_of_the_disk() {
    assert_eq!(refused(|case| case.bytes.truncate(100 * 4096)), "geometry");
}

#[test]
fn refused_kernel_missing() {
    let case = case_of(&[(BUNDLE_PATH, &bundle(10))]);
    let refused = try_it(&case).expect_err("no kernel");
    assert_eq!(refused, Refused::new("contents", "/boot/kernel.elf: no such file or directory"));
}

#[test]
fn refused_bundle_missing() {
    let case = case_of(&[(KERNEL_PATH, &kernel())]);
    let refused = try_it(&case).expect_err("no bundle");
    assert_eq!(refused, Refused::new("contents", "/boot/bundle.frb: no such file or directory"));
}

#[test]
fn refused_kernel_that_is_none() {
    let case = case_of(&[(KERNEL_PATH, b"#!/bin/sh"), (BUNDLE_PATH, &bundle(10))]);
    assert_eq!(try_it(&case).expect_err("no ELF").check, "kernel");
}

#[test]
fn refused_bundle_that_is_none() {
    let case = case_of(&[(KERNEL_PATH, &kernel()), (BUNDLE_PATH, b"too short")]);
    assert_eq!(try_it(&case).expect_err("no bundle").check, "bundle");
}

#[test]
fn refused_bundle_that_says_another_length() {
    let mut bytes = bundle(10);
    bytes.push(0);
    let case = case_of(&[(KERNEL_PATH, &kernel()), (BUNDLE_PATH, &bytes)]);
    assert_eq!(try_it(&case).expect_err("longer").check, "bundle");
}

/// One flipped bit in each block of the slot that the loader reads is refused; in a block that it does not read it changes nothing.
#[test]
fn a_flipped_bit_in_any_block_is_refused_or_never_used() {
    let whole = try_it(&good()).expect("good");
    for block in 0..SLOT_BLOCKS as usize {
        let mut case = good();
        flip(&mut case, block * 4096 + 77);
        if let Ok(found) = try_it(&case) {
            assert_eq!((found.kernel, found.bundle), (whole.kernel.clone(), whole.bundle.clone()), "block {block}");
        }
    }
}
