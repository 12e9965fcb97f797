// SPDX-License-Identifier: PMPL-1.0-or-later
//! Slots and whole disks are judged: good ones, and each kind of damage by the name of its check.

mod common;

use common::{PARTITION_BYTES, Workshop, run};
use ed25519_compact::{KeyPair, Seed};
use ostree::{Commit, ObjectId, signed_metadata};
use serde_json::json;
use slot::{Layout, Trailer};
use std::{fs, os::unix::fs::FileExt};

const A_OFFSET: u64 = 1 << 20;

/// A disk that sgdisk made, with the slot in ROOT-A and nothing in ROOT-B.
fn disk(shop: &Workshop) {
    shop.build("slot.img").good();
    let file = fs::File::create(shop.path("disk.raw")).unwrap();
    file.set_len(A_OFFSET + 2 * PARTITION_BYTES + (1 << 20)).unwrap();
    let (sector, sectors) = (A_OFFSET / 512, PARTITION_BYTES / 512);
    let slot = "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6";
    run(
        "sgdisk",
        &[
            &format!("-n1:{sector}:{}", sector + sectors - 1),
            &format!("-t1:{slot}"),
            "-c1:ROOT-A",
            "-A1:set:56",
            "-A1:set:48",
            &format!("-n2:{}:{}", sector + sectors, sector + 2 * sectors - 1),
            &format!("-t2:{slot}"),
            "-c2:ROOT-B",
            &shop.name("disk.raw"),
        ],
    );
    let file = fs::OpenOptions::new().write(true).open(shop.path("disk.raw")).unwrap();
    file.write_all_at(&shop.read("slot.img"), A_OFFSET).unwrap();
}

#[test]
fn a_good_slot_is_good() {
    let shop = Workshop::new("good");
    let built = shop.build("slot.img").good();
    let report = shop.verify("slot.img").good();
    let slot = &report["slots"][0];
    assert_eq!(
        (&slot["state"], &slot["commit"], &slot["development_key"], &slot["entries"]),
        (&json!("good"), &built["commit"], &json!(true), &json!(16))
    );
}

#[test]
fn a_flipped_bit_in_each_region_is_refused_by_the_name_of_its_check() {
    let shop = Workshop::new("flipped");
    let report = shop.build("slot.img").good();
    let hash_area = report["verity"]["hash_offset_bytes"].as_u64().unwrap();
    let trailer = PARTITION_BYTES - 65_536;
    let commit_bytes = u64::from(u32::from_le_bytes(shop.read("slot.img")[trailer as usize + 20..][..4].try_into().unwrap()));
    let find = |needle: &[u8]| shop.read("slot.img").windows(needle.len()).position(|window| window == needle).unwrap() as u64;
    let kernel = find(&common::noise(900_000)[..64]);
    for (region, at, check) in [
        ("file system's superblock", 1024 + 48, "verity-data"),
        ("an inode", 1152 + 8, "verity-data"),
        ("kernel", kernel + 500_000, "verity-data"),
        ("bundle", find(&common::noise(50_000)[..64]) + 9, "verity-data"),
        ("a small file", find(b"NAME=FlatRacoon"), "verity-data"),
        ("tree's superblock", hash_area + 90, "verity-superblock"),
        ("tree's top", hash_area + 4096 + 5, "verity-root"),
        ("tree's leaves", hash_area + 2 * 4096 + 5, "verity-data"),
        ("trailer", trailer + 33, "trailer"),
        ("commit", trailer + 4096 + 100, "signature"),
        ("signature", trailer + 4096 + commit_bytes + 30, "signature"),
    ] {
        shop.copy("slot.img", "bad.img");
        shop.flip("bad.img", at);
        assert_eq!(shop.verify("bad.img").failed_check(), check, "{region}");
    }
    // Nobody reads the room between tree and trailer.
    shop.copy("slot.img", "slack.img");
    shop.flip("slack.img", trailer - 5000);
    shop.verify("slack.img").good();
}

#[test]
fn keys_that_are_unknown_revoked_or_expired_and_old_slots_are_refused() {
    let shop = Workshop::new("keys");
    shop.build("slot.img").good();
    let known = shop.read_json("keys.json");
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut keys = known.clone();
        change(&mut keys);
        shop.write_json("keys.json", &keys);
        shop.verify("slot.img").failed_check()
    };
    assert_eq!(with(&|keys| keys["keys"][0]["revoked"] = json!(true)), "key-revoked");
    assert_eq!(with(&|keys| keys["keys"][0]["not_after_seconds"] = json!(1_700_000_000)), "key-expired");
    assert_eq!(with(&|keys| keys["minimal_rollback_index"] = json!(4)), "rollback");
    shop.slot(&["keygen", "--out", "other.pem", "--keys", "keys.json"]).good();
    assert_eq!(shop.verify("slot.img").failed_check(), "signature");
}

