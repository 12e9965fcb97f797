// SPDX-License-Identifier: PMPL-1.0-or-later
//! A tree, described: what the writer takes.

use crate::ondisk::mode;
use alloc::{string::String, vec::Vec};

/// One path of a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Absolute; `/` is the root.
    pub path: String,
    pub kind: Kind,
    /// Permission bits, with set-id and sticky bits: at most 0o7777. Not used for a hard link.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Full name and value. Their order does not matter. A hard link has those of its target.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// What a path is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Directory,
    File {
        length_bytes: u64,
    },
    Symlink {
        target: String,
    },
    Char {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// Another name of the file, link or device at `target`.
    Hardlink {
        target: String,
    },
}

impl Kind {
    /// File type bits of the mode; a hard link has none of its own.
    pub fn mode_bits(&self) -> u16 {
        match self {
            Self::Directory => mode::DIRECTORY,
            Self::File { .. } => mode::FILE,
            Self::Symlink { .. } => mode::SYMLINK,
            Self::Char { .. } => mode::CHAR,
            Self::Block { .. } => mode::BLOCK,
            Self::Fifo => mode::FIFO,
            Self::Hardlink { .. } => 0,
        }
    }
}

/// Major and minor in 32 bits, as Linux encodes them on disk. `None` if they do not fit (12 and 20 bits).
pub fn device_number(major: u32, minor: u32) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20).then_some(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// The reverse of [`device_number`].
pub fn split_device_number(number: u32) -> (u32, u32) {
    (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00)
}
