// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls of files through guest memory: what they answer, and how they refuse.

use super::*;
use crate::errno::*;
use crate::world::{World, world};
use linux_raw_sys::general as raw;

const HERE: u64 = raw::AT_FDCWD as u64;

impl World {
    pub fn open(&mut self, path: &str, flags: u32) -> core::result::Result<u64, Errno> {
        let path = self.put(path.as_bytes());
        self.call(open::openat, &[HERE, path, flags.into(), 0o644])
    }
    fn with_path(&mut self, handler: Handler, path: &str, more: &[u64]) -> core::result::Result<u64, Errno> {
        let path = self.put(path.as_bytes());
        self.call(handler, &[&[path], more].concat())
    }
    fn with_paths(&mut self, handler: Handler, one: &str, other: &str) -> core::result::Result<u64, Errno> {
        let (one, other) = (self.put(one.as_bytes()), self.put(other.as_bytes()));
        self.call(handler, &[one, other])
    }
    fn write(&mut self, fd: u64, bytes: &str) -> core::result::Result<u64, Errno> {
        let buffer = self.put(bytes.as_bytes());
        self.call(transfer::write, &[fd, buffer, bytes.len() as u64])
    }
    fn read(&mut self, fd: u64, length: usize) -> core::result::Result<std::string::String, Errno> {
        let buffer = self.room(length);
        let n = self.call(transfer::read, &[fd, buffer, length as u64])?;
        Ok(std::string::String::from_utf8_lossy(self.bytes(buffer, n as usize)).into_owned())
    }
    fn list(&mut self, path: &str) -> std::vec::Vec<std::string::String> {
        let fd = self.open(path, raw::O_RDONLY | raw::O_DIRECTORY).unwrap();
        let (mut names, buffer) = (std::vec::Vec::new(), self.room(64));
        loop {
            // Small on purpose: it must go on where it was.
            let n = self.call(directory::getdents64, &[fd, buffer, 64]).unwrap() as usize;
            if n == 0 {
                self.call(open::close, &[fd]).unwrap();
                return names;
            }
            let bytes = self.bytes(buffer, n).to_vec();
            let mut at = 0;
            while at < n {
                let length = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
                let name = bytes[at + 19..at + length].split(|byte| *byte == 0).next().unwrap();
                names.push(std::string::String::from_utf8(name.to_vec()).unwrap());
                at += length;
            }
        }
    }
}

const NEW: u32 = raw::O_CREAT | raw::O_RDWR;

#[test]
fn a_file_is_made_written_read_and_the_lowest_descriptor_is_taken() {
    let mut w = world();
    assert_eq!(w.open("/f", NEW | raw::O_EXCL), Ok(0));
    assert_eq!(w.write(0, "hello"), Ok(5));
    assert_eq!(w.call(seek::lseek, &[0, 1, raw::SEEK_SET.into()]), Ok(1));
    assert_eq!(w.read(0, 99).unwrap(), "ello");
    assert_eq!(w.open("/f", NEW | raw::O_EXCL), Err(EEXIST));
    assert_eq!([w.open("f", 0), w.open("./f", 0)], [Ok(1), Ok(2)]);
    w.call(open::close, &[1]).unwrap();
    assert_eq!(w.call(descriptor::dup, &[0]), Ok(1));
    assert_eq!(w.call(open::close, &[7]), Err(EBADF));
    assert_eq!(w.write(2, "x"), Err(EBADF));
}

#[test]
fn names_are_walked_as_linux_walks_them() {
    let mut w = world();
    for directory in ["/a", "/a/b", "/a/b/c/"] {
        w.with_path(directory::mkdir, directory, &[0o755]).unwrap();
    }
    w.open("/a/b/file", NEW).unwrap();
    w.with_paths(name::symlink, "b/./../b", "/a/link").unwrap();
    w.with_paths(name::symlink, "loop", "/loop").unwrap();
    w.with_paths(name::symlink, "/a/none", "/dangling").unwrap();
    assert!(w.open("/a/link/file", 0).is_ok());
    assert!(w.open("/a/b/c/../../../../..//a/b/file", 0).is_ok());
    assert_eq!(w.open("/a/b/file/", 0), Err(ENOTDIR));
    assert_eq!(w.open("/a/b/file/x", 0), Err(ENOTDIR));
    assert_eq!(w.open("/a/x/file", 0), Err(ENOENT));
    assert_eq!(w.open("/loop", 0), Err(ELOOP));
    assert_eq!(w.open("/a/link", raw::O_NOFOLLOW), Err(ELOOP));
    assert_eq!(w.open("", 0), Err(ENOENT));
    assert_eq!(w.open("/a", raw::O_WRONLY), Err(EISDIR));
    assert_eq!(w.open("/a/b/new/", NEW), Err(EISDIR));
    assert_eq!(w.open(&"x/".repeat(2100), 0), Err(ENAMETOOLONG));
    assert_eq!(w.open(&"x".repeat(256), 0), Err(ENAMETOOLONG));
    assert!(w.open("/dangling", NEW).is_ok());
    assert!(w.open("/a/none", 0).is_ok());
    assert_eq!(w.open("/dangling", NEW | raw::O_EXCL), Err(EEXIST));
}

