// SPDX-License-Identifier: PMPL-1.0-or-later
//! A new file system over a whole device: what `mke2fs -t ext4 -O meta_bg,project,^resize_inode,^flex_bg` would make, with each
//! group's metadata in the group. `meta_bg` lets it grow without limit.
//!
//! The superblock is written last: a device on which this was cut off has none.

use crate::bytes::{crc32c, part, put, put_be32, put16, put32};
use crate::directory::{put_record, put_tail};
use crate::extent::plant;
use crate::group::{BLOCK_UNINIT, Bitmap, Group, INODE_UNINIT, covered, fresh_bitmap, set_bit};
use crate::inode::{FLAG_EXTENTS, I_BLOCK, I_BLOCK_BYTES, Inode, Kind, Time};
use crate::journal;
use crate::store::zeroed;
use crate::superblock::{self as sb, DESCRIPTOR_BYTES, DESCRIPTORS_PER_BLOCK, INODE_BYTES, INODES_PER_BLOCK, Layout};
use crate::{BLOCK, Error, ROOT, Result};
use alloc::vec::Vec;
use blocks::BlockWrite;

const BLOCKS_PER_GROUP: u32 = 8 * BLOCK as u32;
/// One for each 16 KiB.
const INODES_PER_GROUP: u32 = BLOCKS_PER_GROUP / 4;
/// Least blocks of a last group beyond its own metadata; a smaller rest is left alone.
pub const GROUP_LEAST: u32 = 64;
const JOURNAL_INODE: u32 = 8;
const LOST_AND_FOUND: u32 = 11;
/// 1024 is the least that Linux takes.
const JOURNAL_BLOCKS: [(u64, u32); 3] = [(1 << 18, 8192), (1 << 16, 4096), (0, 1024)];

/// Blocks that a file system on `available` blocks has: a last group that is too small is left out.
pub fn usable(layout: &Layout, available: u64) -> u64 {
    let per_group = u64::from(layout.blocks_per_group);
    let rest = (available % per_group) as u32;
    let last = (available / per_group).min(u64::from(u32::MAX)) as u32;
    let least = layout.head_blocks(last) + 2 + layout.table_blocks() + GROUP_LEAST;
    if rest < least { available - u64::from(rest) } else { available }
}

/// Makes an empty file system. `uuid` must be new: checksums begin with it, so old blocks are never taken for new ones.
pub fn make<D: BlockWrite>(device: &mut D, uuid: [u8; 16], label: &str, now: Time) -> Result<()> {
    let available = device.block_count();
    let journal_blocks = JOURNAL_BLOCKS.iter().find(|(least, _)| available >= *least).map_or(1024, |row| row.1);
    let template = superblock(&uuid, label, now, BLOCKS_PER_GROUP.into(), 1);
    let blocks = usable(&Layout::parse(&template)?, available.min(1 << 40));
    let groups = blocks.div_ceil(u64::from(BLOCKS_PER_GROUP)) as u32;
    let mut superblock = superblock(&uuid, label, now, blocks, groups);
    let layout = Layout::parse(&superblock)?;
    let first = layout.head_blocks(0) + 2 + layout.table_blocks();
    if blocks < u64::from(first + journal_blocks + 2 + GROUP_LEAST) {
        return Err(Error::NoSpace);
    }
    let (journal, root, lost) = (u64::from(first), u64::from(first + journal_blocks), u64::from(first + journal_blocks + 1));
    let (mut free, mut descriptors) = (0, Vec::new());
    for number in 0..groups {
        let group = new_group(device, &layout, number, journal_blocks + 2)?;
        free += u64::from(group.free_blocks());
        descriptors.extend_from_slice(&group.raw);
    }
    write_descriptors(device, &layout, &descriptors)?;

    let mut table = zeroed();
    let mut journal_inode = inode(JOURNAL_INODE, Kind::File, 0o600, now, journal, journal_blocks);
    let jnl = part(&journal_inode.raw, I_BLOCK, I_BLOCK_BYTES).to_vec();
    put(&mut superblock, 0x10c, &jnl);
    put32(&mut superblock, 0x10c + 64, journal_blocks * BLOCK as u32);
    let mut root_inode = inode(ROOT, Kind::Directory, 0o755, now, root, 1);
    root_inode.set_links(3);
    let mut lost_inode = inode(LOST_AND_FOUND, Kind::Directory, 0o700, now, lost, 1);
    for inode in [&mut journal_inode, &mut root_inode, &mut lost_inode] {
        inode.seal(&layout);
        put(&mut table, (inode.number as usize - 1) * INODE_BYTES, &inode.raw);
    }
    const { assert!(LOST_AND_FOUND <= INODES_PER_BLOCK) };
    device.write_blocks(u64::from(layout.head_blocks(0) + 2), &table)?;
    device.write_blocks(root, &directory(&layout, &root_inode, ROOT, Some((LOST_AND_FOUND, "lost+found"))))?;
    device.write_blocks(lost, &directory(&layout, &lost_inode, ROOT, None))?;
    device.write_blocks(journal, &journal_superblock(&uuid, journal_blocks))?;

    put32(&mut superblock, sb::FREE_BLOCKS, free as u32);
    put32(&mut superblock, sb::FREE_BLOCKS_HIGH, (free >> 32) as u32);
    put32(&mut superblock, sb::FREE_INODES, layout.inodes() - LOST_AND_FOUND);
    write_backups(device, &layout, &superblock)?;
    device.flush()?;
    let mut block = zeroed();
    sb::seal(&mut superblock);
    put(&mut block, sb::OFFSET, &superblock);
    device.write_blocks(0, &block)?;
    Ok(device.flush()?)
}

