// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `time` over the clock: read once, and counted on by the kernel's clock, which is finer.

use crate::device::{self, Registers};
use api_time::{Error, Serve};
use ipc::Badge;
use sys::PortRange;

const NS_PER_S: u64 = 1_000_000_000;

/// Granted ports: the register's number goes into the first, its value is in the second.
#[derive(Debug)]
pub struct Port {
    pub ports: PortRange,
    pub first: u16,
}

impl Registers for Port {
    fn read(&mut self, register: u8) -> u8 {
        // Without the grant it reads as a clock without power.
        let _ = self.ports.write8(self.first, register);
        self.ports.read8(self.first + 1).unwrap_or(0)
    }
}

pub struct Clock<R> {
    registers: R,
    of_boot: Option<u64>,
}

impl<R: Registers> Clock<R> {
    pub fn new(registers: R) -> Self {
        Clock { registers, of_boot: None }
    }
    pub fn announce(&mut self) {
        match self.boot() {
            Some(of_boot) => rt::info!("the system started {of_boot} s after 1970"),
            None => rt::warning!("the clock is not set"),
        }
    }
    fn boot(&mut self) -> Option<u64> {
        if self.of_boot.is_none() {
            let now = device::now(&mut self.registers)?;
            self.of_boot = now.checked_sub(rt::clock::now_ns() / NS_PER_S);
        }
        self.of_boot
    }
}

impl<R: Registers> Serve for Clock<R> {
    fn of_boot(&mut self, _: Badge) -> Result<u64, Error> {
        self.boot().ok_or(Error::Unset)
    }
    fn now(&mut self, client: Badge) -> Result<u64, Error> {
        Ok(self.of_boot(client)?.saturating_add(rt::clock::now_ns() / NS_PER_S))
    }
}
