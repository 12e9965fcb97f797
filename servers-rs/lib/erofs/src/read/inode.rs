// SPDX-License-Identifier: PMPL-1.0-or-later
//! Inodes, checked: contents lie within the image before anybody reads them.

use super::{
    Error,
    cache::{Cache, u16_at, u32_at, u64_at},
    superblock::Superblock,
};
use crate::{entry::split_device_number, ondisk::*};
use blocks::BlockRead;

/// What a path is, as directory entries number it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FileType {
    Unknown = 0,
    File = 1,
    Directory = 2,
    Char = 3,
    Block = 4,
    Fifo = 5,
    Socket = 6,
    Symlink = 7,
}

impl FileType {
    /// From the type bits of a mode.
    pub fn from_mode(mode: u16) -> Self {
        match mode & mode::TYPE {
            mode::FILE => Self::File,
            mode::DIRECTORY => Self::Directory,
            mode::CHAR => Self::Char,
            mode::BLOCK => Self::Block,
            mode::FIFO => Self::Fifo,
            mode::SOCKET => Self::Socket,
            mode::SYMLINK => Self::Symlink,
            _ => Self::Unknown,
        }
    }

    /// From a directory entry.
    pub fn from_number(number: u8) -> Self {
        let all = [Self::File, Self::Directory, Self::Char, Self::Block, Self::Fifo, Self::Socket, Self::Symlink];
        all.into_iter().find(|one| *one as u8 == number).unwrap_or(Self::Unknown)
    }
}

/// A file, directory or other thing of an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inode {
    /// Its number, unique in the image and stable.
    pub nid: u64,
    /// With the file type bits.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    /// Bytes of the contents.
    pub size: u64,
    /// Modification time, seconds since 1970, and nanoseconds.
    pub mtime_s: u64,
    pub mtime_ns: u32,
    /// As on disk; [`Inode::device`] splits it.
    device: u32,
    /// Byte of the image where the attributes begin, and how many bytes they take.
    pub(super) xattrs_at: u64,
    pub(super) xattr_bytes: u64,
    /// Byte of the image where the contents begin.
    pub(super) contents_at: Option<u64>,
    /// Inline contents: from which byte of the contents on, and where in the image.
    pub(super) tail: Option<(u64, u64)>,
}

impl Inode {
    pub fn file_type(&self) -> FileType {
        FileType::from_mode(self.mode)
    }

    pub fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> Option<(u32, u32)> {
        matches!(self.file_type(), FileType::Char | FileType::Block).then(|| split_device_number(self.device))
    }
}

pub fn read<B: BlockRead>(blocks: &mut Cache<B>, superblock: &Superblock, nid: u64) -> Result<Inode, Error> {
    let corrupt = |what| Error::Corrupt { what, nid };
    let position = nid.checked_mul(SLOT as u64).and_then(|at| at.checked_add(superblock.meta_block * BLOCK as u64));
    let position =
        position.filter(|at| at.saturating_add(COMPACT_BYTES as u64) <= superblock.bytes()).ok_or(corrupt("number"))?;
    let format = u16::from_le_bytes(blocks.array(position)?);
    let (layout, extended) = (format >> 1 & 7, format & 1 == 1);
    if format >> 4 != 0 || !matches!(layout, LAYOUT_PLAIN | LAYOUT_INLINE) {
        return Err(Error::Unsupported { what: "inode format", value: u32::from(format) });
    }
    let length = if extended { EXTENDED_BYTES } else { COMPACT_BYTES } as u64;
    if position.saturating_add(length) > superblock.bytes() {
        return Err(corrupt("number"));
    }
    let mut inode =
        if extended { read_extended(&blocks.array(position)?) } else { read_compact(&blocks.array(position)?, superblock) };
    inode.nid = nid;
    inode.xattrs_at = position + length;
    inode.xattr_bytes = match inode.xattr_bytes {
        0 => 0,
        count => XATTR_HEADER_BYTES as u64 + 4 * (count - 1),
    };
    let behind = inode.xattrs_at + inode.xattr_bytes;
    if behind > superblock.bytes() {
        return Err(corrupt("attributes"));
    }
    if matches!(inode.file_type(), FileType::File | FileType::Directory | FileType::Symlink) {
        place_contents(&mut inode, layout, behind, superblock).ok_or(corrupt("contents"))?;
    } else {
        inode.size = 0;
    }
    Ok(inode)
}

/// Finds where the contents lie. `None` if that is not within the image.
fn place_contents(inode: &mut Inode, layout: u16, behind: u64, superblock: &Superblock) -> Option<()> {
    let block = BLOCK as u64;
    let start = u64::from(inode.device).checked_mul(block)?;
    inode.contents_at = Some(start);
    if layout == LAYOUT_PLAIN {
        return (inode.size == 0 || start.checked_add(inode.size)? <= superblock.bytes()).then_some(());
    }
    let tail_offset = inode.size / block * block;
    let tail_bytes = inode.size % block;
    // Inline contents may not cross the end of a block.
    let fits = tail_bytes == 0 || (behind % block + tail_bytes <= block && behind + tail_bytes <= superblock.bytes());
    inode.tail = (tail_bytes > 0).then_some((tail_offset, behind));
    (fits && (tail_offset == 0 || start.checked_add(tail_offset)? <= superblock.bytes())).then_some(())
}

fn read_compact(bytes: &[u8; COMPACT_BYTES], superblock: &Superblock) -> Inode {
    Inode {
        size: u64::from(u32_at(bytes, inode::SIZE)),
        uid: u32::from(u16_at(bytes, inode::COMPACT_UID)),
        gid: u32::from(u16_at(bytes, inode::COMPACT_GID)),
        links: u32::from(u16_at(bytes, inode::COMPACT_LINKS)),
        mtime_s: superblock.build_time_s,
        mtime_ns: superblock.build_time_ns,
        ..common(bytes)
    }
}

fn read_extended(bytes: &[u8; EXTENDED_BYTES]) -> Inode {
    Inode {
        size: u64_at(bytes, inode::SIZE),
        uid: u32_at(bytes, inode::EXTENDED_UID),
        gid: u32_at(bytes, inode::EXTENDED_GID),
        links: u32_at(bytes, inode::EXTENDED_LINKS),
        mtime_s: u64_at(bytes, inode::EXTENDED_MTIME),
        mtime_ns: u32_at(bytes, inode::EXTENDED_MTIME_NSEC),
        ..common(bytes)
    }
}

/// The fields that both forms share; `xattr_bytes` is still the count.
fn common(bytes: &[u8]) -> Inode {
    Inode {
        nid: 0,
        mode: u16_at(bytes, inode::MODE),
        uid: 0,
        gid: 0,
        links: 0,
        size: 0,
        mtime_s: 0,
        mtime_ns: 0,
        device: u32_at(bytes, inode::UNION),
        xattrs_at: 0,
        xattr_bytes: u64::from(u16_at(bytes, inode::XATTR_COUNT)),
        contents_at: None,
        tail: None,
    }
}
