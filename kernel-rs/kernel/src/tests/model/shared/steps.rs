// SPDX-License-Identifier: PMPL-1.0-or-later
//! The arms of the model: each operation of the table with arguments that are often right and sometimes anything.

use super::state::*;
use super::*;
use abi::boot_info::USER_END;

pub const FIRST_PAGE: u64 = 0x10_0000;
/// Threads, and pools, that live at once.
const MOST_THREADS: usize = 9;
const MOST_POOLS: usize = 7;
/// Capabilities that are looked at for one that suits.
const LOOKED_AT: usize = 100;
const DMA: u64 = Rights::DMA.0 as u64;

/// How often an operation is tried. One that is not here has no arm, and a test says so.
pub fn weight(op: Op) -> u64 {
    match op {
        op if Computer::WITHOUT.contains(&op) => 0,
        Op::Null | Op::Yield | Op::ClockNow => 1,
        Op::Call | Op::ReplyReceive => 14,
        Op::Send => 7,
        Op::Receive => 10,
        Op::Reply => 7,
        Op::ReplySave => 3,
        Op::Signal => 7,
        Op::Wait => 6,
        Op::Arm => 4,
        Op::Create => 14,
        Op::PoolSplit | Op::PoolDestroy | Op::PoolUsage => 2,
        Op::Destroy => 6,
        Op::Copy => 14,
        Op::TableInsert => 8,
        Op::Delete => 10,
        Op::Revoke => 3,
        Op::Inspect => 3,
        Op::Map => 8,
        Op::MapMany => 4,
        Op::Unmap | Op::Protect => 4,
        Op::MemorySize | Op::MemoryPhysical => 1,
        Op::DeviceMemory => 1,
        Op::ThreadConfigure | Op::ThreadSchedule => 2,
        Op::ThreadStart | Op::ThreadStop => 3,
        Op::ThreadResume => 5,
        Op::ThreadBind => 2,
        Op::ThreadReadRegisters | Op::ThreadWriteRegisters | Op::ThreadUsage => 1,
        Op::ThreadExit | Op::ThreadFsBase => 1,
        Op::InterruptGsi | Op::InterruptMsi => 1,
        Op::InterruptBind | Op::InterruptAcknowledge => 1,
        Op::PortNarrow | Op::PortIn | Op::PortOut => 1,
        Op::GuestAttach => 16,
        Op::GuestRun | Op::GuestKick => 4,
        Op::GuestSaveVector | Op::GuestLoadVector => 4,
        Op::PowerControl | Op::DebugLog | Op::DebugDump | Op::DebugFail => 1,
        #[allow(unreachable_patterns)]
        _ => 0,
    }
}

impl Model {
    /// A handle that suits, or one of the same table, or one that never was, or a stale one, or no handle at all.
    pub fn pick(&mut self, table: Object, kind: Kind) -> u64 {
        let roll = self.random.below(40);
        match roll {
            0 => return [0, 1 << 40, u64::MAX, self.random.0][self.random.below(4) as usize],
            1 => return self.random.next() & 0xffff_ffff,
            2 if !self.w.stale.is_empty() => {
                let at = self.random.below(self.w.stale.len() as u64) as usize;
                return self.w.stale[at].1.0 as u64;
            }
            _ => {}
        }
        let caps = self.w.table_caps(table);
        if caps.is_empty() {
            return 0;
        }
        let first = self.random.below(caps.len() as u64) as usize;
        let caps = self.w.table_caps(table);
        let (mut good, mut some) = (None, None);
        for n in 0..caps.len().min(LOOKED_AT) {
            let cap = self.w.cap(caps[(first + n) % caps.len()]);
            if roll < 5 || self.w.things[cap.object].kind != kind || !self.w.is_alive(cap.object) {
                continue;
            }
            some = some.or(Some(cap.handle));
            if cap.rights | DMA == ALL {
                good = Some(cap.handle);
                break;
            }
        }
        let other = self.w.cap(caps[first]).handle;
        if roll < 12 { some.unwrap_or(other).0 as u64 } else { good.or(some).unwrap_or(other).0 as u64 }
    }

    fn pick_any(&mut self, table: Object) -> u64 {
        let kind = [Kind::Endpoint, Kind::Memory, Kind::Table, Kind::Notification, Kind::Null][self.random.below(5) as usize];
        self.pick(table, kind)
    }

