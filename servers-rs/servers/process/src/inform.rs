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
        let pool = self.board.pools.get(number as usize).ok_or(Error::Unknown)?;
        let history = record.history;
        Ok(Status {
            name: Text::clipped(&said.name),
            condition: condition(record.state),
            deaths: history.deaths,
            cause: history.cause,
            code: history.code,
            used_frames: record.child.map_or(*pool, |child| child.pool).usage().map_or(0, |(_, used)| used),
        })
    }
    fn end(&mut self, _: Badge, name: Text) -> Result<(), Error> {
        if name.as_str() == self.board.manifest.process.name {
            // Root starts another one; the caller hears that this one is gone.
            sys::thread_exit(ENDED);
        }
        let n = self.running(&name)?;
        self.dead(n, Death::Ended);
        Ok(())
    }
    fn stop(&mut self, _: Badge, name: Text) -> Result<(), Error> {
        let n = self.running(&name)?;
        self.destroy(n);
        self.set(n, State::Stopped);
        Ok(())
    }
    fn start(&mut self, _: Badge, name: Text) -> Result<(), Error> {
        let n = self.named(&name)?;
        if self.records.get(n).is_none_or(|r| !matches!(r.state, State::Stopped | State::Done)) {
            return Err(Error::NotStopped);
        }
        self.set(n, State::Waiting);
        Ok(())
    }
    fn last_words(&mut self, _: Badge, number: u32) -> Result<Text, Error> {
        let n = number as usize;
        if n >= self.records.len() {
            return Err(Error::Unknown);
        }
        Ok(self.vault.words(n))
    }
}

impl Supervisor {
    fn named(&self, name: &Text) -> Result<usize, Error> {
        self.board.manifest.components.iter().position(|c| c.name == name.as_str()).ok_or(Error::Unknown)
    }
    fn running(&self, name: &Text) -> Result<usize, Error> {
        let n = self.named(name)?;
        let runs = self.records.get(n).is_some_and(|r| matches!(r.state, State::Up | State::Starting { .. }));
        if runs { Ok(n) } else { Err(Error::NotRunning) }
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
        State::Stopped => Condition::Stopped,
    }
}
