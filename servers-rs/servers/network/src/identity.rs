// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface identifiers (RFC 4291 appendix A, RFC 7217), and a seed for sequence numbers.
//!
//! A client's identifier is made of its name and of the device's address, so it has the same one after every start. It does not
//! hide which machine it is: that needs a secret that outlives a boot, and nothing keeps one yet.

use crate::autoconf::{Identifiers, MAX_OWNERS};
use alloc::string::String;
use alloc::vec::Vec;
use api_random::{Bytes, Client};
use rt::channel::Channel;
use rt::start::grant;
use sha2::{Digest, Sha256};
use smoltcp::wire::Ipv6Address;

pub struct Identity {
    address: [u8; 6],
    secret: u64,
    owners: Vec<u32>,
    names: Vec<String>,
}

impl Identity {
    /// Of the station with this Ethernet address, and of clients with these numbers and names.
    pub fn new(address: [u8; 6], clients: &[(u32, &str)]) -> Identity {
        let (endpoint, _) = grant::call(api_random::NAME).unzip();
        let bytes = endpoint.and_then(|endpoint| Client(Channel(endpoint)).bytes().ok());
        let secret = bytes.and_then(|Bytes(bytes)| bytes.first_chunk().copied().map(u64::from_le_bytes));
        let secret = secret.unwrap_or_else(|| {
            rt::warning!("no random numbers: sequence numbers come from the clock and can be guessed");
            rt::clock::now_ns()
        });
        let (owners, names) = clients.iter().take(MAX_OWNERS).map(|&(number, name)| (number, name.into())).unzip();
        Identity { address, secret, owners, names }
    }
    pub fn seed(&self) -> u64 {
        self.secret
    }
}

impl Identity {
    pub fn name(&self, owner: u32) -> Option<&str> {
        let place = self.owners.iter().position(|&own| own == owner)?;
        self.names.get(place).map(String::as_str)
    }
}

impl Identifiers for Identity {
    fn owners(&self) -> &[u32] {
        &self.owners
    }

    /// The host's first is made of the Ethernet address; were it taken, the next are made of the secret as well.
    fn identifier(&self, prefix: Ipv6Address, owner: u32, tries: u8) -> [u8; 8] {
        if let Some(name) = self.name(owner) {
            return of_client(prefix, self.address, name, tries);
        }
        let [a, b, c, d, e, f] = self.address;
        let modified = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        if tries == 0 {
            return modified;
        }
        let mixed =
            (u64::from_be_bytes(modified) ^ self.secret).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(u32::from(tries));
        local(mixed.to_be_bytes())
    }
}

/// RFC 7217, 5: SHA-256 over the prefix's first 8 bytes, the device's address, the tries and the name.
fn of_client(prefix: Ipv6Address, address: [u8; 6], name: &str, tries: u8) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(prefix.octets().first_chunk::<8>().unwrap_or(&[0; 8]));
    hash.update(address);
    hash.update([tries]);
    hash.update(name);
    let digest: [u8; 32] = hash.finalize().into();
    local(digest.first_chunk().copied().unwrap_or([0; 8]))
}

/// RFC 4291, 2.5.1: bit 57 is clear in an identifier that is no station's. RFC 5453: those with all higher bits set are reserved.
fn local(identifier: [u8; 8]) -> [u8; 8] {
    (u64::from_be_bytes(identifier) & !(2 << 56)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_identifier_differs_by_name_prefix_device_and_try_and_is_the_same_again() {
        let (prefix, other) = (Ipv6Address::new(0xfd00, 1, 0, 0, 0, 0, 0, 0), Ipv6Address::new(0xfd00, 2, 0, 0, 0, 0, 0, 0));
        let all = [
            of_client(prefix, [1; 6], "peer", 0),
            of_client(prefix, [1; 6], "pear", 0),
            of_client(prefix, [1; 6], "peer", 1),
            of_client(prefix, [2; 6], "peer", 0),
            of_client(other, [1; 6], "peer", 0),
        ];
        assert!(all.iter().enumerate().all(|(n, one)| !all[..n].contains(one) && one[0] & 2 == 0));
        assert_eq!(of_client(prefix, [1; 6], "peer", 0), all[0]);
    }
}
