// SPDX-License-Identifier: PMPL-1.0-or-later
//! A further thread of this program. It shares everything but its stack and its message buffer.
//!
//! Threads lie in slots of one area, so that an address on a stack tells whose it is: slot = unmapped page,
//! message buffer, unmapped page, the state page of the thread's guest if it has one, unmapped pages, stack.

use crate::start::MAIN_BUFFER;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};
use manifest::layout;
use sys::{AddressSpace, Endpoint, Error, Memory, PAGE_BYTES, Pool, Rights, Table, Thread, ThreadSetup, start};

/// Room of one thread, a power of two.
const SLOT_BYTES: u64 = 1 << 20;
const MAX_THREADS: u64 = 8192;
const BUFFER_OFFSET_BYTES: u64 = PAGE_BYTES;
const STATE_OFFSET_BYTES: u64 = 3 * PAGE_BYTES;
/// What is below the stack in a slot, with an unmapped page between.
const LOWER_BYTES: u64 = 5 * PAGE_BYTES;

static STARTED: AtomicU64 = AtomicU64::new(0);

/// Starts `work` in a new thread with its own stack; when it returns, the thread exits with 0. `fault` hears of its
/// faults. Errors: no quota, no slot in the table, `BadArgument` for a stack that is no whole number of pages or too
/// large for a slot, `NoQuota` after some thousand threads.
pub fn spawn(name: &str, priority: u8, stack_bytes: u64, fault: Option<Endpoint>, work: fn()) -> sys::Result<Thread> {
    spawn_with(name, priority, stack_bytes, fault, Box::new(work))
}

/// As [`spawn`], with what the work needs.
pub fn spawn_with(
    name: &str,
    priority: u8,
    stack_bytes: u64,
    fault: Option<Endpoint>,
    work: Box<dyn FnOnce() + Send>,
) -> sys::Result<Thread> {
    start_in(room(stack_bytes)?, name, priority, fault, work)
}

/// As [`spawn_with`], for a thread that runs guests: `make` gets the state page, which is the thread's for ever, and gives the work, and
/// whatever else the caller wants of it.
pub fn spawn_guest<R>(
    name: &str,
    priority: u8,
    stack_bytes: u64,
    fault: Option<Endpoint>,
    make: impl FnOnce(crate::guest::Page) -> (Box<dyn FnOnce() + Send>, R),
) -> sys::Result<(Thread, R)> {
    let (buffer, top) = room(stack_bytes)?;
    let page = crate::guest::Page::at(Pool(start::POOL), top - SLOT_BYTES + STATE_OFFSET_BYTES)?;
    let (work, result) = make(page);
    Ok((start_in((buffer, top), name, priority, fault, work)?, result))
}

fn start_in(
    (buffer, top): (Memory, u64),
    name: &str,
    priority: u8,
    fault: Option<Endpoint>,
    work: Box<dyn FnOnce() + Send>,
) -> sys::Result<Thread> {
    let (pool, space) = (Pool(start::POOL), AddressSpace(start::ADDRESS_SPACE));
    let thread = pool.create_thread()?;
    let mut short = [0; 8];
    short.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    thread.configure(ThreadSetup { space, table: Table(start::TABLE), fault, buffer, name: short })?;
    thread.schedule(u64::from(priority), 0, 0, u64::MAX)?;
    let work = Box::into_raw(Box::new(work));
    // SAFETY: 1. `enter_with` may start at the top of a stack with the box as its argument. 2. The stack is new and the
    // thread's alone. 3. The box is the thread's from here on.
    match unsafe { thread.start(enter_with as *const () as u64, top - ENTRY_BYTES, work as u64) } {
        Ok(()) => Ok(thread),
        Err(error) => {
            // SAFETY: the thread did not start, so the box is still ours.
            drop(unsafe { Box::from_raw(work) });
            Err(error)
        }
    }
}

