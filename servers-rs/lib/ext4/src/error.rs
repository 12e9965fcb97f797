// SPDX-License-Identifier: PMPL-1.0-or-later
//! Why an operation did nothing. Each has the errno that Linux gives for it.

use blocks::ReadError;
use core::fmt;

pub type Result<T> = core::result::Result<T, Error>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// ENOENT: nothing has this name, or the inode is not in use any more.
    NotFound,
    /// EEXIST
    Exists,
    /// ENOTDIR
    NotADirectory,
    /// EISDIR
    IsADirectory,
    /// ENOTEMPTY
    NotEmpty,
    /// EINVAL: a name that no entry can have, a directory moved below itself, the wrong kind of inode.
    Invalid,
    /// ENAMETOOLONG
    NameTooLong,
    /// EMLINK
    TooManyLinks,
    /// EFBIG
    FileTooBig,
    /// ENOSPC: no block or no inode is free, or a directory holds no more.
    NoSpace,
    /// EDQUOT
    Quota,
    /// EXDEV: between subtrees with different quotas.
    OtherQuota,
    /// ENODATA: no extended attribute has this name.
    NoAttribute,
    /// ERANGE: extended attributes that do not fit.
    AttributesTooBig,
    /// EIO: the device failed. What was acknowledged before is not affected.
    Device(ReadError),
    /// EUCLEAN: the file system contradicts itself or a checksum is wrong; says where.
    Corrupt(&'static str),
    /// A feature that is not supported; says which.
    Unsupported(&'static str),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Error::Device(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Device(error) => error.fmt(f),
            Error::Corrupt(what) => write!(f, "the data file system is corrupt: {what}"),
            Error::Unsupported(what) => write!(f, "the data file system uses what is not supported here: {what}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl core::error::Error for Error {}
