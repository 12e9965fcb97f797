// SPDX-License-Identifier: PMPL-1.0-or-later
//! Inodes: 256 bytes in their group's table. Fields that are not known here stay as they are.

use crate::bytes::{crc32c, part, put, put16, put32, u16_at, u32_at};
use crate::store::editable;
use crate::superblock::{INODE_BYTES, INODES_PER_BLOCK, Layout};
use crate::{BLOCK, Error, Ext4, Result};
use blocks::BlockWrite;

pub const FLAG_INDEX: u32 = 0x1000;
pub const FLAG_EXTENTS: u32 = 0x8_0000;
/// What is made below this directory is of its project.
pub const FLAG_PROJECT: u32 = 0x2000_0000;
const CHECKSUM: usize = 0x7c;
const CHECKSUM_HIGH: usize = 0x82;
/// Bytes behind the first 128 that are in use: up to the project.
const EXTRA_BYTES: u16 = 32;
/// Where the root of the extent tree, a short symlink or a device number stands.
pub const I_BLOCK: usize = 0x28;
pub const I_BLOCK_BYTES: usize = 60;
/// First byte of the attributes inside the inode.
pub const IN_INODE_ATTRIBUTES: usize = 128 + EXTRA_BYTES as usize;

/// An inode that is not in use.
pub const INODE_FREED: [u8; INODE_BYTES] = [0; INODE_BYTES];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    File = 1,
    Directory = 2,
    CharacterDevice = 3,
    BlockDevice = 4,
    Fifo = 5,
    Socket = 6,
    Symlink = 7,
}

impl Kind {
    /// The type bits of a mode.
    pub const fn mode(self) -> u16 {
        match self {
            Kind::Fifo => 0o010_000,
            Kind::CharacterDevice => 0o020_000,
            Kind::Directory => 0o040_000,
            Kind::BlockDevice => 0o060_000,
            Kind::File => 0o100_000,
            Kind::Symlink => 0o120_000,
            Kind::Socket => 0o140_000,
        }
    }
    pub fn of_mode(mode: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.mode() == mode & 0o170_000)
    }
    /// From the type byte of a directory entry.
    pub fn of_entry(n: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == n)
    }
    const ALL: [Kind; 7] =
        [Kind::File, Kind::Directory, Kind::CharacterDevice, Kind::BlockDevice, Kind::Fifo, Kind::Socket, Kind::Symlink];
}

/// Seconds since 1970, good to the year 2446, and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// What stat(2) says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub inode: u32,
    /// Tells an inode from an earlier one of the same number.
    pub generation: u32,
    pub kind: Kind,
    /// Permission bits, as chmod(2) counts them.
    pub mode: u16,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    pub size_bytes: u64,
    /// Blocks of 512 bytes, metadata of the file included.
    pub blocks_512: u64,
    /// Major and minor number of a device node.
    pub device: (u32, u32),
    pub accessed: Time,
    pub modified: Time,
    pub changed: Time,
    pub created: Time,
}

#[derive(Clone, Debug)]
pub struct Inode {
    pub number: u32,
    pub raw: [u8; INODE_BYTES],
}

