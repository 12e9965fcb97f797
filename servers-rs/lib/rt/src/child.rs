// SPDX-License-Identifier: PMPL-1.0-or-later
//! Another program: its pool, table, space and thread, its image, its startup block, its end.
//!
//! Everything is made from one pool, so one operation ends all of it. Root starts the process server with this, the
//! process server everything else. The space is new, so nothing here can change memory of this program.

use crate::memory::Private;
use abi::thread::WORD;
use manifest::{Startup, layout};
use program::{Access, Program};
use sys::{
    AddressSpace, Capability, Endpoint, Error, Handle, Memory, Notification, PAGE_BYTES, Pool, Result, Rights, Table, Thread,
    ThreadSetup, start,
};

/// A program that may run.
#[derive(Debug)]
pub struct Child {
    pub pool: Pool,
    table: Table,
    space: AddressSpace,
    thread: Thread,
    stack: Memory,
    stack_bytes: u64,
    code: Option<(Memory, u64)>,
}

/// What is left to know of a child that runs: enough to look at it and to end it.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    pub pool: Pool,
    pub thread: Thread,
    /// Its first thread's stack, for back-traces; behind it, from `stack_bytes` on, its heap.
    pub stack: Memory,
    pub stack_bytes: u64,
    /// Its instructions, where faults are injected into them, and their address.
    pub code: Option<(Memory, u64)>,
}

impl Running {
    /// Flips a bit of a general register or of the instruction pointer, wherever it is; what it waited in is over then.
    /// Errors: it is gone. An instruction pointer that no program has stays what it was.
    pub fn flip_register(&self, seed: u64) -> Result<()> {
        self.thread.stop()?;
        self.thread.read_registers()?;
        let register = (seed % (WORD.rip as u64 + 1)) as usize;
        crate::channel::with_buffer(|buffer| buffer.set_word(register, buffer.word(register) ^ 1 << ((seed >> 32) % 64)));
        // SAFETY: it is the child's thread, which runs in the child's space.
        let _ = unsafe { self.thread.write_registers() };
        self.thread.resume()
    }

    /// Where it executes, as of a thread that is stopped for a moment; what it waited in is over then.
    pub fn instruction(&self) -> Result<u64> {
        self.thread.stop()?;
        self.thread.read_registers()?;
        let rip = crate::channel::with_buffer(|buffer| buffer.word(WORD.rip));
        self.thread.resume()?;
        Ok(rip)
    }

    /// Ends it and everything it made; the quota goes back to the parent.
    pub fn destroy(self) {
        end(self.pool);
    }
}

/// How much a child may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub memory_bytes: u64,
    pub stack_bytes: u64,
    /// What `Startup::heap_bytes` says.
    pub heap_bytes: u64,
    pub table_slots: u32,
    pub priority: u8,
    pub budget_us: u32,
    pub period_us: u32,
}

const READ_WRITE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);
const READ_EXECUTE: Rights = Rights(Rights::READ.0 | Rights::EXECUTE.0);
/// A component may use its own objects in every way but destroy the ground it stands on.
const OWN: Rights = Rights(Rights::ALL.0 & !(Rights::DESTROY.0 | Rights::DMA.0));

impl Child {
    /// An empty child, split from `parent`. After an error nothing is left of it.
    pub fn new(parent: Pool, limits: &Limits) -> Result<Child> {
        let pool = parent.split(limits.memory_bytes / PAGE_BYTES)?;
        Self::furnish(pool, limits).inspect_err(|_| end(pool))
    }

    fn furnish(pool: Pool, limits: &Limits) -> Result<Child> {
        let table = pool.create_table(u64::from(limits.table_slots))?;
        let space = pool.create_address_space()?;
        let thread = pool.create_thread()?;
        let heap_bytes = limits.heap_bytes.checked_next_multiple_of(PAGE_BYTES).ok_or(Error::OutOfRange)?;
        let stack = pool.create_memory(limits.stack_bytes.saturating_add(heap_bytes))?;
        space.map(stack, 0, layout::STACK_TOP - limits.stack_bytes, limits.stack_bytes, READ_WRITE)?;
        if heap_bytes > 0 {
            space.map(stack, limits.stack_bytes, layout::HEAP, heap_bytes, READ_WRITE)?;
        }
        let child = Child { pool, table, space, thread, stack, stack_bytes: limits.stack_bytes, code: None };
        let own = [
            (table.handle(), start::TABLE),
            (space.handle(), start::ADDRESS_SPACE),
            (pool.handle(), start::POOL),
            (thread.handle(), start::THREAD),
        ];
        for (handle, place) in own {
            if table.insert(handle, OWN, 0, place.index())? != place {
                return Err(Error::BadState);
            }
        }
        Ok(child)
    }

    /// As [`Child::load`], and keeps the capability to the instructions.
    pub fn load_open(&mut self, program: &Program, file: &[u8]) -> Result<()> {
        self.code = self.load_all(program, file, true)?;
        Ok(())
    }

    /// Copies an image into the child's own memory. `file` is what `program` was made from.
    pub fn load(&self, program: &Program, file: &[u8]) -> Result<()> {
        self.load_all(program, file, false).map(drop)
    }

