// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the manifest grants of a device, made usable: its registers as a transport, its interrupt as something to wait for.

use crate::wait::Wait;
use crate::{Transport, pci};
use manifest::startup::Bar;
use mmio::Mapped;
use sys::{Capability, Interrupt, Notification, Pool};

/// What is mapped of a function's six BARs.
pub type Bars = [Option<Mapped>; 6];

/// Maps the registers that were granted.
pub fn registers(bars: &[Bar]) -> Bars {
    let mut registers = [const { None }; 6];
    for bar in bars {
        if let Some(place) = registers.get_mut(usize::from(bar.index)) {
            *place = Mapped::new(sys::Memory::of(sys::Handle(bar.memory)), bar.length_bytes).ok();
        }
    }
    registers
}

/// The transport in those registers. Panics if the grant is of no virtio 1.x device: the manifest is wrong.
pub fn transport<'a>(configuration: &[u8], registers: &'a Bars) -> Transport<&'a Mapped> {
    let places = pci::find(configuration).expect("the granted device is a virtio 1.x device");
    Transport::new(&places, |n| registers.get(usize::from(n))?.as_ref()).expect("its registers are granted")
}

/// Waits by interrupt if there is one, else gives up its slice for a hundredth of the time.
#[derive(Debug)]
pub struct Interrupted {
    bound: Option<(Interrupt, Notification)>,
    /// One wait; the device tells by interrupt, this is for one that was lost.
    wait_ns: u64,
}

impl Interrupted {
    pub fn claim(interrupt: Option<Interrupt>, wait_ns: u64) -> Interrupted {
        let bound = interrupt.and_then(|interrupt| {
            let notification = Pool(sys::start::POOL).create_notification().ok()?;
            interrupt.bind(notification, 1).ok()?;
            Some((interrupt, notification))
        });
        Interrupted { bound, wait_ns }
    }
}

impl Wait for Interrupted {
    fn wait(&mut self) {
        match self.bound {
            Some((interrupt, notification)) => {
                // A time-out is no error here: the caller looks at the queue either way.
                let _ = notification.wait(self.wait_ns);
                let _ = interrupt.acknowledge();
            }
            None => {
                let until = rt::clock::now_ns().saturating_add(self.wait_ns / 100);
                while rt::clock::now_ns() < until {
                    sys::yield_now();
                }
            }
        }
    }
    fn vector(&self) -> Option<u16> {
        self.bound.map(|_| 0)
    }
}
