// SPDX-License-Identifier: PMPL-1.0-or-later
//! From a failing seed to the shortest sequence of steps that still fails: leaves out ever smaller pieces of it. A step has
//! its own seed, so what is left means what it meant before, as far as it can.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Sequences that are tried before it is short enough.
const MOST_TRIES: usize = 500;

fn message(problem: &(dyn std::any::Any + Send)) -> String {
    let text = problem.downcast_ref::<String>().map(String::as_str).or(problem.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_string()
}

std::thread_local! {
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Tries of a shorter sequence fail by the hundred: what each says is not to fill the log.
fn quietly<R>(act: impl FnOnce() -> R) -> R {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    let result = act();
    QUIET.set(false);
    result
}

/// Runs a seed's rounds before that one, then that round with other steps; the message of its failure and what happened.
fn fails(seed: u64, round: usize, steps: &[u64]) -> Option<(String, Vec<String>)> {
    let mut model = Model::start(seed | 1);
    let outcome = quietly(|| {
        catch_unwind(AssertUnwindSafe(|| {
            (0..round).for_each(|round| model.round(&seeds(seed, round)));
            model.transcript = Some(Vec::new());
            model.round(steps);
        }))
    });
    let problem = outcome.err()?;
    Some((message(&*problem), model.transcript.take().unwrap_or_default()))
}

/// What `run` gives; if it fails, the seed and the shortest way to a failure go to the test's output first.
pub fn or_shrink<R>(seed: u64, run: impl FnOnce() -> R) -> R {
    let problem = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => return result,
        Err(problem) => problem,
    };
    println!("FLATRACOON_SEED={seed} fails: {}", message(&*problem));
    if number("FLATRACOON_SHRINK") == Some(0) {
        std::panic::resume_unwind(problem);
    }
    let failed = (0..ROUNDS).find(|round| fails(seed, *round, &seeds(seed, *round)).is_some());
    let Some(round) = failed else {
        println!("it does not fail when it is run again");
        std::panic::resume_unwind(problem);
    };
    // Most failures need no history.
    let round_steps = seeds(seed, round);
    let alone = fails(seed, 0, &round_steps).is_some();
    let (round, mut steps) = (if alone { 0 } else { round }, round_steps);
    let mut piece = steps.len() / 2;
    let mut tries = 0;
    while piece > 0 && tries < MOST_TRIES {
        let mut at = 0;
        while at < steps.len() && tries < MOST_TRIES {
            let mut shorter = steps.clone();
            shorter.drain(at..(at + piece).min(steps.len()));
            tries += 1;
            if fails(seed, round, &shorter).is_some() {
                steps = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    if let Some((why, transcript)) = fails(seed, round, &steps) {
        println!("after {round} rounds, {} steps are enough: {steps:?}", steps.len());
        transcript.iter().for_each(|line| println!("  {line}"));
        println!("  {why}");
    }
    std::panic::resume_unwind(problem)
}
