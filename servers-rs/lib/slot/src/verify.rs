// SPDX-License-Identifier: PMPL-1.0-or-later
//! The judgement over a slot. Nothing of it is parsed as a commit before a trusted key has vouched for its bytes.

use crate::{ARCHITECTURE, Check, KeySet, Layout, Refusal, Release, TRAILER_BLOCKS, TRAILER_BYTES, Trailer, TrustedKey};
use alloc::{format, vec, vec::Vec};
use blocks::{BLOCK_BYTES, BlockRead, ReadError};
use ostree::{Commit, ObjectId, Signature};
use verity::{Superblock, Verified};

/// Whom and what to believe.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    pub keys: &'a KeySet,
    /// Seconds since 1970; 0 = no clock. The commit's own time is taken if it is later.
    pub now_s: u64,
    /// The highest rollback index that was seen to work here. The key set's minimum counts as well.
    pub minimal_rollback_index: u64,
}

/// A slot whose description is signed by a trusted key and whose hash tree starts with the signed root.
/// Data is still to be read through [`VerifiedSlot::open`], which checks every block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedSlot {
    pub commit_id: ObjectId,
    pub commit: Commit,
    pub release: Release,
    pub layout: Layout,
    /// The key that vouched.
    pub key: TrustedKey,
}

impl VerifiedSlot {
    /// The EROFS image, each block checked as it is read. `None` if `reader` is smaller than the slot that was verified.
    pub fn open<R: BlockRead>(&self, reader: R) -> Option<Verified<R>> {
        let release = &self.release;
        Verified::new(reader, self.layout.geometry, &release.verity_salt, release.verity_root, self.layout.tree_start())
    }
}

/// Judges the slot that `reader` reads. Checks are made in the order of [`Check`]; the first that fails is the refusal.
pub fn verify<R: BlockRead>(mut reader: R, policy: &Policy<'_>) -> Result<VerifiedSlot, Refusal> {
    let trailer = read_trailer(&mut reader)?;
    let commit_id = ObjectId::of(&trailer.commit);
    let signers = signers(&trailer, policy.keys)?;
    let commit = Commit::parse(&trailer.commit).map_err(|fault| refuse(Check::Commit, format!("commit {commit_id}: {fault}")))?;
    let key = usable_key(&signers, policy.now_s.max(commit.timestamp_s))?;
    let release = Release::from_commit(&commit)
        .map_err(|(key, fault)| refuse(Check::Commit, format!("commit {commit_id}, metadata {key}: {fault}")))?;
    check_release(&release, policy)?;
    let layout = check_layout(&trailer, &release, reader.block_count())?;
    check_superblock(&mut reader, &layout, &release)?;
    let slot = VerifiedSlot { commit_id, commit, release, layout, key };
    check_root(&mut reader, &slot)?;
    Ok(slot)
}

fn refuse(check: Check, detail: alloc::string::String) -> Refusal {
    Refusal { check, detail }
}

fn unreadable(error: ReadError) -> Refusal {
    refuse(Check::Read, format!("{error}"))
}

fn read_trailer<R: BlockRead>(reader: &mut R) -> Result<Trailer, Refusal> {
    let blocks = reader.block_count();
    let start = blocks.checked_sub(TRAILER_BLOCKS);
    let start = start.ok_or_else(|| refuse(Check::Geometry, format!("a slot of {blocks} blocks has no room for a trailer")))?;
    let mut bytes = vec![0u8; TRAILER_BYTES];
    reader.read_blocks(start, &mut bytes).map_err(unreadable)?;
    Trailer::parse(&bytes).map_err(|fault| refuse(Check::Trailer, format!("{fault}")))
}

