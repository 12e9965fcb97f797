// SPDX-License-Identifier: PMPL-1.0-or-later
//! Local mode: Call, ReplyReceive, Signal, Wait and faults when nothing stands in the way, between threads of one CPU,
//! with that CPU's lock alone. A message goes straight from one thread's registers to the other's.
//!
//! Everything here does what `ipc`, `notification` and `schedule` do, less of it; a test compares the two. Checks come
//! first and change nothing: `None` leaves the call to the long way. What is not at home on this CPU is not found: who
//! was stopped, waits with a timeout, or may not run here, and endpoints in which senders wait, are at home nowhere.
//!
//! No time is charged here: the payer stays the same, so the charge at the next change of payer, or at the timer, finds
//! the whole of it.

use crate::Kernel;
use crate::alarm::NEVER;
use crate::carry::{self, Carried};
use crate::fault::{FAULT_WORDS, Fault};
use crate::objects::{Endpoint, Memory, Notification, Outgoing, ReplyRight, Slot, Space, State, Table, Thread};
use crate::schedule::Cpu;
use abi::fault::label;
use abi::message::{MAX_WORDS, REGISTER_WORDS, Tag};
use abi::op::Op;
use abi::right::{Kind, Rights};
use machine::memory::{Key, Mine, PageTable, Reader, Ref, RunKey, Running, UserWords};
use machine::registers::Registers;
use machine::{Core, DEVICE_NOT_AVAILABLE, Left, Local, MAX_CPUS, Maker, Outcome};

/// Reply rights made on a CPU have its number in their low bits, those made with all locks held `FIRST_REPLY`.
pub const REPLY_STEP: u64 = 2 * MAX_CPUS as u64;
pub const FIRST_REPLY: u64 = MAX_CPUS as u64;
/// In the number of a right that answers a fault, not a call.
pub const FAULT_REPLY: u64 = 1 << 63;

/// What a CPU has in local mode.
pub struct Own {
    cpu: Mine<Cpu>,
    threads: RunKey<Thread>,
    endpoints: Key<Endpoint>,
    notifications: Key<Notification>,
    tables: Reader<Table>,
    spaces: Reader<Space>,
    memories: Reader<Memory>,
    words: UserWords,
    last_reply: u64,
    slice_ns: u64,
    /// A thread whose shortcuts an operation found stale.
    stale: Option<Ref<Thread>>,
}

impl Core for Kernel {
    type Own = Own;
    type Carried = Carried;

    fn own(&mut self, maker: &Maker) -> Own {
        Own {
            cpu: self.cpus.key(maker),
            threads: self.threads.run_key(maker),
            endpoints: self.endpoints.key(maker),
            notifications: self.notifications.key(maker),
            tables: self.tables.reader(),
            spaces: self.spaces.reader(),
            memories: self.memories.reader(),
            words: UserWords::new(&self.frames),
            last_reply: maker.cpu() as u64,
            slice_ns: self.slice_ns,
            stale: None,
        }
    }

