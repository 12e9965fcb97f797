// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a component is doing, and what follows from all of them together.
//!
//! ```text
//! Waiting -1-> Fetching -2-> Starting -3-> Up -4-> Delayed -5-> Fetching or Starting
//!    \-6-> Absent      \-4-> Delayed      \-7-> Done      \-8-> GivenUp
//! ```
//! 1 its turn came and its program is in the verity root (else straight to Starting), 2 the program was read, 3 a service
//! said that it is ready, 4 it died, 5 the delay passed, 6 its device is not in this machine, or there is no verity root to read it from, 7 a oneshot ended with 0,
//! 8 it died too often. Who may ask for it stops what runs (Stopped), and starts what stopped or is done (Waiting).

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Waiting,
    Fetching { until_ns: u64 },
    Starting { until_ns: u64 },
    Up,
    Delayed { at_ns: u64 },
    Done,
    GivenUp,
    Absent,
    Stopped,
}

impl State {
    /// The start order goes on past it.
    pub fn is_settled(self) -> bool {
        matches!(self, State::Up | State::Done | State::GivenUp | State::Absent | State::Stopped)
    }
    /// When something must happen by itself.
    pub fn deadline_ns(self) -> Option<u64> {
        match self {
            State::Fetching { until_ns } | State::Starting { until_ns } => Some(until_ns),
            State::Delayed { at_ns } => Some(at_ns),
            _ => None,
        }
    }
}

/// The component whose turn it is, if all before it are settled.
pub fn next_to_start(states: impl Iterator<Item = State>) -> Option<usize> {
    for (n, state) in states.enumerate() {
        if state == State::Waiting {
            return Some(n);
        }
        if !state.is_settled() {
            return None;
        }
    }
    None
}

/// How the start of all of them ended: `None` while it goes on, else whether nobody was given up.
pub fn outcome(mut states: impl Iterator<Item = State> + Clone) -> Option<bool> {
    if states.clone().all(State::is_settled) { Some(states.all(|s| s != State::GivenUp)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::*;

    #[test]
    fn a_component_starts_when_all_before_it_are_settled() {
        assert_eq!(next_to_start([Up, Done, Absent, GivenUp, Waiting, Waiting].into_iter()), Some(4));
        assert_eq!(next_to_start([Up, Starting { until_ns: 1 }, Waiting].into_iter()), None);
        assert_eq!(next_to_start([Up, Delayed { at_ns: 1 }, Waiting].into_iter()), None);
        assert_eq!(next_to_start([Up, Up].into_iter()), None);
    }

    #[test]
    fn the_start_ends_when_all_are_settled_and_well_if_nobody_was_given_up() {
        assert_eq!(outcome([Up, Waiting].into_iter()), None);
        assert_eq!(outcome([Up, Done, Absent].into_iter()), Some(true));
        assert_eq!(outcome([Up, GivenUp].into_iter()), Some(false));
    }
}
