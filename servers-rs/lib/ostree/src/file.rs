// SPDX-License-Identifier: PMPL-1.0-or-later
//! Files and symbolic links: the header that is hashed in front of the content.

use crate::{Fault, ObjectId, Value, View, Xattrs, tree};
use alloc::{string::String, vec, vec::Vec};
use sha2::{Digest as _, Sha256};

const ARCHIVE: &str = "(tuuuusa(ayay))";
const MAX_HEADER_BYTES: usize = 1024 * 1024;

/// Owner, mode and attributes of a file or symbolic link.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileHeader {
    pub uid: u32,
    pub gid: u32,
    /// With the file type bits (0o100000 or 0o120000).
    pub mode: u32,
    /// Where a symbolic link leads; empty for a file.
    pub symlink_target: String,
    pub xattrs: Xattrs,
}

impl FileHeader {
    /// What is hashed before the content: length, padding, `(uuuusa(ayay))`.
    pub fn content_prefix(&self) -> Vec<u8> {
        framed(Value::Tuple(self.members()).to_bytes())
    }

    /// What stands before the compressed content in a `filez`: length, padding, `(tuuuusa(ayay))` with the plain size first.
    pub fn archive_prefix(&self, plain_bytes: u64) -> Vec<u8> {
        let mut members = vec![Value::U64(plain_bytes)];
        members.extend(self.members());
        framed(Value::Tuple(members).to_bytes())
    }

    /// Reads the front of a `filez`: header, plain size, and where the compressed content begins.
    pub fn parse_archive_prefix(bytes: &[u8]) -> Result<(Self, u64, usize), Fault> {
        let length = bytes.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize).ok_or(Fault::Frame)?;
        if length > MAX_HEADER_BYTES {
            return Err(Fault::Limit);
        }
        let end = length + 8;
        let view = View::new(ARCHIVE, bytes.get(8..end).ok_or(Fault::Frame)?)?;
        let number = |index| view.member(index)?.u32();
        if number(4)? != 0 {
            // No object has a device number: OSTree has no device nodes.
            return Err(Fault::Frame);
        }
        let header = Self {
            uid: number(1)?,
            gid: number(2)?,
            mode: number(3)?,
            symlink_target: view.member(5)?.text()?.into(),
            xattrs: tree::parse_xattrs(view.member(6)?)?,
        };
        Ok((header, view.member(0)?.u64()?, end))
    }

    fn members(&self) -> Vec<Value> {
        vec![
            Value::U32(self.uid),
            Value::U32(self.gid),
            Value::U32(self.mode),
            Value::U32(0),
            Value::Text(self.symlink_target.clone()),
            tree::xattrs_value(&self.xattrs),
        ]
    }
}

fn framed(header: Vec<u8>) -> Vec<u8> {
    let mut bytes = (header.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&header);
    bytes
}

/// Computes a file's id from its header and its content as it streams by.
#[derive(Clone, Debug)]
pub struct FileHasher(Sha256);

impl FileHasher {
    pub fn new(header: &FileHeader) -> Self {
        Self(Sha256::new_with_prefix(header.content_prefix()))
    }

    pub fn update(&mut self, content: &[u8]) {
        self.0.update(content);
    }

    pub fn finish(self) -> ObjectId {
        ObjectId(self.0.finalize().into())
    }
}
