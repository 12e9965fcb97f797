// SPDX-License-Identifier: PMPL-1.0-or-later
//! Trees beside those of veritysetup, and reads of damaged ones.

use blocks::{BLOCK_BYTES, BlockRead, Memory, ReadError};
use std::{path::PathBuf, process::Command};
use verity::{Digest, Geometry, Superblock, SuperblockFault, TreeBuilder, Verified};

const UUID: [u8; 16] = [0x59, 0xcc, 0x0c, 0xdf, 0xcf, 0xf0, 0x8f, 0xdf, 0xa8, 0xb7, 0xcb, 0x87, 0x0d, 0x12, 0xf3, 0x2b];
const SALT: [u8; 32] = [0x5a; 32];

/// Data that differs from block to block.
fn data(blocks: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; blocks * BLOCK_BYTES];
    for (index, block) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
        block[..8].copy_from_slice(&(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        block[BLOCK_BYTES - 1] = 1;
    }
    bytes
}

/// Superblock and tree, and the root digest.
fn hash_area(data: &[u8], salt: &[u8]) -> (Vec<u8>, Digest) {
    let geometry = Geometry::new((data.len() / BLOCK_BYTES) as u64).unwrap();
    let mut area = Superblock::new(UUID, salt, geometry.data_blocks()).unwrap().to_block().to_vec();
    area.resize(geometry.hash_area_blocks() as usize * BLOCK_BYTES, 0);
    let mut emit = |number: u64, block: &verity::Block| {
        let at = (number as usize + 1) * BLOCK_BYTES;
        area[at..at + BLOCK_BYTES].copy_from_slice(block);
    };
    let mut builder = TreeBuilder::new(geometry, salt);
    data.chunks(BLOCK_BYTES).for_each(|block| builder.push(block, &mut emit));
    let root = builder.finish(&mut emit).unwrap();
    (area, root)
}

