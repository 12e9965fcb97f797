// SPDX-License-Identifier: PMPL-1.0-or-later
//! Device nodes: numbers, and the devices that are nothing but memory (null(4), random(4)).

use crate::errno::{EINVAL, ENOSPC, ENXIO, Result};
use crate::vfs::{Caller, File, Kind, Sink, Source};
use alloc::sync::Arc;

/// As `st_rdev` and `stx_rdev_*` pack them (gnu_dev_makedev(3)).
pub const fn number(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | minor & 0xff | (major & !0xfff) << 32 | (minor & !0xff) << 12
}

pub const fn split(number: u64) -> (u32, u32) {
    let major = (number >> 8 & 0xfff) | (number >> 32 & !0xfff);
    let minor = number & 0xff | (number >> 12 & 0xffff_ff00);
    (major as u32, minor as u32)
}

/// Who opens device nodes, on whatever file system they stand. Errors: `ENXIO` for a number that nobody has.
pub trait Devices: Send + Sync {
    fn open(&self, kind: Kind, number: u64, flags: u32, caller: &Caller<'_>) -> Result<Arc<dyn File>>;
}

/// Random bytes of the cell.
pub trait Random: Send + Sync {
    fn fill(&self, into: &mut [u8]);
}

/// Numbers of Documentation/admin-guide/devices.txt of Linux, major 1.
pub const MEMORY_MAJOR: u32 = 1;
pub const NULL: u32 = 3;
pub const ZERO: u32 = 5;
pub const FULL: u32 = 7;
pub const RANDOM: u32 = 8;
pub const URANDOM: u32 = 9;

enum Memory {
    Null,
    Zero,
    Full,
    Random(Arc<dyn Random>),
}

/// Opens one of major 1.
pub fn open_memory(minor: u32, random: &Arc<dyn Random>) -> Result<Arc<dyn File>> {
    Ok(Arc::new(match minor {
        NULL => Memory::Null,
        ZERO => Memory::Zero,
        FULL => Memory::Full,
        RANDOM | URANDOM => Memory::Random(random.clone()),
        _ => return Err(ENXIO),
    }))
}

/// Bytes of zero or chance at a time.
const CHUNK_BYTES: usize = 512;

impl File for Memory {
    fn read(&self, _: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        if let Memory::Null = self {
            return Ok(0);
        }
        let mut chunk = [0; CHUNK_BYTES];
        let mut done = 0;
        while into.room() > 0 {
            let part = into.room().min(CHUNK_BYTES);
            if let Memory::Random(random) = self {
                random.fill(&mut chunk[..part]);
            }
            match into.put(&chunk[..part]) {
                Ok(n) if n == part => done += n,
                Ok(n) => return Ok(done + n),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }
    fn write(&self, _: &Caller<'_>, _: u64, from: &mut dyn Source) -> Result<usize> {
        // What is thrown away is not looked at: no EFAULT, as on Linux.
        if let Memory::Full = self { Err(ENOSPC) } else { Ok(from.left()) }
    }
    fn has_position(&self) -> bool {
        true
    }
    fn size_bytes(&self) -> Result<u64> {
        Ok(0)
    }
    fn seek_data(&self, _: u64) -> Result<u64> {
        Err(EINVAL)
    }
    fn seek_hole(&self, _: u64) -> Result<u64> {
        Err(EINVAL)
    }
    fn is_zero_device(&self) -> bool {
        matches!(self, Memory::Zero)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_come_back_whole() {
        for pair in [(1, 3), (136, 0), (0xfff, 0xfffff), (0x1234, 0x12345)] {
            let (major, minor) = split(number(pair.0, pair.1));
            assert_eq!((major, minor), pair);
        }
        assert_eq!(number(1, 3), 0x103);
    }
}
