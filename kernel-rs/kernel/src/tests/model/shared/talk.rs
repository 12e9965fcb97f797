// SPDX-License-Identifier: PMPL-1.0-or-later
//! Arms of the model for threads and what they say to each other.

use super::state::*;
use super::steps::both;
use super::*;
use abi::boot_info::USER_END;
use abi::message::Tag;

impl Model {
    /// A tag, and its words and capabilities where the message will be taken from.
    fn compose(&mut self, a: Actor) -> (u64, [u64; 4]) {
        let buffer = self.w.thread(a.thread).buffer.filter(|b| self.w.things[*b].alive);
        let words = self.random.below(8);
        let words = self.mostly(words, &[64, 20, 65]) as usize;
        let caps = if self.random.below(3) == 0 { 1 + self.random.below(3) } else { 0 };
        let unsure = |t: &Object| self.w.thread(*t).table.is_some_and(|t| self.w.things[t].alive && self.w.is_unsure(t));
        let caps = if self.w.threads.iter().any(unsure) { 0 } else { caps };
        let caps = self.mostly(caps, &[caps, caps, caps, 5]) as usize;
        let mut tag = Tag::new(self.random.below(3) as u32, words, caps).0;
        let mut moved = caps > 0 && self.random.below(2) == 0;
        if self.random.below(50) == 0 {
            tag |= 1 << 12;
        }
        if let Some(b) = buffer {
            for n in 4..words.min(64) {
                let word = self.random.next();
                self.write(b, n, word);
            }
            for n in 0..caps.min(4) {
                let h = self.pick(a.table, [Kind::Endpoint, Kind::Memory, Kind::Notification][n % 3]) & 0xffff_ffff;
                moved &= !self.w.find(a.table, h).is_ok_and(|id| self.w.cap(id).kept);
                self.write_cap(b, n, h);
            }
        }
        if moved {
            tag |= Tag::MOVE_CAPS;
        }
        let words = [self.random.next(), self.random.next(), self.random.next(), self.random.next()];
        (self.w.thread_mut(a.thread).tag, self.w.thread_mut(a.thread).words) = (tag, words);
        (tag, words)
    }

    pub fn write(&mut self, buffer: Object, n: usize, word: u64) {
        let Part::Memory { frame: Some(frame), words, .. } = &mut self.w.things[buffer].part else { panic!("no buffer") };
        words[n] = word;
        self.c.write_word(*frame, n, word);
    }

    fn write_cap(&mut self, buffer: Object, n: usize, raw: u64) {
        let Part::Memory { words, .. } = &self.w.things[buffer].part else { panic!("no buffer") };
        let shift = 32 * (n % 2);
        let word = words[64 + n / 2] & !(0xffff_ffff << shift) | raw << shift;
        self.write(buffer, 64 + n / 2, word);
    }

    pub fn send_message(&mut self, a: Actor, op: Op) {
        let h = self.pick(a.table, Kind::Endpoint);
        let checked = self.w.need(a.table, h, Kind::Endpoint, Rights::WRITE);
        if a.thread == self.root.thread {
            // Root does not wait.
            let waits = checked.is_ok_and(|id| match &self.w.things[self.w.cap(id).object].part {
                Part::Endpoint { receivers, .. } => receivers.is_empty(),
                _ => false,
            });
            if waits {
                return;
            }
        }
        let (tag, words) = self.compose(a);
        let mut why = checked.err().unwrap_or(0);
        why |= if Tag(tag).is_valid() { 0 } else { e(Error::BadArgument) };
        if let Ok(id) = checked
            && Tag(tag).caps() > 0
            && self.w.cap(id).rights & Rights::TRANSFER.0 as u64 == 0
        {
            why |= e(Error::NotTransferable);
        }
        if why == 0 {
            let (endpoint, badge) = (self.w.cap(checked.unwrap()).object, self.w.cap(checked.unwrap()).badge);
            let outgoing = if op == Op::Call { Outgoing::Call } else { Outgoing::Send };
            let mut arrivals = vec![];
            if let Err(errors) = self.w.send(a.thread, endpoint, badge, outgoing, &mut arrivals) {
                why = errors;
            }
            self.arrivals = arrivals;
        }
        if why != 0 {
            self.expect(a, Expect::Fails(why));
        }
        self.perform(a, op, h, [tag, words[0], words[1], words[2], words[3]]);
    }

