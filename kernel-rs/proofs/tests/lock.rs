// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel's lock: who has a CPU's flag and who has all of them exclude each other, and nobody waits for ever.

use kernel_proofs::{AsTheyAre, Cpu, Orders, add, computer, explore};
use loom::sync::atomic::Ordering;
use loom::thread;
use machine::lock::{Flag, give_all, take_all};

/// The first CPU takes all flags; the others try their own, as entries in local mode do: they do not wait.
fn own_against_all<O: Orders>(cpus: usize, preemptions: usize) {
    explore(preemptions, move || {
        let computer = computer::<O>(cpus);
        let others: Vec<_> = (1..cpus)
            .map(|n| {
                let computer = computer.clone();
                thread::spawn(move || {
                    let taken = computer[n].flag.try_take();
                    if taken {
                        add(&computer[n].own);
                        computer[n].flag.give();
                    }
                    u32::from(taken)
                })
            })
            .collect();
        all(&computer);
        let taken = others.into_iter().map(|t| t.join().unwrap());
        taken.zip(&computer[1..]).for_each(|(taken, cpu)| assert_eq!(cpu.own.get(), 1 + taken, "an addition is lost"));
    });
}

fn all<O: Orders>(computer: &[Cpu<O>]) {
    take_all(computer.iter().map(|c| &c.flag), thread::yield_now);
    computer.iter().for_each(|c| add(&c.own));
    give_all(computer.iter().map(|c| &c.flag));
}

#[test]
fn local_mode_and_all_flags_exclude_each_other_on_two_cpus() {
    own_against_all::<AsTheyAre>(2, 4);
}

#[test]
fn local_mode_and_all_flags_exclude_each_other_on_three_cpus() {
    own_against_all::<AsTheyAre>(3, 2);
}

#[test]
fn cpus_that_take_all_flags_do_not_wait_in_a_circle() {
    explore(3, || {
        let computer = computer::<AsTheyAre>(2);
        let other = computer.clone();
        let second = thread::spawn(move || all(&other));
        all(&computer);
        second.join().unwrap();
        assert!(computer.iter().all(|c| c.own.get() == 2));
    });
}

#[derive(Default)]
struct TakesRelaxed;
impl Orders for TakesRelaxed {
    const TAKE: Ordering = Ordering::Relaxed;
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_flag_taken_without_acquire_is_found_out() {
    own_against_all::<TakesRelaxed>(2, 2);
}

#[derive(Default)]
struct GivesRelaxed;
impl Orders for GivesRelaxed {
    const GIVE: Ordering = Ordering::Relaxed;
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_flag_given_without_release_is_found_out() {
    own_against_all::<GivesRelaxed>(2, 2);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_flag_given_before_the_work_is_done_is_found_out() {
    explore(2, || {
        let computer = computer::<AsTheyAre>(2);
        let other = computer.clone();
        let second = thread::spawn(move || {
            while !other[1].flag.try_take() {
                thread::yield_now();
            }
            other[1].flag.give();
            add(&other[1].own);
        });
        all(&computer);
        second.join().unwrap();
    });
}

#[test]
#[should_panic(expected = "number of branches")]
fn flags_taken_in_different_orders_are_found_out() {
    explore(2, || {
        let computer = computer::<AsTheyAre>(2);
        let other = computer.clone();
        let second = thread::spawn(move || {
            take_all(other.iter().rev().map(|c| &c.flag), thread::yield_now);
            give_all(other.iter().map(|c| &c.flag));
        });
        all(&computer);
        second.join().unwrap();
    });
}
