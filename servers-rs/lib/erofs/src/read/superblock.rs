// SPDX-License-Identifier: PMPL-1.0-or-later
//! The superblock, checked.

use super::{
    Error,
    cache::{Cache, u16_at, u32_at, u64_at},
};
use crate::{crc::crc32c, ondisk::*};
use blocks::BlockRead;

/// What the reader needs of the superblock.
#[derive(Clone, Debug)]
pub struct Superblock {
    pub root_nid: u64,
    pub blocks: u64,
    pub meta_block: u64,
    pub xattr_block: u64,
    pub build_time_s: u64,
    pub build_time_ns: u32,
    pub uuid: [u8; 16],
}

impl Superblock {
    pub fn read<B: BlockRead>(device: &mut Cache<B>) -> Result<Self, Error> {
        if device.device_blocks() == 0 {
            return Err(Error::NotErofs);
        }
        let block: [u8; BLOCK] = device.array(0)?;
        let bytes = block.get(SUPER_OFFSET..).unwrap_or_default();
        if u32_at(bytes, sb::MAGIC) != MAGIC {
            return Err(Error::NotErofs);
        }
        check_checksum(bytes)?;
        // Any of these changes how something is stored.
        for (what, found, known) in [
            ("block size (bits)", u32::from(bytes.get(sb::BLOCK_BITS).copied().unwrap_or_default()), u32::from(BLOCK_BITS)),
            ("incompatible features", u32_at(bytes, sb::FEATURE_INCOMPAT), 0),
            ("directory block size (bits)", u32::from(bytes.get(sb::DIR_BLOCK_BITS).copied().unwrap_or_default()), 0),
        ] {
            if found != known {
                return Err(Error::Unsupported { what, value: found });
            }
        }
        let superblock = Self {
            root_nid: u64::from(u16_at(bytes, sb::ROOT_NID)),
            blocks: u64::from(u32_at(bytes, sb::BLOCKS)),
            meta_block: u64::from(u32_at(bytes, sb::META_BLOCK)),
            xattr_block: u64::from(u32_at(bytes, sb::XATTR_BLOCK)),
            build_time_s: u64_at(bytes, sb::BUILD_TIME),
            build_time_ns: u32_at(bytes, sb::BUILD_TIME_NSEC),
            uuid: bytes.get(sb::UUID..sb::UUID + 16).and_then(|uuid| uuid.try_into().ok()).unwrap_or_default(),
        };
        let beyond = superblock.blocks > device.device_blocks() || superblock.meta_block >= superblock.blocks;
        if beyond { Err(Error::Corrupt { what: "number of blocks", nid: 0 }) } else { Ok(superblock) }
    }

    /// Bytes of the image.
    pub fn bytes(&self) -> u64 {
        self.blocks * BLOCK as u64
    }
}

fn check_checksum(bytes: &[u8]) -> Result<(), Error> {
    if u32_at(bytes, sb::FEATURE_COMPAT) & COMPAT_CHECKSUM == 0 {
        return Ok(());
    }
    let mut zeroed = bytes.to_vec();
    if let Some(field) = zeroed.get_mut(sb::CHECKSUM..sb::CHECKSUM + 4) {
        field.fill(0);
    }
    if crc32c(&zeroed) == u32_at(bytes, sb::CHECKSUM) { Ok(()) } else { Err(Error::Checksum) }
}