/// Keys of the set that made one of the signatures, revoked and expired ones too.
fn signers(trailer: &Trailer, keys: &KeySet) -> Result<Vec<TrustedKey>, Refusal> {
    let signatures = ostree::signatures(&trailer.commitmeta)
        .map_err(|fault| refuse(Check::Signature, format!("no signature can be read beside the commit: {fault}")))?;
    let made_one = |key: &&TrustedKey| signatures.iter().any(|signature| is_signed_by(&trailer.commit, signature, &key.public));
    let signers: Vec<TrustedKey> = keys.keys.iter().filter(made_one).copied().collect();
    if signers.is_empty() {
        let (found, known) = (signatures.len(), keys.keys.len());
        let detail = format!("none of {found} signatures over the commit was made by one of {known} known keys");
        return Err(refuse(Check::Signature, detail));
    }
    Ok(signers)
}

fn is_signed_by(message: &[u8], signature: &Signature, public: &[u8; 32]) -> bool {
    let public = ed25519_compact::PublicKey::new(*public);
    public.verify(message, &ed25519_compact::Signature::new(*signature)).is_ok()
}

/// Any one signer that is neither revoked nor expired is enough.
fn usable_key(signers: &[TrustedKey], now_s: u64) -> Result<TrustedKey, Refusal> {
    let expired = |key: &TrustedKey| key.not_after_s != 0 && key.not_after_s < now_s;
    if let Some(key) = signers.iter().find(|key| !key.revoked && !expired(key)) {
        return Ok(*key);
    }
    match signers.iter().find(|key| !key.revoked) {
        Some(key) => Err(refuse(
            Check::KeyExpired,
            format!("the signing key was good until {}, now is {now_s} (seconds since 1970)", key.not_after_s),
        )),
        None => Err(refuse(Check::KeyRevoked, "the signing key is revoked".into())),
    }
}

fn check_release(release: &Release, policy: &Policy<'_>) -> Result<(), Refusal> {
    if release.architecture != ARCHITECTURE {
        return Err(refuse(Check::Architecture, format!("made for {}, this is {ARCHITECTURE}", release.architecture)));
    }
    let (found, least) = (release.rollback_index, policy.minimal_rollback_index.max(policy.keys.minimal_rollback_index));
    if found < least {
        return Err(refuse(Check::Rollback, format!("rollback index {found} is below {least}")));
    }
    Ok(())
}

/// What the trailer hints at must be what the commit and the partition say.
fn check_layout(trailer: &Trailer, release: &Release, slot_blocks: u64) -> Result<Layout, Refusal> {
    let layout = Layout::plan(slot_blocks, release.data_blocks).map_err(|error| refuse(Check::Geometry, format!("{error}")))?;
    let found = (trailer.image_bytes, trailer.verity_offset_bytes, trailer.verity_bytes);
    let wanted = (layout.image_bytes(), layout.image_bytes(), layout.hash_area_bytes());
    if found != wanted {
        let detail =
            format!("the trailer says image, tree offset and tree have {found:?} bytes, the commit makes them {wanted:?}");
        return Err(refuse(Check::Geometry, detail));
    }
    Ok(layout)
}

fn check_superblock<R: BlockRead>(reader: &mut R, layout: &Layout, release: &Release) -> Result<(), Refusal> {
    let mut block = vec![0u8; BLOCK_BYTES];
    reader.read_blocks(layout.superblock(), &mut block).map_err(unreadable)?;
    let found = Superblock::parse(&block).map_err(|fault| refuse(Check::VeritySuperblock, format!("{fault}")))?;
    let wanted = Superblock { uuid: release.image_uuid, salt: release.verity_salt.clone(), geometry: layout.geometry };
    // The whole block is ours, so its padding must be too.
    if found != wanted || block != wanted.to_block() {
        return Err(refuse(Check::VeritySuperblock, "it is not the one that the commit describes".into()));
    }
    Ok(())
}

fn check_root<R: BlockRead>(reader: &mut R, slot: &VerifiedSlot) -> Result<(), Refusal> {
    let mut verified = slot.open(reader).ok_or_else(|| refuse(Check::Geometry, "image and tree do not fit the slot".into()))?;
    match verified.check_root() {
        Ok(()) => Ok(()),
        Err(ReadError::Unverified { block }) => {
            Err(refuse(Check::VerityRoot, format!("block {block}, the top of the hash tree, does not have the signed digest")))
        }
        Err(error) => Err(unreadable(error)),
    }
}
