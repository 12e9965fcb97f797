// SPDX-License-Identifier: PMPL-1.0-or-later
//! The hash of a name in an indexed directory: half MD4, `fs/ext4/hash.c`. The lowest bit is left to the index.

use crate::superblock::Layout;

/// The version number in an index that means half MD4; whether bytes are signed is said by the superblock.
pub const HALF_MD4: u8 = 1;

pub fn hash(layout: &Layout, name: &[u8]) -> u32 {
    let mut state = match layout.hash_seed {
        [0, 0, 0, 0] => [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
        seed => seed,
    };
    let mut rest = name;
    while !rest.is_empty() {
        half_md4(&mut state, &words(rest, layout.hash_unsigned));
        rest = rest.get(32..).unwrap_or_default();
    }
    let hash = state[1] & !1;
    // The largest value is the mark for the end of a directory.
    if hash == 0xffff_fffe { 0xffff_fffc } else { hash }
}

/// Up to 32 bytes as eight words, padded with the length.
fn words(name: &[u8], unsigned: bool) -> [u32; 8] {
    let length = name.len() as u32;
    let pad = length | length << 8;
    let pad = pad | pad << 16;
    let mut out = [pad; 8];
    for (index, word) in out.iter_mut().enumerate() {
        let bytes = name.get(index * 4..).unwrap_or_default();
        for byte in bytes.iter().take(4) {
            let value = if unsigned { u32::from(*byte) } else { i32::from(*byte as i8) as u32 };
            *word = value.wrapping_add(*word << 8);
        }
    }
    out
}

/// How three words are mixed, the constant, the order of the input and the rotations.
type Round<'a> = (&'a dyn Fn(u32, u32, u32) -> u32, u32, [usize; 8], [u32; 4]);

fn half_md4(state: &mut [u32; 4], x: &[u32; 8]) {
    let [mut a, mut b, mut c, mut d] = *state;
    let f = |x: u32, y: u32, z: u32| z ^ (x & (y ^ z));
    let g = |x: u32, y: u32, z: u32| (x & y).wrapping_add((x ^ y) & z);
    let h = |x: u32, y: u32, z: u32| x ^ y ^ z;
    let rounds: [Round<'_>; 3] = [
        (&f, 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (&g, 0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (&h, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    for (mix, constant, order, shifts) in rounds {
        for (step, from) in order.iter().enumerate() {
            let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(x[*from]).wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shifts[step % 4]), b, c);
        }
    }
    for (value, add) in state.iter_mut().zip([a, b, c, d]) {
        *value = value.wrapping_add(add);
    }
}
