// SPDX-License-Identifier: PMPL-1.0-or-later
//! A commit object: `(a{sv}aya(say)sstayay)`.

use crate::{Fault, ObjectId, Value, View};
use alloc::{string::String, vec, vec::Vec};

/// Larger commits are refused: they would not fit a slot's trailer either.
pub const MAX_COMMIT_BYTES: usize = 64 * 1024;
const MAX_KEYS: usize = 64;
const TYPE: &str = "(a{sv}aya(say)sstayay)";

/// A commit. Its id is [`ObjectId::of`] its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// `a{sv}` in serialised form: [`Commit::metadata`] reads it, [`Commit::new`] makes it.
    metadata: Vec<u8>,
    pub parent: Option<ObjectId>,
    pub subject: String,
    pub body: String,
    /// Seconds since 1970.
    pub timestamp_s: u64,
    pub root_tree: ObjectId,
    pub root_meta: ObjectId,
}

impl Commit {
    /// A commit without parent or text. The metadata is sorted by key.
    pub fn new(metadata: Vec<(String, Value)>, timestamp_s: u64, root_tree: ObjectId, root_meta: ObjectId) -> Self {
        let metadata = Value::dictionary(metadata).to_bytes();
        Self { metadata, parent: None, subject: String::new(), body: String::new(), timestamp_s, root_tree, root_meta }
    }

    /// The object's bytes: what is hashed and signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        // The metadata stands in serialised form already, so it travels as the bytes of a member that is aligned like it.
        let parent = self.parent.map_or(Vec::new(), |parent| parent.0.to_vec());
        let members = vec![
            (String::from("a{sv}"), self.metadata.clone()),
            (String::from("ay"), parent),
            (String::from("a(say)"), Vec::new()),
            (String::from("s"), Value::Text(self.subject.clone()).to_bytes()),
            (String::from("s"), Value::Text(self.body.clone()).to_bytes()),
            (String::from("t"), Value::U64(self.timestamp_s).to_bytes()),
            (String::from("ay"), self.root_tree.0.to_vec()),
            (String::from("ay"), self.root_meta.0.to_vec()),
        ];
        Value::serialised_tuple(members, TYPE)
    }

    /// Reads a commit object of at most [`MAX_COMMIT_BYTES`]. Related objects are not supported: there are none in use.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_COMMIT_BYTES {
            return Err(Fault::Limit);
        }
        let view = View::new(TYPE, bytes)?;
        let parent = match view.member(1)?.bytes()? {
            [] => None,
            bytes => Some(ObjectId(bytes.try_into().map_err(|_| Fault::Frame)?)),
        };
        view.member(2)?.elements(0)?;
        // Every key must be readable, so that none hides behind a damaged one.
        for entry in view.member(0)?.elements(MAX_KEYS)? {
            entry?.member(0)?.text()?;
        }
        Ok(Self {
            metadata: view.member(0)?.data().to_vec(),
            parent,
            subject: view.member(3)?.text()?.into(),
            body: view.member(4)?.text()?.into(),
            timestamp_s: view.member(5)?.u64()?,
            root_tree: ObjectId(view.member(6)?.array()?),
            root_meta: ObjectId(view.member(7)?.array()?),
        })
    }

    /// The value of a metadata key. [`Fault::Missing`] if there is none.
    pub fn metadata(&self, key: &str) -> Result<View<'_>, Fault> {
        View::new("a{sv}", &self.metadata)?.lookup(key, MAX_KEYS)
    }

    /// Serialised `a{sv}`.
    pub fn metadata_bytes(&self) -> &[u8] {
        &self.metadata
    }
}
