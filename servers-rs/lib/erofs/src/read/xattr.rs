// SPDX-License-Identifier: PMPL-1.0-or-later
//! Extended attributes: those behind the inode and those that several inodes share.

use super::{Error, Inode, cache::Cache, superblock::Superblock};
use crate::ondisk::*;
use alloc::{string::String, vec, vec::Vec};
use blocks::BlockRead;

pub fn read<B: BlockRead>(blocks: &mut Cache<B>, superblock: &Superblock, of: &Inode) -> Result<Vec<(String, Vec<u8>)>, Error> {
    if of.xattr_bytes == 0 {
        return Ok(Vec::new());
    }
    let corrupt = Error::Corrupt { what: "attributes", nid: of.nid };
    // At most 256 KiB: the count has 16 bits.
    let mut bytes = vec![0u8; of.xattr_bytes as usize];
    blocks.read(of.xattrs_at, &mut bytes)?;
    let shared = usize::from(*bytes.get(4).ok_or(corrupt)?);
    let ids_end = XATTR_HEADER_BYTES + 4 * shared;
    let ids = bytes.get(XATTR_HEADER_BYTES..ids_end).ok_or(corrupt)?;
    let mut found = Vec::new();
    for id in ids.chunks_exact(4) {
        let id = u64::from(u32::from_le_bytes(id.try_into().map_err(|_| corrupt)?));
        found.push(read_shared(blocks, superblock, id, corrupt)?);
    }
    let mut rest = bytes.get(ids_end..).unwrap_or_default();
    while let [length, index, low, high, ..] = *rest {
        let (name, value) = (usize::from(length), usize::from(u16::from_le_bytes([low, high])));
        let total = XATTR_ENTRY_BYTES + name + value;
        found.push(attribute(rest.get(..total).ok_or(corrupt)?, index, name, corrupt)?);
        rest = rest.get(total.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

fn read_shared<B: BlockRead>(
    blocks: &mut Cache<B>,
    superblock: &Superblock,
    id: u64,
    corrupt: Error,
) -> Result<(String, Vec<u8>), Error> {
    let at = superblock.xattr_block * BLOCK as u64 + 4 * id;
    if at + XATTR_ENTRY_BYTES as u64 > superblock.bytes() {
        return Err(corrupt);
    }
    let [length, index, low, high] = blocks.array(at)?;
    let (name, value) = (usize::from(length), usize::from(u16::from_le_bytes([low, high])));
    let total = XATTR_ENTRY_BYTES + name + value;
    if at + total as u64 > superblock.bytes() {
        return Err(corrupt);
    }
    let mut bytes = vec![0u8; total];
    blocks.read(at, &mut bytes)?;
    attribute(&bytes, index, name, corrupt)
}

/// Name and value out of an attribute's bytes, head included.
fn attribute(bytes: &[u8], index: u8, name: usize, corrupt: Error) -> Result<(String, Vec<u8>), Error> {
    let known = XATTR_PREFIXES.iter().find(|(number, _)| *number == index);
    let (_, prefix) = known.ok_or(Error::Unsupported { what: "attribute prefix", value: u32::from(index) })?;
    let suffix = bytes.get(XATTR_ENTRY_BYTES..XATTR_ENTRY_BYTES + name).ok_or(corrupt)?;
    let suffix = core::str::from_utf8(suffix).map_err(|_| corrupt)?;
    let value = bytes.get(XATTR_ENTRY_BYTES + name..).ok_or(corrupt)?;
    Ok((String::from(*prefix) + suffix, value.to_vec()))
}
