// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a process server leaves to its successor: what each component was doing. The memory is root's.
//!
//! The successor believes a word only if it is one of the known ones and fits what the kernel says of the
//! component's pool; everything else is started afresh. Layout: magic, whether the start was announced, then from
//! [`FIRST`] on a word per component.

use crate::state::State;
use core::sync::atomic::{AtomicU32, Ordering};
use rt::memory::Shared;

const MAGIC: u32 = u32::from_le_bytes(*b"FRv1");
const FIRST: usize = 64;
const ANNOUNCED: usize = 4;

pub struct Vault(Option<Shared>);

/// What the predecessor knew of a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nothing that can be believed.
    Nothing,
    Starting,
    Up,
    Done,
    GivenUp,
    Absent,
}

impl Vault {
    /// Without memory nothing is kept, and nothing believed.
    pub fn new(memory: Option<Shared>) -> Vault {
        Vault(memory)
    }
    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        self.0.as_ref()?.atomic(offset)
    }
    /// Whether there was a predecessor.
    pub fn is_inherited(&self) -> bool {
        self.word(0).is_some_and(|magic| magic.load(Ordering::Relaxed) == MAGIC)
    }
    pub fn begin(&self) {
        if let Some(magic) = self.word(0) {
            magic.store(MAGIC, Ordering::Relaxed);
        }
    }
    /// How the start ended, if it did.
    pub fn outcome(&self) -> Option<bool> {
        match self.word(ANNOUNCED).map_or(0, |w| w.load(Ordering::Relaxed)) {
            1 => Some(true),
            2 => Some(false),
            _ => None,
        }
    }
    pub fn keep_outcome(&self, well: bool) {
        if let Some(word) = self.word(ANNOUNCED) {
            word.store(if well { 1 } else { 2 }, Ordering::Relaxed);
        }
    }
    pub fn keep(&self, n: usize, state: State) {
        if let Some(word) = self.word(FIRST + 4 * n) {
            word.store(number(state), Ordering::Relaxed);
        }
    }
    pub fn known(&self, n: usize) -> Known {
        match self.word(FIRST + 4 * n).map_or(0, |w| w.load(Ordering::Relaxed)) {
            2 => Known::Starting,
            3 => Known::Up,
            4 => Known::Done,
            5 => Known::GivenUp,
            6 => Known::Absent,
            _ => Known::Nothing,
        }
    }
}

fn number(state: State) -> u32 {
    match state {
        State::Waiting | State::Fetching { .. } | State::Delayed { .. } => 1,
        State::Starting { .. } => 2,
        State::Up => 3,
        State::Done => 4,
        State::GivenUp => 5,
        State::Absent => 6,
    }
}

/// How a successor begins with a component. `runs`: the kernel says that something was made from its pool.
pub fn resume(known: Known, runs: bool, until_ns: u64) -> State {
    match (known, runs) {
        (Known::Up, true) => State::Up,
        // If nobody started it after all, it stays silent and is started again when its time is over.
        (Known::Starting, true) => State::Starting { until_ns },
        (Known::Done, _) => State::Done,
        (Known::GivenUp, _) => State::GivenUp,
        (Known::Absent, false) => State::Absent,
        _ => State::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_believed_fits_what_the_kernel_says() {
        assert_eq!(resume(Known::Up, true, 9), State::Up);
        assert_eq!(resume(Known::Up, false, 9), State::Waiting, "it died while nobody was there");
        assert_eq!(resume(Known::Nothing, true, 9), State::Waiting, "it was being made");
        assert_eq!(resume(Known::Starting, true, 9), State::Starting { until_ns: 9 });
        assert_eq!(resume(Known::Done, false, 9), State::Done);
        assert_eq!(resume(Known::Absent, true, 9), State::Waiting);
    }

    #[test]
    fn without_memory_nothing_is_believed() {
        let vault = Vault::new(None);
        vault.begin();
        vault.keep(0, State::Up);
        assert!(!vault.is_inherited());
        assert_eq!((vault.known(0), vault.outcome()), (Known::Nothing, None));
    }
}
