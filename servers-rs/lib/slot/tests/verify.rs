// SPDX-License-Identifier: PMPL-1.0-or-later
//! The judgement over a slot: one good slot, and every way to be refused, named by its check.

use blocks::{BLOCK_BYTES, BlockRead, Memory, ReadError};
use ed25519_compact::{KeyPair, Seed};
use ostree::{ObjectId, signed_metadata};
use proptest::{collection::vec, prelude::*};
use slot::{
    ARCHITECTURE, Check, KEYS_SECTION_BYTES, KeySet, KeysFault, Layout, Node, Policy, Refusal, Release, TRAILER_BYTES, Trailer,
    TrailerFault, TrustedKey, VerifiedSlot, verify,
};
use verity::{Superblock, TreeBuilder};

const DATA_BLOCKS: u64 = 300;
const SLOT_BLOCKS: u64 = 512;
const TIME_S: u64 = 1_700_000_000;
const SALT: [u8; 32] = [9; 32];
const UUID: [u8; 16] = [8; 16];

fn pair(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

fn key(seed: u8) -> TrustedKey {
    TrustedKey { public: *pair(seed).pk, development: false, revoked: false, not_after_s: 0 }
}

fn keys(keys: &[TrustedKey]) -> KeySet {
    KeySet { minimal_rollback_index: 0, keys: keys.to_vec() }
}

/// A slot in the making; tests change a part and look at the verdict.
struct Slot {
    release: Release,
    /// Seeds of the keys that sign.
    signers: Vec<u8>,
    slot_blocks: u64,
}

impl Slot {
    fn new() -> Self {
        let release = Release {
            version: "1.2.3".into(),
            refs: vec!["os/x86_64/dev".into(), "os/x86_64/stable".into()],
            architecture: ARCHITECTURE.into(),
            verity_root: [0; 32],
            verity_salt: SALT.to_vec(),
            data_blocks: DATA_BLOCKS,
            rollback_index: 7,
            image_uuid: UUID,
            nodes: vec![Node { path: "/dev/null".into(), mode: 0o20666, uid: 0, gid: 0, rdev: 0x103 }],
            hardlinks: vec![("/b".into(), "/a".into())],
            unreleased: true,
        };
        Self { release, signers: vec![1], slot_blocks: SLOT_BLOCKS }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes_but(|_| {})
    }

    /// The slot, with the release changed after image and tree were made.
    fn bytes_but(&self, change: impl FnOnce(&mut Release)) -> Vec<u8> {
        let layout = Layout::plan(self.slot_blocks, DATA_BLOCKS).unwrap();
        let mut bytes = vec![0u8; self.slot_blocks as usize * BLOCK_BYTES];
        let mut put = |block: u64, content: &[u8]| {
            let at = block as usize * BLOCK_BYTES;
            bytes[at..at + content.len()].copy_from_slice(content);
        };
        put(layout.superblock(), &Superblock::new(UUID, &SALT, DATA_BLOCKS).unwrap().to_block());
        let mut builder = TreeBuilder::new(layout.geometry, &SALT);
        let mut emit = |number, block: &verity::Block| put(layout.tree_start() + number, block);
        for index in 0..DATA_BLOCKS {
            builder.push(&[index as u8; BLOCK_BYTES], &mut emit);
        }
        let root = builder.finish(&mut emit).unwrap();
        (0..DATA_BLOCKS).for_each(|index| put(index, &[index as u8; BLOCK_BYTES]));
        let mut release = self.release.clone();
        release.verity_root = root;
        change(&mut release);
        let commit = release.to_commit(TIME_S, ObjectId([3; 32]), ObjectId([4; 32])).to_bytes();
        let signatures: Vec<_> = self.signers.iter().map(|seed| *pair(*seed).sk.sign(&commit, None)).collect();
        let trailer = Trailer::new(&layout, commit, signed_metadata(&signatures));
        put(layout.trailer(), &trailer.to_bytes().unwrap());
        bytes
    }
}

fn judge(bytes: &[u8], keys: &KeySet) -> Result<VerifiedSlot, Refusal> {
    verify(Memory(bytes), &Policy { keys, now_s: TIME_S + 1, minimal_rollback_index: 0 })
}

fn check_of(bytes: &[u8]) -> Check {
    judge(bytes, &keys(&[key(1)])).unwrap_err().check
}

#[test]
fn a_good_slot_is_accepted_and_its_data_can_be_read() {
    let bytes = Slot::new().bytes();
    let slot = judge(&bytes, &keys(&[key(2), key(1)])).unwrap();
    assert_eq!((slot.release.version.as_str(), slot.release.rollback_index, slot.key), ("1.2.3", 7, key(1)));
    assert_eq!((slot.release.nodes.len(), slot.release.hardlinks.len(), slot.release.unreleased), (1, 1, true));
    assert_eq!(slot.commit_id, ObjectId::of(&slot.commit.to_bytes()));
    let mut data = slot.open(Memory(&bytes)).unwrap();
    let mut block = [0; BLOCK_BYTES];
    data.read_blocks(299, &mut block).unwrap();
    assert_eq!((data.block_count(), block), (DATA_BLOCKS, [299u64 as u8; BLOCK_BYTES]));
    assert!(slot.open(Memory(&bytes[..100 * BLOCK_BYTES])).is_none());
}

#[test]
fn a_signature_by_an_unknown_key_is_refused() {
    assert_eq!(judge(&Slot::new().bytes(), &keys(&[key(2)])).unwrap_err().check, Check::Signature);
    assert_eq!(judge(&Slot::new().bytes(), &KeySet::default()).unwrap_err().check, Check::Signature);
    assert_eq!(check_of(&Slot { signers: vec![], ..Slot::new() }.bytes()), Check::Signature);
}

#[test]
fn one_trusted_signature_of_several_is_enough() {
    let bytes = Slot { signers: vec![5, 6, 1], ..Slot::new() }.bytes();
    assert!(judge(&bytes, &keys(&[key(1)])).is_ok());
    let revoked = TrustedKey { revoked: true, ..key(5) };
    assert!(judge(&bytes, &keys(&[revoked, key(1)])).is_ok());
}

#[test]
fn a_revoked_key_is_refused() {
    let refusal = judge(&Slot::new().bytes(), &keys(&[TrustedKey { revoked: true, ..key(1) }])).unwrap_err();
    assert_eq!(
        (refusal.check, refusal.to_string().as_str()),
        (Check::KeyRevoked, "check=key-revoked detail=\"the signing key is revoked\"")
    );
}

#[test]
fn an_expired_key_is_refused_also_when_the_clock_is_unknown() {
    let bytes = Slot::new().bytes();
    let judge_at = |not_after_s, now_s| {
        let keys = keys(&[TrustedKey { not_after_s, ..key(1) }]);
        verify(Memory(&bytes), &Policy { keys: &keys, now_s, minimal_rollback_index: 0 })
            .map(|_| ())
            .map_err(|refusal| refusal.check)
    };
    assert_eq!(judge_at(TIME_S + 100, TIME_S + 100), Ok(()));
    assert_eq!(judge_at(TIME_S + 100, TIME_S + 101), Err(Check::KeyExpired));
    // A clock at zero does not bring a key back that was over when the commit was made.
    assert_eq!(judge_at(TIME_S - 1, 0), Err(Check::KeyExpired));
    assert_eq!(judge_at(TIME_S, 0), Ok(()));
}

#[test]
fn an_older_rollback_index_is_refused() {
    let bytes = Slot::new().bytes();
    let judge_above = |of_machine, of_keys| {
        let keys = KeySet { minimal_rollback_index: of_keys, keys: vec![key(1)] };
        verify(Memory(&bytes), &Policy { keys: &keys, now_s: 0, minimal_rollback_index: of_machine })
            .map(|_| ())
            .map_err(|refusal| refusal.check)
    };
    assert_eq!((judge_above(7, 7), judge_above(8, 0), judge_above(0, 8)), (Ok(()), Err(Check::Rollback), Err(Check::Rollback)));
}

#[test]
fn another_architecture_is_refused() {
    assert_eq!(check_of(&Slot::new().bytes_but(|release| release.architecture = "aarch64".into())), Check::Architecture);
}

#[test]
fn a_commit_that_says_other_sizes_than_the_slot_has_is_refused() {
    for blocks in [0, DATA_BLOCKS - 1, DATA_BLOCKS + 1, SLOT_BLOCKS, u64::MAX] {
        assert_eq!(check_of(&Slot::new().bytes_but(|release| release.data_blocks = blocks)), Check::Geometry);
    }
}

#[test]
fn another_root_salt_or_uuid_than_the_signed_one_is_refused() {
    assert_eq!(check_of(&Slot::new().bytes_but(|release| release.verity_root[31] ^= 1)), Check::VerityRoot);
    assert_eq!(check_of(&Slot::new().bytes_but(|release| release.verity_salt[0] ^= 1)), Check::VeritySuperblock);
    assert_eq!(check_of(&Slot::new().bytes_but(|release| release.image_uuid[0] ^= 1)), Check::VeritySuperblock);
}

#[test]
fn a_version_or_salt_that_the_kernel_has_no_room_for_is_refused() {
    assert_eq!(check_of(&Slot::new().bytes_but(|release| release.version = "v".repeat(64))), Check::Commit);
    assert_eq!(check_of(&Slot::new().bytes_but(|release| release.version.clear())), Check::Commit);
    assert_eq!(check_of(&Slot::new().bytes_but(|release| release.verity_salt.push(0))), Check::Commit);
}

#[test]
fn signed_bytes_that_are_no_commit_are_refused() {
    let layout = Layout::plan(SLOT_BLOCKS, DATA_BLOCKS).unwrap();
    let mut bytes = Slot::new().bytes();
    let garbage = b"signed, but no commit".to_vec();
    let signature = *pair(1).sk.sign(&garbage, None);
    let trailer = Trailer::new(&layout, garbage, signed_metadata(&[signature])).to_bytes().unwrap();
    let at = bytes.len() - TRAILER_BYTES;
    bytes[at..].copy_from_slice(&trailer);
    assert_eq!(check_of(&bytes), Check::Commit);
}

#[test]
fn a_commit_without_our_metadata_is_refused() {
    let layout = Layout::plan(SLOT_BLOCKS, DATA_BLOCKS).unwrap();
    let mut bytes = Slot::new().bytes();
    let commit = ostree::Commit::new(
        vec![("version".into(), ostree::Value::Text("1".into()))],
        0,
        ObjectId::default(),
        ObjectId::default(),
    )
    .to_bytes();
    let signature = *pair(1).sk.sign(&commit, None);
    let trailer = Trailer::new(&layout, commit, signed_metadata(&[signature])).to_bytes().unwrap();
    let at = bytes.len() - TRAILER_BYTES;
    bytes[at..].copy_from_slice(&trailer);
    let refusal = judge(&bytes, &keys(&[key(1)])).unwrap_err();
    assert!(refusal.check == Check::Commit && refusal.detail.contains("flatracoon.verity-salt"), "{refusal}");
}

/// Every bit of the header, commit and signature; one bit per hash block; all of the superblock.
#[test]
fn one_flipped_bit_in_any_region_is_refused_by_name() {
    let good = Slot::new().bytes();
    let trailer = good.len() - TRAILER_BYTES;
    let parsed = Trailer::parse(&good[trailer..]).unwrap();
    let flip = |at: usize, bit: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << bit;
        judge(&bytes, &keys(&[key(1)])).map(|_| ()).map_err(|refusal| refusal.check)
    };
    for at in 0..88 {
        assert_eq!(flip(trailer + at, at as u8 % 8), Err(Check::Trailer), "header byte {at}");
    }
    for at in (0..parsed.commit.len()).step_by(7) {
        assert_eq!(flip(trailer + 4096 + at, at as u8 % 8), Err(Check::Signature), "commit byte {at}");
    }
    for at in 0..64 {
        assert_eq!(
            flip(trailer + 4096 + parsed.commit.len() + 24 + at, at as u8 % 8),
            Err(Check::Signature),
            "signature byte {at}"
        );
    }
    for at in 0..BLOCK_BYTES {
        assert_eq!(
            flip(DATA_BLOCKS as usize * BLOCK_BYTES + at, at as u8 % 8),
            Err(Check::VeritySuperblock),
            "superblock byte {at}"
        );
    }
    assert_eq!(flip((DATA_BLOCKS as usize + 1) * BLOCK_BYTES + 40, 0), Err(Check::VerityRoot));
    // Deeper levels and data are found by whoever reads there.
    for block in [DATA_BLOCKS as usize + 2, 17] {
        let mut bytes = good.clone();
        bytes[block * BLOCK_BYTES + 3] ^= 1;
        let slot = judge(&bytes, &keys(&[key(1)])).unwrap();
        let mut out = [0; BLOCK_BYTES];
        assert_eq!(
            slot.open(Memory(&bytes)).unwrap().read_blocks(17, &mut out),
            Err(ReadError::Unverified { block: block as u64 })
        );
    }
}

