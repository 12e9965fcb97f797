// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guests: foreign programs in an address space of their own, run in place by a thread of this one. `abi::guest` says how.

use crate::call::{invoke, invoke_raw};
use crate::{AddressSpace, Error, Handle, Memory, Result, Thread};
use abi::op::Op;

pub use abi::guest::{MAX_VECTOR_BYTES, State, VECTOR_OFFSET_BYTES, reason, resume, word};

/// Why a guest was not run; `word` of the state page is what was refused, with `BadArgument`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    pub error: Error,
    pub word: u64,
}

/// Goes on in the calling thread's guest until it comes out; the reason ([`reason`]). It changes no memory of the caller's
/// but the state page, and whatever the caller itself mapped into the guest.
#[inline(always)]
pub fn run() -> core::result::Result<u64, Refused> {
    let (error, values) = invoke_raw(Op::GuestRun, Handle::NULL, [0; 5]);
    match error {
        None => Ok(values[0]),
        Some(error) => Err(Refused { error, word: values[1] }),
    }
}

/// Writes the guest's vector registers to the state page; the image's length in bytes.
pub fn save_vector() -> Result<usize> {
    Ok(invoke(Op::GuestSaveVector, Handle::NULL, [0; 5])?[0] as usize)
}

/// Takes the guest's vector registers from the state page.
pub fn load_vector() -> Result<()> {
    invoke(Op::GuestLoadVector, Handle::NULL, [0; 5]).map(drop)
}

impl AddressSpace {
    /// Makes this the space of the calling thread's guest, with the first page of `state` as its state page.
    pub fn attach_guest(self, state: Memory) -> Result<()> {
        invoke(Op::GuestAttach, self.0, [u64::from(state.0.0), 0, 0, 0, 0]).map(drop)
    }
}

impl Thread {
    /// The thread's guest comes out, or does not go in.
    pub fn kick_guest(self) -> Result<()> {
        invoke(Op::GuestKick, self.0, [0; 5]).map(drop)
    }
}
