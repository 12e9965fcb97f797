// SPDX-License-Identifier: PMPL-1.0-or-later
//! Whether a slot may be booted, and what is booted from it: the signed commit is judged by `slot::verify`, then kernel
//! and bundle are read through the verity tree, each block checked before a byte of it is used.

use crate::choice::{Refused, Slot};
use crate::kernel_image::{self, Plan};
use crate::say;
use crate::voice::Voice;
use abi::bundle;
use alloc::vec::Vec;
use blocks::{BlockRead, Partition, ReadError, SectorRead};
use erofs::{Error, Reader};
use slot::{Check, KeySet, KeysFault, Policy, VerifiedSlot};

pub const KERNEL_PATH: &str = "/boot/kernel.elf";
pub const BUNDLE_PATH: &str = "/boot/bundle.frb";
/// Room for a kernel with its debug information; a signed file of more is a mistake of the build, not a kernel.
const MAX_KERNEL_BYTES: u64 = 64 << 20;
/// The bundle lies in memory twice for a moment.
const MAX_BUNDLE_BYTES: u64 = 256 << 20;

/// What the loader believes before it looks at a slot.
#[derive(Debug)]
pub struct Trust {
    /// The `.frkeys` section, read.
    pub keys: Result<KeySet, KeysFault>,
    pub rollback_floor: u64,
    /// Seconds since 1970 by the firmware, 0 = unknown.
    pub now_s: u64,
}

/// A slot that passed, with what is to be started from it.
#[derive(Debug)]
pub struct Good {
    pub verified: VerifiedSlot,
    /// All of `kernel.elf`.
    pub kernel: Vec<u8>,
    pub plan: Plan,
    pub bundle: Vec<u8>,
}

/// Judges `slot` and reads kernel and bundle. The refusal's `check` is one of `slot::Check`'s words, or `keys` (the
/// loader has none), `kernel`, `bundle`.
pub fn attempt(disk: &mut impl SectorRead, voice: &mut impl Voice, slot: &Slot, trust: &Trust) -> Result<Good, Refused> {
    let keys = trust.keys.as_ref().map_err(|fault| Refused::new("keys", fault))?;
    let policy = Policy { keys, now_s: trust.now_s, minimal_rollback_index: trust.rollback_floor };
    let mut partition = Partition::new(disk, slot.entry.first_lba, slot.entry.last_lba)
        .ok_or_else(|| Refused::new("geometry", "the partition does not lie on the disk"))?;
    let verified = slot::verify(&mut partition, &policy).map_err(|refusal| Refused::new(refusal.check.word(), refusal.detail))?;
    let release = &verified.release;
    say!(
        voice,
        "verified slot={} version={} rollback={} commit={}{}",
        slot.letter,
        release.version,
        release.rollback_index,
        verified.commit_id,
        if release.unreleased { " unreleased" } else { "" }
    );
    let image = verified.open(&mut partition).ok_or_else(|| Refused::new("geometry", "image and tree do not fit the slot"))?;
    let (kernel, bundle) = read_files(image)?;
    let plan = kernel_image::plan(&kernel).map_err(|refusal| Refused::new("kernel", refusal))?;
    check_bundle(&bundle)?;
    say!(voice, "read kernel={} bundle={} bytes through verity", kernel.len(), bundle.len());
    Ok(Good { verified, kernel, plan, bundle })
}

/// Only the head's first two fields: the kernel checks what it uses of the rest.
fn check_bundle(bytes: &[u8]) -> Result<(), Refused> {
    let word = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|field| u64::from_le_bytes(*field));
    if word(0) != Some(bundle::MAGIC) {
        return Err(Refused::new("bundle", "bundle.frb does not begin with FRbundl1"));
    }
    if word(8) != Some(bytes.len() as u64) {
        return Err(Refused::new("bundle", format_args!("bundle.frb says another length than its {} bytes", bytes.len())));
    }
    Ok(())
}

fn read_files(image: impl BlockRead) -> Result<(Vec<u8>, Vec<u8>), Refused> {
    let mut files = Reader::open(image).map_err(|error| unread("the file system", error))?;
    Ok((read_file(&mut files, KERNEL_PATH, MAX_KERNEL_BYTES)?, read_file(&mut files, BUNDLE_PATH, MAX_BUNDLE_BYTES)?))
}

/// The whole file at `path`, no symbolic link on the way. Too little memory is a refusal, not a fault of the loader.
fn read_file<B: BlockRead>(files: &mut Reader<B>, path: &str, limit_bytes: u64) -> Result<Vec<u8>, Refused> {
    let file = files.find(path).map_err(|error| unread(path, error))?;
    if file.size > limit_bytes {
        return Err(Refused::new("contents", format_args!("{path} has {} bytes, allowed are {limit_bytes}", file.size)));
    }
    let mut bytes = Vec::new();
    let length = file.size as usize;
    bytes
        .try_reserve_exact(length)
        .map_err(|_| Refused::new("memory", format_args!("no room for the {length} bytes of {path}")))?;
    bytes.resize(length, 0);
    files.read(&file, 0, &mut bytes).map_err(|error| unread(path, error))?;
    Ok(bytes)
}

fn unread(what: &str, error: Error) -> Refused {
    let check = match error {
        Error::Read(ReadError::Unverified { .. }) => Check::VerityData,
        Error::Read(_) => Check::Read,
        _ => Check::Contents,
    };
    Refused::new(check.word(), format_args!("{what}: {error}"))
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