fn veritysetup(arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output =
        Command::new("veritysetup").args(arguments).env("PATH", path).output().expect("veritysetup (package cryptsetup-bin)");
    assert!(output.status.success(), "veritysetup {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn trees_are_those_of_veritysetup_bit_for_bit() {
    // One block (no tree), around the edges of a hash block, and three levels.
    for (blocks, salt) in
        [(1, &SALT[..]), (2, &SALT), (127, &[]), (128, &SALT), (129, &SALT), (300, &[7; 256]), (128 * 128 + 1, &SALT)]
    {
        let folder = std::env::temp_dir().join(format!("flatracoon-verity-{}-{blocks}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str| -> PathBuf { folder.join(name) };
        let content = data(blocks);
        std::fs::write(file("data"), &content).unwrap();
        std::fs::write(file("hash"), []).unwrap();
        let (data_file, hash_file) = (file("data"), file("hash"));
        let (data_file, hash_file) = (data_file.to_str().unwrap(), hash_file.to_str().unwrap());
        let salt_text = if salt.is_empty() { "-".to_string() } else { hex(salt) };
        let uuid = "59cc0cdf-cff0-8fdf-a8b7-cb870d12f32b";
        let said = veritysetup(&["format", "--uuid", uuid, "--salt", &salt_text, data_file, hash_file]);
        let theirs = std::fs::read(file("hash")).unwrap();
        let (ours, root) = hash_area(&content, salt);
        assert!(said.contains(&hex(&root)), "{blocks} blocks: root {} is not in\n{said}", hex(&root));
        assert!(ours == theirs, "{blocks} blocks: the trees differ");
        // And they check what we wrote.
        std::fs::write(file("hash"), ours).unwrap();
        veritysetup(&["verify", data_file, hash_file, &hex(&root)]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// Data, then superblock and tree, as in a slot.
fn slot(blocks: usize) -> (Vec<u8>, Digest) {
    let mut bytes = data(blocks);
    let (area, root) = hash_area(&bytes, &SALT);
    bytes.extend(area);
    (bytes, root)
}

fn open(bytes: &[u8], blocks: usize, root: Digest) -> Verified<Memory<'_>> {
    Verified::new(Memory(bytes), Geometry::new(blocks as u64).unwrap(), &SALT, root, blocks as u64 + 1).unwrap()
}

#[test]
fn every_block_of_a_good_tree_is_read() {
    for blocks in [1, 2, 129, 20_000] {
        let (bytes, root) = slot(blocks);
        let mut reader = open(&bytes, blocks, root);
        reader.check_root().unwrap();
        let mut out = vec![0u8; blocks * BLOCK_BYTES];
        reader.read_blocks(0, &mut out).unwrap();
        assert!(out == bytes[..out.len()]);
        // Backwards, so that the cache is left and entered again.
        let mut block = vec![0u8; BLOCK_BYTES];
        for index in (0..blocks).rev().step_by(97) {
            reader.read_blocks(index as u64, &mut block).unwrap();
            assert!(block == bytes[index * BLOCK_BYTES..][..BLOCK_BYTES]);
        }
    }
}

#[test]
fn a_flipped_bit_in_any_level_or_in_data_is_refused_and_nothing_leaks() {
    let blocks = 20_000;
    let (good, root) = slot(blocks);
    let geometry = Geometry::new(blocks as u64).unwrap();
    let tree = blocks + 1;
    let victim = 19_999u64;
    let path: Vec<usize> = (0..3).map(|level| tree + geometry.locate(level, victim >> (7 * level)).unwrap().0 as usize).collect();
    for damaged in path.iter().copied().chain([victim as usize]) {
        for offset in [0, 31, BLOCK_BYTES - 1] {
            let mut bytes = good.clone();
            bytes[damaged * BLOCK_BYTES + offset] ^= 0x10;
            let mut out = vec![0xaa; 2 * BLOCK_BYTES];
            let error = open(&bytes, blocks, root).read_blocks(victim - 1, &mut out).unwrap_err();
            assert_eq!(error, ReadError::Unverified { block: damaged as u64 });
            assert!(out.iter().all(|byte| *byte == 0), "unverified bytes came out");
        }
    }
    let mut other_root = root;
    other_root[5] ^= 1;
    assert_eq!(open(&good, blocks, other_root).check_root(), Err(ReadError::Unverified { block: tree as u64 }));
}

#[test]
fn a_damaged_block_elsewhere_does_not_disturb() {
    let (mut bytes, root) = slot(300);
    bytes[299 * BLOCK_BYTES] ^= 1;
    let mut reader = open(&bytes, 300, root);
    let mut out = vec![0; BLOCK_BYTES];
    reader.read_blocks(298, &mut out).unwrap();
    assert!(reader.read_blocks(299, &mut out).is_err());
    reader.read_blocks(0, &mut out).unwrap();
}

#[test]
fn reads_beyond_the_data_are_refused() {
    let (bytes, root) = slot(3);
    let mut out = vec![0; 2 * BLOCK_BYTES];
    for first in [2, 3, u64::MAX] {
        assert!(matches!(open(&bytes, 3, root).read_blocks(first, &mut out), Err(ReadError::OutOfRange { .. })));
    }
}

#[test]
fn a_tree_that_does_not_fit_the_device_is_refused() {
    let geometry = Geometry::new(3).unwrap();
    let bytes = vec![0; 5 * BLOCK_BYTES];
    assert!(Verified::new(Memory(&bytes), geometry, &SALT, [0; 32], 4).is_some());
    assert!(Verified::new(Memory(&bytes), geometry, &SALT, [0; 32], 5).is_none());
    assert!(Verified::new(Memory(&bytes), geometry, &SALT, [0; 32], 2).is_none());
    assert!(Verified::new(Memory(&bytes), geometry, &SALT, [0; 32], u64::MAX).is_none());
}

#[test]
fn a_builder_that_got_too_few_or_too_many_blocks_has_no_root() {
    for pushed in [0, 2, 4] {
        let mut builder = TreeBuilder::new(Geometry::new(3).unwrap(), &SALT);
        (0..pushed).for_each(|_| builder.push(&[0; BLOCK_BYTES], &mut |_, _| {}));
        assert_eq!(builder.finish(&mut |_, _| {}), None);
    }
}

#[test]
fn superblocks_that_lie_are_refused() {
    let good = Superblock::new(UUID, &SALT, 77).unwrap().to_block();
    assert_eq!(Superblock::parse(&good).unwrap().geometry.data_blocks(), 77);
    let with = |at: usize, bytes: &[u8]| {
        let mut block = good;
        block[at..at + bytes.len()].copy_from_slice(bytes);
        Superblock::parse(&block).unwrap_err()
    };
    assert_eq!(Superblock::parse(&good[..511]), Err(SuperblockFault::Short));
    assert_eq!(with(0, b"V"), SuperblockFault::Signature);
    assert_eq!(with(8, &[2]), SuperblockFault::Version { found: 2 });
    assert_eq!(with(12, &[0]), SuperblockFault::HashType { found: 0 });
    assert_eq!(with(32, b"sha512"), SuperblockFault::Algorithm);
    assert_eq!(with(64, &512u32.to_le_bytes()), SuperblockFault::BlockSize { data: 512, hash: 4096 });
    assert_eq!(with(72, &[0; 8]), SuperblockFault::DataBlocks { found: 0 });
    assert_eq!(with(72, &[0xff; 8]), SuperblockFault::DataBlocks { found: u64::MAX });
    assert_eq!(with(80, &257u16.to_le_bytes()), SuperblockFault::Salt { length: 257 });
    assert!(Superblock::new(UUID, &[0; 257], 77).is_none());
}

proptest::proptest! {
    #[test]
    fn superblocks_come_back(uuid: [u8; 16], salt in proptest::collection::vec(proptest::num::u8::ANY, 0..=256), blocks in 1u64..1 << 50) {
        let superblock = Superblock::new(uuid, &salt, blocks).unwrap();
        proptest::prop_assert_eq!(Superblock::parse(&superblock.to_block()).unwrap(), superblock);
    }

    #[test]
    fn mutated_superblocks_never_panic(changes in proptest::collection::vec((0usize..512, proptest::num::u8::ANY), 0..8)) {
        let mut block = Superblock::new(UUID, &SALT, 77).unwrap().to_block();
        changes.into_iter().for_each(|(at, value)| block[at] = value);
        if let Ok(superblock) = Superblock::parse(&block) {
            let bytes = [0; 4 * BLOCK_BYTES];
            let blocks = superblock.geometry.data_blocks();
            if let Some(mut reader) = Verified::new(Memory(&bytes), superblock.geometry, &superblock.salt, [0; 32], blocks + 1) {
                proptest::prop_assert!(reader.read_blocks(0, &mut [0; BLOCK_BYTES]).is_err());
            }
        }
    }
}
