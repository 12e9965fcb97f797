// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the model knows: objects, capabilities with their derivation, and what becomes of them. Lists and trees in their
//! plainest form; nothing here is taken from how the kernel does it.

use super::messages::FAULT_WORDS;
use super::*;

pub type Object = usize;
pub type CapId = usize;
/// A set of errors, one bit each.
pub type Errors = u32;

pub fn e(error: Error) -> Errors {
    1 << error as u32
}

#[derive(Clone, Debug)]
pub struct Cap {
    pub object: Object,
    pub rights: u64,
    pub badge: u64,
    pub parent: Option<CapId>,
    pub children: Vec<CapId>,
    pub table: Object,
    pub handle: Handle,
    /// The model needs it: no step deletes or moves it while its object lives.
    pub kept: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum State {
    Inactive,
    Stopped,
    /// Runs or is to run.
    Runnable,
    Sending(Object),
    Receiving(Object),
    Waiting(Object),
    /// Waits for the answer with that number.
    Replying(u64),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Outgoing {
    Send,
    Call,
    Fault(u8),
    Exit(u64),
}

/// What a thread must find in its registers when it is seen next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Expect {
    /// Nothing is known.
    Anything,
    Start(u64),
    Values([u64; 4]),
    Fails(Errors),
    Message {
        badge: u64,
        tag: u64,
        words: [u64; 4],
    },
    /// Registers as they were.
    Same,
}

#[derive(Clone, Debug)]
pub struct Thread {
    pub space: Option<Object>,
    pub table: Option<Object>,
    pub buffer: Option<Object>,
    pub handler: Option<(Object, u64)>,
    pub bound: Option<Object>,
    /// Address space and state page of its guest.
    pub guest: Option<(Object, Object)>,
    pub kicked: bool,
    pub state: State,
    pub expect: Expect,
    /// Kept across kernel entries: rbx, rbp, r12 to r15.
    pub kept: [u64; 6],
    pub outgoing: Outgoing,
    /// What its handler is to hear of its fault.
    pub fault: Box<[u64; FAULT_WORDS]>,
    pub badge: u64,
    pub tag: u64,
    pub words: [u64; 4],
    /// Who took its call.
    pub server: Object,
    /// Number of the call that it may answer.
    pub reply: Option<u64>,
    pub deadline_ns: Option<u64>,
    pub priority: u64,
    /// A caller may have lent it a priority.
    pub lent: bool,
    pub cpu: Option<usize>,
    pub budget_ns: u64,
    pub period_ns: u64,
    /// Since its budget was set: from when on, and how long it ran on its own account.
    pub since_ns: u64,
    pub ran_ns: u64,
    /// When it last ran.
    pub ran_at_ns: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Server {
    Nobody,
    One(Object),
    Several,
}

#[derive(Clone, Debug)]
pub enum Part {
    None,
    Pool {
        limit: u64,
    },
    Table {
        slots: u64,
        caps: Vec<CapId>,
        by_slot: BTreeMap<u32, CapId>,
        last: BTreeMap<u32, u32>,
    },
    Memory {
        pages: u64,
        contiguous: bool,
        device: bool,
        frame: Option<u32>,
        words: Box<[u64; 66]>,
    },
    Thread(Box<Thread>),
    Endpoint {
        senders: VecDeque<Object>,
        receivers: VecDeque<Object>,
        server: Server,
    },
    Notification {
        word: u64,
        waiters: VecDeque<Object>,
        bound: Option<Object>,
        alarm: Option<(u64, u64)>,
    },
    Interrupt {
        vector: u8,
        gsi: Option<u64>,
        target: Option<(Object, u64)>,
    },
    /// A reply right: its number.
    Reply(u64, Object),
}

#[derive(Clone, Debug)]
pub struct Thing {
    pub kind: Kind,
    pub pool: Object,
    pub alive: bool,
    /// Root's own, which no step may harm.
    pub root: bool,
    pub part: Part,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Page {
    pub memory: Object,
    pub offset: u64,
    pub access: u64,
    pub most: u64,
}

#[derive(Default)]
pub struct Facts {
    pub things: Vec<Thing>,
    pub caps: Vec<Option<Cap>>,
    pub pages: BTreeMap<(Object, u64), Page>,
    pub threads: Vec<Object>,
    pub pools: Vec<Object>,
    pub notifications: Vec<Object>,
    pub vectors: BTreeMap<u8, Object>,
    pub next_reply: u64,
    /// Handles that once were good, with their table.
    pub stale: VecDeque<(Object, Handle)>,
    /// Tables that capabilities of messages are on their way to, one entry each.
    pub coming: Vec<Object>,
    /// Threads that died in the operation that goes on.
    pub dying: Vec<Object>,
}

impl Thread {
    pub fn new() -> Thread {
        Thread {
            space: None,
            table: None,
            buffer: None,
            handler: None,
            bound: None,
            guest: None,
            kicked: false,
            state: State::Inactive,
            expect: Expect::Anything,
            kept: [0; 6],
            outgoing: Outgoing::Send,
            fault: Box::new([0; FAULT_WORDS]),
            badge: 0,
            tag: 0,
            words: [0; 4],
            server: 0,
            reply: None,
            deadline_ns: None,
            priority: 0,
            lent: false,
            cpu: None,
            budget_ns: 0,
            period_ns: 0,
            since_ns: 0,
            ran_ns: 0,
            ran_at_ns: 0,
        }
    }
}

impl Facts {
    pub fn cap(&self, id: CapId) -> &Cap {
        self.caps[id].as_ref().expect("a capability of the model")
    }

