// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel's objects and what can be done with them: no unsafe, no assembly, so it runs under `cargo test` as well.
//!
//! One `Kernel` holds everything; whoever enters has it to itself. Read `invoke` next (from a handle to an object),
//! then one file of `objects`. How a CPU gets here is `machine`'s matter.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod alarm;
mod carry;
pub mod config;
mod destroy;
#[cfg(feature = "debug")]
mod dump;
mod fast;
mod fault;
mod invoke;
mod ipc;
mod objects;
mod queue;
#[cfg(feature = "debug")]
mod refusal;
mod root;
mod schedule;
#[cfg(test)]
mod tests;
#[cfg(feature = "debug")]
mod trace;
mod tree;

use abi::error::Error;
use alarm::Alarms;
#[cfg(test)]
use machine::MAX_CPUS;
use machine::memory::{EachCpu, Frames, Ref, Slabs, Store};
use machine::registers::{Registers, SYSCALL, SYSCALL_BYTES};
use machine::{DEVICE_NOT_AVAILABLE, Event, Left, Next};
use objects::{Endpoint, Interrupt, Mapping, Memory, Notification, Pool, Space, Table, Thread};
pub use root::{Start, start};
use schedule::Cpu;

/// Everything the kernel knows.
pub struct Kernel {
    frames: Frames,
    pools: Store<Pool>,
    tables: Store<Table>,
    spaces: Store<Space>,
    memories: Store<Memory>,
    threads: Store<Thread>,
    endpoints: Store<Endpoint>,
    notifications: Store<Notification>,
    interrupts: Store<Interrupt>,
    mappings: Store<Mapping>,
    cpus: EachCpu<Cpu>,
    cpu_count: usize,
    /// The CPU that is in the kernel now.
    here: usize,
    thread_alarms: Alarms<Thread>,
    notification_alarms: Alarms<Notification>,
    /// Who has which device vector.
    vectors: [Option<Ref<Interrupt>>; 256],
    slice_ns: u64,
    log_level: u32,
    /// Number of the last reply right made here: unique, so that an old one never answers a new call. Each CPU makes
    /// its own in local mode.
    last_reply: u64,
    /// A test that compares the two: no call takes `fast`.
    #[cfg(test)]
    long_way: bool,
    /// What each CPU has in local mode; on hardware the lock keeps it.
    #[cfg(test)]
    own: [Option<fast::Own>; MAX_CPUS],
}

/// Levels of the kernel's log, as in `abi::bundle::KernelConfig`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    Error = 1,
    Warning = 2,
    Info = 3,
    Debug = 4,
}

/// A type of object that pools pay for.
trait Object: Sized {
    fn parts(kernel: &mut Kernel) -> (&mut Store<Self>, &mut Frames);
    fn store(kernel: &Kernel) -> &Store<Self>;
    fn slabs(pool: &mut Pool) -> &mut Slabs;
    fn slabs_of(pool: &Pool) -> &Slabs;
}

macro_rules! object {
    ($($type:ident $field:ident)*) => { $(
        impl Object for $type {
            fn parts(kernel: &mut Kernel) -> (&mut Store<Self>, &mut Frames) {
                (&mut kernel.$field, &mut kernel.frames)
            }
            fn store(kernel: &Kernel) -> &Store<Self> {
                &kernel.$field
            }
            fn slabs(pool: &mut Pool) -> &mut Slabs {
                &mut pool.slabs.$field
            }
            fn slabs_of(pool: &Pool) -> &Slabs {
                &pool.slabs.$field
            }
        }
    )* };
}

object! {
    Pool pools
    Table tables
    Space spaces
    Memory memories
    Thread threads
    Endpoint endpoints
    Notification notifications
    Interrupt interrupts
    Mapping mappings
}

impl Kernel {
    fn log(&self, level: Level, line: core::fmt::Arguments) {
        if level as u32 <= self.log_level {
            machine::print(format_args!("kernel: {line}"));
        }
    }

    fn get<T: Object>(&self, r: Ref<T>) -> Result<&T, Error> {
        T::store(self).get(r).ok_or(Error::BadHandle)
    }

    fn get_mut<T: Object>(&mut self, r: Ref<T>) -> Result<&mut T, Error> {
        T::parts(self).0.get_mut(r).ok_or(Error::BadHandle)
    }

    /// The kernel's one way in: a CPU was interrupted, in a thread or while it idled. Leaves in `registers` what the CPU
    /// goes on with.
    #[inline]
    pub fn enter(&mut self, cpu: usize, from_user: bool, event: Event, registers: &mut Registers) -> Next {
        #[cfg(test)]
        if let Event::Fault { vector, error, address } = event
            && from_user
            && !self.long_way
            && self.enter_local(cpu, registers, Some(fault::Fault { vector, error, address }))
        {
            return Next::User;
        }
        if event == Event::Syscall { self.enter_call(cpu, registers) } else { self.enter_long(cpu, from_user, event, registers) }
    }