#[test]
fn a_directory_is_listed_in_pieces_and_told_by_its_path() {
    let mut w = world();
    w.with_path(directory::mkdir, "/d", &[0o755]).unwrap();
    for name in ["/d/one", "/d/two", "/d/three"] {
        w.open(name, NEW).unwrap();
    }
    assert_eq!(w.list("/d"), [".", "..", "one", "two", "three"]);
    w.with_path(directory::chdir, "/d", &[]).unwrap();
    let buffer = w.room(64);
    assert_eq!(w.call(directory::getcwd, &[buffer, 64]), Ok(3));
    assert_eq!(w.bytes(buffer, 3), b"/d\0");
    assert_eq!(w.call(directory::getcwd, &[buffer, 2]), Err(ERANGE));
    w.with_paths(name::rename, "/d", "/e").unwrap();
    w.call(directory::getcwd, &[buffer, 64]).unwrap();
    assert_eq!(w.bytes(buffer, 3), b"/e\0");
    let fd = w.open("/e", 0).unwrap();
    assert_eq!(w.call(directory::getdents64, &[fd, buffer, 8]), Err(EINVAL));
}

#[test]
fn renaming_replaces_exchanges_and_refuses() {
    let mut w = world();
    for directory in ["/a", "/a/b", "/full", "/full/x", "/empty"] {
        w.with_path(directory::mkdir, directory, &[0o755]).unwrap();
    }
    w.open("/f", NEW).unwrap();
    w.open("/g", NEW).unwrap();
    assert_eq!(w.with_paths(name::rename, "/a", "/a/b/c"), Err(EINVAL));
    assert_eq!(w.with_paths(name::rename, "/a", "/full"), Err(ENOTEMPTY));
    assert_eq!(w.with_paths(name::rename, "/a", "/f"), Err(ENOTDIR));
    assert_eq!(w.with_paths(name::rename, "/f", "/a"), Err(EISDIR));
    assert_eq!(w.with_paths(name::rename, "/none", "/a"), Err(ENOENT));
    assert_eq!(w.with_paths(name::rename, "/a", "/empty"), Ok(0));
    assert_eq!(w.with_paths(name::link, "/f", "/h"), Ok(0));
    let (f, g) = (w.put(b"/f"), w.put(b"/g"));
    let with = |flags: u32| [HERE, f, HERE, g, flags.into()];
    assert_eq!(w.call(name::renameat2, &with(raw::RENAME_NOREPLACE)), Err(EEXIST));
    assert_eq!(w.call(name::renameat2, &with(raw::RENAME_EXCHANGE)), Ok(0));
    assert_eq!(w.call(name::renameat2, &with(raw::RENAME_WHITEOUT)), Err(EINVAL));
    assert_eq!(w.with_paths(name::rename, "/g", "/h"), Ok(0));
    assert_eq!(w.with_path(name::unlink, "/g", &[]), Ok(0));
    assert_eq!(w.list("/empty"), [".", "..", "b"]);
    assert_eq!(w.with_path(name::unlink, "/empty", &[]), Err(EISDIR));
    assert_eq!(w.with_path(name::rmdir, "/empty", &[]), Err(ENOTEMPTY));
    assert_eq!(w.with_path(name::rmdir, "/empty/.", &[]), Err(EINVAL));
    assert_eq!(w.with_path(name::rmdir, "/h", &[]), Err(ENOTDIR));
}

