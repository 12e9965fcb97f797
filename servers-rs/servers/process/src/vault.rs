// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a process server leaves to its successor: what each component was doing. The memory is root's.
//!
//! The successor believes a word only if it is one of the known ones and fits what the kernel says of the
//! component's pool; everything else is started afresh. Layout, in words of 32 bits: magic, whether the start was announced,
//! then from [`FIRST`] on [`EACH`] bytes per component: [`STATE`] and what follows it, and at [`WORDS`] the line that its
//! last death was told with.

use crate::state::State;
use api_supervisor::Cause;
use core::sync::atomic::{AtomicU32, Ordering};
use ipc::Text;
use manifest::startup::kept::VAULT_EACH_BYTES;
use rt::memory::Shared;

const MAGIC: u32 = u32::from_le_bytes(*b"FRv2");
const FIRST: usize = 64;
const EACH: usize = VAULT_EACH_BYTES as usize;
/// Offsets in a component's part; numbers of 64 bits have their low half first.
const STATE: usize = 0;
const DEATHS: usize = 4;
const CAUSE: usize = 8;
const WINDOW_DEATHS: usize = 12;
const CODE: usize = 16;
const WINDOW_BEGAN: usize = 24;
const WORDS_LENGTH: usize = 32;
const WORDS: usize = 64;
const ANNOUNCED: usize = 4;

pub struct Vault(Option<Shared>);

/// The deaths of a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    pub deaths: u32,
    pub cause: Cause,
    pub code: u64,
    /// `Policy::window`.
    pub window: (u64, u32),
}

impl History {
    pub const NONE: History = History { deaths: 0, cause: Cause::None, code: 0, window: (0, 0) };
}

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
    Stopped,
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
        self.put(n, STATE, number(state));
    }
    fn put(&self, n: usize, offset: usize, value: u32) {
        if let Some(word) = self.word(FIRST + EACH * n + offset) {
            word.store(value, Ordering::Relaxed);
        }
    }
    fn get(&self, n: usize, offset: usize) -> u32 {
        self.word(FIRST + EACH * n + offset).map_or(0, |w| w.load(Ordering::Relaxed))
    }
    fn get_long(&self, n: usize, offset: usize) -> u64 {
        u64::from(self.get(n, offset)) | u64::from(self.get(n, offset + 4)) << 32
    }
    fn put_long(&self, n: usize, offset: usize, value: u64) {
        self.put(n, offset, value as u32);
        self.put(n, offset + 4, (value >> 32) as u32);
    }
    pub fn keep_history(&self, n: usize, history: &History) {
        self.put(n, DEATHS, history.deaths);
        self.put(n, CAUSE, history.cause as u32);
        self.put_long(n, CODE, history.code);
        self.put_long(n, WINDOW_BEGAN, history.window.0);
        self.put(n, WINDOW_DEATHS, history.window.1);
    }
    /// Numbers to tell, and to count on: whatever stands there does no harm.
    pub fn history(&self, n: usize) -> History {
        let cause = u8::try_from(self.get(n, CAUSE)).ok().and_then(Cause::from_u8).unwrap_or(Cause::None);
        let window = (self.get_long(n, WINDOW_BEGAN), self.get(n, WINDOW_DEATHS));
        History { deaths: self.get(n, DEATHS), cause, code: self.get_long(n, CODE), window }
    }
    /// Keeps what was said of a death, cut to what a `Text` holds.
    pub fn keep_words(&self, n: usize, words: &str) {
        let words = Text::clipped(words);
        let bytes = words.as_str().as_bytes();
        let written = self.0.as_ref().and_then(|memory| memory.write(FIRST + EACH * n + WORDS, bytes));
        self.put(n, WORDS_LENGTH, written.map_or(0, |()| bytes.len() as u32));
    }
    pub fn words(&self, n: usize) -> Text {
        let mut bytes = [0; Text::MAX_BYTES];
        let length = (self.get(n, WORDS_LENGTH) as usize).min(bytes.len());
        let room = bytes.get_mut(..length).unwrap_or(&mut []);
        let read = self.0.as_ref().and_then(|memory| memory.read(FIRST + EACH * n + WORDS, room));
        Text::clipped(read.and_then(|()| core::str::from_utf8(room).ok()).unwrap_or(""))
    }
    pub fn known(&self, n: usize) -> Known {
        match self.get(n, STATE) {
            2 => Known::Starting,
            3 => Known::Up,
            4 => Known::Done,
            5 => Known::GivenUp,
            6 => Known::Absent,
            7 => Known::Stopped,
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
        State::Stopped => 7,
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
        (Known::Stopped, _) => State::Stopped,
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
        vault.keep_history(0, &History { deaths: 7, ..History::NONE });
        vault.keep_words(0, "SERVER-FAULT {}");
        assert_eq!((vault.history(0), vault.words(0).as_str()), (History::NONE, ""));
    }
}
