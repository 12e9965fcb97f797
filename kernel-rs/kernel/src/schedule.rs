// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who runs next, and why: the highest effective priority on this CPU, in turn among equals; a thread just handed to
//! by IPC goes first among equals; a CPU without work takes some from another.
//!
//! A thread with a budget runs that long in each period, then waits for the next. A server that works for a caller has
//! at least the caller's priority and is charged to the caller's budget.

use crate::alarm::NEVER;
use crate::ipc::LONGEST_CHAIN;
use crate::objects::{Endpoint, Notification, ReplyRight, Space, State, Thread};
use crate::queue::Queue;
use crate::{Kernel, Level};
use abi::error::Error;
use machine::Next;
use machine::guest::Exit;
use machine::memory::Ref;

/// Alarms handled at one entry; more wait for the next, which comes at once.
const MOST_ALARMS: usize = 4;

#[derive(Debug)]
pub struct Cpu {
    /// Whose registers this CPU has; local mode leaves it as it was (`see_current`).
    pub current: Option<Ref<Thread>>,
    /// Goes first if nobody is more important: it was handed a message by the thread that just stopped running.
    pub direct: Option<Ref<Thread>>,
    /// Whose budget the time since `since_ns` is charged to; `None` = nobody's, who runs has no limit.
    pub charged: Option<Ref<Thread>>,
    since_ns: u64,
    /// When it last left the kernel: who ran since then is charged with that time (`Thread::ran_ns`).
    left_ns: u64,
    pub slice_end_ns: u64,
    /// Threads that are ready, by priority; and which of the queues hold one.
    pub ready: [Queue; 256],
    filled: [u64; 4],
    /// Highest priority in the queues, -1 = they are empty.
    pub top: i16,
    idle: bool,
    /// Other CPUs that idle: who wakes a thread that may run anywhere gives it to one of them.
    pub others_idle: u64,
    /// Something changed: who should run, or when the timer should go off.
    pub look: bool,
}

impl Cpu {
    pub const NEW: Cpu = Cpu {
        current: None,
        direct: None,
        charged: None,
        since_ns: 0,
        left_ns: 0,
        slice_end_ns: 0,
        ready: [Queue::EMPTY; 256],
        filled: [0; 4],
        top: -1,
        idle: false,
        others_idle: 0,
        look: true,
    };

    /// How long the thread that has its registers runs that no `Thread::ran_ns` has yet.
    pub fn not_charged_ns(&self) -> u64 {
        machine::now_ns().saturating_sub(self.left_ns)
    }

    fn top(&self) -> Option<u8> {
        u8::try_from(self.top).ok()
    }

    fn find_top(&mut self) {
        let top = (0..4).rev().find(|n| self.filled[*n] != 0).map(|n| n as i16 * 64 + 63 - self.filled[n].leading_zeros() as i16);
        self.top = top.unwrap_or(-1);
    }

    /// A thread was put into the queue of that priority.
    #[inline(always)]
    pub fn filled(&mut self, priority: u8) {
        self.filled[priority as usize / 64] |= 1 << (priority % 64);
        self.top = self.top.max(priority as i16);
    }

    /// A thread was taken out of the queue of that priority.
    #[inline(always)]
    pub fn taken(&mut self, priority: u8) {
        if self.ready[priority as usize].is_empty() {
            self.filled[priority as usize / 64] &= !(1 << (priority % 64));
            self.find_top();
        }
    }
}

impl Kernel {
    /// The CPU that has a thread's registers.
    pub(crate) fn running_on(&self, thread: Ref<Thread>) -> Option<usize> {
        self.cpus.iter().position(|c| c.current == Some(thread))
    }

    /// Local mode changes what a CPU runs: looks at it again.
    pub(crate) fn see_current(&mut self) {
        for cpu in 0..self.cpu_count {
            self.cpus[cpu].current = self.threads.running(cpu);
        }
    }

    fn priority_of(&self, thread: Option<Ref<Thread>>) -> Option<u8> {
        thread.and_then(|t| self.threads.get(t)).map(|t| t.effective_priority())
    }

    /// Priority of what runs on a CPU now; `None` while it idles or is about to choose.
    fn running_priority(&self, cpu: usize) -> Option<u8> {
        let current = self.cpus[cpu].current.filter(|t| self.threads.get(*t).is_some_and(|t| t.state == State::Running(cpu)));
        self.priority_of(current)
    }

