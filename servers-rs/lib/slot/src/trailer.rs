// SPDX-License-Identifier: PMPL-1.0-or-later
//! The last 64 KiB of a slot: a header, the commit object, its detached metadata.
//!
//! The header is only a hint that says where to look; everything in it is compared with the signed commit later.

use crate::{Layout, TRAILER_BYTES};
use alloc::vec::Vec;
use blocks::BLOCK_BYTES;
use core::fmt;
use sha2::{Digest as _, Sha256};

const MAGIC: &[u8; 8] = b"FRslot01";
const VERSION: u32 = 1;
/// Bytes before the header's own digest, and the digest.
const HASHED_BYTES: usize = 56;
const HEADER_BYTES: usize = HASHED_BYTES + 32;

/// What a trailer holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trailer {
    pub commit: Vec<u8>,
    /// Detached metadata, with the signature.
    pub commitmeta: Vec<u8>,
    pub image_bytes: u64,
    /// From the slot's start.
    pub verity_offset_bytes: u64,
    pub verity_bytes: u64,
}

/// Why bytes are no trailer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrailerFault {
    Length,
    Magic,
    Version {
        found: u32,
    },
    HeaderLength {
        found: u32,
    },
    Digest,
    /// The commit or its metadata does not lie within the trailer, behind the header.
    Range {
        offset: u32,
        length: u32,
    },
    /// Commit and metadata together do not fit.
    TooLarge {
        bytes: usize,
    },
}

impl fmt::Display for TrailerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "a trailer has {TRAILER_BYTES} bytes"),
            Self::Magic => write!(f, "there is no trailer: it would begin with FRslot01"),
            Self::Version { found } => write!(f, "trailer version {found}, known is {VERSION}"),
            Self::HeaderLength { found } => {
                write!(f, "header of {found} bytes, known is {HEADER_BYTES}")
            }
            Self::Digest => write!(f, "the header does not have its digest"),
            Self::Range { offset, length } => write!(f, "{length} bytes at {offset} do not lie within the trailer"),
            Self::TooLarge { bytes } => {
                write!(f, "commit and signature have {bytes} bytes, the trailer has room for {}", TRAILER_BYTES - BLOCK_BYTES)
            }
        }
    }
}

impl core::error::Error for TrailerFault {}

impl Trailer {
    /// The trailer of a slot that is laid out like that.
    pub fn new(layout: &Layout, commit: Vec<u8>, commitmeta: Vec<u8>) -> Self {
        let image_bytes = layout.image_bytes();
        Self { commit, commitmeta, image_bytes, verity_offset_bytes: image_bytes, verity_bytes: layout.hash_area_bytes() }
    }

    /// All 64 KiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrailerFault> {
        let (commit, meta) = (self.commit.len(), self.commitmeta.len());
        let room = TRAILER_BYTES - BLOCK_BYTES;
        let length = commit.saturating_add(meta);
        if length > room {
            return Err(TrailerFault::TooLarge { bytes: length });
        }
        let commit_offset = BLOCK_BYTES;
        let mut bytes = Vec::with_capacity(TRAILER_BYTES);
        bytes.extend_from_slice(MAGIC);
        for number in
            [VERSION, HEADER_BYTES as u32, commit_offset as u32, commit as u32, (commit_offset + commit) as u32, meta as u32]
        {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.image_bytes, self.verity_offset_bytes, self.verity_bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes.resize(commit_offset, 0);
        bytes.extend_from_slice(&self.commit);
        bytes.extend_from_slice(&self.commitmeta);
        bytes.resize(TRAILER_BYTES, 0);
        Ok(bytes)
    }

    /// Reads a slot's last 64 KiB.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrailerFault> {
        if bytes.len() != TRAILER_BYTES {
            return Err(TrailerFault::Length);
        }
        if bytes.get(..8) != Some(MAGIC) {
            return Err(TrailerFault::Magic);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(TrailerFault::Version { found: version });
        }
        let header = u32_at(bytes, 12);
        if header as usize != HEADER_BYTES {
            return Err(TrailerFault::HeaderLength { found: header });
        }
        let digest: [u8; 32] = Sha256::digest(bytes.get(..HASHED_BYTES).unwrap_or_default()).into();
        if bytes.get(HASHED_BYTES..HEADER_BYTES) != Some(&digest[..]) {
            return Err(TrailerFault::Digest);
        }
        Ok(Self {
            commit: part(bytes, u32_at(bytes, 16), u32_at(bytes, 20))?,
            commitmeta: part(bytes, u32_at(bytes, 24), u32_at(bytes, 28))?,
            image_bytes: u64_at(bytes, 32),
            verity_offset_bytes: u64_at(bytes, 40),
            verity_bytes: u64_at(bytes, 48),
        })
    }
}

fn part(bytes: &[u8], offset: u32, length: u32) -> Result<Vec<u8>, TrailerFault> {
    let (start, fault) = (offset as usize, TrailerFault::Range { offset, length });
    let end = start.checked_add(length as usize).ok_or(fault)?;
    if start < HEADER_BYTES || length == 0 {
        return Err(fault);
    }
    Ok(bytes.get(start..end).ok_or(fault)?.to_vec())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}
