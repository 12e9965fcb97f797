// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot build`: tree -> OSTree ids -> EROFS image and hash tree in one stream -> commit -> signature -> trailer.
//!
//! Equal inputs give equal bytes, the signature included. The image is written to a temporary name and renamed when whole.

use crate::{
    fault::Fault,
    files::{Output, write_small},
    keys::{hex, read_signing_key},
    repository::{Objects, Repository, make_objects},
    spec::Spec,
    tree::Tree,
};
use blocks::BLOCK_BYTES;
use erofs::{Options, Plan};
use ostree::{ObjectId, ObjectKind, signed_metadata};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use slot::{ARCHITECTURE, Layout, Release, Trailer};
use std::path::PathBuf;
use verity::{Superblock, TreeBuilder};

#[derive(clap::Args)]
pub struct Arguments {
    /// Description of the tree (tree.json)
    #[arg(long)]
    tree: PathBuf,
    /// Version, refs, rollback index, epoch, size (spec.json)
    #[arg(long)]
    spec: PathBuf,
    /// Signing key: PKCS#8 PEM, or 32 raw bytes
    #[arg(long, required_unless_present = "unsigned", conflicts_with = "unsigned")]
    key: Option<PathBuf>,
    /// Sign nothing: the commit goes to --commit, `slot attach-signature` brings the signature later
    #[arg(long, requires = "commit")]
    unsigned: bool,
    /// The slot image to write
    #[arg(long)]
    out: PathBuf,
    /// Where the report goes, beside standard output
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the commit object goes: the bytes that are signed
    #[arg(long)]
    commit: Option<PathBuf>,
    /// An OSTree archive repository to add the tree to
    #[arg(long)]
    repo: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    let spec = Spec::read(&arguments.spec)?;
    let key = arguments.key.as_deref().map(read_signing_key).transpose()?;
    let mut tree = Tree::read(&arguments.tree)?;
    // Laid out before anything is hashed or written: most refusals come from here, and the tree is sound after it.
    let plan = Plan::new(&tree.entries, Options::default()).map_err(|error| Fault::input("tree/entry", error.to_string()))?;
    let layout = lay_out(&spec, &plan)?;

    let repository = Repository::open(arguments.repo.as_deref())?;
    let objects = make_objects(&tree.entries.clone(), &mut tree, &repository)?;
    let identity = Identity::new(&spec, &objects);
    let options = Options { uuid: identity.uuid, epoch_s: spec.epoch, epoch_ns: 0, volume_name: *b"flatracoon-root\0" };
    let plan = Plan::new(&tree.entries, options).map_err(|error| Fault::input("tree/entry", error.to_string()))?;

    let output = Output::create(&arguments.out, 0o644)?;
    output.set_length(spec.partition_bytes)?;
    let root = write_image(&output, &plan, &mut tree, &layout, &identity)?;
    tree.check_unchanged()?;
    let release = release(&spec, &objects, &layout, &identity, root);
    let commit = release.to_commit(spec.epoch, objects.root_tree, objects.root_meta).to_bytes();
    let commit_id = ObjectId::of(&commit);
    let signature = key.as_ref().map(|key| *key.sk.sign(&commit, None));
    let commitmeta = signed_metadata(signature.as_slice());
    let trailer = Trailer::new(&layout, commit.clone(), commitmeta.clone()).to_bytes().map_err(|error| {
        Fault::input("trailer/too-large", error.to_string())
            .hint("fewer device nodes or hard links: they are listed in the commit")
    })?;
    output.write_at(&trailer, layout.trailer() * BLOCK_BYTES as u64)?;

    repository.put_object(commit_id, ObjectKind::Commit, &commit)?;
    repository.put_commitmeta(commit_id, &commitmeta)?;
    for name in &spec.refs {
        repository.put_ref(name, commit_id)?;
    }
    if let Some(path) = &arguments.commit {
        write_small(path, 0o644, &commit)?;
    }
    let public = key.as_ref().map(|key| hex(&key.pk[..]));
    let report = report(&release, commit_id, &layout, &plan, &objects, public);
    if let Some(path) = &arguments.report {
        write_small(path, 0o644, format!("{report:#}\n").as_bytes())?;
    }
    output.finish()?;
    Ok(report)
}

/// What makes this slot's hashes its own: derived, so that a build can be repeated.
struct Identity {
    uuid: [u8; 16],
    salt: [u8; 32],
}

