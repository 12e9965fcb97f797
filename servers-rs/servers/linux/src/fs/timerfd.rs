// SPDX-License-Identifier: PMPL-1.0-or-later
//! timerfd(2): a timer that is read.

use crate::call::{Clock, Clocks};
use crate::errno::{EAGAIN, EINVAL, Result};
use crate::time::Setting;
use crate::time::timer::Timer;
use crate::vfs::{Caller, Events, File, Side, Sink};
use crate::wait::{Queue, Waker};
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

/// What a read gives: how often it has expired.
const COUNT_BYTES: usize = 8;

pub struct TimerFd {
    clocks: Arc<dyn Clocks>,
    /// The one that its absolute times are of; the timer itself counts on the monotonic one.
    pub clock: Clock,
    state: Mutex<State>,
    alarm: Arc<Alarm>,
}

#[derive(Default)]
struct State {
    timer: Timer,
    /// Expirations that nobody has read.
    unread: u64,
}

/// Who waits for it.
#[derive(Debug, Default)]
struct Alarm(Queue);

impl Waker for Alarm {
    fn wake(&self) {
        self.0.wake_all();
    }
}

impl TimerFd {
    pub fn new(clocks: &Arc<dyn Clocks>, clock: Clock) -> TimerFd {
        TimerFd { clocks: clocks.clone(), clock, state: Mutex::default(), alarm: Arc::default() }
    }

    /// `setting.value_ns` is of the monotonic clock if it is `absolute`. Returns what it was set to.
    pub fn set(&self, setting: Setting, absolute: bool) -> Setting {
        let mut state = self.state.lock();
        let before = state.timer.set(setting, absolute, self.now_ns());
        state.unread = 0;
        self.look(&mut state);
        self.alarm.wake();
        before
    }
    pub fn setting(&self) -> Setting {
        let mut state = self.state.lock();
        self.look(&mut state);
        state.timer.setting(self.now_ns())
    }

    fn now_ns(&self) -> u64 {
        self.clocks.now_ns(Clock::Monotonic)
    }
    /// Counts what has passed, and asks to be woken for the next.
    fn look(&self, state: &mut State) {
        state.unread = state.unread.saturating_add(state.timer.expirations(self.now_ns()));
        if let Some(next) = state.timer.next_ns() {
            let waker: Arc<dyn Waker> = self.alarm.clone();
            self.clocks.wake_at(next, &waker);
        }
    }
}

impl File for TimerFd {
    fn read(&self, _: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        if into.room() < COUNT_BYTES {
            return Err(EINVAL);
        }
        let mut state = self.state.lock();
        self.look(&mut state);
        if state.unread == 0 {
            return Err(EAGAIN);
        }
        let count = core::mem::take(&mut state.unread);
        into.put(&count.to_le_bytes())
    }
    fn poll(&self) -> Events {
        let mut state = self.state.lock();
        self.look(&mut state);
        Events::IN.when(state.unread > 0)
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        (side == Side::Input).then_some(&self.alarm.0)
    }
    fn describe(&self) -> Vec<u8> {
        b"anon_inode:[timerfd]".to_vec()
    }
}
