// SPDX-License-Identifier: PMPL-1.0-or-later
//! Tests of the whole kernel on the hosted machine, through its one way in. One file a promise's area.
//!
//! Each thread of a test has a CPU of its own, so a test reads like a conversation: root speaks on CPU 0.

mod attacks;
mod boot;
mod fast;
mod faults;
mod guests;
mod ipc;
mod memory;
mod model;
mod notifications;
mod pools;
mod schedule;
mod steps;
mod tables;
mod threads;
mod vector;

use crate::{Kernel, Level, Start, start};
use abi::boot_info::MAGIC;
use abi::error::Error;
use abi::handle::{Handle, start as slots};
use abi::op::Op;
use abi::right::Kind;
use machine::registers::{Registers, SYSCALL, SYSCALL_BYTES};
use machine::{Event, Next};

pub const POOL: Handle = slots::POOL;
pub const TABLE: Handle = slots::TABLE;
pub const SPACE: Handle = slots::ADDRESS_SPACE;
pub const FOREVER: u64 = u64::MAX;
pub const ALL: u64 = 0xff;
/// Where a test's system call instruction ends.
const RIP: u64 = 0x40_1000;
pub const CPUS: usize = 4;

/// What an operation gave: status, then rdi, rsi, rdx, r10, r8, r9.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u64,
    pub values: [u64; 6],
}

impl Answer {
    /// The first value, of an operation that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> u64 {
        assert_eq!(self.status, 0, "{:?}", Error::from_u64(self.status));
        self.values[0]
    }
    #[track_caller]
    pub fn handle(self) -> Handle {
        Handle(self.ok() as u32)
    }
    #[track_caller]
    pub fn fails(self, error: Error) {
        assert_eq!(Error::from_u64(self.status), Some(error));
    }
    /// Fails and names the argument.
    #[track_caller]
    pub fn fails_at(self, error: Error, argument: u64) {
        assert_eq!((Error::from_u64(self.status), self.values[1]), (Some(error), argument));
    }
}

pub struct World {
    pub kernel: Kernel,
    registers: [Registers; CPUS],
    /// What root's first thread was started with.
    pub argument: u64,
}

pub fn bundle() -> Vec<u8> {
    machine::test_bundle(Level::Debug as u32)
}

/// A kernel that has made its root, before any CPU entered it.
fn booted(count: u32) -> Kernel {
    let mut frames = machine::test_frames(count);
    let bundle_frame = frames.take_user_row(2).unwrap();
    start(Start {
        frames,
        bundle: &bundle(),
        bundle_frame,
        info: &machine::test_boot_info(),
        ecam_base: 0xb000_0000,
        ecam_length_bytes: 1 << 28,
        cpus: CPUS,
        clock_offset_ns: 0,
    })
}

impl World {
    /// Root runs on CPU 0, the other CPUs idle.
    pub fn new() -> World {
        World::with_frames(4096)
    }

    pub fn with_frames(count: u32) -> World {
        let kernel = booted(count);
        let mut world = World { kernel, registers: Default::default(), argument: 0 };
        assert!(world.enter(0, Event::Nothing));
        world.argument = world.registers[0].rdi;
        world.root(Op::ThreadSchedule, slots::THREAD, &[200, 0, 0, 0]).ok();
        (1..CPUS).for_each(|cpu| assert!(!world.enter(cpu, Event::Nothing)));
        world
    }

    /// Enters the kernel on a CPU; true if it goes on with a thread.
    pub fn enter(&mut self, cpu: usize, event: Event) -> bool {
        let busy = self.kernel.cpus[cpu].current.is_some();
        self.kernel.enter(cpu, busy, event, &mut self.registers[cpu]) == Next::User
    }