    fn enqueue(&mut self, cpu: usize, thread: Ref<Thread>, front: bool) {
        let Some(t) = self.threads.get_mut(thread) else { return };
        let priority = t.effective_priority();
        t.state = State::Ready(cpu);
        self.threads.set_home(thread, Some(cpu));
        let c = &mut self.cpus[cpu];
        let queue = &mut c.ready[priority as usize];
        match front {
            true => queue.push_front(&mut self.threads, thread),
            false => queue.push_back(&mut self.threads, thread),
        }
        c.filled(priority);
        c.look = true;
    }

    fn dequeue(&mut self, cpu: usize, priority: u8, thread: Ref<Thread>) {
        let c = &mut self.cpus[cpu];
        c.ready[priority as usize].remove(&mut self.threads, thread);
        c.taken(priority);
    }

    fn front(&self, cpu: usize, priority: u8) -> Option<Ref<Thread>> {
        self.cpus[cpu].ready[priority as usize].front()
    }

    /// Sets a thread's alarm, and sees to it that the timer knows.
    fn set_alarm(&mut self, thread: Ref<Thread>, deadline_ns: u64) {
        self.thread_alarms.set(&mut self.threads, thread, deadline_ns);
        self.cpus[self.here].look = true;
    }

    /// The thread waits from now on, for that long at most (all ones: for ever).
    pub(crate) fn block(&mut self, thread: Ref<Thread>, state: State, timeout_ns: u64) {
        if let Some(t) = self.threads.get_mut(thread) {
            t.state = state;
        }
        let deadline_ns = if timeout_ns == NEVER { NEVER } else { machine::now_ns().saturating_add(timeout_ns) };
        self.set_alarm(thread, deadline_ns);
        if deadline_ns != NEVER {
            // Its wait is ended by who can clear the alarm.
            self.threads.set_home(thread, None);
        }
    }

    /// Takes a thread out of whatever it waits in or for. Its state is `Stopped` until the caller decides.
    pub(crate) fn end_wait(&mut self, thread: Ref<Thread>) {
        let Some(t) = self.threads.get_mut(thread) else { return };
        let priority = t.effective_priority();
        match core::mem::replace(&mut t.state, State::Stopped) {
            State::Ready(cpu) if self.cpus[cpu].direct == Some(thread) => self.cpus[cpu].direct = None,
            State::Ready(cpu) => self.dequeue(cpu, priority, thread),
            State::Sending(endpoint) => {
                if let Some(e) = self.endpoints.get_mut(endpoint) {
                    e.senders.remove(&mut self.threads, thread);
                }
            }
            State::Receiving(endpoint) => {
                if let Some(e) = self.endpoints.get_mut(endpoint) {
                    e.receivers.remove(&mut self.threads, thread);
                }
            }
            State::Waiting(notification) => {
                if let Some(n) = self.notifications.get_mut(notification) {
                    n.waiters.remove(&mut self.threads, thread);
                }
            }
            State::Inactive | State::Stopped | State::Running(_) | State::Replying(_) | State::Throttled => {}
        }
        self.thread_alarms.clear(&mut self.threads, thread);
    }

    /// Makes a thread that is in no queue ready, on the CPU that suits it best. `cpu` is the one that does this.
    pub(crate) fn wake(&mut self, cpu: usize, thread: Ref<Thread>) {
        let Some(t) = self.threads.get(thread) else { return };
        let (affinity, last, priority) = (t.affinity, t.cpu.min(self.cpu_count - 1), t.effective_priority());
        let blocked = self.cpus[cpu].current.is_some() && self.running_priority(cpu).is_none();
        if blocked && self.cpus[cpu].direct.is_none() && affinity.is_none_or(|a| a == cpu) {
            (self.cpus[cpu].direct, self.cpus[cpu].look) = (Some(thread), true);
            if let Some(t) = self.threads.get_mut(thread) {
                t.state = State::Ready(cpu);
            }
            self.threads.set_home(thread, Some(cpu));
            return;
        }
        let free = |c: usize| self.cpus[c].idle || c == cpu && self.running_priority(cpu) < Some(priority);
        let target =
            affinity.unwrap_or_else(|| if free(last) { last } else { (0..self.cpu_count).find(|c| free(*c)).unwrap_or(last) });
        self.enqueue(target, thread, false);
        // An equal must be heard of as well: with nobody to share with, that CPU's timer knows no end of the slice.
        if target != cpu && (self.cpus[target].idle || self.running_priority(target) <= Some(priority)) {
            machine::kick(target);
        }
    }

