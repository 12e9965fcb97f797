// SPDX-License-Identifier: PMPL-1.0-or-later
//! A stopped thread's registers, for debuggers and for whoever runs other systems' programs: all of them at once, through
//! the caller's message buffer.

use super::{State, Thread};
use crate::Kernel;
use crate::invoke::{Call, Done, Flow, at};
use abi::boot_info::USER_END;
use abi::error::Error;
use abi::right::{Kind, Rights};
use abi::thread::{REGISTERS, WORD};
use machine::memory::Ref;
use machine::registers::Registers;

/// Registers in the order of `abi::thread::WORD`, but for the bases.
fn words(r: &mut Registers) -> [&mut u64; REGISTERS - 2] {
    [
        &mut r.rax,
        &mut r.rbx,
        &mut r.rcx,
        &mut r.rdx,
        &mut r.rsi,
        &mut r.rdi,
        &mut r.rbp,
        &mut r.rsp,
        &mut r.r8,
        &mut r.r9,
        &mut r.r10,
        &mut r.r11,
        &mut r.r12,
        &mut r.r13,
        &mut r.r14,
        &mut r.r15,
        &mut r.rip,
        &mut r.rflags,
    ]
}

impl Kernel {
    /// A thread that stopped and whose registers no CPU has.
    fn stopped(&self, call: &Call, right: Rights) -> Result<Ref<Thread>, crate::invoke::Failure> {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, right)?;
        let stopped = self.get(thread)?.state == State::Stopped && self.running_on(thread).is_none();
        if stopped { Ok(thread) } else { Err(Error::BadState.into()) }
    }

    /// `Op::ThreadReadRegisters`.
    pub(crate) fn thread_read_registers(&mut self, call: &Call) -> Done {
        let thread = self.stopped(call, Rights::READ)?;
        let buffer = self.buffer(call.thread).ok_or(Error::BadState)?;
        let t = self.get(thread)?;
        let (mut registers, bases) = (t.registers, [t.user.fs_base, t.user.gs_base]);
        for (n, word) in words(&mut registers).into_iter().map(|r| *r).chain(bases).enumerate() {
            self.frames.write_user_word(buffer, n * 8, word);
        }
        Ok(Flow::value(REGISTERS as u64))
    }

    /// `Op::ThreadWriteRegisters`. Each word is read once.
    pub(crate) fn thread_write_registers(&mut self, call: &Call) -> Done {
        let thread = self.stopped(call, Rights::WRITE)?;
        let buffer = self.buffer(call.thread).ok_or(Error::BadState)?;
        let mut new = [0; REGISTERS];
        for (n, word) in new.iter_mut().enumerate() {
            *word = self.frames.read_user_word(buffer, n * 8);
        }
        for n in [WORD.rip, WORD.fs_base, WORD.gs_base] {
            if new.get(n).is_none_or(|address| *address >= USER_END) {
                return Err(at(Error::OutOfRange, n as u64));
            }
        }
        let t = self.get_mut(thread)?;
        // Whatever it was executing, it is not: what it had begun stays with who pays for it.
        (t.progress, t.making) = (0, None);
        let mut registers = Registers::default();
        words(&mut registers).into_iter().zip(new).for_each(|(to, from)| *to = from);
        registers.confine();
        t.registers = registers;
        (t.user.fs_base, t.user.gs_base) = (new[WORD.fs_base], new[WORD.gs_base]);
        Ok(Flow::NOTHING)
    }
}
