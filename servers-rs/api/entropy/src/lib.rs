// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `entropy`: bits that nobody could guess, as a device makes them. Only the server of `random` asks for them.
#![no_std]

use ipc::{Message, Reader, Wire};

/// 256 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bits(pub [u8; 32]);

impl Wire for Bits {
    fn put(&self, into: &mut Message) {
        self.0.as_chunks::<8>().0.iter().for_each(|eight| u64::from_le_bytes(*eight).put(into));
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let mut bytes = [0; 32];
        for eight in bytes.as_chunks_mut::<8>().0 {
            *eight = u64::take(from)?.to_le_bytes();
        }
        Some(Bits(bytes))
    }
}

ipc::interface! {
    /// A source of entropy.
    interface entropy;
    errors {
        /// The device gave none, or fewer than asked for.
        DeviceFailed = 16,
    }
    methods {
        /// 256 fresh bits, given to nobody else.
        1 bits idempotent () -> Bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct Device(u8);
    impl Serve for Device {
        fn bits(&mut self, _: Badge) -> Result<Bits, Error> {
            self.0 += 1;
            let mut bytes = [self.0; 32];
            bytes[31] = 0xee;
            Ok(Bits(bytes))
        }
    }

    #[test]
    fn all_bits_cross_and_are_fresh_after_a_death() {
        let mut client = Client(Pair::new(Device(0), Badge(1), dispatch));
        assert_eq!(client.bits().unwrap().0[31], 0xee);
        client.0.dies(1);
        assert_eq!(client.bits().unwrap().0[0], 3, "what died was not given twice");
    }
}