    /// Makes a system call on a CPU; the answer, unless its thread waits now.
    pub fn call(&mut self, cpu: usize, op: Op, handle: Handle, arguments: &[u64]) -> Option<Answer> {
        let thread = self.kernel.cpus[cpu].current.expect("a thread runs there");
        for _ in 0..100_000 {
            let mut a = [0; 5];
            a[..arguments.len()].copy_from_slice(arguments);
            let r = &mut self.registers[cpu];
            (r.rax, r.rdi, r.vector, r.rip) = (op as u64, handle.0 as u64, SYSCALL, RIP);
            [r.rsi, r.rdx, r.r10, r.r8, r.r9] = a;
            self.enter(cpu, Event::Syscall);
            if self.kernel.cpus[cpu].current != Some(thread) {
                return None;
            }
            if self.registers[cpu].rip != RIP - SYSCALL_BYTES {
                return Some(self.answer(cpu));
            }
            // Other CPUs get their chance, as they would between two executions.
            (0..CPUS).filter(|c| *c != cpu).for_each(|c| {
                self.enter(c, Event::Kick);
            });
        }
        panic!("{op:?} is never done");
    }

    fn answer(&self, cpu: usize) -> Answer {
        let r = &self.registers[cpu];
        Answer { status: r.rax, values: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] }
    }

    /// What the thread of an idle CPU gets when it goes on, if it does.
    pub fn wakes(&mut self, cpu: usize) -> Option<Answer> {
        self.enter(cpu, Event::Kick).then(|| self.answer(cpu))
    }

    /// A system call of root, which does not wait.
    #[track_caller]
    pub fn root(&mut self, op: Op, handle: Handle, arguments: &[u64]) -> Answer {
        self.call(0, op, handle, arguments).expect("root does not wait")
    }

    pub fn create(&mut self, kind: Kind) -> Handle {
        self.create_in(POOL, kind, 0)
    }

    pub fn create_in(&mut self, pool: Handle, kind: Kind, argument: u64) -> Handle {
        self.root(Op::Create, pool, &[kind as u64, argument]).handle()
    }

    pub fn memory(&mut self, pages: u64) -> Handle {
        self.create_in(POOL, Kind::Memory, pages * 4096)
    }

    /// A thread with root's table and space that runs on that CPU, in user code, paid by `pool`.
    pub fn thread_in(&mut self, pool: Handle, cpu: usize, handler: Handle) -> Handle {
        let thread = self.create_in(pool, Kind::Thread, 0);
        let buffer = self.create_in(pool, Kind::Memory, 4096);
        self.root(
            Op::ThreadConfigure,
            thread,
            &[SPACE.0 as u64, TABLE.0 as u64, handler.0 as u64, buffer.0 as u64, cpu as u64 + 0x30],
        )
        .ok();
        self.root(Op::ThreadSchedule, thread, &[100, 0, 0, cpu as u64]).ok();
        self.root(Op::ThreadStart, thread, &[0x40_0000, 0x50_0000, 7]).ok();
        assert!(self.enter(cpu, Event::Kick));
        thread
    }

    pub fn thread(&mut self, cpu: usize) -> Handle {
        self.thread_in(POOL, cpu, Handle::NULL)
    }

    /// Frames that a pool has in use.
    pub fn used(&mut self, pool: Handle) -> u64 {
        self.root(Op::PoolUsage, pool, &[]).values[1]
    }

    /// The user registers of a CPU.
    pub fn registers(&mut self, cpu: usize) -> &mut Registers {
        &mut self.registers[cpu]
    }

    /// Sets the clock and lets a CPU's timer go off.
    pub fn timer(&mut self, cpu: usize, now_ns: u64) -> bool {
        machine::fake(|m| m.now_ns = now_ns);
        self.enter(cpu, Event::Timer)
    }

    /// Words 4 and up, and capabilities, of the buffer of the thread that runs on a CPU.
    pub fn buffer(&self, cpu: usize) -> machine::memory::Frame {
        self.kernel.buffer(self.kernel.cpus[cpu].current.unwrap()).unwrap()
    }
}

/// The message buffer of root's first thread.
fn root_buffer(kernel: &Kernel) -> machine::memory::Frame {
    kernel.buffer(kernel.cpus[0].current.unwrap()).unwrap()
}

/// What is mapped at an address of the space that CPU 0 runs in: writable, executable.
fn root_page(kernel: &Kernel, address: u64) -> Option<(bool, bool)> {
    let space = kernel.threads.get(kernel.cpus[0].current.unwrap()).unwrap().space.unwrap();
    let page = kernel.spaces.get(space).unwrap().table.as_ref().unwrap().lookup(address)?;
    Some((page.access.write, page.access.execute))
}
