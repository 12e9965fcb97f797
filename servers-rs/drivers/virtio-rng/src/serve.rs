// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `entropy` over the device.

use crate::device::Source;
use api_entropy::{Bits, Error, Serve};
use dma::Area;
use ipc::Badge;
use mmio::Registers;
use virtio::Wait;

/// One wait; the device tells by interrupt, this is for one that was lost.
pub const WAIT_NS: u64 = 100_000_000;

impl<R: Registers, A: Area, W: Wait> Serve for Source<R, A, W> {
    fn bits(&mut self, _: Badge) -> Result<Bits, Error> {
        Source::bits(self).map(Bits).map_err(|fault| {
            rt::error!("no bits: {fault:?}");
            Error::DeviceFailed
        })
    }
}
