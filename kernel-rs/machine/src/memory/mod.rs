// SPDX-License-Identifier: PMPL-1.0-or-later
//! Physical memory as owned, typed frames. `frames` first: every other type here takes its frames from it.

pub mod array;
pub mod bits;
pub mod frames;
pub mod key;
pub mod paging;
pub mod store;

pub use array::Array;
pub use frames::{Frame, Frames, RUN_FRAMES};
pub use key::{EachCpu, Held, Key, Mine, Reader, RunKey, Running, Shortcut, UserWords, Words, WordsShortcut};
pub use paging::{Access, PageTable};
pub use store::{RawRef, Ref, Slabs, Store};

pub const FRAME_BYTES: usize = 4096;