#[test]
fn permissions_are_the_callers() {
    let mut w = world();
    w.with_path(directory::mkdir, "/tmp", &[0]).unwrap();
    w.with_path(attribute::chmod, "/tmp", &[0o1777]).unwrap();
    w.open("/secret", NEW).unwrap();
    w.with_path(attribute::chmod, "/secret", &[0o600]).unwrap();
    w.open("/tmp/roots", NEW).unwrap();
    w.credentials =
        crate::task::credentials::Credentials { uid: 5, euid: 5, fsuid: 5, gid: 5, fsgid: 5, effective: 0, ..w.credentials };
    assert_eq!(w.open("/secret", 0), Err(EACCES));
    assert_eq!(w.open("/new", NEW), Err(EACCES));
    assert_eq!(w.with_path(name::unlink, "/tmp/roots", &[]), Err(EPERM));
    assert!(w.open("/tmp/mine", NEW).is_ok());
    assert_eq!(w.with_path(attribute::chown, "/tmp/mine", &[0, 0]), Err(EPERM));
    assert_eq!(w.with_path(attribute::access, "/secret", &[4]), Err(EACCES));
    assert_eq!(w.with_path(attribute::access, "/secret", &[8]), Err(EINVAL));
    assert_eq!(w.with_path(directory::chroot, "/tmp", &[]), Err(EPERM));
}

#[test]
fn openat2_keeps_a_path_where_it_was_told() {
    let mut w = world();
    for directory in ["/jail", "/jail/in"] {
        w.with_path(directory::mkdir, directory, &[0o755]).unwrap();
    }
    w.open("/outside", NEW).unwrap();
    w.open("/jail/outside", NEW).unwrap();
    w.with_paths(name::symlink, "/outside", "/jail/abs").unwrap();
    w.with_paths(name::symlink, "../../outside", "/jail/in/up").unwrap();
    let jail = w.open("/jail", raw::O_PATH).unwrap();
    let mut try_it = |path: &str, resolve: u32| {
        let path = w.put(path.as_bytes());
        let how = w.put(&[0u64, 0, resolve.into()].map(u64::to_le_bytes).concat());
        w.call(open::openat2, &[jail, path, how, 24]).map(|_| ())
    };
    assert_eq!(try_it("../outside", raw::RESOLVE_BENEATH), Err(EXDEV));
    assert_eq!(try_it("abs", raw::RESOLVE_BENEATH), Err(EXDEV));
    assert_eq!(try_it("in/up", raw::RESOLVE_BENEATH), Err(EXDEV));
    assert_eq!(try_it("in/../in", raw::RESOLVE_BENEATH), Ok(()));
    assert_eq!(try_it("in/up", raw::RESOLVE_IN_ROOT), Ok(()));
    assert_eq!(try_it("abs", raw::RESOLVE_IN_ROOT), Ok(()));
    assert_eq!(try_it("abs", raw::RESOLVE_NO_SYMLINKS), Err(ELOOP));
    assert_eq!(try_it("in", raw::RESOLVE_BENEATH | raw::RESOLVE_IN_ROOT), Err(EINVAL));
    assert_eq!(try_it("in", 1 << 20), Err(EINVAL));
}

fn pipe(w: &mut World, flags: u32) -> (u64, u64) {
    let pair = w.room(8);
    w.call(pipe::pipe2, &[pair, flags.into()]).unwrap();
    let bytes = w.bytes(pair, 8);
    (u64::from(bytes[0]), u64::from(bytes[4]))
}

