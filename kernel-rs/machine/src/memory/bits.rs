// SPDX-License-Identifier: PMPL-1.0-or-later
//! A set of small numbers as a bitmap with summaries: a bit of a level says that a word of the level below is not zero,
//! so the next member is found in as many steps as there are levels, however large the set.

/// Enough for 2^32 numbers.
const MAX_LEVELS: usize = 6;

#[derive(Debug)]
pub struct Bits {
    words: &'static mut [u64],
    /// First word of each level; the numbers themselves come first.
    starts: [usize; MAX_LEVELS],
    levels: usize,
}

impl Bits {
    /// Words that a set of numbers below `count` needs.
    pub const fn words(count: usize) -> usize {
        let (mut level, mut all) = (count.div_ceil(64), 0);
        loop {
            all += level;
            if level <= 1 {
                return all;
            }
            level = level.div_ceil(64);
        }
    }

    /// An empty set of numbers below `count` in [`Bits::words`] words.
    pub fn new(words: &'static mut [u64], count: usize) -> Bits {
        assert!(words.len() >= Bits::words(count));
        words.fill(0);
        let (mut starts, mut levels, mut at, mut level) = ([0; MAX_LEVELS], 0, 0, count.div_ceil(64));
        loop {
            starts[levels] = at;
            levels += 1;
            at += level;
            if level <= 1 {
                return Bits { words, starts, levels };
            }
            level = level.div_ceil(64);
        }
    }

    #[inline]
    pub fn has(&self, n: u32) -> bool {
        self.words[n as usize / 64] & 1 << (n % 64) != 0
    }

    /// The 64 numbers from `64 * n` on.
    #[inline]
    pub fn word(&self, n: usize) -> u64 {
        self.words[n]
    }

    /// Replaces 64 numbers.
    #[inline]
    pub fn set_word(&mut self, n: usize, word: u64) {
        self.words[n] = word;
        if word == 0 { self.summarise_empty(n) } else { self.summarise_full(n) }
    }

    #[inline]
    pub fn insert(&mut self, n: u32) {
        let word = &mut self.words[n as usize / 64];
        let before = *word;
        *word |= 1 << (n % 64);
        if before == 0 {
            self.summarise_full(n as usize / 64);
        }
    }

    #[inline]
    pub fn remove(&mut self, n: u32) {
        let word = &mut self.words[n as usize / 64];
        *word &= !(1 << (n % 64));
        if *word == 0 {
            self.summarise_empty(n as usize / 64);
        }
    }

    /// Word `n` of the lowest level is not zero any more.
    fn summarise_full(&mut self, mut n: usize) {
        for level in 1..self.levels {
            let word = &mut self.words[self.starts[level] + n / 64];
            let before = *word;
            *word |= 1 << (n % 64);
            if before != 0 {
                return;
            }
            n /= 64;
        }
    }

    /// Word `n` of the lowest level is zero now.
    fn summarise_empty(&mut self, mut n: usize) {
        for level in 1..self.levels {
            let word = &mut self.words[self.starts[level] + n / 64];
            *word &= !(1 << (n % 64));
            if *word != 0 {
                return;
            }
            n /= 64;
        }
    }

    /// The lowest member that is not below `from`.
    pub fn next(&self, from: u32) -> Option<u32> {
        let mut at = from as usize;
        for level in 0..self.levels {
            let end = if level + 1 < self.levels { self.starts[level + 1] } else { self.words.len() };
            let word = self.starts[level] + at / 64;
            let above = if word < end { self.words[word] & u64::MAX << (at % 64) } else { 0 };
            if above != 0 {
                let mut found = at / 64 * 64 + above.trailing_zeros() as usize;
                for below in (0..level).rev() {
                    found = found * 64 + self.words[self.starts[below] + found].trailing_zeros() as usize;
                }
                return Some(found as u32);
            }
            at = at / 64 + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn next_finds_what_a_plain_set_finds() {
        for count in [1usize, 63, 64, 65, 4096, 4097, 300_000] {
            let mut bits = Bits::new(vec![!0; Bits::words(count)].leak(), count);
            let mut set = BTreeSet::new();
            let mut random = 88_172_645_463_325_252u64;
            for _ in 0..5000 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let n = (random >> 8) as u32 % count as u32;
                if random & 7 < 4 {
                    bits.insert(n);
                    set.insert(n);
                } else {
                    // Near a member, so that sets shrink as well.
                    let n = set.range(n..).next().copied().unwrap_or(n);
                    bits.remove(n);
                    set.remove(&n);
                }
                let from = (random >> 40) as u32 % count as u32;
                assert_eq!(bits.next(from), set.range(from..).next().copied(), "{count} {from}");
            }
        }
    }
}
