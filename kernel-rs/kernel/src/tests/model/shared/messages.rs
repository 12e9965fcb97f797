// SPDX-License-Identifier: PMPL-1.0-or-later
//! The model of waiting, messages and replies: what each thread must have in its registers once it goes on.

use super::state::*;
use super::*;
use abi::fault::label;
use abi::message::{NOTIFICATION_LABEL, Tag};

/// Words of a fault's message: seven of the fault, fourteen registers.
pub const FAULT_WORDS: usize = 21;

/// A message that carried capabilities: the kernel chose their handles, which stand in the receiver's buffer.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub buffer: Object,
    pub table: Object,
    pub sent: Vec<CapId>,
    pub moved: bool,
}

impl Facts {
    pub fn wake(&mut self, t: Object, expect: Expect) {
        let t = self.thread_mut(t);
        (t.state, t.expect, t.deadline_ns) = (State::Runnable, expect, None);
    }

    fn remove_from(queue: &mut VecDeque<Object>, t: Object) {
        let at = queue.iter().position(|q| *q == t).expect("it stands in the queue");
        queue.remove(at);
    }

    /// Takes a thread out of what it waits in.
    pub fn end_wait(&mut self, t: Object) {
        match self.thread(t).state {
            State::Sending(o) => match &mut self.things[o].part {
                Part::Endpoint { senders, .. } => Self::remove_from(senders, t),
                _ => panic!("no endpoint"),
            },
            State::Receiving(o) => match &mut self.things[o].part {
                Part::Endpoint { receivers, .. } => Self::remove_from(receivers, t),
                _ => panic!("no endpoint"),
            },
            State::Waiting(o) => match &mut self.things[o].part {
                Part::Notification { waiters, .. } => Self::remove_from(waiters, t),
                _ => panic!("no notification"),
            },
            _ => {}
        }
        let t = self.thread_mut(t);
        (t.state, t.deadline_ns) = (State::Stopped, None);
    }

    /// A sender whose endpoint is gone.
    pub fn fail(&mut self, t: Object) {
        match self.thread(t).outgoing {
            Outgoing::Fault(_) | Outgoing::Exit(_) => self.thread_mut(t).state = State::Inactive,
            _ => self.wake(t, Expect::Fails(e(Error::Gone))),
        }
    }

    pub fn set_bound(&mut self, n: Object, to: Option<Object>) {
        if let Part::Notification { bound, .. } = &mut self.things[n].part {
            *bound = to;
        }
    }

    /// Nobody will answer that call any more.
    pub fn refuse(&mut self, number: u64, caller: Object) {
        if !self.things[caller].alive || self.thread(caller).state != State::Replying(number) {
            return;
        }
        match self.thread(caller).outgoing {
            Outgoing::Fault(_) => self.thread_mut(caller).state = State::Inactive,
            _ => self.wake(caller, Expect::Fails(e(Error::Gone))),
        }
    }

    /// The caller that a reply right's number belongs to, if it still waits.
    pub fn caller_of(&self, number: u64) -> Option<Object> {
        self.threads.iter().copied().find(|t| self.thread(*t).state == State::Replying(number))
    }

    pub fn drop_reply(&mut self, t: Object) {
        self.thread_mut(t).lent = false;
        if let Some(number) = self.thread_mut(t).reply.take()
            && let Some(caller) = self.caller_of(number)
        {
            self.refuse(number, caller);
        }
    }

    fn buffer(&self, t: Object) -> Option<Object> {
        self.thread(t).buffer.filter(|b| self.things[*b].alive)
    }

    fn words(&mut self, buffer: Object) -> &mut [u64; 66] {
        match &mut self.things[buffer].part {
            Part::Memory { words, .. } => words,
            _ => panic!("no memory"),
        }
    }

    /// What a message does, or why it does not arrive. `None` for a receiver without a message buffer.
    fn transfer(&mut self, from: Object, to: Object, badge: u64) -> Result<Option<Arrival>, Errors> {
        let (tag, words) = (Tag(self.thread(from).tag), self.thread(from).words);
        let mut arrival = None;
        if tag.words() > 4 || tag.caps() > 0 {
            let source = self.buffer(from).ok_or(e(Error::BadArgument))?;
            let target = self.buffer(to).ok_or(e(Error::ReceiverFull))?;
            if tag.caps() > 0 {
                let sent = self.check_caps(from, source, tag)?;
                let table = self.thread(to).table.filter(|t| self.things[*t].alive).ok_or(e(Error::ReceiverFull))?;
                if !self.has_room(table, sent.len() as u64) {
                    return Err(e(Error::ReceiverFull));
                }
                self.take(&sent, tag.moves_caps(), table);
                arrival = Some(Arrival { buffer: target, table, sent, moved: tag.moves_caps() });
            }
            for n in 4..tag.words() {
                let word = self.words(source)[n];
                self.words(target)[n] = word;
            }
        }
        self.thread_mut(to).expect = Expect::Message { badge, tag: tag.0 & !Tag::MOVE_CAPS, words };
        Ok(arrival)
    }