impl Identity {
    fn new(spec: &Spec, objects: &Objects) -> Self {
        let derive = |purpose: &str, seed: &str| -> [u8; 32] {
            let mut hash = Sha256::new();
            for part in [purpose.as_bytes(), seed.as_bytes(), spec.version.as_bytes(), &spec.epoch.to_be_bytes()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            hash.update(objects.root_tree.0);
            hash.update(objects.root_meta.0);
            hash.finalize().into()
        };
        let salt = derive("flatracoon verity salt", "");
        let bytes = derive("flatracoon image uuid", &spec.uuid_seed);
        let mut uuid = bytes.first_chunk::<16>().copied().unwrap_or_default();
        // Version 8, "custom" (RFC 9562, 5.8), and the usual variant.
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Self { uuid, salt }
    }
}

fn lay_out(spec: &Spec, plan: &Plan) -> Result<Layout, Fault> {
    Layout::plan(spec.partition_bytes / BLOCK_BYTES as u64, plan.blocks()).map_err(|error| {
        Fault::input("spec/partition-too-small", error.to_string())
            .hint("make the partition larger (images/partitions) or the tree smaller")
    })
}

/// Streams the image; the hash tree is made as it passes. Returns the tree's root digest.
fn write_image(
    output: &Output,
    plan: &Plan,
    tree: &mut Tree,
    layout: &Layout,
    identity: &Identity,
) -> Result<verity::Digest, Fault> {
    let superblock = Superblock::new(identity.uuid, &identity.salt, layout.geometry.data_blocks())
        .ok_or_else(|| Fault::ours("verity/superblock", "salt or size cannot be"))?;
    output.write_at(&superblock.to_block(), layout.superblock() * BLOCK_BYTES as u64)?;
    let mut builder = TreeBuilder::new(layout.geometry, &identity.salt);
    let mut written = Ok(());
    let mut emit = |number: u64, block: &verity::Block| {
        if written.is_ok() {
            written = output.write_at(block, (layout.tree_start() + number) * BLOCK_BYTES as u64);
        }
    };
    let mut at = 0;
    plan.write(tree, &mut |bytes| {
        output.write_at(bytes, at)?;
        at += bytes.len() as u64;
        bytes.chunks(BLOCK_BYTES).for_each(|block| builder.push(block, &mut emit));
        Ok(())
    })?;
    let root = builder.finish(&mut emit);
    written?;
    root.ok_or_else(|| Fault::ours("erofs/length", format!("the writer made {at} bytes, planned were {}", layout.image_bytes())))
}

fn release(spec: &Spec, objects: &Objects, layout: &Layout, identity: &Identity, verity_root: verity::Digest) -> Release {
    Release {
        version: spec.version.clone(),
        refs: spec.refs.clone(),
        architecture: ARCHITECTURE.into(),
        verity_root,
        verity_salt: identity.salt.to_vec(),
        data_blocks: layout.geometry.data_blocks(),
        rollback_index: spec.rollback_index,
        image_uuid: identity.uuid,
        nodes: objects.nodes.clone(),
        hardlinks: objects.hardlinks.clone(),
        unreleased: spec.unreleased,
    }
}

fn report(
    release: &Release,
    commit: ObjectId,
    layout: &Layout,
    plan: &Plan,
    objects: &Objects,
    public_key: Option<String>,
) -> Value {
    let used_blocks = layout.superblock() + layout.geometry.hash_area_blocks() + slot::TRAILER_BLOCKS;
    json!({
        "ok": true,
        "version": release.version,
        "unreleased": release.unreleased,
        "refs": release.refs,
        "rollback_index": release.rollback_index,
        "architecture": release.architecture,
        "commit": commit.to_string(),
        "root_tree": objects.root_tree.to_string(),
        "root_meta": objects.root_meta.to_string(),
        "signed_by": public_key,
        "verity": {
            "root": hex(&release.verity_root), "salt": hex(&release.verity_salt), "data_blocks": release.data_blocks,
            "hash_offset_bytes": layout.image_bytes(), "hash_bytes": layout.hash_area_bytes(),
        },
        "image_uuid": hex(&release.image_uuid),
        "inodes": plan.inodes(),
        "files": objects.files,
        "image_bytes": layout.image_bytes(),
        "used_bytes": used_blocks * BLOCK_BYTES as u64,
        "partition_bytes": layout.slot_blocks * BLOCK_BYTES as u64,
    })
}
