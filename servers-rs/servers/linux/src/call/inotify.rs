// SPDX-License-Identifier: PMPL-1.0-or-later
//! inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).

use super::Context;
use super::argument::{at, call, flags, usable_file};
use super::open::install;
use crate::errno::{EINVAL, ENOTDIR, Result};
use crate::fs::inotify::Inotify;
use crate::vfs::{How, Kind, OpenFile, Want};
use alloc::sync::Arc;
use core::any::Any;
use linux_raw_sys::general as raw;

fn make(cx: &Context<'_>, flags: u32) -> Result<u64> {
    install(cx, OpenFile::unnamed(Arc::new(Inotify::default()), raw::O_RDONLY | flags & raw::O_NONBLOCK), flags & raw::O_CLOEXEC)
}
call!(inotify_init | cx, _ | { make(cx, 0) });
call!(
    inotify_init1 | cx,
    a | {
        let flags = flags(a[0], raw::IN_CLOEXEC | raw::IN_NONBLOCK)?;
        make(cx, flags)
    }
);

fn instance(cx: &Context<'_>, fd: u64) -> Result<Arc<Inotify>> {
    let file: Arc<dyn Any + Send + Sync> = usable_file(cx, fd)?.file.clone();
    file.downcast().map_err(|_| EINVAL)
}

call!(
    inotify_add_watch | cx,
    a | {
        let mask = a[2] as u32;
        let inotify = instance(cx, a[0])?;
        let at = at(cx, raw::AT_FDCWD as u64, a[1])?;
        let place = at.find(cx, How::follow_if(mask & raw::IN_DONT_FOLLOW == 0))?;
        let owner = place.inode.owner()?;
        if mask & raw::IN_ONLYDIR != 0 && owner.kind() != Kind::Directory {
            return Err(ENOTDIR);
        }
        cx.caller().may(&owner, Want::READ)?;
        inotify.watch(&place.inode, mask)
    }
);
call!(inotify_rm_watch | cx, a | { instance(cx, a[0])?.forget(a[1] as i32).map(|()| 0) });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{directory, name, open, transfer};
    use crate::errno::{EAGAIN, Errno};
    use crate::world::{World, world};
    use std::string::String;
    use std::vec::Vec;

    /// Watch, mask and name of each event.
    fn events(w: &mut World, fd: u64) -> core::result::Result<Vec<(u32, u32, String)>, Errno> {
        let buffer = w.room(1024);
        let n = w.call(transfer::read, &[fd, buffer, 1024])? as usize;
        let (bytes, mut at, mut all) = (w.bytes(buffer, n).to_vec(), 0, Vec::new());
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        while at < n {
            let length = word(at + 12) as usize;
            let name = bytes[at + 16..at + 16 + length].split(|byte| *byte == 0).next().unwrap_or_default();
            all.push((word(at), word(at + 4), String::from_utf8(name.to_vec()).unwrap()));
            at += 16 + length;
        }
        Ok(all)
    }

    #[test]
    fn a_directory_tells_what_happens_in_it() {
        let mut w = world();
        let (path, file, other) = (w.put(b"/d"), w.put(b"/d/f"), w.put(b"/d/g"));
        w.call(directory::mkdir, &[path, 0o755]).unwrap();
        let fd = w.call(inotify_init1, &[raw::IN_NONBLOCK.into()]).unwrap();
        let mask = raw::IN_CREATE | raw::IN_MODIFY | raw::IN_CLOSE_WRITE | raw::IN_MOVED_FROM | raw::IN_MOVED_TO | raw::IN_DELETE;
        assert_eq!(w.call(inotify_add_watch, &[fd, path, mask.into()]), Ok(1));
        assert_eq!(events(&mut w, fd), Err(EAGAIN));
        let made = w.open("/d/f", raw::O_CREAT | raw::O_WRONLY).unwrap();
        for _ in 0..2 {
            w.call(transfer::write, &[made, path, 1]).unwrap();
        }
        w.call(open::close, &[made]).unwrap();
        w.call(name::rename, &[file, other]).unwrap();
        w.call(name::unlink, &[other]).unwrap();
        let seen = events(&mut w, fd).unwrap();
        let expected = [
            (raw::IN_CREATE, "f"),
            (raw::IN_MODIFY, "f"),
            (raw::IN_CLOSE_WRITE, "f"),
            (raw::IN_MOVED_FROM, "f"),
            (raw::IN_MOVED_TO, "g"),
            (raw::IN_DELETE, "g"),
        ];
        assert_eq!(seen, expected.map(|(mask, name)| (1, mask, String::from(name))));
        assert_eq!(w.call(inotify_rm_watch, &[fd, 1]), Ok(0));
        assert_eq!(w.call(inotify_rm_watch, &[fd, 1]), Err(EINVAL));
        assert_eq!(events(&mut w, fd).unwrap()[0].1, raw::IN_IGNORED);
        w.open("/d/h", raw::O_CREAT | raw::O_WRONLY).unwrap();
        assert_eq!(events(&mut w, fd), Err(EAGAIN));
    }
    #[test]
    fn watching_nothing_or_with_something_else_is_refused() {
        let mut w = world();
        let (fd, file, path) =
            (w.call(inotify_init, &[]).unwrap(), w.open("/f", raw::O_CREAT | raw::O_RDWR).unwrap(), w.put(b"/f"));
        assert_eq!(w.call(inotify_add_watch, &[fd, path, 0]), Err(EINVAL));
        assert_eq!(w.call(inotify_add_watch, &[file, path, raw::IN_MODIFY.into()]), Err(EINVAL));
        assert_eq!(w.call(inotify_add_watch, &[fd, path, u64::from(raw::IN_MODIFY | raw::IN_ONLYDIR)]), Err(ENOTDIR));
    }
}
