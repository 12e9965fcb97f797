// SPDX-License-Identifier: PMPL-1.0-or-later
//! Numbers that look random; the same seed draws the same.

/// xorshift64* (Vigna 2016): good enough to reach everything, small enough to be repeated by hand.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Zero would stay zero for ever.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.draw() >> 32) % limit
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    /// One of them, or `otherwise` if there is none.
    pub fn of<T: Copy>(&mut self, all: &[T], otherwise: T) -> T {
        let n = self.below(all.len().max(1) as u64) as usize;
        all.get(n).copied().unwrap_or(otherwise)
    }
}
