// SPDX-License-Identifier: PMPL-1.0-or-later
//! A hostile program on CPU 1 of a running kernel: each sixteen bytes are a system call, a fault, an interrupt or time. It
//! has a pool, a table, a space, a thread, memory, an endpoint and a notification of its own. Promises: the kernel does
//! not panic, root's objects stay as they were, and when the program's pool dies, every frame has come back.
//!
//! One kernel serves many inputs, since making one takes longer than running in it.

use abi::handle::{Handle, start as slots};
use abi::op::{Op, TABLE};
use abi::right::Kind;
use kernel::{Kernel, Start, start};
use machine::registers::{Registers, SYSCALL, SYSCALL_BYTES};
use machine::{Event, Next};
use std::cell::RefCell;

const CPUS: usize = 2;
const RIP: u64 = 0x40_1000;
/// Inputs that one kernel serves.
const INPUTS: usize = 1000;

struct Computer {
    kernel: Kernel,
    registers: [Registers; CPUS],
    busy: [bool; CPUS],
    /// Frames that root's pool had in use before the program came, and the slot that its capabilities went to first.
    used: u64,
    inputs: usize,
    canary: Handle,
}

std::thread_local! {
    static COMPUTER: RefCell<Option<Computer>> = const { RefCell::new(None) };
}

impl Computer {
    fn new() -> Computer {
        machine::fake(|m| *m = Default::default());
        (0..CPUS).for_each(machine::run_nothing);
        let mut frames = machine::test_frames(700);
        let bundle_frame = frames.take_user_row(2).unwrap();
        let kernel = start(Start {
            frames,
            // Silent: what it logs of each input is of no interest.
            bundle: &machine::test_bundle(0),
            bundle_frame,
            info: &machine::test_boot_info(),
            ecam_base: 0,
            ecam_length_bytes: 0,
            cpus: CPUS,
            clock_offset_ns: 0,
        });
        let mut c =
            Computer { kernel, registers: Default::default(), busy: [false; CPUS], used: 0, inputs: 0, canary: Handle::NULL };
        (0..CPUS).for_each(|cpu| c.enter(cpu, Event::Nothing));
        c.root(Op::ThreadSchedule, slots::THREAD, [200, 0, 0, 0, 0]);
        c.canary = Handle(c.root(Op::Create, slots::POOL, [Kind::Notification as u64, 0, 0, 0, 0]) as u32);
        c.root(Op::Signal, c.canary, [0x5a, 0, 0, 0, 0]);
        c.used = c.usage();
        c
    }

    fn enter(&mut self, cpu: usize, event: Event) {
        let next = self.kernel.enter(cpu, self.busy[cpu], event, &mut self.registers[cpu]);
        self.busy[cpu] = next == Next::User;
        machine::fake(|m| {
            m.kicked.clear();
            m.flushed.clear();
            m.log.clear();
        });
        self.registers[cpu].confine();
    }

    fn call(&mut self, cpu: usize, op: u64, rdi: u64, arguments: [u64; 5]) {
        let r = &mut self.registers[cpu];
        (r.rax, r.rdi, r.rip) = (op, rdi, RIP - SYSCALL_BYTES);
        [r.rsi, r.rdx, r.r10, r.r8, r.r9] = arguments;
        for _ in 0..100_000 {
            let r = &mut self.registers[cpu];
            (r.rip, r.vector) = (RIP, SYSCALL);
            self.enter(cpu, Event::Syscall);
            if !self.busy[cpu] || self.registers[cpu].rip != RIP - SYSCALL_BYTES {
                return;
            }
            self.enter(1 - cpu, Event::Kick);
        }
        panic!("operation {op} is never done");
    }

    /// An operation of root's that succeeds; its first value.
    #[track_caller]
    fn root(&mut self, op: Op, handle: Handle, arguments: [u64; 5]) -> u64 {
        self.call(0, op as u64, handle.0 as u64, arguments);
        assert!(self.busy[0]);
        assert_eq!(self.registers[0].rax, 0, "{op:?} of root");
        self.registers[0].rdi
    }

    fn usage(&mut self) -> u64 {
        self.root(Op::PoolUsage, slots::POOL, [0; 5]);
        self.registers[0].rsi
    }