    pub fn expect(&mut self, a: Actor, expect: Expect) {
        self.w.thread_mut(a.thread).expect = expect;
    }

    /// The effect of an operation that ends at once: nothing but an error, or what `act` does and no values.
    pub fn simple(
        &mut self,
        a: Actor,
        op: Op,
        rdi: u64,
        arguments: [u64; 5],
        checked: Result<CapId, Errors>,
        act: impl FnOnce(&mut Self, Object),
    ) {
        match checked {
            Err(why) => self.expect(a, Expect::Fails(why)),
            Ok(id) => {
                let object = self.w.cap(id).object;
                self.expect(a, Expect::Values([0; 4]));
                act(self, object);
            }
        }
        self.perform(a, op, rdi, arguments);
    }

    /// One random operation of a thread. Some are not made after all: they would end the experiment.
    pub fn arm(&mut self, op: Op, a: Actor) {
        let table = a.table;
        let is_root = a.thread == self.root.thread;
        match op {
            Op::Null | Op::Yield => {
                self.expect(a, Expect::Values([0; 4]));
                self.perform(a, op, 0, [0; 5]);
            }
            Op::ClockNow => {
                self.expect(a, Expect::Values([self.c.now_ns, 0, 0, 0]));
                self.perform(a, op, 0, [0; 5]);
            }
            Op::Call | Op::ReplyReceive | Op::ThreadExit if is_root => {}
            Op::Call => self.send_message(a, Op::Call),
            Op::Send => self.send_message(a, Op::Send),
            Op::Receive => {
                let timeout = if is_root { 0 } else { self.timeout() };
                let h = self.pick(table, Kind::Endpoint);
                self.receive_message(a, h, timeout);
            }
            Op::ReplyReceive => self.reply_receive(a),
            Op::Reply => self.reply(a),
            Op::ReplySave => self.reply_save(a),
            Op::Signal => {
                let (h, bits) = (self.pick(table, Kind::Notification), self.random.below(8));
                let checked = self.w.need(table, h, Kind::Notification, Rights::WRITE);
                self.simple(a, op, h, [bits, 0, 0, 0, 0], checked, |m, n| m.w.signal(n, bits));
            }
            Op::Wait => {
                let timeout = if is_root { 0 } else { self.timeout() };
                let h = self.pick(table, Kind::Notification);
                self.wait(a, h, timeout);
            }
            Op::Arm => {
                // Even: never together with a thread's time-out, which is odd.
                let at = (self.c.now_ns & !1) + 2 * self.random.below(2_000_000);
                let at = [at, at, at, 0, FOREVER][self.random.below(5) as usize];
                let (h, bits) = (self.pick(table, Kind::Notification), self.random.below(4));
                let checked = self.w.need(table, h, Kind::Notification, Rights::EDIT);
                self.simple(a, op, h, [at, bits, 0, 0, 0], checked, |m, n| {
                    if let Part::Notification { alarm, .. } = &mut m.w.things[n].part {
                        *alarm = (at != FOREVER).then_some((at, bits));
                    }
                });
            }
            Op::Create => {
                let kinds = [Kind::Memory, Kind::Table, Kind::AddressSpace, Kind::Thread, Kind::Endpoint, Kind::Notification];
                let mut kind = kinds[self.random.below(6) as usize] as u64;
                if self.random.below(30) == 0 {
                    kind = self.random.below(300);
                }
                if kind == Kind::Thread as u64 && self.w.threads.len() >= MOST_THREADS {
                    kind = Kind::Endpoint as u64;
                }
                let argument = match kind {
                    4 => {
                        let pages = 1 + self.random.below(8);
                        self.mostly(pages * 4096, &[0, 100, 1 << 60])
                    }
                    2 => {
                        let slots = 6 + self.random.below(60);
                        self.mostly(slots, &[0, 1, 1 << 40])
                    }
                    _ => 0,
                };
                let flags = [0, 0, 0, 1, 2, 3][self.random.below(6) as usize];
                let argument = if kind == 4 && self.random.below(20) == 0 { 512 * 4096 } else { argument };
                let h = self.pick(table, Kind::Pool);
                self.create(a, h, kind, argument, if kind == 4 { flags } else { 0 });
            }
            Op::PoolSplit => {
                let (h, frames) = (self.pick(table, Kind::Pool), 1 + self.random.below(90));
                let frames = self.mostly(frames, &[0, 1 << 33, 10_000]);
                self.split(a, h, frames);
            }
            Op::PoolDestroy => {
                let h = self.pick(table, Kind::Pool);
                self.pool_destroy(a, h);
            }
            Op::PoolUsage => {
                let h = self.pick(table, Kind::Pool);
                match self.w.need(table, h, Kind::Pool, Rights::READ) {
                    Err(why) => self.expect(a, Expect::Fails(why)),
                    Ok(id) => {
                        let pool = self.w.cap(id).object;
                        let Part::Pool { limit } = self.w.things[pool].part else { panic!("no pool") };
                        self.expect(a, Expect::Values([limit, self.usage[&pool], 0, 0]));
                    }
                }
                self.perform(a, op, h, [0; 5]);
            }
            Op::Destroy => {
                let h = self.pick_any(table);
                self.destroy(a, h);
            }
            Op::Copy => {
                let h = self.pick_any(table);
                let keep = self.rights();
                let badge = [0, 0, 1 + self.random.below(3)][self.random.below(3) as usize];
                self.copy(a, h, keep, badge);
            }
            Op::TableInsert => {
                let (to, h) = (self.pick(table, Kind::Table), self.pick_any(table));
                let keep = self.rights();
                let badge = [0, 0, 1 + self.random.below(3)][self.random.below(3) as usize];
                let index = self.random.below(70);
                let index = self.mostly(0, &[index, index, index, 1 << 30]);
                self.table_insert(a, to, h, keep, badge, index);
            }
            Op::Delete => {
                let h = self.pick_any(table);
                self.delete(a, h);
            }
            Op::Revoke => {
                let h = self.pick_any(table);
                self.revoke(a, h);
            }
            Op::Inspect => {
                let h = self.pick_any(table);
                self.inspect(a, h);
            }
            Op::Map => self.map(a),
            Op::MapMany => self.map_many(a),
            Op::Unmap => self.unmap(a),
            Op::Protect => self.protect(a),
            Op::MemorySize => {
                let h = self.pick(table, Kind::Memory);
                match self.w.need(table, h, Kind::Memory, Rights::NONE) {
                    Err(why) => self.expect(a, Expect::Fails(why)),
                    Ok(id) => {
                        let pages = self.pages_of(self.w.cap(id).object);
                        self.expect(a, Expect::Values([pages * 4096, 0, 0, 0]));
                    }
                }
                self.perform(a, op, h, [0; 5]);
            }
            Op::MemoryPhysical => {
                let h = self.pick(table, Kind::Memory);
                self.physical(a, h, self.random.0 % 20_000);
            }
            Op::DeviceMemory => self.device_memory(a),
            Op::ThreadConfigure => {
                let [h, space, to, memory] =
                    [Kind::Thread, Kind::AddressSpace, Kind::Table, Kind::Memory].map(|k| self.pick(table, k));
                let endpoint = if self.random.below(2) == 0 { 0 } else { self.pick(table, Kind::Endpoint) };
                self.configure(a, h, [space, to, endpoint, memory, 0]);
            }
            Op::ThreadSchedule => {
                let h = self.pick(table, Kind::Thread);
                let arguments = self.schedule_arguments();
                self.schedule(a, h, arguments);
            }
            Op::ThreadStart => {
                let h = self.pick(table, Kind::Thread);
                let rip = self.mostly(0x40_0000, &[USER_END, FOREVER]);
                self.thread_start(a, h, rip, self.random.0);
            }
            Op::ThreadStop => {
                let h = self.pick(table, Kind::Thread);
                self.thread_stop(a, h);
            }
            Op::ThreadResume => {
                let h = self.pick(table, Kind::Thread);
                self.thread_resume(a, h);
            }
            Op::ThreadReadRegisters | Op::ThreadWriteRegisters => self.registers(a, op),
            Op::ThreadUsage => self.thread_usage(a),
            Op::ThreadBind => {
                let h = self.pick(table, Kind::Thread);
                let n = if self.random.below(4) == 0 { 0 } else { self.pick(table, Kind::Notification) };
                self.thread_bind(a, h, n);
            }
            Op::ThreadExit => self.exit(a),
            Op::ThreadFsBase => {
                let address = [self.random.0 >> 20, USER_END, FOREVER][self.random.below(3) as usize];
                let refused = address >= USER_END;
                self.expect(a, if refused { Expect::Fails(e(Error::OutOfRange)) } else { Expect::Values([0; 4]) });
                self.perform(a, op, 0, [address, 0, 0, 0, 0]);
            }
            Op::InterruptGsi | Op::InterruptMsi => {
                let (h, pool) = (self.pick(table, Kind::InterruptControl), self.pick(table, Kind::Pool));
                self.interrupt(a, op, h, pool);
            }
            Op::InterruptBind => {
                let (h, n, bits) =
                    (self.pick(table, Kind::Interrupt), self.pick(table, Kind::Notification), self.random.below(8));
                let checked = self.w.need(table, h, Kind::Interrupt, Rights::EDIT);
                let other = self.w.need(table, n, Kind::Notification, Rights::WRITE);
                let target = other.map(|id| self.w.cap(id).object);
                self.simple(a, op, h, [n, bits, 0, 0, 0], both(checked, other), |m, i| {
                    if let Part::Interrupt { target: to, .. } = &mut m.w.things[i].part {
                        *to = target.ok().map(|n| (n, bits));
                    }
                });
            }
            Op::InterruptAcknowledge => {
                let h = self.pick(table, Kind::Interrupt);
                let checked = self.w.need(table, h, Kind::Interrupt, Rights::WRITE);
                self.simple(a, op, h, [0; 5], checked, |_, _| {});
            }
            Op::PortNarrow | Op::PortIn | Op::PortOut => self.port(a, op),
            Op::PowerControl => {
                let (h, action) = (self.pick(table, Kind::Power), self.random.below(3));
                let why = match self.w.need(table, h, Kind::Power, Rights::WRITE) {
                    Err(why) => why,
                    Ok(_) if action < 2 => e(Error::Unsupported),
                    Ok(_) => e(Error::BadArgument),
                };
                self.expect(a, Expect::Fails(why));
                self.perform(a, op, h, [action, 0, 0, 0, 0]);
            }
            Op::GuestAttach => {
                let (h, m) = (self.pick(table, Kind::AddressSpace), self.pick(table, Kind::Memory));
                self.guest_attach(a, h, m);
            }
            Op::GuestRun => self.guest_run(a),
            Op::GuestKick => {
                let h = self.pick(table, Kind::Thread);
                self.guest_kick(a, h);
            }
            Op::GuestSaveVector | Op::GuestLoadVector => self.guest_vector(a, op),
            Op::DebugLog | Op::DebugDump | Op::DebugFail if !Computer::HAS_DEBUG => {
                self.expect(a, Expect::Fails(e(Error::UnknownOperation)));
                self.perform(a, op, 0, [0; 5]);
            }
            _ => {}
        }
    }