#[test]
fn a_pipe_waits_ends_and_breaks() {
    let mut w = world();
    let (read, write) = pipe(&mut w, 0);
    let buffer = w.room(8);
    assert!(w.blocks(transfer::read, &[read, buffer, 8]));
    w.progress = Default::default();
    w.write(write, "abc").unwrap();
    assert_eq!(w.waker.0.load(core::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(w.read(read, 8).unwrap(), "abc");
    w.call(open::close, &[write]).unwrap();
    assert_eq!(w.read(read, 8).unwrap(), "");
    let (read, write) = pipe(&mut w, raw::O_NONBLOCK);
    assert_eq!(w.read(read, 1), Err(EAGAIN));
    w.call(open::close, &[read]).unwrap();
    assert_eq!(w.write(write, "x"), Err(EPIPE));
    assert_eq!(w.signals.take()[0].signal, raw::SIGPIPE);
}

#[test]
fn a_long_write_goes_on_where_it_was_and_a_short_one_is_whole_or_not_at_all() {
    let mut w = world();
    let (read, write) = pipe(&mut w, 0);
    let long = w.room(100_000);
    assert!(w.blocks(transfer::write, &[write, long, 100_000]));
    let buffer = w.room(65_536);
    assert_eq!(w.progress.done, 65_536);
    let saved = core::mem::take(&mut w.progress);
    assert_eq!(w.call(transfer::read, &[read, buffer, 65_536]), Ok(65_536));
    w.progress = saved;
    assert_eq!(w.call(transfer::write, &[write, long, 100_000]), Ok(100_000));
    w.call(descriptor::fcntl, &[write, raw::F_SETFL.into(), raw::O_NONBLOCK.into()]).unwrap();
    assert_eq!(w.call(transfer::write, &[write, long, 40_000]), Ok(65_536 - (100_000 - 65_536)));
    w.call(transfer::read, &[read, buffer, 100]).unwrap();
    assert_eq!(w.call(transfer::write, &[write, long, 4096]), Err(EAGAIN));
    assert_eq!(w.call(transfer::write, &[write, long, 4097]), Ok(100));
}

#[test]
fn a_fifo_opens_when_its_other_end_does() {
    let mut w = world();
    w.with_path(name::mknod, "/fifo", &[u64::from(raw::S_IFIFO | 0o644)]).unwrap();
    assert_eq!(w.open("/fifo", raw::O_WRONLY | raw::O_NONBLOCK), Err(ENXIO));
    let path = w.put(b"/fifo");
    let arguments = [HERE, path, raw::O_RDONLY.into(), 0];
    assert!(w.blocks(open::openat, &arguments));
    let (progress, pending) = (core::mem::take(&mut w.progress), w.pending.take());
    let write = w.open("/fifo", raw::O_WRONLY).unwrap();
    (w.progress, w.pending) = (progress, pending);
    let read = w.call(open::openat, &arguments).unwrap();
    w.write(write, "through").unwrap();
    assert_eq!(w.read(read, 99).unwrap(), "through");
}

#[test]
fn bad_pointers_and_descriptors_change_nothing() {
    let mut w = world();
    let fd = w.open("/f", NEW).unwrap();
    w.write(fd, "data").unwrap();
    for row in crate::table::all() {
        let crate::table::Serve::File(handler) = row.serve else { continue };
        let before = w.files.lock().numbers().count();
        for bad in [0, 1, u64::MAX, 1 << 63, i64::MAX as u64] {
            let outcome = w.outcome(handler, &[bad; 6]);
            // Waiting for nothing, for ever, is no mistake.
            let may_wait = bad == 0 && ["ppoll", "pselect6", "select"].contains(&row.name);
            assert!(may_wait || matches!(outcome, crate::wait::Outcome::Done(_)), "{} {bad:x}", row.name);
            w.progress = Default::default();
        }
        let allowed = [
            "dup",
            "dup2",
            "close",
            "close_range",
            "fcntl",
            "dup3",
            "eventfd",
            "eventfd2",
            "epoll_create",
            "epoll_create1",
            "timerfd_create",
            "inotify_init",
            "inotify_init1",
            "socket",
        ]
        .contains(&row.name);
        assert!(allowed || w.files.lock().numbers().count() == before, "{}", row.name);
        if w.files.lock().get(0).is_err() {
            w.open("/f", NEW).unwrap();
        }
    }
}

#[test]
fn copies_between_descriptors_lose_nothing() {
    let mut w = world();
    let from = w.open("/from", NEW).unwrap();
    let to = w.open("/to", NEW).unwrap();
    w.write(from, "0123456789").unwrap();
    let offset = w.put(&2u64.to_le_bytes());
    assert_eq!(w.call(copy::copy_file_range, &[from, offset, to, 0, 3, 0]), Ok(3));
    assert_eq!(w.bytes(offset, 8), 5u64.to_le_bytes());
    let (read, write) = pipe(&mut w, 0);
    assert_eq!(w.call(copy::sendfile, &[write, from, offset, 99]), Ok(5));
    let (second, second_write) = pipe(&mut w, 0);
    assert_eq!(w.call(copy::tee, &[read, second_write, 99, 0]), Ok(5));
    assert_eq!(w.call(copy::splice, &[read, 0, to, 0, 99, 0]), Ok(5));
    assert_eq!(w.read(second, 99).unwrap(), "56789");
    w.call(seek::lseek, &[to, 0, 0]).unwrap();
    assert_eq!(w.read(to, 99).unwrap(), "23456789");
    assert_eq!(w.call(copy::splice, &[from, 0, to, 0, 1, 0]), Err(EINVAL));
}

#[test]
fn attributes_are_set_listed_and_refused() {
    let mut w = world();
    w.open("/f", NEW).unwrap();
    let (path, name, value) = (w.put(b"/f"), w.put(b"user.a"), w.put(b"value"));
    let other = w.put(b"nobody.a");
    let set = [path, name, value, 5, 0];
    assert_eq!(w.call(xattr::setxattr, &[path, name, value, 5, raw::XATTR_REPLACE.into()]), Err(ENODATA));
    assert_eq!(w.call(xattr::setxattr, &set), Ok(0));
    assert_eq!(w.call(xattr::setxattr, &[path, name, value, 5, raw::XATTR_CREATE.into()]), Err(EEXIST));
    assert_eq!(w.call(xattr::setxattr, &[path, other, value, 5, 0]), Err(EOPNOTSUPP));
    let buffer = w.room(16);
    assert_eq!(w.call(xattr::getxattr, &[path, name, buffer, 2]), Err(ERANGE));
    assert_eq!(w.call(xattr::getxattr, &[path, name, 0, 0]), Ok(5));
    assert_eq!(w.call(xattr::listxattr, &[path, buffer, 16]), Ok(7));
    assert_eq!(w.bytes(buffer, 7), b"user.a\0");
    assert_eq!(w.call(xattr::removexattr, &[path, name]), Ok(0));
    assert_eq!(w.call(xattr::getxattr, &[path, name, 0, 0]), Err(ENODATA));
}

#[test]
fn record_locks_are_a_process_s_and_go_with_any_close() {
    let mut w = world();
    let fd = w.open("/f", NEW).unwrap();
    let second = w.open("/f", NEW).unwrap();
    // l_type, l_whence, l_start, l_len, l_pid
    let lock =
        |kind: u32| [&(kind as u16).to_le_bytes()[..], &[0; 6], &0u64.to_le_bytes(), &10u64.to_le_bytes(), &[0; 8]].concat();
    let wanted = w.put(&lock(raw::F_WRLCK));
    assert_eq!(w.call(descriptor::fcntl, &[fd, raw::F_SETLK.into(), wanted]), Ok(0));
    w.ids.pid = 11;
    assert_eq!(w.call(descriptor::fcntl, &[second, raw::F_SETLK.into(), wanted]), Err(EAGAIN));
    assert_eq!(w.call(descriptor::fcntl, &[second, raw::F_GETLK.into(), wanted]), Ok(0));
    assert_eq!(w.bytes(wanted + 24, 4), 10u32.to_le_bytes());
    w.ids.pid = 10;
    w.call(open::close, &[second]).unwrap();
    let second = w.open("/f", NEW).unwrap();
    w.ids.pid = 11;
    let wanted = w.put(&lock(raw::F_WRLCK));
    assert_eq!(w.call(descriptor::fcntl, &[second, raw::F_SETLKW.into(), wanted]), Ok(0));
    assert_eq!(w.call(lock::flock, &[fd, raw::LOCK_EX.into()]), Ok(0));
    assert_eq!(w.call(lock::flock, &[second, u64::from(raw::LOCK_SH | raw::LOCK_NB)]), Err(EAGAIN));
    assert!(w.blocks(lock::flock, &[second, raw::LOCK_SH.into()]));
}

#[test]
fn the_limit_of_descriptors_holds() {
    let mut w = world();
    w.limits.set(raw::RLIMIT_NOFILE, crate::task::limits::Limit { soft: 2, hard: 2 });
    assert_eq!([w.open("/f", NEW), w.open("/f", NEW), w.open("/f", NEW)], [Ok(0), Ok(1), Err(EMFILE)]);
    assert_eq!(w.call(descriptor::dup2, &[0, 2]), Err(EBADF));
    assert_eq!(w.call(descriptor::fcntl, &[0, raw::F_DUPFD.into(), 2]), Err(EINVAL));
}

#[test]
fn a_size_limit_stops_a_write_and_says_so_with_a_signal() {
    let mut w = world();
    w.limits.set(raw::RLIMIT_FSIZE, crate::task::limits::Limit { soft: 3, hard: 3 });
    let fd = w.open("/f", NEW).unwrap();
    assert_eq!(w.write(fd, "12345"), Ok(3));
    assert_eq!(w.write(fd, "6"), Err(EFBIG));
    assert_eq!(w.signals.take()[0].signal, raw::SIGXFSZ);
}
