// SPDX-License-Identifier: PMPL-1.0-or-later
//! Vector registers: who used them keeps them, who never did finds nothing of another's.

use crate::report::{Found, Test, equal, must, that};
use core::sync::atomic::{AtomicU64, Ordering};
use rt::thread::spawn;
use rt::vector::{self, Registers};
use sys::{Pool, Thread, start};

pub const TESTS: &[Test] = &[
    Test { promise: "vector registers survive preemption by a thread that uses them too", run: survive },
    Test { promise: "a thread's first use of vector registers finds them empty", run: empty },
    Test { promise: "a thread pays for its vector registers when it first uses them, and no earlier", run: paid },
];

const STACK: u64 = 32 * 1024;
const PRIORITY: u8 = 10;
const ROUNDS: u64 = 300;
/// What the other thread found: rounds done well, or what follows.
static OTHER: AtomicU64 = AtomicU64::new(0);
const WRONG: u64 = 1 << 32;
const DONE: u64 = 1 << 33;

/// Another pattern for each round, register and byte; 16 bytes of each without AVX.
fn pattern(seed: u64) -> Registers {
    let mut all = [[0; 32]; 16];
    let width = if vector::has_avx() { 32 } else { 16 };
    for (n, register) in all.iter_mut().enumerate() {
        register[..width].iter_mut().enumerate().for_each(|(b, byte)| *byte = (seed as usize * 7 + n * 32 + b) as u8 | 1);
    }
    all
}

/// Loads a pattern, lets others run, and says whether it still stands.
fn round(seed: u64) -> bool {
    let mine = pattern(seed);
    vector::load(&mine);
    (0..3).for_each(|_| sys::yield_now());
    (0..20_000).for_each(|n| {
        let _ = core::hint::black_box(n);
    });
    vector::read() == mine
}

fn partner() {
    let wrong = (0..ROUNDS).any(|n| !round(n + 1000));
    OTHER.store(if wrong { WRONG } else { DONE }, Ordering::SeqCst);
}

fn wait_for_other() -> u64 {
    let Ok(nobody) = Pool(start::POOL).create_notification() else { return 0 };
    for _ in 0..20_000 {
        match OTHER.load(Ordering::SeqCst) {
            0 => drop(nobody.wait(1_000_000)),
            found => return found,
        }
    }
    0
}

fn begin(name: &str, work: fn()) -> Result<Thread, alloc::string::String> {
    OTHER.store(0, Ordering::SeqCst);
    must("starting a thread", spawn(name, PRIORITY, STACK, None, work))
}

fn survive() -> Found {
    // Both at the same importance, so that they really take turns.
    begin("second", partner)?;
    let me = Thread(start::THREAD);
    must("stepping down", me.schedule(u64::from(PRIORITY), 0, 0, u64::MAX))?;
    let well = (0..ROUNDS).all(round);
    that(well, "the registers of the first thread changed")?;
    equal(wait_for_other(), DONE)
}

fn look() {
    let clean = vector::read() == [[0; 32]; 16];
    OTHER.store(if clean { DONE } else { WRONG }, Ordering::SeqCst);
}

fn empty() -> Found {
    vector::load(&pattern(5));
    begin("fresh", look)?;
    equal(wait_for_other(), DONE)
}

static SPENT: AtomicU64 = AtomicU64::new(0);

fn used() -> u64 {
    Pool(start::POOL).usage().map_or(0, |(_, used)| used)
}

fn first_use() {
    let before = used();
    (0..100).for_each(|_| sys::yield_now());
    let idle = used() - before;
    vector::load(&pattern(9));
    SPENT.store((used() - before) << 8 | idle, Ordering::SeqCst);
    OTHER.store(DONE, Ordering::SeqCst);
}

fn paid() -> Found {
    begin("payer", first_use)?;
    equal(wait_for_other(), DONE)?;
    equal(SPENT.load(Ordering::SeqCst), 1 << 8)
}
