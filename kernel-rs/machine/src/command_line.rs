// SPDX-License-Identifier: PMPL-1.0-or-later
//! The command line of a direct boot: `slot=a|b` and `verity=<root hex>:<salt hex>:<data blocks>`; other words are
//! passed over. `docs/architecture/contracts.adoc` has the same words.

use abi::boot_info::{Origin, slot};

/// Puts into `origin` what the line says; a word that is malformed changes nothing.
pub fn apply(line: &[u8], origin: &mut Origin) {
    for word in line.split(|b| b.is_ascii_whitespace()) {
        if let Some(value) = word.strip_prefix(b"slot=") {
            origin.slot = match value {
                b"a" => slot::A,
                b"b" => slot::B,
                _ => origin.slot,
            };
        } else if let Some(value) = word.strip_prefix(b"verity=") {
            let _ = verity(value, origin);
        }
    }
}

fn verity(value: &[u8], origin: &mut Origin) -> Option<()> {
    let mut parts = value.split(|b| *b == b':');
    let (root, salt, blocks) = (parts.next()?, parts.next()?, parts.next()?);
    let (mut root_bytes, mut salt_bytes) = ([0; 32], [0; 32]);
    if parts.next().is_some() || hex(root, &mut root_bytes)? != 32 {
        return None;
    }
    let salt_len = hex(salt, &mut salt_bytes)?;
    let blocks = core::str::from_utf8(blocks).ok()?.parse().ok()?;
    origin.verity_root = root_bytes;
    origin.verity_salt = salt_bytes;
    origin.verity_salt_len = salt_len as u32;
    origin.verity_data_blocks = blocks;
    Some(())
}

/// Bytes written, if the text is that many hexadecimal digits and they fit.
fn hex(text: &[u8], bytes: &mut [u8]) -> Option<usize> {
    if !text.len().is_multiple_of(2) || text.len() / 2 > bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = ((pair[0] as char).to_digit(16)? << 4 | (pair[1] as char).to_digit(16)?) as u8;
    }
    Some(text.len() / 2)
}

/// An origin that nothing is known of.
pub const UNKNOWN: Origin = Origin {
    slot: slot::NONE,
    flags: 0,
    verity_root: [0; 32],
    commit: [0; 32],
    version: [0; 64],
    partition_guid: [0; 16],
    loader_tsc: 0,
    wall_clock_s: 0,
    seed: [0; 32],
    verity_salt_len: 0,
    reserved: 0,
    verity_salt: [0; 32],
    verity_data_blocks: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Origin {
        let mut origin = UNKNOWN;
        apply(line.as_bytes(), &mut origin);
        origin
    }

    #[test]
    fn slot_and_verity_are_read() {
        let origin = parse(&format!("quiet slot=b verity={}:0a0b:77", "12".repeat(32)));
        assert_eq!((origin.slot, origin.verity_root, origin.verity_data_blocks), (slot::B, [0x12; 32], 77));
        assert_eq!((origin.verity_salt_len, &origin.verity_salt[..3]), (2, &[10, 11, 0][..]));
    }

    #[test]
    fn malformed_words_change_nothing() {
        let root = "00".repeat(32);
        for line in [
            "slot=c",
            "slot=",
            "verity=",
            "verity=12:34:5",
            &format!("verity={root}:0:5"),
            &format!("verity={root}:zz:5"),
            &format!("verity={root}:00:-1"),
            &format!("verity={root}:00:1:2"),
            &format!("verity={root}:{}:1", "00".repeat(33)),
        ] {
            let origin = parse(line);
            assert_eq!((origin.slot, origin.verity_data_blocks, origin.verity_salt_len), (slot::NONE, 0, 0), "{line}");
        }
    }
}
