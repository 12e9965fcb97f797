// SPDX-License-Identifier: PMPL-1.0-or-later
//! The computer under the model: this one. The model's root is this program's only thread, so an operation is a system call,
//! and what came out is compared at once.

use super::shared::state::*;
use super::shared::{Actor, names, plain_memory};
use super::*;
use rt::hostile::Doomed;

/// As `stage/bundle.json` says.
const ROOT_TABLE_SLOTS: u64 = 4096;
const ROOT_PRIORITY: u64 = 100;
/// What this program has beside what every root has is in slots below this one.
const FIRST_SLOTS: u32 = 64;
/// This program's message buffer, among the model's frames.
const OWN_BUFFER: u32 = u32::MAX;

/// What an operation gave: status, then rdi, rsi, rdx, r10, r8, r9.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u64,
    pub values: [u64; 6],
}

impl Answer {
    pub fn handle(self) -> Handle {
        Handle(self.values[0] as u32)
    }
}

pub struct Computer {
    /// What the model does is done to this program itself; it keeps clear of what the program stands on.
    caller: Doomed,
    cpus: u64,
    /// Time is not compared here.
    pub now_ns: u64,
}

impl Computer {
    /// What ends the machine or the program, goes by time or by devices that are there, or runs other threads.
    pub const WITHOUT: &'static [Op] = &[
        Op::ClockNow,
        Op::Arm,
        Op::DeviceMemory,
        Op::ThreadStart,
        Op::ThreadFsBase,
        Op::InterruptGsi,
        Op::InterruptMsi,
        Op::PortIn,
        Op::PortOut,
        Op::PowerControl,
        Op::DebugLog,
        Op::DebugDump,
        Op::DebugFail,
    ];
    pub const HAS_DEBUG: bool = true;
    /// Slots of this program's table that are kept free: what is told stays readable.
    pub const FREE_SLOTS: u64 = ROOT_TABLE_SLOTS - 300;

    pub fn cpus(&self) -> u64 {
        self.cpus
    }
    /// No thread is started.
    pub fn stack(_: usize) -> u64 {
        0
    }
    pub fn read_word(&self, frame: u32, n: usize) -> u64 {
        assert_eq!(frame, OWN_BUFFER, "another thread's buffer");
        rt::channel::with_buffer(|b| b.word(n))
    }
    pub fn write_word(&mut self, frame: u32, n: usize, word: u64) {
        assert_eq!(frame, OWN_BUFFER, "another thread's buffer");
        rt::channel::with_buffer(|b| match n.checked_sub(abi::message::MAX_WORDS) {
            None => b.set_word(n, word),
            Some(pair) => {
                b.set_cap(pair * 2, Handle(word as u32));
                b.set_cap(pair * 2 + 1, Handle((word >> 32) as u32));
            }
        });
    }
    fn call(&self, op: Op, rdi: u64, [rsi, rdx, r10, r8, r9]: [u64; 5]) -> Answer {
        let outcome = self.caller.call(op as u64, [rdi, rsi, rdx, r10, r8, r9]);
        assert!(outcome.kept, "{op:?} changed registers that a call keeps");
        Answer { status: outcome.status, values: outcome.values }
    }
}

impl Model {
    /// This program's capabilities, as the kernel and `rt` left them.
    pub fn begin(seed: u64) -> Model {
        let cpus = rt::start::root_info().map_or(1, |info| info.cpu_count);
        let c = Computer { caller: Doomed::new(), cpus, now_ns: 1 };
        let mut m = Model::new(c, seed, ROOT_TABLE_SLOTS, OWN_BUFFER);
        m.random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        m.w.thread_mut(m.root.thread).priority = ROOT_PRIORITY;
        for handle in (1..FIRST_SLOTS).flat_map(|slot| (1..4).map(move |life| Handle::new(slot, life))) {
            m.meet(handle);
        }
        m.whole = 1;
        m.settle();
        m
    }

