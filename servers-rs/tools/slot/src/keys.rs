// SPDX-License-Identifier: PMPL-1.0-or-later
//! Signing keys (PKCS#8 PEM as openssl and node make it) and trusted keys (`keys.json`, a `.frkeys` section, or a loader).
//! No message and no report holds a secret.

use crate::{fault::Fault, files::read_small, pe};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_compact::{KeyPair, PublicKey, Seed};
use serde::{Deserialize, Serialize};
use slot::{KeySet, TrustedKey};
use std::path::Path;

/// PrivateKeyInfo version 0 with id-Ed25519 (RFC 8410, section 7); 32 bytes of seed follow.
const PKCS8_V1: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The same in version 1, where the public key follows the seed.
const PKCS8_V2: [u8; 16] = [0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// `keys.json`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeysFile {
    #[serde(default)]
    pub minimal_rollback_index: u64,
    pub keys: Vec<KeyLine>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLine {
    /// 64 hexadecimal digits.
    pub public_key: String,
    #[serde(default)]
    pub development: bool,
    #[serde(default)]
    pub revoked: bool,
    /// Seconds since 1970, 0 = never.
    #[serde(default)]
    pub not_after_seconds: u64,
}

/// Reads a signing key: PEM, or 32 bytes of seed, or 64 of seed and public key.
pub fn read_signing_key(path: &Path) -> Result<KeyPair, Fault> {
    let bytes = read_small("key/unreadable", path)?;
    let fault = || {
        Fault::input("key/invalid", format!("{} is no ed25519 signing key", path.display()))
            .hint("make one with `slot keygen` or `openssl genpkey -algorithm ed25519`; encrypted keys are not read")
    };
    let seed = match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => seed_from_pem(text).ok_or_else(fault)?,
        _ if bytes.len() == 32 || bytes.len() == 64 => bytes.first_chunk::<32>().copied().ok_or_else(fault)?,
        _ => return Err(fault()),
    };
    let pair = KeyPair::from_seed(Seed::new(seed));
    // A raw pair that contradicts itself, or PEM of a later version, would sign what nobody can verify.
    let stored = bytes.get(32..64).filter(|_| bytes.len() == 64);
    if stored.is_some_and(|public| public != &pair.pk[..]) { Err(fault()) } else { Ok(pair) }
}

fn seed_from_pem(text: &str) -> Option<[u8; 32]> {
    let body = text.split("-----BEGIN PRIVATE KEY-----").nth(1)?.split("-----END PRIVATE KEY-----").next()?;
    let base64: String = body.chars().filter(|one| !one.is_whitespace()).collect();
    let der = STANDARD.decode(base64).ok()?;
    let (prefix, rest) = der.split_first_chunk::<16>()?;
    let whole = (*prefix == PKCS8_V1 && rest.len() == 32) || (*prefix == PKCS8_V2 && rest.len() == 67);
    rest.first_chunk::<32>().copied().filter(|_| whole)
}

/// A seed as PKCS#8 PEM.
pub fn seed_to_pem(seed: &[u8; 32]) -> String {
    let der = [&PKCS8_V1[..], seed].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// Reads trusted keys: JSON, a raw section, or a loader that has one.
pub fn read_trusted_keys(path: &Path) -> Result<KeySet, Fault> {
    let bytes = read_small("keys/unreadable", path)?;
    let invalid = |message: String| Fault::input("keys/invalid", format!("{}: {message}", path.display()));
    if bytes.starts_with(b"MZ") {
        let section = pe::keys_section(&bytes).map_err(|error| invalid(error.to_string()))?;
        return KeySet::from_section(bytes.get(section).unwrap_or_default()).map_err(|error| invalid(error.to_string()));
    }
    if bytes.starts_with(b"FRkeys01") {
        return KeySet::from_section(&bytes).map_err(|error| invalid(error.to_string()));
    }
    let file: KeysFile = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    let keys = file.keys.iter().map(|line| {
        trusted(line).ok_or_else(|| invalid(format!("{:?} is no ed25519 public key (64 hexadecimal digits)", line.public_key)))
    });
    let set = KeySet { minimal_rollback_index: file.minimal_rollback_index, keys: keys.collect::<Result<_, _>>()? };
    set.to_section().map_err(|error| invalid(error.to_string()))?;
    Ok(set)
}

fn trusted(line: &KeyLine) -> Option<TrustedKey> {
    let public = ostree::ObjectId::from_hex(&line.public_key)?.0;
    // Points of low order would make signatures that anybody can forge.
    PublicKey::new(public).validate().ok()?;
    Some(TrustedKey { public, development: line.development, revoked: line.revoked, not_after_s: line.not_after_seconds })
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
