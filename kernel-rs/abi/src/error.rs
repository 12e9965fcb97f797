// SPDX-License-Identifier: PMPL-1.0-or-later
//! Why an operation did nothing. A failed operation leaves everything as it was, unless its row in `op` says otherwise.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Error {
    /// No such operation in this kernel (debug operations answer this in production).
    UnknownOperation = 1,
    /// The handle is null, out of the table, or its slot is empty.
    BadHandle = 2,
    /// The slot was reused since the handle was given out.
    StaleHandle = 3,
    /// The capability is not of the kind that the operation works on.
    WrongKind = 4,
    /// The capability lacks a right that the operation needs.
    NoRight = 5,
    /// An argument is out of its range; value 1 (`rsi`) holds the argument's number.
    BadArgument = 6,
    /// An address, offset or length is not a multiple of what it must be; `rsi` as above.
    Misaligned = 7,
    /// The range wraps, leaves the object or leaves user space; `rsi` as above.
    OutOfRange = 8,
    /// Something is mapped there already.
    Overlap = 9,
    /// Nothing is mapped there.
    NotMapped = 10,
    /// Writable and executable at once is never granted.
    WriteAndExecute = 11,
    /// The pool's quota does not cover it.
    NoQuota = 12,
    /// The capability table has no free slot.
    TableFull = 13,
    /// Poll found nothing, or the other side is not there.
    WouldBlock = 14,
    /// The deadline passed.
    TimedOut = 15,
    /// The object, or the object that would have answered, was destroyed while waiting.
    Gone = 16,
    /// There is nobody to reply to, or the reply right was used.
    NoReply = 17,
    /// The object is in a state that forbids this (running thread, bound already, in use).
    BadState = 18,
    /// The capability may not travel or be copied.
    NotTransferable = 19,
    /// The receiver has no room for the capabilities of this message.
    ReceiverFull = 20,
    /// A call would wait, through other callers, for itself.
    Cycle = 21,
    /// Someone stopped the thread out of its wait.
    Cancelled = 22,
    /// The machine does not have it.
    Unsupported = 23,
}

impl Error {
    pub const fn from_u64(n: u64) -> Option<Error> {
        use Error::*;
        Some(match n {
            1 => UnknownOperation,
            2 => BadHandle,
            3 => StaleHandle,
            4 => WrongKind,
            5 => NoRight,
            6 => BadArgument,
            7 => Misaligned,
            8 => OutOfRange,
            9 => Overlap,
            10 => NotMapped,
            11 => WriteAndExecute,
            12 => NoQuota,
            13 => TableFull,
            14 => WouldBlock,
            15 => TimedOut,
            16 => Gone,
            17 => NoReply,
            18 => BadState,
            19 => NotTransferable,
            20 => ReceiverFull,
            21 => Cycle,
            22 => Cancelled,
            23 => Unsupported,
            _ => return None,
        })
    }
}
