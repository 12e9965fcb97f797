// SPDX-License-Identifier: PMPL-1.0-or-later
//! The 512-byte superblock in front of a hash tree.

use crate::{Geometry, MAX_SALT_BYTES};
use alloc::vec::Vec;
use core::fmt;

/// Bytes of the superblock; it fills the front of a whole hash block, the rest is zero.
pub const SUPERBLOCK_BYTES: usize = 512;

// Offsets, all little endian.
const SIGNATURE: (usize, usize) = (0, 8);
const VERSION: (usize, usize) = (8, 12);
const HASH_TYPE: (usize, usize) = (12, 16);
const UUID: (usize, usize) = (16, 32);
const ALGORITHM: (usize, usize) = (32, 64);
const DATA_BLOCK_SIZE: (usize, usize) = (64, 68);
const HASH_BLOCK_SIZE: (usize, usize) = (68, 72);
const DATA_BLOCKS: (usize, usize) = (72, 80);
const SALT_SIZE: (usize, usize) = (80, 82);
const SALT: usize = 88;

const MAGIC: &[u8; 8] = b"verity\0\0";

/// What the superblock of a tree says. The salt is at most 256 bytes, the geometry is one that can exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Superblock {
    /// In the order of its text form, as veritysetup writes it.
    pub uuid: [u8; 16],
    pub salt: Vec<u8>,
    pub geometry: Geometry,
}

/// Why bytes are no superblock that this crate can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SuperblockFault {
    Short,
    Signature,
    Version {
        found: u32,
    },
    /// Only type 1 (salt before data) is supported.
    HashType {
        found: u32,
    },
    /// Only sha256 is supported.
    Algorithm,
    /// Only 4096 is supported.
    BlockSize {
        data: u32,
        hash: u32,
    },
    DataBlocks {
        found: u64,
    },
    Salt {
        length: u16,
    },
}

impl fmt::Display for SuperblockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "fewer than {SUPERBLOCK_BYTES} bytes"),
            Self::Signature => write!(f, "does not begin with the word verity"),
            Self::Version { found } => write!(f, "version {found}, known is 1"),
            Self::HashType { found } => write!(f, "hash type {found}, known is 1"),
            Self::Algorithm => write!(f, "algorithm is not sha256"),
            Self::BlockSize { data, hash } => {
                write!(f, "block sizes {data} and {hash}, known is 4096 for both")
            }
            Self::DataBlocks { found } => write!(f, "{found} data blocks cannot be"),
            Self::Salt { length } => write!(f, "salt of {length} bytes, at most {MAX_SALT_BYTES}"),
        }
    }
}

impl core::error::Error for SuperblockFault {}

impl Superblock {
    /// `None` if the salt is too long or the number of data blocks cannot be.
    pub fn new(uuid: [u8; 16], salt: &[u8], data_blocks: u64) -> Option<Self> {
        let geometry = Geometry::new(data_blocks)?;
        (salt.len() <= MAX_SALT_BYTES).then(|| Self { uuid, salt: salt.to_vec(), geometry })
    }

    /// Reads the first 512 bytes of `bytes`. Padding is not looked at: nothing there is used.
    pub fn parse(bytes: &[u8]) -> Result<Self, SuperblockFault> {
        let bytes = bytes.get(..SUPERBLOCK_BYTES).ok_or(SuperblockFault::Short)?;
        if field::<8>(bytes, SIGNATURE)? != *MAGIC {
            return Err(SuperblockFault::Signature);
        }
        let version = u32::from_le_bytes(field(bytes, VERSION)?);
        if version != 1 {
            return Err(SuperblockFault::Version { found: version });
        }
        let hash_type = u32::from_le_bytes(field(bytes, HASH_TYPE)?);
        if hash_type != 1 {
            return Err(SuperblockFault::HashType { found: hash_type });
        }
        let algorithm: [u8; 32] = field(bytes, ALGORITHM)?;
        if !algorithm.starts_with(b"sha256\0") {
            return Err(SuperblockFault::Algorithm);
        }
        let data = u32::from_le_bytes(field(bytes, DATA_BLOCK_SIZE)?);
        let hash = u32::from_le_bytes(field(bytes, HASH_BLOCK_SIZE)?);
        if data != 4096 || hash != 4096 {
            return Err(SuperblockFault::BlockSize { data, hash });
        }
        let data_blocks = u64::from_le_bytes(field(bytes, DATA_BLOCKS)?);
        let geometry = Geometry::new(data_blocks).ok_or(SuperblockFault::DataBlocks { found: data_blocks })?;
        let length = u16::from_le_bytes(field(bytes, SALT_SIZE)?);
        let salt = usize::from(length);
        if salt > MAX_SALT_BYTES {
            return Err(SuperblockFault::Salt { length });
        }
        let salt = bytes.get(SALT..SALT + salt).ok_or(SuperblockFault::Salt { length })?.to_vec();
        Ok(Self { uuid: field(bytes, UUID)?, salt, geometry })
    }

    /// The whole hash block that holds the superblock.
    pub fn to_block(&self) -> crate::Block {
        let mut block = [0u8; blocks::BLOCK_BYTES];
        put(&mut block, SIGNATURE.0, MAGIC);
        put(&mut block, VERSION.0, &1u32.to_le_bytes());
        put(&mut block, HASH_TYPE.0, &1u32.to_le_bytes());
        put(&mut block, UUID.0, &self.uuid);
        put(&mut block, ALGORITHM.0, b"sha256");
        put(&mut block, DATA_BLOCK_SIZE.0, &4096u32.to_le_bytes());
        put(&mut block, HASH_BLOCK_SIZE.0, &4096u32.to_le_bytes());
        put(&mut block, DATA_BLOCKS.0, &self.geometry.data_blocks().to_le_bytes());
        let salt = self.salt.get(..self.salt.len().min(MAX_SALT_BYTES)).unwrap_or_default();
        put(&mut block, SALT_SIZE.0, &(salt.len() as u16).to_le_bytes());
        put(&mut block, SALT, salt);
        block
    }
}

fn field<const N: usize>(bytes: &[u8], (from, to): (usize, usize)) -> Result<[u8; N], SuperblockFault> {
    bytes.get(from..to).and_then(|part| part.try_into().ok()).ok_or(SuperblockFault::Short)
}

/// All callers write inside the block: offsets are the constants above, lengths are bounded by the types.
fn put(block: &mut crate::Block, at: usize, bytes: &[u8]) {
    if let Some(part) = block.get_mut(at..at + bytes.len()) {
        part.copy_from_slice(bytes);
    }
}
