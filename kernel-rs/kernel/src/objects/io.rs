// SPDX-License-Identifier: PMPL-1.0-or-later
//! Capabilities that name no object: port ranges (first and last port stand in the badge) and power.

use super::Slot;
use crate::Kernel;
use crate::invoke::{Call, Done, Failure, Flow, at};
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::{Power, Width};

/// The badge of a port range.
pub fn port_badge(first: u16, last: u16) -> u64 {
    first as u64 | (last as u64) << 16
}

fn ports(slot: &Slot) -> (u64, u64) {
    (slot.badge & 0xffff, slot.badge >> 16 & 0xffff)
}

fn width_argument(value: u64) -> Result<(Width, u64), Failure> {
    Ok(match value {
        1 => (Width::Byte, 1),
        2 => (Width::Word, 2),
        4 => (Width::Long, 4),
        _ => return Err(at(Error::BadArgument, 1)),
    })
}

impl Kernel {
    /// `Op::PortNarrow`.
    pub(crate) fn port_narrow(&mut self, call: &Call) -> Done {
        let slot = self.capability(call.table, call.handle, Kind::PortRange, Rights::COPY)?;
        let (first, last) = ports(&slot);
        let [new_first, new_last, ..] = call.arguments;
        if new_first > new_last || new_first < first {
            return Err(at(Error::OutOfRange, 0));
        }
        if new_last > last {
            return Err(at(Error::OutOfRange, 1));
        }
        self.table_has_room(call.table, 1)?;
        let badge = port_badge(new_first as u16, new_last as u16);
        let handle = self.derive((call.table, call.handle.index()), call.table, None, slot.rights(), badge)?;
        Ok(Flow::value(handle.0 as u64))
    }

    /// The port and width of an access that lies within the range.
    fn port_access(&self, call: &Call, right: Rights) -> Result<(u16, Width), Failure> {
        let slot = self.capability(call.table, call.handle, Kind::PortRange, right)?;
        let (first, last) = ports(&slot);
        let (width, bytes) = width_argument(call.arguments[1])?;
        let port = call.arguments[0];
        if port < first || port.checked_add(bytes - 1).is_none_or(|end| end > last) {
            return Err(at(Error::OutOfRange, 0));
        }
        Ok((port as u16, width))
    }

    /// `Op::PortIn`.
    pub(crate) fn port_in(&mut self, call: &Call) -> Done {
        let (port, width) = self.port_access(call, Rights::READ)?;
        Ok(Flow::value(machine::port_in(port, width) as u64))
    }

    /// `Op::PortOut`.
    pub(crate) fn port_out(&mut self, call: &Call) -> Done {
        let (port, width) = self.port_access(call, Rights::WRITE)?;
        machine::port_out(port, width, call.arguments[2] as u32);
        Ok(Flow::NOTHING)
    }

    /// `Op::PowerControl`.
    pub(crate) fn power_control(&mut self, call: &Call) -> Done {
        self.capability(call.table, call.handle, Kind::Power, Rights::WRITE)?;
        machine::power(match call.arguments[0] {
            0 => Power::Reset,
            1 => Power::Off,
            _ => return Err(at(Error::BadArgument, 0)),
        });
        Err(Error::Unsupported.into())
    }

    /// `Op::DebugFail`.
    #[cfg(feature = "debug")]
    pub(crate) fn debug_fail(&mut self, call: &Call) -> Done {
        use machine::Failing::*;
        self.capability(call.table, call.handle, Kind::Power, Rights::WRITE)?;
        let how = [StackOverflow, PageFault, DoubleFault, Undefined, Panic];
        let how = usize::try_from(call.arguments[0]).ok().and_then(|n| how.get(n)).ok_or(at(Error::BadArgument, 0))?;
        machine::fail(*how)
    }
}