    /// Nine times of ten what works, else one of those that may not.
    pub fn mostly(&mut self, usual: u64, others: &[u64]) -> u64 {
        let other = self.random.below(others.len() as u64) as usize;
        if self.random.below(10) > 0 { usual } else { others[other] }
    }

    fn rights(&mut self) -> u64 {
        let some = self.random.below(256);
        let all = self.random.below(2) == 0;
        self.mostly(if all { ALL } else { some }, &[some, 1 << 8])
    }

    fn timeout(&mut self) -> u64 {
        let odd = |now: u64, after: u64| after * 2 + 1 + (now & 1);
        match self.random.below(4) {
            0 => 0,
            1 => FOREVER,
            // now + that is odd.
            _ => odd(self.c.now_ns, self.random.below(3_000_000)),
        }
    }

    pub fn schedule_arguments(&mut self) -> [u64; 4] {
        let priority = self.random.below(151);
        let priority = self.mostly(priority, &[100, 100, 300]);
        let (budget, period) =
            [(0, 0), (0, 0), (1000, 10_000), (0, 0), (20, 10), (0, 4_000_000_000)][self.random.below(6) as usize];
        let cpu = self.random.below(3) + 1;
        let cpu = self.mostly(cpu, &[FOREVER, FOREVER, FOREVER, 77]);
        [priority, budget, period, cpu]
    }

