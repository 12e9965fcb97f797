// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `net`: a network device that moves Ethernet frames, as a driver offers it to the network server.
//!
//! Frames never travel in messages and are never copied by the driver: they lie in slots of the driver's shared DMA memory,
//! and four rings per pair of queues say whose each slot is (`ring.rs`). Each side rings the other's bell after a batch.
#![no_std]

use ipc::{Cap, Message, Reader, Wire};

pub mod ring;

/// What a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// Its Ethernet address, the first byte in the highest of 48 bits.
    pub address: u64,
    /// Largest frame without its Ethernet header.
    pub mtu_bytes: u16,
    /// Pairs of a receive and a transmit queue; each is connected on its own.
    pub pairs: u16,
    pub link_is_up: bool,
}

impl Info {
    pub fn address_bytes(&self) -> [u8; 6] {
        let [_, _, a, b, c, d, e, f] = self.address.to_be_bytes();
        [a, b, c, d, e, f]
    }
}

impl Wire for Info {
    fn put(&self, into: &mut Message) {
        self.address.put(into);
        self.mtu_bytes.put(into);
        self.pairs.put(into);
        self.link_is_up.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(Info {
            address: u64::take(from)?,
            mtu_bytes: u16::take(from)?,
            pairs: u16::take(from)?,
            link_is_up: bool::take(from)?,
        })
    }
}

/// The driver's end of a pair: its memory with rings and frames, and the bell to ring after giving it something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    pub memory: Cap,
    pub length_bytes: u64,
    pub bell: Cap,
}

impl Wire for Ends {
    fn put(&self, into: &mut Message) {
        self.memory.put(into);
        self.length_bytes.put(into);
        self.bell.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(Ends { memory: Cap::take(from)?, length_bytes: u64::take(from)?, bell: Cap::take(from)? })
    }
}

ipc::interface! {
    /// A network device.
    interface net;
    errors {
        /// The device has no such pair of queues, or its memory does not hold the rings.
        NoPair = 16,
        /// The device does not start again.
        DeviceFailed = 17,
        /// The bell is none that can be rung.
        NoBell = 18,
    }
    methods {
        /// What the device is.
        1 info idempotent () -> Info;
        /// Resets a pair and hands it to the caller, whose bell is rung when frames came or slots are free again. Frames
        /// that were under way are lost; who had the pair before must not use it any more.
        2 connect idempotent (pair: u16, bell: Cap) -> Ends;
        /// Is not answered while the driver lives: its end as `Restarted` is the news of the driver's death.
        3 attend once () -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, Handle, pair::Pair};

    struct Device;
    impl Serve for Device {
        fn info(&mut self, _: Badge) -> Result<Info, Error> {
            Ok(Info { address: 0x5254_0012_3456, mtu_bytes: 1500, pairs: 1, link_is_up: true })
        }
        fn connect(&mut self, _: Badge, pair: u16, bell: Cap) -> Result<Ends, Error> {
            if pair > 0 { Err(Error::NoPair) } else { Ok(Ends { memory: Cap(Handle::new(9, 1)), length_bytes: 8192, bell }) }
        }
        fn attend(&mut self, _: Badge) -> Result<(), Error> {
            Ok(())
        }
    }
    fn client() -> Client<Pair<Device>> {
        Client(Pair::new(Device, Badge(1), dispatch))
    }

    #[test]
    fn address_and_capabilities_cross_whole() {
        assert_eq!(client().info().unwrap().address_bytes(), [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        let bell = Cap(Handle::new(7, 1));
        let ends = client().connect(0, bell).unwrap();
        assert_eq!((ends.memory, ends.bell), (Cap(Handle::new(9, 1)), bell));
        assert_eq!(client().connect(1, bell), Err(Error::NoPair));
    }
    #[test]
    fn a_connect_without_a_bell_is_malformed() {
        use ipc::Transport;
        let mut request = Message::new(label::connect);
        0u16.put(&mut request);
        assert_eq!(client().0.call(&request).unwrap().label, ipc::interface::code::MALFORMED);
    }
    #[test]
    fn a_death_ends_an_attention_which_is_not_repeated() {
        let mut it = client();
        it.0.dies(1);
        assert_eq!(it.attend(), Err(Error::Restarted));
        assert_eq!(it.0.delivered, 1);
    }
}