    /// The hostile program, ready to run on CPU 1; the handle of its pool.
    fn begin(&mut self) -> Handle {
        let pool = Handle(self.root(Op::PoolSplit, slots::POOL, [150, 0, 0, 0, 0]) as u32);
        let mut make = |kind: Kind, argument| Handle(self.root(Op::Create, pool, [kind as u64, argument, 0, 0, 0]) as u32);
        let table = make(Kind::Table, 40);
        let parts = [
            table,
            make(Kind::AddressSpace, 0),
            make(Kind::Thread, 0),
            make(Kind::Memory, 3 * 4096),
            make(Kind::Endpoint, 0),
            make(Kind::Notification, 0),
            make(Kind::Endpoint, 0),
        ];
        for part in parts.iter().chain([&pool]) {
            self.root(Op::TableInsert, table, [part.0 as u64, 0xff, 0, 0, 0]);
        }
        let [table, space, thread, memory, endpoint, ..] = parts.map(|h| h.0 as u64);
        self.root(Op::ThreadConfigure, Handle(thread as u32), [space, table, endpoint, memory, 0]);
        self.root(Op::ThreadSchedule, Handle(thread as u32), [50, 0, 0, 1, 0]);
        self.root(Op::ThreadStart, Handle(thread as u32), [0x40_0000, 0x5000, 0, 0, 0]);
        self.enter(1, Event::Kick);
        for part in parts {
            self.root(Op::Delete, part, [0; 5]);
        }
        pool
    }

    fn end(&mut self, pool: Handle) {
        self.root(Op::PoolDestroy, pool, [0; 5]);
        self.root(Op::Delete, pool, [0; 5]);
        self.enter(1, Event::Kick);
        assert!(!self.busy[1], "a thread of a dead pool runs");
        assert_eq!(self.usage(), self.used, "frames in use");
        assert_eq!(self.root(Op::Wait, self.canary, [0; 5]), 0x5a, "bits of root's notification");
        self.root(Op::Signal, self.canary, [0x5a, 0, 0, 0, 0]);
    }

    fn step(&mut self, bytes: &[u8; 16]) {
        let [kind, op, handle, a, b, c, d, e, rest @ ..] = *bytes;
        let wide = u64::from_le_bytes(rest);
        match kind {
            0..200 if self.busy[1] => {
                let op = if op < 250 { TABLE[op as usize % TABLE.len()].op as u64 } else { wide };
                let arguments = [a, b, c, d, e].map(|n| argument(n, wide));
                self.call(1, op, argument(handle % 64, wide), arguments);
            }
            200..210 if self.busy[1] => {
                self.enter(1, Event::Fault { vector: op % 20, error: a as u64, address: wide });
            }
            210..225 => {
                machine::fake(|m| m.now_ns = m.now_ns.wrapping_add(wide & 0xff_ffff));
                self.enter(1, Event::Timer);
            }
            225..230 => self.enter(1, Event::Interrupt(op)),
            _ => self.enter(1, Event::Kick),
        }
    }
}

/// A byte as an argument: small handles first, then numbers that matter, then anything.
fn argument(n: u8, wide: u64) -> u64 {
    const NUMBERS: [u64; 16] = [
        0,
        1,
        2,
        4096,
        8192,
        0x7000_0000,
        0x7fff_ffff_e000,
        0x7fff_ffff_f000,
        1 << 47,
        0xffff_8000_0000_0000,
        u64::MAX,
        u64::MAX & !4095,
        3,
        7,
        0xff,
        1 << 32,
    ];
    match n {
        0..48 => Handle::new(n as u32, 1).0 as u64,
        48..64 => Handle::new(n as u32 % 12, 2).0 as u64,
        64..128 => NUMBERS[n as usize % 16],
        128..192 => n as u64 - 128,
        192..224 => (wide & 0xffff) << 12,
        _ => wide,
    }
}

pub fn run(data: &[u8]) {
    COMPUTER.with_borrow_mut(|slot| {
        let mut computer = slot.take().filter(|c| c.inputs < INPUTS).unwrap_or_else(Computer::new);
        computer.inputs += 1;
        let pool = computer.begin();
        for bytes in data.as_chunks::<16>().0 {
            computer.step(bytes);
        }
        computer.end(pool);
        // A panic leaves no computer behind.
        *slot = Some(computer);
    });
}
