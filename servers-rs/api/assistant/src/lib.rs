// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `assistant`: what the test programs ask of their partner. On no image that ships.
#![no_std]

use ipc::{Cap, Text};

ipc::interface! {
    /// A server that misbehaves on request.
    interface assistant;
    errors {
        /// What was asked for is none.
        Unknown = 16,
    }
    methods {
        /// The value, and the client's number as its badge says.
        1 echo idempotent (value: u64) -> (u64, u64);
        /// The text, through the message buffer.
        2 repeat idempotent (text: Text) -> Text;
        /// When this incarnation started, in nanoseconds of the kernel's clock.
        3 born idempotent () -> u64;
        /// Answers after so many milliseconds.
        4 late idempotent (ms: u32) -> ();
        /// Dies of a fault instead of answering: 0 null page, 1 own code, 2 invalid opcode, 3 stack overflow.
        5 fault once (kind: u32) -> ();
        /// Ends with a code instead of answering.
        6 exit once (code: u32) -> ();
        /// Panics instead of answering.
        7 panic once () -> ();
        /// Memory of one page that holds `mark`, to be read and not written.
        8 lend once (mark: u64) -> Cap;
        /// Hangs instead of answering: 0 spins, 1 spins and waits a little now and then, 2 calls the kernel for ever.
        9 hang once (kind: u32) -> ();
        /// Dies of it, whoever serves it: a fault of that kind.
        11 poison idempotent (kind: u32) -> ();
        /// Answers after it worked for so many milliseconds, coming round all the time.
        10 toil idempotent (ms: u32) -> ();
    }
}
