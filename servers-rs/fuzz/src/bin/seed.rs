// SPDX-License-Identifier: PMPL-1.0-or-later
//! Writes the first inputs of each target to `corpus/`: sound ones, from which a fuzzer finds its way to unsound ones.

use erofs::{Contents, Entry, Kind, Options, Plan};
use ostree::{DirMeta, DirTree, FileHeader, ObjectId, signed_metadata};
use slot::{ARCHITECTURE, KeySet, Layout, Node, Release, Trailer, TrustedKey};
use std::{convert::Infallible, fs, path::Path};
use verity::Superblock;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, name, bytes) in seeds() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("the corpus can be made");
        fs::write(folder.join(name), bytes).expect("a seed can be written");
    }
}

fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let meta = DirMeta { uid: 1, gid: 2, mode: 0o040755, xattrs: vec![("user.a".into(), vec![1])] };
    let tree = DirTree {
        files: vec![("a".into(), ObjectId([1; 32]))],
        directories: vec![("d".into(), ObjectId([2; 32]), ObjectId([3; 32]))],
    };
    let file = FileHeader { mode: 0o100644, ..FileHeader::default() };
    let keys = KeySet {
        minimal_rollback_index: 3,
        keys: vec![TrustedKey { public: [5; 32], development: true, revoked: false, not_after_s: 9 }],
    };
    let commit = release().to_commit(7, ObjectId([1; 32]), ObjectId([2; 32])).to_bytes();
    let trailer = Trailer::new(&Layout::plan(32, 4).expect("a layout"), commit.clone(), signed_metadata(&[[7; 64]]))
        .to_bytes()
        .expect("a trailer");
    vec![
        ("gpt", "disk", [&[1], &disk()[..]].concat()),
        ("erofs", "image", image()),
        (
            "verity",
            "superblock",
            [&Superblock::new([1; 16], &[2; 32], 2).expect("a superblock").to_block()[..512], &[0; 3 * 4096]].concat(),
        ),
        ("ostree", "commit", commit.clone()),
        ("ostree", "commitmeta", signed_metadata(&[[7; 64]])),
        ("ostree", "dirmeta", meta.to_bytes()),
        ("ostree", "dirtree", tree.to_bytes()),
        ("ostree", "filez", file.archive_prefix(5)),
        ("ostree", "value", [&b"a(say)\0"[..], b"a\0\x01\x02\x02\x05"].concat()),
        ("slot", "commit", commit),
        ("slot", "keys", keys.to_section().expect("keys")[..64].to_vec()),
        ("slot", "trailer", trailer[..4096 + 900].to_vec()),
    ]
}

fn release() -> Release {
    Release {
        version: "1".into(),
        refs: vec!["os/dev".into()],
        architecture: ARCHITECTURE.into(),
        verity_root: [0; 32],
        verity_salt: vec![9; 32],
        data_blocks: 4,
        rollback_index: 1,
        image_uuid: [8; 16],
        nodes: vec![Node { path: "/dev/null".into(), mode: 0o20666, uid: 0, gid: 0, rdev: 0x103 }],
        hardlinks: vec![("/b".into(), "/a".into())],
        unreleased: true,
    }
}

/// 16 sectors with four entries, two of them slots. The checksums are the target's affair.
fn disk() -> Vec<u8> {
    let mut disk = vec![0u8; 16 * 512];
    let mut put = |at: usize, bytes: &[u8]| disk[at..at + bytes.len()].copy_from_slice(bytes);
    let header = |my: u64, other: u64, entries: u64| {
        let mut header = Vec::from(b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0");
        for number in [my, other, 3, 13] {
            header.extend(number.to_le_bytes());
        }
        header.extend([0x11; 16]);
        header.extend(entries.to_le_bytes());
        header.extend([4, 0, 0, 0, 128, 0, 0, 0]);
        header
    };
    put(512, &header(1, 15, 2));
    put(15 * 512, &header(15, 1, 14));
    for (index, (first, last)) in [(3u64, 5u64), (6, 8)].into_iter().enumerate() {
        let at = 1024 + index * 128;
        put(at, &gpt::types::SLOT.0);
        put(at + 16, &[index as u8 + 1; 16]);
        put(at + 32, &first.to_le_bytes());
        put(at + 40, &last.to_le_bytes());
        put(at + 48, &0x0011_0000_0000_0000u64.to_le_bytes());
        put(at + 56, b"R\0O\0O\0T\0");
    }
    disk
}

struct Fixed;

impl Contents for Fixed {
    type Error = Infallible;

    fn read(&mut self, _: usize, _: u64, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(b'x');
        Ok(())
    }
}

fn image() -> Vec<u8> {
    let entry = |path: &str, kind: Kind| Entry {
        path: path.into(),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 70_000,
        xattrs: vec![("user.a".into(), vec![1, 2])],
    };
    let entries = [
        entry("/", Kind::Directory),
        entry("/a", Kind::File { length_bytes: 5000 }),
        entry("/dir", Kind::Directory),
        entry("/dir/small", Kind::File { length_bytes: 10 }),
        entry("/dir/up", Kind::Symlink { target: "../link".into() }),
        entry("/link", Kind::Symlink { target: "/dir/small".into() }),
        entry("/null", Kind::Char { major: 1, minor: 3 }),
        Entry { xattrs: vec![], ..entry("/same", Kind::Hardlink { target: "/a".into() }) },
    ];
    let mut image = Vec::new();
    let plan = Plan::new(&entries, Options::default()).expect("a tree");
    let Ok(()) = plan.write(&mut Fixed, &mut |bytes| {
        image.extend_from_slice(bytes);
        Ok(())
    });
    image
}
