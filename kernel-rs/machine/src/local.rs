// SPDX-License-Identifier: PMPL-1.0-or-later
//! Local mode: a CPU in the kernel that holds its own lock and no other. What it may touch: `memory/key.rs`.

use crate::registers::Registers;
use core::marker::PhantomData;

/// Proof that this CPU is in local mode. While one exists nobody has the kernel's state.
pub struct Local<'a> {
    home: u64,
    of: PhantomData<(&'a mut (), *mut ())>,
}

impl Local<'_> {
    /// # Safety
    /// This CPU, of that number, holds its own lock for as long as the value lives, and makes no second one.
    #[inline(always)]
    pub(crate) unsafe fn new(home: u64) -> Self {
        Local { home, of: PhantomData }
    }

    /// The CPU's number, plus 1.
    #[inline(always)]
    pub(crate) fn home(&self) -> u64 {
        self.home
    }

    #[inline(always)]
    pub fn cpu(&self) -> usize {
        self.home as usize - 1
    }
}

/// Makes the keys of one CPU, once (`Core::own`).
pub struct Maker {
    cpu: usize,
}

impl Maker {
    pub(crate) fn new(cpu: usize) -> Maker {
        Maker { cpu }
    }

    pub fn cpu(&self) -> usize {
        self.cpu
    }
}

/// What runs on CPUs. One type of object does.
pub trait Run {
    /// Its registers, the first thing in it: the entry code writes them while it runs.
    fn registers(&self) -> &Registers;
}

/// Bytes before `Nobody`'s registers, more than before the value in any cell.
pub(crate) const BEFORE_NOBODY: usize = 128;

/// What a CPU has loaded while it runs nothing: nobody's registers, with no home before them.
#[repr(C, align(64))]
pub(crate) struct Nobody {
    before: [u8; BEFORE_NOBODY],
    registers: [u8; size_of::<Registers>()],
}

impl Nobody {
    pub(crate) const NEW: Nobody = Nobody { before: [0; BEFORE_NOBODY], registers: [0; size_of::<Registers>()] };
}

/// The registers of what ran when the CPU came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent<'a> {
    pub(crate) registers: *const Registers,
    pub(crate) of: PhantomData<&'a Registers>,
}

/// What came of a system call in local mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome<'a> {
    /// Nothing was changed: it must take the long way.
    Declined,
    /// The same thread goes on, with status 0, this value, and zero for the others.
    Value(u64),
    /// What is loaded now goes on, with this badge and tag and the words in these registers.
    Message { badge: u64, tag: u64, words: Sent<'a> },
    /// What is loaded now goes on, with all of its registers.
    Resume,
}

/// Who goes on after a system call with the registers in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Who made it, with what the call gave.
    Caller,
    /// Somebody, with all of its registers.
    Other,
    /// Nobody.
    Nobody,
}

/// What a kernel does in local mode, for what is loaded; the whole of its system call stands in its registers. `Own` is what each CPU has for it; it never leaves its CPU.
pub trait Core {
    type Own: 'static;
    /// What a message carries that takes all locks to move.
    type Carried;
    /// Makes the `Own` of the maker's CPU.
    fn own(&mut self, maker: &Maker) -> Self::Own;
    /// `WORDS`: of a message that may have more words than fit into registers.
    fn call<'a, const WORDS: bool>(own: &mut Self::Own, local: &'a Local, handle: u64, tag: u64) -> Outcome<'a>;
    /// `WORDS` as in `call`.
    fn reply_receive<'a, const WORDS: bool>(own: &mut Self::Own, local: &'a Local, handle: u64, tag: u64) -> Outcome<'a>;
    fn signal<'a>(own: &mut Self::Own, local: &'a Local, handle: u64, bits: u64) -> Outcome<'a>;
    /// It faulted, which its registers tell, and with that address.
    fn fault<'a>(own: &mut Self::Own, local: &'a Local, address: u64) -> Outcome<'a>;
    fn wait<'a>(own: &mut Self::Own, local: &'a Local, handle: u64, timeout_ns: u64) -> Outcome<'a>;
    /// With all locks held: what the message carries in whose sending this CPU's thread came in; nothing is changed yet.
    fn carried(&self, cpu: usize) -> Option<Self::Carried>;
    /// Sends that message, less what it carries.
    fn message<'a>(own: &mut Self::Own, local: &'a Local) -> Outcome<'a>;
    /// With all locks held, as they were since `carried`: moves it.
    fn carry(&mut self, carried: Self::Carried);
    /// A system call with all locks held; its registers stand in what this CPU runs, and so do the ones to go on with.
    fn call_in_place(&mut self, cpu: usize) -> Left;
}