    fn check_caps(&mut self, from: Object, source: Object, tag: Tag) -> Result<Vec<CapId>, Errors> {
        let table = self.thread(from).table.filter(|t| self.things[*t].alive).ok_or(e(Error::BadHandle))?;
        let mut sent = Vec::new();
        for n in 0..tag.caps() {
            let raw = self.words(source)[64 + n / 2] >> (32 * (n % 2)) & 0xffff_ffff;
            let id = self.find(table, raw)?;
            let twice = tag.moves_caps() && sent.contains(&id);
            if self.cap(id).rights & Rights::COPY.0 as u64 == 0 || !self.is_alive(self.cap(id).object) || twice {
                return Err(e(Error::NotTransferable));
            }
            sent.push(id);
        }
        Ok(sent)
    }

    /// A sender's message reaches a receiver, who then has it among what it expects.
    fn deliver(&mut self, s: Object, r: Object, arrivals: &mut Vec<Arrival>) -> Result<(), Errors> {
        let (outgoing, badge) = (self.thread(s).outgoing, self.thread(s).badge);
        match outgoing {
            Outgoing::Send | Outgoing::Call => arrivals.extend(self.transfer(s, r, badge)?),
            Outgoing::Fault(_) => {
                let count = if self.buffer(r).is_some() { FAULT_WORDS } else { 4 };
                let told = *self.thread(s).fault;
                if let Some(b) = self.buffer(r) {
                    self.words(b)[4..FAULT_WORDS].copy_from_slice(&told[4..]);
                }
                let words = [told[0], told[1], told[2], told[3]];
                self.thread_mut(r).expect = Expect::Message { badge, tag: Tag::new(label::FAULT, count, 0).0, words };
            }
            Outgoing::Exit(code) => {
                let tag = Tag::new(label::EXIT, 1, 0).0;
                self.thread_mut(r).expect = Expect::Message { badge, tag, words: [code, 0, 0, 0] };
            }
        }
        let waited = matches!(self.thread(s).state, State::Sending(_));
        match outgoing {
            Outgoing::Send if waited => {
                self.end_wait(s);
                self.wake(s, Expect::Values([0; 4]));
            }
            Outgoing::Send => self.thread_mut(s).expect = Expect::Values([0; 4]),
            Outgoing::Call | Outgoing::Fault(_) => {
                self.end_wait(s);
                self.next_reply += 1;
                self.thread_mut(s).state = State::Replying(self.next_reply);
                self.thread_mut(s).server = r;
                (self.thread_mut(r).reply, self.thread_mut(r).lent) = (Some(self.next_reply), true);
            }
            Outgoing::Exit(_) => {
                self.end_wait(s);
                self.thread_mut(s).state = State::Inactive;
            }
        }
        Ok(())
    }

    /// The running thread sends. An error is the sender's to find.
    pub fn send(
        &mut self,
        s: Object,
        endpoint: Object,
        badge: u64,
        outgoing: Outgoing,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), Errors> {
        let t = self.thread_mut(s);
        (t.outgoing, t.badge) = (outgoing, badge);
        let Part::Endpoint { receivers, server, .. } = &self.things[endpoint].part else { panic!("no endpoint") };
        let server = *server;
        if let Some(r) = receivers.front().copied() {
            self.deliver(s, r, arrivals)?;
            let expect = self.thread(r).expect;
            self.end_wait(r);
            self.wake(r, expect);
            return Ok(());
        }
        if outgoing == Outgoing::Call && self.waits_for(server, s) {
            return Err(e(Error::Cycle));
        }
        self.thread_mut(s).state = State::Sending(endpoint);
        if let Part::Endpoint { senders, .. } = &mut self.things[endpoint].part {
            senders.push_back(s);
        }
        if let Server::One(one) = server
            && self.things[one].alive
        {
            self.thread_mut(one).lent = true;
        }
        Ok(())
    }

