// SPDX-License-Identifier: PMPL-1.0-or-later
//! Detached metadata of a commit: an `a{sv}` with ed25519 signatures over the commit object's bytes.

use crate::{Fault, Value, View};
use alloc::{string::String, vec, vec::Vec};

/// The key under which stock tools look: type `aay`, each element a signature of 64 bytes.
pub const SIGNATURE_KEY: &str = "ostree.sign.ed25519";
/// More would only cost time: every one is tried with every key.
pub const MAX_SIGNATURES: usize = 8;
const MAX_KEYS: usize = 16;
const MAX_BYTES: usize = 16 * 1024;

/// An ed25519 signature.
pub type Signature = [u8; 64];

/// The detached metadata that holds these signatures.
pub fn signed_metadata(signatures: &[Signature]) -> Vec<u8> {
    let list = signatures.iter().map(|signature| Value::Bytes(signature.to_vec())).collect();
    Value::dictionary(vec![(String::from(SIGNATURE_KEY), Value::Array("ay", list))]).to_bytes()
}

/// The signatures in detached metadata; [`Fault::Missing`] if there is no such key. They are not checked here.
pub fn signatures(bytes: &[u8]) -> Result<Vec<Signature>, Fault> {
    if bytes.len() > MAX_BYTES {
        return Err(Fault::Limit);
    }
    let list = View::new("a{sv}", bytes)?.lookup(SIGNATURE_KEY, MAX_KEYS)?;
    list.elements(MAX_SIGNATURES)?.map(|one| one?.array()).collect()
}
