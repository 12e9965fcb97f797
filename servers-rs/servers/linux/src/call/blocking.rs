// SPDX-License-Identifier: PMPL-1.0-or-later
//! From what a file says to what a call says: `EAGAIN` of a file that may be waited for means waiting.

use super::Context;
use crate::errno::{EAGAIN, Result};
use crate::wait::{Interrupted, Outcome, Queue};

/// The answer of something that says `EAGAIN` when it must wait: with `queues`, the call stands on them and is made again.
pub fn or_wait(cx: &mut Context<'_>, result: Result<u64>, queues: &[Option<&Queue>], interrupted: Interrupted) -> Outcome {
    match result {
        Err(EAGAIN) if queues.iter().any(Option::is_some) => {
            queues.iter().flatten().for_each(|queue| queue.add(cx.waker));
            Outcome::Blocked(interrupted)
        }
        other => {
            if cx.progress.again {
                queues.iter().flatten().for_each(|queue| queue.remove(cx.waker));
            }
            other.into()
        }
    }
}
