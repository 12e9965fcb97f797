// SPDX-License-Identifier: PMPL-1.0-or-later
//! The serialisation itself: examples of its specification, round trips, and refusals.

use ostree::{
    Commit, DirMeta, DirTree, Directory, DirectoryError, Fault, FileHeader, MAX_COMMIT_BYTES, MAX_SIGNATURES, ObjectId, Value,
    View, signatures, signed_metadata,
};
use proptest::{collection::vec, prelude::*};

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// The specification's examples (2.7), those that need no number: so the byte order does not matter.
#[test]
fn the_examples_of_the_specification_have_their_bytes() {
    assert_eq!(text("hello world").to_bytes(), b"hello world\0");
    let strings = Value::Array("s", ["i", "can", "has", "strings?"].map(text).to_vec());
    assert_eq!(strings.to_bytes(), b"i\0can\0has\0strings?\0\x02\x06\x0a\x13");
    let nested = Value::Tuple(vec![text("foo"), Value::Bytes(vec![1, 2])]);
    assert_eq!(nested.to_bytes(), b"foo\0\x01\x02\x04");
    let pairs = Value::Array("(sy)", vec![]);
    assert_eq!((pairs.to_bytes(), pairs.type_string().as_str()), (vec![], "a(sy)"));
    assert_eq!(Value::dictionary(vec![("a".into(), Value::Bool(true))]).to_bytes(), b"a\0\0\0\0\0\0\0\x01\0b\x02\x0c");
}

#[test]
fn offsets_grow_with_the_container() {
    for count in [1usize, 100, 126, 127, 128, 130, 21_000] {
        let value = Value::Array("s", (0..count).map(|_| text("a")).collect());
        let bytes = value.to_bytes();
        let view = View::new("as", &bytes).unwrap();
        let found: Vec<_> = view.elements(count).unwrap().map(|one| one.unwrap().text().unwrap()).collect();
        assert_eq!(found, vec!["a"; count]);
        assert_eq!(view.elements(count - 1).unwrap_err(), Fault::Limit);
    }
}

#[test]
fn values_that_are_not_what_their_type_says_are_refused() {
    assert_eq!(View::new("b", &[2]).unwrap().bool(), Err(Fault::Frame));
    assert_eq!(View::new("t", &[0; 7]).unwrap_err(), Fault::Frame);
    assert_eq!(View::new("ss", b"").unwrap_err(), Fault::Type);
    assert_eq!(View::new("x", &[0; 8]).unwrap_err(), Fault::Type);
    assert_eq!(View::new("", b"").unwrap_err(), Fault::Type);
    assert_eq!(View::new("s", b"no end").unwrap().text(), Err(Fault::Text));
    assert_eq!(View::new("s", b"mid\0dle\0").unwrap().text(), Err(Fault::Text));
    assert_eq!(View::new("s", b"\xff\0").unwrap().text(), Err(Fault::Text));
    assert_eq!(View::new("s", b"a\0").unwrap().u64(), Err(Fault::Type));
    assert_eq!(View::new("v", b"no type").unwrap().variant().unwrap_err(), Fault::Frame);
    // Offsets that lead outside, or leave no place for themselves.
    assert_eq!(View::new("as", b"a\0\x09").unwrap().elements(9).unwrap_err(), Fault::Frame);
    assert_eq!(View::new("as", b"a\0\x03").unwrap().elements(9).unwrap_err(), Fault::Frame);
    assert_eq!(View::new("(sy)", b"a\0\x01\x07").unwrap().member(0).unwrap_err(), Fault::Frame);
    assert_eq!(View::new("(sy)", b"").unwrap().member(0).unwrap_err(), Fault::Frame);
}

#[test]
fn type_strings_that_nest_or_run_too_far_are_refused() {
    assert!(View::new(&("a".repeat(15) + "y"), b"").is_ok());
    assert_eq!(View::new(&("a".repeat(40) + "y"), b"").unwrap_err(), Fault::Type);
    assert_eq!(View::new(&format!("({})", "y".repeat(80)), b"").unwrap_err(), Fault::Type);
    assert_eq!(View::new("(s", b"").unwrap_err(), Fault::Type);
}

#[test]
fn a_key_that_stands_there_twice_is_refused() {
    let entry = || Value::Entry("key".into(), Box::new(Value::Bool(true)));
    let bytes = Value::Array("{sv}", vec![entry(), entry()]).to_bytes();
    assert_eq!(View::new("a{sv}", &bytes).unwrap().lookup("key", 9).unwrap_err(), Fault::Frame);
    assert_eq!(View::new("a{sv}", &bytes).unwrap().lookup("other", 9).unwrap_err(), Fault::Missing);
}

