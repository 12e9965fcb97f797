// SPDX-License-Identifier: PMPL-1.0-or-later
//! The computer under the model: four CPUs, a clock, timers that go off when they were set to, kicks that arrive. It
//! reaches the kernel through `Kernel::enter` only and tells threads apart by their stack pointers, as a debugger would.

use super::*;
use machine::memory::Frame;

/// Thread number `n` of the model has its stack here: it never changes it, so it shows who runs.
const STACKS: u64 = 0x10_0000_0000;
const STACK_BYTES: u64 = 64;

pub struct Computer {
    pub kernel: Kernel,
    pub registers: [Registers; CPUS],
    pub busy: [bool; CPUS],
    /// When each CPU's timer goes off.
    timers: [Option<u64>; CPUS],
    pub now_ns: u64,
    /// The thread of the model that each CPU was seen with.
    pub running: [Option<usize>; CPUS],
}

impl Computer {
    /// Operations that are not tried here.
    pub const WITHOUT: &'static [Op] = &[];
    pub const HAS_DEBUG: bool = cfg!(feature = "debug");
    /// Slots of root's table that are kept free.
    pub const FREE_SLOTS: u64 = 60;

    pub fn cpus(&self) -> u64 {
        CPUS as u64
    }
    /// The stack pointer of that thread of the model.
    pub fn stack(thread: usize) -> u64 {
        STACKS + thread as u64 * STACK_BYTES
    }

    /// A word of a message buffer.
    pub fn read_word(&self, frame: u32, n: usize) -> u64 {
        self.kernel.frames.read_user_word(Frame(frame), n * 8)
    }
    pub fn write_word(&mut self, frame: u32, n: usize, word: u64) {
        self.kernel.frames.write_user_word(Frame(frame), n * 8, word);
    }

    /// Root runs on CPU 0, the others idle.
    pub fn new(frames: u32) -> Computer {
        machine::fake(|m| *m = Default::default());
        (0..CPUS).for_each(machine::run_nothing);
        let mut c = Computer {
            kernel: booted(frames),
            registers: Default::default(),
            busy: [false; CPUS],
            timers: [None; CPUS],
            now_ns: 1,
            running: [None; CPUS],
        };
        machine::fake(|m| m.now_ns = 1);
        (0..CPUS).for_each(|cpu| c.enter(cpu, Event::Nothing));
        assert_eq!(c.busy, [true, false, false, false]);
        c
    }

    pub fn enter(&mut self, cpu: usize, event: Event) {
        let timer = if event == Event::Timer { None } else { self.timers[cpu] };
        machine::fake(|m| m.timer_ns = timer);
        let next = self.kernel.enter(cpu, self.busy[cpu], event, &mut self.registers[cpu]);
        self.busy[cpu] = next == Next::User;
        self.timers[cpu] = machine::fake(|m| m.timer_ns);
        self.registers[cpu].confine();
    }

    /// The number of the thread that a CPU runs.
    pub fn runs(&self, cpu: usize) -> Option<usize> {
        let at = self.registers[cpu].rsp;
        self.busy[cpu].then(|| {
            assert!(at >= STACKS && at.is_multiple_of(STACK_BYTES), "a stack pointer of nobody: {at:#x}");
            ((at - STACKS) / STACK_BYTES) as usize
        })
    }

    /// CPUs that were asked to enter the kernel since the last time.
    pub fn kicked(&mut self) -> Vec<usize> {
        machine::fake(|m| {
            m.flushed.clear();
            m.log.clear();
            core::mem::take(&mut m.kicked)
        })
    }

    /// The CPU whose timer goes off first, no later than that, and when.
    pub fn first_timer(&self, until_ns: u64) -> Option<(usize, u64)> {
        (0..CPUS).filter_map(|cpu| Some((cpu, self.timers[cpu]?))).filter(|(_, at)| *at <= until_ns).min_by_key(|(_, at)| *at)
    }

    pub fn set_clock(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        machine::fake(|m| m.now_ns = now_ns);
    }

    /// Puts a system call into the registers of the thread that runs on a CPU.
    pub fn prepare(&mut self, cpu: usize, op: u64, rdi: u64, arguments: [u64; 5]) {
        let r = &mut self.registers[cpu];
        (r.rax, r.rdi) = (op, rdi);
        [r.rsi, r.rdx, r.r10, r.r8, r.r9] = arguments;
        r.rip = RIP - SYSCALL_BYTES;
    }

    /// Executes the `syscall` instruction at which a thread stands; true if it stands there again.
    pub fn execute(&mut self, cpu: usize) -> bool {
        let before = self.registers[cpu].rsp;
        let r = &mut self.registers[cpu];
        (r.rip, r.vector) = (RIP, SYSCALL);
        self.enter(cpu, Event::Syscall);
        self.busy[cpu] && self.registers[cpu].rsp == before && self.registers[cpu].rip == RIP - SYSCALL_BYTES
    }
}
