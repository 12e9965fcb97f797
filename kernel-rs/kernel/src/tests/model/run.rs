// SPDX-License-Identifier: PMPL-1.0-or-later
//! Kernel and model side by side: operations reach both, whoever runs is compared with what the model expects of it, and
//! after each operation the books must balance.

use super::computer::{Computer, STACK_BYTES, STACKS};
use super::ipc::Arrival;
use super::state::*;
use super::*;
use abi::message::Tag;
use machine::memory::Frame;

/// Who makes a system call.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    pub cpu: usize,
    pub thread: Object,
    pub table: Object,
}

/// Longer than the slices of all threads.
pub const LONG_NS: u64 = 200_000_000;

pub struct Model {
    pub c: Computer,
    pub w: state::Facts,
    pub random: Random,
    pub running: [Option<Object>; CPUS],
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
    whole: u64,
    pub arrivals: Vec<Arrival>,
    pub ports: BTreeMap<u64, u64>,
    /// Operations made: done, refused.
    pub counts: BTreeMap<u64, [u64; 2]>,
    pub operations: u64,
    /// What happened last, for whoever has to understand a failure.
    pub transcript: Option<Vec<String>>,
}

impl Model {
    pub fn new(seed: u64) -> Model {
        let c = Computer::new(1600);
        let mut w = state::Facts::default();
        let top = w.make(Kind::Pool, 0, Part::Pool { limit: 0 });
        let table =
            w.make(Kind::Table, top, Part::Table { slots: 512, caps: vec![], by_slot: BTreeMap::new(), last: BTreeMap::new() });
        let space = w.make(Kind::AddressSpace, top, Part::None);
        let mut root = Thread::new();
        (root.space, root.table, root.state, root.priority, root.cpu) = (Some(space), Some(table), State::Runnable, 200, Some(0));
        let buffer = root_buffer(&c.kernel);
        let memory = Part::Memory { pages: 1, contiguous: false, device: false, frame: Some(buffer.0), words: Box::new([0; 66]) };
        root.buffer = Some(w.make(Kind::Memory, top, memory));
        let thread = w.make(Kind::Thread, top, Part::Thread(Box::new(root)));
        let grants = [
            (slots::TABLE, table, ALL, 0),
            (slots::ADDRESS_SPACE, space, ALL, 0),
            (slots::POOL, top, ALL, 0),
            (slots::THREAD, thread, ALL, 0),
            (slots::INTERRUPT_CONTROL, w.make(Kind::InterruptControl, top, Part::None), ALL, 0),
            (slots::PORTS, w.make(Kind::PortRange, top, Part::None), ALL, 0xffff_0000),
            (slots::DEVICE_RANGE, w.make(Kind::DeviceRange, top, Part::None), ALL, 0),
            (slots::BUNDLE, w.make(Kind::Memory, top, plain_memory(2, false, false)), 0b1101, 0),
            (slots::ROOT_INFO, w.make(Kind::Memory, top, plain_memory(1, false, false)), 0b1001, 0),
            (slots::POWER, w.make(Kind::Power, top, Part::None), ALL, 0),
        ];
        for (handle, object, rights, badge) in grants {
            let id = w.insert(table, handle, object, rights, badge, None);
            w.caps[id].as_mut().unwrap().kept = true;
        }
        w.things.iter_mut().for_each(|t| t.root = true);
        let mut model = Model {
            c,
            w,
            random: Random(seed),
            running: [Some(thread), None, None, None],
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
        };
        model.c.registers[0].rsp = STACKS + thread as u64 * STACK_BYTES;
        model.schedule(model.root, slots::THREAD.0 as u64, [200, 0, 0, 0]);
        model.whole = model.balance();
        model
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

    /// An operation whose outcome the model knows: it stands among what the threads expect.
    pub fn perform(&mut self, a: Actor, op: Op, rdi: u64, arguments: [u64; 5]) {
        if self.transcript.is_some() {
            let expect = (self.w.thread(a.thread).state, self.w.thread(a.thread).expect);
            self.note(format_args!("{} on CPU {}: {op:?} {} {arguments:x?}: {expect:?}", a.thread, a.cpu, show(rdi)));
        }
        let refused = matches!(self.w.thread(a.thread).expect, Expect::Fails(_));
        self.count(op, !refused);
        self.c.prepare(a.cpu, op as u64, rdi, arguments);
        self.execute(a, op);
        self.w.coming.clear();
        for arrival in core::mem::take(&mut self.arrivals) {
            self.arrive(arrival);
        }
        self.seen(a.cpu);
        self.settle();
    }

    /// An operation that does not wait, whose answer decides.
    pub fn ask(&mut self, a: Actor, op: Op, rdi: u64, arguments: [u64; 5]) -> Answer {
        self.w.thread_mut(a.thread).expect = Expect::Anything;
        self.c.prepare(a.cpu, op as u64, rdi, arguments);
        self.execute(a, op);
        assert_eq!(self.c.runs(a.cpu), Some(a.thread), "{op:?} does not wait");
        let r = &self.c.registers[a.cpu];
        let answer = Answer { status: r.rax, values: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] };
        self.note(format_args!("{} on CPU {}: {op:?} {} {arguments:x?} -> {:x?}", a.thread, a.cpu, show(rdi), answer));
        self.count(op, answer.status == 0);
        answer
    }