fn superblock(uuid: &[u8; 16], label: &str, now: Time, blocks: u64, groups: u32) -> Vec<u8> {
    let mut b = alloc::vec![0; 1024];
    let seconds = now.seconds.max(0) as u32;
    let fields: [(usize, u32); 18] = [
        (0x00, groups.saturating_mul(INODES_PER_GROUP)),
        (0x04, blocks as u32),
        (0x18, 2), // blocks of 4096 bytes
        (0x1c, 2),
        (0x20, BLOCKS_PER_GROUP),
        (0x24, BLOCKS_PER_GROUP),
        (0x28, INODES_PER_GROUP),
        (0x40, seconds),
        (0x4c, 1),      // dynamic sizes
        (0x54, 11),     // first inode that is not reserved
        (0x5c, 0x2c),   // has_journal, ext_attr, dir_index
        (0x60, 0xd2),   // filetype, meta_bg, extents, 64bit
        (0x64, 0x246b), // sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum, project
        (0xe0, JOURNAL_INODE),
        (0x100, 0xc), // user attributes and lists
        (0x108, seconds),
        (0x150, (blocks >> 32) as u32),
        (0x160, 2), // unsigned hash
    ];
    fields.into_iter().for_each(|(at, value)| put32(&mut b, at, value));
    let fields: [(usize, u16); 8] = [
        (0x36, 0xffff), // no check after a number of mounts
        (0x38, 0xef53),
        (0x3a, 1),
        (0x3c, 1),
        (0x58, INODE_BYTES as u16),
        (0xfe, DESCRIPTOR_BYTES as u16),
        (0x15c, 32),
        (0x15e, 32),
    ];
    fields.into_iter().for_each(|(at, value)| put16(&mut b, at, value));
    put(&mut b, 0xfc, &[1, 1]); // half MD4; a copy of the journal's blocks follows
    put(&mut b, 0x175, &[1]); // crc32c
    put(&mut b, 0x68, uuid);
    put(&mut b, 0x78, part(label.as_bytes(), 0, label.len().min(16)));
    let seed = [0u8, 4, 8, 12].map(|n| crc32c(u32::from(n), uuid));
    seed.into_iter().enumerate().for_each(|(n, word)| put32(&mut b, 0xec + 4 * n, word));
    sb::seal(&mut b);
    b
}

/// Bitmaps of an empty group; `used` blocks behind the table of the first one are in use.
pub fn new_group<D: BlockWrite>(device: &mut D, layout: &Layout, number: u32, used: u32) -> Result<Group> {
    let start = layout.group_start(number) + u64::from(layout.head_blocks(number));
    let mut group = Group { raw: [0; DESCRIPTOR_BYTES] };
    group.set_places(start, start + 1, start + 2);
    let first = number == 0;
    let own = layout.head_blocks(number) + 2 + layout.table_blocks() + if first { used } else { 0 };
    let used_inodes = if first { LOST_AND_FOUND } else { 0 };
    group.set_free_blocks(layout.group_blocks(number) - own);
    group.set_free_inodes(layout.inodes_per_group - used_inodes);
    group.set_unused_inodes(layout.inodes_per_group - used_inodes);
    group.set_directories(if first { 2 } else { 0 });
    // Linux wants the bitmap of the last group written.
    let last = number + 1 == layout.groups;
    group.set_flags(if first { 0 } else { INODE_UNINIT | if last { 0 } else { BLOCK_UNINIT } });
    for of in [Bitmap::Blocks, Bitmap::Inodes] {
        let skip = group.flags() & if of == Bitmap::Blocks { BLOCK_UNINIT } else { INODE_UNINIT } != 0;
        if skip {
            continue;
        }
        let mut map = fresh_bitmap(layout, number, &group, of);
        let range = if of == Bitmap::Blocks { own - if first { used } else { 0 }..own } else { 0..used_inodes };
        range.for_each(|at| set_bit(&mut map, at, true));
        group.set_bitmap_checksum(of, crc32c(layout.seed, part(&map, 0, covered(layout, of))));
        device.write_blocks(group.bitmap(of), &map)?;
    }
    group.seal(layout, number);
    Ok(group)
}

