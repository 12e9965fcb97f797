// SPDX-License-Identifier: PMPL-1.0-or-later
//! The startup block: everything a component is told when it starts. Knowledge beside its capabilities, not instead.

use crate::component::Inbound;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

pub const MAGIC: u64 = u64::from_le_bytes(*b"FRstart1");
/// Magic, length, and the heap's length, before the encoded block: decoding needs the heap already.
pub const HEADER_BYTES: usize = 24;
/// A block is smaller; a longer one is damaged.
pub const MAX_BYTES: usize = 1 << 20;

/// What root keeps for the process server, so that it outlives one: names in `Startup::held`.
pub mod kept {
    /// The component's pool; the process server splits the running one from it.
    pub const POOL: &str = "kept-pool";
    /// The endpoint of what the component serves.
    pub const ENDPOINT: &str = "kept-endpoint";
    /// Followed by the interface: the memory between this client and its server.
    pub const BUFFER: &str = "kept-buffer:";
    /// Number of the process server itself, beside those of components.
    pub const OF_PROCESS: u32 = u32::MAX;
    /// Of the process server: its endpoint, its ring of lines with its bell, and its memory of who runs.
    pub const OWN: &str = "kept-own";
    pub const RING: &str = "kept-ring";
    pub const BELL: &str = "kept-bell";
    pub const VAULT: &str = "kept-vault";
    /// Bytes of the vault for each component.
    pub const VAULT_EACH_BYTES: u64 = 512;
    /// Memory of the process server and the components: a page for each, in their order, mapped at `layout::VITALS`.
    pub const VITALS: &str = "kept-vitals";
    /// What runs in the component's pool.
    pub const RUNNING: &str = "kept-running";
    /// All of these begin so.
    pub const PREFIX: &str = "kept-";
    /// Label of the process server's call to root: word 0 is a component, whose pool is destroyed and made anew; the
    /// reply carries the new one.
    pub const RENEW: u32 = 1;
    /// Label of the other one: word 0 is a component, word 1 the length of its stack in bytes, word 2 the address of its code;
    /// the capabilities are to its pool, thread, stack, and perhaps its code. The next process server finds them as [`RUNNING`].
    pub const KEEP: u32 = 2;
    /// `api_slot::label::give_up`; root links no interface.
    pub const GIVE_UP_SLOT: u32 = 3;
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Startup {
    pub name: String,
    pub arguments: Vec<String>,
    pub heap_bytes: u64,
    /// Lines above this level are not sent.
    pub log_level: u8,
    /// There is a page at `layout::VITALS`.
    pub is_watched: bool,
    pub facts: Facts,
    pub grants: Vec<Grant>,
    /// For the process server only: what root prepared for the components. The first number is the component's
    /// place in the manifest; handles are of the process server's table.
    pub held: Vec<(u32, Grant)>,
}

/// Where this system came from: `abi::boot_info::Origin` without its secret seed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    pub version: String,
    /// `abi::boot_info::slot`.
    pub slot: u32,
    /// `abi::boot_info::flag`.
    pub flags: u32,
    pub partition_guid: [u8; 16],
    pub verity_root: [u8; 32],
    pub verity_salt: Vec<u8>,
    /// 4096-byte blocks, 0 = there is no verity root.
    pub verity_data_blocks: u64,
    /// Time since the loader = kernel clock + this.
    pub clock_offset_ns: u64,
    pub wall_clock_s: u64,
    /// CPUs that run.
    pub cpus: u32,
}