    /// As [`Kernel::enter`], for a system call that local mode (`fast`) did not do.
    #[inline]
    pub fn enter_call(&mut self, cpu: usize, registers: &mut Registers) -> Next {
        #[cfg(test)]
        if !self.long_way && self.enter_local(cpu, registers, None) {
            return Next::User;
        }
        self.here = cpu;
        self.see_current();
        if let Some(thread) = self.cpus[cpu].current.and_then(|t| self.threads.get_mut(t)) {
            thread.registers = *registers;
        }
        match self.call_here(cpu) {
            Left::Nobody => Next::Idle,
            _ => self.resume(cpu, registers),
        }
    }

    /// A system call whose registers stand in the thread that runs here.
    pub(crate) fn call_here(&mut self, cpu: usize) -> Left {
        self.here = cpu;
        self.see_current();
        #[cfg(feature = "debug")]
        if let Some(Registers { rax, rdi, .. }) = self.cpus[cpu].current.and_then(|t| self.threads.get(t)).map(|t| t.registers) {
            self.trace_event(cpu, Event::Syscall, rax, rdi);
            self.dump_if_wanted();
        }
        if let Some(thread) = self.cpus[cpu].current
            && let Some(t) = self.threads.get_mut(thread)
        {
            if t.is_running() {
                self.system_call(cpu, thread);
                // Nobody else came to mind, and the timer is right: the same thread goes on.
                if !self.cpus[cpu].look
                    && machine::has_user_space()
                    && self.threads.get(thread).is_some_and(|t| t.state == objects::State::Running(cpu))
                {
                    return Left::Caller;
                }
            } else {
                // Stopped by another CPU on its way here: the operation is executed when it resumes.
                t.registers.rip = t.registers.rip.wrapping_sub(SYSCALL_BYTES);
            }
        }
        let next = self.leave(cpu);
        #[cfg(feature = "debug")]
        self.trace_run(cpu);
        if next == Next::User { Left::Other } else { Left::Nobody }
    }

    /// Gives a CPU the registers of the thread that runs there.
    fn resume(&self, cpu: usize, registers: &mut Registers) -> Next {
        match self.cpus[cpu].current.and_then(|t| self.threads.get(t)) {
            Some(t) => {
                *registers = t.registers;
                Next::User
            }
            None => Next::Idle,
        }
    }

    /// The number of the next reply right made with all locks held; `fast` makes others.
    fn new_reply(&mut self) -> u64 {
        self.last_reply += fast::REPLY_STEP;
        self.last_reply
    }

    #[inline(never)]
    fn enter_long(&mut self, cpu: usize, from_user: bool, event: Event, registers: &mut Registers) -> Next {
        self.here = cpu;
        self.see_current();
        #[cfg(feature = "debug")]
        {
            self.trace_event(cpu, event, registers.rax, registers.rdi);
            self.dump_if_wanted();
        }
        let mut running = None;
        if from_user
            && let Some(current) = self.cpus[cpu].current
            && let Some(thread) = self.threads.get_mut(current)
        {
            thread.registers = *registers;
            running = thread.is_running().then_some(current);
        }
        match (event, running) {
            (Event::Fault { vector: DEVICE_NOT_AVAILABLE, .. }, Some(thread)) if self.begin_vector(thread) => {}
            (Event::Fault { vector, error, address }, Some(thread)) => {
                self.thread_faults(cpu, thread, fault::Fault { vector, error, address })
            }
            (Event::Timer, _) => self.timer_fired(cpu),
            (Event::Interrupt(vector), _) => self.device_interrupt(cpu, vector),
            _ => {}
        }
        let next = self.leave(cpu);
        #[cfg(feature = "debug")]
        self.trace_run(cpu);
        if next == Next::User { self.resume(cpu, registers) } else { next }
    }

    fn system_call(&mut self, cpu: usize, thread: Ref<Thread>) {
        let outcome = self.invoke(cpu, thread);
        #[cfg(feature = "debug")]
        if let Err(failure) = outcome {
            self.log_refusal(thread, failure);
        }
        let Some(t) = self.threads.get_mut(thread) else { return };
        let r = &mut t.registers;
        debug_assert_eq!(r.vector, SYSCALL);
        match outcome {
            Ok(invoke::Flow::Done(values)) => {
                r.rax = 0;
                [r.rdi, r.rsi, r.rdx, r.r10] = values;
                (r.r8, r.r9) = (0, 0);
                t.progress = 0;
            }
            Ok(invoke::Flow::Blocked) => {}
            Ok(invoke::Flow::Again) => r.rip = r.rip.wrapping_sub(SYSCALL_BYTES),
            Err(failure) => {
                r.rax = failure.error as u64;
                r.rdi = 0;
                r.rsi = failure.argument;
                t.progress = 0;
            }
        }
    }
}
