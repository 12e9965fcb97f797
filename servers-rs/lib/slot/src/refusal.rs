// SPDX-License-Identifier: PMPL-1.0-or-later
//! Why a slot is not used: the check that failed, in a word that the console, tests and tools share.

use alloc::string::String;
use core::fmt;

/// The checks, in the order in which they are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Its blocks could not be read.
    Read,
    /// Partition, image, tree and trailer do not fit together.
    Geometry,
    /// No trailer, or a damaged one.
    Trailer,
    /// No signature by a trusted key over these very bytes.
    Signature,
    /// Signed by a key that is no longer trusted.
    KeyRevoked,
    /// Signed by a key whose time is over.
    KeyExpired,
    /// What was signed is no commit, or lacks something.
    Commit,
    /// For another machine.
    Architecture,
    /// Older than what this machine has run.
    Rollback,
    /// The hash tree's superblock is damaged, or not the one that the commit describes.
    VeritySuperblock,
    /// The top of the hash tree does not have the signed digest.
    VerityRoot,
    /// A block does not have the digest that the tree promises (found later, by whoever reads).
    VerityData,
    /// The file system, or a file that must be in it, is missing or wrong (found later).
    Contents,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 13] = [
        Self::Read,
        Self::Geometry,
        Self::Trailer,
        Self::Signature,
        Self::KeyRevoked,
        Self::KeyExpired,
        Self::Commit,
        Self::Architecture,
        Self::Rollback,
        Self::VeritySuperblock,
        Self::VerityRoot,
        Self::VerityData,
        Self::Contents,
    ];

    /// The word on the console.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Geometry => "geometry",
            Self::Trailer => "trailer",
            Self::Signature => "signature",
            Self::KeyRevoked => "key-revoked",
            Self::KeyExpired => "key-expired",
            Self::Commit => "commit",
            Self::Architecture => "architecture",
            Self::Rollback => "rollback",
            Self::VeritySuperblock => "verity-superblock",
            Self::VerityRoot => "verity-root",
            Self::VerityData => "verity-data",
            Self::Contents => "contents",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A slot is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub check: Check,
    /// For a person: what was found, what was wanted.
    pub detail: String,
}

impl Refusal {
    pub fn new(check: Check, detail: impl Into<String>) -> Self {
        Self { check, detail: detail.into() }
    }
}

impl fmt::Display for Refusal {
    /// As the loader prints it: `check=signature detail="…"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check={} detail=\"{}\"", self.check, self.detail)
    }
}

impl core::error::Error for Refusal {}