#[test]
fn a_slot_that_is_empty_or_too_small_is_refused() {
    assert_eq!(check_of(&vec![0; SLOT_BLOCKS as usize * BLOCK_BYTES]), Check::Trailer);
    assert_eq!(check_of(&[]), Check::Geometry);
    assert_eq!(check_of(&[0; 15 * BLOCK_BYTES]), Check::Geometry);
    let bytes = Slot::new().bytes();
    // The trailer of a large slot behind a small one.
    assert_eq!(check_of(&bytes[bytes.len() - 100 * BLOCK_BYTES..]), Check::Geometry);
}

struct Broken;

impl BlockRead for Broken {
    fn block_count(&self) -> u64 {
        SLOT_BLOCKS
    }

    fn read_blocks(&mut self, _: u64, _: &mut [u8]) -> Result<(), ReadError> {
        Err(ReadError::Device { code: 5 })
    }
}

#[test]
fn a_device_that_fails_is_refused_as_such() {
    let keys = keys(&[key(1)]);
    let refusal = verify(Broken, &Policy { keys: &keys, now_s: 0, minimal_rollback_index: 0 }).unwrap_err();
    assert_eq!((refusal.check, refusal.detail.as_str()), (Check::Read, "the device failed with code 0x5"));
}

#[test]
fn every_check_has_its_own_word() {
    let words: std::collections::BTreeSet<_> = Check::ALL.iter().map(|check| check.word()).collect();
    assert_eq!(words.len(), Check::ALL.len());
}