    fn count(&mut self, op: Op, done: bool) {
        self.operations += 1;
        self.counts.entry(op as u64).or_default()[!done as usize] += 1;
    }

    fn execute(&mut self, a: Actor, op: Op) {
        for _ in 0..100_000 {
            if !self.c.execute(a.cpu) {
                return;
            }
            (0..CPUS).filter(|c| *c != a.cpu).for_each(|c| self.kick(c));
        }
        panic!("{op:?} is never done");
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

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { buffer, table, sent, moved } = arrival;
        let Part::Memory { frame: Some(frame), .. } = self.w.things[buffer].part else { panic!("a buffer without a frame") };
        for (n, id) in sent.into_iter().enumerate() {
            let mut bytes = [0; 4];
            self.c.kernel.frames.read_user(Frame(frame), 512 + n * 4, &mut bytes);
            let handle = Handle(u32::from_le_bytes(bytes));
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

    fn kick(&mut self, cpu: usize) {
        self.c.enter(cpu, Event::Kick);
        self.seen(cpu);
    }

    /// Delivers kicks and timers until nothing is due; then everything must be in order.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            let kicked = self.c.kicked();
            let timer = self.c.first_timer(self.c.now_ns);
            if kicked.is_empty() && timer.is_none() {
                self.w.dying.clear();
                return self.check();
            }
            kicked.into_iter().for_each(|c| self.kick(c));
            if let Some((cpu, _)) = timer {
                self.w.expire(self.c.now_ns);
                self.c.enter(cpu, Event::Timer);
                self.seen(cpu);
            }
        }
        panic!("kicks and timers never end");
    }

    /// Lets time pass; timers go off when they were set to.
    pub fn advance(&mut self, by_ns: u64) {
        let (start, end) = (self.c.now_ns, self.c.now_ns + by_ns);
        let ready: Vec<_> = self.w.threads.iter().copied().filter(|t| self.w.thread(*t).state == State::Runnable).collect();
        self.note(format_args!("time passes: {by_ns} ns, to {end}"));
        while let Some((_, at)) = self.c.first_timer(end) {
            self.pass(at.max(self.c.now_ns));
            self.settle();
        }
        self.pass(end);
        if by_ns >= LONG_NS {
            self.check_turns(start, &ready);
        }
        let now = self.c.now_ns;
        let late = self.w.threads.iter().find(|t| self.w.thread(**t).deadline_ns.is_some_and(|d| d <= now));
        assert_eq!(late, None, "no timer went off for a thread's time-out");
        let late = self
            .w
            .notifications
            .iter()
            .find(|n| matches!(self.w.things[**n].part, Part::Notification { alarm: Some((at, _)), .. } if at <= now));
        assert_eq!(late, None, "no timer went off for a notification's alarm");
    }