    /// A thread's priority or place changed: puts it where it belongs now.
    pub(crate) fn requeue(&mut self, cpu: usize, thread: Ref<Thread>) {
        let Some(t) = self.threads.get(thread) else { return };
        match t.state {
            // The queue it stands in is that of its old priority: found by looking.
            State::Ready(on) if self.cpus[on].direct != Some(thread) => {
                for priority in 0..=255 {
                    if self.stands_in(on, priority, thread) {
                        self.dequeue(on, priority, thread);
                        break;
                    }
                }
                self.wake(cpu, thread);
            }
            State::Running(on) if on != cpu => machine::kick(on),
            State::Running(on) => self.cpus[on].look = true,
            // It has a new budget.
            State::Throttled => {
                self.end_wait(thread);
                self.wake(cpu, thread);
            }
            _ => {}
        }
    }

    fn stands_in(&self, cpu: usize, priority: u8, thread: Ref<Thread>) -> bool {
        let mut at = self.front(cpu, priority);
        while let Some(t) = at {
            if t == thread {
                return true;
            }
            at = self.threads.get(t).and_then(|t| t.next);
        }
        false
    }

    /// The running thread goes behind its equals.
    pub(crate) fn rotate(&mut self, cpu: usize) {
        let running = self.running_priority(cpu);
        if let Some(thread) = self.cpus[cpu].current
            && running.is_some()
            && self.cpus[cpu].top() >= running
        {
            self.enqueue(cpu, thread, false);
        }
    }

    /// Lends a caller's priority and budget to the thread that has its message.
    pub(crate) fn lend(&mut self, caller: Ref<Thread>, server: Ref<Thread>) {
        let Some(c) = self.threads.get(caller) else { return };
        let (priority, payer) = (c.effective_priority(), c.payer.unwrap_or(caller));
        if let Some(s) = self.threads.get_mut(server) {
            s.lent = s.lent.max(priority);
            s.payer = Some(payer);
        }
        // Time may be another's from now on: leaving must see to it.
        if self.limited_payer(server).is_some() {
            self.cpus[self.here].look = true;
        }
    }

    /// Raises a busy server to the priority of who queues for it.
    pub(crate) fn boost(&mut self, cpu: usize, caller: Ref<Thread>, server: Ref<Thread>) {
        let Some(priority) = self.priority_of(Some(caller)) else { return };
        let Some(s) = self.threads.get(server) else { return };
        if s.effective_priority() >= priority {
            return;
        }
        let ready = matches!(s.state, State::Ready(_));
        if ready {
            self.end_wait(server);
        }
        if let Some(s) = self.threads.get_mut(server) {
            s.lent = priority;
        }
        if ready {
            self.wake(cpu, server);
        }
    }

    /// Charges the time since the last charge.
    fn account(&mut self, cpu: usize, now_ns: u64) {
        let c = &mut self.cpus[cpu];
        let spent = now_ns.saturating_sub(core::mem::replace(&mut c.since_ns, now_ns));
        if let Some(p) = c.charged.and_then(|p| self.threads.get_mut(p)) {
            p.left_ns = p.left_ns.saturating_sub(spent);
        }
    }

    /// Charges a running server's time to its caller before it stops working for it.
    pub(crate) fn settle(&mut self, thread: Ref<Thread>) {
        let c = &self.cpus[self.here];
        if c.charged.is_some() && c.current == Some(thread) {
            self.account(self.here, machine::now_ns());
            self.cpus[self.here].look = true;
        }
    }

    /// Who pays for a thread's time, if that one has a limit.
    fn limited_payer(&self, thread: Ref<Thread>) -> Option<Ref<Thread>> {
        let t = self.threads.get(thread)?;
        if t.payer.is_none() && t.budget_ns == 0 {
            return None;
        }
        let payer = t.payer.filter(|p| self.threads.get(*p).is_some()).unwrap_or(thread);
        (self.threads.get(payer)?.budget_ns > 0).then_some(payer)
    }

    /// Whether a thread that was picked may run. If not, it was put elsewhere.
    fn may_run(&mut self, cpu: usize, thread: Ref<Thread>, now_ns: u64) -> bool {
        if let Some(payer) = self.limited_payer(thread)
            && !self.can_spend(cpu, thread, payer, now_ns)
        {
            return false;
        }
        let Some(t) = self.threads.get(thread) else { return false };
        if t.space.is_none_or(|s| self.spaces.get(s).is_none_or(|s| s.dying)) {
            self.log(Level::Warning, format_args!("thread {} stopped: its address space is gone", t.name()));
            if let Some(t) = self.threads.get_mut(thread) {
                t.state = State::Inactive;
            }
            return false;
        }
        true
    }

