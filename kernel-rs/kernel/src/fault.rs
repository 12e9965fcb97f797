// SPDX-License-Identifier: PMPL-1.0-or-later
//! Faults and ends of threads, told to their handlers as messages (`abi::fault`).

use crate::invoke::{Call, Done, Failure, Flow};
use crate::objects::{Outgoing, State, Thread};
use crate::{Kernel, Level};
use abi::fault::{Cause, label};
use abi::message::{REGISTER_WORDS, Tag};
use machine::memory::Ref;
use machine::registers::Registers;

/// What the CPU said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub vector: u8,
    pub error: u64,
    pub address: u64,
}

impl Fault {
    /// What the registers tell at the entry, and an address.
    #[inline(always)]
    pub fn of(r: &Registers, address: u64) -> Fault {
        Fault { vector: r.vector as u8, error: r.error, address }
    }

    fn cause(&self) -> Cause {
        Cause::from_vector(self.vector).unwrap_or(Cause::GeneralProtection)
    }

    /// The message about it.
    #[inline(always)]
    pub fn words(&self, r: &Registers) -> [u64; FAULT_WORDS] {
        let (cause, address, error) = (self.cause() as u64, self.address, self.error);
        [
            cause, address, error, r.rip, r.rsp, r.rflags, r.rbp, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.r8, r.r9, r.r10,
            r.r11, r.r12, r.r13, r.r14, r.r15,
        ]
    }
}

/// Seven of the fault, fourteen general registers.
pub const FAULT_WORDS: usize = 21;

impl Kernel {
    /// The running thread did what the CPU refuses.
    pub(crate) fn thread_faults(&mut self, cpu: usize, thread: Ref<Thread>, fault: Fault) {
        let handler = self.threads.get(thread).and_then(|t| t.handler);
        let told =
            handler.is_some_and(|(endpoint, badge)| self.send(cpu, thread, endpoint, badge, Outgoing::Fault(fault)).is_ok());
        if !told {
            self.end_faulted(thread, fault);
        }
    }

    /// A fault that nobody handles ends the thread; what is known of it goes to the log.
    pub(crate) fn end_faulted(&mut self, thread: Ref<Thread>, fault: Fault) {
        let Some(t) = self.threads.get_mut(thread) else { return };
        t.state = State::Inactive;
        let (name, r) = (t.name, t.registers);
        let name = core::str::from_utf8(&name).unwrap_or("?").trim_end_matches('\0');
        self.log(
            Level::Error,
            format_args!(
                "thread {name} ended: {} at {:#x}, address {:#x}, error {:#x}, nobody handles it",
                fault.cause().name(),
                r.rip,
                fault.address,
                fault.error
            ),
        );
        self.log(Level::Error, format_args!("  rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", r.rax, r.rbx, r.rcx, r.rdx));
        self.log(Level::Error, format_args!("  rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}", r.rsi, r.rdi, r.rbp, r.rsp));
        self.log(Level::Error, format_args!("  r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}", r.r8, r.r9, r.r10, r.r11));
        self.log(
            Level::Error,
            format_args!("  r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x} rflags {:x}", r.r12, r.r13, r.r14, r.r15, r.rflags),
        );
    }

    /// The message about a fault; words beyond the fourth need the receiver's buffer and are left out without one.
    pub(crate) fn transfer_fault(
        &mut self,
        thread: Ref<Thread>,
        to: Ref<Thread>,
        badge: u64,
        fault: Fault,
    ) -> Result<(), Failure> {
        let words = fault.words(&self.get(thread)?.registers);
        let mut count = REGISTER_WORDS;
        if let Some(buffer) = self.buffer(to) {
            count = FAULT_WORDS;
            for (n, word) in words.iter().enumerate().skip(REGISTER_WORDS) {
                self.frames.write_user_word(buffer, n * 8, *word);
            }
        }
        self.set_message(to, badge, Tag::new(label::FAULT, count, 0), [words[0], words[1], words[2], words[3]]);
        Ok(())
    }

    pub(crate) fn transfer_exit(&mut self, to: Ref<Thread>, badge: u64, code: u64) {
        self.set_message(to, badge, Tag::new(label::EXIT, 1, 0), [code, 0, 0, 0]);
    }

    /// `Op::ThreadExit`.
    pub(crate) fn thread_exit(&mut self, call: &Call) -> Done {
        let code = call.arguments[0];
        let t = self.get(call.thread)?;
        self.log(Level::Debug, format_args!("thread {} exits with {code}", t.name()));
        self.drop_reply(call.cpu, call.thread);
        let handler = self.get(call.thread)?.handler;
        let told = handler
            .is_some_and(|(endpoint, badge)| self.send(call.cpu, call.thread, endpoint, badge, Outgoing::Exit(code)).is_ok());
        if !told {
            self.get_mut(call.thread)?.state = State::Inactive;
        }
        Ok(Flow::Blocked)
    }
}
