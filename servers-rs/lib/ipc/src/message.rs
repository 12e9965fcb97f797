// SPDX-License-Identifier: PMPL-1.0-or-later
//! A message in memory: label, words, handles. Writing beyond its limits is remembered, reading beyond them is `None`.

use abi::handle::Handle;
use abi::message::{MAX_CAPS, MAX_WORDS, Tag};

#[derive(Clone, Debug)]
pub struct Message {
    /// The method going in; 0 or an error's code coming back.
    pub label: u32,
    words: [u64; MAX_WORDS],
    count: usize,
    caps: [Handle; MAX_CAPS],
    cap_count: usize,
    overflow: bool,
}

impl Message {
    pub const fn new(label: u32) -> Self {
        Message { label, words: [0; MAX_WORDS], count: 0, caps: [Handle::NULL; MAX_CAPS], cap_count: 0, overflow: false }
    }
    pub fn words(&self) -> &[u64] {
        self.words.get(..self.count).unwrap_or(&[])
    }
    pub fn caps(&self) -> &[Handle] {
        self.caps.get(..self.cap_count).unwrap_or(&[])
    }
    pub fn put_word(&mut self, word: u64) {
        match self.words.get_mut(self.count) {
            Some(place) => {
                *place = word;
                self.count += 1;
            }
            None => self.overflow = true,
        }
    }
    pub fn put_cap(&mut self, handle: Handle) {
        match self.caps.get_mut(self.cap_count) {
            Some(place) => {
                *place = handle;
                self.cap_count += 1;
            }
            None => self.overflow = true,
        }
    }
    /// More was put into it than it holds: it must not be sent.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }
    /// Another message than it was, by one bit of the label or of a word; the same `seed` gives the same.
    pub fn flip(&mut self, seed: u64) {
        let bit = (seed >> 32) % 64;
        let count = self.count as u64;
        match self.words.get_mut((seed % (count + 1)) as usize).filter(|_| seed % (count + 1) < count) {
            Some(word) => *word ^= 1 << bit,
            None => self.label ^= 1 << (bit % 32),
        }
    }
    pub fn tag(&self) -> Tag {
        Tag::new(self.label, self.count, self.cap_count)
    }
    pub fn reader(&self) -> Reader<'_> {
        Reader { words: self.words(), caps: self.caps() }
    }
}

/// Takes values out of a message in the order they were put in.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    words: &'a [u64],
    caps: &'a [Handle],
}

impl Reader<'_> {
    pub fn word(&mut self) -> Option<u64> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(*first)
    }
    pub fn cap(&mut self) -> Option<Handle> {
        let (first, rest) = self.caps.split_first()?;
        self.caps = rest;
        Some(*first)
    }
    /// Nothing is left over. A message with more in it than its method takes is refused.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.caps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_changes_one_bit_of_the_label_or_of_a_word_and_nothing_else() {
        let mut whole = Message::new(3);
        [7, 8].iter().for_each(|w| whole.put_word(*w));
        for seed in 0..3u64 {
            let mut it = whole.clone();
            it.flip(seed | 40 << 32);
            let bits = |m: &Message| [u64::from(m.label), m.words[0], m.words[1], m.words[2]];
            let differing: u32 = bits(&it).iter().zip(bits(&whole)).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!((differing, it.words().len()), (1, 2));
        }
        let mut empty = Message::new(0);
        empty.flip(5);
        assert_ne!(empty.label, 0);
    }
}
