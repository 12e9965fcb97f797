// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is sent to a process and what comes of it.

use super::*;
use crate::signal::info::More;
use linux_raw_sys::general::*;

const ROOM: usize = 8;

fn caught(flags: u32) -> Action {
    Action { handler: 0x4000, flags: flags.into(), restorer: 0, mask: Set::of(&[SIGHUP]) }
}

fn with(signal: u32, action: Action) -> ProcessSignals {
    let process = ProcessSignals::default();
    process.actions.lock().set(signal, action).unwrap();
    process
}

fn to_process(process: &mut ProcessSignals, thread: &ThreadSignals, signal: u32) -> Result<Sent> {
    process.send(Target::Process { main_mask: thread.mask }, Info::kernel(signal), ROOM)
}

#[test]
fn a_handler_blocks_its_signal_and_its_mask_and_the_frame_keeps_what_was() {
    let (mut process, mut thread) = (with(SIGUSR1, caught(0)), ThreadSignals { mask: Set::of(&[SIGINT]), ..Default::default() });
    assert_eq!(to_process(&mut process, &thread, SIGUSR1), Ok(Sent::Pending));
    let Next::Handle { info, mask, .. } = process.next(&mut thread, false) else { panic!("no handler") };
    assert_eq!((info.signal, mask), (SIGUSR1, Set::of(&[SIGINT])));
    assert_eq!(thread.mask, Set::of(&[SIGINT, SIGUSR1, SIGHUP]));
    assert_eq!(process.next(&mut thread, false), Next::GoOn);
}

#[test]
fn flags_of_an_action_change_what_follows() {
    let (mut process, mut thread) = (with(SIGUSR1, caught(SA_NODEFER | SA_RESETHAND)), ThreadSignals::default());
    let _ = to_process(&mut process, &thread, SIGUSR1);
    assert!(matches!(process.next(&mut thread, false), Next::Handle { .. }));
    assert_eq!(thread.mask, Set::of(&[SIGHUP]));
    let _ = to_process(&mut process, &thread, SIGUSR1);
    assert_eq!(process.next(&mut thread, false), Next::Terminate { signal: SIGUSR1, dumps: false });
}

#[test]
fn a_suspended_thread_gets_back_the_mask_of_before_its_wait() {
    let (mut process, mut thread) = (with(SIGUSR1, caught(0)), ThreadSignals::default());
    (thread.saved_mask, thread.mask) = (Some(Set::of(&[SIGUSR1, SIGTERM])), Set::EMPTY);
    let _ = to_process(&mut process, &thread, SIGUSR1);
    let Next::Handle { mask, .. } = process.next(&mut thread, false) else { panic!("no handler") };
    assert_eq!((mask, thread.saved_mask), (Set::of(&[SIGUSR1, SIGTERM]), None));
}

#[test]
fn an_ignored_signal_is_dropped_unless_it_is_blocked() {
    let ignored = Action { handler: 1, ..Action::default() };
    let (mut process, mut thread) = (with(SIGTERM, ignored), ThreadSignals::default());
    assert_eq!(to_process(&mut process, &thread, SIGTERM), Ok(Sent::Dropped));
    assert_eq!(to_process(&mut process, &thread, SIGWINCH), Ok(Sent::Dropped));
    thread.mask = Set::of(&[SIGTERM]);
    assert_eq!(to_process(&mut process, &thread, SIGTERM), Ok(Sent::Pending));
    assert_eq!(thread.dequeue(&mut process, Set::of(&[SIGTERM])).map(|info| info.signal), Some(SIGTERM));
}

#[test]
fn a_fault_that_is_blocked_or_ignored_kills() {
    for (action, mask) in [(caught(0), Set::of(&[SIGSEGV])), (Action { handler: 1, ..Action::default() }, Set::EMPTY)] {
        let (mut process, mut thread) = (with(SIGSEGV, action), ThreadSignals { mask, ..Default::default() });
        process.protected = true;
        process.force(&mut thread, Info { signal: SIGSEGV, code: 1, more: More::Fault { address: 0, address_lsb: 0 } });
        assert_eq!(process.next(&mut thread, false), Next::Terminate { signal: SIGSEGV, dumps: true });
    }
}