#[test]
fn a_signed_commit_that_describes_another_tree_is_refused() {
    let shop = Workshop::new("other-tree");
    let seed = [7u8; 32];
    fs::write(shop.path("key.pem"), seed).unwrap();
    let public = shop.build("slot.img").good()["signed_by"].clone();
    shop.write_json("keys.json", &json!({ "keys": [{ "public_key": public }] }));
    shop.verify("slot.img").good();
    let bytes = shop.read("slot.img");
    let trailer = Trailer::parse(&bytes[bytes.len() - 65_536..]).unwrap();
    let mut commit = Commit::parse(&trailer.commit).unwrap();
    commit.root_tree = ObjectId([5; 32]);
    let commit = commit.to_bytes();
    let signature = *KeyPair::from_seed(Seed::new(seed)).sk.sign(&commit, None);
    let layout = Layout::plan(PARTITION_BYTES / 4096, trailer.image_bytes / 4096).unwrap();
    let forged = Trailer::new(&layout, commit, signed_metadata(&[signature])).to_bytes().unwrap();
    let file = fs::OpenOptions::new().write(true).open(shop.path("slot.img")).unwrap();
    file.write_all_at(&forged, PARTITION_BYTES - 65_536).unwrap();
    assert_eq!(shop.verify("slot.img").failed_check(), "contents");
}

#[test]
fn a_disk_with_one_good_and_one_empty_slot_is_good() {
    let shop = Workshop::new("disk");
    disk(&shop);
    let report = shop.verify("disk.raw").good();
    assert_eq!((&report["slots"][0]["state"], &report["slots"][1]["state"]), (&json!("good"), &json!("empty")));
    assert_eq!((&report["slots"][0]["label"], &report["gpt"]["copies_agree"]), (&json!("ROOT-A"), &json!(true)));
    // One slot of it, by name and by place.
    assert_eq!(
        shop.slot(&["verify", "--image", "disk.raw", "--slot", "a", "--keys", "keys.json"]).good()["slots"][0]["state"],
        "good"
    );
    assert_eq!(shop.slot(&["verify", "--image", "disk.raw", "--slot", "B", "--keys", "keys.json"]).failed_check(), "trailer");
    let (offset, length) = (A_OFFSET.to_string(), PARTITION_BYTES.to_string());
    shop.slot(&["verify", "--image", "disk.raw", "--offset", &offset, "--length", &length, "--keys", "keys.json"]).good();
}

#[test]
fn attributes_are_set_in_both_tables_and_a_bootable_empty_slot_is_a_problem() {
    let shop = Workshop::new("attributes");
    disk(&shop);
    let report = shop.slot(&["attributes", "--image", "disk.raw", "--slot", "B", "--set", "priority=2,tries=3"]).good();
    assert_eq!(
        (&report["slots"][1]["priority"], &report["slots"][1]["tries"], &report["slots"][1]["bootable"]),
        (&json!(2), &json!(3), &json!(true))
    );
    assert_eq!(report["slots"][1]["offset_bytes"], json!(A_OFFSET + PARTITION_BYTES));
    assert!(run("sgdisk", &["-v", &shop.name("disk.raw")]).contains("No problems found"));
    assert!(run("sgdisk", &["-i2", &shop.name("disk.raw")]).contains("Attribute flags: 0032000000000000"));
    let refused = shop.verify("disk.raw");
    assert!(refused.stderr.contains("ROOT-B: check=trailer"), "{}", refused.stderr);
    assert_eq!(refused.refused(), "verify/refused");
    shop.slot(&["attributes", "--image", "disk.raw", "--slot", "B", "--set", "priority=0,tries=0"]).good();
    shop.verify("disk.raw").good();
    for bad in ["priority=16", "priority", "tries=-1", "successful=2", "colour=1", ""] {
        assert_eq!(
            shop.slot(&["attributes", "--image", "disk.raw", "--slot", "A", "--set", bad]).refused(),
            "attributes/set",
            "{bad}"
        );
    }
}

#[test]
fn a_damaged_partition_table_is_named_and_can_be_mended() {
    let shop = Workshop::new("tables");
    disk(&shop);
    shop.flip("disk.raw", 512 + 60);
    let refused = shop.verify("disk.raw");
    assert!(refused.stderr.contains("the primary partition table header checksum"), "{}", refused.stderr);
    shop.slot(&["attributes", "--image", "disk.raw", "--repair"]).good();
    shop.verify("disk.raw").good();
    // The slot's words come all the same.
    let end = fs::metadata(shop.path("disk.raw")).unwrap().len();
    shop.flip("disk.raw", end - 500);
    let refused = shop.verify("disk.raw");
    assert_eq!(refused.report["slots"][0]["state"], "good");
    assert!(refused.stderr.contains("the backup partition table"), "{}", refused.stderr);
    shop.flip("disk.raw", 512 + 60);
    assert_eq!(shop.verify("disk.raw").refused(), "gpt/damaged");
}

#[test]
fn a_disk_without_a_slot_that_may_boot_is_refused() {
    let shop = Workshop::new("none");
    disk(&shop);
    shop.slot(&["attributes", "--image", "disk.raw", "--slot", "A", "--set", "priority=0"]).good();
    let refused = shop.verify("disk.raw");
    assert!(refused.stderr.contains("no slot of the disk may boot and is whole"), "{}", refused.stderr);
    assert_eq!(refused.refused(), "verify/refused");
}
