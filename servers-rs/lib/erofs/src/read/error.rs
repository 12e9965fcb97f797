// SPDX-License-Identifier: PMPL-1.0-or-later
//! Why a read of an image failed.

use blocks::ReadError;
use core::fmt;

/// Errors of [`crate::Reader`]. After one the reader can be used on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The device failed, or a block was not what the hash tree promises.
    Read(ReadError),
    NotErofs,
    /// The superblock does not have its checksum.
    Checksum,
    /// The image needs something that this reader cannot do.
    Unsupported {
        what: &'static str,
        value: u32,
    },
    /// The image contradicts itself; `nid` is the inode at fault (0 for the superblock).
    Corrupt {
        what: &'static str,
        nid: u64,
    },
    NotFound,
    NotADirectory,
    IsADirectory,
    /// Neither file nor directory: it has no contents to read.
    NotAFile,
    NotASymlink,
    /// More than 40 symbolic links on one way.
    Loop,
    /// Longer than the caller or the reader allows.
    Limit,
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "{error}"),
            Self::NotErofs => write!(f, "there is no EROFS image"),
            Self::Checksum => write!(f, "the EROFS superblock does not have its checksum"),
            Self::Unsupported { what, value } => write!(f, "the EROFS image has {what} {value:#x}, which is not supported"),
            Self::Corrupt { what, nid } => {
                write!(f, "the EROFS image is damaged: {what} of inode {nid}")
            }
            Self::NotFound => write!(f, "no such file or directory"),
            Self::NotADirectory => write!(f, "not a directory"),
            Self::IsADirectory => write!(f, "is a directory"),
            Self::NotAFile => write!(f, "not a file"),
            Self::NotASymlink => write!(f, "not a symbolic link"),
            Self::Loop => write!(f, "too many symbolic links"),
            Self::Limit => write!(f, "longer than allowed"),
        }
    }
}

impl core::error::Error for Error {}
