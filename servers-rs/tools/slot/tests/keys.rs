// SPDX-License-Identifier: PMPL-1.0-or-later
//! Keys: made here and by openssl, in tokens, and in a loader.

mod common;

use common::{Workshop, run};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn a_key_that_we_make_is_secret_and_openssl_reads_it() {
    let shop = Workshop::new("made");
    let report = shop.slot(&["keygen", "--out", "new.pem", "--keys", "new.json"]).good();
    assert_eq!(fs::metadata(shop.path("new.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = run("openssl", &["pkey", "-in", &shop.name("new.pem"), "-noout", "-text_pub"]).replace([' ', ':', '\n'], "");
    assert!(shown.contains(report["public_key"].as_str().unwrap()), "{shown}");
    assert_eq!(shop.read_json("new.json")["keys"][0]["public_key"], report["public_key"]);
    assert_eq!(shop.slot(&["keygen", "--out", "new.pem"]).refused(), "key/exists");
}

#[test]
fn a_key_that_openssl_makes_signs_and_openssl_verifies() {
    let shop = Workshop::new("openssl");
    run("openssl", &["genpkey", "-algorithm", "ed25519", "-out", &shop.name("theirs.pem")]);
    run("openssl", &["pkey", "-in", &shop.name("theirs.pem"), "-pubout", "-out", &shop.name("public.pem")]);
    shop.slot(&[
        "build",
        "--tree",
        "tree.json",
        "--spec",
        "spec.json",
        "--key",
        "theirs.pem",
        "--out",
        "slot.img",
        "--commit",
        "commit",
    ])
    .good();
    let bytes = shop.read("slot.img");
    let trailer = slot::Trailer::parse(&bytes[bytes.len() - 65_536..]).unwrap();
    assert_eq!(trailer.commit, shop.read("commit"));
    fs::write(shop.path("signature"), ostree::signatures(&trailer.commitmeta).unwrap()[0]).unwrap();
    let said = run(
        "openssl",
        &[
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            &shop.name("public.pem"),
            "-sigfile",
            &shop.name("signature"),
            "-in",
            &shop.name("commit"),
        ],
    );
    assert!(said.contains("Verified Successfully"), "{said}");
}

#[test]
fn a_signature_made_elsewhere_can_be_attached_and_gives_the_same_slot() {
    let shop = Workshop::new("attached");
    let signed = shop.build("signed.img").good();
    shop.slot(&[
        "build",
        "--tree",
        "tree.json",
        "--spec",
        "spec.json",
        "--unsigned",
        "--commit",
        "commit",
        "--out",
        "slot.img",
        "--repo",
        "repo",
    ])
    .good();
    assert_eq!(shop.verify("slot.img").failed_check(), "signature");
    run(
        "openssl",
        &[
            "pkeyutl",
            "-sign",
            "-rawin",
            "-inkey",
            &shop.name("key.pem"),
            "-in",
            &shop.name("commit"),
            "-out",
            &shop.name("signature"),
        ],
    );
    let public = signed["signed_by"].as_str().unwrap();
    let attach = |signature: &str, public: &str| {
        shop.slot(&[
            "attach-signature",
            "--image",
            "slot.img",
            "--signature",
            signature,
            "--public-key",
            public,
            "--repo",
            "repo",
        ])
    };
    let other = shop.slot(&["keygen", "--out", "other.pem"]).good();
    assert_eq!(attach("signature", other["public_key"].as_str().unwrap()).refused(), "signature/wrong");
    assert_eq!(attach("commit", public).refused(), "signature/length");
    attach("signature", public).good();
    assert!(shop.read("slot.img") == shop.read("signed.img"));
    run("ostree", &[&format!("--repo={}", shop.name("repo")), "fsck"]);
}

#[test]
fn no_secret_is_ever_printed() {
    let shop = Workshop::new("secret");
    let pem = String::from_utf8(shop.read("key.pem")).unwrap();
    let body = pem.lines().nth(1).unwrap();
    let secret = &body[22..60];
    let runs = [
        shop.build("slot.img"),
        shop.verify("slot.img"),
        shop.slot(&["keygen", "--out", "key.pem"]),
        shop.slot(&["build", "--tree", "tree.json", "--spec", "key.pem", "--key", "key.pem", "--out", "x"]),
        shop.slot(&["build", "--tree", "key.pem", "--spec", "spec.json", "--key", "key.pem", "--out", "x"]),
        shop.slot(&["verify", "--image", "slot.img", "--keys", "key.pem"]),
    ];
    for outcome in runs {
        assert!(!outcome.report.to_string().contains(secret) && !outcome.stderr.contains(secret), "{}", outcome.stderr);
    }
}

#[test]
fn files_that_are_no_signing_keys_are_refused() {
    let shop = Workshop::new("no-key");
    run("openssl", &["genpkey", "-algorithm", "x25519", "-out", &shop.name("wrong.pem")]);
    run("openssl", &["genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", &shop.name("encrypted.pem")]);
    fs::write(shop.path("short"), [1; 31]).unwrap();
    fs::write(shop.path("contradiction"), [1; 64]).unwrap();
    for name in ["wrong.pem", "encrypted.pem", "short", "contradiction", "spec.json"] {
        let outcome = shop.slot(&["build", "--tree", "tree.json", "--spec", "spec.json", "--key", name, "--out", "slot.img"]);
        assert_eq!(outcome.refused(), "key/invalid", "{name}");
    }
    let outcome = shop.slot(&["build", "--tree", "tree.json", "--spec", "spec.json", "--key", "nothing", "--out", "slot.img"]);
    assert_eq!(outcome.refused(), "key/unreadable");
    // Neither a key nor --unsigned: the command line's fault.
    assert_eq!(shop.slot(&["build", "--tree", "tree.json", "--spec", "spec.json", "--out", "slot.img"]).code, 2);
}

/// A PE32+ file with two sections, the second of them `name`.
fn loader(name: &[u8; 8], section_bytes: u32, signature_bytes: u32) -> Vec<u8> {
    let mut bytes = vec![0xccu8; 512 + 512 + section_bytes as usize + 100];
    bytes[..512].fill(0);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3c, &64u32.to_le_bytes());
    put(64, b"PE\0\0");
    put(68, &0x8664u16.to_le_bytes());
    put(70, &2u16.to_le_bytes());
    put(84, &240u16.to_le_bytes());
    put(88, &0x20bu16.to_le_bytes());
    put(88 + 108, &16u32.to_le_bytes());
    put(88 + 112 + 36, &signature_bytes.to_le_bytes());
    for (index, (name, size, start)) in [(b".text\0\0\0", 512u32, 512u32), (name, section_bytes, 1024)].into_iter().enumerate() {
        let at = 88 + 240 + index * 40;
        put(at, name);
        put(at + 8, &size.to_le_bytes());
        put(at + 16, &size.to_le_bytes());
        put(at + 20, &start.to_le_bytes());
    }
    bytes
}

#[test]
fn keys_are_put_into_a_loader_and_nothing_else_of_it_changes() {
    let shop = Workshop::new("embed");
    shop.build("slot.img").good();
    let before = loader(b".frkeys\0", 4096, 0);
    fs::write(shop.path("loader.efi"), &before).unwrap();
    let embed = |keys: &str| shop.slot(&["embed-keys", "--loader", "loader.efi", "--out", "out.efi", "--keys", keys]);
    let report = embed("keys.json").good();
    assert_eq!(report["public_keys"][0], shop.read_json("keys.json")["keys"][0]["public_key"]);
    let after = shop.read("out.efi");
    assert!(after.len() == before.len() && after[..1024] == before[..1024] && after[5120..] == before[5120..]);
    assert!(after[1024..].starts_with(b"FRkeys01\x01\0\0\0"));
    // Whoever has the loader can check slots with it.
    shop.slot(&["verify", "--image", "slot.img", "--keys", "out.efi"]).good();
    shop.write_json("many.json", &json!({ "keys": vec![shop.read_json("keys.json")["keys"][0].clone(); 93] }));
    assert_eq!(embed("many.json").refused(), "keys/invalid");
    for public_key in ["", "12", &"0".repeat(64), &"g".repeat(64)] {
        shop.write_json("bad.json", &json!({ "keys": [{ "public_key": public_key }] }));
        assert_eq!(embed("bad.json").refused(), "keys/invalid", "{public_key}");
    }
}

#[test]
fn loaders_that_cannot_take_keys_are_refused() {
    let shop = Workshop::new("bad-loader");
    let mut twice = loader(b".frkeys\0", 4096, 0);
    twice[88 + 240..88 + 240 + 8].copy_from_slice(b".frkeys\0");
    twice[88 + 240 + 8..88 + 240 + 12].copy_from_slice(&4096u32.to_le_bytes());
    twice[88 + 240 + 16..88 + 240 + 20].copy_from_slice(&4096u32.to_le_bytes());
    let good = loader(b".frkeys\0", 4096, 0);
    let mut outside = good.clone();
    outside[88 + 280 + 20..88 + 280 + 24].copy_from_slice(&u32::MAX.to_le_bytes());
    for (what, bytes, words) in [
        ("no section", loader(b".other\0\0", 4096, 0), "has no section .frkeys"),
        ("a longer name", loader(b".frkeysX", 4096, 0), "has no section .frkeys"),
        ("two sections", twice, "more than one section"),
        ("a small section", loader(b".frkeys\0", 4095, 0), "has 4095 bytes"),
        ("signed", loader(b".frkeys\0", 4096, 1500), "is signed already"),
        ("cut off", good[..200].to_vec(), "no 64-bit PE file"),
        ("section outside", outside, "no 64-bit PE file"),
        (
            "no PE file",
            b"MZ but nothing else, not even a header that leads anywhere in this file at all".to_vec(),
            "no 64-bit PE file",
        ),
        ("empty", vec![], "no 64-bit PE file"),
    ] {
        fs::write(shop.path("loader.efi"), bytes).unwrap();
        let outcome = shop.slot(&["embed-keys", "--loader", "loader.efi", "--out", "out.efi", "--keys", "keys.json"]);
        assert!(outcome.stderr.contains(words), "{what}: {}", outcome.stderr);
        assert_eq!(outcome.refused(), "loader/invalid", "{what}");
        assert!(!shop.path("out.efi").exists());
    }
}
