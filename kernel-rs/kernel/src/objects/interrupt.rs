// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interrupts: a device's vector, and the notification that gets bits when it fires.

use super::{Notification, Pool};
use crate::Kernel;
use crate::invoke::{Call, Done, Flow, at};
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::Ref;
use machine::{FIRST_VECTOR, Trigger, VECTORS};

pub struct Interrupt {
    pub pool: Ref<Pool>,
    pub vector: u8,
    /// The I/O APIC input, if it is not message-signalled.
    pub gsi: Option<u32>,
    notification: Option<Ref<Notification>>,
    bits: u64,
}

const LEVEL: u64 = 1;
const ACTIVE_LOW: u64 = 2;

impl Kernel {
    fn free_vector(&self) -> Option<u8> {
        (FIRST_VECTOR..=u8::MAX)
            .take(VECTORS)
            .find(|v| self.vectors[*v as usize].is_none_or(|i| self.interrupts.get(i).is_none()))
    }

    fn new_interrupt(&mut self, pool: Ref<Pool>, vector: u8, gsi: Option<u32>) -> Result<Ref<Interrupt>, Error> {
        let interrupt = self.create(pool, Interrupt { pool, vector, gsi, notification: None, bits: 0 })?;
        self.vectors[vector as usize] = Some(interrupt);
        Ok(interrupt)
    }

    /// `Op::InterruptGsi`.
    pub(crate) fn interrupt_gsi(&mut self, call: &Call) -> Done {
        self.capability(call.table, call.handle, Kind::InterruptControl, Rights::EDIT)?;
        let (pool, _) = self.object_argument::<Pool>(call, 2, Kind::Pool, Rights::EDIT)?;
        let [gsi, flags, ..] = call.arguments;
        let gsi = u32::try_from(gsi).map_err(|_| at(Error::BadArgument, 0))?;
        if flags & !(LEVEL | ACTIVE_LOW) != 0 {
            return Err(at(Error::BadArgument, 1));
        }
        let taken = self.vectors.iter().flatten().any(|i| self.interrupts.get(*i).is_some_and(|i| i.gsi == Some(gsi)));
        if taken {
            return Err(Error::BadState.into());
        }
        let vector = self.free_vector().ok_or(Error::Unsupported)?;
        self.table_has_room(call.table, 1)?;
        self.can_pay(pool, self.object_cost::<Interrupt>(pool)?)?;
        if !machine::route_gsi(gsi, vector, Trigger { level: flags & LEVEL != 0, active_low: flags & ACTIVE_LOW != 0 }) {
            return Err(at(Error::BadArgument, 0));
        }
        let interrupt = self.new_interrupt(pool, vector, Some(gsi))?;
        let handle = self.insert_new(call.table, Kind::Interrupt, interrupt.to_raw(), Rights::ALL, 0)?;
        Ok(Flow::value(handle.0 as u64))
    }

    /// `Op::InterruptMsi`.
    pub(crate) fn interrupt_msi(&mut self, call: &Call) -> Done {
        self.capability(call.table, call.handle, Kind::InterruptControl, Rights::EDIT)?;
        let (pool, _) = self.object_argument::<Pool>(call, 0, Kind::Pool, Rights::EDIT)?;
        let vector = self.free_vector().ok_or(Error::Unsupported)?;
        self.table_has_room(call.table, 1)?;
        let interrupt = self.new_interrupt(pool, vector, None)?;
        let handle = self.insert_new(call.table, Kind::Interrupt, interrupt.to_raw(), Rights::ALL, 0)?;
        let (address, data) = machine::msi(vector);
        Ok(Flow::Done([handle.0 as u64, address, data as u64, 0]))
    }

    /// `Op::InterruptBind`.
    pub(crate) fn interrupt_bind(&mut self, call: &Call) -> Done {
        let (interrupt, _) = self.object::<Interrupt>(call, Kind::Interrupt, Rights::EDIT)?;
        let (notification, _) = self.object_argument::<Notification>(call, 0, Kind::Notification, Rights::WRITE)?;
        let i = self.get_mut(interrupt)?;
        (i.notification, i.bits) = (Some(notification), call.arguments[1]);
        if let Some(gsi) = i.gsi {
            machine::mask_gsi(gsi, false);
        }
        Ok(Flow::NOTHING)
    }

    /// `Op::InterruptAcknowledge`.
    pub(crate) fn interrupt_acknowledge(&mut self, call: &Call) -> Done {
        let (interrupt, _) = self.object::<Interrupt>(call, Kind::Interrupt, Rights::WRITE)?;
        if let Some(gsi) = self.get(interrupt)?.gsi {
            machine::mask_gsi(gsi, false);
        }
        Ok(Flow::NOTHING)
    }

    /// A device raised a vector. Level-triggered inputs are masked already.
    pub(crate) fn device_interrupt(&mut self, cpu: usize, vector: u8) {
        let found =
            self.vectors[vector as usize].and_then(|i| self.interrupts.get(i)).and_then(|i| Some((i.notification?, i.bits)));
        if let Some((notification, bits)) = found {
            self.signal(cpu, notification, bits);
        }
    }

    /// Silences an interrupt that goes away.
    pub(crate) fn release_interrupt(&mut self, interrupt: Ref<Interrupt>) {
        if let Some(i) = self.interrupts.get(interrupt) {
            if let Some(gsi) = i.gsi {
                machine::mask_gsi(gsi, true);
            }
            self.vectors[i.vector as usize] = None;
        }
    }
}
