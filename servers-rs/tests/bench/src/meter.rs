// SPDX-License-Identifier: PMPL-1.0-or-later
//! Counts instructions of a loop, or of a part of each pass, and takes off what measuring itself takes.

use rt::measure::{begin, counter, end, forget, report};
use stage::console::say;

pub const ITERATIONS: u64 = 10_000;
const WARM_UPS: u64 = 100;
/// Of a pass: count down, jump back.
const LOOP_INSTRUCTIONS: u64 = 2;

/// `operations` of what the row is named after are done in each pass. Passes in all, warm-ups included.
pub fn row(name: &str, operations: u64, mut pass: impl FnMut()) -> u64 {
    (0..WARM_UPS).for_each(|_| pass());
    let passes = ITERATIONS;
    begin();
    let before = counter();
    let mut left = passes;
    while left > 0 {
        pass();
        left -= 1;
    }
    let all = counter() - before;
    end();
    tell(name, passes * operations, all.saturating_sub(passes * LOOP_INSTRUCTIONS));
    WARM_UPS + passes
}

/// For rows that must undo what they did: each pass measures itself with [`part`] and returns it.
pub fn parts<E>(name: &str, mut pass: impl FnMut() -> Result<u64, E>) -> Result<u64, E> {
    for _ in 0..WARM_UPS {
        pass()?;
    }
    forget();
    let mut all = 0;
    for _ in 0..ITERATIONS {
        all += pass()?;
    }
    tell(name, ITERATIONS, all);
    Ok(WARM_UPS + ITERATIONS)
}

/// Result and instructions of one piece of work.
#[inline(always)]
pub fn part<T>(work: impl FnOnce() -> T) -> (T, u64) {
    begin();
    let before = counter();
    let result = work();
    let after = counter();
    end();
    (result, (after - before).saturating_sub(COUNTER_INSTRUCTIONS))
}
/// Two reads of the counter in a row differ by this: shift, or, and the read itself.
const COUNTER_INSTRUCTIONS: u64 = 3;

pub fn tell(name: &str, operations: u64, instructions: u64) {
    say(format_args!("bench row {name} operations {operations} instructions {instructions}"));
    report();
}
