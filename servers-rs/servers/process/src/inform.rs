// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `supervisor`: says who runs, and ends a component on request.

use crate::report::Death;
use crate::state::State;
use crate::supervise::Supervisor;
use api_supervisor::{Condition, Error, Serve, Status};
use ipc::{Badge, Text};

/// Exit code of a process server that was asked to end.
const ENDED: u64 = 104;

impl Serve for Supervisor {
    fn count(&mut self, _: Badge) -> Result<u32, Error> {
        Ok(self.records.len() as u32)
    }
    fn status(&mut self, _: Badge, number: u32) -> Result<Status, Error> {
        let record = self.records.get(number as usize).ok_or(Error::Unknown)?;
        let said = self.board.manifest.components.get(number as usize).ok_or(Error::Unknown)?;
        Ok(Status { name: Text::clipped(&said.name), condition: condition(record.state), deaths: record.deaths })
    }
    fn end(&mut self, _: Badge, name: Text) -> Result<(), Error> {
        if name.as_str() == self.board.manifest.process.name {
            // Root starts another one; the caller hears that this one is gone.
            sys::thread_exit(ENDED);
        }
        let n = self.board.manifest.components.iter().position(|c| c.name == name.as_str()).ok_or(Error::Unknown)?;
        if self.records.get(n).is_none_or(|r| !matches!(r.state, State::Up | State::Starting { .. })) {
            return Err(Error::NotRunning);
        }
        self.dead(n, Death::Ended);
        Ok(())
    }
}

fn condition(state: State) -> Condition {
    match state {
        State::Waiting => Condition::Waiting,
        State::Fetching { .. } | State::Starting { .. } | State::Delayed { .. } => Condition::Starting,
        State::Up => Condition::Up,
        State::Done => Condition::Done,
        State::GivenUp => Condition::GivenUp,
        State::Absent => Condition::Absent,
    }
}
