// SPDX-License-Identifier: PMPL-1.0-or-later
//! pipe(2), memfd_create(2).

use super::Context;
use super::argument::{call, flags, short_name};
use super::open::install;
use crate::errno::{EFAULT, EINVAL, Result};
use crate::fs::pipe::{End, Pipe};
use crate::vfs::{Named, OpenFile, Place};
use linux_raw_sys::general as raw;

fn make(cx: &mut Context<'_>, address: u64, flags: u32) -> Result<u64> {
    if flags & !(raw::O_CLOEXEC | raw::O_NONBLOCK | raw::O_DIRECT) != 0 {
        return Err(EINVAL);
    }
    let pipe = Pipe::new(&cx.caller());
    let (input, output) = End::pair(&pipe)?;
    let kept = flags & raw::O_NONBLOCK;
    let read = install(cx, OpenFile::unnamed(input, raw::O_RDONLY | kept), flags)?;
    let write = match install(cx, OpenFile::unnamed(output, raw::O_WRONLY | kept), flags) {
        Ok(write) => write,
        Err(error) => {
            drop(cx.files.lock().remove(read as u32));
            return Err(error);
        }
    };
    let both = (read | write << 32).to_le_bytes();
    cx.memory.write(address, &both).map_err(|_| {
        let gone = [read, write].map(|fd| cx.files.lock().remove(fd as u32));
        drop(gone);
        EFAULT
    })?;
    Ok(0)
}
call!(pipe | cx, a | { make(cx, a[0], 0) });
call!(pipe2 | cx, a | { make(cx, a[0], a[1] as u32) });

/// Longest name of a memfd (memfd_create(2)), with its zero byte.
const MEMFD_NAME_BYTES: usize = 250;

call!(
    memfd_create | cx,
    a | {
        let known = raw::MFD_CLOEXEC | raw::MFD_ALLOW_SEALING | raw::MFD_NOEXEC_SEAL | raw::MFD_EXEC;
        let flags = flags(a[1], known)?;
        let both = raw::MFD_NOEXEC_SEAL | raw::MFD_EXEC;
        if flags & both == both {
            return Err(EINVAL);
        }
        let name = short_name(cx, a[0], MEMFD_NAME_BYTES, EINVAL)?;
        let caller = cx.caller();
        // Without leave to have seals it has the one that forbids more.
        let no_exec = flags & raw::MFD_NOEXEC_SEAL != 0;
        let seals = match () {
            () if no_exec => raw::F_SEAL_EXEC,
            () if flags & raw::MFD_ALLOW_SEALING != 0 => 0,
            () => raw::F_SEAL_SEAL,
        };
        let namespace = cx.fs.lock().namespace.clone();
        let memory = namespace.memory();
        let mode = if no_exec { 0o666 } else { 0o777 };
        let node = memory.system.unnamed(mode, caller.credentials.fsuid, caller.credentials.fsgid, seals);
        let mount = memory.mount.clone();
        let named = Named { directory: Place::top(&mount), name: [&b"memfd:"[..], &name].concat() };
        let place = Place { mount, inode: node.clone() };
        let file = OpenFile::new(node, Some(place), Some(named), raw::O_RDWR | raw::O_LARGEFILE);
        install(cx, file, if flags & raw::MFD_CLOEXEC != 0 { raw::O_CLOEXEC } else { 0 })
    }
);
