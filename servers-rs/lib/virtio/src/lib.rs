// SPDX-License-Identifier: PMPL-1.0-or-later
//! Virtio 1.2 for drivers: the PCI transport and split virtqueues.
//!
//! Everything is generic over registers and memory. [`fake`] is a device for tests: it speaks the same registers and
//! reads the same queues, so a driver's hardware file runs on the host. The device is not trusted: what it writes is
//! checked, and a wrong answer is an error, never an access outside.
//!
//! Read `pci.rs` (where the registers are), `transport.rs` (what they mean), `queue.rs` (how one request at a time travels), `slots.rs`
//! (many independent buffers), `wait.rs`, and `claim.rs` (from what the manifest grants to all of that).
#![no_std]

extern crate alloc;

pub mod claim;
pub mod fake;
pub mod pci;
pub mod queue;
pub mod slots;
pub mod transport;
pub mod wait;

pub use queue::{Buffer, Queue};
pub use slots::Slots;
pub use transport::Transport;
pub use wait::Wait;

/// Why a device cannot be used, or no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Its configuration space does not describe a virtio 1.x device.
    NotVirtio,
    /// It does not offer a feature that we need.
    NoFeature,
    /// It refused the features that we chose.
    Refused,
    /// The queue does not exist or is smaller than needed.
    NoQueue,
    /// The memory granted does not hold the queue.
    NoMemory,
    /// It did not finish resetting, or does not answer.
    Silent,
    /// It wrote something into the queue that no device may.
    Broken,
}
