// SPDX-License-Identifier: PMPL-1.0-or-later
//! stat(2), statx(2), statfs(2).

use super::Context;
use super::argument::{At, Record, at, call, flags, from, open_file, path};
use crate::errno::{EINVAL, ENOENT, Result};
use crate::fs::device::split;
use crate::vfs::{How, Place, Stat, mount_flag};
use core::mem::offset_of;
use linux_raw_sys::general as raw;

fn put_stat(cx: &mut Context<'_>, address: u64, stat: &Stat) -> Result<u64> {
    let mut record = Record::<{ size_of::<raw::stat>() }>::new();
    record.u64(offset_of!(raw::stat, st_dev), stat.device);
    record.u64(offset_of!(raw::stat, st_ino), stat.inode);
    record.u64(offset_of!(raw::stat, st_nlink), stat.links.into());
    record.u32(offset_of!(raw::stat, st_mode), stat.mode);
    record.u32(offset_of!(raw::stat, st_uid), stat.uid);
    record.u32(offset_of!(raw::stat, st_gid), stat.gid);
    record.u64(offset_of!(raw::stat, st_rdev), stat.represents);
    record.u64(offset_of!(raw::stat, st_size), stat.size_bytes);
    record.u64(offset_of!(raw::stat, st_blksize), stat.block_bytes.into());
    record.u64(offset_of!(raw::stat, st_blocks), stat.blocks_512);
    let times = [
        (offset_of!(raw::stat, st_atime), stat.accessed),
        (offset_of!(raw::stat, st_mtime), stat.modified),
        (offset_of!(raw::stat, st_ctime), stat.changed),
    ];
    for (at, time) in times {
        record.u64(at, time.seconds as u64);
        record.u64(at + 8, time.nanoseconds.into());
    }
    cx.memory.write(address, &record.0).map(|()| 0)
}

/// Of a path, or of the open file where that is empty.
fn stat_of(cx: &Context<'_>, at: &At, flags: u32) -> Result<(Stat, Option<Place>)> {
    if at.path.is_empty() && flags & raw::AT_EMPTY_PATH != 0 {
        return match &at.file {
            Some(file) => Ok((file.stat()?, file.place.clone())),
            None => Ok((at.start.inode.stat()?, Some(at.start.clone()))),
        };
    }
    let place = at.find(cx, How::follow_if(flags & raw::AT_SYMLINK_NOFOLLOW == 0))?;
    Ok((place.inode.stat()?, Some(place)))
}

const KNOWN: u32 = raw::AT_SYMLINK_NOFOLLOW | raw::AT_NO_AUTOMOUNT | raw::AT_EMPTY_PATH;

call!(
    stat | cx,
    a | {
        let at = at(cx, raw::AT_FDCWD as u64, a[0])?;
        let (stat, _) = stat_of(cx, &at, 0)?;
        put_stat(cx, a[1], &stat)
    }
);
call!(
    lstat | cx,
    a | {
        let at = at(cx, raw::AT_FDCWD as u64, a[0])?;
        let (stat, _) = stat_of(cx, &at, raw::AT_SYMLINK_NOFOLLOW)?;
        put_stat(cx, a[1], &stat)
    }
);
call!(
    fstat | cx,
    a | {
        let stat = open_file(cx, a[0])?.stat()?;
        put_stat(cx, a[1], &stat)
    }
);
call!(
    newfstatat | cx,
    a | {
        let flags = flags(a[3], KNOWN)?;
        let at = at(cx, a[0], a[1])?;
        let (stat, _) = stat_of(cx, &at, flags)?;
        put_stat(cx, a[2], &stat)
    }
);

