// SPDX-License-Identifier: PMPL-1.0-or-later
//! Kernel and model side by side: operations reach both, whoever runs is compared with what the model expects of it, and
//! after each operation the books must balance.

use super::shared::messages::FAULT_WORDS;
use super::shared::state::*;
use super::shared::{names, show};
use super::*;
use abi::message::Tag;
use machine::memory::Frame;

/// Longer than the slices of all threads.
pub const LONG_NS: u64 = 200_000_000;

impl Model {
    /// The computer with its root, on CPU 0.
    pub fn start(seed: u64) -> Model {
        let c = Computer::new(1600);
        let buffer = root_buffer(&c.kernel).0;
        let mut model = Model::new(c, seed, 512, buffer);
        let root = model.root;
        model.c.running[0] = Some(root.thread);
        model.c.registers[0].rsp = Computer::stack(root.thread);
        model.schedule(root, slots::THREAD.0 as u64, [200, 0, 0, 0]);
        model.whole = model.balance();
        model
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

    fn execute(&mut self, a: Actor, op: Op) {
        for _ in 0..100_000 {
            if !self.c.execute(a.cpu) {
                return;
            }
            (0..CPUS).filter(|c| *c != a.cpu).for_each(|c| self.kick(c));
        }
        panic!("{op:?} is never done");
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
            if let Some(other) = t.cpu.and_then(|c| self.c.running[c])
                && self.w.thread(other).priority == t.priority
            {
                assert!(t.ran_at_ns >= start_ns, "thread {n} had no turn beside thread {other}");
            }
        }
    }

    fn pass(&mut self, to_ns: u64) {
        let spent = to_ns - self.c.now_ns;
        for n in self.c.running.into_iter().flatten() {
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
            self.c.running[cpu] = None;
            return;
        };
        if self.w.dying.contains(&n) {
            self.c.running[cpu] = None;
            return;
        }
        assert!(self.w.things[n].alive, "a dead thread runs: {n}");
        let twice = (0..CPUS).find(|c| *c != cpu && self.c.running[*c] == Some(n));
        assert_eq!(twice, None, "thread {n} runs on two CPUs");
        self.c.running[cpu] = Some(n);
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
            if self.c.running[cpu] == Some(*n) {
                continue;
            }
            match self.c.running[cpu] {
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
        if let Some(cpu) = (1..CPUS).find(|c| self.c.running[*c].is_none()) {
            let lost = self.w.threads.iter().find(|n| {
                let t = self.w.thread(**n);
                t.state == State::Runnable && t.cpu.is_none() && t.budget_ns == 0 && !self.c.running.contains(&Some(**n))
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
            let Some(thread) = self.c.running[cpu] else { continue };
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

    /// A device raises a vector on some CPU.
    pub fn device(&mut self) {
        let vectors: Vec<_> = self.w.vectors.keys().copied().collect();
        let Some(vector) = self.random.pick(&vectors) else { return };
        let cpu = self.random.below(CPUS as u64) as usize;
        self.note(format_args!("vector {vector:#x} on CPU {cpu}"));
        if let Part::Interrupt { target: Some((n, bits)), .. } = self.w.things[self.w.vectors[&vector]].part
            && self.w.things[n].alive
        {
            self.w.signal(n, bits);
        }
        self.c.enter(cpu, Event::Interrupt(vector));
        self.seen(cpu);
        self.settle();
    }

    /// The thread does what the CPU refuses.
    pub fn fault(&mut self, a: Actor) {
        let vector = [0u8, 6, 13, 14][self.random.below(4) as usize];
        let (error, address) = (self.random.below(8), self.random.next());
        let r = &self.c.registers[a.cpu];
        let told: [u64; FAULT_WORDS] = [
            vector as u64,
            address,
            error,
            r.rip,
            r.rsp,
            r.rflags,
            r.rbp,
            r.rax,
            r.rbx,
            r.rcx,
            r.rdx,
            r.rsi,
            r.rdi,
            r.r8,
            r.r9,
            r.r10,
            r.r11,
            r.r12,
            r.r13,
            r.r14,
            r.r15,
        ];
        *self.w.thread_mut(a.thread).fault = told;
        self.note(format_args!("{} on CPU {}: fault {vector}", a.thread, a.cpu));
        self.leave(a, Outgoing::Fault(vector));
        self.c.enter(a.cpu, Event::Fault { vector, error, address });
        self.seen(a.cpu);
        self.settle();
    }
}