    pub fn receive_message(&mut self, a: Actor, h: u64, timeout: u64) {
        if self.w.is_unsure(a.table) {
            return;
        }
        match self.w.need(a.table, h, Kind::Endpoint, Rights::READ) {
            Err(why) => self.expect(a, Expect::Fails(why)),
            Ok(id) => {
                let (endpoint, now) = (self.w.cap(id).object, self.c.now_ns);
                self.w.drop_reply(a.thread);
                let mut arrivals = vec![];
                self.w.receive(a.thread, endpoint, timeout, now, &mut arrivals);
                self.arrivals = arrivals;
            }
        }
        self.perform(a, Op::Receive, h, [timeout, 0, 0, 0, 0]);
    }

    /// The number of the thread's own reply right, if its caller still waits.
    fn open_right(&self, t: Object) -> Option<u64> {
        self.w.thread(t).reply.filter(|n| self.w.caller_of(*n).is_some())
    }

    pub fn reply_receive(&mut self, a: Actor) {
        if self.w.is_unsure(a.table) {
            return;
        }
        let h = self.pick(a.table, Kind::Endpoint);
        let (tag, words) = self.compose(a);
        let checked = self.w.need(a.table, h, Kind::Endpoint, Rights::READ);
        let mut why = checked.err().unwrap_or(0);
        why |= if Tag(tag).is_valid() { 0 } else { e(Error::BadArgument) };
        if why == 0 {
            let mut arrivals = vec![];
            let answered = self.open_right(a.thread).map_or(Ok(()), |number| self.w.answer(a.thread, number, &mut arrivals));
            match answered {
                Err(errors) => why = errors,
                Ok(()) => {
                    let t = self.w.thread_mut(a.thread);
                    (t.reply, t.lent) = (None, false);
                    let (endpoint, now) = (self.w.cap(checked.unwrap()).object, self.c.now_ns);
                    self.w.receive(a.thread, endpoint, FOREVER, now, &mut arrivals);
                }
            }
            self.arrivals = arrivals;
        }
        if why != 0 {
            self.expect(a, Expect::Fails(why));
        }
        self.perform(a, Op::ReplyReceive, h, [tag, words[0], words[1], words[2], words[3]]);
    }

    pub fn reply(&mut self, a: Actor) {
        let h = if self.random.below(2) == 0 { 0 } else { self.pick(a.table, Kind::Reply) };
        let (tag, words) = self.compose(a);
        let arguments = [tag, words[0], words[1], words[2], words[3]];
        let mut why = if Tag(tag).is_valid() { 0 } else { e(Error::BadArgument) };
        let mut saved = None;
        let mut number = self.w.thread(a.thread).reply;
        if h != 0 {
            match self.w.find(a.table, h) {
                Err(errors) => why |= errors,
                Ok(id) => match self.w.things[self.w.cap(id).object].part {
                    Part::Reply(n, _) => (saved, number) = (Some(id), Some(n)),
                    _ => why |= e(Error::WrongKind),
                },
            }
        }
        if why == 0 {
            let mut arrivals = vec![];
            let open = number.filter(|n| self.w.caller_of(*n).is_some());
            let outcome = open.map(|n| self.w.answer(a.thread, n, &mut arrivals));
            match outcome {
                Some(Err(errors)) => why = errors,
                _ => {
                    match saved {
                        Some(id) => self.w.drop_cap(id),
                        None => {
                            let t = self.w.thread_mut(a.thread);
                            (t.reply, t.lent) = (None, false);
                        }
                    }
                    why = if outcome.is_none() { e(Error::NoReply) } else { 0 };
                }
            }
            self.arrivals = arrivals;
        }
        self.expect(a, if why == 0 { Expect::Values([0; 4]) } else { Expect::Fails(why) });
        self.perform(a, Op::Reply, h, arguments);
    }

