// SPDX-License-Identifier: PMPL-1.0-or-later
//! Images beside erofs-utils: what we write they check and extract, what they write we read.

mod common;

use common::{OPTIONS, Tree, folder, noise, run, walk};
use erofs::Kind;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Command,
};

/// One of everything, with sizes around the edges of blocks and of inline contents.
fn everything() -> Tree {
    let mut tree = Tree::new().with("/dir", Kind::Directory).with("/empty-dir", Kind::Directory).but(|entry| entry.mode = 0o1777);
    for (index, size) in
        [0, 1, 2048, 4000, 4031, 4032, 4063, 4064, 4065, 4095, 4096, 4097, 8192, 100_000, 300_000].into_iter().enumerate()
    {
        tree = tree.file(&format!("/dir/size-{size}"), &noise(size, index as u64)).but(|entry| entry.mode = 0o640);
    }
    for index in 0..500 {
        tree = tree.file(
            &format!("/dir/a-file-with-a-long-name-so-that-the-directory-has-many-blocks-{index}"),
            format!("{index}").as_bytes(),
        );
    }
    tree.file("/owned", b"x")
        .but(|entry| (entry.uid, entry.gid, entry.mode) = (1000, 65_535, 0o600))
        .file("/owned-by-large-numbers", b"y")
        .but(|entry| (entry.uid, entry.gid) = (70_000, u32::MAX - 1))
        .file("/attributes", &noise(5000, 3))
        .but(|entry| {
            entry.xattrs = vec![("user.large".into(), noise(9000, 4)), ("user.a".into(), vec![]), ("trusted.b".into(), vec![0])]
        })
        .file("/attributes-inline", b"small")
        .but(|entry| entry.xattrs = vec![("user.name".into(), b"value".to_vec()), ("security.x".into(), vec![1, 2, 3])])
        .with("/hard", Kind::Hardlink { target: "/attributes".into() })
        .with("/link", Kind::Symlink { target: "dir/size-4096".into() })
        .but(|entry| entry.mode = 0o777)
        .with("/long-link", Kind::Symlink { target: "x".repeat(4080) })
        .but(|entry| entry.mode = 0o777)
        .with("/null", Kind::Char { major: 1, minor: 3 })
        .with("/disk", Kind::Block { major: 4095, minor: 1_048_575 })
        .with("/pipe", Kind::Fifo)
}

#[test]
fn what_we_write_fsck_accepts_and_extracts_unchanged() {
    let folder = folder("extract");
    let (image, out) = (folder.join("image"), folder.join("out"));
    let tree = everything();
    fs::write(&image, tree.image()).unwrap();
    let image_name = image.to_str().unwrap();
    run("fsck.erofs", &[image_name]);
    // Modes always, owners and devices only as root: dump.erofs checks those below.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let preserve = if is_root { "--preserve" } else { "--preserve-perms" };
    run("fsck.erofs", &[&format!("--extract={}", out.display()), preserve, image_name]);
    for (entry, content) in tree.entries.iter().zip(&tree.contents) {
        let path = out.join(&entry.path[1..]);
        let found = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", entry.path));
        match &entry.kind {
            Kind::File { .. } => assert!(fs::read(&path).unwrap() == *content, "{} differs", entry.path),
            Kind::Symlink { target } => {
                assert_eq!(fs::read_link(&path).unwrap(), Path::new(target))
            }
            Kind::Hardlink { target } => {
                assert!(fs::read(&path).unwrap() == fs::read(out.join(&target[1..])).unwrap())
            }
            Kind::Directory | Kind::Fifo | Kind::Char { .. } | Kind::Block { .. } => {}
        }
        if !matches!(entry.kind, Kind::Symlink { .. } | Kind::Hardlink { .. }) {
            assert_eq!(found.permissions().mode() & 0o7777, u32::from(entry.mode), "{}", entry.path);
        }
        if is_root && !matches!(entry.kind, Kind::Hardlink { .. }) {
            assert_eq!((found.uid(), found.gid()), (entry.uid, entry.gid), "{}", entry.path);
        }
    }
    compare_with_linux(image_name, &folder.join("mounted"), &tree);
    fs::remove_dir_all(folder).unwrap();
}

