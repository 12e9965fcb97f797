// SPDX-License-Identifier: PMPL-1.0-or-later
//! Notifications: a word of bits that can be set without waiting and waited for; and an alarm that sets some at a time.

use super::{Pool, State, Thread};
use crate::Kernel;
use crate::alarm::{Alarmed, Links};
use crate::invoke::{Call, Done, Flow};
use crate::queue::Queue;
use abi::error::Error;
use abi::message::{NOTIFICATION_LABEL, Tag};
use abi::right::{Kind, Rights};
use machine::memory::Ref;

pub struct Notification {
    pub pool: Ref<Pool>,
    pub word: u64,
    pub waiters: Queue,
    /// The thread whose Receive wakes for the bits as well.
    pub bound: Option<Ref<Thread>>,
    alarm: Links<Notification>,
    alarm_bits: u64,
}

impl Alarmed for Notification {
    fn alarm(&self) -> &Links<Self> {
        &self.alarm
    }
    fn alarm_mut(&mut self) -> &mut Links<Self> {
        &mut self.alarm
    }
}

impl Notification {
    pub fn new(pool: Ref<Pool>) -> Notification {
        Notification { pool, word: 0, waiters: Queue::default(), bound: None, alarm: Links::default(), alarm_bits: 0 }
    }
}

impl Kernel {
    /// `Op::Signal`.
    pub(crate) fn notification_signal(&mut self, call: &Call) -> Done {
        let (notification, _) = self.object::<Notification>(call, Kind::Notification, Rights::WRITE)?;
        self.signal(call.cpu, notification, call.arguments[0]);
        self.settle_home(call.cpu, notification);
        Ok(Flow::NOTHING)
    }

    /// A notification that nobody waits for, nor is bound to, is at home where it was used last.
    fn settle_home(&mut self, cpu: usize, notification: Ref<Notification>) {
        if self.notifications.get(notification).is_some_and(|n| n.waiters.is_empty() && n.bound.is_none()) {
            self.notifications.set_home(notification, Some(cpu));
        }
    }

    /// Sets bits and wakes who waits for them.
    pub(crate) fn signal(&mut self, cpu: usize, notification: Ref<Notification>, bits: u64) {
        let Some(n) = self.notifications.get_mut(notification) else { return };
        n.word |= bits;
        if n.word == 0 {
            return;
        }
        if let Some(waiter) = n.waiters.front() {
            let word = core::mem::take(&mut n.word);
            self.end_wait(waiter);
            self.set_result(waiter, [word, 0, 0, 0]);
            self.wake(cpu, waiter);
        } else if let Some(bound) = n.bound
            && self.threads.get(bound).is_some_and(|t| matches!(t.state, State::Receiving(_)))
        {
            let word = core::mem::take(&mut n.word);
            self.end_wait(bound);
            self.set_notified(bound, word);
            self.wake(cpu, bound);
        }
    }

    /// The registers of a thread whose Receive found bits of its bound notification.
    pub(crate) fn set_notified(&mut self, thread: Ref<Thread>, word: u64) {
        self.set_message(thread, 0, Tag::new(NOTIFICATION_LABEL, 1, 0), [word, 0, 0, 0]);
    }

    /// Takes the bits of the thread's bound notification, if there are any.
    pub(crate) fn take_bound_bits(&mut self, thread: Ref<Thread>) -> Option<u64> {
        let bound = self.threads.get(thread)?.notification?;
        let word = core::mem::take(&mut self.notifications.get_mut(bound)?.word);
        (word != 0).then_some(word)
    }

    /// `Op::Wait`.
    pub(crate) fn notification_wait(&mut self, call: &Call) -> Done {
        let (notification, _) = self.object::<Notification>(call, Kind::Notification, Rights::READ)?;
        let n = self.get_mut(notification)?;
        let word = core::mem::take(&mut n.word);
        if word != 0 {
            return Ok(Flow::value(word));
        }
        if call.arguments[0] == 0 {
            return Err(Error::WouldBlock.into());
        }
        self.block(call.thread, State::Waiting(notification), call.arguments[0]);
        self.notification_waits(notification, call.thread);
        let n = self.notifications.get_mut(notification).ok_or(Error::Gone)?;
        n.waiters.push_back(&mut self.threads, call.thread);
        Ok(Flow::Blocked)
    }

    /// `Op::Arm`.
    pub(crate) fn notification_arm(&mut self, call: &Call) -> Done {
        let (notification, _) = self.object::<Notification>(call, Kind::Notification, Rights::EDIT)?;
        let [deadline_ns, bits, ..] = call.arguments;
        self.get_mut(notification)?.alarm_bits = bits;
        self.notification_alarms.set(&mut self.notifications, notification, deadline_ns);
        self.cpus[call.cpu].look = true;
        Ok(Flow::NOTHING)
    }

    /// The alarm's time has come.
    pub(crate) fn notification_alarm(&mut self, cpu: usize, notification: Ref<Notification>) {
        self.notification_alarms.clear(&mut self.notifications, notification);
        let bits = self.notifications.get(notification).map_or(0, |n| n.alarm_bits);
        self.signal(cpu, notification, bits);
    }
}