    #[inline(always)]
    fn call<'a, const WORDS: bool>(own: &mut Own, local: &'a Local, handle: u64, tag: u64) -> Outcome<'a> {
        let done = own.call::<WORDS>(local, handle, tag);
        let outcome = own.end(local, done, |own, handle, tag| own.call::<WORDS>(local, handle, tag));
        traced(own, local, Op::Call, handle, outcome)
    }

    #[inline(always)]
    fn reply_receive<'a, const WORDS: bool>(own: &mut Own, local: &'a Local, handle: u64, tag: u64) -> Outcome<'a> {
        let done = own.reply_receive::<WORDS, false, false>(local, handle, tag);
        let outcome = own.end(local, done, |own, handle, tag| own.reply_receive::<WORDS, false, false>(local, handle, tag));
        traced(own, local, Op::ReplyReceive, handle, outcome)
    }

    #[inline(always)]
    fn signal<'a>(own: &mut Own, local: &'a Local, handle: u64, bits: u64) -> Outcome<'a> {
        let done = own.signal(local, handle, bits);
        let outcome = own.end(local, done, |own, handle, bits| own.signal(local, handle, bits));
        traced(own, local, Op::Signal, handle, outcome)
    }

    #[inline(always)]
    fn wait<'a>(own: &mut Own, local: &'a Local, handle: u64, timeout_ns: u64) -> Outcome<'a> {
        let done = own.wait(local, handle, timeout_ns);
        let outcome = own.end(local, done, |own, handle, timeout_ns| own.wait(local, handle, timeout_ns));
        traced(own, local, Op::Wait, handle, outcome)
    }

    #[inline(always)]
    fn carried(&self, cpu: usize) -> Option<Carried> {
        self.carried(cpu)
    }

    #[inline(always)]
    fn message<'a>(own: &mut Own, local: &'a Local) -> Outcome<'a> {
        let (op, handle) = own.running(local).map_or((0, 0), |r| (r.rax, r.rdi));
        let outcome = carry::message(own, local);
        traced(own, local, Op::from_u64(op).unwrap_or(Op::Call), handle, outcome)
    }

    #[inline(always)]
    fn carry(&mut self, carried: Carried) {
        self.carry(carried);
    }

    #[inline(always)]
    fn call_in_place(&mut self, cpu: usize) -> Left {
        self.call_here(cpu)
    }

    #[inline(always)]
    fn fault<'a>(own: &mut Own, local: &'a Local, address: u64) -> Outcome<'a> {
        #[cfg(feature = "debug")]
        let fault = own.threads.running(local).map(|running| Fault::of(&own.threads.see(running).registers, address));
        let done = own.fault(local, address);
        let outcome = own.end(local, done, |own, _, _| own.fault(local, address));
        #[cfg(feature = "debug")]
        let outcome = crate::trace::local_fault(own, local, fault, outcome);
        outcome
    }
}

/// Writes down what was done, in kernels with debug facilities.
#[inline(always)]
fn traced<'a>(own: &mut Own, local: &Local, op: Op, handle: u64, outcome: Outcome<'a>) -> Outcome<'a> {
    #[cfg(feature = "debug")]
    return crate::trace::local(own, local, op, handle, outcome);
    #[cfg(not(feature = "debug"))]
    {
        let _ = (own, local, op, handle);
        outcome
    }
}

impl Own {
    /// Name and reference of the thread that runs.
    #[cfg(feature = "debug")]
    pub fn runs(&self, local: &Local) -> ([u8; 8], Option<Ref<Thread>>) {
        let Some(running) = self.threads.running(local) else { return ([0; 8], None) };
        (self.threads.see(running).name, Some(running.name()))
    }

    /// The registers with which the thread that runs came in.
    #[inline(always)]
    pub fn running<'a>(&'a self, local: &'a Local) -> Option<&'a Registers> {
        Some(&self.threads.see(self.threads.running(local)?).registers)
    }

