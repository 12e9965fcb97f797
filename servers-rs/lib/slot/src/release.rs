// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a signed commit says of the slot that it describes, beside the tree of files itself.

use alloc::{string::String, vec, vec::Vec};
use ostree::{Commit, Fault, ObjectId, Value, View};

/// The only architecture there is.
pub const ARCHITECTURE: &str = "x86_64";
/// The kernel's boot information has 64 bytes for it, one of them zero.
pub const MAX_VERSION_BYTES: usize = 63;
/// The boot information has 32 bytes for it.
const MAX_SALT_BYTES: usize = 32;
const MAX_LIST: usize = 4096;

/// A device node or FIFO: in the image only, OSTree has no objects for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub path: String,
    /// With the file type bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// As Linux encodes it in 32 bits; 0 for a FIFO.
    pub rdev: u32,
}

/// The commit's metadata, typed. Together with the tree it is all that is needed to make the slot again, bit for bit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    pub version: String,
    /// Every ref under which the commit may be served.
    pub refs: Vec<String>,
    pub architecture: String,
    pub verity_root: [u8; 32],
    pub verity_salt: Vec<u8>,
    pub data_blocks: u64,
    pub rollback_index: u64,
    /// UUID of both the EROFS image and the verity superblock.
    pub image_uuid: [u8; 16],
    pub nodes: Vec<Node>,
    /// Path of each further name of a file, and the path it stands for.
    pub hardlinks: Vec<(String, String)>,
    /// Signed with development keys, not for the world.
    pub unreleased: bool,
}

impl Release {
    /// The commit object that says this of a tree.
    pub fn to_commit(&self, timestamp_s: u64, root_tree: ObjectId, root_meta: ObjectId) -> Commit {
        let text = |text: &String| Value::Text(text.clone());
        let node = |node: &Node| {
            let numbers = [node.mode, node.uid, node.gid, node.rdev].map(Value::U32);
            Value::Tuple([text(&node.path)].into_iter().chain(numbers).collect())
        };
        let link = |(path, target): &(String, String)| Value::Tuple(vec![text(path), text(target)]);
        let pairs = [
            ("version", text(&self.version)),
            ("ostree.ref-binding", Value::Array("s", self.refs.iter().map(text).collect())),
            ("ostree.architecture", text(&self.architecture)),
            ("flatracoon.verity-root", Value::Bytes(self.verity_root.to_vec())),
            ("flatracoon.verity-salt", Value::Bytes(self.verity_salt.clone())),
            ("flatracoon.data-blocks", Value::U64(self.data_blocks)),
            ("flatracoon.rollback-index", Value::U64(self.rollback_index)),
            ("flatracoon.image-uuid", Value::Bytes(self.image_uuid.to_vec())),
            ("flatracoon.nodes", Value::Array("(suuuu)", self.nodes.iter().map(node).collect())),
            ("flatracoon.hardlinks", Value::Array("(ss)", self.hardlinks.iter().map(link).collect())),
            ("flatracoon.unreleased", Value::Bool(self.unreleased)),
        ];
        let pairs = pairs.into_iter().map(|(key, value)| (String::from(key), value)).collect();
        Commit::new(pairs, timestamp_s, root_tree, root_meta)
    }

    /// Reads a commit's metadata. The error names the key at fault.
    pub fn from_commit(commit: &Commit) -> Result<Self, (&'static str, Fault)> {
        let version = get(commit, "version", |view| view.text().map(String::from))?;
        if version.is_empty() || version.len() > MAX_VERSION_BYTES {
            return Err(("version", Fault::Limit));
        }
        let verity_salt = get(commit, "flatracoon.verity-salt", |view| view.bytes().map(<[u8]>::to_vec))?;
        if verity_salt.len() > MAX_SALT_BYTES {
            return Err(("flatracoon.verity-salt", Fault::Limit));
        }
        Ok(Self {
            version,
            refs: get(commit, "ostree.ref-binding", |view| list(view, |one| one.text().map(String::from)))?,
            architecture: get(commit, "ostree.architecture", |view| view.text().map(String::from))?,
            verity_root: get(commit, "flatracoon.verity-root", |view| view.array())?,
            verity_salt,
            data_blocks: get(commit, "flatracoon.data-blocks", |view| view.u64())?,
            rollback_index: get(commit, "flatracoon.rollback-index", |view| view.u64())?,
            image_uuid: get(commit, "flatracoon.image-uuid", |view| view.array())?,
            nodes: get(commit, "flatracoon.nodes", |view| list(view, parse_node))?,
            hardlinks: get(commit, "flatracoon.hardlinks", |view| {
                list(view, |one| Ok((one.member(0)?.text()?.into(), one.member(1)?.text()?.into())))
            })?,
            unreleased: get(commit, "flatracoon.unreleased", |view| view.bool())?,
        })
    }
}

fn get<'a, T>(
    commit: &'a Commit,
    key: &'static str,
    read: impl FnOnce(View<'a>) -> Result<T, Fault>,
) -> Result<T, (&'static str, Fault)> {
    commit.metadata(key).and_then(read).map_err(|fault| (key, fault))
}

fn list<'a, T>(view: View<'a>, read: impl Fn(View<'a>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    view.elements(MAX_LIST)?.map(|one| read(one?)).collect()
}

fn parse_node(view: View<'_>) -> Result<Node, Fault> {
    let number = |index| view.member(index)?.u32();
    Ok(Node { path: view.member(0)?.text()?.into(), mode: number(1)?, uid: number(2)?, gid: number(3)?, rdev: number(4)? })
}