/// The message buffer and the end of the stack in a slot of its own.
fn room(stack_bytes: u64) -> sys::Result<(Memory, u64)> {
    if !stack_bytes.is_multiple_of(PAGE_BYTES) || stack_bytes == 0 || stack_bytes > SLOT_BYTES - LOWER_BYTES {
        return Err(Error::BadArgument);
    }
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    if number >= MAX_THREADS {
        return Err(Error::NoQuota);
    }
    let slot = layout::THREAD_STACKS + number * SLOT_BYTES;
    let (pool, space) = (Pool(start::POOL), AddressSpace(start::ADDRESS_SPACE));
    let access = Rights::READ | Rights::WRITE;
    let buffer = pool.create_memory(PAGE_BYTES)?;
    space.map(buffer, 0, slot + BUFFER_OFFSET_BYTES, PAGE_BYTES, access)?;
    let stack = pool.create_memory(stack_bytes)?;
    let top = slot + SLOT_BYTES;
    space.map(stack, 0, top - stack_bytes, stack_bytes, access)?;
    Ok((buffer, top))
}

/// Room for threads that run one after another: a stack and a message buffer that outlive each of them.
#[derive(Debug)]
pub struct Place {
    buffer: Memory,
    top: u64,
    /// A thread runs on the stack.
    busy: bool,
}

/// The thread in a [`Place`]. Dropping it ends the thread.
#[derive(Debug)]
pub struct Occupant<'a> {
    thread: Thread,
    place: &'a mut Place,
}

impl Place {
    /// Errors: as [`spawn`].
    pub fn new(stack_bytes: u64) -> sys::Result<Place> {
        let (buffer, top) = room(stack_bytes)?;
        Ok(Place { buffer, top, busy: false })
    }
    /// Starts `work` in a thread of `pool`. Errors: no quota, no slot in the table, `BadState` when the thread of
    /// another call was forgotten instead of dropped.
    #[inline]
    pub fn start(&mut self, pool: Pool, name: [u8; 8], priority: u8, work: fn()) -> sys::Result<Occupant<'_>> {
        if self.busy {
            return Err(Error::BadState);
        }
        let thread = pool.create_thread()?;
        let setup = ThreadSetup {
            space: AddressSpace(start::ADDRESS_SPACE),
            table: Table(start::TABLE),
            fault: None,
            buffer: self.buffer,
            name,
        };
        thread.configure(setup)?;
        thread.schedule(u64::from(priority), 0, 0, u64::MAX)?;
        self.busy = true;
        // SAFETY: 1. as in `spawn`. 2. The stack is nobody's now: it was not busy, and only the end of the thread, in
        // `drop`, says so again.
        unsafe { thread.start(enter as *const () as u64, self.top - ENTRY_BYTES, work as *const () as u64)? };
        Ok(Occupant { thread, place: self })
    }
}

impl Drop for Occupant<'_> {
    fn drop(&mut self) {
        self.place.busy = self.thread.end().is_err();
    }
}

impl Occupant<'_> {
    pub fn thread(&self) -> Thread {
        self.thread
    }
}

/// The System V ABI (3.4.1) has rsp 8 below a multiple of 16 where a function begins.
const ENTRY_BYTES: u64 = 8;

#[allow(improper_ctypes_definitions, reason = "both sides are this file")]
extern "C" fn enter(work: fn()) -> ! {
    work();
    sys::thread_exit(0)
}

/// # Safety
/// `work` came out of `Box::into_raw` and is nobody else's.
unsafe extern "C" fn enter_with(work: *mut Box<dyn FnOnce() + Send>) -> ! {
    // SAFETY: the caller's promise.
    let work = unsafe { Box::from_raw(work) };
    work();
    sys::thread_exit(0)
}

fn area() -> core::ops::Range<u64> {
    layout::THREAD_STACKS..layout::THREAD_STACKS + MAX_THREADS * SLOT_BYTES
}

/// The message buffer of the thread whose stack holds `address`.
pub(crate) fn buffer_of_stack(address: u64) -> u64 {
    if area().contains(&address) {
        address / SLOT_BYTES * SLOT_BYTES + BUFFER_OFFSET_BYTES
    } else {
        MAIN_BUFFER.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_on_a_stack_finds_the_buffer_of_its_own_slot() {
        let second = layout::THREAD_STACKS + SLOT_BYTES;
        assert_eq!(buffer_of_stack(second + SLOT_BYTES - 8), second + PAGE_BYTES);
        assert_eq!(buffer_of_stack(layout::STACK_TOP - 8), layout::MESSAGE_BUFFER);
    }
}
