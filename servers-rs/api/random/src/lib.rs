// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `random`: random bytes for everyone, out of one generator that was seeded before it gives any.
#![no_std]

use ipc::{Message, Reader, Wire};

/// As many bytes as one answer holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub [u8; Bytes::COUNT]);

impl Bytes {
    pub const COUNT: usize = 64;
}

impl Wire for Bytes {
    fn put(&self, into: &mut Message) {
        self.0.as_chunks::<8>().0.iter().for_each(|eight| u64::from_le_bytes(*eight).put(into));
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let mut bytes = [0; Bytes::COUNT];
        for eight in bytes.as_chunks_mut::<8>().0 {
            *eight = u64::take(from)?.to_le_bytes();
        }
        Some(Bytes(bytes))
    }
}

ipc::interface! {
    /// Random bytes.
    interface random;
    errors {
        /// Nothing that nobody could guess was had yet: better no bytes than those.
        NotSeeded = 16,
    }
    methods {
        /// Bytes that nobody else gets, and that say nothing of those before and after them.
        1 bytes idempotent () -> Bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct Generator(Option<u8>);
    impl Serve for Generator {
        fn bytes(&mut self, _: Badge) -> Result<Bytes, Error> {
            self.0.map(|n| Bytes([n; Bytes::COUNT])).ok_or(Error::NotSeeded)
        }
    }

    #[test]
    fn bytes_cross_whole_and_without_a_seed_there_are_none() {
        let client = |seed| Client(Pair::new(Generator(seed), Badge(1), dispatch));
        assert!(client(Some(7)).bytes() == Ok(Bytes([7; Bytes::COUNT])));
        assert!(client(None).bytes() == Err(Error::NotSeeded));
    }
}