    pub fn reply_save(&mut self, a: Actor) {
        if self.w.is_unsure(a.table) {
            return;
        }
        let right = self.open_right(a.thread);
        let mut must = if right.is_none() { e(Error::NoReply) } else { 0 };
        if must == 0 && !self.w.has_room(a.table, 1) {
            must = e(Error::TableFull);
        }
        let answer = self.ask(a, Op::ReplySave, 0, [0; 5]);
        if self.judge(&answer, must, 0) {
            let number = right.unwrap();
            let caller = self.w.caller_of(number).unwrap();
            let object = self.w.make(Kind::Reply, self.top, Part::Reply(number, caller));
            self.w.insert(a.table, answer.handle(), object, 0, 0, None);
            self.w.thread_mut(a.thread).reply = None;
        }
        self.settle();
    }

    pub fn wait(&mut self, a: Actor, h: u64, timeout: u64) {
        match self.w.need(a.table, h, Kind::Notification, Rights::READ) {
            Err(why) => self.expect(a, Expect::Fails(why)),
            Ok(id) => {
                let n = self.w.cap(id).object;
                let Part::Notification { word, waiters, .. } = &mut self.w.things[n].part else { panic!("no notification") };
                let bits = core::mem::take(word);
                if bits == 0 && timeout != 0 {
                    waiters.push_back(a.thread);
                    self.w.block(a.thread, State::Waiting(n), timeout, self.c.now_ns);
                } else {
                    self.expect(a, if bits != 0 { Expect::Values([bits, 0, 0, 0]) } else { Expect::Fails(e(Error::WouldBlock)) });
                }
            }
        }
        self.perform(a, Op::Wait, h, [timeout, 0, 0, 0, 0]);
    }

    /// Whether steps leave this thread alone.
    fn is_root(&self, checked: Result<CapId, Errors>) -> bool {
        checked.is_ok_and(|id| self.w.cap(id).object == self.root.thread)
    }

    pub fn configure(&mut self, a: Actor, h: u64, [space, table, endpoint, memory, name]: [u64; 5]) {
        let thread = self.w.need(a.table, h, Kind::Thread, Rights::EDIT);
        let parts = [
            self.w.need(a.table, space, Kind::AddressSpace, Rights::EDIT),
            self.w.need(a.table, table, Kind::Table, Rights::EDIT),
            self.w.need(a.table, memory, Kind::Memory, Rights::READ | Rights::WRITE),
        ];
        let handler =
            if endpoint == 0 { Ok(None) } else { self.w.need(a.table, endpoint, Kind::Endpoint, Rights::WRITE).map(Some) };
        let mut why = thread.err().unwrap_or(0) | handler.err().unwrap_or(0);
        why |= parts.iter().fold(0, |all, p| all | p.err().unwrap_or(0));
        if let Ok(id) = parts[2]
            && let Part::Memory { device: true, .. } = self.w.things[self.w.cap(id).object].part
        {
            why |= e(Error::BadArgument);
        }
        if let Ok(id) = thread {
            let idle = matches!(self.w.thread(self.w.cap(id).object).state, State::Inactive | State::Stopped);
            why |= if idle { 0 } else { e(Error::BadState) };
        }
        if why == 0 {
            let t = self.w.cap(thread.unwrap()).object;
            let [space, table, memory] = parts.map(|p| self.w.cap(p.unwrap()).object);
            let shared = self.w.threads.iter().any(|o| *o != t && self.w.thread(*o).buffer == Some(memory));
            if shared || !matches!(self.w.things[memory].part, Part::Memory { frame: Some(_), .. }) {
                // What stands in such a buffer the model cannot know.
                return;
            }
            let handler = handler.unwrap().map(|id| (self.w.cap(id).object, self.w.cap(id).badge));
            let t = self.w.thread_mut(t);
            (t.space, t.table, t.buffer, t.handler) = (Some(space), Some(table), Some(memory), handler);
        }
        self.expect(a, if why == 0 { Expect::Values([0; 4]) } else { Expect::Fails(why) });
        self.perform(a, Op::ThreadConfigure, h, [space, table, endpoint, memory, name]);
    }

