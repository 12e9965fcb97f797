// SPDX-License-Identifier: PMPL-1.0-or-later
//! The keys that a loader trusts: its PE section `.frkeys`.
//!
//! `FRkeys01`, count u32, minimal rollback index u64, then per key 32 bytes, flags u32, not-after u64. All little endian.

use alloc::vec::Vec;
use core::fmt;

/// Name and size of the section.
pub const KEYS_SECTION_NAME: &str = ".frkeys";
pub const KEYS_SECTION_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"FRkeys01";
const HEADER_BYTES: usize = 20;
const KEY_BYTES: usize = 44;
const MAX_KEYS: usize = (KEYS_SECTION_BYTES - HEADER_BYTES) / KEY_BYTES;
const DEVELOPMENT: u32 = 1;
const REVOKED: u32 = 2;

/// A public key and what is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrustedKey {
    /// ed25519.
    pub public: [u8; 32],
    /// Slots signed with it are not for the world.
    pub development: bool,
    pub revoked: bool,
    /// Seconds since 1970, 0 = never.
    pub not_after_s: u64,
}

/// All keys of a loader, and the rollback index below which it refuses every slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeySet {
    pub minimal_rollback_index: u64,
    pub keys: Vec<TrustedKey>,
}

/// Why a section holds no keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeysFault {
    /// The loader was built, but `slot embed-keys` never filled it.
    Empty,
    Short,
    Count {
        found: usize,
    },
    Flags {
        key: usize,
        found: u32,
    },
}

impl fmt::Display for KeysFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "no keys were embedded (slot embed-keys)"),
            Self::Short => write!(f, "the section of keys is too short"),
            Self::Count { found } => write!(f, "{found} keys, allowed are 1 to {MAX_KEYS}"),
            Self::Flags { key, found } => write!(f, "key {key} has unknown flags {found:#x}"),
        }
    }
}

impl core::error::Error for KeysFault {}

impl KeySet {
    /// The whole section.
    pub fn to_section(&self) -> Result<[u8; KEYS_SECTION_BYTES], KeysFault> {
        let count = self.keys.len();
        if count == 0 || count > MAX_KEYS {
            return Err(KeysFault::Count { found: count });
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(count as u32).to_le_bytes());
        bytes.extend_from_slice(&self.minimal_rollback_index.to_le_bytes());
        for key in &self.keys {
            let development = if key.development { DEVELOPMENT } else { 0 };
            let revoked = if key.revoked { REVOKED } else { 0 };
            bytes.extend_from_slice(&key.public);
            bytes.extend_from_slice(&(development | revoked).to_le_bytes());
            bytes.extend_from_slice(&key.not_after_s.to_le_bytes());
        }
        bytes.resize(KEYS_SECTION_BYTES, 0);
        bytes.try_into().map_err(|_| KeysFault::Count { found: count })
    }

    /// Reads a section.
    pub fn from_section(bytes: &[u8]) -> Result<Self, KeysFault> {
        let header = bytes.get(..HEADER_BYTES).ok_or(KeysFault::Short)?;
        if !header.starts_with(MAGIC) {
            return Err(KeysFault::Empty);
        }
        let count = u32::from_le_bytes(field(header, 8)?) as usize;
        if count == 0 || count > MAX_KEYS {
            return Err(KeysFault::Count { found: count });
        }
        let body = bytes.get(HEADER_BYTES..HEADER_BYTES + count * KEY_BYTES).ok_or(KeysFault::Short)?;
        let keys = body.chunks_exact(KEY_BYTES).enumerate().map(|(index, key)| parse_key(index, key));
        Ok(Self { minimal_rollback_index: u64::from_le_bytes(field(header, 12)?), keys: keys.collect::<Result<_, _>>()? })
    }
}

fn parse_key(index: usize, bytes: &[u8]) -> Result<TrustedKey, KeysFault> {
    let flags = u32::from_le_bytes(field(bytes, 32)?);
    // A flag that is not known may mean "do not trust".
    if flags & !(DEVELOPMENT | REVOKED) != 0 {
        return Err(KeysFault::Flags { key: index, found: flags });
    }
    Ok(TrustedKey {
        public: field(bytes, 0)?,
        development: flags & DEVELOPMENT != 0,
        revoked: flags & REVOKED != 0,
        not_after_s: u64::from_le_bytes(field(bytes, 36)?),
    })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], KeysFault> {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or(KeysFault::Short)
}