    fn load_all(&self, program: &Program, file: &[u8], keep_code: bool) -> Result<Option<(Memory, u64)>> {
        let mut code = None;
        for segment in program.segments() {
            let mut image = Private::new(self.pool, segment.memory_bytes)?;
            let lead = usize::try_from(segment.lead_bytes).unwrap_or(usize::MAX);
            let bytes = segment.bytes(file);
            let room = image.as_mut_slice().get_mut(lead..).and_then(|r| r.get_mut(..bytes.len()));
            room.ok_or(Error::OutOfRange)?.copy_from_slice(bytes);
            let access = match segment.access {
                Access::Read => Rights::READ,
                Access::ReadWrite => READ_WRITE,
                Access::ReadExecute => READ_EXECUTE,
            };
            let memory = image.into_memory();
            if keep_code && code.is_none() && access == READ_EXECUTE {
                self.space.map(memory, 0, segment.address, segment.memory_bytes, access)?;
                code = Some((memory, segment.address));
            } else {
                self.map(memory, segment.address, segment.memory_bytes, access)?;
            }
        }
        Ok(code)
    }

    /// Maps memory and gives the handle up: the mapping stays, its frames end with the pool.
    fn map(&self, memory: Memory, address: u64, length_bytes: u64, access: Rights) -> Result<()> {
        self.space.map(memory, 0, address, length_bytes, access)?;
        memory.delete()
    }

    /// Maps memory in the child, as its pager does; the handle stays.
    pub fn map_shared(&self, memory: Memory, offset_bytes: u64, address: u64, length_bytes: u64, access: Rights) -> Result<()> {
        self.space.map(memory, offset_bytes, address, length_bytes, access)
    }

    /// Gives it its page of the memory in which those that are watched count (`health::Vitals`).
    pub fn map_vitals(&self, memory: Memory, offset_bytes: u64) -> Result<()> {
        self.space.map(memory, offset_bytes, layout::VITALS, PAGE_BYTES, READ_WRITE)
    }

    /// Takes pages away from the child; how many it were.
    pub fn unmap(&self, address: u64, length_bytes: u64) -> Result<u64> {
        // SAFETY: it is the child's space, not this program's.
        unsafe { self.space.unmap(address, length_bytes) }
    }

    /// Changes what the child may do with pages.
    pub fn protect(&self, address: u64, length_bytes: u64, access: Rights) -> Result<()> {
        // SAFETY: it is the child's space, not this program's.
        unsafe { self.space.protect(address, length_bytes, access) }
    }

    /// Keeps its first thread on one CPU from now on.
    pub fn pin(&self, priority: u8, cpu: u64) -> Result<()> {
        self.thread.schedule(u64::from(priority), 0, 0, cpu)
    }

    /// Gives a capability to the child; returns the handle that the child uses.
    pub fn insert(&self, what: Handle, rights: Rights, badge: u64) -> Result<Handle> {
        self.table.insert(what, rights, badge, 0)
    }

    /// Starts it. `fault` is copied with the badge it has; its holder hears of faults and of the exit.
    pub fn start(&self, program: &Program, startup: &Startup, fault: Endpoint, limits: &Limits) -> Result<()> {
        let block = startup.encode().map_err(|_| Error::BadArgument)?;
        let mut page = Private::new(self.pool, block.len() as u64)?;
        page.as_mut_slice().get_mut(..block.len()).ok_or(Error::OutOfRange)?.copy_from_slice(&block);
        let length_bytes = page.as_slice().len() as u64;
        self.map(page.into_memory(), layout::STARTUP, length_bytes, Rights::READ)?;

        let buffer = self.pool.create_memory(PAGE_BYTES)?;
        self.space.map(buffer, 0, layout::MESSAGE_BUFFER, PAGE_BYTES, READ_WRITE)?;
        let mut name = [0; 8];
        name.iter_mut().zip(startup.name.bytes()).for_each(|(to, from)| *to = from);
        self.thread.configure(ThreadSetup { space: self.space, table: self.table, fault: Some(fault), buffer, name })?;
        let (budget, period) = (u64::from(limits.budget_us), u64::from(limits.period_us));
        self.thread.schedule(u64::from(limits.priority), budget, period, u64::MAX)?;
        // SAFETY: the thread runs in the child's space, not in this program's.
        unsafe { self.thread.start(program.entry, layout::STACK_TOP, layout::STARTUP) }
    }

    pub fn running(&self) -> Running {
        let Child { pool, thread, stack, stack_bytes, code, .. } = *self;
        Running { pool, thread, stack, stack_bytes, code }
    }

    /// As [`Running::destroy`].
    pub fn destroy(self) {
        end(self.pool);
    }
}

fn end(pool: Pool) {
    // An error would be a pool that is gone already.
    let _ = destroy_pool(pool);
}

/// Destroys a pool that was split for another program, with everything made from it. Errors: `BadState` for this
/// program's own pool, and those of the capability.
pub fn destroy_pool(pool: Pool) -> Result<()> {
    if pool.handle() == start::POOL {
        return Err(Error::BadState);
    }
    // SAFETY: of such a pool's memory this program maps only what a `Private` or a `Shared` holds. A `Private` does
    // not outlive the function that made it; a `Shared` gives out no reference but atomics, and touching one that is
    // gone is a fault of this program, not a wrong value.
    unsafe { pool.destroy_all() }
}

/// Destroys a notification that nothing needs any more.
pub fn destroy_notification(notification: Notification) -> Result<()> {
    // SAFETY: it is no memory.
    unsafe { notification.destroy() }
}