    pub fn schedule(&mut self, a: Actor, h: u64, [priority, budget, period, cpu]: [u64; 4]) {
        let checked = self.w.need(a.table, h, Kind::Thread, Rights::EDIT);
        if self.is_root(checked) && self.whole_is_known() {
            return;
        }
        let mut why = checked.err().unwrap_or(0);
        let own = self.w.thread(a.thread).priority;
        why |= if priority > own.max(if self.whole_is_known() { 0 } else { 255 }) || budget > period || period > 3_600_000_000 {
            e(Error::BadArgument)
        } else {
            0
        };
        why |= if cpu != FOREVER && cpu >= self.c.cpus() { e(Error::BadArgument) } else { 0 };
        let now = self.c.now_ns;
        self.simple(
            a,
            Op::ThreadSchedule,
            h,
            [priority, budget, period, cpu, 0],
            if why == 0 { checked } else { Err(why) },
            |m, t| {
                let t = m.w.thread_mut(t);
                (t.priority, t.cpu) = (priority, (cpu != FOREVER).then_some(cpu as usize));
                (t.budget_ns, t.period_ns, t.since_ns, t.ran_ns) = (budget * 1000, period * 1000, now, 0);
            },
        );
    }

    pub fn thread_start(&mut self, a: Actor, h: u64, rip: u64, argument: u64) {
        let checked = self.w.need(a.table, h, Kind::Thread, Rights::WRITE);
        let mut why = checked.err().unwrap_or(0) | if rip >= USER_END { e(Error::OutOfRange) } else { 0 };
        let mut stack = Computer::stack(0);
        if let Ok(id) = checked {
            let object = self.w.cap(id).object;
            let t = self.w.thread(object);
            why |= if matches!(t.state, State::Inactive | State::Stopped) && t.space.is_some() { 0 } else { e(Error::BadState) };
            if why == 0 && !t.space.is_some_and(|s| self.w.things[s].alive) {
                return;
            }
            stack = Computer::stack(object);
        }
        self.simple(a, Op::ThreadStart, h, [rip, stack, argument, 0, 0], if why == 0 { checked } else { Err(why) }, |m, t| {
            m.w.wake(t, Expect::Start(argument));
            m.w.thread_mut(t).kept = [0; 6];
        });
    }

    pub fn thread_stop(&mut self, a: Actor, h: u64) {
        let checked = self.w.need(a.table, h, Kind::Thread, Rights::WRITE);
        if self.is_root(checked) {
            return;
        }
        self.simple(a, Op::ThreadStop, h, [0; 5], checked, |m, t| {
            let (state, outgoing) = (m.w.thread(t).state, m.w.thread(t).outgoing);
            if state == State::Inactive {
                return;
            }
            m.w.end_wait(t);
            if matches!((state, outgoing), (State::Sending(_), Outgoing::Exit(_))) {
                m.w.thread_mut(t).state = State::Inactive;
                return;
            }
            let expect = match (state, outgoing) {
                (State::Sending(_) | State::Replying(_), Outgoing::Fault(_)) => Expect::Same,
                (State::Runnable | State::Stopped, _) => m.w.thread(t).expect,
                _ => Expect::Fails(e(Error::Cancelled)),
            };
            m.w.thread_mut(t).expect = expect;
        });
    }

    pub fn thread_resume(&mut self, a: Actor, h: u64) {
        let checked = self.w.need(a.table, h, Kind::Thread, Rights::WRITE);
        let state = checked.map(|id| self.w.thread(self.w.cap(id).object).state);
        if state == Ok(State::Stopped) && self.lost_space(checked) {
            return;
        }
        let inactive = if state == Ok(State::Inactive) { Err(e(Error::BadState)) } else { checked };
        self.simple(a, Op::ThreadResume, h, [0; 5], inactive, |m, t| {
            if m.w.thread(t).state == State::Stopped {
                m.w.thread_mut(t).state = State::Runnable;
            }
        });
    }

    fn lost_space(&self, checked: Result<CapId, Errors>) -> bool {
        checked.is_ok_and(|id| self.w.thread(self.w.cap(id).object).space.is_some_and(|s| !self.w.things[s].alive))
    }

