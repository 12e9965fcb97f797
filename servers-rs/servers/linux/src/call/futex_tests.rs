// SPDX-License-Identifier: PMPL-1.0-or-later
//! What futex(2) answers, thread by thread.

use super::*;
use crate::time::NS_PER_S;
use crate::user::testing::Flat;
use crate::wait::testing::Count;

const WORD: u64 = 0x1000;
const OTHER: u64 = 0x1100;
const TIME: u64 = 0x1200;

impl FutexMemory for Flat {
    fn key(&mut self, address: u64, private: bool) -> Result<Key> {
        self.read_u32(address)?;
        Ok(if private { Key::Private { space: 1, address } } else { Key::Shared { object: (0, 0), offset: address } })
    }
}

#[derive(Debug)]
struct UpTo(u32);
impl Exists for UpTo {
    fn exists(&self, tid: u32) -> bool {
        tid <= self.0
    }
}

/// A cell with threads 1 to 9, at one time.
struct Cell {
    memory: Flat,
    futexes: Futexes,
    now_ns: u64,
    progress: [Progress; 10],
}

impl Cell {
    fn new() -> Cell {
        Cell { memory: Flat::new(WORD, 4096), futexes: Futexes::new(), now_ns: 1000, progress: Default::default() }
    }
    fn call(&mut self, tid: u32, arguments: [u64; 6]) -> Outcome {
        self.made(tid, arguments, futex)
    }
    fn made(&mut self, tid: u32, arguments: [u64; 6], call: fn(&mut Caller<'_>, [u64; 6]) -> Outcome) -> Outcome {
        let waker: Arc<dyn Waker> = Arc::new(Count::default());
        let progress = &mut self.progress[tid as usize];
        let outcome = call(
            &mut Caller {
                memory: &mut self.memory,
                futexes: &mut self.futexes,
                tid,
                waker: &waker,
                progress,
                monotonic_ns: self.now_ns,
                realtime_ns: self.now_ns + 5_000_000,
                exists: &UpTo(9),
            },
            arguments,
        );
        *progress = match outcome {
            Outcome::Blocked(_) => Progress { again: true, ..*progress },
            _ => Progress::default(),
        };
        outcome
    }
    fn set_time(&mut self, ns: u64) {
        self.memory.write_u64(TIME, ns / NS_PER_S).unwrap();
        self.memory.write_u64(TIME + 8, ns % NS_PER_S).unwrap();
    }
}

fn wait(value: u64) -> [u64; 6] {
    [WORD, FUTEX_WAIT_PRIVATE.into(), value, 0, 0, 0]
}
fn operation(command: u32, rest: [u64; 4]) -> [u64; 6] {
    [WORD, command.into(), rest[0], rest[1], rest[2], rest[3]]
}
const WAITS: Outcome = Outcome::Blocked(Interrupted::Restart);
const DONE: Outcome = Outcome::Done(Ok(0));

#[test]
fn a_thread_waits_until_it_is_woken_and_another_value_is_told_at_once() {
    let mut cell = Cell::new();
    assert_eq!(cell.call(1, wait(7)), EAGAIN.into());
    assert_eq!([cell.call(1, wait(0)), cell.call(1, wait(0))], [WAITS, WAITS]);
    assert_eq!(cell.call(2, operation(FUTEX_WAKE_PRIVATE, [1, 0, 0, 0])), Outcome::Done(Ok(1)));
    cell.memory.write_u32(WORD, 9).unwrap();
    assert_eq!(cell.call(1, wait(0)), DONE);
    assert!(cell.futexes.is_empty());
}

#[test]
fn a_shared_word_is_not_a_private_one() {
    let mut cell = Cell::new();
    assert_eq!(cell.call(1, wait(0)), WAITS);
    assert_eq!(cell.call(2, operation(FUTEX_WAKE, [1, 0, 0, 0])), DONE);
}

#[test]
fn times_are_relative_or_of_either_clock() {
    for (command, ns) in [(FUTEX_WAIT, 500), (FUTEX_WAIT_BITSET, 1500), (FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5_001_500)] {
        let mut cell = Cell::new();
        cell.set_time(ns);
        let call = operation(command, [0, TIME, 0, 1]);
        assert!(matches!(cell.call(1, call), Outcome::Blocked(_)), "{command}");
        cell.now_ns = 1499;
        assert!(matches!(cell.call(1, call), Outcome::Blocked(_)), "{command}");
        cell.now_ns = 1500;
        assert_eq!(cell.call(1, call), ETIMEDOUT.into(), "{command}");
        assert!(cell.futexes.is_empty());
    }
}

#[test]
fn what_is_wrong_is_refused_by_its_own_errno() {
    let mut cell = Cell::new();
    cell.set_time(0);
    cell.memory.write_u64(TIME + 8, NS_PER_S).unwrap();
    for (arguments, errno) in [
        ([WORD + 1, FUTEX_WAIT.into(), 0, 0, 0, 0], EINVAL),
        ([8, FUTEX_WAIT.into(), 0, 0, 0, 0], EFAULT),
        (operation(FUTEX_WAIT, [0, TIME, 0, 0]), EINVAL),
        (operation(FUTEX_WAIT_BITSET, [0, 0, 0, 0]), EINVAL),
        (operation(FUTEX_WAKE_BITSET, [1, 0, 0, 0]), EINVAL),
        (operation(FUTEX_WAKE | FUTEX_CLOCK_REALTIME, [1, 0, 0, 0]), ENOSYS),
        (operation(FUTEX_FD, [1, 0, 0, 0]), ENOSYS),
        (operation(FUTEX_REQUEUE, [u64::MAX, 1, OTHER, 0]), EINVAL),
        (operation(FUTEX_CMP_REQUEUE, [1, 1, OTHER, 5]), EAGAIN),
        (operation(FUTEX_UNLOCK_PI, [0; 4]), EPERM),
    ] {
        assert_eq!(cell.call(1, arguments), errno.into(), "{arguments:x?}");
    }
    assert!(cell.futexes.is_empty());
}

#[test]
fn one_is_woken_the_others_wait_for_the_lock_from_then_on() {
    let mut cell = Cell::new();
    for tid in 1..=3 {
        assert_eq!(cell.call(tid, wait(0)), WAITS);
    }
    let requeue = operation(FUTEX_CMP_REQUEUE_PRIVATE, [1, u64::from(u32::MAX >> 1), OTHER, 0]);
    assert_eq!(cell.call(4, requeue), Outcome::Done(Ok(3)));
    assert_eq!([1, 2].map(|tid| cell.call(tid, wait(0))), [DONE, WAITS]);
    assert_eq!(cell.call(4, [OTHER, FUTEX_WAKE_PRIVATE.into(), 9, 0, 0, 0]), Outcome::Done(Ok(2)));
}

#[test]
fn one_call_changes_a_word_and_wakes_at_two() {
    let mut cell = Cell::new();
    assert_eq!(cell.call(1, wait(0)), WAITS);
    cell.memory.write_u32(OTHER, 5).unwrap();
    assert_eq!(cell.call(2, [OTHER, FUTEX_WAIT_PRIVATE.into(), 5, 0, 0, 0]), WAITS);
    // Adds -1 to the other word, and wakes there if it was above 4.
    let code = FUTEX_OP_ADD << 28 | FUTEX_OP_CMP_GT << 24 | 0xfff << 12 | 4;
    assert_eq!(cell.call(3, operation(FUTEX_WAKE_OP_PRIVATE, [1, 1, OTHER, code.into()])), Outcome::Done(Ok(2)));
    assert_eq!(cell.memory.read_u32(OTHER), Ok(4));
}

#[test]
fn a_lock_is_taken_waited_for_and_handed_over() {
    let mut cell = Cell::new();
    let (lock, unlock) = (operation(FUTEX_LOCK_PI_PRIVATE, [0; 4]), operation(FUTEX_UNLOCK_PI_PRIVATE, [0; 4]));
    assert_eq!(cell.call(1, lock), DONE);
    assert_eq!(cell.call(1, lock), EDEADLK.into());
    assert_eq!([cell.call(2, lock), cell.call(3, lock)], [WAITS, WAITS]);
    assert_eq!(cell.call(4, operation(FUTEX_TRYLOCK_PI_PRIVATE, [0; 4])), EAGAIN.into());
    assert_eq!(cell.call(1, unlock), DONE);
    assert_eq!(cell.memory.read_u32(WORD), Ok(2 | FUTEX_WAITERS));
    assert_eq!(cell.call(2, lock), DONE);
    assert_eq!(cell.call(2, unlock), DONE);
    assert_eq!((cell.memory.read_u32(WORD), cell.call(3, lock)), (Ok(3), DONE));
    assert_eq!(cell.call(3, unlock), DONE);
    assert_eq!(cell.memory.read_u32(WORD), Ok(0));
}

#[test]
fn a_lock_whose_owner_never_was_is_refused() {
    let mut cell = Cell::new();
    cell.memory.write_u32(WORD, 77).unwrap();
    assert_eq!(cell.call(1, operation(FUTEX_LOCK_PI_PRIVATE, [0; 4])), ESRCH.into());
}

#[test]
fn a_wait_at_several_words_says_which_was_woken() {
    let mut cell = Cell::new();
    const LIST: u64 = 0x1300;
    for (n, word) in [WORD, OTHER].into_iter().enumerate() {
        let at = LIST + n as u64 * WAITV_BYTES;
        cell.memory.write_u64(at + 8, word).unwrap();
        cell.memory.write_u32(at + 16, FUTEX_32 | FUTEX_PRIVATE_FLAG).unwrap();
    }
    let call = [LIST, 2, 0, 0, 0, 0];
    assert_eq!(cell.made(1, call, futex_waitv), WAITS);
    assert_eq!(cell.call(2, [OTHER, FUTEX_WAKE_PRIVATE.into(), 1, 0, 0, 0]), Outcome::Done(Ok(1)));
    assert_eq!(cell.made(1, call, futex_waitv), Outcome::Done(Ok(1)));
    for refused in [[LIST, 0, 0, 0, 0, 0], [LIST, 129, 0, 0, 0, 0], [LIST, 1, 1, 0, 0, 0]] {
        assert_eq!(cell.made(1, refused, futex_waitv), EINVAL.into());
    }
}
