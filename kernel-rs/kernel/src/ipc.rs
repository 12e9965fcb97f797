// SPDX-License-Identifier: PMPL-1.0-or-later
//! Messages: from a sender's registers and buffer to a receiver's, capabilities with them, and the right to answer.
//!
//! A transfer checks all before it changes anything. The one queued longest is served first.

use crate::Kernel;
use crate::alarm::NEVER;
use crate::fast::FAULT_REPLY;
use crate::invoke::{Call, Done, Failure, Flow, at};
use crate::objects::{Endpoint, Outgoing, ReplyRight, Server, Slot, State, Thread};
use abi::error::Error;
use abi::handle::Handle;
use abi::message::{MAX_CAPS, REGISTER_WORDS, Tag};
use abi::right::{Kind, Rights};
use machine::memory::{Frame, Ref};

/// Where `abi::message::Buffer::caps` begins.
pub(crate) const CAPS_OFFSET: usize = abi::message::MAX_WORDS * 8;
/// Longest chain of callers that is followed to find a cycle.
pub(crate) const LONGEST_CHAIN: usize = 64;

impl Kernel {
    /// The operation's result in the registers of a thread that waited in it.
    pub(crate) fn set_result(&mut self, thread: Ref<Thread>, values: [u64; 4]) {
        if let Some(t) = self.threads.get_mut(thread) {
            let r = &mut t.registers;
            r.rax = 0;
            [r.rdi, r.rsi, r.rdx, r.r10] = values;
            (r.r8, r.r9) = (0, 0);
        }
    }

    pub(crate) fn set_error(&mut self, thread: Ref<Thread>, error: Error) {
        if let Some(t) = self.threads.get_mut(thread) {
            let r = &mut t.registers;
            (r.rax, r.rdi, r.rsi) = (error as u64, 0, 0);
            [r.rdx, r.r10, r.r8, r.r9] = [0; REGISTER_WORDS];
        }
    }

    pub(crate) fn set_message(&mut self, thread: Ref<Thread>, badge: u64, tag: Tag, words: [u64; REGISTER_WORDS]) {
        if let Some(t) = self.threads.get_mut(thread) {
            let r = &mut t.registers;
            (r.rax, r.rdi, r.rsi) = (0, badge, tag.0);
            [r.rdx, r.r10, r.r8, r.r9] = words;
        }
    }

    /// The first page of a thread's message buffer.
    pub(crate) fn buffer(&self, thread: Ref<Thread>) -> Option<Frame> {
        self.buffer_of(self.threads.get(thread)?)
    }

    pub(crate) fn buffer_of(&self, t: &Thread) -> Option<Frame> {
        self.memories.get(t.buffer?).filter(|m| m.pages > 0).map(|_| t.buffer_frame)
    }

    /// Moves a message whose tag is valid. After an error neither side has changed.
    fn transfer(&mut self, from: Ref<Thread>, to: Ref<Thread>, badge: u64) -> Result<(), Failure> {
        let r = &self.get(from)?.registers;
        let (tag, words) = (Tag(r.rsi), [r.rdx, r.r10, r.r8, r.r9]);
        if tag.words() > REGISTER_WORDS || tag.caps() > 0 {
            let source = self.buffer(from).ok_or(at(Error::BadArgument, 0))?;
            let target = self.buffer(to).ok_or(Error::ReceiverFull)?;
            if tag.caps() > 0 {
                self.transfer_capabilities(from, to, tag, source, target)?;
            }
            self.frames.copy_user_words(source, target, REGISTER_WORDS, tag.words());
        }
        self.set_message(to, badge, Tag(tag.0 & !Tag::MOVE_CAPS), words);
        Ok(())
    }