    pub fn thread(&self, t: Object) -> &Thread {
        match &self.things[t].part {
            Part::Thread(t) => t,
            other => panic!("{t} is {other:?}"),
        }
    }

    pub fn thread_mut(&mut self, t: Object) -> &mut Thread {
        match &mut self.things[t].part {
            Part::Thread(t) => t,
            other => panic!("{t} is {other:?}"),
        }
    }

    pub fn make(&mut self, kind: Kind, pool: Object, part: Part) -> Object {
        let object = self.things.len();
        self.things.push(Thing { kind, pool, alive: true, root: false, part });
        match kind {
            Kind::Thread => self.threads.push(object),
            Kind::Pool => self.pools.push(object),
            Kind::Notification => self.notifications.push(object),
            _ => {}
        }
        object
    }

    /// Whether a capability's object is there; of a reply right: whether it can be used.
    pub fn is_alive(&self, object: Object) -> bool {
        match self.things[object].part {
            Part::Reply(number, caller) => self.things[caller].alive && self.thread(caller).state == State::Replying(number),
            _ => self.things[object].alive,
        }
    }

    pub fn insert(
        &mut self,
        table: Object,
        handle: Handle,
        object: Object,
        rights: u64,
        badge: u64,
        parent: Option<CapId>,
    ) -> CapId {
        let id = self.caps.len();
        self.caps.push(Some(Cap { object, rights, badge, parent, children: Vec::new(), table, handle, kept: false }));
        if let Some(p) = parent {
            self.caps[p].as_mut().expect("a parent").children.push(id);
        }
        self.place(table, handle, id);
        id
    }

    fn place(&mut self, table: Object, handle: Handle, id: CapId) {
        let Part::Table { slots, caps, by_slot, last } = &mut self.things[table].part else { panic!("no table") };
        assert!(handle.index() != 0 && (handle.index() as u64) < *slots, "{handle:?} is out of its table");
        assert_eq!(by_slot.insert(handle.index(), id), None, "{handle:?} is in use");
        let before = last.insert(handle.index(), handle.generation()).unwrap_or(0);
        assert!(handle.generation() > before, "{handle:?} was given out before");
        caps.push(id);
    }

    fn displace(&mut self, id: CapId) {
        let (table, handle) = (self.cap(id).table, self.cap(id).handle);
        let Part::Table { caps, by_slot, .. } = &mut self.things[table].part else { panic!("no table") };
        by_slot.remove(&handle.index());
        let at = caps.iter().position(|c| *c == id).expect("it stands there");
        caps.swap_remove(at);
        self.stale.push_back((table, handle));
        if self.stale.len() > 64 {
            self.stale.pop_front();
        }
    }

    /// Empties a slot: what was derived from it hangs on what it was derived from.
    pub fn drop_cap(&mut self, id: CapId) {
        self.displace(id);
        let cap = self.caps[id].take().expect("it is there");
        for child in &cap.children {
            self.caps[*child].as_mut().expect("a child").parent = cap.parent;
        }
        if let Some(p) = cap.parent {
            let p = self.caps[p].as_mut().expect("a parent");
            p.children.retain(|c| *c != id);
            p.children.extend(&cap.children);
        }
        if let Part::Reply(number, caller) = self.things[cap.object].part {
            self.refuse(number, caller);
        }
    }

    /// Takes capabilities for a message out of their slots, if it moves them, and slots of a table for them.
    pub fn take(&mut self, sent: &[CapId], moved: bool, table: Object) {
        if moved {
            sent.iter().for_each(|c| self.displace(*c));
        }
        self.coming.extend(sent.iter().map(|_| table));
    }

    /// A capability that was taken reaches its slot; its place in the derivation stays.
    pub fn move_cap(&mut self, id: CapId, table: Object, handle: Handle) {
        let cap = self.caps[id].as_mut().expect("it is there");
        (cap.table, cap.handle) = (table, handle);
        self.place(table, handle, id);
    }