    pub fn pages_of(&self, memory: Object) -> u64 {
        match self.w.things[memory].part {
            Part::Memory { pages, .. } => pages,
            _ => panic!("no memory"),
        }
    }

    /// Whether a pool could not pay that much, and some more for what the model does not count: slabs, page tables.
    pub fn tight(&self, pool: Object, frames: u64) -> Errors {
        const MORE: u64 = 6;
        let Part::Pool { limit } = self.w.things[pool].part else { return e(Error::NoQuota) };
        if limit < self.usage[&pool] + frames + MORE { e(Error::NoQuota) } else { 0 }
    }

    /// What stands against one more capability in a table.
    pub fn room(&self, table: Object) -> Errors {
        if self.w.has_room(table, 1) { 0 } else { e(Error::TableFull) }
    }

    /// Whether a pool is the one above the round's: what is made from it would stay.
    pub fn outlives_round(&self, pool: Result<CapId, Errors>) -> bool {
        self.arena != self.top && pool.is_ok_and(|id| self.w.cap(id).object == self.top)
    }

    pub fn create(&mut self, a: Actor, h: u64, kind: u64, argument: u64, flags: u64) -> Option<Handle> {
        let checked = self.w.need(a.table, h, Kind::Pool, Rights::EDIT);
        let full = self.room(a.table);
        let kind_of = u8::try_from(kind).ok().and_then(Kind::from_u8);
        let mut must = full | checked.err().unwrap_or(0);
        let through = checked.map_or(0, |id| self.w.cap(id).rights);
        if self.outlives_round(checked) || self.w.is_unsure(a.table) {
            return None;
        }
        let part = match kind_of {
            Some(Kind::Memory) => {
                // Frames for large pages may not lie so.
                let unit = if flags == 2 { 512 * 4096 } else { 4096 };
                must |= if !argument.is_multiple_of(unit) { e(Error::Misaligned) } else { 0 };
                must |= if argument == 0 || argument > 1 << 40 || flags > 2 { e(Error::BadArgument) } else { 0 };
                must |= if flags == 1 && through & DMA == 0 { e(Error::NoRight) } else { 0 };
                plain_memory(argument / 4096, flags == 1, false)
            }
            Some(Kind::Table) => {
                must |= if (2..=65_536).contains(&argument) { 0 } else { e(Error::BadArgument) };
                Part::Table { slots: argument, caps: vec![], by_slot: BTreeMap::new(), last: BTreeMap::new() }
            }
            Some(Kind::AddressSpace) => Part::None,
            Some(Kind::Thread) => Part::Thread(Box::new(Thread::new())),
            Some(Kind::Endpoint) => {
                Part::Endpoint { senders: Default::default(), receivers: Default::default(), server: Server::Nobody }
            }
            Some(Kind::Notification) => Part::Notification { word: 0, waiters: Default::default(), bound: None, alarm: None },
            _ => {
                must |= e(Error::BadArgument);
                Part::None
            }
        };
        let cost = match kind_of {
            Some(Kind::Memory) if must == 0 => argument / 4096 + if flags > 0 { 1000 } else { 0 },
            Some(Kind::Table) => argument.min(1 << 20) / 64,
            _ => 1,
        };
        let may = checked.map_or(0, |id| self.tight(self.w.cap(id).object, cost));
        let answer = self.ask(a, Op::Create, h, [kind, argument, flags, 0, 0]);
        let mut made = None;
        if self.judge(&answer, must, may) {
            let pool = self.w.cap(checked.unwrap()).object;
            let rights = if kind_of == Some(Kind::Memory) && flags != 1 { ALL & !DMA } else { ALL };
            let object = self.w.make(kind_of.unwrap(), pool, part);
            self.w.insert(a.table, answer.handle(), object, rights, 0, None);
            made = Some(answer.handle());
        }
        self.settle();
        if let Some(h) = made.filter(|_| kind == Kind::Memory as u64 && flags == 1) {
            self.physical(a, h.0 as u64, 0);
        }
        made
    }