    pub fn thread_bind(&mut self, a: Actor, h: u64, n: u64) {
        let thread = self.w.need(a.table, h, Kind::Thread, Rights::EDIT);
        let target = if n == 0 {
            Ok(None)
        } else {
            self.w.need(a.table, n, Kind::Notification, Rights::READ).map(|id| Some(self.w.cap(id).object))
        };
        let mut checked = both(thread, target.map(|_| 0));
        if let (Ok(id), Ok(Some(n))) = (thread, target)
            && let Part::Notification { bound: Some(other), .. } = self.w.things[n].part
            && other != self.w.cap(id).object
        {
            checked = Err(e(Error::BadState));
        }
        self.simple(a, Op::ThreadBind, h, [n, 0, 0, 0, 0], checked, |m, t| {
            let target = target.unwrap();
            if let Some(old) = core::mem::replace(&mut m.w.thread_mut(t).bound, target) {
                m.w.set_bound(old, None);
            }
            if let Some(n) = target {
                m.w.set_bound(n, Some(t));
            }
        });
    }

    pub fn exit(&mut self, a: Actor) {
        let code = self.random.below(100);
        self.w.drop_reply(a.thread);
        self.leave(a, Outgoing::Exit(code));
        self.perform(a, Op::ThreadExit, 0, [code, 0, 0, 0, 0]);
    }

    /// The running thread ends or faults: its handler hears of it, or it is over.
    pub fn leave(&mut self, a: Actor, outgoing: Outgoing) {
        self.expect(a, Expect::Anything);
        let handler = self.w.thread(a.thread).handler.filter(|(h, _)| self.w.things[*h].alive);
        match handler {
            Some((endpoint, badge)) => {
                let mut arrivals = vec![];
                self.w.send(a.thread, endpoint, badge, outgoing, &mut arrivals).expect("faults and ends are always told");
                self.arrivals = arrivals;
            }
            None => self.w.thread_mut(a.thread).state = State::Inactive,
        }
    }
}

impl Model {
    /// What a thread does: compared where it does not depend on who runs.
    pub fn thread_usage(&mut self, a: Actor) {
        let h = self.pick(a.table, Kind::Thread);
        let checked = self.w.need(a.table, h, Kind::Thread, Rights::READ);
        let stopped = checked.is_ok_and(|id| self.w.thread(self.w.cap(id).object).state == State::Stopped);
        let answer = self.ask(a, Op::ThreadUsage, h, [0; 5]);
        if self.judge(&answer, checked.err().unwrap_or(0), 0) {
            assert_eq!(answer.values[0] == abi::thread::doing::STOPPED, stopped, "what a thread does");
        }
        self.settle();
    }

    /// Registers of a stopped thread. Writing them is only tried where it is refused: the model knows no programs.
    pub fn registers(&mut self, a: Actor, op: Op) {
        let right = if op == Op::ThreadReadRegisters { Rights::READ } else { Rights::WRITE };
        let h = self.pick(a.table, Kind::Thread);
        let Some(buffer) = self.w.thread(a.thread).buffer.filter(|b| self.w.things[*b].alive) else { return };
        let checked = self.w.need(a.table, h, Kind::Thread, right);
        let must = match checked {
            Err(why) => why,
            Ok(id) if self.w.thread(self.w.cap(id).object).state == State::Stopped => 0,
            Ok(_) => e(Error::BadState),
        };
        if must == 0 && op == Op::ThreadWriteRegisters {
            return;
        }
        // Its CPU may not have been in the kernel since it was stopped.
        let answer = self.ask(a, op, h, [0; 5]);
        if self.judge(&answer, must, e(Error::BadState)) {
            assert_eq!(answer.values[0], abi::thread::REGISTERS as u64);
            let Part::Memory { frame: Some(frame), words, .. } = &mut self.w.things[buffer].part else { panic!("no buffer") };
            for (n, word) in words.iter_mut().enumerate().take(abi::thread::REGISTERS) {
                *word = self.c.read_word(*frame, n);
            }
        }
        self.settle();
    }
}
