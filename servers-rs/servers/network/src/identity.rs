// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface identifiers (RFC 4291 appendix A, RFC 7217), and a seed for sequence numbers.

use crate::autoconf::Identifiers;
use api_random::{Bytes, Client};
use rt::channel::Channel;
use rt::start::grant;
use smoltcp::wire::Ipv6Address;

pub struct Identity {
    address: [u8; 6],
    secret: u64,
}

impl Identity {
    /// Of the station with this Ethernet address.
    pub fn new(address: [u8; 6]) -> Identity {
        let (endpoint, _) = grant::call(api_random::NAME).unzip();
        let bytes = endpoint.and_then(|endpoint| Client(Channel(endpoint)).bytes().ok());
        let secret = bytes.and_then(|Bytes(bytes)| bytes.first_chunk().copied().map(u64::from_le_bytes));
        let secret = secret.unwrap_or_else(|| {
            rt::warning!("no random numbers: sequence numbers come from the clock and can be guessed");
            rt::clock::now_ns()
        });
        Identity { address, secret }
    }
    pub fn seed(&self) -> u64 {
        self.secret
    }
}

impl Identifiers for Identity {
    /// The first is made of the Ethernet address; were it taken, the next are made of the secret as well.
    fn identifier(&self, _: Ipv6Address, tries: u8) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.address;
        let modified = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        if tries == 0 {
            return modified;
        }
        let mixed =
            (u64::from_be_bytes(modified) ^ self.secret).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(u32::from(tries));
        // RFC 5453: the highest 7 bits set and the lowest ones are reserved; a local identifier has bit 57 clear.
        (mixed & !(2 << 56)).to_be_bytes()
    }
}