/// Each block of descriptors stands in the first, second and last group of those it describes.
pub fn write_descriptors<D: BlockWrite>(device: &mut D, layout: &Layout, descriptors: &[u8]) -> Result<()> {
    for (meta, chunk) in descriptors.chunks(BLOCK).enumerate() {
        let mut block = zeroed();
        put(&mut block, 0, chunk);
        let first = meta as u32 * DESCRIPTORS_PER_BLOCK;
        for group in [first, first + 1, first + DESCRIPTORS_PER_BLOCK - 1] {
            if group < layout.groups {
                device.write_blocks(layout.group_start(group) + u64::from(layout.has_super(group)), &block)?;
            }
        }
    }
    Ok(())
}

/// Copies of the superblock in other groups.
pub fn write_backups<D: BlockWrite>(device: &mut D, layout: &Layout, superblock: &[u8]) -> Result<()> {
    for group in (1..layout.groups).filter(|group| layout.has_super(*group)) {
        let mut block = zeroed();
        let mut copy = superblock.to_vec();
        put16(&mut copy, 0x5a, group as u16);
        sb::seal(&mut copy);
        put(&mut block, 0, &copy);
        device.write_blocks(layout.group_start(group), &block)?;
    }
    Ok(())
}

fn inode(number: u32, kind: Kind, mode: u16, now: Time, block: u64, blocks: u32) -> Inode {
    let mut inode = Inode::new(number, 0, kind, mode);
    inode.set_links(if kind == Kind::Directory { 2 } else { 1 });
    inode.set_size(u64::from(blocks) * BLOCK as u64);
    inode.set_blocks_512(u64::from(blocks) * 8);
    inode.set_flags(FLAG_EXTENTS);
    inode.accessed(now);
    inode.modified(now);
    inode.changed(now);
    inode.created(now);
    plant(&mut inode);
    put16(&mut inode.raw, I_BLOCK + 2, 1);
    put16(&mut inode.raw, I_BLOCK + 16, blocks as u16);
    put32(&mut inode.raw, I_BLOCK + 20, block as u32);
    inode
}

fn directory(layout: &Layout, inode: &Inode, parent: u32, entry: Option<(u32, &str)>) -> Vec<u8> {
    let mut bytes = zeroed().into_vec();
    let kind = Kind::Directory as u8;
    put_record(&mut bytes, 0, 12, inode.number, kind, b".");
    let rest = BLOCK - 12 - 12;
    put_record(&mut bytes, 12, if entry.is_some() { 12 } else { rest }, parent, kind, b"..");
    if let Some((number, name)) = entry {
        put_record(&mut bytes, 24, rest - 12, number, kind, name.as_bytes());
    }
    put_tail(&mut bytes);
    let sum = crc32c(inode.seed(layout), part(&bytes, 0, BLOCK - 12));
    put32(&mut bytes, BLOCK - 4, sum);
    bytes
}

fn journal_superblock(uuid: &[u8; 16], blocks: u32) -> Vec<u8> {
    let mut b = zeroed().into_vec();
    let fields =
        [(0x00, journal::MAGIC), (0x04, journal::SUPERBLOCK), (0x0c, BLOCK as u32), (0x10, blocks), (0x14, 1), (0x18, 1)];
    fields.into_iter().for_each(|(at, value)| put_be32(&mut b, at, value));
    put_be32(&mut b, 0x28, journal::FEATURES);
    put(&mut b, 0x30, uuid);
    put_be32(&mut b, 0x40, 1);
    put(&mut b, 0x50, &[4]);
    let sum = crc32c(!0, part(&b, 0, 1024));
    put_be32(&mut b, 0xfc, sum);
    b
}
