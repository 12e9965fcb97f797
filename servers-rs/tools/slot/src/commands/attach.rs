// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot attach-signature`: for keys that never leave a token. `slot build --unsigned` gives the commit object, the token signs it,
//! this puts the signature into image and repository after checking it.

use super::inspect::{Unchecked, read};
use crate::{
    fault::Fault,
    files::{Input, read_small},
    repository::Repository,
};
use blocks::{BLOCK_BYTES, BlockRead};
use ed25519_compact::{PublicKey, Signature};
use ostree::{ObjectId, signed_metadata};
use serde_json::{Value, json};
use slot::{Layout, TRAILER_BLOCKS, Trailer};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The slot image to change
    #[arg(long)]
    image: PathBuf,
    /// 64 bytes: the ed25519 signature over the commit object
    #[arg(long)]
    signature: PathBuf,
    /// The public key that it must fit, 64 hexadecimal digits
    #[arg(long)]
    public_key: String,
    /// The repository that the image was built with
    #[arg(long)]
    repo: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    let bytes = read_small("signature/unreadable", &arguments.signature)?;
    let raw: [u8; 64] = bytes.try_into().map_err(|_| Fault::input("signature/length", "a signature has 64 bytes"))?;
    let public = ObjectId::from_hex(&arguments.public_key)
        .ok_or_else(|| Fault::input("signature/public-key", "a public key has 64 hexadecimal digits"))?;
    let mut input = Input::open(&arguments.image, true)?;
    let Unchecked { trailer, release, .. } = read(&mut input)?;
    let commit = ObjectId::of(&trailer.commit);
    if PublicKey::new(public.0).verify(&trailer.commit, &Signature::new(raw)).is_err() {
        let message = format!("the signature over commit {commit} was not made by that key");
        return Err(
            Fault::input("signature/wrong", message).hint("sign the bytes that --commit wrote, as they are (pure ed25519)")
        );
    }
    let layout = Layout::plan(input.block_count(), release.data_blocks)
        .map_err(|error| Fault::input("slot/geometry", error.to_string()))?;
    let commitmeta = signed_metadata(&[raw]);
    let bytes = Trailer::new(&layout, trailer.commit, commitmeta.clone()).to_bytes();
    let bytes = bytes.map_err(|error| Fault::input("trailer/too-large", error.to_string()))?;
    let start = input.block_count() - TRAILER_BLOCKS;
    if let Some(repository) = &arguments.repo {
        Repository::open(Some(repository))?.put_commitmeta(commit, &commitmeta)?;
    }
    input.write_at(&bytes, start * BLOCK_BYTES as u64)?;
    Ok(json!({ "ok": true, "commit": commit.to_string(), "signed_by": arguments.public_key }))
}
