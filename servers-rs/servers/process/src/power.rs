// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `power`: the end of everything, in order. Those that call others end before those that they call; the log's server
//! stays to the last, so that what was said is read.

use crate::supervise::{Supervisor, power};
use crate::voice;
use api_power::{Error, Serve};
use ipc::Badge;
use sys::Power;

impl Supervisor {
    /// Ends all components but the log's server. Whoever asked for it is among them.
    fn end_all(&mut self, what: &str) {
        voice::line(&["flatracoon: ", what]);
        for n in (0..self.records.len()).rev() {
            if !self.board.manifest.components[n].serves.iter().any(|s| s == api_log::NAME) {
                self.destroy(n);
            }
        }
        // The log's server has a line to write before the machine goes.
        let until = rt::clock::now_ns().saturating_add(FAREWELL_NS);
        while rt::clock::now_ns() < until {
            let _ = self.board.own.receive(FAREWELL_NS / 10);
        }
    }

    fn leave(&mut self, what: &str, how: fn(Power) -> sys::Error) -> Result<(), Error> {
        let power = power().ok_or(Error::Unsupported)?;
        self.end_all(what);
        let error = how(power);
        // Nothing runs any more: better the same system again than none.
        voice::line(&["process: the machine cannot do that: ", &alloc::format!("{error:?}")]);
        power.reset();
        Err(Error::Unsupported)
    }
}

/// For the last line.
const FAREWELL_NS: u64 = 50_000_000;

impl Serve for Supervisor {
    fn off(&mut self, _: Badge) -> Result<(), Error> {
        self.leave("powering off", Power::off)
    }
    fn restart(&mut self, _: Badge) -> Result<(), Error> {
        self.leave("restarting", Power::reset)
    }
}
