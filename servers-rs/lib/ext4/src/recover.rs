// SPDX-License-Identifier: PMPL-1.0-or-later
//! Replay: finds the last transaction with a commit block, and writes the blocks of all from the tail to it to their places.
//! May be cut off and done again.

use crate::bytes::{be32_at, crc32c, part};
use crate::journal::{self, Journal, Place};
use crate::store::zeroed;
use crate::{BLOCK, Error, Result};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use blocks::BlockWrite;

/// fast_commit blocks and a journal on another device are somebody else's.
const INCOMPAT_KNOWN: u32 = journal::FEATURES;

/// The journal behind `runs`, replayed, empty, and the file system's blocks flushed.
pub fn recover<D: BlockWrite>(device: &mut D, runs: Vec<(u64, u32)>) -> Result<Journal> {
    let mut block = zeroed();
    let first = runs.first().ok_or(Error::Corrupt("the journal has no blocks"))?.0;
    device.read_blocks(first, &mut block)?;
    let sb = &*block;
    if be32_at(sb, 0) != journal::MAGIC || be32_at(sb, 4) != journal::SUPERBLOCK || be32_at(sb, 0x0c) as usize != BLOCK {
        return Err(Error::Corrupt("the journal's superblock"));
    }
    let features = be32_at(sb, 0x28);
    if features & !INCOMPAT_KNOWN != 0 {
        return Err(Error::Unsupported("a feature of the journal"));
    }
    let checked = features & 0x10 != 0;
    if checked {
        let sum = crc32c(crc32c(crc32c(!0, part(sb, 0, 0xfc)), &[0; 4]), part(sb, 0x100, 1024 - 0x100));
        if sum != be32_at(sb, 0xfc) && !crate::let_through() {
            return Err(Error::Corrupt("the checksum of the journal's superblock"));
        }
    }
    let available: u64 = runs.iter().map(|run| u64::from(run.1)).sum();
    let (length, ring) = (be32_at(sb, 0x10), be32_at(sb, 0x14));
    if u64::from(length) > available || ring == 0 || length < ring.saturating_add(64) {
        return Err(Error::Corrupt("the journal's length"));
    }
    let (start, sequence) = (be32_at(sb, 0x1c), be32_at(sb, 0x18));
    let tail = Place { position: start.max(ring), sequence };
    let mut journal = Journal {
        runs,
        first: ring,
        length,
        seed: crc32c(!0, part(sb, 0x30, 16)),
        superblock: sb.to_vec(),
        head: tail,
        tail,
        last: tail,
        wipe: None,
    };
    if start != 0 {
        if !checked || start < ring || start >= length {
            return Err(Error::Corrupt("the journal's tail"));
        }
        journal.head.sequence = replay(device, &journal, tail)?;
        device.flush()?;
    }
    // Transactions begin anew at the start of the ring, with a number that nothing left in it has.
    let sequence = journal.head.sequence.wrapping_add(1).max(1);
    journal.head = Place { position: ring, sequence };
    journal.tail = journal.head;
    journal.last = journal.head;
    let empty = journal.superblock_with(None, sequence);
    device.write_blocks(journal.block(0)?, &empty)?;
    device.flush()?;
    Ok(journal)
}

/// What the scan found at a place of the ring.
enum Found {
    Descriptor(Vec<Tag>),
    Revoke(Vec<u64>),
    Commit,
    Nothing,
}
struct Tag {
    block: u64,
    checksum: u32,
    escaped: bool,
}

fn look<D: BlockWrite>(device: &mut D, journal: &Journal, at: Place) -> Result<Found> {
    let mut block = zeroed();
    device.read_blocks(journal.block(at.position)?, &mut block)?;
    if be32_at(&block, 0) != journal::MAGIC || be32_at(&block, 8) != at.sequence {
        return Ok(Found::Nothing);
    }
    let tail_ok = journal.checksum(&block, BLOCK - 4) == be32_at(&block, BLOCK - 4) || crate::let_through();
    Ok(match be32_at(&block, 4) {
        journal::DESCRIPTOR if tail_ok => Found::Descriptor(tags(&block)),
        journal::REVOKE if tail_ok => {
            let end = (be32_at(&block, 12) as usize).min(BLOCK - 4);
            let list = block.get(16..end).unwrap_or_default().chunks_exact(8);
            Found::Revoke(list.map(|at| u64::from(be32_at(at, 0)) << 32 | u64::from(be32_at(at, 4))).collect())
        }
        journal::COMMIT if journal.checksum(&block, 0x10) == be32_at(&block, 0x10) || crate::let_through() => Found::Commit,
        _ => Found::Nothing,
    })
}

fn tags(block: &[u8]) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut at = journal::TAGS_FROM;
    while at + journal::TAG_BYTES <= BLOCK - 4 {
        let flags = be32_at(block, at + 4);
        let number = u64::from(be32_at(block, at)) | u64::from(be32_at(block, at + 8)) << 32;
        let escaped = flags & journal::FLAG_ESCAPED != 0;
        found.push(Tag { block: number, checksum: be32_at(block, at + 12), escaped });
        at += journal::TAG_BYTES + if flags & journal::FLAG_SAME_UUID == 0 { 16 } else { 0 };
        if flags & journal::FLAG_LAST != 0 {
            break;
        }
    }
    found
}

/// Returns the number behind the last whole transaction.
fn replay<D: BlockWrite>(device: &mut D, journal: &Journal, tail: Place) -> Result<u32> {
    let mut revoked: BTreeMap<u64, u32> = BTreeMap::new();
    let (mut at, mut end) = (tail, tail.sequence);
    let mut steps = 0;
    // Each block of the ring is looked at once at most.
    while steps < journal.length {
        let taken = match look(device, journal, at)? {
            Found::Descriptor(tags) => 1 + tags.len() as u32,
            Found::Revoke(list) => {
                revoked.extend(list.into_iter().map(|block| (block, at.sequence)));
                1
            }
            Found::Commit => {
                at.sequence = at.sequence.wrapping_add(1);
                end = at.sequence;
                1
            }
            Found::Nothing => break,
        };
        at.position = journal.after(at.position, taken);
        steps += taken;
    }
    // Revoke blocks of a transaction without a commit do not count; they only spare a write that an earlier one had.
    revoked.retain(|_, sequence| (sequence.wrapping_sub(end) as i32) < 0);
    at = tail;
    let mut bytes = zeroed();
    while at.sequence != end {
        match look(device, journal, at)? {
            Found::Descriptor(tags) => {
                for tag in tags {
                    at.position = journal.after(at.position, 1);
                    if revoked.get(&tag.block).is_some_and(|by| (by.wrapping_sub(at.sequence) as i32) >= 0) {
                        continue;
                    }
                    device.read_blocks(journal.block(at.position)?, &mut bytes)?;
                    let right = journal.tag_checksum(at.sequence, &bytes) == tag.checksum || crate::let_through();
                    if !right || tag.block >= device.block_count() {
                        return Err(Error::Corrupt("a block of a committed transaction"));
                    }
                    if tag.escaped {
                        crate::bytes::put_be32(&mut bytes, 0, journal::MAGIC);
                    }
                    device.write_blocks(tag.block, &bytes)?;
                }
            }
            Found::Commit => at.sequence = at.sequence.wrapping_add(1),
            Found::Revoke(_) => {}
            Found::Nothing => return Err(Error::Corrupt("the journal changed while it was read")),
        }
        at.position = journal.after(at.position, 1);
    }
    Ok(end)
}