impl Inode {
    pub fn new(number: u32, generation: u32, kind: Kind, mode: u16) -> Inode {
        let mut inode = Inode { number, raw: [0; INODE_BYTES] };
        put16(&mut inode.raw, 0x00, kind.mode() | mode & 0o7777);
        put32(&mut inode.raw, 0x64, generation);
        put16(&mut inode.raw, 0x80, EXTRA_BYTES);
        inode
    }
    pub fn mode(&self) -> u16 {
        u16_at(&self.raw, 0)
    }
    pub fn set_mode(&mut self, mode: u16) {
        let kind = self.mode() & 0o170_000;
        put16(&mut self.raw, 0, kind | mode & 0o7777);
    }
    pub fn kind(&self) -> Result<Kind> {
        Kind::of_mode(self.mode()).ok_or(Error::Corrupt("the type of an inode"))
    }
    pub fn is_directory(&self) -> bool {
        self.mode() & 0o170_000 == Kind::Directory.mode()
    }
    fn pair(&self, low: usize, high: usize) -> u32 {
        u32::from(u16_at(&self.raw, low)) | u32::from(u16_at(&self.raw, high)) << 16
    }
    pub fn uid(&self) -> u32 {
        self.pair(0x02, 0x78)
    }
    pub fn gid(&self) -> u32 {
        self.pair(0x18, 0x7a)
    }
    pub fn set_owner(&mut self, uid: u32, gid: u32) {
        for (low, high, value) in [(0x02, 0x78, uid), (0x18, 0x7a, gid)] {
            put16(&mut self.raw, low, value as u16);
            put16(&mut self.raw, high, (value >> 16) as u16);
        }
    }
    pub fn size(&self) -> u64 {
        u64::from(u32_at(&self.raw, 0x04)) | u64::from(u32_at(&self.raw, 0x6c)) << 32
    }
    pub fn set_size(&mut self, size: u64) {
        put32(&mut self.raw, 0x04, size as u32);
        put32(&mut self.raw, 0x6c, (size >> 32) as u32);
    }
    pub fn links(&self) -> u16 {
        u16_at(&self.raw, 0x1a)
    }
    pub fn set_links(&mut self, links: u16) {
        put16(&mut self.raw, 0x1a, links);
    }
    pub fn flags(&self) -> u32 {
        u32_at(&self.raw, 0x20)
    }
    pub fn set_flags(&mut self, flags: u32) {
        put32(&mut self.raw, 0x20, flags);
    }
    /// Deletion time, or the next inode of the orphan list.
    pub fn dtime(&self) -> u32 {
        u32_at(&self.raw, 0x14)
    }
    pub fn set_dtime(&mut self, value: u32) {
        put32(&mut self.raw, 0x14, value);
    }
    /// Blocks of 512 bytes.
    pub fn blocks_512(&self) -> u64 {
        u64::from(u32_at(&self.raw, 0x1c)) | u64::from(u16_at(&self.raw, 0x74)) << 32
    }
    pub fn set_blocks_512(&mut self, n: u64) {
        put32(&mut self.raw, 0x1c, n as u32);
        put16(&mut self.raw, 0x74, (n >> 32) as u16);
    }
    pub fn generation(&self) -> u32 {
        u32_at(&self.raw, 0x64)
    }
    pub fn attribute_block(&self) -> u64 {
        u64::from(u32_at(&self.raw, 0x68)) | u64::from(u16_at(&self.raw, 0x76)) << 32
    }
    pub fn set_attribute_block(&mut self, block: u64) {
        put32(&mut self.raw, 0x68, block as u32);
        put16(&mut self.raw, 0x76, (block >> 32) as u16);
    }
    /// Whether the bytes up to the project are in use.
    pub fn has_project(&self) -> bool {
        u16_at(&self.raw, 0x80) >= EXTRA_BYTES
    }
    pub fn project(&self) -> u32 {
        if self.has_project() { u32_at(&self.raw, 0x9c) } else { 0 }
    }
    pub fn set_project(&mut self, project: u32) {
        put32(&mut self.raw, 0x9c, project);
    }

    /// Offsets of seconds and extra bits.
    fn time(&self, at: usize, extra: usize) -> Time {
        let bits = if u16_at(&self.raw, 0x80) as usize + 128 >= extra + 4 { u32_at(&self.raw, extra) } else { 0 };
        let seconds = i64::from(u32_at(&self.raw, at) as i32) + (i64::from(bits & 3) << 32);
        Time { seconds, nanoseconds: (bits >> 2).min(999_999_999) }
    }
    fn set_time(&mut self, at: usize, extra: usize, time: Time) {
        let seconds = time.seconds.clamp(-(1 << 31), (1 << 34) - (1 << 31) - 1);
        let epoch = ((seconds - i64::from(seconds as i32)) >> 32) as u32 & 3;
        put32(&mut self.raw, at, seconds as u32);
        if u16_at(&self.raw, 0x80) as usize + 128 >= extra + 4 {
            put32(&mut self.raw, extra, epoch | time.nanoseconds.min(999_999_999) << 2);
        }
    }
    pub fn accessed(&mut self, time: Time) {
        self.set_time(0x08, 0x8c, time);
    }
    pub fn changed(&mut self, time: Time) {
        self.set_time(0x0c, 0x84, time);
    }
    pub fn modified(&mut self, time: Time) {
        self.set_time(0x10, 0x88, time);
    }
    pub fn created(&mut self, time: Time) {
        self.set_time(0x90, 0x94, time);
    }

    /// The encoding of Linux: the old one where both numbers fit a byte.
    pub fn set_device(&mut self, major: u32, minor: u32) {
        if major < 256 && minor < 256 {
            put32(&mut self.raw, I_BLOCK, major << 8 | minor);
        } else {
            put32(&mut self.raw, I_BLOCK + 4, minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12);
        }
    }
    fn device(&self) -> (u32, u32) {
        let old = u32_at(&self.raw, I_BLOCK);
        let new = u32_at(&self.raw, I_BLOCK + 4);
        if old != 0 { (old >> 8 & 0xff, old & 0xff) } else { (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xfff00) }
    }

