// SPDX-License-Identifier: PMPL-1.0-or-later
//! Threads: registers, what they run in, when they may run. Who runs next is `schedule`'s; messages are `ipc`'s.
//!
//! States and what leads from one to another:
//! ```text
//! Inactive --ThreadStart--> Ready <--picked/preempted--> Running --Call Send Receive Wait fault--> a wait
//! a wait --answered, timed out, other side gone--> Ready      Running --budget spent--> Throttled --period over--> Ready
//! any but Inactive --ThreadStop--> Stopped --ThreadResume--> Ready      Running --ThreadExit, unanswered fault--> Inactive
//! Sending its exit --heard, ThreadStop--> Inactive
//! ```

use super::{Endpoint, Mapping, Memory, Notification, Pool, Space, Table};
use crate::Kernel;
use crate::alarm::{Alarmed, Links};
use crate::fault::Fault;
use crate::invoke::{Call, Done, Flow, at};
use abi::boot_info::USER_END;
use abi::error::Error;
use abi::right::{Kind, Rights};
use abi::thread::doing;
use machine::Run;
use machine::context::{Context, UserState};
use machine::memory::{Frame, Ref, Shortcut, WordsShortcut};
use machine::registers::Registers;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Inactive,
    Stopped,
    /// In a run queue of that CPU, or next on it.
    Ready(usize),
    Running(usize),
    /// Waits for a receiver.
    Sending(Ref<Endpoint>),
    Receiving(Ref<Endpoint>),
    Waiting(Ref<Notification>),
    /// That thread has its message and owes the reply.
    Replying(Ref<Thread>),
    /// Its budget is spent.
    Throttled,
}

/// What a thread sends, or owes an answer for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outgoing {
    Send,
    Call,
    Fault(Fault),
    Exit(u64),
}

/// What an operation of several steps has begun. Of what failed the rest is to be taken away.
#[derive(Clone, Copy, Debug)]
pub enum Making {
    Memory(Ref<Memory>),
    FailedMemory(Ref<Memory>),
    Table(Ref<Table>),
    Mapping(Ref<Mapping>),
    FailedMapping(Ref<Mapping>),
}

/// The right to answer one call of one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyRight {
    pub caller: Ref<Thread>,
    pub number: u64,
}

/// The registers come first: the way in writes them (`machine::Run`).
#[repr(C)]
pub struct Thread {
    pub registers: Registers,
    pub user: UserState,
    pub pool: Ref<Pool>,
    pub name: [u8; 8],
    pub state: State,
    pub space: Option<Ref<Space>>,
    pub table: Option<Ref<Table>>,
    /// To `space` and `table`, for local mode.
    pub to_space: Shortcut<Space>,
    pub to_table: Shortcut<Table>,
    /// Of the same age: to its buffer.
    pub to_buffer: WordsShortcut,
    pub buffer: Option<Ref<Memory>>,
    /// Its first page, as long as the object has pages.
    pub buffer_frame: Frame,
    /// Where its guest runs (`guest`).
    pub guest: Option<Ref<Space>>,
    /// Who hears of its faults, and with which badge.
    pub handler: Option<(Ref<Endpoint>, u64)>,
    /// The endpoint in which it received last (`Ref::id`); 0 = none.
    pub serves: u64,
    /// Bits that wake its Receive.
    pub notification: Option<Ref<Notification>>,

    pub priority: u8,
    /// Priority lent by a caller; 0 = none.
    pub lent: u8,
    pub affinity: Option<usize>,
    /// Where it ran last.
    pub cpu: usize,
    /// 0 = no limit.
    pub budget_ns: u64,
    pub period_ns: u64,
    pub left_ns: u64,
    pub replenish_ns: u64,
    /// How long it ran, up to when its CPU was last in `leave`.
    pub ran_ns: u64,
    /// What is left of its time slice since it was preempted; 0 = it begins a new one.
    pub slice_left_ns: u64,
    /// Whose budget its time is charged to while it works for a caller.
    pub payer: Option<Ref<Thread>>,

