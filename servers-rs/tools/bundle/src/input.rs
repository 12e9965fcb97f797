// SPDX-License-Identifier: PMPL-1.0-or-later
//! `bundle.json`, as `docs/architecture/contracts.adoc` has it. Unknown fields are refused.

use manifest::Profile;
use manifest::component::{Kind, Origin, Protocol, Then};
use serde::{Deserialize, Deserializer};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    #[serde(deserialize_with = "profile")]
    pub profile: Profile,
    pub version: String,
    pub kernel: Kernel,
    pub kernel_elf: String,
    pub root_elf: String,
    pub components: Vec<Component>,
    pub order: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    pub max_cpus: u32,
    pub timer_slice_us: u32,
    pub log_level: LogLevel,
    /// Bytes.
    pub reserve: u64,
    pub root_table_slots: u32,
    pub serial_console: bool,
    pub root_priority: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    pub name: String,
    pub program: String,
    /// Not needed for a program of the verity root.
    pub elf: Option<String>,
    pub from: String,
    #[serde(default = "service", deserialize_with = "kind")]
    pub kind: Kind,
    pub memory: u64,
    pub stack: u64,
    /// A quarter of the memory, if it is not said.
    pub heap: Option<u64>,
    pub table_slots: u32,
    pub priority: u8,
    pub budget_us: u32,
    pub period_us: u32,
    pub arguments: Vec<String>,
    pub devices: Vec<Device>,
    pub io_ports: Vec<Ports>,
    pub interrupts: Vec<Line>,
    pub dma: u64,
    pub serves: Vec<String>,
    pub calls: Vec<Call>,
    #[serde(default)]
    pub inbound: Vec<Inbound>,
    pub restart: Restart,
    pub health: Health,
    pub log_level: LogLevel,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    pub pci: Pci,
    pub because: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pci {
    pub vendor: u16,
    pub device: u16,
    #[serde(default)]
    pub alternatives: Vec<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    pub first: u16,
    pub last: u16,
    pub because: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub gsi: u32,
    pub because: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub interface: String,
    pub because: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    #[serde(deserialize_with = "protocol")]
    pub protocol: Protocol,
    pub first: u16,
    pub last: u16,
    #[serde(deserialize_with = "origin")]
    pub from: Origin,
    pub because: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    pub delay_ms: u32,
    pub max_delay_ms: u32,
    pub limit: u32,
    pub window_ms: u32,
    #[serde(deserialize_with = "then")]
    pub then: Then,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    pub ready_within_ms: u32,
    /// 0: nobody looks.
    #[serde(default)]
    pub heartbeat_ms: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Silent,
    Error,
    Warning,
    Info,
    Debug,
}

impl LogLevel {
    /// As `abi::bundle::KernelConfig::log_level` counts.
    pub fn number(self) -> u8 {
        match self {
            LogLevel::Silent => 0,
            LogLevel::Error => 1,
            LogLevel::Warning => 2,
            LogLevel::Info => 3,
            LogLevel::Debug => 4,
        }
    }
}

/// Reads a word of a fixed list; the message names the list.
fn word<'de, D: Deserializer<'de>, T: Copy>(d: D, words: &[(&str, T)]) -> Result<T, D::Error> {
    let found = String::deserialize(d)?;
    words.iter().find(|w| w.0 == found).map(|w| w.1).ok_or_else(|| {
        let allowed: Vec<&str> = words.iter().map(|w| w.0).collect();
        serde::de::Error::custom(format!("found \"{found}\", allowed are: {}", allowed.join(", ")))
    })
}
fn profile<'de, D: Deserializer<'de>>(d: D) -> Result<Profile, D::Error> {
    word(d, &[("dev", Profile::Dev), ("prod", Profile::Prod)])
}
fn kind<'de, D: Deserializer<'de>>(d: D) -> Result<Kind, D::Error> {
    word(d, &[("service", Kind::Service), ("oneshot", Kind::Oneshot)])
}
fn then<'de, D: Deserializer<'de>>(d: D) -> Result<Then, D::Error> {
    word(d, &[("degrade", Then::Degrade), ("reboot", Then::Reboot)])
}
fn protocol<'de, D: Deserializer<'de>>(d: D) -> Result<Protocol, D::Error> {
    word(d, &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)])
}
fn origin<'de, D: Deserializer<'de>>(d: D) -> Result<Origin, D::Error> {
    word(d, &[("components", Origin::Components), ("link", Origin::Link), ("anywhere", Origin::Anywhere)])
}
fn service() -> Kind {
    Kind::Service
}