call!(
    statx | cx,
    a | {
        let flags = flags(a[2], KNOWN | raw::AT_STATX_SYNC_TYPE)?;
        if flags & raw::AT_STATX_SYNC_TYPE == raw::AT_STATX_SYNC_TYPE || a[3] as u32 & raw::STATX__RESERVED != 0 {
            return Err(EINVAL);
        }
        // Newer programs give no path at all.
        let path = if a[1] == 0 && flags & raw::AT_EMPTY_PATH != 0 { alloc::vec::Vec::new() } else { path(cx, a[1])? };
        let at = from(cx, a[0], path)?;
        let (stat, place) = stat_of(cx, &at, flags)?;
        let mut record = Record::<{ size_of::<raw::statx>() }>::new();
        let mask = raw::STATX_BASIC_STATS | raw::STATX_MNT_ID | if stat.born.seconds != 0 { raw::STATX_BTIME } else { 0 };
        record.u32(offset_of!(raw::statx, stx_mask), mask);
        record.u32(offset_of!(raw::statx, stx_blksize), stat.block_bytes);
        record.u32(offset_of!(raw::statx, stx_nlink), stat.links);
        record.u32(offset_of!(raw::statx, stx_uid), stat.uid);
        record.u32(offset_of!(raw::statx, stx_gid), stat.gid);
        record.u16(offset_of!(raw::statx, stx_mode), stat.mode as u16);
        record.u64(offset_of!(raw::statx, stx_ino), stat.inode);
        record.u64(offset_of!(raw::statx, stx_size), stat.size_bytes);
        record.u64(offset_of!(raw::statx, stx_blocks), stat.blocks_512);
        record.u64(offset_of!(raw::statx, stx_attributes_mask), raw::STATX_ATTR_MOUNT_ROOT.into());
        let times = [
            (offset_of!(raw::statx, stx_atime), stat.accessed),
            (offset_of!(raw::statx, stx_btime), stat.born),
            (offset_of!(raw::statx, stx_ctime), stat.changed),
            (offset_of!(raw::statx, stx_mtime), stat.modified),
        ];
        for (at, time) in times {
            record.u64(at, time.seconds as u64);
            record.u32(at + 8, time.nanoseconds);
        }
        let ((major, minor), (device_major, device_minor)) = (split(stat.represents), split(stat.device));
        record.u32(offset_of!(raw::statx, stx_rdev_major), major);
        record.u32(offset_of!(raw::statx, stx_rdev_minor), minor);
        record.u32(offset_of!(raw::statx, stx_dev_major), device_major);
        record.u32(offset_of!(raw::statx, stx_dev_minor), device_minor);
        if let Some(place) = place {
            record.u64(offset_of!(raw::statx, stx_mnt_id), place.mount.id);
            if place.is_mount_root() {
                record.u64(offset_of!(raw::statx, stx_attributes), raw::STATX_ATTR_MOUNT_ROOT.into());
            }
        }
        cx.memory.write(a[4], &record.0)?;
        Ok(0)
    }
);

fn put_statfs(cx: &mut Context<'_>, address: u64, place: &Place) -> Result<u64> {
    let stat = place.mount.system.statfs()?;
    let mut record = Record::<{ size_of::<raw::statfs>() }>::new();
    record.u64(offset_of!(raw::statfs, f_type), stat.magic.into());
    record.u64(offset_of!(raw::statfs, f_bsize), stat.block_bytes);
    record.u64(offset_of!(raw::statfs, f_blocks), stat.blocks);
    record.u64(offset_of!(raw::statfs, f_bfree), stat.free_blocks);
    record.u64(offset_of!(raw::statfs, f_bavail), stat.free_blocks);
    record.u64(offset_of!(raw::statfs, f_files), stat.inodes);
    record.u64(offset_of!(raw::statfs, f_ffree), stat.free_inodes);
    record.u64(offset_of!(raw::statfs, f_fsid), place.mount.system.device());
    record.u64(offset_of!(raw::statfs, f_namelen), 255);
    record.u64(offset_of!(raw::statfs, f_frsize), stat.block_bytes);
    // ST_VALID, and the mount's flags, whose values are those of mount(2).
    record.u64(offset_of!(raw::statfs, f_flags), u64::from(0x20 | place.mount.flags() & mount_flag::ALL));
    cx.memory.write(address, &record.0).map(|()| 0)
}

call!(
    statfs | cx,
    a | {
        let at = at(cx, raw::AT_FDCWD as u64, a[0])?;
        let place = at.find(cx, How::FOLLOW)?;
        put_statfs(cx, a[1], &place)
    }
);
call!(
    fstatfs | cx,
    a | {
        let place = open_file(cx, a[0])?.place.clone().ok_or(ENOENT)?;
        put_statfs(cx, a[1], &place)
    }
);