    /// What a handle of the running thread names, if it is of that kind and has the right.
    #[inline(always)]
    fn slot<'a>(&mut self, local: &'a Local, handle: u64, kind: Kind, right: Rights) -> Option<(Running<'a, Thread>, &'a Slot)> {
        let running = self.threads.running(local)?;
        let t = self.threads.see(running);
        let Some(table) = t.to_table.get(local) else {
            self.stale = Some(running.name());
            return None;
        };
        let slot = table.present(handle)?;
        (slot.kind == kind && slot.rights().contains(right)).then_some((running, slot))
    }

    /// The page tables in which a thread runs.
    #[inline(always)]
    fn page_table<'a>(stale: &mut Option<Ref<Thread>>, local: &'a Local, name: Ref<Thread>, t: &Thread) -> Option<&'a PageTable> {
        let Some(space) = t.to_space.get(local) else {
            *stale = Some(name);
            return None;
        };
        if space.dying { None } else { space.table.as_ref() }
    }

    /// What came of an operation; if it met a thread with stale shortcuts, it is done again with new ones: from the start,
    /// so that the operation itself keeps no register for that.
    #[inline(always)]
    pub fn end<'a>(
        &mut self,
        local: &'a Local,
        done: Option<Outcome<'a>>,
        again: impl FnMut(&mut Own, u64, u64) -> Option<Outcome<'a>>,
    ) -> Outcome<'a> {
        match done {
            Some(outcome) => outcome,
            None if self.stale.is_some() => self.again(local, again).unwrap_or(Outcome::Declined),
            None => Outcome::Declined,
        }
    }

    #[cold]
    #[inline(never)]
    fn again<'a>(
        &mut self,
        local: &'a Local,
        mut again: impl FnMut(&mut Own, u64, u64) -> Option<Outcome<'a>>,
    ) -> Option<Outcome<'a>> {
        while let Some(stale) = self.stale.take() {
            let t = self.threads.get_mut(local, stale)?;
            let (table, space) = (self.tables.shortcut(local, t.table?)?, self.spaces.shortcut(local, t.space?)?);
            (t.to_table, t.to_space) = (table, space);
            let buffer = self.memories.get(local, t.buffer?).filter(|m| m.pages > 0).map(|_| t.buffer_frame);
            t.to_buffer = self.words.shortcut(local, buffer.unwrap_or_default());
            let running = self.threads.running(local)?;
            let Registers { rdi: handle, rsi: argument, .. } = self.threads.see(running).registers;
            if let Some(outcome) = again(self, handle, argument) {
                return Some(outcome);
            }
        }
        None
    }

    #[inline(always)]
    pub fn call<'a, const WORDS: bool>(&mut self, local: &'a Local, handle: u64, tag: u64) -> Option<Outcome<'a>> {
        // A tag's low half: a word count, no capabilities, nothing invalid.
        if tag as u32 > if WORDS { MAX_WORDS } else { REGISTER_WORDS } as u32 {
            return None;
        }
        let (running, slot) = self.slot(local, handle, Kind::Endpoint, Rights::WRITE)?;
        let badge = slot.badge;
        let e = self.endpoints.get_mut(local, Ref::from_raw(slot.object)?)?;
        let server = e.receivers.front()?;
        let (c, mut s) = self.threads.with(local, running, server)?;
        let cpu = self.cpu.get_mut(local);
        let priority = c.effective_priority();
        if cpu.top >= priority as i16 {
            return None;
        }
        let table = Self::page_table(&mut self.stale, local, server, &s)?;
        let caller = running.name();
        if WORDS && tag as u32 > REGISTER_WORDS as u32 {
            c.to_buffer.get(local)?.copy_to(s.to_buffer.get(local)?, REGISTER_WORDS, tag as u32 as usize);
        }
        // All is well.
        self.last_reply += REPLY_STEP;
        let number = self.last_reply;
        (c.state, c.outgoing, c.reply_number) = (State::Replying(server), Outgoing::Call, number);
        s.reply = Some(ReplyRight { caller, number });
        s.lent = s.lent.max(priority);
        s.payer = Some(c.payer.unwrap_or(caller));
        s.state = State::Running(local.cpu());
        e.receivers.pop(&mut s);
        machine::switch_user(&mut c.user, &s.user);
        machine::activate(table);
        s.run(local);
        Some(Outcome::Message { badge, tag, words: running.registers() })
    }

    /// `WORDS`: there may be more than fit into registers. `QUEUED`: other threads wait in the endpoint as well.
    /// `FAULT`: the caller is a thread that faulted, to go on.
    #[inline(always)]
    pub fn reply_receive<'a, const WORDS: bool, const QUEUED: bool, const FAULT: bool>(
        &mut self,
        local: &'a Local,
        handle: u64,
        tag: u64,
    ) -> Option<Outcome<'a>> {
        if tag as u32 > if WORDS { MAX_WORDS } else { REGISTER_WORDS } as u32 {
            return None;
        }
        let right = self.threads.see(self.threads.running(local)?).reply?;
        if !FAULT && right.number & FAULT_REPLY != 0 {
            return if QUEUED { None } else { self.reply_fault(local) };
        }
        let (running, slot) = self.slot(local, handle, Kind::Endpoint, Rights::READ)?;
        let endpoint = Ref::from_raw(slot.object)?;
        let cpu = self.cpu.get_mut(local);
        let server = running.name();
        let e = self.endpoints.get_mut(local, endpoint)?;
        // At home here, so no sender waits.
        if self.threads.see(running).serves != endpoint.id() {
            return None;
        }
        if !QUEUED && !e.receivers.is_empty() {
            let done = !FAULT && self.reply_receive_queued(local);
            return done.then_some(Outcome::Message { badge: 0, tag, words: running.registers() });
        }
        let tail = if QUEUED { e.receivers.back() } else { None };
        let (s, mut c, last) = self.threads.with_third(local, running, right.caller, tail)?;
        if !matches!(c.state, State::Replying(_)) || c.reply_number != right.number {
            return None;
        }
        if FAULT && Tag(tag).label() != 0 {
            return None;
        }
        let same_payer = s.payer == Some(c.payer.unwrap_or(right.caller));
        if cpu.top >= c.effective_priority() as i16 || !same_payer {
            return None;
        }
        if let Some(n) = s.notification
            && self.notifications.get(local, n)?.word != 0
        {
            return None;
        }
        let table = Self::page_table(&mut self.stale, local, right.caller, &c)?;
        if WORDS && !FAULT && tag as u32 > REGISTER_WORDS as u32 {
            s.to_buffer.get(local)?.copy_to(c.to_buffer.get(local)?, REGISTER_WORDS, tag as u32 as usize);
        }
        // All is well.
        (s.state, s.reply, s.payer, s.lent) = (State::Receiving(endpoint), None, None, 0);
        c.state = State::Running(local.cpu());
        e.receivers.append(last.zip(tail), s, server);
        machine::switch_user(&mut s.user, &c.user);
        machine::activate(table);
        c.run(local);
        Some(if FAULT { Outcome::Resume } else { Outcome::Message { badge: 0, tag, words: running.registers() } })
    }

    #[cold]
    #[inline(never)]
    fn reply_fault<'a>(&mut self, local: &'a Local) -> Option<Outcome<'a>> {
        let Registers { rdi: handle, rsi: tag, .. } = self.threads.see(self.threads.running(local)?).registers;
        self.reply_receive::<true, false, true>(local, handle, tag).map(|_| Outcome::Resume)
    }

    /// The running thread faulted, and its handler waits: a call of the kernel in its name.
    #[inline(always)]
    fn fault<'a>(&mut self, local: &'a Local, address: u64) -> Option<Outcome<'a>> {
        let running = self.threads.running(local)?;
        let (endpoint, badge) = self.threads.see(running).handler?;
        let e = self.endpoints.get_mut(local, endpoint)?;
        let handler = e.receivers.front()?;
        let (c, mut s) = self.threads.with(local, running, handler)?;
        let cpu = self.cpu.get_mut(local);
        let priority = c.effective_priority();
        let fault = Fault::of(&c.registers, address);
        // The first use of vector registers is no fault.
        if cpu.top >= priority as i16 || fault.vector == DEVICE_NOT_AVAILABLE {
            return None;
        }
        let table = Self::page_table(&mut self.stale, local, handler, &s)?;
        let buffer = s.to_buffer.get(local)?;
        // All is well.
        let words = fault.words(&c.registers);
        (REGISTER_WORDS..FAULT_WORDS).for_each(|n| buffer.set(n, words[n]));
        c.outgoing = Outgoing::Fault(fault);
        self.last_reply += REPLY_STEP;
        let (caller, number) = (running.name(), self.last_reply | FAULT_REPLY);
        (c.state, c.reply_number) = (State::Replying(handler), number);
        s.reply = Some(ReplyRight { caller, number });
        s.lent = s.lent.max(priority);
        s.payer = Some(c.payer.unwrap_or(caller));
        s.state = State::Running(local.cpu());
        let r = &mut s.registers;
        [r.rdx, r.r10, r.r8, r.r9] = [words[0], words[1], words[2], words[3]];
        e.receivers.pop(&mut s);
        machine::switch_user(&mut c.user, &s.user);
        machine::activate(table);
        let words = s.run(local).registers();
        Some(Outcome::Message { badge, tag: Tag::new(label::FAULT, FAULT_WORDS, 0).0, words })
    }

    #[cold]
    #[inline(never)]
    fn reply_receive_queued(&mut self, local: &Local) -> bool {
        let Some(running) = self.threads.running(local) else { return false };
        let Registers { rdi: handle, rsi: tag, .. } = self.threads.see(running).registers;
        self.reply_receive::<true, true, false>(local, handle, tag).is_some()
    }

    /// Signal to nobody, or to a thread that is not more important than the one that runs.
    #[inline(always)]
    fn signal<'a>(&mut self, local: &'a Local, handle: u64, bits: u64) -> Option<Outcome<'a>> {
        let (running, slot) = self.slot(local, handle, Kind::Notification, Rights::WRITE)?;
        let n = self.notifications.get_mut(local, Ref::from_raw(slot.object)?)?;
        let word = n.word | bits;
        if word == 0 {
            return Some(Outcome::Value(0));
        }
        let Some(waiter) = n.waiters.front() else {
            if let Some(bound) = n.bound
                && matches!(self.threads.get(local, bound)?.state, State::Receiving(_))
            {
                return None;
            }
            n.word = word;
            return Some(Outcome::Value(0));
        };
        let cpu = self.cpu.get_mut(local);
        let (c, w) = self.threads.with(local, running, waiter)?;
        let (priority, own) = (w.effective_priority(), c.effective_priority());
        // The timer must know when the slice ends if an equal waits for that.
        let in_time = priority < own || priority == own && machine::timer_fires_by(cpu.slice_end_ns);
        let stays = w.affinity.is_some() || cpu.others_idle == 0;
        if !in_time || !stays {
            return None;
        }
        let tail = cpu.ready[priority as usize].back();
        let (_, mut w, last) = self.threads.with_third(local, running, waiter, tail)?;
        // All is well.
        n.word = 0;
        n.waiters.pop(&mut w);
        w.state = State::Ready(local.cpu());
        set_result(&mut w, word);
        cpu.ready[priority as usize].append(last.zip(tail), &mut w, waiter);
        cpu.filled(priority);
        Some(Outcome::Value(0))
    }

    /// Takes bits that are there; or waits, and the first ready thread of this CPU goes on.
    #[inline(always)]
    fn wait<'a>(&mut self, local: &'a Local, handle: u64, timeout_ns: u64) -> Option<Outcome<'a>> {
        let (running, slot) = self.slot(local, handle, Kind::Notification, Rights::READ)?;
        let notification = Ref::from_raw(slot.object)?;
        let n = self.notifications.get_mut(local, notification)?;
        if n.word != 0 {
            return Some(Outcome::Value(core::mem::take(&mut n.word)));
        }
        let cpu = self.cpu.get_mut(local);
        let top = u8::try_from(cpu.top).ok()?;
        if timeout_ns != NEVER || !n.waiters.is_empty() || cpu.charged.is_some() {
            return None;
        }
        let next = cpu.ready[top as usize].front()?;
        let (c, mut t) = self.threads.with(local, running, next)?;
        if t.payer.is_some() || t.budget_ns != 0 || t.user.is_inside() {
            return None;
        }
        let table = Self::page_table(&mut self.stale, local, next, &t)?;
        // All is well.
        let left_ns = core::mem::take(&mut t.slice_left_ns);
        cpu.slice_end_ns = machine::now_ns().saturating_add(if left_ns > 0 { left_ns } else { self.slice_ns });
        c.state = State::Waiting(notification);
        n.waiters.append(None, c, running.name());
        (t.state, t.cpu) = (State::Running(local.cpu()), local.cpu());
        cpu.ready[top as usize].pop(&mut t);
        cpu.taken(top);
        machine::switch_user(&mut c.user, &t.user);
        machine::activate(table);
        t.run(local);
        Some(Outcome::Resume)
    }
}