#[test]
fn a_trailer_that_is_too_large_or_points_outside_is_refused() {
    let layout = Layout::plan(SLOT_BLOCKS, DATA_BLOCKS).unwrap();
    assert_eq!(Trailer::new(&layout, vec![1; 60_000], vec![1; 2_000]).to_bytes(), Err(TrailerFault::TooLarge { bytes: 62_000 }));
    let good = Trailer::new(&layout, vec![1; 100], vec![2; 50]).to_bytes().unwrap();
    let with = |at: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let digest: [u8; 32] = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&bytes[..56])).into();
        bytes[56..88].copy_from_slice(&digest);
        Trailer::parse(&bytes).unwrap_err()
    };
    assert_eq!(with(8, 2), TrailerFault::Version { found: 2 });
    assert_eq!(with(12, 99), TrailerFault::HeaderLength { found: 99 });
    assert_eq!(with(16, 0), TrailerFault::Range { offset: 0, length: 100 });
    assert_eq!(with(16, u32::MAX), TrailerFault::Range { offset: u32::MAX, length: 100 });
    assert_eq!(with(20, 65_536), TrailerFault::Range { offset: 4096, length: 65_536 });
    assert_eq!(with(28, 0), TrailerFault::Range { offset: 4196, length: 0 });
    assert_eq!(Trailer::parse(&good[1..]), Err(TrailerFault::Length));
}