impl Facts {
    /// `A`, `B`, or `none`.
    pub fn slot_name(&self) -> &'static str {
        match self.slot {
            abi::boot_info::slot::A => "A",
            abi::boot_info::slot::B => "B",
            _ => "none",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Unique among the grants of one component: an interface's name for `Call`, else as `root` and `process` name it.
    pub name: String,
    pub what: What,
}

/// Handles are raw `abi::handle::Handle` numbers in the table of the holder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum What {
    /// Receive here. Badges are `layout::badge(interface, client)`.
    Serve {
        endpoint: u32,
        interfaces: Vec<String>,
        clients: Vec<Client>,
    },
    /// Call here.
    Call {
        endpoint: u32,
        buffer: Option<Buffer>,
    },
    /// A PCI function: what its configuration space said at start, its registers, its interrupt.
    Device {
        configuration: Vec<u8>,
        bars: Vec<Bar>,
        interrupt: Option<u32>,
    },
    Ports {
        ports: u32,
        first: u16,
        last: u16,
    },
    /// A wired interrupt.
    Interrupt {
        interrupt: u32,
        gsi: u32,
    },
    Memory {
        memory: u32,
        length_bytes: u64,
    },
    Pool {
        pool: u32,
    },
    Notification {
        notification: u32,
    },
    Power {
        power: u32,
    },
    /// A program that runs: the pool that pays for it, its first thread, that one's stack with the heap behind it; where
    /// faults are injected into it, its instructions and their address.
    Running {
        pool: u32,
        thread: u32,
        stack: u32,
        stack_bytes: u64,
        code: Option<(u32, u64)>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Client {
    pub badge: u64,
    pub name: String,
    pub buffer: Option<Buffer>,
    /// For the network server: what others may begin at this client's address.
    pub inbound: Vec<Inbound>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Buffer {
    pub memory: u32,
    pub length_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bar {
    pub index: u8,
    pub memory: u32,
    pub length_bytes: u64,
}

impl Startup {
    /// The block with its header, as it is mapped.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = alloc::vec![0; HEADER_BYTES];
        bytes.extend(postcard::to_allocvec(self)?);
        let length = bytes.len() as u64;
        bytes.splice(..8, MAGIC.to_le_bytes());
        bytes.splice(8..16, length.to_le_bytes());
        bytes.splice(16..24, self.heap_bytes.to_le_bytes());
        Ok(bytes)
    }
    /// `None`: the bytes are no startup block.
    pub fn decode(bytes: &[u8]) -> Option<Startup> {
        let length = block_length(bytes)?;
        postcard::from_bytes(bytes.get(HEADER_BYTES..length)?).ok()
    }
    /// What root keeps: see [`kept`].
    pub fn kept(&self, number: u32, name: &str) -> Option<&What> {
        self.held.iter().find(|(of, grant)| *of == number && grant.name == name).map(|(_, grant)| &grant.what)
    }
    pub fn find(&self, name: &str) -> Option<&What> {
        self.grants.iter().find(|g| g.name == name).map(|g| &g.what)
    }
}

/// The length that a block's header tells, if it is one.
pub fn block_length(header: &[u8]) -> Option<usize> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (length, _) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    (u64::from_le_bytes(*magic) == MAGIC && (HEADER_BYTES..=MAX_BYTES).contains(&length)).then_some(length)
}

/// The heap's length that a block's header tells.
pub fn heap_bytes(header: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*header.get(16..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn example() -> Startup {
        let buffer = Some(Buffer { memory: 20, length_bytes: 131072 });
        let client = Client { badge: crate::layout::badge(1, 3), name: "update".into(), buffer, inbound: vec![] };
        Startup {
            name: "storage".into(),
            arguments: vec!["--slot".into()],
            heap_bytes: 65536,
            log_level: 3,
            is_watched: true,
            facts: Facts { version: "0.1.0".into(), slot: 1, verity_salt: vec![7; 32], ..Facts::default() },
            grants: vec![
                Grant {
                    name: "serve".into(),
                    what: What::Serve { endpoint: 17, interfaces: vec!["file".into(), "slot".into()], clients: vec![client] },
                },
                Grant { name: "block".into(), what: What::Call { endpoint: 18, buffer: None } },
            ],
            held: vec![(2, Grant { name: "ports".into(), what: What::Ports { ports: 9, first: 0x3f8, last: 0x3ff } })],
        }
    }

    #[test]
    fn a_block_comes_back_as_it_was_also_from_a_longer_page() {
        let mut bytes = example().encode().unwrap();
        bytes.resize(4096, 0);
        let back = Startup::decode(&bytes).unwrap();
        assert_eq!(back, example());
        assert_eq!(heap_bytes(&bytes), Some(65536));
        assert!(matches!(back.find("block"), Some(What::Call { endpoint: 18, .. })));
        assert_eq!(crate::layout::unbadge(crate::layout::badge(1, 3)), (1, 3));
    }

    #[test]
    fn damaged_and_cut_blocks_are_none_or_something_but_no_panic() {
        let good = example().encode().unwrap();
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = Startup::decode(&bad);
            }
            assert_eq!(Startup::decode(&good[..at]), None);
        }
    }
}
