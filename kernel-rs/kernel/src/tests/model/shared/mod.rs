// SPDX-License-Identifier: PMPL-1.0-or-later
//! The model: what capabilities, pools, threads, messages and mappings must be after each operation, in the simplest form that
//! says it. The kernel's tests on the host compile these files, and so does a program that a booted kernel runs, through a
//! link (`servers-rs/tests/graph`); around them stand each side's `Computer`, which makes the operations, and
//! `Model::perform`, `ask` and `settle`, which compare.
//!
//! `state` is what is known, `messages` what becomes of it in calls and waits; `steps`, `effects`, `guests` and `talk` have an
//! arm for each operation of `abi::op`.

mod effects;
mod guests;
pub mod messages;
pub mod state;
pub mod steps;
mod talk;

use super::*;
use abi::handle::start;
use messages::Arrival;
use state::*;

/// Xorshift64: the same numbers for the same seed, on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u64) as usize])
    }
}

/// Who makes a system call.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    pub cpu: usize,
    pub thread: Object,
    pub table: Object,
}

pub struct Model {
    pub c: Computer,
    pub w: Facts,
    pub random: Random,
    pub root: Actor,
    pub space: Object,
    pub top: Object,
    /// The pool of this round, and the capability to it.
    pub arena: Object,
    pub arena_handle: Handle,
    /// The capability through which each pool is asked for its usage.
    pub witnesses: BTreeMap<Object, Handle>,
    pub usage: BTreeMap<Object, u64>,
    /// Free frames and frames in use, together: never changes.
    pub whole: u64,
    pub arrivals: Vec<Arrival>,
    pub ports: BTreeMap<u64, u64>,
    /// Operations made: done, refused.
    pub counts: BTreeMap<u64, [u64; 2]>,
    pub operations: u64,
    /// What happened last, for whoever has to understand a failure.
    pub transcript: Option<Vec<String>>,
}

impl Model {
    /// A world with what root has when it starts, in a table of so many slots; `buffer` is where its message buffer is.
    pub fn new(c: Computer, seed: u64, slots: u64, buffer: u32) -> Model {
        let mut w = Facts::default();
        let top = w.make(Kind::Pool, 0, Part::Pool { limit: 0 });
        let table =
            w.make(Kind::Table, top, Part::Table { slots, caps: vec![], by_slot: BTreeMap::new(), last: BTreeMap::new() });
        let space = w.make(Kind::AddressSpace, top, Part::None);
        let mut root = Thread::new();
        (root.space, root.table, root.state, root.priority, root.cpu) = (Some(space), Some(table), State::Runnable, 200, Some(0));
        let memory = Part::Memory { pages: 1, contiguous: false, device: false, frame: Some(buffer), words: Box::new([0; 66]) };
        root.buffer = Some(w.make(Kind::Memory, top, memory));
        let thread = w.make(Kind::Thread, top, Part::Thread(Box::new(root)));
        let grants = [
            (start::TABLE, table, ALL, 0),
            (start::ADDRESS_SPACE, space, ALL, 0),
            (start::POOL, top, ALL, 0),
            (start::THREAD, thread, ALL, 0),
            (start::INTERRUPT_CONTROL, w.make(Kind::InterruptControl, top, Part::None), ALL, 0),
            (start::PORTS, w.make(Kind::PortRange, top, Part::None), ALL, 0xffff_0000),
            (start::DEVICE_RANGE, w.make(Kind::DeviceRange, top, Part::None), ALL, 0),
            (start::BUNDLE, w.make(Kind::Memory, top, plain_memory(2, false, false)), 0b1101, 0),
            (start::ROOT_INFO, w.make(Kind::Memory, top, plain_memory(1, false, false)), 0b1001, 0),
            (start::POWER, w.make(Kind::Power, top, Part::None), ALL, 0),
        ];
        for (handle, object, rights, badge) in grants {
            let id = w.insert(table, handle, object, rights, badge, None);
            w.caps[id].as_mut().unwrap().kept = true;
        }
        w.things.iter_mut().for_each(|t| t.root = true);
        Model {
            c,
            w,
            random: Random(seed),
            root: Actor { cpu: 0, thread, table },
            space,
            top,
            arena: top,
            arena_handle: POOL,
            witnesses: BTreeMap::from([(top, POOL)]),
            usage: BTreeMap::new(),
            whole: 0,
            arrivals: vec![],
            ports: BTreeMap::new(),
            counts: BTreeMap::new(),
            operations: 0,
            transcript: None,
        }
    }

