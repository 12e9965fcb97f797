// SPDX-License-Identifier: PMPL-1.0-or-later
//! What calls about one's own signals answer.

use super::*;
use crate::errno::EFAULT;
use crate::signal::info::Info;
use crate::signal::state::Target;
use crate::user::testing::Flat;
use linux_raw_sys::general::{SIGKILL, SIGTERM, SIGUSR1};

const BASE: u64 = 0x1000;
const AT: u64 = BASE + 64;

struct Caller {
    memory: Flat,
    thread: ThreadSignals,
    process: ProcessSignals,
}

impl Caller {
    fn new() -> Caller {
        Caller { memory: Flat::new(BASE, 4096), thread: ThreadSignals::default(), process: ProcessSignals::default() }
    }
    fn own(&mut self) -> Own<'_> {
        Own { memory: &mut self.memory, thread: &mut self.thread, process: &mut self.process }
    }
    fn send(&mut self, signal: u32) {
        let _ = self.process.send(Target::Process { main_mask: self.thread.mask }, Info::kernel(signal), 9);
    }
}

#[test]
fn a_mask_is_set_told_and_never_holds_kill() {
    let mut caller = Caller::new();
    caller.memory.write_u64(BASE, u64::MAX).unwrap();
    assert_eq!(rt_sigprocmask(&mut caller.own(), [2, BASE, AT, 8, 0, 0]), Ok(0));
    assert_eq!((caller.thread.mask, caller.memory.read_u64(AT)), (Set(!Set::ABSOLUTE.0), Ok(0)));
    for refused in [[9, BASE, 0, 8, 0, 0], [2, BASE, 0, 4, 0, 0]] {
        assert_eq!(rt_sigprocmask(&mut caller.own(), refused), Err(EINVAL));
    }
    assert_eq!(rt_sigprocmask(&mut caller.own(), [2, 1, 0, 8, 0, 0]), Err(EFAULT));
}

#[test]
fn ignoring_a_signal_throws_away_what_waits_of_it() {
    let mut caller = Caller::new();
    caller.thread.mask = Set::of(&[SIGTERM]);
    caller.send(SIGTERM);
    let ignore = Action { handler: 1, ..Action::default() };
    caller.memory.write(BASE, &ignore.to_bytes()).unwrap();
    assert_eq!(rt_sigaction(&mut caller.own(), [SIGTERM.into(), BASE, AT, 8, 0, 0]), Ok(0));
    assert!(caller.process.pending.set().is_empty());
    assert_eq!(rt_sigaction(&mut caller.own(), [SIGKILL.into(), BASE, 0, 8, 0, 0]), Err(EINVAL));
    assert_eq!(rt_sigaction(&mut caller.own(), [u64::from(SIGTERM) | 1 << 32, 0, AT, 8, 0, 0]), Err(EINVAL));
}

#[test]
fn what_is_blocked_and_waits_is_told() {
    let mut caller = Caller::new();
    caller.thread.mask = Set::of(&[SIGTERM]);
    caller.send(SIGTERM);
    caller.send(SIGUSR1);
    assert_eq!(rt_sigpending(&mut caller.own(), [AT, 8, 0, 0, 0, 0]), Ok(0));
    assert_eq!(caller.memory.read_u64(AT), Ok(Set::of(&[SIGTERM]).0));
}

#[test]
fn suspending_changes_the_mask_until_the_wait_is_over() {
    let (mut caller, mut progress) = (Caller::new(), Progress::default());
    caller.thread.mask = Set::of(&[SIGTERM]);
    caller.memory.write_u64(BASE, Set::of(&[SIGUSR1]).0).unwrap();
    let waits = Outcome::Blocked(Interrupted::Eintr);
    assert_eq!(rt_sigsuspend(&mut caller.own(), &mut progress, [BASE, 8, 0, 0, 0, 0]), waits);
    assert_eq!(caller.thread.mask, Set::of(&[SIGUSR1]));
    progress.again = true;
    assert_eq!(rt_sigsuspend(&mut caller.own(), &mut progress, [BASE, 8, 0, 0, 0, 0]), waits);
    caller.thread.restore_mask();
    assert_eq!(caller.thread.mask, Set::of(&[SIGTERM]));
}

#[test]
fn waiting_for_a_signal_takes_it_or_ends_in_time() {
    let (mut caller, mut progress) = (Caller::new(), Progress::default());
    caller.thread.mask = Set::of(&[SIGUSR1]);
    caller.memory.write_u64(BASE, Set::of(&[SIGUSR1]).0).unwrap();
    caller.memory.write_u64(BASE + 16, 0).unwrap();
    caller.memory.write_u64(BASE + 24, 500).unwrap();
    let arguments = [BASE, AT, BASE + 16, 8, 0, 0];
    let waits = Outcome::Blocked(Interrupted::Eintr);
    assert_eq!(rt_sigtimedwait(&mut caller.own(), &mut progress, arguments, 1000), waits);
    assert_eq!((progress.deadline_ns, caller.thread.awaited), (Some(1500), Set::of(&[SIGUSR1])));
    progress.again = true;
    caller.send(SIGUSR1);
    assert_eq!(rt_sigtimedwait(&mut caller.own(), &mut progress, arguments, 1400), Outcome::Done(Ok(SIGUSR1.into())));
    assert_eq!((caller.memory.read_u32(AT), caller.thread.awaited), (Ok(SIGUSR1), Set::EMPTY));
    assert_eq!(rt_sigtimedwait(&mut caller.own(), &mut progress, arguments, 1500), EAGAIN.into());
}