/// Linux's own reader, where this machine lets us mount: by far the best witness of attributes, links and devices.
/// The other tests cover the same ground with erofs-utils, which cannot show an attribute's value.
fn compare_with_linux(image: &str, mountpoint: &Path, tree: &Tree) {
    fs::create_dir(mountpoint).unwrap();
    let mounted = Command::new("mount").args(["-o", "loop,ro", "-t", "erofs", image]).arg(mountpoint).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("this machine does not let us mount EROFS: only erofs-utils were asked");
        return;
    }
    let found: Result<(), String> = tree.entries.iter().zip(&tree.contents).try_for_each(|(entry, content)| {
        let path = mountpoint.join(&entry.path[1..]);
        let metadata = fs::symlink_metadata(&path).map_err(|error| format!("{}: {error}", entry.path))?;
        let (major, minor) = match entry.kind {
            Kind::Char { major, minor } | Kind::Block { major, minor } => (u64::from(major), u64::from(minor)),
            _ => (0, 0),
        };
        let rdev = minor & 0xff | major << 8 & 0xfff00 | (minor & !0xff) << 12;
        let same = match &entry.kind {
            Kind::Hardlink { target } => {
                metadata.ino() == fs::metadata(mountpoint.join(&target[1..])).unwrap().ino() && metadata.nlink() == 2
            }
            Kind::File { .. } => fs::read(&path).is_ok_and(|found| found == *content),
            Kind::Symlink { target } => fs::read_link(&path).is_ok_and(|found| found == Path::new(target)),
            _ => metadata.rdev() == rdev,
        };
        let owned = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777) == (entry.uid, entry.gid, u32::from(entry.mode));
        let time = (metadata.mtime(), metadata.mtime_nsec()) == (1_700_000_000, 123_456_789);
        let is_link = matches!(entry.kind, Kind::Hardlink { .. });
        let attributes =
            entry.xattrs.iter().all(|(name, value)| xattr::get(&path, name).is_ok_and(|found| found.as_ref() == Some(value)));
        if same && (is_link || owned) && time && attributes {
            Ok(())
        } else {
            Err(format!("{}: Linux sees {metadata:?}", entry.path))
        }
    });
    run("umount", &[mountpoint.to_str().unwrap()]);
    found.unwrap();
}

#[test]
fn dump_sees_owners_modes_links_attributes_and_times() {
    let folder = folder("dump");
    let image = folder.join("image");
    fs::write(&image, everything().image()).unwrap();
    let image = image.to_str().unwrap();
    let superblock = run("dump.erofs", &["-s", image]);
    for line in ["sb_csum mtime", "11111111-1111-1111-1111-111111111111"] {
        assert!(superblock.contains(line), "{superblock}");
    }
    let show = |path: &str| run("dump.erofs", &[&format!("--path={path}"), image]);
    let large = show("/owned-by-large-numbers");
    assert!(large.contains("Inode size: 64") && large.contains("Uid: 70000   Gid: 4294967294"), "{large}");
    let small = show("/owned");
    assert!(small.contains("Inode size: 32") && small.contains("Uid: 1000   Gid: 65535  Access: 0600"), "{small}");
    let attributes = show("/hard");
    // 12 of the header, then three attributes padded to 4: large 4 + 5 + 9000, a 4 + 1, b 4 + 1 + 1.
    assert!(attributes.contains("Links: 2") && attributes.contains("Xattr size: 9040"), "{attributes}");
    assert!(attributes.contains(".123456789"), "{attributes}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_mkfs_writes_we_read() {
    let folder = folder("mkfs");
    let source = folder.join("source");
    fs::create_dir_all(source.join("sub/deep")).unwrap();
    let mut files = Vec::new();
    for (index, size) in [0usize, 5, 4095, 4096, 5000, 70_000].into_iter().enumerate() {
        files.push((format!("/sub/file-{size}"), noise(size, index as u64)));
    }
    files.extend((0..400).map(|index| (format!("/sub/deep/name-{index}"), format!("{index}").into_bytes())));
    for (path, content) in &files {
        fs::write(source.join(&path[1..]), content).unwrap();
    }
    symlink("sub/file-5", source.join("link")).unwrap();
    let image = folder.join("image");
    run("mkfs.erofs", &["-T0", "-x2", "--all-root", image.to_str().unwrap(), source.to_str().unwrap()]);
    let found = walk(&fs::read(&image).unwrap()).unwrap();
    for (path, content) in &files {
        let (_, read, _) = found.iter().find(|(entry, ..)| entry.path == *path).unwrap_or_else(|| panic!("{path} is missing"));
        assert!(read == content, "{path} differs");
    }
    assert!(found.iter().any(|(entry, ..)| entry.path == "/link" && entry.kind == Kind::Symlink { target: "sub/file-5".into() }));
    assert_eq!(found.len(), files.len() + 4);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn equal_trees_in_another_order_give_equal_bytes() {
    let tree = everything();
    let mut other = tree.clone();
    other.entries.reverse();
    other.contents.reverse();
    assert!(tree.image() == other.image());
    assert_eq!(OPTIONS.epoch_ns, 123_456_789);
}