    /// Whoever could run all that time had its turn beside its equals.
    fn check_turns(&self, start_ns: u64, ready: &[Object]) {
        if self.w.threads.iter().any(|t| self.w.thread(*t).budget_ns > 0 || self.w.thread(*t).lent) {
            return;
        }
        for n in ready {
            let t = self.w.thread(*n);
            if let Some(other) = t.cpu.and_then(|c| self.running[c])
                && self.w.thread(other).priority == t.priority
            {
                assert!(t.ran_at_ns >= start_ns, "thread {n} had no turn beside thread {other}");
            }
        }
    }

    fn pass(&mut self, to_ns: u64) {
        let spent = to_ns - self.c.now_ns;
        for n in self.running.into_iter().flatten() {
            let t = self.w.thread_mut(n);
            t.ran_at_ns = self.c.now_ns;
            if t.reply.is_none() && !t.lent {
                t.ran_ns += spent;
            }
            let periods = (to_ns - t.since_ns).checked_div(t.period_ns).unwrap_or(0) + 1;
            assert!(
                t.budget_ns == 0 || t.ran_ns <= periods * t.budget_ns,
                "thread {n} ran {} ns in {periods} periods of {}",
                t.ran_ns,
                t.budget_ns
            );
        }
        self.c.set_clock(to_ns);
    }

    /// Compares the thread that a CPU goes on with, with what the model knows of it.
    pub fn seen(&mut self, cpu: usize) {
        let Some(n) = self.c.runs(cpu) else {
            self.running[cpu] = None;
            return;
        };
        if self.w.dying.contains(&n) {
            self.running[cpu] = None;
            return;
        }
        assert!(self.w.things[n].alive, "a dead thread runs: {n}");
        let twice = (0..CPUS).find(|c| *c != cpu && self.running[*c] == Some(n));
        assert_eq!(twice, None, "thread {n} runs on two CPUs");
        self.running[cpu] = Some(n);
        let fresh = self.random.0 ^ n as u64;
        let frames = &self.c.kernel.frames;
        let r = &mut self.c.registers[cpu];
        let t = self.w.thread(n);
        assert_eq!(t.state, State::Runnable, "thread {n} runs");
        assert!(t.cpu.is_none_or(|c| c == cpu), "thread {n} runs on CPU {cpu} and belongs on {:?}", t.cpu);
        assert_ne!(r.rip, RIP - SYSCALL_BYTES, "thread {n} was preempted within an operation");
        assert_eq!([r.rbx, r.rbp, r.r12, r.r13, r.r14, r.r15], t.kept, "registers that a call keeps, of thread {n}");
        match t.expect {
            Expect::Anything => return,
            Expect::Start(argument) => assert_eq!(r.rdi, argument),
            Expect::Values(values) => {
                assert_eq!((Error::from_u64(r.rax), [r.rdi, r.rsi, r.rdx, r.r10]), (None, values), "result of thread {n}");
            }
            Expect::Fails(errors) => {
                let bit = 1u32.checked_shl(r.rax as u32).unwrap_or(0);
                assert!(bit & errors != 0, "thread {n} got {:?} and not {:?}", Error::from_u64(r.rax), names(errors));
            }
            Expect::Message { badge, tag, words } => {
                assert_eq!((r.rax, r.rdi, r.rsi), (0, badge, tag), "message of thread {n}");
                assert_eq!([r.rdx, r.r10, r.r8, r.r9], words, "words of thread {n}");
                if let Some(b) = t.buffer.filter(|b| self.w.things[*b].alive)
                    && let Part::Memory { frame: Some(frame), words, .. } = &self.w.things[b].part
                {
                    for w in 4..Tag(tag).words() {
                        assert_eq!(frames.read_user_word(Frame(*frame), w * 8), words[w], "word {w} of thread {n}");
                    }
                }
            }
            Expect::Same => assert_eq!([r.rax, r.rdx, r.rsi, r.rdi], [t.fault[7], t.fault[10], t.fault[11], t.fault[12]]),
        }
        (r.rbx, r.r15) = (fresh, !fresh);
        let t = self.w.thread_mut(n);
        (t.expect, t.kept[0], t.kept[5]) = (Expect::Anything, fresh, !fresh);
    }

