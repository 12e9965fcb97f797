// SPDX-License-Identifier: PMPL-1.0-or-later
//! Why a described tree cannot become an image.

use alloc::string::String;
use core::fmt;

/// Every variant names the path at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlanError {
    NoRoot,
    /// Not absolute, or with an empty, `.`, `..` or too long component.
    Path {
        path: String,
    },
    Duplicate {
        path: String,
    },
    /// The parent is missing, or is no directory.
    NoParent {
        path: String,
    },
    Mode {
        path: String,
        mode: u16,
    },
    /// A hard link's target is missing, or a directory, or a hard link itself, or sorts behind the link.
    Hardlink {
        path: String,
        target: String,
    },
    /// Empty, longer than 4095 bytes, or with a zero byte.
    Symlink {
        path: String,
    },
    Device {
        path: String,
        major: u32,
        minor: u32,
    },
    /// A name without a prefix that the format knows, a name or value that is too long, or one that stands there twice.
    Xattr {
        path: String,
        name: String,
    },
    XattrsTooLarge {
        path: String,
        bytes: usize,
    },
    /// More than 2^32 blocks of 4096 bytes.
    TooLarge,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot => write!(f, "the tree has no entry for /"),
            Self::Path { path } => write!(f, "{path}: no absolute path of plain names up to 255 bytes each"),
            Self::Duplicate { path } => write!(f, "{path}: stands there twice"),
            Self::NoParent { path } => write!(f, "{path}: its parent is no directory of the tree"),
            Self::Mode { path, mode } => write!(f, "{path}: mode {mode:o} has more than permission bits (7777)"),
            Self::Hardlink { path, target } => write!(
                f,
                "{path}: {target} is nothing that a hard link can lead to (a file, link or device that sorts before it)"
            ),
            Self::Symlink { path } => write!(f, "{path}: a symbolic link's target has 1 to 4095 bytes, none of them zero"),
            Self::Device { path, major, minor } => write!(f, "{path}: device {major}:{minor} does not fit 12 and 20 bits"),
            Self::Xattr { path, name } => {
                write!(
                    f,
                    "{path}: attribute {name:?} cannot be stored (known are user., trusted., security. and POSIX ACLs; up to 255 and 65535 bytes; once)"
                )
            }
            Self::XattrsTooLarge { path, bytes } => write!(f, "{path}: its attributes take {bytes} bytes, at most 262136 can be"),
            Self::TooLarge => write!(f, "the tree needs more than 2^32 blocks"),
        }
    }
}

impl core::error::Error for PlanError {}
