// SPDX-License-Identifier: PMPL-1.0-or-later
//! The manifest: who runs, with what. Made by `tools/bundle` from `bundle.json`, read by root and process.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Changes with any field below; a reader refuses another.
pub const FORMAT: u32 = 3;
/// More components than this are refused: client numbers and tables stay small.
pub const MAX_COMPONENTS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Profile {
    Dev,
    Prod,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub profile: Profile,
    pub version: String,
    /// Whether anything native may write to COM1.
    pub serial_console: bool,
    pub process: Component,
    /// In the order they are started.
    pub components: Vec<Component>,
}

/// A piece of the bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Span {
    pub offset: u64,
    pub length_bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Program {
    /// An ELF file in the bundle.
    Bundle(Span),
    /// A path below the verity root.
    Root(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Runs until it dies; any end is a death.
    Service,
    /// Runs once; ending with 0 is success.
    Oneshot,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Component {
    pub name: String,
    pub program: Program,
    pub kind: Kind,
    pub memory_bytes: u64,
    pub stack_bytes: u64,
    pub heap_bytes: u64,
    pub table_slots: u32,
    pub priority: u8,
    /// 0: no limit.
    pub budget_us: u32,
    pub period_us: u32,
    pub arguments: Vec<String>,
    pub devices: Vec<PciMatch>,
    pub io_ports: Vec<PortSpan>,
    /// Global system interrupts.
    pub interrupts: Vec<u32>,
    pub dma_bytes: u64,
    pub serves: Vec<String>,
    pub calls: Vec<Call>,
    /// What others may begin at its address; all else is dropped.
    pub inbound: Vec<Inbound>,
    pub restart: Restart,
    pub ready_within_ms: u32,
    /// It hangs when it ran for so long without coming back to its loop; 0: nobody looks.
    pub heartbeat_ms: u32,
    /// 0 silent to 4 debug.
    pub log_level: u8,
    /// Names of its functions, in dev: see `symbols`.
    pub symbols: Option<Span>,
}

/// One PCI function: the first one present whose vendor and one of whose device ids match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PciMatch {
    pub vendor: u16,
    pub devices: Vec<u16>,
}

/// Inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortSpan {
    pub first: u16,
    pub last: u16,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Call {
    pub interface: String,
    /// Shared between this client and the server, 0 for none.
    pub buffer_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// From where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// Components of this machine.
    Components,
    /// Those, and neighbours on the link.
    Link,
    Anywhere,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inbound {
    pub protocol: Protocol,
    /// Ports, inclusive.
    pub first: u16,
    pub last: u16,
    pub from: Origin,
}

impl Inbound {
    pub fn admits(&self, protocol: Protocol, port: u16, from: Origin) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port) && from <= self.from
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Then {
    /// Report it and go on without.
    Degrade,
    /// Reset the machine.
    Reboot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Restart {
    pub delay_ms: u32,
    pub max_delay_ms: u32,
    /// Deaths within `window_ms` that are borne; the next one is the last.
    pub limit: u32,
    pub window_ms: u32,
    pub then: Then,
}

impl Manifest {
    /// The component that serves an interface, and the interface's number among those it serves.
    pub fn server_of(&self, interface: &str) -> Option<(usize, u32)> {
        self.components.iter().enumerate().find_map(|(n, component)| {
            let place = component.serves.iter().position(|s| s == interface)?;
            Some((n, u32::try_from(place).ok()?))
        })
    }
    /// Client number of a component as badges have it: 0 is the process server.
    pub fn client_number(component: usize) -> u32 {
        u32::try_from(component).unwrap_or(u32::MAX - 1) + 1
    }
    pub fn client_name(&self, number: u32) -> Option<&str> {
        match number {
            0 => Some(&self.process.name),
            n => Some(&self.components.get(usize::try_from(n).ok()? - 1)?.name),
        }
    }
}

/// Of `dma_bytes`, what the driver shares with its client; the rest holds its queues and stays its own.
pub fn dma_shared_bytes(dma_bytes: u64) -> u64 {
    dma_bytes.saturating_sub(DMA_PRIVATE_BYTES)
}
/// Enough for a few virtqueues of 256 entries (virtio 1.2, 2.7: under 13 KiB each) and request headers.
pub const DMA_PRIVATE_BYTES: u64 = 64 * 1024;