#[test]
fn sections_that_hold_no_keys_are_refused() {
    assert_eq!(KeySet::from_section(&[0; KEYS_SECTION_BYTES]), Err(KeysFault::Empty));
    assert_eq!(KeySet::from_section(b"FRkeys01"), Err(KeysFault::Short));
    assert_eq!(KeySet::default().to_section(), Err(KeysFault::Count { found: 0 }));
    assert_eq!(keys(&[key(1); 93]).to_section(), Err(KeysFault::Count { found: 93 }));
    let good = keys(&[key(1), TrustedKey { development: true, revoked: true, not_after_s: 5, ..key(2) }]).to_section().unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        KeySet::from_section(&bytes)
    };
    assert_eq!(with(8, 93), Err(KeysFault::Count { found: 93 }));
    assert_eq!(with(20 + 32, 4), Err(KeysFault::Flags { key: 0, found: 4 }));
    assert_eq!(KeySet::from_section(&good[..100]), Err(KeysFault::Short));
    assert_eq!(good[..28], [&b"FRkeys01"[..], &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &key(1).public[..8]].concat());
}

proptest! {
    #[test]
    fn any_key_set_comes_back(minimal: u64, raw in vec((any::<[u8; 32]>(), any::<bool>(), any::<bool>(), any::<u64>()), 1..92)) {
        let keys = raw.into_iter().map(|(public, development, revoked, not_after_s)| TrustedKey { public, development, revoked, not_after_s }).collect();
        let set = KeySet { minimal_rollback_index: minimal, keys };
        prop_assert_eq!(KeySet::from_section(&set.to_section().unwrap()), Ok(set));
    }

    #[test]
    fn any_trailer_comes_back(commit in vec(any::<u8>(), 1..3000), commitmeta in vec(any::<u8>(), 1..300)) {
        let trailer = Trailer::new(&Layout::plan(SLOT_BLOCKS, DATA_BLOCKS).unwrap(), commit, commitmeta);
        prop_assert_eq!(Trailer::parse(&trailer.to_bytes().unwrap()), Ok(trailer));
    }

    #[test]
    fn mutated_slots_never_panic_and_are_never_another_release(changes in vec((0usize..8192, any::<u8>()), 1..10)) {
        let mut bytes = Slot::new().bytes();
        let good = judge(&bytes, &keys(&[key(1)])).unwrap();
        let start = bytes.len() - TRAILER_BYTES;
        changes.into_iter().for_each(|(at, value)| bytes[start + at] = value);
        if let Ok(slot) = judge(&bytes, &keys(&[key(1)])) {
            prop_assert_eq!(slot, good);
        }
    }
}