    /// Whether the budget that a thread would run on allows it.
    fn can_spend(&mut self, cpu: usize, thread: Ref<Thread>, payer: Ref<Thread>, now_ns: u64) -> bool {
        let Some(p) = self.threads.get_mut(payer) else { return false };
        if now_ns >= p.replenish_ns {
            (p.left_ns, p.replenish_ns) = (p.budget_ns, now_ns.saturating_add(p.period_ns));
        }
        if p.left_ns > 0 {
            return true;
        }
        let replenish_ns = p.replenish_ns;
        if payer == thread {
            self.block(thread, State::Throttled, NEVER);
            self.set_alarm(thread, replenish_ns);
        } else {
            // The caller cannot pay any more: the server goes on with what is its own until the caller can again.
            if let Some(t) = self.threads.get_mut(thread) {
                (t.payer, t.lent) = (None, 0);
            }
            if self.threads.get(payer).is_some_and(|p| matches!(p.state, State::Replying(_))) {
                self.set_alarm(payer, replenish_ns);
                self.threads.set_home(payer, None);
            }
            self.enqueue(cpu, thread, false);
        }
        false
    }

    /// The most important thread for this CPU; `keep` is the one it runs already. A thread that was handed to runs on
    /// in the slice of who handed to it, so that two threads that talk do not keep their equals from running.
    fn candidate(&mut self, cpu: usize, keep: Option<Ref<Thread>>, now_ns: u64) -> Option<Ref<Thread>> {
        let c = &self.cpus[cpu];
        if c.direct.is_none() && c.top < 0 {
            return keep;
        }
        let in_slice = now_ns < c.slice_end_ns;
        if let Some(direct) = self.cpus[cpu].direct.take() {
            let (priority, top) = (self.priority_of(Some(direct)), self.cpus[cpu].top());
            if (priority > top || priority == top && in_slice) && priority > self.priority_of(keep) {
                self.preempt(cpu, keep, now_ns);
                return Some(direct);
            }
            self.enqueue(cpu, direct, in_slice);
        }
        let (top, running) = (self.cpus[cpu].top(), self.priority_of(keep));
        if top < running || top == running && in_slice || top.is_none() {
            return keep;
        }
        self.preempt(cpu, keep, now_ns);
        let next = self.front(cpu, top?)?;
        self.dequeue(cpu, top?, next);
        let left_ns = self.threads.get_mut(next).map_or(0, |t| core::mem::take(&mut t.slice_left_ns));
        self.cpus[cpu].slice_end_ns = now_ns.saturating_add(if left_ns > 0 { left_ns } else { self.slice_ns });
        Some(next)
    }

    /// The running thread makes place: it goes on first, for the rest of its slice, or last if the slice is over.
    fn preempt(&mut self, cpu: usize, keep: Option<Ref<Thread>>, now_ns: u64) {
        let Some(keep) = keep else { return };
        let left_ns = self.cpus[cpu].slice_end_ns.saturating_sub(now_ns);
        if let Some(t) = self.threads.get_mut(keep) {
            t.slice_left_ns = left_ns;
        }
        self.enqueue(cpu, keep, left_ns > 0);
    }

    /// Work that another CPU has waiting and that may run here.
    fn steal(&mut self, cpu: usize, now_ns: u64) -> Option<Ref<Thread>> {
        let others = (0..self.cpu_count).filter(|c| *c != cpu);
        let (from, (priority, thread)) =
            others.filter_map(|c| Some((c, self.movable(c)?))).max_by_key(|(_, (priority, _))| *priority)?;
        self.dequeue(from, priority, thread);
        self.cpus[cpu].slice_end_ns = now_ns.saturating_add(self.slice_ns);
        Some(thread)
    }

