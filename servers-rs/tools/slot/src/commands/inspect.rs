// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot inspect`: what trailer and commit say. Nothing is checked, so nothing here is to be believed.

use crate::{disk::Place, fault::Fault, files::Input, keys::hex};
use blocks::BlockRead;
use ostree::{Commit, ObjectId};
use serde_json::{Value, json};
use slot::{Release, TRAILER_BLOCKS, TRAILER_BYTES, Trailer};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    let mut input = arguments.place.open_slot()?;
    let Unchecked { trailer, commit, release } = read(&mut input)?;
    let signatures = ostree::signatures(&trailer.commitmeta).map_or(0, |list| list.len());
    Ok(json!({
        "ok": true,
        "checked": false,
        "version": release.version,
        "unreleased": release.unreleased,
        "refs": release.refs,
        "architecture": release.architecture,
        "rollback_index": release.rollback_index,
        "timestamp": commit.timestamp_s,
        "commit": ObjectId::of(&trailer.commit).to_string(),
        "root_tree": commit.root_tree.to_string(),
        "root_meta": commit.root_meta.to_string(),
        "signatures": signatures,
        "verity": {
            "root": hex(&release.verity_root), "salt": hex(&release.verity_salt), "data_blocks": release.data_blocks,
            "hash_offset_bytes": trailer.verity_offset_bytes, "hash_bytes": trailer.verity_bytes,
        },
        "image_uuid": hex(&release.image_uuid),
        "image_bytes": trailer.image_bytes,
        "nodes": release.nodes.iter().map(|node| json!({ "path": node.path, "mode": format!("{:o}", node.mode), "rdev": node.rdev })).collect::<Vec<_>>(),
        "hardlinks": release.hardlinks,
    }))
}

/// A slot's own words.
pub struct Unchecked {
    pub trailer: Trailer,
    pub commit: Commit,
    pub release: Release,
}

/// Reads them.
pub fn read(input: &mut Input) -> Result<Unchecked, Fault> {
    let start = input.block_count().checked_sub(TRAILER_BLOCKS);
    let start = start.ok_or_else(|| Fault::input("slot/too-small", "it is smaller than a trailer"))?;
    let mut bytes = vec![0u8; TRAILER_BYTES];
    input.read_blocks(start, &mut bytes).map_err(|error| Fault::input("image/read", error.to_string()))?;
    let trailer = Trailer::parse(&bytes).map_err(|error| Fault::input("slot/trailer", error.to_string()))?;
    let commit = Commit::parse(&trailer.commit).map_err(|error| Fault::input("slot/commit", format!("the commit: {error}")))?;
    let release = Release::from_commit(&commit)
        .map_err(|(key, error)| Fault::input("slot/commit", format!("the commit's {key}: {error}")))?;
    Ok(Unchecked { trailer, commit, release })
}