    fn waits_for(&self, server: Server, t: Object) -> bool {
        let mut at = server;
        for _ in 0..64 {
            let Server::One(one) = at else { return false };
            if !self.things[one].alive {
                return false;
            }
            if one == t {
                return true;
            }
            at = match self.thread(one).state {
                State::Replying(_) => Server::One(self.thread(one).server),
                State::Sending(o) => match self.things[o].part {
                    Part::Endpoint { server, .. } => server,
                    _ => Server::Nobody,
                },
                _ => Server::Nobody,
            };
        }
        false
    }

    /// The running thread receives; its own part of it is left among what it expects.
    pub fn receive(&mut self, t: Object, endpoint: Object, timeout_ns: u64, now_ns: u64, arrivals: &mut Vec<Arrival>) {
        if let Part::Endpoint { server, .. } = &mut self.things[endpoint].part {
            *server = match *server {
                Server::Nobody => Server::One(t),
                Server::One(one) if one == t => *server,
                _ => Server::Several,
            };
        }
        if let Some(n) = self.thread(t).bound
            && let Part::Notification { word, .. } = &mut self.things[n].part
            && *word != 0
        {
            let word = core::mem::take(word);
            self.thread_mut(t).expect = notified(word);
            return;
        }
        loop {
            let Part::Endpoint { senders, .. } = &self.things[endpoint].part else { panic!("no endpoint") };
            let Some(s) = senders.front().copied() else { break };
            match self.deliver(s, t, arrivals) {
                Ok(()) => return,
                Err(why) => {
                    self.end_wait(s);
                    self.wake(s, Expect::Fails(why));
                }
            }
        }
        if timeout_ns == 0 {
            self.thread_mut(t).expect = Expect::Fails(e(Error::WouldBlock));
            return;
        }
        self.block(t, State::Receiving(endpoint), timeout_ns, now_ns);
        if let Part::Endpoint { receivers, .. } = &mut self.things[endpoint].part {
            receivers.push_back(t);
        }
    }

    pub fn block(&mut self, t: Object, state: State, timeout_ns: u64, now_ns: u64) {
        let t = self.thread_mut(t);
        t.state = state;
        t.deadline_ns = (timeout_ns != FOREVER).then(|| now_ns.saturating_add(timeout_ns)).filter(|d| *d != FOREVER);
    }

    /// The answer to a call, if it arrives.
    pub fn answer(&mut self, from: Object, number: u64, arrivals: &mut Vec<Arrival>) -> Result<(), Errors> {
        let caller = self.caller_of(number).expect("an open right");
        if let Outgoing::Fault(_) = self.thread(caller).outgoing {
            let goes_on = Tag(self.thread(from).tag).label() == 0;
            self.end_wait(caller);
            match goes_on {
                true => self.wake(caller, Expect::Same),
                false => self.thread_mut(caller).state = State::Inactive,
            }
            return Ok(());
        }
        arrivals.extend(self.transfer(from, caller, 0)?);
        let expect = self.thread(caller).expect;
        self.end_wait(caller);
        self.wake(caller, expect);
        Ok(())
    }

    pub fn signal(&mut self, n: Object, bits: u64) {
        let Part::Notification { word, waiters, bound, .. } = &mut self.things[n].part else { panic!("no notification") };
        *word |= bits;
        if *word == 0 {
            return;
        }
        let value = *word;
        if let Some(t) = waiters.front().copied() {
            *word = 0;
            self.end_wait(t);
            self.wake(t, Expect::Values([value, 0, 0, 0]));
        } else if let Some(t) = *bound
            && let State::Receiving(_) = self.thread(t).state
        {
            if let Part::Notification { word, .. } = &mut self.things[n].part {
                *word = 0;
            }
            self.end_wait(t);
            self.wake(t, notified(value));
        }
    }

    /// What is due at a timer's event.
    pub fn expire(&mut self, now_ns: u64) {
        let due: Vec<_> =
            self.threads.iter().copied().filter(|t| self.thread(*t).deadline_ns.is_some_and(|d| d <= now_ns)).collect();
        for t in due {
            self.end_wait(t);
            self.wake(t, Expect::Fails(e(Error::TimedOut)));
        }
        let mut due = Vec::new();
        for n in self.notifications.iter().copied() {
            if let Part::Notification { alarm: Some((at, bits)), .. } = self.things[n].part
                && at <= now_ns
            {
                due.push((at, n, bits));
            }
        }
        due.sort();
        for (_, n, bits) in due {
            if let Part::Notification { alarm, .. } = &mut self.things[n].part {
                *alarm = None;
            }
            self.signal(n, bits);
        }
    }
}

fn notified(word: u64) -> Expect {
    Expect::Message { badge: 0, tag: Tag::new(NOTIFICATION_LABEL, 1, 0).0, words: [word, 0, 0, 0] }
}
