// SPDX-License-Identifier: PMPL-1.0-or-later
//! An attacker: threads that do nothing but call the kernel. The watcher ends it when it stands still or is through.

use crate::board::{Board, THREADS, Violation};
use crate::draw::{Handles, operation, registers, returns_handle};
use core::sync::atomic::{AtomicUsize, Ordering};
use rt::hostile::Doomed;
use rt::memory::Shared;
use rt::start::grant;
use stage::Random;
use sys::{Capability, Error, Rights, start};

pub const BOARD: &str = "board";
pub const LENT: &str = "lent";
pub const NEIGHBOUR: &str = "neighbour";
pub const BELL: &str = "bell";
/// Calls of one thread of one attacker.
pub const CALLS: u32 = 10_000;
pub const PRIORITY: u8 = 50;

static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

pub fn play() {
    for _ in 1..THREADS {
        let _ = rt::thread::spawn("attack", PRIORITY, 16384, None, attack);
    }
    attack();
}

fn attack() {
    let number = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
    let Some((board, length_bytes)) = grant::memory(BOARD) else { return };
    let Ok(board) = Shared::map(board, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let board = Board(board);
    let seed = rt::start::startup().arguments.first().and_then(|text| text.parse().ok()).unwrap_or(0u64);
    let mut random = Random::new(seed.wrapping_mul(THREADS as u64).wrapping_add(number as u64));
    let mut handles = Handles::new(&given());
    let me = Doomed::new();
    for done in 0..CALLS {
        // Before the call: what the last one of a thread did must not be lost.
        board.counted(number, done + 1);
        let number = operation(&mut random);
        let outcome = me.call(number, registers(&mut random, &handles));
        if outcome.status != 0 && Error::from_u64(outcome.status).is_none() {
            board.say(Violation::Status);
        }
        if !outcome.kept {
            board.say(Violation::Register);
        }
        if outcome.status == 0 && returns_handle(number) {
            handles.learn(outcome.values[0]);
        }
    }
}

/// What the attacker has from the start.
fn given() -> [u32; 8] {
    let endpoint = grant::call(NEIGHBOUR).map_or(0, |(endpoint, _)| endpoint.handle().0);
    let lent = grant::memory(LENT).map_or(0, |(memory, _)| memory.handle().0);
    let bell = grant::notification(BELL).map_or(0, |bell| bell.handle().0);
    [start::TABLE.0, start::ADDRESS_SPACE.0, start::POOL.0, start::THREAD.0, endpoint, lent, bell, lent]
}
