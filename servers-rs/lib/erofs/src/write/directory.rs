// SPDX-License-Identifier: PMPL-1.0-or-later
//! A directory's contents: blocks of entries, sorted by name over all blocks, each block's names behind its entries.

use crate::{ondisk::*, read::FileType};
use alloc::{string::String, vec::Vec};

/// The names of a directory with what they lead to.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Name, position of the inode in the plan. With `.` and `..`. Sorted.
    names: Vec<(String, usize)>,
}

impl Names {
    /// A directory with only itself and its parent in it.
    pub fn new(own: usize, parent: usize) -> Self {
        Self { names: alloc::vec![(String::from("."), own), (String::from(".."), parent)] }
    }

    pub fn add(&mut self, name: &str, inode: usize) {
        self.names.push((name.into(), inode));
    }

    /// To be called once all names are there.
    pub fn sort(&mut self) {
        self.names.sort();
    }

    /// Bytes of the contents: whole blocks, then what the last one uses.
    pub fn length(&self) -> usize {
        let blocks = self.blocks();
        let last = blocks.last().map_or(0, |block| used(block));
        blocks.len().saturating_sub(1) * BLOCK + last
    }

    /// The contents, not padded at the end. `resolve` gives the nid and type of an inode.
    pub fn encode(&self, resolve: &dyn Fn(usize) -> (u64, FileType)) -> Vec<u8> {
        let mut bytes = Vec::new();
        for block in self.blocks() {
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
            let mut name_offset = block.len() * DIRENT_BYTES;
            for (name, inode) in block {
                let (nid, file_type) = resolve(*inode);
                bytes.extend_from_slice(&nid.to_le_bytes());
                bytes.extend_from_slice(&(name_offset as u16).to_le_bytes());
                bytes.extend_from_slice(&[file_type as u8, 0]);
                name_offset += name.len();
            }
            block.iter().for_each(|(name, _)| bytes.extend_from_slice(name.as_bytes()));
        }
        bytes
    }

    /// The names, cut into blocks that they fill as far as whole names go.
    fn blocks(&self) -> Vec<&[(String, usize)]> {
        let mut blocks = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (index, (name, _)) in self.names.iter().enumerate() {
            let needed = DIRENT_BYTES + name.len();
            if bytes + needed > BLOCK {
                blocks.extend(self.names.get(start..index));
                (start, bytes) = (index, 0);
            }
            bytes += needed;
        }
        blocks.extend(self.names.get(start..));
        blocks
    }
}

fn used(block: &[(String, usize)]) -> usize {
    block.iter().map(|(name, _)| DIRENT_BYTES + name.len()).sum()
}