    pub fn split(&mut self, a: Actor, h: u64, frames: u64) -> Option<Handle> {
        let checked = self.w.need(a.table, h, Kind::Pool, Rights::EDIT);
        let full = self.room(a.table);
        let mut must = full | checked.err().unwrap_or(0);
        must |= if frames == 0 || frames > u32::MAX as u64 { e(Error::BadArgument) } else { 0 };
        // The model wants to look into every pool, so root's table must get the capability.
        if self.outlives_round(checked) || self.w.is_unsure(a.table) {
            return None;
        }
        if must == 0 && (a.table != self.root.table || self.w.pools.len() >= MOST_POOLS || self.w.free_slots(a.table) < 8) {
            return None;
        }
        let may = checked.map_or(0, |id| self.tight(self.w.cap(id).object, frames));
        let answer = self.ask(a, Op::PoolSplit, h, [frames, 0, 0, 0, 0]);
        let mut made = None;
        if self.judge(&answer, must, may) {
            let above = checked.unwrap();
            let rights = ALL & (self.w.cap(above).rights | !DMA);
            let object = self.w.make(Kind::Pool, self.w.cap(above).object, Part::Pool { limit: frames });
            let id = self.w.insert(a.table, answer.handle(), object, rights, 0, None);
            self.w.caps[id].as_mut().unwrap().kept = true;
            self.witnesses.insert(object, answer.handle());
            made = Some(answer.handle());
        }
        self.settle();
        if let Some(h) = made {
            self.copy(a, h.0 as u64, ALL, 0);
        }
        made
    }