    /// Neighbours in the queue it stands in.
    pub previous: Option<Ref<Thread>>,
    pub next: Option<Ref<Thread>>,
    pub alarm: Links<Thread>,

    pub outgoing: Outgoing,
    /// Badge of what it sends.
    pub badge: u64,
    /// The call it may answer.
    pub reply: Option<ReplyRight>,
    /// Number of the right that answers its own call.
    pub reply_number: u64,
    /// What its operation is making.
    pub making: Option<Making>,
    /// What a long operation has done so far.
    pub progress: u64,
}

impl Run for Thread {
    #[inline(always)]
    fn registers(&self) -> &Registers {
        &self.registers
    }
}

impl Alarmed for Thread {
    fn alarm(&self) -> &Links<Self> {
        &self.alarm
    }
    fn alarm_mut(&mut self) -> &mut Links<Self> {
        &mut self.alarm
    }
}

impl Thread {
    pub fn new(pool: Ref<Pool>) -> Thread {
        Thread {
            registers: Registers::default(),
            user: UserState::default(),
            pool,
            name: [0; 8],
            state: State::Inactive,
            space: None,
            table: None,
            to_space: Shortcut::default(),
            to_table: Shortcut::default(),
            buffer: None,
            buffer_frame: Frame::default(),
            to_buffer: WordsShortcut::default(),
            guest: None,
            handler: None,
            serves: 0,
            notification: None,
            priority: 0,
            lent: 0,
            affinity: None,
            cpu: 0,
            budget_ns: 0,
            period_ns: 0,
            left_ns: 0,
            replenish_ns: 0,
            ran_ns: 0,
            slice_left_ns: 0,
            payer: None,
            previous: None,
            next: None,
            alarm: Links::default(),
            outgoing: Outgoing::Send,
            badge: 0,
            reply: None,
            reply_number: 0,
            making: None,
            progress: 0,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    pub fn effective_priority(&self) -> u8 {
        self.priority.max(self.lent)
    }

    pub fn name(&self) -> &str {
        core::str::from_utf8(&self.name).unwrap_or("?").trim_end_matches('\0')
    }
}

impl Kernel {
    /// `Op::ThreadConfigure`.
    pub(crate) fn thread_configure(&mut self, call: &Call) -> Done {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::EDIT)?;
        let (space, _) = self.object_argument::<Space>(call, 0, Kind::AddressSpace, Rights::EDIT)?;
        let (table, _) = self.object_argument::<Table>(call, 1, Kind::Table, Rights::EDIT)?;
        let handler = match call.arguments[2] {
            0 => None,
            _ => {
                let (endpoint, slot) = self.object_argument::<Endpoint>(call, 2, Kind::Endpoint, Rights::WRITE)?;
                Some((endpoint, slot.badge))
            }
        };
        let (buffer, _) = self.object_argument::<Memory>(call, 3, Kind::Memory, Rights::READ | Rights::WRITE)?;
        let buffer_frame = self.get(buffer)?.frame(0).ok_or(at(Error::BadArgument, 3))?;
        self.check_idle(thread)?;
        let t = self.get_mut(thread)?;
        (t.space, t.table, t.handler) = (Some(space), Some(table), handler);
        (t.to_space, t.to_table) = (Shortcut::default(), Shortcut::default());
        (t.buffer, t.buffer_frame, t.to_buffer) = (Some(buffer), buffer_frame, WordsShortcut::default());
        t.name = call.arguments[4].to_le_bytes();
        t.user.forget_roots();
        Ok(Flow::NOTHING)
    }

    /// `BadState` unless the thread is stopped, or was never started, and no CPU has its registers.
    fn check_idle(&self, thread: Ref<Thread>) -> Result<(), Error> {
        let idle = matches!(self.get(thread)?.state, State::Inactive | State::Stopped);
        if idle && self.running_on(thread).is_none() { Ok(()) } else { Err(Error::BadState) }
    }

    /// `Op::ThreadSchedule`.
    pub(crate) fn thread_schedule(&mut self, call: &Call) -> Done {
        /// All ones: any CPU.
        const ANY: u64 = u64::MAX;
        /// Longest period, in microseconds: an hour.
        const LONGEST_US: u64 = 3_600_000_000;
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::EDIT)?;
        let [priority, budget_us, period_us, cpu, _] = call.arguments;
        let own = self.get(call.thread)?.priority;
        let priority = u8::try_from(priority).ok().filter(|p| *p <= own).ok_or(at(Error::BadArgument, 0))?;
        if budget_us > period_us {
            return Err(at(Error::BadArgument, 1));
        }
        if period_us > LONGEST_US {
            return Err(at(Error::BadArgument, 2));
        }
        let affinity = match usize::try_from(cpu) {
            _ if cpu == ANY => None,
            Ok(cpu) if cpu < self.cpu_count => Some(cpu),
            _ => return Err(at(Error::BadArgument, 3)),
        };
        let now_ns = machine::now_ns();
        let t = self.get_mut(thread)?;
        (t.priority, t.affinity) = (priority, affinity);
        (t.budget_ns, t.period_ns) = (budget_us * 1000, period_us * 1000);
        (t.left_ns, t.replenish_ns) = (t.budget_ns, now_ns.saturating_add(t.period_ns));
        // Where it waits now may not be where it may run next.
        self.threads.set_home(thread, None);
        self.requeue(call.cpu, thread);
        Ok(Flow::NOTHING)
    }

