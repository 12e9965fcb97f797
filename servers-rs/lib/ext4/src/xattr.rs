// SPDX-License-Identifier: PMPL-1.0-or-later
//! Extended attributes: in the inode behind its fields, and in one block if they do not fit.
//! `Documentation/filesystems/ext4/attributes.rst`.

use crate::bytes::{crc32c, part, put, put16, put32, u16_at, u32_at};
use crate::inode::{IN_INODE_ATTRIBUTES, Inode};
use crate::store::{Block, editable, zeroed};
use crate::superblock::INODE_BYTES;
use crate::{BLOCK, Error, Ext4, Result};
use alloc::rc::Rc;
use alloc::vec::Vec;
use blocks::BlockWrite;

const MAGIC: u32 = 0xea02_0000;
const ENTRY_BYTES: usize = 16;
const BLOCK_HEADER_BYTES: usize = 32;
const CHECKSUM: usize = 0x10;
/// Name spaces and their numbers. Access control lists (2, 3) have a form of their own and are not taken.
const SPACES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];

/// What `set_attribute` does with an attribute that is there, or is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XattrSet {
    Any,
    /// `Error::Exists` if it is there.
    Create,
    /// `Error::NoAttribute` if it is not.
    Replace,
}

#[derive(Clone, Debug)]
struct Attribute {
    space: u8,
    name: Vec<u8>,
    value: Vec<u8>,
    /// Stands in the block; one that stays where it is needs no new block.
    in_block: bool,
}

impl Attribute {
    fn entry_bytes(&self) -> usize {
        ENTRY_BYTES + self.name.len().next_multiple_of(4)
    }
    fn bytes(&self) -> usize {
        self.entry_bytes() + self.value.len().next_multiple_of(4)
    }
    /// Of name and value, as the kernel checks it in a block.
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |hash, byte| hash << 5 ^ hash >> 27 ^ u32::from(*byte));
        let mut value = self.value.clone();
        value.resize(value.len().next_multiple_of(4), 0);
        value.chunks_exact(4).fold(name, |hash, word| hash << 16 ^ hash >> 16 ^ u32_at(word, 0))
    }
}

fn split(name: &[u8]) -> Result<(u8, &[u8])> {
    let found = SPACES.iter().find_map(|(space, prefix)| name.strip_prefix(*prefix).map(|rest| (*space, rest)));
    match found {
        Some((_, [])) | None => Err(Error::Invalid),
        Some((_, rest)) if rest.len() > 255 => Err(Error::AttributesTooBig),
        Some(found) => Ok(found),
    }
}

/// Entries from `first` on; values are counted from `base`.
fn parse(bytes: &[u8], first: usize, base: usize, in_block: bool, out: &mut Vec<Attribute>) -> Result<()> {
    let mut at = first;
    while u32_at(bytes, at) != 0 {
        let name_length = usize::from(bytes.get(at).copied().unwrap_or(0));
        let (offset, size) = (usize::from(u16_at(bytes, at + 2)), u32_at(bytes, at + 8) as usize);
        let name = bytes.get(at + ENTRY_BYTES..at + ENTRY_BYTES + name_length);
        let value = bytes.get(base + offset..(base + offset).saturating_add(size));
        if u32_at(bytes, at + 4) != 0 {
            return Err(Error::Unsupported("an attribute in an inode of its own"));
        }
        let (Some(name), Some(value)) = (name, value) else { return Err(Error::Corrupt("an extended attribute")) };
        let space = bytes.get(at + 1).copied().unwrap_or(0);
        out.push(Attribute { space, name: name.to_vec(), value: if size == 0 { Vec::new() } else { value.to_vec() }, in_block });
        at += ENTRY_BYTES + name_length.next_multiple_of(4);
    }
    Ok(())
}

/// Entries from `first` on, values from the end down.
fn store(bytes: &mut [u8], first: usize, base: usize, attributes: &[&Attribute]) {
    let (mut at, mut end) = (first, bytes.len());
    for a in attributes {
        end -= a.value.len().next_multiple_of(4);
        put(bytes, at, &[a.name.len() as u8, a.space]);
        put16(bytes, at + 2, if a.value.is_empty() { 0 } else { (end - base) as u16 });
        put32(bytes, at + 8, a.value.len() as u32);
        put32(bytes, at + 12, if a.in_block { a.hash() } else { 0 });
        put(bytes, at + ENTRY_BYTES, &a.name);
        put(bytes, end, &a.value);
        at += a.entry_bytes();
    }
}

impl<D: BlockWrite> Ext4<D> {
    fn attribute_block(&mut self, block: u64) -> Result<Block> {
        let seed = self.layout.seed;
        let check = |bytes: &[u8]| checksum(seed, block, bytes) == u32_at(bytes, CHECKSUM) && u32_at(bytes, 0) == MAGIC;
        self.store.read(block, "a block of extended attributes", check)
    }

    fn attributes(&mut self, inode: &Inode) -> Result<Vec<Attribute>> {
        let mut out = Vec::new();
        let at = 128 + usize::from(u16_at(&inode.raw, 0x80));
        if at + 4 <= INODE_BYTES && u32_at(&inode.raw, at) == MAGIC {
            parse(&inode.raw, at + 4, at + 4, false, &mut out)?;
        }
        if inode.attribute_block() != 0 {
            let bytes = self.attribute_block(inode.attribute_block())?;
            parse(&bytes, BLOCK_HEADER_BYTES, 0, true, &mut out)?;
        }
        Ok(out)
    }