    /// Whether the computer is set up: from then on nothing is taken from root.
    pub fn whole_is_known(&self) -> bool {
        self.whole != 0
    }

    pub fn note(&mut self, line: core::fmt::Arguments) {
        if let Some(t) = &mut self.transcript {
            t.push(line.to_string());
        }
    }

    /// An operation of a thread, drawn by how often each is tried.
    pub fn any_operation(&mut self, a: Actor) {
        let whole: u64 = abi::op::TABLE.iter().map(|row| steps::weight(row.op)).sum();
        let mut at = self.random.below(whole);
        for row in abi::op::TABLE {
            match at.checked_sub(steps::weight(row.op)) {
                Some(rest) => at = rest,
                None => return self.arm(row.op, a),
            }
        }
    }

    /// Root's table is longer than what the kernel looks through at once for slots to empty. It is kept from being full, so
    /// that the model need not know where that search stands.
    pub fn make_room(&mut self) {
        while self.w.free_slots(self.root.table) < Computer::FREE_SLOTS {
            let caps = self.w.table_caps(self.root.table);
            let first = self.random.below(caps.len() as u64) as usize;
            let free = (0..caps.len()).map(|n| caps[(first + n) % caps.len()]).find(|c| {
                let cap = self.w.cap(*c);
                !cap.kept || !self.w.is_alive(cap.object)
            });
            let h = self.w.cap(free.expect("something may go")).handle.0 as u64;
            self.delete(self.root, h);
        }
    }

    pub fn count(&mut self, op: Op, done: bool) {
        self.operations += 1;
        self.counts.entry(op as u64).or_default()[!done as usize] += 1;
    }

    /// Whether an operation succeeded; refusals must be among those that the model knows a reason for.
    #[track_caller]
    pub fn judge(&self, answer: &Answer, must: Errors, may: Errors) -> bool {
        let bit = 1u32.checked_shl(answer.status as u32).unwrap_or(0);
        match (must, answer.status) {
            (0, 0) => true,
            (_, 0) => panic!("done, but {:?} stood against it", names(must)),
            _ => {
                let error = Error::from_u64(answer.status);
                assert!(bit & (must | may) != 0, "{error:?}, but only {:?} was to be expected", names(must | may));
                false
            }
        }
    }

    pub fn arrive(&mut self, arrival: Arrival) {
        let Arrival { buffer, table, sent, moved } = arrival;
        let Part::Memory { frame: Some(frame), .. } = self.w.things[buffer].part else { panic!("a buffer without a frame") };
        for (n, id) in sent.into_iter().enumerate() {
            let handle = Handle((self.c.read_word(frame, 64 + n / 2) >> (32 * (n % 2))) as u32);
            if let Part::Memory { words, .. } = &mut self.w.things[buffer].part {
                let shift = 32 * (n % 2);
                words[64 + n / 2] = words[64 + n / 2] & !(0xffff_ffff << shift) | (handle.0 as u64) << shift;
            }
            if moved {
                self.w.move_cap(id, table, handle);
            } else {
                let (object, rights, badge) = (self.w.cap(id).object, self.w.cap(id).rights, self.w.cap(id).badge);
                self.w.insert(table, handle, object, rights, badge, Some(id));
            }
        }
    }
}

pub fn plain_memory(pages: u64, contiguous: bool, device: bool) -> Part {
    Part::Memory { pages, contiguous, device, frame: None, words: Box::new([0; 66]) }
}

pub fn names(errors: Errors) -> Vec<Error> {
    (1..32).filter(|n| errors & 1 << n != 0).filter_map(Error::from_u64).collect()
}

pub fn show(raw: u64) -> String {
    u32::try_from(raw).map_or(format!("{raw:#x}"), |h| format!("{:?}", Handle(h)))
}