    /// `Op::ThreadStart`.
    pub(crate) fn thread_start(&mut self, call: &Call) -> Done {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::WRITE)?;
        let [rip, rsp, argument, ..] = call.arguments;
        for (number, address) in [(0, rip), (1, rsp)] {
            if address >= USER_END {
                return Err(at(Error::OutOfRange, number));
            }
        }
        self.check_idle(thread)?;
        let t = self.get_mut(thread)?;
        if t.space.is_none() {
            return Err(Error::BadState.into());
        }
        t.registers = Registers::start(rip, rsp, argument);
        t.user.restart();
        (t.progress, t.making) = (0, None);
        self.wake(call.cpu, thread);
        Ok(Flow::NOTHING)
    }

    /// `Op::ThreadStop`. A thread that runs on another CPU is asked to leave, and waited for.
    pub(crate) fn thread_stop(&mut self, call: &Call) -> Done {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::WRITE)?;
        if self.stop(call.cpu, thread) { Ok(Flow::NOTHING) } else { Ok(Flow::Again) }
    }

    /// Stops a thread; true when no other CPU has its registers any more.
    pub(crate) fn stop(&mut self, cpu: usize, thread: Ref<Thread>) -> bool {
        let Some(t) = self.threads.get(thread) else { return true };
        if t.state == State::Inactive {
            return true;
        }
        // It is over but for the news: there is nothing behind its exit that it could go on with.
        let exited = matches!((t.state, t.outgoing), (State::Sending(_), Outgoing::Exit(_)));
        let waits = matches!(t.state, State::Sending(_) | State::Receiving(_) | State::Waiting(_) | State::Replying(_));
        let in_call = waits
            && (matches!(t.outgoing, Outgoing::Send | Outgoing::Call)
                || !matches!(t.state, State::Sending(_) | State::Replying(_)));
        self.end_wait(thread);
        if in_call {
            self.set_error(thread, Error::Cancelled);
        }
        if let Some(t) = self.threads.get_mut(thread) {
            t.state = if exited { State::Inactive } else { State::Stopped };
        }
        self.threads.set_home(thread, None);
        match self.running_on(thread) {
            Some(other) if other != cpu => {
                machine::kick(other);
                false
            }
            _ => true,
        }
    }

    /// `Op::ThreadResume`.
    pub(crate) fn thread_resume(&mut self, call: &Call) -> Done {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::WRITE)?;
        match self.get(thread)?.state {
            State::Inactive => Err(Error::BadState.into()),
            State::Stopped if self.running_on(thread).is_some() => Ok(Flow::Again),
            State::Stopped => {
                self.wake(call.cpu, thread);
                Ok(Flow::NOTHING)
            }
            _ => Ok(Flow::NOTHING),
        }
    }

    /// `Op::ThreadBind`.
    pub(crate) fn thread_bind(&mut self, call: &Call) -> Done {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::EDIT)?;
        let notification = match call.arguments[0] {
            0 => None,
            _ => Some(self.object_argument::<Notification>(call, 0, Kind::Notification, Rights::READ)?.0),
        };
        if let Some(n) = notification {
            let bound = self.get(n)?.bound.filter(|t| self.threads.get(*t).is_some());
            if bound.is_some_and(|t| t != thread) {
                return Err(Error::BadState.into());
            }
        }
        let old = core::mem::replace(&mut self.get_mut(thread)?.notification, notification);
        if let Some(n) = old.and_then(|n| self.notifications.get_mut(n)) {
            n.bound = None;
        }
        if let Some(name) = notification
            && let Some(n) = self.notifications.get_mut(name)
        {
            n.bound = Some(thread);
            self.notification_home(name, thread);
        }
        Ok(Flow::NOTHING)
    }

    /// `Op::ThreadFsBase`.
    pub(crate) fn thread_fs_base(&mut self, call: &Call) -> Done {
        let address = call.arguments[0];
        if address >= USER_END {
            return Err(at(Error::OutOfRange, 0));
        }
        self.get_mut(call.thread)?.user.fs_base = address;
        machine::set_fs_base(address);
        Ok(Flow::NOTHING)
    }

    /// The running thread touched a vector register for the first time: from now on it has them, and its pool pays for
    /// their place. `false`: it has them already, or the pool cannot pay; the fault stands.
    pub(crate) fn begin_vector(&mut self, thread: Ref<Thread>) -> bool {
        self.has_context(thread).is_ok_and(|()| {
            let Some(t) = self.threads.get_mut(thread).filter(|t| !t.user.uses_vector()) else { return false };
            machine::begin_vector(&mut t.user);
            true
        })
    }

    /// Sees to it that a thread has a context, paid by its pool.
    pub(crate) fn has_context(&mut self, thread: Ref<Thread>) -> Result<(), Error> {
        let t = self.get(thread)?;
        if t.user.context.is_some() {
            return Ok(());
        }
        let pool = t.pool;
        self.charge(pool, 1)?;
        // The charge promised the frame.
        let context = Context::new(&mut self.frames).ok_or(Error::NoQuota)?;
        self.get_mut(thread)?.user.context = Some(context);
        Ok(())
    }

    /// `Op::ThreadUsage`.
    pub(crate) fn thread_usage(&mut self, call: &Call) -> Done {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::READ)?;
        let t = self.get(thread)?;
        let doing = match t.state {
            State::Inactive => doing::NOTHING,
            State::Stopped => doing::STOPPED,
            State::Ready(_) | State::Running(_) => doing::RUNS,
            State::Receiving(_) => doing::RECEIVES,
            State::Sending(_) | State::Waiting(_) | State::Replying(_) | State::Throttled => doing::WAITS,
        };
        let since = self.running_on(thread).map_or(0, |cpu| self.cpus[cpu].not_charged_ns());
        Ok(Flow::Done([doing, t.ran_ns.saturating_add(since), 0, 0]))
    }

    /// `Op::Yield`.
    pub(crate) fn thread_yield(&mut self, call: &Call) -> Done {
        self.rotate(call.cpu);
        Ok(Flow::NOTHING)
    }
}