    /// The value of an attribute; `name` with its space: `user.…`, `trusted.…`, `security.…`.
    pub fn attribute(&mut self, number: u32, name: &[u8]) -> Result<Vec<u8>> {
        let (space, name) = split(name)?;
        let inode = self.inode(number)?;
        let all = self.attributes(&inode)?;
        all.into_iter().find(|a| a.space == space && a.name == name).map(|a| a.value).ok_or(Error::NoAttribute)
    }
    /// Names of all attributes, with their spaces.
    pub fn attribute_names(&mut self, number: u32) -> Result<Vec<Vec<u8>>> {
        let inode = self.inode(number)?;
        let named = |a: Attribute| {
            let prefix = SPACES.iter().find(|(space, _)| *space == a.space)?.1;
            Some([prefix, &a.name].concat())
        };
        Ok(self.attributes(&inode)?.into_iter().filter_map(named).collect())
    }

    pub fn set_attribute(&mut self, number: u32, name: &[u8], value: &[u8], how: XattrSet) -> Result<()> {
        let (space, name) = split(name)?;
        self.operation(|fs| {
            let mut inode = fs.inode(number)?;
            let mut all = fs.attributes(&inode)?;
            let old = all.iter().position(|a| a.space == space && a.name == name);
            match (how, old) {
                (XattrSet::Create, Some(_)) => return Err(Error::Exists),
                (XattrSet::Replace, None) => return Err(Error::NoAttribute),
                (_, Some(at)) => drop(all.remove(at)),
                (_, None) => {}
            }
            all.push(Attribute { space, name: name.to_vec(), value: value.to_vec(), in_block: false });
            fs.put_attributes(&mut inode, all)
        })
    }
    pub fn remove_attribute(&mut self, number: u32, name: &[u8]) -> Result<()> {
        let (space, name) = split(name)?;
        self.operation(|fs| {
            let mut inode = fs.inode(number)?;
            let mut all = fs.attributes(&inode)?;
            let at = all.iter().position(|a| a.space == space && a.name == name).ok_or(Error::NoAttribute)?;
            all.remove(at);
            fs.put_attributes(&mut inode, all)
        })
    }

    fn put_attributes(&mut self, inode: &mut Inode, mut all: Vec<Attribute>) -> Result<()> {
        all.sort_by(|a, b| (a.space, a.name.len(), &a.name).cmp(&(b.space, b.name.len(), &b.name)));
        let start = 128 + usize::from(u16_at(&inode.raw, 0x80));
        let start = if start <= 128 { IN_INODE_ATTRIBUTES } else { start };
        // The list ends with four bytes of zero.
        let (mut in_inode, mut in_block) = (start + 4 + 4, BLOCK_HEADER_BYTES + 4);
        for a in &mut all {
            a.in_block = in_inode + a.bytes() > INODE_BYTES;
            *(if a.in_block { &mut in_block } else { &mut in_inode }) += a.bytes();
        }
        if in_block > BLOCK {
            return Err(Error::AttributesTooBig);
        }
        let place = inode.raw.get_mut(start..).unwrap_or_default();
        place.fill(0);
        let here: Vec<&Attribute> = all.iter().filter(|a| !a.in_block).collect();
        if !here.is_empty() {
            put32(place, 0, MAGIC);
            store(place, 4, 4, &here);
        }
        let there: Vec<&Attribute> = all.iter().filter(|a| a.in_block).collect();
        self.put_attribute_block(inode, &there)?;
        let now = self.now;
        inode.changed(now);
        self.put_inode(inode)
    }

    fn put_attribute_block(&mut self, inode: &mut Inode, attributes: &[&Attribute]) -> Result<()> {
        let mut place = inode.attribute_block();
        if place != 0 && (attributes.is_empty() || u32_at(&self.attribute_block(place)?, 4) != 1) {
            self.drop_attribute_block(inode)?;
            place = 0;
        }
        if attributes.is_empty() {
            return Ok(());
        }
        if place == 0 {
            let goal = self.layout.group_start((inode.number - 1) / self.layout.inodes_per_group);
            place = self.allocate_blocks(inode, goal, 1)?.0;
            inode.set_attribute_block(place);
        }
        let mut bytes = zeroed();
        put32(&mut bytes, 0, MAGIC);
        put32(&mut bytes, 4, 1);
        put32(&mut bytes, 8, 1);
        store(&mut bytes, BLOCK_HEADER_BYTES, 0, attributes);
        self.write_attribute_block(place, Rc::new(bytes));
        Ok(())
    }
    fn write_attribute_block(&mut self, block: u64, mut bytes: Block) {
        let sum = checksum(self.layout.seed, block, &bytes);
        put32(editable(&mut bytes), CHECKSUM, sum);
        self.store.write(block, bytes);
    }

    /// Frees the block, or counts one user less if Linux let several inodes share it.
    pub(crate) fn drop_attribute_block(&mut self, inode: &mut Inode) -> Result<()> {
        let block = inode.attribute_block();
        if block == 0 {
            return Ok(());
        }
        let mut bytes = self.attribute_block(block)?;
        let users = u32_at(&bytes, 4);
        if users > 1 {
            put32(editable(&mut bytes), 4, users - 1);
            self.write_attribute_block(block, bytes);
            self.charged(inode, -1)?;
        } else {
            self.free_blocks(inode, block, 1)?;
        }
        inode.set_attribute_block(0);
        Ok(())
    }
}

fn checksum(seed: u32, block: u64, bytes: &[u8]) -> u32 {
    let crc = crc32c(crc32c(seed, &block.to_le_bytes()), part(bytes, 0, CHECKSUM));
    crc32c(crc32c(crc, &[0; 4]), part(bytes, CHECKSUM + 4, BLOCK - CHECKSUM - 4))
}
