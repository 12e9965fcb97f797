// SPDX-License-Identifier: PMPL-1.0-or-later
//! Numbers of the format, with the names that erofs_fs.h gives them. Everything is little endian.

pub const BLOCK: usize = blocks::BLOCK_BYTES;
pub const BLOCK_BITS: u8 = 12;

/// The superblock lies in block 0.
pub const SUPER_OFFSET: usize = 1024;
pub const SUPER_BYTES: usize = 128;
pub const MAGIC: u32 = 0xe0f5_e1e2;

/// Offsets in the superblock.
pub mod sb {
    pub const MAGIC: usize = 0;
    pub const CHECKSUM: usize = 4;
    pub const FEATURE_COMPAT: usize = 8;
    pub const BLOCK_BITS: usize = 12;
    pub const ROOT_NID: usize = 14;
    pub const INODES: usize = 16;
    pub const BUILD_TIME: usize = 24;
    pub const BUILD_TIME_NSEC: usize = 32;
    pub const BLOCKS: usize = 36;
    pub const META_BLOCK: usize = 40;
    pub const XATTR_BLOCK: usize = 44;
    pub const UUID: usize = 48;
    pub const VOLUME_NAME: usize = 64;
    pub const FEATURE_INCOMPAT: usize = 80;
    pub const DIR_BLOCK_BITS: usize = 90;
}

/// The superblock has a checksum.
pub const COMPAT_CHECKSUM: u32 = 1;
/// Inode times are modification times.
pub const COMPAT_MTIME: u32 = 2;

/// An inode's number counts these from the start of the metadata.
pub const SLOT: usize = 32;
pub const COMPACT_BYTES: usize = 32;
pub const EXTENDED_BYTES: usize = 64;

/// Values of the layout field (bits 1 to 3 of the format).
pub const LAYOUT_PLAIN: u16 = 0;
pub const LAYOUT_INLINE: u16 = 2;

/// Offsets common to both inode forms, then those that differ.
pub mod inode {
    pub const FORMAT: usize = 0;
    pub const XATTR_COUNT: usize = 2;
    pub const MODE: usize = 4;
    /// Size: 32 bits in the compact form, 64 in the extended.
    pub const SIZE: usize = 8;
    /// First block, or device number.
    pub const UNION: usize = 16;
    pub const NUMBER: usize = 20;

    pub const COMPACT_LINKS: usize = 6;
    pub const COMPACT_UID: usize = 24;
    pub const COMPACT_GID: usize = 26;

    pub const EXTENDED_UID: usize = 24;
    pub const EXTENDED_GID: usize = 28;
    pub const EXTENDED_MTIME: usize = 32;
    pub const EXTENDED_MTIME_NSEC: usize = 40;
    pub const EXTENDED_LINKS: usize = 44;
}

/// A directory entry: nid u64, name offset u16, file type u8, reserved u8.
pub const DIRENT_BYTES: usize = 12;
pub const MAX_NAME: usize = 255;

/// The header of inline attributes; its byte 4 counts shared ones.
pub const XATTR_HEADER_BYTES: usize = 12;
/// An attribute's head: name length u8, prefix index u8, value length u16.
pub const XATTR_ENTRY_BYTES: usize = 4;
/// Name prefixes by index. The two of POSIX ACLs are whole names.
pub const XATTR_PREFIXES: [(u8, &str); 5] =
    [(1, "user."), (2, "system.posix_acl_access"), (3, "system.posix_acl_default"), (4, "trusted."), (6, "security.")];

/// File type bits of a mode.
pub mod mode {
    pub const TYPE: u16 = 0o170000;
    pub const FIFO: u16 = 0o010000;
    pub const CHAR: u16 = 0o020000;
    pub const DIRECTORY: u16 = 0o040000;
    pub const BLOCK: u16 = 0o060000;
    pub const FILE: u16 = 0o100000;
    pub const SYMLINK: u16 = 0o120000;
    pub const SOCKET: u16 = 0o140000;
}