    /// The most important of the threads that wait on a CPU and may run on another; those bound to it may stand before.
    fn movable(&self, cpu: usize) -> Option<(u8, Ref<Thread>)> {
        /// Threads that are looked at.
        const MOST: usize = 16;
        let mut looked = 0;
        let mut filled = self.cpus[cpu].filled;
        while let Some(word) = (0..filled.len()).rev().find(|n| filled[*n] != 0) {
            let bit = 63 - filled[word].leading_zeros();
            filled[word] &= !(1 << bit);
            let priority = (word as u32 * 64 + bit) as u8;
            let mut at = self.front(cpu, priority);
            while let Some(thread) = at
                && let Some(t) = self.threads.get(thread)
            {
                looked += 1;
                if t.affinity.is_none() {
                    return Some((priority, thread));
                }
                if looked == MOST {
                    return None;
                }
                at = t.next;
            }
        }
        None
    }

    /// Leaves the kernel: chooses, switches, sets the timer. Whoever goes on is what the CPU runs, with its own registers.
    pub(crate) fn leave(&mut self, cpu: usize) -> Next {
        let now_ns = machine::now_ns();
        self.cpus[cpu].look = false;
        let was_idle = self.cpus[cpu].idle;
        let previous = self.cpus[cpu].current;
        let ran_ns = now_ns.saturating_sub(core::mem::replace(&mut self.cpus[cpu].left_ns, now_ns));
        if let Some(t) = previous.and_then(|t| self.threads.get_mut(t)) {
            t.ran_ns = t.ran_ns.saturating_add(ran_ns);
        }
        let mut keep = previous.filter(|t| self.threads.get(*t).is_some_and(|t| t.state == State::Running(cpu)));
        if let Some(thread) = keep.filter(|t| self.threads.get(*t).is_some_and(|t| t.affinity.is_some_and(|a| a != cpu))) {
            // Its place was changed while it ran.
            self.end_wait(thread);
            self.wake(cpu, thread);
            keep = None;
        }
        let next = loop {
            let Some(next) = self.candidate(cpu, keep, now_ns).or_else(|| self.steal(cpu, now_ns)) else { break None };
            if self.may_run(cpu, next, now_ns) {
                break Some(next);
            }
            keep = None;
        };
        let charged = next.and_then(|t| self.limited_payer(t));
        if charged != self.cpus[cpu].charged || next.is_none() {
            self.account(cpu, now_ns);
            self.cpus[cpu].charged = charged;
        }
        if next != previous {
            if let Some(old) = previous.and_then(|t| self.threads.get_mut(t)) {
                machine::save_user(&mut old.user);
            }
            self.cpus[cpu].current = next;
        }
        let c = &mut self.cpus[cpu];
        if c.slice_end_ns <= now_ns {
            c.slice_end_ns = now_ns.saturating_add(self.slice_ns);
        }
        c.idle = next.is_none();
        if was_idle != next.is_none() {
            self.tell_idle(cpu, next.is_none());
        }
        let Some(t) = next.and_then(|t| self.threads.get_mut(t)) else {
            machine::activate_kernel();
            machine::run_nothing(cpu);
            self.set_timer(cpu, None);
            return Next::Idle;
        };
        (t.state, t.cpu) = (State::Running(cpu), cpu);
        if next != previous {
            machine::load_user(&t.user);
        }
        let table =
            |s: Option<Ref<Space>>| s.and_then(|s| self.spaces.get(s)).filter(|s| !s.dying).and_then(|s| s.table.as_ref());
        let mut inside = t.user.is_inside();
        if inside && table(t.guest).is_none() {
            t.user.leave_guest(&mut t.registers, Exit::GONE);
            (t.registers.rax, t.registers.rdi, inside) = (Error::Gone as u64, 0, false);
        }
        if let Some(table) = table(if inside { t.guest } else { t.space }) {
            machine::activate(table);
        }
        let (priority, stays) = (t.effective_priority(), t.affinity.is_none_or(|a| a == cpu));
        if let Some(next) = next.filter(|n| Some(*n) != previous || self.threads.home(*n) != Some(cpu)) {
            self.threads.set_home(next, stays.then_some(cpu));
            self.threads.run(next, cpu);
        }
        self.set_timer(cpu, Some(priority));
        Next::User
    }

    /// Tells the other CPUs that this one idles, or no longer does.
    fn tell_idle(&mut self, cpu: usize, idles: bool) {
        for other in (0..self.cpu_count).filter(|c| *c != cpu) {
            let mask = &mut self.cpus[other].others_idle;
            *mask = if idles { *mask | 1 << cpu } else { *mask & !(1 << cpu) };
        }
    }