/// As `Kernel::set_result`.
fn set_result(t: &mut Thread, value: u64) {
    let r = &mut t.registers;
    (r.rax, r.rdi) = (0, value);
    [r.rsi, r.rdx, r.r10, r.r8, r.r9] = [0; 5];
}

/// What the entry code does on hardware.
#[cfg(test)]
impl Kernel {
    /// True if the call was done in local mode; the registers are then those to go on with.
    pub(crate) fn enter_local(&mut self, cpu: usize, r: &mut Registers, fault: Option<Fault>) -> bool {
        let Some(mut own) = self.own[cpu].take().or_else(|| Some(self.own(&machine::maker(cpu)))) else { return false };
        if let Some(f) = fault {
            (r.vector, r.error) = (f.vector as u64, f.error);
        }
        if let Some(t) = self.threads.running(cpu).and_then(|t| self.threads.get_mut(t)) {
            t.registers = *r;
        }
        let carried = if fault.is_none() { self.carried(cpu) } else { None };
        let local = machine::local(self, cpu);
        let short = r.rsi as u32 <= REGISTER_WORDS as u32;
        let outcome = match Op::from_u64(r.rax) {
            _ if carried.is_some() => <Kernel as Core>::message(&mut own, &local),
            _ if let Some(f) = fault => <Kernel as Core>::fault(&mut own, &local, f.address),
            Some(Op::Call) if short => <Kernel as Core>::call::<false>(&mut own, &local, r.rdi, r.rsi),
            Some(Op::Call) => <Kernel as Core>::call::<true>(&mut own, &local, r.rdi, r.rsi),
            Some(Op::ReplyReceive) if short => <Kernel as Core>::reply_receive::<false>(&mut own, &local, r.rdi, r.rsi),
            Some(Op::ReplyReceive) => <Kernel as Core>::reply_receive::<true>(&mut own, &local, r.rdi, r.rsi),
            Some(Op::Signal) => <Kernel as Core>::signal(&mut own, &local, r.rdi, r.rsi),
            Some(Op::Wait) => <Kernel as Core>::wait(&mut own, &local, r.rdi, r.rsi),
            _ => Outcome::Declined,
        };
        let answer = match outcome {
            Outcome::Declined => None,
            Outcome::Resume => Some(None),
            Outcome::Value(value) => Some(Some([value, 0, 0, 0, 0, 0])),
            Outcome::Message { badge, tag, words } => {
                let [a, b, c, d] = machine::sent_words(&words);
                Some(Some([badge, tag, a, b, c, d]))
            }
        };
        let done = answer.is_some();
        if let Some(values) = answer
            && let Some(running) = own.threads.running(&local)
        {
            let t = own.threads.see_mut(running);
            if let Some(values) = values {
                t.registers.rax = 0;
                [t.registers.rdi, t.registers.rsi, t.registers.rdx, t.registers.r10, t.registers.r8, t.registers.r9] = values;
            }
            *r = t.registers;
        }
        self.own[cpu] = Some(own);
        if let Some(carried) = carried.filter(|_| done) {
            self.carry(carried);
        }
        self.cpus[cpu].current = self.threads.running(cpu);
        done
    }
}
