// SPDX-License-Identifier: PMPL-1.0-or-later
//! What cannot become a slot is refused with a word for programs, a sentence for people, and no partial output.

mod common;

use common::{Workshop, names, spec};
use serde_json::{Value, json};
use std::fs;

/// The code and message of a build with a changed tree; nothing may be left of its output.
fn tree_refusal(shop: &Workshop, change: impl FnOnce(&mut Vec<Value>)) -> (String, String) {
    let mut tree = shop.read_json("tree.json");
    change(tree["entries"].as_array_mut().unwrap());
    shop.write_json("changed.json", &tree);
    let outcome = shop.slot(&["build", "--tree", "changed.json", "--spec", "spec.json", "--key", "key.pem", "--out", "out.img"]);
    let message = outcome.stderr.clone();
    let code = outcome.refused();
    assert!(!names(&shop.folder).iter().any(|name| name.starts_with("out.img")), "a partial image was left");
    (code, message)
}

#[test]
fn trees_that_cannot_be_are_refused_with_the_path_at_fault() {
    let shop = Workshop::new("trees");
    let file = |path: &str| json!({ "path": path, "kind": "file", "mode": "0644", "uid": 0, "gid": 0, "source": shop.name("spec.json") });
    let refused = |code: &str, words: &str, change: &dyn Fn(&mut Vec<Value>)| {
        let (found, message) = tree_refusal(&shop, |entries| change(entries));
        assert!(found == code && message.contains(words), "{found}: {message}");
    };
    refused("tree/order", "not sorted", &|entries| entries.swap(1, 4));
    refused("tree/order", "not sorted", &|entries| entries.insert(2, entries[1].clone()));
    refused("tree/entry", "no entry for /", &|entries| drop(entries.remove(0)));
    refused("tree/entry", "/usr/bin/a: its parent", &|entries| drop(entries.remove(11)));
    refused("tree/entry", "/zz/..: no absolute path", &|entries| entries.push(file("/zz/..")));
    refused("tree/entry", "is nothing that a hard link can lead to", &|entries| entries[13]["target"] = json!("/usr/bin"));
    refused("tree/entry", "mode 17777", &|entries| entries[2]["mode"] = json!("17777"));
    refused("tree/entry", "\"name\" cannot be stored", &|entries| entries[2]["xattrs"] = json!({ "name": "" }));
    refused("tree/mode", "\"rwx\" is no octal number", &|entries| entries[2]["mode"] = json!("rwx"));
    refused("tree/kind", "unknown kind \"door\"", &|entries| entries[2]["kind"] = json!("door"));
    refused("tree/xattr", "value of user.x is no base64", &|entries| entries[2]["xattrs"] = json!({ "user.x": "%" }));
    refused("tree/xattr", "/dev/pipe: a device or FIFO cannot have attributes", &|entries| {
        entries[6]["xattrs"] = json!({ "user.x": "" })
    });
    refused("tree/field", "/dev/null: a char needs minor", &|entries| drop(entries[5].as_object_mut().unwrap().remove("minor")));
    refused("tree/field", "a file needs source", &|entries| drop(entries[2].as_object_mut().unwrap().remove("source")));
    refused("tree/field", "a directory needs uid", &|entries| drop(entries[1].as_object_mut().unwrap().remove("uid")));
    refused("tree/source", "cannot read /nowhere/kernel: No such file", &|entries| {
        entries[3]["source"] = json!("/nowhere/kernel")
    });
    refused("tree/source", "is no regular file", &|entries| entries[3]["source"] = json!("/dev/null"));
    refused("tree/invalid", "unknown field `colour`", &|entries| entries[3]["colour"] = json!("red"));
}

#[test]
fn specs_that_cannot_be_are_refused() {
    let shop = Workshop::new("specs");
    let refused = |code: &str, words: &str, field: &str, value: Value| {
        let mut changed = spec();
        changed[field] = value;
        shop.write_json("spec.json", &changed);
        let outcome = shop.build("out.img");
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert_eq!(outcome.refused(), code);
        assert!(!shop.path("out.img").exists());
    };
    refused("spec/version", "1 to 63 printable", "version", json!(""));
    refused("spec/version", "1 to 63 printable", "version", json!("v".repeat(64)));
    refused("spec/version", "without spaces", "version", json!("1 2"));
    refused("spec/refs", "refs is empty", "refs", json!([]));
    for name in ["", "/a", "a//b", "../x", "a b", "a/.hidden", "-x"] {
        refused("spec/refs", "must be words", "refs", json!([name]));
    }
    refused("spec/partition-bytes", "no multiple of 4096", "partition_bytes", json!(4097));
    refused("spec/partition-bytes", "no multiple of 4096", "partition_bytes", json!(0));
    refused("spec/partition-too-small", "the slot needs", "partition_bytes", json!(65_536));
    refused("spec/invalid", "invalid type", "rollback_index", json!("three"));
    refused("spec/invalid", "unknown field", "colour", json!("red"));
}

#[test]
fn a_list_of_nodes_that_no_trailer_can_hold_is_refused() {
    let shop = Workshop::new("nodes");
    let (code, message) = tree_refusal(&shop, |entries| {
        entries.extend((0..2000).map(|index| {
            json!({ "path": format!("/usr/lib/zz-{index:04}-{}", "n".repeat(30)), "kind": "fifo", "mode": "0600", "uid": 0, "gid": 0 })
        }));
    });
    assert!(code == "trailer/too-large" && message.contains("fewer device nodes"), "{code}: {message}");
}

#[test]
fn files_that_are_missing_are_named() {
    let shop = Workshop::new("missing");
    let build = |tree: &str, spec: &str, out: &str| {
        shop.slot(&["build", "--tree", tree, "--spec", spec, "--key", "key.pem", "--out", out])
    };
    assert_eq!(build("nothing", "spec.json", "out.img").refused(), "tree/unreadable");
    assert_eq!(build("tree.json", "nothing", "out.img").refused(), "spec/unreadable");
    assert_eq!(build("spec.json", "spec.json", "out.img").refused(), "tree/invalid");
    assert_eq!(build("tree.json", "spec.json", "no/such/folder/out.img").refused(), "output/create");
    assert_eq!(shop.slot(&["inspect", "--image", "nothing"]).refused(), "image/open");
    assert_eq!(shop.slot(&["inspect", "--image", "tree.json"]).refused(), "slot/too-small");
    assert_eq!(shop.slot(&["verify", "--image", "tree.json", "--keys", "nothing"]).refused(), "keys/unreadable");
    assert_eq!(
        shop.slot(&["verify", "--image", "tree.json", "--offset", "999999", "--keys", "keys.json"]).refused(),
        "image/offset"
    );
    assert_eq!(shop.slot(&["verify", "--image", "tree.json", "--slot", "C", "--keys", "keys.json"]).code, 2);
}

#[test]
fn a_repository_of_another_mode_is_refused() {
    let shop = Workshop::new("mode");
    fs::create_dir(shop.path("repo")).unwrap();
    fs::write(shop.path("repo/config"), "[core]\nrepo_version=1\nmode=bare\n").unwrap();
    let outcome = shop.slot(&[
        "build",
        "--tree",
        "tree.json",
        "--spec",
        "spec.json",
        "--key",
        "key.pem",
        "--out",
        "out.img",
        "--repo",
        "repo",
    ]);
    assert_eq!(outcome.refused(), "repository/mode");
}
