// SPDX-License-Identifier: PMPL-1.0-or-later
//! Beside the stock `ostree`: its objects are read and come out of our writers with the same bytes and ids;
//! a repository that we write it checks, lists and checks out. Run with the feature `archive`.
#![cfg(feature = "archive")]

use ostree::{
    Commit, DirMeta, DirTree, Directory, FileHasher, FileHeader, ObjectId, ObjectKind, Value,
    archive::{CONFIG, DIRECTORIES, FilezWriter},
    signatures, signed_metadata,
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

fn run(arguments: &[&str]) -> String {
    let output = Command::new("ostree").args(arguments).output().expect("ostree (package ostree)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "ostree {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("flatracoon-ostree-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Every object of a repository: id, extension, bytes.
fn objects(repository: &Path) -> Vec<(ObjectId, String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(repository.join("objects")).unwrap() {
        let folder = folder.unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let name = folder.file_name().into_string().unwrap() + &file.file_name().into_string().unwrap();
            let (id, extension) = name.split_once('.').unwrap();
            found.push((ObjectId::from_hex(id).unwrap(), extension.to_string(), fs::read(file.path()).unwrap()));
        }
    }
    found
}

fn inflate(compressed: &[u8]) -> Vec<u8> {
    miniz_oxide::inflate::decompress_to_vec(compressed).unwrap()
}

#[test]
fn objects_of_the_stock_tool_are_read_and_written_again_with_the_same_bytes() {
    let folder = folder("theirs");
    let (source, repository) = (folder.join("source"), folder.join("repo"));
    fs::create_dir_all(source.join("usr/empty")).unwrap();
    fs::write(source.join("usr/file"), vec![b'x'; 100_000]).unwrap();
    fs::write(source.join("nothing"), b"").unwrap();
    symlink("usr/file", source.join("link")).unwrap();
    // Enough names that framing offsets take two bytes.
    (0..40).for_each(|index| fs::write(source.join(format!("usr/name-{index}")), format!("{index}")).unwrap());
    let at = format!("--repo={}", repository.display());
    run(&[&at, "init", "--mode=archive"]);
    run(&[
        &at,
        "commit",
        "-b",
        "os/x86_64/dev",
        "-s",
        "subject",
        "-m",
        "body",
        "--add-metadata-string=version=1",
        source.to_str().unwrap(),
    ]);
    run(&[&at, "commit", "-b", "os/x86_64/dev", "-s", "child", source.to_str().unwrap()]);
    let mut seen = std::collections::BTreeMap::new();
    for (id, extension, bytes) in objects(&repository) {
        *seen.entry(extension.clone()).or_insert(0) += 1;
        let (again, its_id) = match extension.as_str() {
            "commit" => (Commit::parse(&bytes).unwrap().to_bytes(), ObjectId::of(&bytes)),
            "dirtree" => (DirTree::parse(&bytes).unwrap().to_bytes(), ObjectId::of(&bytes)),
            "dirmeta" => (DirMeta::parse(&bytes).unwrap().to_bytes(), ObjectId::of(&bytes)),
            "filez" => {
                let (header, size, start) = FileHeader::parse_archive_prefix(&bytes).unwrap();
                let content = if header.symlink_target.is_empty() { inflate(&bytes[start..]) } else { vec![] };
                assert_eq!(content.len() as u64, size);
                let mut hasher = FileHasher::new(&header);
                content.chunks(777).for_each(|chunk| hasher.update(chunk));
                let prefix = header.archive_prefix(size);
                ([&prefix[..], &bytes[start..]].concat(), hasher.finish())
            }
            other => panic!("unexpected object .{other}"),
        };
        assert!(again == bytes, "{id}.{extension} came out different");
        assert_eq!(its_id, id, "{extension}");
    }
    assert!(seen["commit"] == 2 && seen["filez"] == 43 && seen["dirtree"] == 3, "{seen:?}");
    fs::remove_dir_all(folder).unwrap();
}

fn put(repository: &Path, path: &str, bytes: &[u8]) {
    let path = repository.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn filez(header: &FileHeader, content: &[u8]) -> Vec<u8> {
    let mut writer = FilezWriter::new(header, content.len() as u64);
    let mut bytes = Vec::new();
    for chunk in content.chunks(1000) {
        writer.push(chunk);
        bytes.extend(writer.take());
    }
    bytes.extend(writer.finish());
    bytes
}

/// Writes a repository with one commit, returns its id.
fn write_repository(repository: &Path) -> ObjectId {
    DIRECTORIES.iter().for_each(|folder| fs::create_dir_all(repository.join(folder)).unwrap());
    put(repository, "config", CONFIG.as_bytes());
    let meta = |mode| DirMeta { uid: 0, gid: 0, mode, xattrs: vec![("user.d".into(), vec![1])] };
    let mut root = Directory::new(meta(0o040755));
    root.add_directory("/etc", meta(0o040700)).unwrap();
    let content: Vec<u8> = (0..300_000u32).map(|index| (index % 251) as u8).collect();
    for (path, content) in [("/etc/large", &content[..]), ("/empty", b""), ("/small", b"hello\n")] {
        let xattrs = vec![("user.b".into(), b"2".to_vec()), ("user.a".into(), b"1".to_vec())];
        let header = FileHeader { uid: 5, gid: 6, mode: 0o100644, symlink_target: String::new(), xattrs };
        let mut hasher = FileHasher::new(&header);
        hasher.update(content);
        let id = hasher.finish();
        put(repository, &id.path(ObjectKind::File), &filez(&header, content));
        root.add_file(path, id).unwrap();
    }
    let link = FileHeader { mode: 0o120777, symlink_target: "etc/large".into(), ..FileHeader::default() };
    let id = FileHasher::new(&link).finish();
    put(repository, &id.path(ObjectKind::File), &link.archive_prefix(0));
    root.add_file("/link", id).unwrap();
    let (tree, meta) = root.objects(&mut |object| put(repository, &object.id.path(object.kind), &object.bytes));
    let refs = Value::Array("s", vec![Value::Text("os/dev".into())]);
    let metadata =
        vec![("version".into(), Value::Text("7".into())), ("ostree.ref-binding".into(), refs), ("t".into(), Value::U64(0x0102))];
    let commit = Commit::new(metadata, 1_700_000_000, tree, meta).to_bytes();
    let id = ObjectId::of(&commit);
    put(repository, &id.path(ObjectKind::Commit), &commit);
    put(repository, &id.path(ObjectKind::CommitMeta), &signed_metadata(&[[7; 64]]));
    put(repository, "refs/heads/os/dev", format!("{id}\n").as_bytes());
    id
}

#[test]
fn a_repository_that_we_write_the_stock_tool_checks_lists_and_checks_out() {
    let folder = folder("ours");
    let repository = folder.join("repo");
    let commit = write_repository(&repository);
    let at = format!("--repo={}", repository.display());
    assert!(run(&[&at, "fsck"]).contains("no errors found"));
    assert_eq!(run(&[&at, "rev-parse", "os/dev"]).trim(), commit.to_string());
    assert!(run(&[&at, "show", "os/dev"]).contains("Version: 7"));
    // Numbers of ours are big endian, which is what this tool takes them for.
    assert!(run(&[&at, "show", "--print-metadata-key=t", "os/dev"]).contains("uint64 258"));
    let list = run(&[&at, "ls", "-R", "-X", "-C", "os/dev"]);
    assert!(
        list.contains("/etc/large")
            && list.contains("-00644 5 6")
            && list.contains("d00700 0 0")
            && list.contains("(b'user.a', [byte 0x31])"),
        "{list}"
    );
    let out = folder.join("out");
    run(&[&at, "checkout", "-U", "os/dev", out.to_str().unwrap()]);
    assert_eq!(fs::read(out.join("etc/large")).unwrap().len(), 300_000);
    assert_eq!(fs::read(out.join("small")).unwrap(), b"hello\n");
    assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("etc/large"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_flipped_bit_of_a_file_is_found_by_the_stock_tool() {
    let folder = folder("flipped");
    let repository = folder.join("repo");
    write_repository(&repository);
    let (id, ..) =
        objects(&repository).into_iter().find(|(_, extension, bytes)| extension == "filez" && bytes.len() > 400).unwrap();
    let path = repository.join(id.path(ObjectKind::File));
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = Command::new("ostree").args([&format!("--repo={}", repository.display()), "fsck"]).output().unwrap();
    assert!(!output.status.success());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_with_one_signature_has_the_known_size() {
    let bytes = signed_metadata(&[[7; 64]]);
    // 64 and an offset, a zero and the type, the key and its padding, the framing.
    assert_eq!(bytes.len(), 95);
    assert_eq!(signatures(&bytes), Ok(vec![[7; 64]]));
}
