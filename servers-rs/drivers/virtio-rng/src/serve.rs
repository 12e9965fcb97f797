// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `entropy` over the device; waits for the interrupt.

use crate::device::{Source, Wait};
use api_entropy::{Bits, Error, Serve};
use dma::Area;
use ipc::Badge;
use mmio::Registers;
use sys::{Interrupt, Notification, Pool};

/// One wait; the device tells by interrupt, this is for one that was lost.
const WAIT_NS: u64 = 100_000_000;

/// Waits by interrupt if there is one, else looks again and again.
#[derive(Debug)]
pub struct Interrupted(Option<(Interrupt, Notification)>);

impl Interrupted {
    pub fn claim(interrupt: Option<Interrupt>) -> Interrupted {
        let bound = interrupt.and_then(|interrupt| {
            let notification = Pool(sys::start::POOL).create_notification().ok()?;
            interrupt.bind(notification, 1).ok()?;
            Some((interrupt, notification))
        });
        Interrupted(bound)
    }
}

impl Wait for Interrupted {
    fn wait(&mut self) {
        match self.0 {
            Some((interrupt, notification)) => {
                // A time-out is no error here: the caller looks at the queue either way.
                let _ = notification.wait(WAIT_NS);
                let _ = interrupt.acknowledge();
            }
            None => sys::yield_now(),
        }
    }
    fn vector(&self) -> Option<u16> {
        self.0.map(|_| 0)
    }
}

impl<R: Registers, A: Area, W: Wait> Serve for Source<R, A, W> {
    fn bits(&mut self, _: Badge) -> Result<Bits, Error> {
        Source::bits(self).map(Bits).map_err(|fault| {
            rt::error!("no bits: {fault:?}");
            Error::DeviceFailed
        })
    }
}