    pub fn stat(&self) -> Result<Stat> {
        let kind = self.kind()?;
        let node = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);
        Ok(Stat {
            inode: self.number,
            generation: self.generation(),
            kind,
            mode: self.mode() & 0o7777,
            links: u32::from(self.links()),
            uid: self.uid(),
            gid: self.gid(),
            size_bytes: self.size(),
            blocks_512: self.blocks_512(),
            device: if node { self.device() } else { (0, 0) },
            accessed: self.time(0x08, 0x8c),
            modified: self.time(0x10, 0x88),
            changed: self.time(0x0c, 0x84),
            created: self.time(0x90, 0x94),
        })
    }

    /// Start of the checksums of what belongs to this inode.
    pub fn seed(&self, layout: &Layout) -> u32 {
        crc32c(crc32c(layout.seed, &self.number.to_le_bytes()), &self.generation().to_le_bytes())
    }
    fn checksum(&self, layout: &Layout) -> u32 {
        let crc = crc32c(crc32c(self.seed(layout), part(&self.raw, 0, CHECKSUM)), &[0; 2]);
        let crc = crc32c(crc, part(&self.raw, CHECKSUM + 2, CHECKSUM_HIGH - CHECKSUM - 2));
        // An inode that uses nothing behind the first 128 bytes has the low half only.
        if u16_at(&self.raw, 0x80) < 4 {
            return crc32c(crc, part(&self.raw, CHECKSUM_HIGH, INODE_BYTES - CHECKSUM_HIGH)) & 0xffff;
        }
        crc32c(crc32c(crc, &[0; 2]), part(&self.raw, CHECKSUM_HIGH + 2, INODE_BYTES - CHECKSUM_HIGH - 2))
    }
    pub fn seal(&mut self, layout: &Layout) {
        let sum = self.checksum(layout);
        put16(&mut self.raw, CHECKSUM, sum as u16);
        if u16_at(&self.raw, 0x80) >= 4 {
            put16(&mut self.raw, CHECKSUM_HIGH, (sum >> 16) as u16);
        }
    }
    fn is_sealed(&self, layout: &Layout) -> bool {
        let high = if u16_at(&self.raw, 0x80) < 4 { 0 } else { u32::from(u16_at(&self.raw, CHECKSUM_HIGH)) };
        self.checksum(layout) == u32::from(u16_at(&self.raw, CHECKSUM)) | high << 16 || crate::let_through()
    }
}

impl<D: BlockWrite> Ext4<D> {
    /// Block and byte of an inode.
    fn inode_place(&mut self, number: u32) -> Result<(u64, usize)> {
        if number == 0 || number > self.layout.inodes() {
            return Err(Error::Corrupt("an inode number beyond the table"));
        }
        let (group, at) = ((number - 1) / self.layout.inodes_per_group, (number - 1) % self.layout.inodes_per_group);
        let table = self.group(group)?.table();
        Ok((table + u64::from(at / INODES_PER_BLOCK), (at % INODES_PER_BLOCK) as usize * INODE_BYTES))
    }
    /// Whatever stands there, in use or not.
    pub(crate) fn raw_inode(&mut self, number: u32) -> Result<Inode> {
        let (block, at) = self.inode_place(number)?;
        let bytes = self.store.read(block, "the inode table", |_| true)?;
        let raw = part(&bytes, at, INODE_BYTES).try_into().map_err(|_| Error::Corrupt("the inode table"))?;
        Ok(Inode { number, raw })
    }
    /// An inode that is in use.
    pub(crate) fn inode(&mut self, number: u32) -> Result<Inode> {
        let inode = self.raw_inode(number)?;
        if inode.links() == 0 && !self.held(number) {
            return Err(Error::NotFound);
        }
        if !inode.is_sealed(&self.layout) {
            return Err(Error::Corrupt("the checksum of an inode"));
        }
        Ok(inode)
    }
    /// For the orphan list: an inode without links.
    pub(crate) fn orphan_inode(&mut self, number: u32) -> Result<Inode> {
        let inode = self.raw_inode(number)?;
        if inode.is_sealed(&self.layout) { Ok(inode) } else { Err(Error::Corrupt("the checksum of an inode")) }
    }
    pub(crate) fn put_inode(&mut self, inode: &mut Inode) -> Result<()> {
        let (block, at) = self.inode_place(inode.number)?;
        inode.seal(&self.layout);
        let mut bytes = self.store.read(block, "the inode table", |_| true)?;
        debug_assert!(at + INODE_BYTES <= BLOCK);
        put(editable(&mut bytes), at, &inode.raw);
        self.store.write(block, bytes);
        Ok(())
    }
}