#[test]
fn names_that_lead_out_of_a_directory_are_refused() {
    for name in ["", ".", "..", "a/b", &"n".repeat(256)] {
        let tree = DirTree { files: vec![(name.into(), ObjectId::default())], directories: vec![] };
        assert_eq!(DirTree::parse(&tree.to_bytes()), Err(Fault::Text), "{name}");
    }
    let unsorted = DirTree { files: ["b", "a"].map(|name| (name.into(), ObjectId::default())).to_vec(), directories: vec![] };
    assert_eq!(DirTree::parse(&unsorted.to_bytes()), Err(Fault::Frame));
    let mut root = Directory::default();
    assert_eq!(root.add_file("relative", ObjectId::default()), Err(DirectoryError::Name));
    assert_eq!(root.add_file("/a/b", ObjectId::default()), Err(DirectoryError::NoParent));
    root.add_file("/a", ObjectId::default()).unwrap();
    assert_eq!(root.add_directory("/a", DirMeta::default()), Err(DirectoryError::Exists));
}

#[test]
fn what_is_larger_than_its_limit_is_refused() {
    assert_eq!(Commit::parse(&vec![0; MAX_COMMIT_BYTES + 1]), Err(Fault::Limit));
    assert_eq!(signatures(&signed_metadata(&vec![[0; 64]; MAX_SIGNATURES + 1])), Err(Fault::Limit));
    assert_eq!(signatures(&vec![0; 1 << 20]), Err(Fault::Limit));
    assert_eq!(FileHeader::parse_archive_prefix(&[0xff; 64]), Err(Fault::Limit));
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let list = Value::Array("ay", vec![Value::Bytes(vec![0; 63])]);
    let bytes = Value::dictionary(vec![(ostree::SIGNATURE_KEY.into(), list)]).to_bytes();
    assert_eq!(signatures(&bytes), Err(Fault::Frame));
    assert_eq!(signatures(&Value::dictionary(vec![]).to_bytes()), Err(Fault::Missing));
}

fn commits() -> impl Strategy<Value = Commit> {
    let metadata = vec(("[a-z.]{1,20}", vec(any::<u8>(), 0..400)), 0..8);
    (metadata, any::<Option<[u8; 32]>>(), "[^\0]{0,300}", any::<u64>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(
        |(metadata, parent, subject, time, tree, meta)| {
            let pairs = metadata.into_iter().map(|(key, bytes)| (key, Value::Bytes(bytes))).collect();
            let mut commit = Commit::new(pairs, time, ObjectId(tree), ObjectId(meta));
            (commit.parent, commit.subject) = (parent.map(ObjectId), subject);
            commit
        },
    )
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("[a-zé._-]{3,40}", 0..30)
        .prop_map(|names| names.into_iter().filter(|name| name != "..").collect())
}

proptest! {
    #[test]
    fn any_commit_comes_back(commit in commits()) {
        prop_assert_eq!(Commit::parse(&commit.to_bytes()), Ok(commit));
    }

    #[test]
    fn any_directory_comes_back(files in names(), directories in names(), id: [u8; 32]) {
        let tree = DirTree {
            files: files.into_iter().map(|name| (name, ObjectId(id))).collect(),
            directories: directories.into_iter().map(|name| (name, ObjectId(id), ObjectId(id))).collect(),
        };
        prop_assert_eq!(DirTree::parse(&tree.to_bytes()), Ok(tree));
    }

    #[test]
    fn any_owner_and_attributes_come_back(uid: u32, gid: u32, mode: u32, size: u64, xattrs in proptest::collection::btree_map("[a-z.]{1,20}", vec(any::<u8>(), 0..300), 0..8)) {
        let xattrs: Vec<_> = xattrs.into_iter().collect();
        let meta = DirMeta { uid, gid, mode, xattrs: xattrs.clone() };
        prop_assert_eq!(DirMeta::parse(&meta.to_bytes()), Ok(meta));
        let header = FileHeader { uid, gid, mode, symlink_target: "target".into(), xattrs };
        let prefix = header.archive_prefix(size);
        let length = prefix.len();
        prop_assert_eq!(FileHeader::parse_archive_prefix(&prefix), Ok((header, size, length)));
    }

    #[test]
    fn mutated_commits_never_panic(commit in commits(), changes in vec((any::<usize>(), any::<u8>()), 1..12), cut: usize) {
        let mut bytes = commit.to_bytes();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut % 40);
        if let Ok(commit) = Commit::parse(&bytes) {
            let _ = commit.metadata("version");
        }
        let _ = DirTree::parse(&bytes);
        let _ = DirMeta::parse(&bytes);
        let _ = signatures(&bytes);
        let _ = FileHeader::parse_archive_prefix(&bytes);
    }

    #[test]
    fn noise_never_panics(bytes in vec(any::<u8>(), 0..300), kind in "[aybutsv(){}]{1,12}") {
        if let Ok(view) = View::new(&kind, &bytes) {
            let _ = (view.text().is_ok(), view.variant().is_ok(), view.member(1).is_ok(), view.lookup("a", 10).is_ok());
            if let Ok(elements) = view.elements(1000) {
                for one in elements.flatten() {
                    let _ = one.member(0);
                }
            }
        }
    }
}
