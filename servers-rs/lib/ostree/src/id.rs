// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names of objects: a sha256, and where the object lies in a repository.

use alloc::{format, string::String};
use core::fmt;
use sha2::{Digest as _, Sha256};

/// The sha256 that names an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ObjectId(pub [u8; 32]);

/// What kind of object a file of a repository is: its extension.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ObjectKind {
    Commit,
    /// Beside a commit, named by the commit's id.
    CommitMeta,
    DirTree,
    DirMeta,
    /// A file of an archive repository.
    File,
}

impl ObjectId {
    /// The id of an object whose id is the digest of its bytes (all but files).
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Path below the repository, such as `objects/ab/cdef….dirtree`.
    pub fn path(&self, kind: ObjectKind) -> String {
        let hex = format!("{self}");
        let (front, back) = hex.split_at(2);
        format!("objects/{front}/{back}.{}", kind.extension())
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let mut bytes = [0u8; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            for digit in pair {
                *byte = *byte << 4 | char::from(*digit).to_digit(16)? as u8;
            }
        }
        Some(Self(bytes))
    }
}

impl ObjectKind {
    /// The file name's extension in an archive repository.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::CommitMeta => "commitmeta",
            Self::DirTree => "dirtree",
            Self::DirMeta => "dirmeta",
            Self::File => "filez",
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