    fn check(&mut self) {
        self.check_schedule();
        let balance = self.balance();
        if self.whole != 0 {
            assert_eq!(balance, self.whole + self.w.paid_twice(), "frames that pools paid for and frames that are free");
        }
    }

    /// A thread that may run only here is not kept waiting by a less important one, or by none.
    fn check_schedule(&self) {
        for n in &self.w.threads {
            let t = self.w.thread(*n);
            let (State::Runnable, Some(cpu), 0) = (t.state, t.cpu, t.budget_ns) else { continue };
            if self.running[cpu] == Some(*n) {
                continue;
            }
            match self.running[cpu] {
                None => panic!("thread {n} is lost: CPU {cpu} idles"),
                Some(other) => {
                    let o = self.w.thread(other);
                    assert!(
                        o.lent || o.priority >= t.priority,
                        "thread {other} of {} runs, {n} of {} waits",
                        o.priority,
                        t.priority
                    );
                }
            }
        }
    }

    /// Whoever may run anywhere runs, as long as a CPU has nothing to do.
    pub fn check_idle(&mut self) {
        (1..CPUS).for_each(|c| self.kick(c));
        self.settle();
        if let Some(cpu) = (1..CPUS).find(|c| self.running[*c].is_none()) {
            let lost = self.w.threads.iter().find(|n| {
                let t = self.w.thread(**n);
                t.state == State::Runnable && t.cpu.is_none() && t.budget_ns == 0 && !self.running.contains(&Some(**n))
            });
            assert_eq!(lost, None, "it could run on CPU {cpu}");
        }
    }

    /// Free frames and those that pools say they use.
    fn balance(&mut self) -> u64 {
        let mut sum = self.c.kernel.frames.free() as u64;
        for pool in self.w.pools.clone() {
            let witness = self.witnesses[&pool].0 as u64;
            self.c.prepare(0, Op::PoolUsage as u64, witness, [0; 5]);
            assert!(!self.c.execute(0));
            let r = &self.c.registers[0];
            assert_eq!(r.rax, 0, "usage of a pool");
            let (limit, used) = (r.rdi, r.rsi);
            assert!(used <= limit, "{used} frames of {limit} in use");
            let Part::Pool { limit: known } = &mut self.w.things[pool].part else { panic!("no pool") };
            if *known == 0 {
                *known = limit;
            }
            assert_eq!(limit, *known, "the limit of a pool changed");
            self.usage.insert(pool, used);
            sum += used;
            if pool != self.top {
                sum -= limit;
            }
        }
        sum
    }

    /// Compares all capabilities that the running threads reach, and the pages of root's space.
    pub fn check_graph(&mut self) {
        for cpu in 0..CPUS {
            let Some(thread) = self.running[cpu] else { continue };
            let Some(table) = self.w.thread(thread).table.filter(|t| self.w.things[*t].alive) else { continue };
            for id in self.w.table_caps(table).to_vec() {
                self.inspect(Actor { cpu, thread, table }, self.w.cap(id).handle.0 as u64);
            }
        }
        for page in steps::FIRST_PAGE..steps::FIRST_PAGE + 1600 {
            let known = self.w.pages.get(&(self.space, page)).map(|p| (p.access & 2 != 0, p.access & 4 != 0));
            assert_eq!(root_page(&self.c.kernel, page * 4096), known, "page {page:#x}");
        }
    }
}

pub fn plain_memory(pages: u64, contiguous: bool, device: bool) -> Part {
    Part::Memory { pages, contiguous, device, frame: None, words: Box::new([0; 66]) }
}

pub fn names(errors: Errors) -> Vec<Error> {
    (1..32).filter(|n| errors & 1 << n != 0).filter_map(Error::from_u64).collect()
}

fn show(raw: u64) -> String {
    u32::try_from(raw).map_or(format!("{raw:#x}"), |h| format!("{:?}", Handle(h)))
}
