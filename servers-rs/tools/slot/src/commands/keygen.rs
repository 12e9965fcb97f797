// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot keygen`: a signing key that only its owner can read, never over an existing one.

use crate::{
    fault::Fault,
    files::write_small,
    keys::{KeyLine, KeysFile, hex, seed_to_pem},
};
use ed25519_compact::{KeyPair, Seed};
use serde_json::{Value, json};
use std::{fs::File, io::Read, path::PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the secret goes (PKCS#8 PEM, mode 0600); must not exist
    #[arg(long)]
    out: PathBuf,
    /// Where a keys.json with the public key goes
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Mark it as a development key there
    #[arg(long)]
    development: bool,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    if arguments.out.exists() {
        let message = format!("{} is there already", arguments.out.display());
        return Err(Fault::input("key/exists", message)
            .hint("machines that trust it would refuse what a new key signs; move it away if you mean it"));
    }
    let mut seed = [0u8; 32];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
    random.map_err(|error| Fault::ours("key/random", format!("/dev/urandom: {error}")))?;
    let public_key = hex(&KeyPair::from_seed(Seed::new(seed)).pk[..]);
    write_small(&arguments.out, 0o600, seed_to_pem(&seed).as_bytes())?;
    if let Some(path) = &arguments.keys {
        let line =
            KeyLine { public_key: public_key.clone(), development: arguments.development, revoked: false, not_after_seconds: 0 };
        let file = KeysFile { minimal_rollback_index: 0, keys: vec![line] };
        let text = serde_json::to_string_pretty(&file).map_err(|error| Fault::ours("keys/json", error.to_string()))?;
        write_small(path, 0o644, (text + "\n").as_bytes())?;
    }
    Ok(json!({ "ok": true, "public_key": public_key }))
}
