// SPDX-License-Identifier: PMPL-1.0-or-later
//! Makes the image's bytes, strictly in order, so that a hash tree can be built as they pass.

use super::plan::{Body, Node, Plan};
use super::xattr;
use crate::{crc::crc32c, ondisk::*};
use alloc::{vec, vec::Vec};

/// Large enough that reading a file costs few calls, small enough for a server's heap.
const CHUNK_BYTES: usize = 256 * 1024;

/// Where the contents of files come from.
pub trait Contents {
    type Error;

    /// Fills `out` from byte `offset` of the file that `entries[entry]` described. The length is the described one.
    fn read(&mut self, entry: usize, offset: u64, out: &mut [u8]) -> Result<(), Self::Error>;
}

/// Takes the image's bytes as they are made.
type Output<'a, E> = dyn FnMut(&[u8]) -> Result<(), E> + 'a;

impl Plan {
    /// Streams the image to `out` in whole blocks. The first error of `contents` or `out` ends it.
    pub fn write<C: Contents>(&self, contents: &mut C, out: &mut Output<'_, C::Error>) -> Result<(), C::Error> {
        out(&self.metadata(contents)?)?;
        let mut buffer = vec![0u8; CHUNK_BYTES];
        for node in self.nodes.iter().filter(|node| node.data_blocks() > 0) {
            match &node.body {
                Body::File => self.write_file(node, contents, &mut buffer, out)?,
                Body::Directory(names) => out(&padded(names.encode(&|index| self.resolve(index))))?,
                Body::Symlink(target) => out(&padded(target.as_bytes().to_vec()))?,
                Body::Device(_) | Body::Fifo => {}
            }
        }
        Ok(())
    }

    fn write_file<C: Contents>(
        &self,
        node: &Node,
        contents: &mut C,
        buffer: &mut [u8],
        out: &mut Output<'_, C::Error>,
    ) -> Result<(), C::Error> {
        let mut offset = 0;
        while offset < node.size {
            let length = usize::try_from(node.size - offset).unwrap_or(usize::MAX).min(buffer.len());
            // The buffer is a whole number of blocks, so the rounded length is still in it.
            let Some(data) = buffer.get_mut(..length.next_multiple_of(BLOCK)) else {
                return Ok(());
            };
            let (front, padding) = data.split_at_mut(length);
            contents.read(node.entry, offset, front)?;
            padding.fill(0);
            out(data)?;
            offset += length as u64;
        }
        Ok(())
    }

    /// Superblock and inodes, with the contents that lie behind inodes.
    fn metadata<C: Contents>(&self, contents: &mut C) -> Result<Vec<u8>, C::Error> {
        let mut bytes = vec![0u8; self.meta_blocks as usize * BLOCK];
        for (number, node) in (1u32..).zip(&self.nodes) {
            let at = node.position as usize;
            self.put_inode(&mut bytes, at, number, node);
            let behind = at + node.inode_bytes();
            put(&mut bytes, behind, &node.xattrs);
            if node.inline {
                let mut inner = vec![0u8; node.size as usize];
                match &node.body {
                    Body::File => contents.read(node.entry, 0, &mut inner)?,
                    Body::Directory(names) => inner = names.encode(&|index| self.resolve(index)),
                    Body::Symlink(target) => inner = target.as_bytes().to_vec(),
                    Body::Device(_) | Body::Fifo => {}
                }
                put(&mut bytes, behind + node.xattrs.len(), &inner);
            }
        }
        self.put_superblock(&mut bytes);
        Ok(bytes)
    }

    fn resolve(&self, index: usize) -> (u64, crate::read::FileType) {
        self.nodes.get(index).map_or((0, crate::read::FileType::Unknown), |node| (node.nid(), node.file_type()))
    }

    fn put_inode(&self, bytes: &mut [u8], at: usize, number: u32, node: &Node) {
        let layout = if node.inline { LAYOUT_INLINE } else { LAYOUT_PLAIN };
        let union = match node.body {
            Body::Device(device) => device,
            _ => node.start_block,
        };
        let mut set = |offset: usize, value: &[u8]| put(bytes, at + offset, value);
        set(inode::FORMAT, &(layout << 1 | u16::from(node.extended)).to_le_bytes());
        set(inode::XATTR_COUNT, &xattr::count(node.xattrs.len()).to_le_bytes());
        set(inode::MODE, &node.mode.to_le_bytes());
        set(inode::UNION, &union.to_le_bytes());
        set(inode::NUMBER, &number.to_le_bytes());
        if node.extended {
            set(inode::SIZE, &node.size.to_le_bytes());
            set(inode::EXTENDED_UID, &node.uid.to_le_bytes());
            set(inode::EXTENDED_GID, &node.gid.to_le_bytes());
            set(inode::EXTENDED_MTIME, &self.options.epoch_s.to_le_bytes());
            set(inode::EXTENDED_MTIME_NSEC, &self.options.epoch_ns.to_le_bytes());
            set(inode::EXTENDED_LINKS, &node.links.to_le_bytes());
        } else {
            // A compact inode was chosen because these fit.
            set(inode::SIZE, &(node.size as u32).to_le_bytes());
            set(inode::COMPACT_LINKS, &(node.links as u16).to_le_bytes());
            set(inode::COMPACT_UID, &(node.uid as u16).to_le_bytes());
            set(inode::COMPACT_GID, &(node.gid as u16).to_le_bytes());
        }
    }

    fn put_superblock(&self, bytes: &mut [u8]) {
        let root_nid = self.nodes.first().map_or(0, Node::nid);
        let mut set = |offset: usize, value: &[u8]| put(bytes, SUPER_OFFSET + offset, value);
        set(sb::MAGIC, &MAGIC.to_le_bytes());
        set(sb::FEATURE_COMPAT, &(COMPAT_CHECKSUM | COMPAT_MTIME).to_le_bytes());
        set(sb::BLOCK_BITS, &[BLOCK_BITS]);
        // The root is the first inode, right behind the superblock, so its number fits 16 bits.
        set(sb::ROOT_NID, &(root_nid as u16).to_le_bytes());
        set(sb::INODES, &(self.nodes.len() as u64).to_le_bytes());
        set(sb::BUILD_TIME, &self.options.epoch_s.to_le_bytes());
        set(sb::BUILD_TIME_NSEC, &self.options.epoch_ns.to_le_bytes());
        set(sb::BLOCKS, &(self.blocks as u32).to_le_bytes());
        set(sb::UUID, &self.options.uuid);
        set(sb::VOLUME_NAME, &self.options.volume_name);
        let sum = crc32c(bytes.get(SUPER_OFFSET..BLOCK).unwrap_or_default());
        put(bytes, SUPER_OFFSET + sb::CHECKSUM, &sum.to_le_bytes());
    }
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// All callers write inside the metadata, whose length the plan has computed from the same sizes.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(part) = bytes.get_mut(at..at + value.len()) {
        part.copy_from_slice(value);
    }
}
