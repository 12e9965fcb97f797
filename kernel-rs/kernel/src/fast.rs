// SPDX-License-Identifier: PMPL-1.0-or-later
//! Call and ReplyReceive when nothing stands in the way: a message without capabilities to a thread that waits for it,
//! on this CPU, with nobody of equal importance ready. Straight from one thread's registers to the other's.
//!
//! Everything here does what `ipc` and `schedule` do, less of it; a test compares the two. Checks come first and change
//! nothing: `None` leaves the call to the long way.
//!
//! No time is charged here: the payer stays the same from the call to the reply, so the charge at the next change of
//! payer, or at the timer, finds the whole of it. The timer stays as it is for the same reason.

use crate::Kernel;
use crate::alarm::NEVER;
use crate::objects::{Endpoint, Outgoing, ReplyRight, Server, State, Table, Thread};
use abi::handle::Handle;
use abi::message::{MAX_WORDS, REGISTER_WORDS, Tag};
use abi::op::Op;
use abi::right::{Kind, Rights};
use machine::memory::{Frame, Ref};
use machine::registers::Registers;

const CALL: u64 = Op::Call as u64;
const REPLY_RECEIVE: u64 = Op::ReplyReceive as u64;

impl Kernel {
    /// Does the system call in `r` if it is one of the two and all is in place.
    #[inline]
    pub(crate) fn fast(&mut self, cpu: usize, r: &mut Registers) -> Option<()> {
        match r.rax {
            CALL => self.fast_call(cpu, r),
            REPLY_RECEIVE => self.fast_reply_receive(cpu, r),
            _ => None,
        }
    }

    /// The running thread and the endpoint that its handle names with that right.
    #[inline(always)]
    fn fast_endpoint(&self, cpu: usize, r: &Registers, right: Rights) -> Option<(Ref<Thread>, Ref<Endpoint>, u64)> {
        // A tag's low half: a word count, no capabilities, nothing invalid.
        if r.rsi as u32 > MAX_WORDS as u32 {
            return None;
        }
        let c = &self.cpus[cpu];
        if c.direct.is_some() {
            return None;
        }
        let thread = c.current?;
        let t = self.threads.get(thread)?;
        if !t.is_running() {
            return None;
        }
        let table: &Table = self.tables.get(t.table?)?;
        let slot = table.present(Handle(u32::try_from(r.rdi).ok()?))?;
        if slot.kind != Kind::Endpoint || !slot.rights().contains(right) {
            return None;
        }
        Some((thread, Ref::from_raw(slot.object)?, slot.badge))
    }

    /// The buffers through which the words beyond the fourth travel, if there are any; `None` if one is missing.
    #[inline(always)]
    fn fast_buffers(&self, r: &Registers, from: Ref<Thread>, to: Ref<Thread>) -> Option<Option<(Frame, Frame)>> {
        if Tag(r.rsi).words() <= REGISTER_WORDS {
            return Some(None);
        }
        Some(Some((self.buffer(from)?, self.buffer(to)?)))
    }

    #[inline(never)]
    fn fast_call(&mut self, cpu: usize, r: &mut Registers) -> Option<()> {
        let (caller, endpoint, badge) = self.fast_endpoint(cpu, r, Rights::WRITE)?;
        let server = self.endpoints.get(endpoint)?.receivers.front()?;
        let buffers = self.fast_buffers(r, caller, server)?;
        let e = self.endpoints.get_mut(endpoint)?;
        let (c, s) = self.threads.get_two(caller, server)?;
        let priority = c.effective_priority();
        let here = s.affinity.is_none_or(|a| a == cpu);
        if self.cpus[cpu].top >= priority as i16 || !here || s.alarm.deadline_ns != NEVER {
            return None;
        }
        let table = self.spaces.get(s.space?).filter(|s| !s.dying)?.table.as_ref()?;
        // All is well.
        self.next_reply += 1;
        let number = self.next_reply;
        (c.state, c.outgoing, c.badge, c.reply_number) = (State::Replying(server), Outgoing::Call, badge, number);
        s.reply = Some(ReplyRight { caller, number });
        s.lent = s.lent.max(priority);
        s.payer = Some(c.payer.unwrap_or(caller));
        (s.state, s.cpu) = (State::Running(cpu), cpu);
        machine::switch_user(&mut c.user, &s.user);
        let alone = s.next.is_none() && s.previous.is_none();
        machine::activate(table);
        c.registers.keep(r);
        r.take(&s.registers);
        (r.rax, r.rdi) = (0, badge);
        if let Some((from, to)) = buffers {
            self.frames.copy_user_words(from, to, REGISTER_WORDS, Tag(r.rsi).words());
        }
        if alone {
            e.receivers.clear();
        } else {
            e.receivers.remove(&mut self.threads, server);
        }
        self.cpus[cpu].current = Some(server);
        Some(())
    }

    #[inline(never)]
    fn fast_reply_receive(&mut self, cpu: usize, r: &mut Registers) -> Option<()> {
        let (server, endpoint, _) = self.fast_endpoint(cpu, r, Rights::READ)?;
        let right = self.threads.get(server)?.reply?;
        let buffers = self.fast_buffers(r, server, right.caller)?;
        let e = self.endpoints.get_mut(endpoint)?;
        if !e.senders.is_empty() || !(e.server == Server::One(server) || e.server == Server::Several) {
            return None;
        }
        let (s, c) = self.threads.get_two(server, right.caller)?;
        if !matches!(c.state, State::Replying(_)) || c.reply_number != right.number || c.outgoing != Outgoing::Call {
            return None;
        }
        let here = c.affinity.is_none_or(|a| a == cpu);
        let same_payer = s.payer == Some(c.payer.unwrap_or(right.caller));
        if self.cpus[cpu].top >= c.effective_priority() as i16 || !here || !same_payer {
            return None;
        }
        if let Some(n) = s.notification
            && self.notifications.get(n).is_some_and(|n| n.word != 0)
        {
            return None;
        }
        let table = self.spaces.get(c.space?).filter(|s| !s.dying)?.table.as_ref()?;
        // All is well.
        (s.state, s.reply, s.payer, s.lent) = (State::Receiving(endpoint), None, None, 0);
        (c.state, c.cpu) = (State::Running(cpu), cpu);
        machine::switch_user(&mut s.user, &c.user);
        machine::activate(table);
        s.registers.keep(r);
        r.take(&c.registers);
        (r.rax, r.rdi) = (0, 0);
        if let Some((from, to)) = buffers {
            self.frames.copy_user_words(from, to, REGISTER_WORDS, Tag(r.rsi).words());
        }
        if e.receivers.is_empty() {
            e.receivers.fill(server);
        } else {
            e.receivers.push_back(&mut self.threads, server);
        }
        self.cpus[cpu].current = Some(right.caller);
        Some(())
    }
}
