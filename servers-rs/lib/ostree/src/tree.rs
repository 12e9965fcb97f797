// SPDX-License-Identifier: PMPL-1.0-or-later
//! Directories: `dirtree` lists names and ids, `dirmeta` says owner, mode and attributes.

use crate::{Fault, ObjectId, Value, View};
use alloc::{string::String, vec, vec::Vec};

const TREE: &str = "(a(say)a(sayay))";
const META: &str = "(uuua(ayay))";
/// Entries of one directory, and bytes of one object: far above what a system tree has.
const MAX_ENTRIES: usize = 65_536;
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_XATTRS: usize = 256;

/// Extended attributes: full name and value. Kept sorted by name.
pub type Xattrs = Vec<(String, Vec<u8>)>;

/// Names of a directory. Both lists are sorted by bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DirTree {
    /// Name and file id.
    pub files: Vec<(String, ObjectId)>,
    /// Name, id of the dirtree, id of the dirmeta.
    pub directories: Vec<(String, ObjectId, ObjectId)>,
}

/// What a directory itself is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DirMeta {
    pub uid: u32,
    pub gid: u32,
    /// With the file type bits (0o040000).
    pub mode: u32,
    pub xattrs: Xattrs,
}

impl DirTree {
    pub fn to_bytes(&self) -> Vec<u8> {
        let id = |id: &ObjectId| Value::Bytes(id.0.to_vec());
        let name = |name: &String| Value::Text(name.clone());
        let files = self.files.iter().map(|(file, csum)| Value::Tuple(vec![name(file), id(csum)])).collect();
        let directories =
            self.directories.iter().map(|(dir, tree, meta)| Value::Tuple(vec![name(dir), id(tree), id(meta)])).collect();
        Value::Tuple(vec![Value::Array("(say)", files), Value::Array("(sayay)", directories)]).to_bytes()
    }

    /// Reads a dirtree: names are single path components, sorted, without repetition.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_BYTES {
            return Err(Fault::Limit);
        }
        let view = View::new(TREE, bytes)?;
        let mut tree = Self::default();
        for entry in view.member(0)?.elements(MAX_ENTRIES)? {
            let entry = entry?;
            tree.files.push((name(entry.member(0)?)?, ObjectId(entry.member(1)?.array()?)));
        }
        for entry in view.member(1)?.elements(MAX_ENTRIES)? {
            let entry = entry?;
            let (tree_id, meta_id) = (entry.member(1)?.array()?, entry.member(2)?.array()?);
            tree.directories.push((name(entry.member(0)?)?, ObjectId(tree_id), ObjectId(meta_id)));
        }
        let sorted = tree.files.is_sorted_by(|one, two| one.0 < two.0) && tree.directories.is_sorted_by(|one, two| one.0 < two.0);
        if sorted { Ok(tree) } else { Err(Fault::Frame) }
    }
}

/// A name that cannot lead out of its directory.
fn name(view: View<'_>) -> Result<String, Fault> {
    let name = view.text()?;
    if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.len() > 255 {
        return Err(Fault::Text);
    }
    Ok(name.into())
}

impl DirMeta {
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.uid, self.gid, self.mode].into_iter().map(Value::U32);
        Value::Tuple(numbers.chain([xattrs_value(&self.xattrs)]).collect()).to_bytes()
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_BYTES {
            return Err(Fault::Limit);
        }
        let view = View::new(META, bytes)?;
        let number = |index| view.member(index)?.u32();
        Ok(Self { uid: number(0)?, gid: number(1)?, mode: number(2)?, xattrs: parse_xattrs(view.member(3)?)? })
    }
}

/// `a(ayay)`: names end with a zero byte, sorted by name.
pub(crate) fn xattrs_value(xattrs: &Xattrs) -> Value {
    let mut sorted = xattrs.clone();
    sorted.sort();
    let pair = |(name, value): (String, Vec<u8>)| {
        let mut name = name.into_bytes();
        name.push(0);
        Value::Tuple(vec![Value::Bytes(name), Value::Bytes(value)])
    };
    Value::Array("(ayay)", sorted.into_iter().map(pair).collect())
}

pub(crate) fn parse_xattrs(view: View<'_>) -> Result<Xattrs, Fault> {
    let mut xattrs = Xattrs::new();
    for pair in view.elements(MAX_XATTRS)? {
        let pair = pair?;
        let (zero, name) = pair.member(0)?.bytes()?.split_last().ok_or(Fault::Text)?;
        let name = core::str::from_utf8(name).map_err(|_| Fault::Text)?;
        if *zero != 0 || name.is_empty() || name.contains('\0') {
            return Err(Fault::Text);
        }
        xattrs.push((name.into(), pair.member(1)?.bytes()?.to_vec()));
    }
    if xattrs.is_sorted_by(|one, two| one.0 < two.0) { Ok(xattrs) } else { Err(Fault::Frame) }
}
