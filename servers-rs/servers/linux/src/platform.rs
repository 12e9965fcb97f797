// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is below the personality: memory, address spaces for guests, and threads that run in them. `native.rs` makes it of our
//! kernel's objects, `testing.rs` of a vector and of lists.

use crate::errno::Result;
use crate::wait::Waker;
use abi::guest::State;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;

pub const PAGE_BYTES: u64 = 4096;
/// Frames that the memory grows by; they lie in one piece.
pub const CHUNK_FRAMES: u32 = 512;

/// A page of the cell's memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Frame(pub u32);

impl Frame {
    /// Where it begins in the cell's memory, in bytes.
    pub fn at(self) -> u64 {
        u64::from(self.0) * PAGE_BYTES
    }
}

/// What a guest may do with a page; the bits are those of `PROT_READ`, `PROT_WRITE` and `PROT_EXEC`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access(pub u8);

impl Access {
    pub const NONE: Access = Access(0);
    pub const READ: Access = Access(1);
    pub const WRITE: Access = Access(2);
    pub const EXECUTE: Access = Access(4);
    pub const fn holds(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }
    pub const fn with(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
    pub const fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }
}

/// Frames that follow each other, in one chunk, and where a guest has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub address: u64,
    pub frame: Frame,
    pub pages: u32,
    /// Never both writable and executable.
    pub access: Access,
}

/// Places are in bytes from the start of the cell's memory; those beyond it read as zeros and swallow what is written.
pub trait Platform: Send + Sync + Debug {
    /// [`CHUNK_FRAMES`] more zeroed frames, at the end; false if the cell may have no more.
    fn grow(&self) -> bool;
    fn read(&self, at: u64, into: &mut [u8]);
    fn write(&self, at: u64, from: &[u8]);
    fn zero(&self, at: u64, count: usize);
    fn copy(&self, from: u64, to: u64, count: usize);
    /// As `UserMemory::update_u32`.
    fn update_u32(&self, at: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> u32;
    /// An empty space. Errors: `ENOMEM`.
    fn new_space(&self) -> Result<Arc<dyn GuestSpace>>;
    /// All that the memory may grow to.
    fn memory_bytes(&self) -> u64;
    /// CPUs of the machine.
    fn cpus(&self) -> u32;
    /// The first process has ended, with a status as wait(2) has it: so does the cell.
    fn ended(&self, status: i32);
    /// A line for the log.
    fn note(&self, what: core::fmt::Arguments<'_>);
    /// A thread that waits to be told what to run. Errors: `EAGAIN`.
    fn worker(&self) -> Result<Arc<dyn Worker>>;
}

/// Page tables of one guest. Dropping it destroys them. Errors of all: `ENOMEM`.
pub trait GuestSpace: Send + Sync + Debug {
    /// Nothing is mapped there yet.
    fn map(&self, runs: &[Run]) -> Result<()>;
    /// Parts that hold nothing are passed over.
    fn unmap(&self, address: u64, length_bytes: u64) -> Result<()>;
    /// All of it is mapped.
    fn protect(&self, address: u64, length_bytes: u64, access: Access) -> Result<()>;
    /// For the platform's own threads.
    fn as_any(&self) -> &dyn core::any::Any;
}

/// A thread of ours that runs one of a guest's. What concerns registers is for the thread itself, when its guest is out.
pub trait Worker: Waker {
    /// It comes out of its guest or of its wait, or does not go in: now or the next time.
    fn kick(&self);
    /// Hands the waiting thread its guest thread.
    fn begin(&self, what: Box<crate::task::Start>);
    fn state(&self) -> State;
    fn set_state(&self, state: &State);
    /// `rax`, and the guest goes on behind its call.
    fn set_answer(&self, value: u64);
    /// Vector registers as XSAVE has them in its standard format.
    fn save_vector(&self) -> Vec<u8>;
    /// `None`: as a program finds them when it starts. Errors: `EINVAL`.
    fn load_vector(&self, image: Option<&[u8]>) -> Result<()>;
    /// Bits of XCR0 that guests have; bits that MXCSR has.
    fn vector_features(&self) -> (u64, u32);
    /// Its guest is in that space from now on. Errors: `ENOMEM`.
    fn attach(&self, space: &Arc<dyn GuestSpace>) -> Result<()>;
}
