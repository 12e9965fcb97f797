// SPDX-License-Identifier: PMPL-1.0-or-later
//! An overlay through calls: what is below is never changed, and looks changed.

use crate::call::{attribute, directory, mount, name, open, transfer};
use crate::errno::*;
use crate::world::{World, world};
use linux_raw_sys::general as raw;
use std::string::String;
use std::vec::Vec;

type Result<T> = core::result::Result<T, Errno>;

fn on_path(w: &mut World, handler: crate::call::Handler, path: &str, more: &[u64]) -> Result<u64> {
    let path = w.put(path.as_bytes());
    w.call(handler, &[&[path], more].concat())
}
fn write(w: &mut World, path: &str, text: &str) -> Result<()> {
    let fd = w.open(path, raw::O_CREAT | raw::O_WRONLY | raw::O_TRUNC)?;
    let bytes = w.put(text.as_bytes());
    w.call(transfer::write, &[fd, bytes, text.len() as u64])?;
    w.call(open::close, &[fd]).map(drop)
}
fn read(w: &mut World, path: &str) -> Result<String> {
    let (fd, buffer) = (w.open(path, raw::O_RDONLY)?, w.room(64));
    let n = w.call(transfer::read, &[fd, buffer, 64])?;
    w.call(open::close, &[fd])?;
    Ok(String::from_utf8(w.bytes(buffer, n as usize).to_vec()).unwrap())
}
fn moved(w: &mut World, from: &str, to: &str) -> Result<u64> {
    let (from, to) = (w.put(from.as_bytes()), w.put(to.as_bytes()));
    w.call(name::rename, &[from, to])
}
fn names(w: &mut World, path: &str) -> Vec<String> {
    let fd = w.open(path, raw::O_RDONLY | raw::O_DIRECTORY).unwrap();
    let buffer = w.room(1024);
    let n = w.call(directory::getdents64, &[fd, buffer, 1024]).unwrap() as usize;
    let (bytes, mut at, mut names) = (w.bytes(buffer, n).to_vec(), 0, Vec::new());
    while at < n {
        let length = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
        let name = bytes[at + 19..at + length].split(|byte| *byte == 0).next().unwrap();
        names.push(String::from_utf8(name.to_vec()).unwrap());
        at += length;
    }
    names.sort();
    names.split_off(2)
}

/// `/low` has `a`, `b`, `dir/x`, `dir/y`; `/merged` is an overlay of it and `/up`.
fn merged() -> World {
    let mut w = world();
    for path in ["/low", "/low/dir", "/up", "/work", "/merged"] {
        on_path(&mut w, directory::mkdir, path, &[0o755]).unwrap();
    }
    for path in ["a", "b", "dir/x", "dir/y"] {
        write(&mut w, &std::format!("/low/{path}"), path).unwrap();
    }
    let (kind, target) = (w.put(b"overlay"), w.put(b"/merged"));
    let options = w.put(b"lowerdir=/low,upperdir=/up,workdir=/work");
    w.call(mount::mount, &[kind, target, kind, 0, options]).unwrap();
    w
}

#[test]
fn a_file_is_copied_up_when_it_is_written_and_not_before() {
    let mut w = merged();
    assert_eq!(read(&mut w, "/merged/dir/x").unwrap(), "dir/x");
    assert_eq!(names(&mut w, "/up"), [""; 0]);
    on_path(&mut w, attribute::chmod, "/merged/a", &[0o600]).unwrap();
    assert_eq!(read(&mut w, "/up/a").unwrap(), "a");
    write(&mut w, "/merged/dir/x", "new").unwrap();
    assert_eq!([read(&mut w, "/merged/dir/x").unwrap(), read(&mut w, "/low/dir/x").unwrap()], ["new", "dir/x"]);
    assert_eq!(names(&mut w, "/up/dir"), ["x"]);
}

#[test]
fn what_is_taken_away_is_hidden_and_can_come_again() {
    let mut w = merged();
    assert_eq!(on_path(&mut w, name::rmdir, "/merged/dir", &[]), Err(ENOTEMPTY));
    for path in ["/merged/dir/x", "/merged/dir/y", "/merged/a"] {
        on_path(&mut w, name::unlink, path, &[]).unwrap();
    }
    assert_eq!(read(&mut w, "/merged/a"), Err(ENOENT));
    on_path(&mut w, name::rmdir, "/merged/dir", &[]).unwrap();
    assert_eq!(names(&mut w, "/merged"), ["b"]);
    assert_eq!(names(&mut w, "/low"), ["a", "b", "dir"]);
    on_path(&mut w, directory::mkdir, "/merged/dir", &[0o755]).unwrap();
    assert_eq!(names(&mut w, "/merged/dir"), [""; 0]);
    write(&mut w, "/merged/a", "again").unwrap();
    assert_eq!(read(&mut w, "/merged/a").unwrap(), "again");
}

#[test]
fn names_move_within_it_and_directories_from_below_do_not() {
    let mut w = merged();
    assert_eq!(moved(&mut w, "/merged/a", "/merged/dir/y"), Ok(0));
    assert_eq!(read(&mut w, "/merged/dir/y").unwrap(), "a");
    assert_eq!(read(&mut w, "/merged/a"), Err(ENOENT));
    assert_eq!(moved(&mut w, "/merged/dir", "/merged/other"), Err(EXDEV));
    on_path(&mut w, directory::mkdir, "/merged/made", &[0o755]).unwrap();
    write(&mut w, "/merged/made/f", "f").unwrap();
    assert_eq!(moved(&mut w, "/merged/made", "/merged/a"), Ok(0));
    assert_eq!(read(&mut w, "/merged/a/f").unwrap(), "f");
    assert_eq!(names(&mut w, "/merged"), ["a", "b", "dir"]);
}

#[test]
fn without_an_upper_layer_nothing_is_written() {
    let mut w = merged();
    let (kind, target, options) = (w.put(b"overlay"), w.put(b"/work"), w.put(b"lowerdir=/up:/low"));
    assert_eq!(w.call(mount::mount, &[kind, target, kind, 0, options]), Ok(0));
    assert_eq!(read(&mut w, "/work/b").unwrap(), "b");
    assert_eq!(write(&mut w, "/work/b", "x"), Err(EROFS));
    let bad = w.put(b"upperdir=/up");
    assert_eq!(w.call(mount::mount, &[kind, target, kind, 0, bad]), Err(EINVAL));
}