#[test]
fn continuing_takes_stops_back_and_a_stop_takes_continuing_back() {
    let (mut process, mut thread) =
        (ProcessSignals::default(), ThreadSignals { mask: Set::of(&[SIGCONT, SIGTSTP]), ..Default::default() });
    let _ = process.send(Target::Thread(&mut thread), Info::kernel(SIGTSTP), ROOM);
    process.make_way(SIGCONT, [&mut thread].into_iter());
    assert!(!thread.pending.set().has(SIGTSTP));
    let _ = to_process(&mut process, &thread, SIGCONT);
    process.make_way(SIGSTOP, [&mut thread].into_iter());
    assert!(!process.pending.set().has(SIGCONT));
}

#[test]
fn a_terminals_stop_passes_an_orphaned_group_by_and_sigstop_does_not() {
    let (mut process, mut thread) = (ProcessSignals::default(), ThreadSignals::default());
    let _ = to_process(&mut process, &thread, SIGTSTP);
    assert_eq!(process.next(&mut thread, true), Next::GoOn);
    let _ = to_process(&mut process, &thread, SIGSTOP);
    assert_eq!(process.next(&mut thread, true), Next::Stop { signal: SIGSTOP });
}

#[test]
fn the_first_process_dies_of_nothing_that_it_does_not_catch() {
    let (mut process, mut thread) = (with(SIGTERM, caught(0)), ThreadSignals::default());
    process.protected = true;
    assert_eq!(to_process(&mut process, &thread, SIGKILL), Ok(Sent::Dropped));
    assert!(!process.is_killed(&thread));
    assert_eq!(to_process(&mut process, &thread, SIGTERM), Ok(Sent::Pending));
    assert!(matches!(process.next(&mut thread, false), Next::Handle { .. }));
}

#[test]
fn a_queue_that_is_full_refuses_a_value_and_takes_a_plain_signal() {
    let (mut process, thread) = (ProcessSignals::default(), ThreadSignals::default());
    let value = Info { signal: 40, code: SI_QUEUE, more: More::Value { pid: 1, uid: 0, value: 5 } };
    let target = || Target::Process { main_mask: thread.mask };
    assert_eq!(process.send(target(), value, 0), Err(EAGAIN));
    assert!(process.pending.set().is_empty());
    assert_eq!(process.send(target(), Info { code: SI_USER as i32, ..value }, 0), Ok(Sent::Pending));
}

#[test]
fn a_thread_that_waits_for_a_blocked_signal_is_woken_by_it_alone() {
    let thread = ThreadSignals { mask: Set::of(&[SIGUSR1, SIGUSR2]), awaited: Set::of(&[SIGUSR1]), ..Default::default() };
    assert_eq!([SIGUSR1, SIGUSR2, SIGTERM].map(|signal| thread.cares(signal)), [true, false, true]);
}

#[test]
fn a_child_starts_without_the_signals_of_its_parent() {
    let (mut process, mut thread) = (with(SIGTERM, caught(0)), ThreadSignals { mask: Set::of(&[SIGTERM]), ..Default::default() });
    let _ = to_process(&mut process, &thread, SIGTERM);
    let _ = process.send(Target::Thread(&mut thread), Info::kernel(SIGTERM), ROOM);
    let (child, of_child) = (process.for_child(), thread.for_child());
    assert!(child.pending.set().is_empty() && of_child.pending.set().is_empty() && of_child.mask.has(SIGTERM));
    child.actions.lock().set(SIGTERM, Action::default()).unwrap();
    assert!(process.actions.lock().get(SIGTERM).unwrap().is_caught());
}
