// SPDX-License-Identifier: PMPL-1.0-or-later
//! ChaCha20 as a generator that forgets: each answer comes with the key of the next one, and the key before is gone. Who
//! sees the memory later learns nothing of earlier answers.

use api_random::Bytes;
use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

pub type Seed = [u8; 32];
const SEED_BYTES: usize = 32;

pub struct Generator {
    key: Seed,
}

impl Generator {
    pub fn new(seed: Seed) -> Generator {
        let mut generator = Generator { key: seed };
        generator.mix(Seed::default());
        generator
    }

    /// Mixes a seed in. Nothing is lost if it is one that somebody knows.
    pub fn mix(&mut self, seed: Seed) {
        self.key.iter_mut().zip(seed).for_each(|(key, byte)| *key ^= byte);
        let _ = self.bytes();
    }

    pub fn bytes(&mut self) -> [u8; Bytes::COUNT] {
        let mut both = [0; SEED_BYTES + Bytes::COUNT];
        ChaCha20Rng::from_seed(self.key).fill_bytes(&mut both);
        let (key, answer) = both.split_at(SEED_BYTES);
        self.key.copy_from_slice(key);
        let mut bytes = [0; Bytes::COUNT];
        bytes.copy_from_slice(answer);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_differ_and_come_from_chacha20() {
        let mut one = Generator { key: [0; 32] };
        // RFC 8439, A.1, test vector 1: the key stream of a key of zeros; its first half is the next key.
        let first = one.bytes();
        assert_eq!(one.key[..8], [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
        assert_ne!(first, one.bytes());
    }
    #[test]
    fn a_seed_that_is_known_takes_nothing_away() {
        let (mut a, mut b) = (Generator::new([1; 32]), Generator::new([2; 32]));
        a.mix([7; 32]);
        b.mix([7; 32]);
        assert_ne!(a.bytes(), b.bytes());
    }
    #[test]
    fn the_key_of_an_answer_is_gone_after_it() {
        let mut it = Generator::new([3; 32]);
        let before = it.key;
        let answer = it.bytes();
        assert_ne!(before, it.key);
        assert!(!answer.windows(32).any(|w| w == it.key), "the next key is not part of the answer");
    }
}