    pub fn physical(&mut self, a: Actor, h: u64, offset: u64) {
        let checked = self.w.need(a.table, h, Kind::Memory, Rights::DMA);
        let mut must = checked.err().unwrap_or(0);
        if let Ok(id) = checked
            && let Part::Memory { pages, contiguous, .. } = self.w.things[self.w.cap(id).object].part
        {
            must |= if offset >= pages * 4096 { e(Error::OutOfRange) } else { 0 };
            must |= if contiguous { 0 } else { e(Error::BadState) };
        }
        let answer = self.ask(a, Op::MemoryPhysical, h, [offset, 0, 0, 0, 0]);
        if self.judge(&answer, must, 0) {
            let memory = self.w.cap(checked.unwrap()).object;
            let Part::Memory { frame, .. } = &mut self.w.things[memory].part else { panic!("no memory") };
            let first = ((answer.values[0] - offset) / 4096) as u32;
            assert_eq!(*frame.get_or_insert(first), first, "memory moved");
        }
        self.settle();
    }

    /// A thread that can work: with a table of its own or root's, a message buffer, a place to run.
    pub fn spawn(&mut self) {
        let a = self.root;
        if self.w.threads.len() >= MOST_THREADS || self.w.free_slots(a.table) < 60 {
            return;
        }
        let pool = if self.random.below(2) == 0 { self.arena_handle.0 as u64 } else { self.pick(a.table, Kind::Pool) };
        for kind in [Kind::Endpoint, Kind::Notification] {
            // Something to talk through.
            self.create(a, pool, kind as u64, 0, 0);
        }
        let Some(thread) = self.create(a, pool, Kind::Thread as u64, 0, 0) else { return };
        let Some(buffer) = self.create(a, pool, Kind::Memory as u64, 4096, 1) else { return };
        let mut table = TABLE;
        if self.random.below(3) > 0 {
            let slots = 8 + self.random.below(40);
            let Some(own) = self.create(a, pool, Kind::Table as u64, slots, 0) else { return };
            table = own;
            let kinds = [
                Kind::Endpoint,
                Kind::Notification,
                Kind::Endpoint,
                Kind::Memory,
                Kind::Thread,
                Kind::Table,
                Kind::AddressSpace,
                Kind::Pool,
            ];
            for n in 0..slots as usize * 2 / 3 {
                let h = self.pick(a.table, kinds[n % kinds.len()]);
                self.table_insert(a, own.0 as u64, h, ALL, 0, 0);
            }
        }
        let handler = if self.random.below(2) == 0 { 0 } else { self.pick(a.table, Kind::Endpoint) };
        self.configure(a, thread.0 as u64, [SPACE.0 as u64, table.0 as u64, handler, buffer.0 as u64, 0x70]);
        let [priority, ..] = self.schedule_arguments();
        let cpu = [FOREVER, 1, 2, 3][self.random.below(4) as usize];
        let (budget, period) = if self.random.below(6) == 0 { (2000, 15_000) } else { (0, 0) };
        self.schedule(a, thread.0 as u64, [priority.min(150), budget, period, cpu]);
        if !Computer::WITHOUT.contains(&Op::ThreadStart) {
            self.thread_start(a, thread.0 as u64, 0x40_0000, self.random.0);
        }
    }
}

/// Both checks, and all that stands against either.
pub fn both(a: Result<CapId, Errors>, b: Result<CapId, Errors>) -> Result<CapId, Errors> {
    match a.err().unwrap_or(0) | b.err().unwrap_or(0) {
        0 => a,
        why => Err(why),
    }
}
