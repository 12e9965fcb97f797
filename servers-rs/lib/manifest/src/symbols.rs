// SPDX-License-Identifier: PMPL-1.0-or-later
//! Tables of function names, in the form that `abi::bundle::Head` describes for the kernel's own.

use alloc::string::String;
use alloc::vec::Vec;

const ROW_BYTES: usize = 16;

/// A table of (address, name); sorts them.
pub fn encode(mut symbols: Vec<(u64, String)>) -> Vec<u8> {
    symbols.sort();
    symbols.dedup_by_key(|s| s.0);
    let mut names: Vec<u8> = Vec::new();
    let mut table = Vec::from((symbols.len() as u32).to_le_bytes());
    let first_name = 4 + symbols.len() * ROW_BYTES;
    for (address, name) in &symbols {
        table.extend(address.to_le_bytes());
        table.extend(((first_name + names.len()) as u32).to_le_bytes());
        table.extend((name.len() as u32).to_le_bytes());
        names.extend(name.as_bytes());
    }
    table.extend(names);
    table
}

/// The function that `address` lies in, and how far: the last one that begins at or before it.
pub fn lookup(table: &[u8], address: u64) -> Option<(&str, u64)> {
    let count = u32_at(table, 0)? as usize;
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if row_address(table, middle)? <= address { low = middle + 1 } else { high = middle }
    }
    let row = low.checked_sub(1)?;
    let at = row.checked_mul(ROW_BYTES)?.checked_add(4)?;
    let name_at = u32_at(table, at.checked_add(8)?)? as usize;
    let name_length = u32_at(table, at.checked_add(12)?)? as usize;
    let name = core::str::from_utf8(table.get(name_at..name_at.checked_add(name_length)?)?).ok()?;
    Some((name, address.checked_sub(row_address(table, row)?)?))
}

/// How many names a table has.
pub fn count(table: &[u8]) -> usize {
    u32_at(table, 0).unwrap_or(0) as usize
}

fn row_address(table: &[u8], row: usize) -> Option<u64> {
    let at = row.checked_mul(ROW_BYTES)?.checked_add(4)?;
    Some(u64::from_le_bytes(*table.get(at..)?.first_chunk()?))
}
fn u32_at(table: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*table.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn an_address_is_named_by_the_function_it_lies_in() {
        let table = encode(vec![(0x2000, "second".into()), (0x1000, "first".into())]);
        assert_eq!(lookup(&table, 0x1010), Some(("first", 0x10)));
        assert_eq!(lookup(&table, 0x2000), Some(("second", 0)));
        assert_eq!(lookup(&table, 0xfff), None);
        assert_eq!(count(&table), 2);
    }

    #[test]
    fn a_damaged_table_names_nothing_and_does_not_panic() {
        let good = encode(vec![(1, "a".into()), (9, "b".into())]);
        assert_eq!(lookup(&[], 1), None);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] = 0xff;
            let _ = lookup(&bad, 5);
            let _ = lookup(&good[..at], 5);
        }
    }
}
