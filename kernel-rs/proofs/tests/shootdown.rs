// SPDX-License-Identifier: PMPL-1.0-or-later
//! Requests between CPUs: after the asker's wait no CPU has an old translation, who was asked sees the new tables, and
//! a CPU that waits for the lock meanwhile keeps nobody waiting.

use kernel_proofs::{AsTheyAre, Cpu, Orders, computer, explore};
use loom::sync::atomic::Ordering;
use loom::thread;
use machine::lock::{Flag, give_all, take_all};
use machine::shootdown::{self, Request};

const FLUSH: u32 = 1;

/// What a CPU does that was asked: it drops what it has cached, and reads the tables again.
fn flush<O: Orders>(computer: &[Cpu<O>]) {
    computer[1].cached.set(0);
    assert_eq!(computer[0].own.get(), 9, "the tables are as they were");
}

/// CPU 0 changes the tables and asks CPU 1, which has a translation and comes into the kernel at any moment of that.
fn asked_at_any_time<O: Orders>(preemptions: usize, answer: fn(&[Cpu<O>])) {
    explore(preemptions, move || {
        let computer = computer::<O>(2);
        computer[1].cached.set(7);
        let other = computer.clone();
        let user = thread::spawn(move || {
            // It enters: `KernelLock::locked`.
            take_all([&other[1].flag].into_iter(), || {
                answer(&other);
                thread::yield_now();
            });
            answer(&other);
            other[1].flag.give();
            // Out in user code it is interrupted by a request that comes late.
            while other[1].cached.get() != 0 {
                answer(&other);
                thread::yield_now();
            }
        });
        take_all(computer.iter().map(|c| &c.flag), thread::yield_now);
        computer[0].own.set(9);
        computer[1].request.post(FLUSH);
        shootdown::wait([&computer[1].request].into_iter(), thread::yield_now);
        // From here on the frame behind the translation may be used for something else.
        assert_eq!(computer[1].cached.get(), 0, "a translation is left");
        give_all(computer.iter().map(|c| &c.flag));
        user.join().unwrap();
    });
}

fn properly<O: Orders>(computer: &[Cpu<O>]) {
    shootdown::answer(&computer[1].request, |_| flush(computer));
}

#[test]
fn who_waits_for_a_flag_answers_who_holds_it_and_keeps_nothing_stale() {
    asked_at_any_time::<AsTheyAre>(4, properly);
}

#[test]
#[should_panic]
fn an_answer_before_the_flush_is_found_out() {
    asked_at_any_time::<AsTheyAre>(3, |computer| {
        if computer[1].request.pending() != 0 {
            computer[1].request.clear();
            flush(computer);
        }
    });
}

#[test]
#[should_panic(expected = "number of branches")]
fn a_cpu_that_waits_for_the_lock_and_does_not_answer_is_found_out() {
    explore(3, || {
        let computer = computer::<AsTheyAre>(2);
        let other = computer.clone();
        let user = thread::spawn(move || {
            take_all([&other[1].flag].into_iter(), thread::yield_now);
            other[1].flag.give();
        });
        take_all(computer.iter().map(|c| &c.flag), thread::yield_now);
        computer[1].request.post(FLUSH);
        shootdown::wait([&computer[1].request].into_iter(), thread::yield_now);
        give_all(computer.iter().map(|c| &c.flag));
        user.join().unwrap();
    });
}

#[derive(Default)]
struct PostsRelaxed;
impl Orders for PostsRelaxed {
    const POST: Ordering = Ordering::Relaxed;
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_request_without_release_is_found_out() {
    asked_at_any_time::<PostsRelaxed>(3, properly);
}

#[derive(Default)]
struct LooksRelaxed;
impl Orders for LooksRelaxed {
    const LOOK: Ordering = Ordering::Relaxed;
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_look_at_a_request_without_acquire_is_found_out() {
    asked_at_any_time::<LooksRelaxed>(3, properly);
}

#[derive(Default)]
struct ClearsRelaxed;
impl Orders for ClearsRelaxed {
    const CLEAR: Ordering = Ordering::Relaxed;
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_answer_without_release_is_found_out() {
    asked_at_any_time::<ClearsRelaxed>(3, properly);
}
