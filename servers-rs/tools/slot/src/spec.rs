// SPDX-License-Identifier: PMPL-1.0-or-later
//! `spec.json`: what a slot is beside its tree.

use crate::{fault::Fault, files::read_small};
use serde::Deserialize;
use slot::MAX_VERSION_BYTES;
use std::path::Path;

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub version: String,
    /// Every ref under which the commit may be served, such as `flatracoon-os/x86_64/stable`.
    pub refs: Vec<String>,
    pub rollback_index: u64,
    /// Seconds since 1970: time of every file, of the image and of the commit.
    pub epoch: u64,
    /// Anything; the image's UUID follows from it and from the contents.
    pub uuid_seed: String,
    pub partition_bytes: u64,
    /// Signed with development keys, not for the world.
    pub unreleased: bool,
}

impl Spec {
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let bytes = read_small("spec/unreadable", path)?;
        let spec: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Fault::input("spec/invalid", format!("{}: {error}", path.display())))?;
        spec.check().map_err(|fault| fault.about(path))?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), Fault> {
        let printable = |text: &str| !text.is_empty() && text.chars().all(|one| one.is_ascii_graphic());
        if !printable(&self.version) || self.version.len() > MAX_VERSION_BYTES {
            let message =
                format!("version {:?} must be 1 to {MAX_VERSION_BYTES} printable ASCII characters without spaces", self.version);
            return Err(Fault::input("spec/version", message));
        }
        if self.refs.is_empty() {
            return Err(Fault::input("spec/refs", "refs is empty: the commit could be served under no name"));
        }
        for name in &self.refs {
            let plain = |part: &str| printable(part) && !part.starts_with('.') && !part.starts_with('-');
            if !name.split('/').all(plain) || !name.chars().all(|one| one.is_ascii_alphanumeric() || "._-/".contains(one)) {
                let message = format!("ref {name:?} must be words of letters, digits, '.', '_' and '-', with '/' between them");
                return Err(Fault::input("spec/refs", message));
            }
        }
        if self.partition_bytes == 0 || !self.partition_bytes.is_multiple_of(4096) {
            let message = format!("partition_bytes {} is no multiple of 4096", self.partition_bytes);
            return Err(Fault::input("spec/partition-bytes", message));
        }
        Ok(())
    }
}