    /// A thread is about to wait for messages. All who wait there and the endpoint are at home on one CPU, or it is at
    /// home nowhere, as it is while senders wait; so is the notification that may end the wait.
    pub(crate) fn endpoint_waits(&mut self, endpoint: Ref<Endpoint>, thread: Ref<Thread>) {
        let home = self.threads.home(thread);
        if let Some(e) = self.endpoints.get(endpoint) {
            let first = e.senders.is_empty() && e.receivers.is_empty();
            if first || self.endpoints.home(endpoint) != home {
                self.endpoints.set_home(endpoint, home.filter(|_| first));
            }
        }
        if let Some(bound) = self.threads.get(thread).and_then(|t| t.notification) {
            self.notification_home(bound, thread);
        }
    }

    /// As [`Kernel::endpoint_waits`], for a notification.
    pub(crate) fn notification_waits(&mut self, notification: Ref<Notification>, thread: Ref<Thread>) {
        let home = self.threads.home(thread);
        let first = self.notifications.get(notification).is_some_and(|n| n.waiters.is_empty());
        if first || self.notifications.home(notification) != home {
            self.notifications.set_home(notification, home.filter(|_| first));
        }
    }

    /// A bound notification is at home where its thread is, unless others wait for it as well.
    pub(crate) fn notification_home(&mut self, notification: Ref<Notification>, thread: Ref<Thread>) {
        if self.notifications.get(notification).is_some_and(|n| n.waiters.is_empty()) {
            self.notifications.set_home(notification, self.threads.home(thread));
        }
    }

    /// The timer goes off at the first alarm, at the end of the slice if someone waits for it, and when the budget ends.
    fn set_timer(&mut self, cpu: usize, running: Option<u8>) {
        let mut deadline_ns = self.thread_alarms.first_ns().min(self.notification_alarms.first_ns());
        let c = &self.cpus[cpu];
        if running.is_some() && c.top() == running {
            deadline_ns = deadline_ns.min(c.slice_end_ns);
        }
        if let Some(p) = c.charged.and_then(|p| self.threads.get(p)) {
            deadline_ns = deadline_ns.min(c.since_ns.saturating_add(p.left_ns));
        }
        machine::set_timer((deadline_ns != NEVER).then_some(deadline_ns));
    }

    /// Handles what is due.
    pub(crate) fn timer_fired(&mut self, cpu: usize) {
        let now_ns = machine::now_ns();
        for _ in 0..MOST_ALARMS {
            match self.thread_alarms.first() {
                Some((thread, ns)) if ns <= now_ns => self.thread_alarm(cpu, thread),
                _ => break,
            }
        }
        for _ in 0..MOST_ALARMS {
            match self.notification_alarms.first() {
                Some((notification, ns)) if ns <= now_ns => self.notification_alarm(cpu, notification),
                _ => break,
            }
        }
        self.account(cpu, now_ns);
        if let Some(thread) = self.cpus[cpu].current.filter(|_| self.running_priority(cpu).is_some()) {
            let spent = self.cpus[cpu].charged.and_then(|p| self.threads.get(p)).is_some_and(|p| p.left_ns == 0);
            if spent {
                self.enqueue(cpu, thread, false);
            }
        }
    }

    /// A caller that waits for its reply has a budget again: whoever works for it in the end has its priority and its
    /// budget back.
    fn lend_again(&mut self, cpu: usize, caller: Ref<Thread>) {
        self.thread_alarms.clear(&mut self.threads, caller);
        let mut server = caller;
        for _ in 0..LONGEST_CHAIN {
            let Some(&Thread { state: State::Replying(next), reply_number: number, .. }) = self.threads.get(server) else {
                break;
            };
            // Whoever saved the right or went on to something else owes an answer still, but does not work for it.
            let right = ReplyRight { caller: server, number };
            if self.threads.get(next).is_none_or(|t| t.reply != Some(right)) {
                return;
            }
            server = next;
        }
        if server != caller && self.threads.get(server).is_some_and(|s| s.payer.is_none()) {
            self.boost(cpu, caller, server);
            self.lend(caller, server);
        }
    }

    fn thread_alarm(&mut self, cpu: usize, thread: Ref<Thread>) {
        if self.threads.get(thread).is_some_and(|t| matches!(t.state, State::Replying(_))) {
            return self.lend_again(cpu, thread);
        }
        let throttled = self.threads.get(thread).is_some_and(|t| t.state == State::Throttled);
        self.end_wait(thread);
        if !throttled {
            self.set_error(thread, Error::TimedOut);
        }
        self.wake(cpu, thread);
    }
}
