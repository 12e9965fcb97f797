// SPDX-License-Identifier: PMPL-1.0-or-later
//! lseek(2).

use super::argument::{call, usable_file};
use crate::errno::{EINVAL, ENXIO, EOVERFLOW, ESPIPE};
use linux_raw_sys::general as raw;

call!(
    lseek | cx,
    a | {
        let file = usable_file(cx, a[0])?;
        if !file.file.has_position() {
            return Err(ESPIPE);
        }
        let offset = a[1] as i64;
        let now = *file.position();
        let to = match a[2] as u32 {
            raw::SEEK_SET => offset,
            raw::SEEK_CUR => (now as i64).checked_add(offset).ok_or(EOVERFLOW)?,
            raw::SEEK_END => (file.file.size_bytes()? as i64).checked_add(offset).ok_or(EOVERFLOW)?,
            raw::SEEK_DATA | raw::SEEK_HOLE if offset < 0 => return Err(ENXIO),
            raw::SEEK_DATA => file.file.seek_data(offset as u64)? as i64,
            raw::SEEK_HOLE => file.file.seek_hole(offset as u64)? as i64,
            _ => return Err(EINVAL),
        };
        let to = u64::try_from(to).map_err(|_| EINVAL)?;
        *file.position() = to;
        Ok(to)
    }
);
