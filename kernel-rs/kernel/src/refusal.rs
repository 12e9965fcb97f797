// SPDX-License-Identifier: PMPL-1.0-or-later
//! Refused operations in the log, with names instead of numbers. In kernels with debug facilities only.
//!
//! Only what a correct program does not run into is told; a poll that finds nothing is no news. A program that does
//! nothing else must not drown the rest, so there are so many lines a second and no more.

use crate::invoke::Failure;
use crate::objects::Thread;
use crate::{Kernel, Level};
use abi::error::Error;
use abi::handle::Handle;
use abi::op::{Row, TABLE};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use machine::memory::Ref;

const LINES_PER_SECOND: u64 = 20;
const SECOND_NS: u64 = 1_000_000_000;

/// The second that is counted, refusals in it, and those of it that were not told.
static SECOND: AtomicU64 = AtomicU64::new(0);
static TOLD: AtomicU64 = AtomicU64::new(0);
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Answers that are part of the contract and not a mistake of who asks.
fn is_ordinary(error: Error) -> bool {
    use Error::*;
    matches!(error, WouldBlock | TimedOut | Gone | NoReply | Cancelled)
}

impl Kernel {
    /// The registers hold the operation still.
    pub(crate) fn log_refusal(&self, thread: Ref<Thread>, failure: Failure) {
        if is_ordinary(failure.error) || Level::Debug as u32 > self.log_level || !self.line_is_free() {
            return;
        }
        let Some(t) = self.threads.get(thread) else { return };
        let r = &t.registers;
        let row = TABLE.iter().find(|row| row.op as u64 == r.rax);
        let handle = u32::try_from(r.rdi).ok().map(Handle);
        let kind = handle.zip(t.table).and_then(|(h, table)| self.slot(table, h).ok()).map(|slot| slot.kind);
        let arguments = [r.rsi, r.rdx, r.r10, r.r8, r.r9];
        let argument = arguments.get(failure.argument as usize).copied().unwrap_or(0);
        let (name, operation) = (t.name(), row.map_or("no operation", |row| row.name));
        match (kind, names_argument(failure.error)) {
            (Some(kind), false) => {
                self.log(Level::Debug, format_args!("{name}: {operation} on {kind:?} {:#x} refused: {:?}", r.rdi, failure.error))
            }
            (None, false) => self
                .log(Level::Debug, format_args!("{name}: {operation} ({}) on {:#x} refused: {:?}", r.rax, r.rdi, failure.error)),
            (kind, true) => self.log(
                Level::Debug,
                format_args!(
                    "{name}: {operation} on {:?} {:#x} refused: {:?}, {} is {argument:#x}",
                    kind.unwrap_or(abi::right::Kind::Null),
                    r.rdi,
                    failure.error,
                    argument_name(row, failure.argument)
                ),
            ),
        }
    }

    fn line_is_free(&self) -> bool {
        let second = machine::now_ns() / SECOND_NS;
        if SECOND.swap(second, Relaxed) != second {
            TOLD.store(0, Relaxed);
            let left_out = LEFT_OUT.swap(0, Relaxed);
            if left_out > 0 {
                self.log(Level::Debug, format_args!("{left_out} more refusals were not told"));
            }
        }
        let free = TOLD.fetch_add(1, Relaxed) < LINES_PER_SECOND;
        if !free {
            LEFT_OUT.fetch_add(1, Relaxed);
        }
        free
    }
}

/// `abi::error`: these say in `rsi` which argument it was.
fn names_argument(error: Error) -> bool {
    matches!(error, Error::BadArgument | Error::Misaligned | Error::OutOfRange)
}

/// Up to the colon, behind which the table explains it.
fn argument_name(row: Option<&Row>, number: u64) -> &'static str {
    let text = row.and_then(|row| row.arguments.get(number as usize)).copied().unwrap_or("argument");
    text.split(':').next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::op::Op;

    #[test]
    fn an_argument_is_named_as_the_table_names_it() {
        let row = |op: Op| TABLE.iter().find(|row| row.op == op);
        assert_eq!(argument_name(row(Op::Map), 2), "address");
        assert_eq!(argument_name(row(Op::Receive), 0), "timeout_ns");
        assert_eq!(argument_name(None, 0), "argument");
    }
}