    /// A capability that may be there from the start.
    fn meet(&mut self, handle: Handle) {
        let found = self.c.call(Op::Inspect, handle.0 as u64, [0; 5]);
        let [kind, rights, badge, ..] = found.values;
        let Some(kind) = u8::try_from(kind).ok().and_then(Kind::from_u8).filter(|_| found.status == 0) else { return };
        let pages = self.c.call(Op::MemorySize, handle.0 as u64, [0; 5]).values[0] / 4096;
        if let Ok(id) = self.w.find(self.root.table, handle.0 as u64) {
            let object = self.w.cap(id).object;
            assert_eq!((self.w.things[object].kind, self.w.cap(id).rights), (kind, rights), "{handle:?}");
            if let Part::Memory { pages: known, .. } = &mut self.w.things[object].part {
                *known = pages;
            }
            return;
        }
        let part = match kind {
            Kind::Memory => plain_memory(pages, false, false),
            Kind::Endpoint => Part::Endpoint { senders: VecDeque::new(), receivers: VecDeque::new(), server: Server::Nobody },
            Kind::Notification => Part::Notification { word: 0, waiters: VecDeque::new(), bound: None, alarm: None },
            _ => Part::None,
        };
        let object = self.w.make(kind, self.top, part);
        self.w.things[object].root = true;
        let id = self.w.insert(self.root.table, handle, object, rights, badge, None);
        if let Some(cap) = &mut self.w.caps[id] {
            cap.kept = true;
        }
    }

    /// An operation whose outcome the model knows.
    pub fn perform(&mut self, a: Actor, op: Op, rdi: u64, arguments: [u64; 5]) {
        let expect = self.w.thread(a.thread).expect;
        self.count(op, !matches!(expect, Expect::Fails(_)));
        let answer = self.c.call(op, rdi, arguments);
        let (status, [r0, r1, r2, r3, ..]) = (answer.status, answer.values);
        let what = format_args!("{op:?} {rdi:#x} {arguments:x?}: {answer:x?}");
        match expect {
            Expect::Values(values) => assert_eq!((status, [r0, r1, r2, r3]), (0, values), "{what}"),
            Expect::Fails(errors) => {
                let bit = 1u32.checked_shl(status as u32).unwrap_or(0);
                assert!(bit & errors != 0, "{what}, not {:?}", names(errors));
            }
            Expect::Message { badge, tag, .. } => assert_eq!((status, r0, r1), (0, badge, tag), "{what}"),
            Expect::Anything | Expect::Start(_) | Expect::Same => {}
        }
        assert_eq!(self.w.thread(a.thread).state, State::Runnable, "{what}: it does not wait");
        self.w.coming.clear();
        for arrival in core::mem::take(&mut self.arrivals) {
            self.arrive(arrival);
        }
        self.w.thread_mut(a.thread).expect = Expect::Anything;
        self.settle();
    }

    /// An operation whose answer decides.
    pub fn ask(&mut self, _: Actor, op: Op, rdi: u64, arguments: [u64; 5]) -> Answer {
        let answer = self.c.call(op, rdi, arguments);
        self.count(op, answer.status == 0);
        answer
    }

    /// After each operation: every pool is asked what it has in use, which is no less than what is known of it.
    pub fn settle(&mut self) {
        self.w.dying.clear();
        for pool in self.w.pools.clone() {
            let answer = self.c.call(Op::PoolUsage, self.witnesses[&pool].0 as u64, [0; 5]);
            let [limit, used, ..] = answer.values;
            assert!(answer.status == 0 && used <= limit, "pool {pool}: {answer:?}");
            if let Part::Pool { limit: known } = &mut self.w.things[pool].part {
                *known = if *known == 0 { limit } else { *known };
                assert_eq!(limit, *known, "the limit of a pool changed");
            }
            self.usage.insert(pool, used);
            let least = self.w.least_used(pool);
            assert!(pool == self.top || used >= least, "pool {pool}: {used} frames in use, and {least} are known");
        }
    }
}

impl Facts {
    /// Frames of memory objects, and what child pools were given.
    fn least_used(&self, pool: Object) -> u64 {
        let own = self.things.iter().enumerate().filter(|(n, t)| t.alive && t.pool == pool && *n != pool);
        own.map(|(_, t)| match t.part {
            Part::Memory { pages, device: false, .. } => pages,
            Part::Pool { limit } => limit,
            _ => 0,
        })
        .sum()
    }
}
