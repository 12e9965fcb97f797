// SPDX-License-Identifier: PMPL-1.0-or-later
//! How a driver with one request at a time waits for the device.

use crate::{Fault, Queue, Transport};
use dma::Area;
use mmio::Registers;

/// Waits, each as long as [`Wait`] makes it, before a request counts as lost.
pub const WAITS: usize = 20;

/// Lets time pass until the device may be done.
pub trait Wait {
    fn wait(&mut self);
    /// The vector that the queue raises, if interrupts are there.
    fn vector(&self) -> Option<u16>;
}

/// The bytes that the device wrote for the request it was given. Errors: `Silent` after [`WAITS`] waits, `Broken`.
pub fn answer<R: Registers>(
    queue: &mut Queue,
    area: &impl Area,
    transport: &Transport<R>,
    wait: &mut impl Wait,
) -> Result<u32, Fault> {
    for _ in 0..WAITS {
        if let Some(written) = queue.take(area)? {
            return Ok(written);
        }
        if transport.is_broken() {
            return Err(Fault::Broken);
        }
        wait.wait();
    }
    // It may have answered while we waited for the last time.
    queue.take(area)?.ok_or(Fault::Silent)
}
