// SPDX-License-Identifier: PMPL-1.0-or-later
//! Numbers in blocks, and CRC-32C. Reading outside gives 0 and writing outside does nothing: offsets here are constants
//! or checked before, and a wrong one must not be a panic.

/// Little-endian number at `at`.
pub fn u16_at(from: &[u8], at: usize) -> u16 {
    array(from, at).map_or(0, u16::from_le_bytes)
}
pub fn u32_at(from: &[u8], at: usize) -> u32 {
    array(from, at).map_or(0, u32::from_le_bytes)
}
/// Big-endian: the journal's order.
pub fn be32_at(from: &[u8], at: usize) -> u32 {
    array(from, at).map_or(0, u32::from_be_bytes)
}
/// A number whose halves stand apart.
pub fn split_at(from: &[u8], low: usize, high: usize) -> u64 {
    u64::from(u32_at(from, low)) | u64::from(u32_at(from, high)) << 32
}

pub fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = into.get_mut(at..at.saturating_add(bytes.len())) {
        place.copy_from_slice(bytes);
    }
}
pub fn put16(into: &mut [u8], at: usize, value: u16) {
    put(into, at, &value.to_le_bytes());
}
pub fn put32(into: &mut [u8], at: usize, value: u32) {
    put(into, at, &value.to_le_bytes());
}
pub fn put_be32(into: &mut [u8], at: usize, value: u32) {
    put(into, at, &value.to_be_bytes());
}

/// The part of `from`, or nothing where it is not there.
pub fn part(from: &[u8], at: usize, length: usize) -> &[u8] {
    from.get(at..at.saturating_add(length)).unwrap_or_default()
}

fn array<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk::<N>().copied()
}

/// Polynomial 0x1EDC6F41, reflected; eight tables, so that eight bytes cost one step.
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        tables[0][index] = value;
        index += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut index = 0;
        while index < 256 {
            let before = tables[table - 1][index];
            tables[table][index] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            index += 1;
        }
        table += 1;
    }
    tables
}

/// Goes on from `crc` over `bytes`, in the kernel's way: no inversion at either end.
pub fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let crc = chunks.iter().fold(crc, |crc, chunk| {
        let word = u64::from_le_bytes(*chunk) ^ u64::from(crc);
        let byte = |n: usize| (word >> (8 * n)) as u8 as usize;
        TABLES[7][byte(0)]
            ^ TABLES[6][byte(1)]
            ^ TABLES[5][byte(2)]
            ^ TABLES[4][byte(3)]
            ^ TABLES[3][byte(4)]
            ^ TABLES[2][byte(5)]
            ^ TABLES[1][byte(6)]
            ^ TABLES[0][byte(7)]
    });
    rest.iter().fold(crc, |crc, byte| crc >> 8 ^ TABLES[0][(crc as u8 ^ byte) as usize])
}

/// The state from which `bytes` lead to `crc`: [`crc32c`] backwards.
pub fn crc32c_before(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(crc, |crc, byte| {
        // The top byte of a table entry is unique, so it names the entry that the step used.
        let index = TABLES[0].iter().position(|entry| entry >> 24 == crc >> 24).unwrap_or(0);
        (crc ^ TABLES[0][index & 0xff]) << 8 | (index as u32 ^ u32::from(*byte)) & 0xff
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    }
    #[test]
    fn backwards_undoes_forwards() {
        assert_eq!(crc32c_before(crc32c(77, b"a longer text"), b"a longer text"), 77);
    }
    #[test]
    fn outside_is_zero_and_is_not_written() {
        let mut bytes = [1, 2, 3];
        put32(&mut bytes, 1, 9);
        assert_eq!((u32_at(&bytes, 1), bytes), (0, [1, 2, 3]));
    }
}
