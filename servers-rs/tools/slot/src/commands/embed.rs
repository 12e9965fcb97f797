// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot embed-keys`: fills the loader's section `.frkeys`. Every other byte of the loader stays as it is.

use crate::{
    fault::Fault,
    files::{read_small, write_small},
    keys::{hex, read_trusted_keys},
    pe,
};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The loader, not signed yet
    #[arg(long)]
    loader: PathBuf,
    /// The loader with keys
    #[arg(long)]
    out: PathBuf,
    /// The keys to trust (keys.json)
    #[arg(long)]
    keys: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    let keys = read_trusted_keys(&arguments.keys)?;
    let section =
        keys.to_section().map_err(|error| Fault::input("keys/invalid", format!("{}: {error}", arguments.keys.display())))?;
    let mut loader = read_small("loader/unreadable", &arguments.loader)?;
    let fault = |error: pe::PeFault| Fault::input("loader/invalid", format!("{}: {error}", arguments.loader.display()));
    let place = pe::keys_section(&loader).map_err(fault)?;
    if pe::is_signed(&loader).map_err(fault)? {
        return Err(fault(pe::PeFault::Signed).hint("embed the keys first, sign afterwards"));
    }
    if let Some(part) = loader.get_mut(place) {
        part.copy_from_slice(&section);
    }
    write_small(&arguments.out, 0o644, &loader)?;
    let public: Vec<String> = keys.keys.iter().map(|key| hex(&key.public)).collect();
    Ok(json!({ "ok": true, "minimal_rollback_index": keys.minimal_rollback_index, "public_keys": public }))
}
