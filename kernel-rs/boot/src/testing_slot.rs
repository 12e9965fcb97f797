// SPDX-License-Identifier: PMPL-1.0-or-later
//! For tests: a whole signed slot in memory, made by the writers of the format crates.

use alloc::vec;
use alloc::vec::Vec;
use blocks::BLOCK_BYTES;
use core::convert::Infallible;
use ed25519_compact::{KeyPair, Seed};
use erofs::{Contents, Entry, Kind, Options};
use ostree::ObjectId;
use slot::{KeySet, Layout, Release, Trailer, TrustedKey};
use verity::{Geometry, Superblock, TreeBuilder};

const SALT: [u8; 32] = [0x5a; 32];
const UUID: [u8; 16] = [0x33; 16];

/// What varies from test to test.
pub struct Spec<'a> {
    /// (path, contents); `/boot` is there.
    pub files: &'a [(&'a str, &'a [u8])],
    pub version: &'a str,
    pub rollback_index: u64,
    pub unreleased: bool,
    /// Seed of the signing key.
    pub key: u8,
    pub slot_blocks: u64,
}

/// All bytes of the slot.
pub fn build(spec: &Spec<'_>) -> Vec<u8> {
    let mut bytes = image(spec.files);
    let geometry = Geometry::new((bytes.len() / BLOCK_BYTES) as u64).expect("geometry");
    let layout = Layout::plan(spec.slot_blocks, geometry.data_blocks()).expect("room");
    let (verity_root, tree) = tree(geometry, &bytes);
    bytes.extend(Superblock::new(UUID, &SALT, geometry.data_blocks()).expect("superblock").to_block());
    bytes.extend(tree);
    let release = Release {
        version: spec.version.into(),
        refs: vec!["flatracoon/dev".into()],
        architecture: slot::ARCHITECTURE.into(),
        verity_root,
        verity_salt: SALT.to_vec(),
        data_blocks: geometry.data_blocks(),
        rollback_index: spec.rollback_index,
        image_uuid: UUID,
        nodes: Vec::new(),
        hardlinks: Vec::new(),
        unreleased: spec.unreleased,
    };
    let commit = release.to_commit(1_700_000_000, ObjectId::of(b"tree"), ObjectId::of(b"meta")).to_bytes();
    let signature = pair(spec.key).sk.sign(&commit, None);
    let meta = ostree::signed_metadata(&[*signature]);
    let trailer = Trailer::new(&layout, commit, meta).to_bytes().expect("trailer");
    bytes.resize(spec.slot_blocks as usize * BLOCK_BYTES - trailer.len(), 0);
    bytes.extend(trailer);
    bytes
}

/// The loader's keys: those with these seeds, none revoked, all for development.
pub fn keys(seeds: &[u8], minimal_rollback_index: u64) -> KeySet {
    let key = |&seed: &u8| TrustedKey { public: *pair(seed).pk, development: true, revoked: false, not_after_s: 0 };
    KeySet { minimal_rollback_index, keys: seeds.iter().map(key).collect() }
}

fn pair(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

fn image(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entry = |path: &str, kind: Kind, mode| Entry { path: path.into(), kind, mode, uid: 0, gid: 0, xattrs: Vec::new() };
    let mut entries = vec![entry("/", Kind::Directory, 0o755), entry("/boot", Kind::Directory, 0o755)];
    let mut contents = Files(vec![&[], &[]]);
    for (path, bytes) in files {
        entries.push(entry(path, Kind::File { length_bytes: bytes.len() as u64 }, 0o644));
        contents.0.push(bytes);
    }
    let plan = erofs::Plan::new(&entries, Options { uuid: UUID, ..Options::default() }).expect("tree");
    let mut bytes = Vec::new();
    let Ok(()) = plan.write(&mut contents, &mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    });
    bytes
}

struct Files<'a>(Vec<&'a [u8]>);

impl Contents for Files<'_> {
    type Error = Infallible;

    fn read(&mut self, entry: usize, offset: u64, out: &mut [u8]) -> Result<(), Infallible> {
        let start = offset as usize;
        out.copy_from_slice(&self.0[entry][start..start + out.len()]);
        Ok(())
    }
}

fn tree(geometry: Geometry, image: &[u8]) -> ([u8; 32], Vec<u8>) {
    let mut bytes = vec![0; geometry.tree_blocks() as usize * BLOCK_BYTES];
    let mut put = |number: u64, block: &verity::Block| {
        let at = number as usize * BLOCK_BYTES;
        bytes[at..at + BLOCK_BYTES].copy_from_slice(block);
    };
    let mut builder = TreeBuilder::new(geometry, &SALT);
    for block in image.chunks(BLOCK_BYTES) {
        builder.push(block, &mut put);
    }
    let root = builder.finish(&mut put).expect("all blocks");
    (root, bytes)
}

/// A bundle of nothing but a head: magic, its own length, then `filler` bytes.
pub fn bundle(filler: usize) -> Vec<u8> {
    let mut bytes = abi::bundle::MAGIC.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(16 + filler as u64).to_le_bytes());
    bytes.extend((0..filler).map(|index| index as u8));
    bytes
}