    /// All that was derived from a capability.
    pub fn descendants(&self, id: CapId) -> Vec<CapId> {
        let mut all = self.cap(id).children.clone();
        let mut next = 0;
        while next < all.len() {
            all.extend(&self.cap(all[next]).children);
            next += 1;
        }
        all
    }

    pub fn table_caps(&self, table: Object) -> &[CapId] {
        match &self.things[table].part {
            Part::Table { caps, .. } => caps,
            _ => panic!("no table"),
        }
    }

    pub fn free_slots(&self, table: Object) -> u64 {
        match &self.things[table].part {
            Part::Table { slots, caps, .. } => {
                slots - 1 - caps.len() as u64 - self.coming.iter().filter(|t| **t == table).count() as u64
            }
            _ => panic!("no table"),
        }
    }

    /// Whether a table is about full and has capabilities to what is gone. The kernel empties those a few at a time when it
    /// needs room, and where it stands in that the model does not know: steps that would find out are not made.
    pub fn is_unsure(&self, table: Object) -> bool {
        const FEW: u64 = 6;
        self.free_slots(table) < FEW && self.table_caps(table).iter().any(|c| !self.is_alive(self.cap(*c).object))
    }

    pub fn has_room(&self, table: Object, count: u64) -> bool {
        self.free_slots(table) >= count
    }

    /// The capability that a number names in a table.
    pub fn find(&self, table: Object, raw: u64) -> Result<CapId, Errors> {
        let Ok(number) = u32::try_from(raw) else { return Err(e(Error::BadHandle)) };
        let Part::Table { by_slot, .. } = &self.things[table].part else { panic!("no table") };
        let id = by_slot.get(&Handle(number).index()).copied();
        match id.filter(|c| self.cap(*c).handle == Handle(number)) {
            Some(id) => Ok(id),
            None if self.stale.contains(&(table, Handle(number))) => Err(e(Error::StaleHandle)),
            None => Err(e(Error::BadHandle) | e(Error::StaleHandle)),
        }
    }

    /// Why an operation that needs that kind and those rights refuses a number; any of several reasons will do.
    pub fn need(&self, table: Object, raw: u64, kind: Kind, rights: Rights) -> Result<CapId, Errors> {
        let id = self.find(table, raw)?;
        let cap = self.cap(id);
        let mut why = 0;
        if self.things[cap.object].kind != kind {
            why |= e(Error::WrongKind);
        }
        if cap.rights & rights.0 as u64 != rights.0 as u64 {
            why |= e(Error::NoRight);
        }
        if !self.is_alive(cap.object) {
            why |= e(Error::BadHandle);
        }
        if why == 0 { Ok(id) } else { Err(why) }
    }

    pub fn is_within(&self, object: Object, pool: Object) -> bool {
        let mut at = object;
        loop {
            if at == pool {
                return true;
            }
            let above = self.things[at].pool;
            if above == at {
                return false;
            }
            at = above;
        }
    }

    /// The end of an object and of all that was made from it.
    pub fn kill(&mut self, object: Object) {
        if !core::mem::replace(&mut self.things[object].alive, false) {
            return;
        }
        match self.things[object].part.clone() {
            Part::Pool { .. } => {
                self.pools.retain(|p| *p != object);
                let made: Vec<_> = (0..self.things.len()).filter(|o| *o != object && self.things[*o].pool == object).collect();
                // A thread is never the waker of another of the same pool.
                let (threads, rest): (Vec<_>, Vec<_>) = made.into_iter().partition(|o| self.things[*o].kind == Kind::Thread);
                threads.into_iter().chain(rest).for_each(|o| self.kill(o));
            }
            Part::Thread(t) => {
                self.end_wait(object);
                self.drop_reply(object);
                if let Some(n) = t.bound {
                    self.set_bound(n, None);
                }
                self.threads.retain(|t| *t != object);
                self.dying.push(object);
            }
            Part::Endpoint { senders, receivers, .. } => {
                senders.into_iter().for_each(|t| self.fail(t));
                receivers.into_iter().for_each(|t| self.wake(t, Expect::Fails(e(Error::Gone))));
            }
            Part::Notification { waiters, bound, .. } => {
                waiters.into_iter().for_each(|t| self.wake(t, Expect::Fails(e(Error::Gone))));
                if let Some(t) = bound {
                    self.thread_mut(t).bound = None;
                }
                self.notifications.retain(|n| *n != object);
            }
            Part::Table { caps, .. } => caps.into_iter().for_each(|c| self.drop_cap(c)),
            Part::Memory { .. } => self.pages.retain(|_, p| p.memory != object),
            Part::Interrupt { vector, .. } => drop(self.vectors.remove(&vector)),
            Part::None if self.things[object].kind == Kind::AddressSpace => self.pages.retain(|(s, _), _| *s != object),
            Part::None | Part::Reply(..) => {}
        }
    }
}