    fn transfer_capabilities(
        &mut self,
        from: Ref<Thread>,
        to: Ref<Thread>,
        tag: Tag,
        source: Frame,
        target: Frame,
    ) -> Result<(), Failure> {
        let from_table = self.get(from)?.table.ok_or(Error::BadHandle)?;
        let to_table = self.get(to)?.table.ok_or(Error::ReceiverFull)?;
        let mut bytes = [0; MAX_CAPS * 4];
        self.frames.read_user(source, CAPS_OFFSET, &mut bytes);
        let mut handles = [Handle::NULL; MAX_CAPS];
        for (handle, b) in handles.iter_mut().zip(bytes.chunks_exact(4)) {
            *handle = Handle(u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        }
        let handles = &mut handles[..tag.caps()];
        for (n, handle) in handles.iter().enumerate() {
            let slot = self.slot(from_table, *handle)?;
            let twice = tag.moves_caps() && handles[..n].contains(handle);
            if !slot.rights().contains(Rights::COPY) || !self.is_alive(&slot) || twice {
                return Err(Error::NotTransferable.into());
            }
        }
        self.table_has_room_now(to_table, handles.len() as u32).map_err(|_| Error::ReceiverFull)?;
        for (n, handle) in handles.iter_mut().enumerate() {
            let place = (from_table, handle.index());
            let new = if tag.moves_caps() {
                self.move_slot(place, to_table)
            } else {
                self.slot(from_table, *handle).and_then(|slot| self.derive(place, to_table, None, Rights::ALL, slot.badge))
            };
            // A chain of derivation at its longest gives the null handle.
            let bytes = new.unwrap_or(Handle::NULL).0.to_le_bytes();
            self.frames.write_user(target, CAPS_OFFSET + n * 4, &bytes);
        }
        Ok(())
    }

    /// Gives what `sender` sends to `receiver`. Afterwards the sender is where it belongs; the receiver's registers are
    /// set, but it is in no queue yet. After an error neither has changed.
    fn deliver(&mut self, cpu: usize, sender: Ref<Thread>, receiver: Ref<Thread>) -> Result<(), Failure> {
        let s = self.get(sender)?;
        let (outgoing, badge) = (s.outgoing, s.badge);
        match outgoing {
            Outgoing::Send | Outgoing::Call => self.transfer(sender, receiver, badge)?,
            Outgoing::Fault(fault) => self.transfer_fault(sender, receiver, badge, fault)?,
            Outgoing::Exit(code) => self.transfer_exit(receiver, badge, code),
        }
        let waited = !self.get(sender)?.is_running();
        if outgoing != Outgoing::Send || waited {
            self.end_wait(sender);
        }
        match outgoing {
            Outgoing::Send => {
                self.set_result(sender, [0; 4]);
                if waited {
                    self.wake(cpu, sender);
                }
            }
            Outgoing::Call | Outgoing::Fault(_) => {
                let number = self.new_reply() | if outgoing == Outgoing::Call { 0 } else { FAULT_REPLY };
                self.lend(sender, receiver);
                let s = self.get_mut(sender)?;
                (s.state, s.reply_number) = (State::Replying(receiver), number);
                self.get_mut(receiver)?.reply = Some(ReplyRight { caller: sender, number });
            }
            Outgoing::Exit(_) => self.get_mut(sender)?.state = State::Inactive,
        }
        Ok(())
    }

    /// Sends from the running thread, or queues it. True if it was taken at once.
    pub(crate) fn send(
        &mut self,
        cpu: usize,
        sender: Ref<Thread>,
        endpoint: Ref<Endpoint>,
        badge: u64,
        outgoing: Outgoing,
    ) -> Result<bool, Failure> {
        let s = self.get_mut(sender)?;
        (s.outgoing, s.badge) = (outgoing, badge);
        let e = self.get(endpoint)?;
        if let Some(receiver) = e.receivers.front() {
            self.deliver(cpu, sender, receiver)?;
            self.end_wait(receiver);
            self.wake(cpu, receiver);
            return Ok(true);
        }
        let server = e.server;
        if outgoing == Outgoing::Call && self.waits_for(server, sender) {
            return Err(Error::Cycle.into());
        }
        self.block(sender, State::Sending(endpoint), NEVER);
        let e = self.endpoints.get_mut(endpoint).ok_or(Error::Gone)?;
        e.senders.push_back(&mut self.threads, sender);
        self.endpoints.set_home(endpoint, None);
        if let Server::One(server) = server {
            self.boost(cpu, sender, server);
        }
        Ok(false)
    }

    /// Whether a server waits, through calls, for that thread.
    fn waits_for(&self, server: Server, thread: Ref<Thread>) -> bool {
        let mut at = server;
        for _ in 0..LONGEST_CHAIN {
            let Server::One(one) = at else { return false };
            if one == thread {
                return true;
            }
            at = match self.threads.get(one).map(|t| t.state) {
                Some(State::Replying(next)) => Server::One(next),
                Some(State::Sending(endpoint)) => self.endpoints.get(endpoint).map_or(Server::Nobody, |e| e.server),
                _ => Server::Nobody,
            };
        }
        false
    }

    fn endpoint_message(&mut self, call: &Call, outgoing: Outgoing) -> Done {
        let (endpoint, slot) = self.object::<Endpoint>(call, Kind::Endpoint, Rights::WRITE)?;
        let tag = valid_tag(call)?;
        if tag.caps() > 0 && !slot.rights().contains(Rights::TRANSFER) {
            return Err(Error::NotTransferable.into());
        }
        self.send(call.cpu, call.thread, endpoint, slot.badge, outgoing)?;
        // A Send that was taken has its result already.
        Ok(Flow::Blocked)
    }

    /// `Op::Call`.
    pub(crate) fn endpoint_call(&mut self, call: &Call) -> Done {
        self.endpoint_message(call, Outgoing::Call)
    }

    /// `Op::Send`.
    pub(crate) fn endpoint_send(&mut self, call: &Call) -> Done {
        self.endpoint_message(call, Outgoing::Send)
    }

    /// `Op::Receive`.
    pub(crate) fn endpoint_receive(&mut self, call: &Call) -> Done {
        let (endpoint, _) = self.object::<Endpoint>(call, Kind::Endpoint, Rights::READ)?;
        self.drop_reply(call.cpu, call.thread);
        self.receive(call, endpoint, call.arguments[0])
    }

    fn receive(&mut self, call: &Call, endpoint: Ref<Endpoint>, timeout_ns: u64) -> Done {
        let thread = call.thread;
        self.get_mut(endpoint)?.receives(thread);
        self.get_mut(thread)?.serves = endpoint.id();
        if let Some(bits) = self.take_bound_bits(thread) {
            self.set_notified(thread, bits);
            return Ok(Flow::Blocked);
        }
        while let Some(sender) = self.get(endpoint)?.senders.front() {
            match self.deliver(call.cpu, sender, thread) {
                Ok(()) => return Ok(Flow::Blocked),
                Err(failure) => {
                    // The message cannot be delivered: its sender hears why, the next one has its turn.
                    self.end_wait(sender);
                    self.set_error(sender, failure.error);
                    self.wake(call.cpu, sender);
                }
            }
        }
        if timeout_ns == 0 {
            return Err(Error::WouldBlock.into());
        }
        self.block(thread, State::Receiving(endpoint), timeout_ns);
        self.endpoint_waits(endpoint, thread);
        let e = self.endpoints.get_mut(endpoint).ok_or(Error::Gone)?;
        e.receivers.push_back(&mut self.threads, thread);
        Ok(Flow::Blocked)
    }

    /// `Op::ReplyReceive`.
    pub(crate) fn endpoint_reply_receive(&mut self, call: &Call) -> Done {
        let (endpoint, _) = self.object::<Endpoint>(call, Kind::Endpoint, Rights::READ)?;
        valid_tag(call)?;
        let right = self.get(call.thread)?.reply.filter(|r| self.is_open(*r));
        if let Some(right) = right {
            self.answer(call.thread, right)?;
        }
        self.finish_reply(call.thread);
        let outcome = self.receive(call, endpoint, NEVER);
        // Woken after this thread waits, so that the CPU goes straight to the caller.
        if let Some(right) = right {
            self.wake_answered(call.cpu, right.caller);
        }
        outcome
    }

    /// `Op::Reply`.
    pub(crate) fn reply(&mut self, call: &Call) -> Done {
        let saved = !call.handle.is_null();
        let right = if saved {
            let slot = self.slot(call.table, call.handle)?;
            if slot.kind != Kind::Reply {
                return Err(Error::WrongKind.into());
            }
            reply_right(&slot)
        } else {
            self.get(call.thread)?.reply
        };
        valid_tag(call)?;
        let Some(right) = right.filter(|r| self.is_open(*r)) else {
            if saved {
                self.clear_slot(call.table, call.handle.index());
            } else {
                self.finish_reply(call.thread);
            }
            return Err(Error::NoReply.into());
        };
        self.answer(call.thread, right)?;
        if saved {
            self.clear_slot(call.table, call.handle.index());
        } else {
            self.finish_reply(call.thread);
        }
        self.wake_answered(call.cpu, right.caller);
        Ok(Flow::NOTHING)
    }

    /// Whether a reply right can still be used.
    pub(crate) fn is_open(&self, right: ReplyRight) -> bool {
        self.threads.get(right.caller).is_some_and(|t| matches!(t.state, State::Replying(_)) && t.reply_number == right.number)
    }

    pub(crate) fn reply_is_open(&self, slot: &Slot) -> bool {
        reply_right(slot).is_some_and(|r| self.is_open(r))
    }

    /// Puts the answer into the caller's registers; the right is used up, the caller in no queue yet.
    fn answer(&mut self, from: Ref<Thread>, right: ReplyRight) -> Result<(), Failure> {
        let caller = right.caller;
        let mut goes_on = true;
        if let Outgoing::Fault(_) = self.get(caller)?.outgoing {
            goes_on = Tag(self.get(from)?.registers.rsi).label() == 0;
        } else {
            self.transfer(from, caller, 0)?;
        }
        self.end_wait(caller);
        if !goes_on {
            self.get_mut(caller)?.state = State::Inactive;
        }
        Ok(())
    }

    fn wake_answered(&mut self, cpu: usize, caller: Ref<Thread>) {
        if self.threads.get(caller).is_some_and(|t| t.state == State::Stopped) {
            self.wake(cpu, caller);
        }
    }

    /// The thread works for nobody any more.
    fn finish_reply(&mut self, thread: Ref<Thread>) {
        self.settle(thread);
        if let Some(t) = self.threads.get_mut(thread) {
            // It may be less important now, and its time is its own again.
            let less = t.lent > t.priority || t.payer.is_some() && t.budget_ns > 0;
            (t.reply, t.payer, t.lent) = (None, None, 0);
            self.cpus[self.here].look |= less;
        }
    }

    /// Drops the reply right that a thread holds: its caller gets `Gone`.
    pub(crate) fn drop_reply(&mut self, cpu: usize, thread: Ref<Thread>) {
        let right = self.threads.get(thread).and_then(|t| t.reply);
        self.finish_reply(thread);
        if let Some(right) = right {
            self.refuse(cpu, right);
        }
    }

    /// A `Reply` capability was emptied: nobody will answer.
    pub(crate) fn drop_reply_capability(&mut self, slot: &Slot) {
        if let Some(right) = reply_right(slot) {
            self.refuse(self.here, right);
        }
    }

    fn refuse(&mut self, cpu: usize, right: ReplyRight) {
        if !self.is_open(right) {
            return;
        }
        self.end_wait(right.caller);
        match self.threads.get(right.caller).map(|t| t.outgoing) {
            Some(Outgoing::Fault(fault)) => self.end_faulted(right.caller, fault),
            _ => {
                self.set_error(right.caller, Error::Gone);
                self.wake(cpu, right.caller);
            }
        }
    }

    /// `Op::ReplySave`.
    pub(crate) fn reply_save(&mut self, call: &Call) -> Done {
        let right = self.get(call.thread)?.reply.filter(|r| self.is_open(*r)).ok_or(Error::NoReply)?;
        self.table_has_room(call.table, 1)?;
        let handle = self.insert_new(call.table, Kind::Reply, right.caller.to_raw(), Rights::NONE, right.number)?;
        self.get_mut(call.thread)?.reply = None;
        Ok(Flow::value(handle.0 as u64))
    }
}

fn reply_right(slot: &Slot) -> Option<ReplyRight> {
    Some(ReplyRight { caller: Ref::from_raw(slot.object)?, number: slot.badge })
}

fn valid_tag(call: &Call) -> Result<Tag, Failure> {
    let tag = Tag(call.arguments[0]);
    if tag.is_valid() { Ok(tag) } else { Err(at(Error::BadArgument, 0)) }
}
